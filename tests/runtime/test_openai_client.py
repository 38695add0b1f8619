"""OpenAI's own Python package, over a socket."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from servers import Running, running, until

from mbuild.runtime.service import Settings
from mbuild.store.store import Store

openai = pytest.importorskip("openai", reason="pip install 'mbuild-modelfile[test]'")

WHY: Any = {"role": "user", "content": "why"}
TOOL: Any = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {}}},
}
CALLING = '<t>hm</t>Well. <call>{"name": "add", "arguments": {"a": 1}}'


def connected(server: Running, key: str = "none") -> Any:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0)


@pytest.fixture(scope="module")
def up(shelf: Store) -> Iterator[Running]:
    with running(shelf) as found:
        yield found


@pytest.fixture
def client(up: Running) -> Iterator[Any]:
    with connected(up) as made:
        yield made


@pytest.fixture
def calling(shelf: Store) -> Iterator[Any]:
    """A client of a server whose models think and call."""
    with running(shelf, script=CALLING) as found, connected(found) as made:
        yield made


def test_a_chat(client: Any) -> None:
    answer = client.chat.completions.create(model="kid", messages=[WHY])
    (choice,) = answer.choices
    assert (choice.message.role, choice.message.content) == ("assistant", "Because the sky is blue")
    assert (choice.finish_reason, answer.model) == ("stop", "kid")
    assert answer.usage.completion_tokens == 5
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 5


def test_a_stream(client: Any) -> None:
    chunks = list(
        client.chat.completions.create(
            model="kid", messages=[WHY], stream=True, stream_options={"include_usage": True}
        )
    )
    *spoken, end, counts = chunks
    assert "".join(each.choices[0].delta.content for each in spoken) == "Because the sky is blue"
    assert [each.choices[0].delta.role for each in spoken] == ["assistant", *[None] * 4]
    assert end.choices[0].finish_reason == "stop"
    assert (counts.choices, counts.usage.completion_tokens) == ([], 5)
    assert len({each.id for each in chunks}) == 1


def test_the_bytes_of_a_stream(up: Running) -> None:
    body = {"model": "kid", "messages": [WHY], "stream": True}
    answer = up.post("/v1/chat/completions", body)
    *events, last = answer.data.decode().removesuffix("\n\n").split("\n\n")
    assert answer.headers["content-type"] == "text/event-stream"
    assert last == "data: [DONE]"
    assert all(json.loads(each.removeprefix("data: "))["choices"] for each in events)


def test_max_tokens_and_stop(client: Any) -> None:
    def ask(**more: Any) -> tuple[str, str]:
        (choice,) = client.chat.completions.create(model="kid", messages=[WHY], **more).choices
        return choice.message.content, choice.finish_reason

    assert ask(max_tokens=2) == ("Because the", "length")
    assert ask(max_completion_tokens=2) == ("Because the", "length")
    assert ask(stop=" sky") == ("Because the", "stop")


def test_numbers_reach_the_sampler(client: Any, up: Running) -> None:
    client.chat.completions.create(
        model="kid",
        messages=[WHY],
        seed=7,
        temperature=0.5,
        top_p=0.25,
        presence_penalty=1,
        frequency_penalty=-1,
    )
    sampling = up.aviary.parrots[-1].requests[-1].sampling
    assert (sampling.seed, sampling.temperature, sampling.top_p) == (7, 0.5, 0.25)
    assert (sampling.presence_penalty, sampling.frequency_penalty) == (1.0, -1.0)


def test_parts_of_a_message_reach_the_model(client: Any, up: Running) -> None:
    parts = [{"type": "text", "text": text} for text in ("one", "two")]
    client.chat.completions.create(model="kid", messages=[{"role": "user", "content": parts}])
    assert up.aviary.prompts[-1].endswith("user:one\n\ntwo\n")


def test_a_schema_becomes_a_grammar(client: Any, up: Running) -> None:
    schema = {"type": "object", "properties": {"answer": {"const": "yes"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    client.chat.completions.create(model="kid", messages=[WHY], response_format=wanted)
    assert "yes" in up.aviary.parrots[-1].requests[-1].grammar


def test_thoughts_and_calls(calling: Any) -> None:
    answer = calling.chat.completions.create(model="able", messages=[WHY], tools=[TOOL])
    (choice,) = answer.choices
    (call,) = choice.message.tool_calls
    assert choice.finish_reason == "tool_calls"
    assert (choice.message.reasoning, choice.message.content) == ("hm", "Well. ")
    assert (call.type, call.function.name, call.function.arguments) == (
        "function",
        "add",
        '{"a":1}',
    )


def test_thoughts_and_calls_in_a_stream(calling: Any) -> None:
    chunks = calling.chat.completions.create(
        model="able", messages=[WHY], tools=[TOOL], stream=True
    )
    choices = [each.choices[0] for each in chunks]
    (call,) = [call for each in choices for call in each.delta.tool_calls or ()]
    assert (call.index, call.function.name, call.function.arguments) == (0, "add", '{"a":1}')
    assert "".join(getattr(each.delta, "reasoning", None) or "" for each in choices) == "hm"
    assert choices[-1].finish_reason == "tool_calls"


def test_the_result_of_a_call_goes_back(calling: Any) -> None:
    first = calling.chat.completions.create(model="able", messages=[WHY], tools=[TOOL])
    said = first.choices[0].message
    told = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "2"}
    answer = calling.chat.completions.create(
        model="able", messages=[WHY, said, told], tools=[TOOL], reasoning_effort="none"
    )
    # Without thinking nothing is told apart.
    assert answer.choices[0].message.content == "<t>hm</t>Well. "


def test_a_completion(client: Any) -> None:
    answer = client.completions.create(model="kid", prompt="why", max_tokens=2)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("Because the", "length")
    chunks = client.completions.create(model="kid", prompt="why", stream=True)
    assert "".join(each.choices[0].text for each in chunks) == "Because the sky is blue"


def test_a_suffix(client: Any, up: Running) -> None:
    client.completions.create(model="able", prompt="a", suffix="b")
    assert up.aviary.prompts[-1] == "<pre>a<suf>b<mid>"


def test_models(client: Any) -> None:
    listed = list(client.models.list())
    assert sorted(each.id for each in listed) == ["able:latest", "kid:latest"]
    assert {(each.object, each.owned_by) for each in listed} == {("model", "library")}
    one = client.models.retrieve("kid")
    assert (one.id, one.created) == ("kid", next(x.created for x in listed if "kid" in x.id))


def test_vectors(client: Any) -> None:
    # The package asks for base64 unless it is told otherwise.
    packed = client.embeddings.create(model="kid", input=["a", "b"])
    plain = client.embeddings.create(model="kid", input=["a", "b"], encoding_format="float")
    assert [each.index for each in packed.data] == [0, 1]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding)
        assert sum(value * value for value in one.embedding) == pytest.approx(1)
    assert packed.usage.prompt_tokens == 2


def test_a_response(calling: Any) -> None:
    answer = calling.responses.create(
        model="able",
        input="why",
        instructions="Be kind.",
        tools=[{"type": "function", **TOOL["function"]}],
    )
    thoughts, text, call = answer.output
    assert (thoughts.summary[0].text, text.content[0].text) == ("hm", "Well. ")
    assert (call.name, call.arguments) == ("add", '{"a":1}')
    assert (answer.status, answer.output_text) == ("completed", "Well. ")
    # What came goes back as it is.
    told = {"type": "function_call_output", "call_id": call.call_id, "output": "2"}
    again = calling.responses.create(model="able", input=[*answer.output, told])
    assert again.output_text.startswith("Well. ")


def test_the_stream_of_a_response(client: Any) -> None:
    with client.responses.stream(model="kid", input="why") as stream:
        deltas = [each.delta for each in stream if each.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text == "Because the sky is blue"
    assert final.usage.output_tokens == 5


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        pytest.param(
            {"model": "no"}, openai.NotFoundError, "model 'no' not found", id="unknown model"
        ),
        pytest.param(
            {"messages": []},
            openai.BadRequestError,
            "[] is too short - 'messages'",
            id="no messages",
        ),
        pytest.param(
            {"tools": [TOOL]},
            openai.BadRequestError,
            "registry.ollama.ai/library/kid:latest does not support tools",
            id="no tools",
        ),
        pytest.param(
            {"reasoning_effort": "high"},
            openai.BadRequestError,
            '"kid" does not support thinking',
            id="no thinking",
        ),
        pytest.param(
            {"model": "no", "stream": True},
            openai.NotFoundError,
            "model 'no' not found",
            id="in front of a stream",
        ),
    ],
)
def test_errors(client: Any, asked: Any, error: Any, message: str) -> None:
    with pytest.raises(error) as raised:
        client.chat.completions.create(**{"model": "kid", "messages": [WHY], **asked})
    assert raised.value.body["message"] == message


def test_a_stream_that_breaks_off_raises(shelf: Store) -> None:
    with running(shelf, script="mortal") as found, connected(found) as client:
        stream = client.chat.completions.create(model="kid", messages=[WHY], stream=True)
        with pytest.raises(openai.APIError, match="unexpectedly stopped"):
            list(stream)
        body = {"model": "kid", "messages": [WHY], "stream": True}
        assert b"[DONE]" not in found.post("/v1/chat/completions", body).data


def test_the_stream_of_a_response_that_breaks_off_raises(shelf: Store) -> None:
    with running(shelf, script="mortal") as found, connected(found) as client:
        stream = client.responses.create(model="kid", input="why", stream=True)
        with pytest.raises(openai.APIError, match="unexpectedly stopped"):
            list(stream)


def test_a_client_that_goes_away_ends_its_answer(shelf: Store) -> None:
    with running(shelf, script="endless") as found, connected(found) as client:
        stream = client.chat.completions.create(model="kid", messages=[WHY], stream=True)
        assert next(iter(stream)).choices[0].delta.content == "well"
        stream.close()
        until(lambda: not found.pool.residents()[0].requests)


def test_a_prompt_that_is_too_long_is_refused_with_the_numbers(client: Any) -> None:
    long = {"role": "user", "content": "a" * 600}
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(
            model="kid", messages=[WHY, long], extra_headers={"x-mbuild-truncate": "refuse"}
        )
    assert raised.value.body["num_ctx"] == 512


def test_what_was_dropped_is_told_in_a_header_and_a_field(client: Any) -> None:
    asked = {"model": "kid", "messages": [{"role": "user", "content": "a" * 300}] * 2}
    answer = client.chat.completions.with_raw_response.create(**asked)
    assert answer.headers["x-mbuild-dropped"] == "messages=1, tokens=0"
    assert answer.parse().mbuild["dropped_messages"] == 1
    *_, last = client.chat.completions.create(**asked, stream=True)
    assert last.mbuild["dropped_messages"] == 1


def test_tokens_are_counted_once(shelf: Store) -> None:
    with running(shelf) as found, connected(found) as client:
        client.chat.completions.create(model="kid", messages=[WHY])
        list(client.chat.completions.create(model="kid", messages=[WHY], stream=True))
        client.models.retrieve("kid")
        text = found.get("/metrics").data.decode()
    assert "mbuild_generated_tokens_total 10\n" in text
    assert 'path="/v1/models/{id}"' in text


def test_the_key_is_asked_for_in_the_words_of_the_package(shelf: Store) -> None:
    with running(shelf, settings=Settings(api_key="secret")) as found:
        with connected(found, "wrong") as client, pytest.raises(openai.AuthenticationError):
            client.models.list()
        with connected(found, "secret") as client:
            assert list(client.models.list())


# With a real model.


@pytest.fixture
def real(smollm2_server: Running) -> Iterator[Any]:
    with connected(smollm2_server) as made:
        yield made


FRANCE: Any = {"role": "user", "content": "What is the capital of France?"}


@pytest.mark.model
def test_a_real_model_says_the_same_at_once_and_in_a_stream(real: Any) -> None:
    asked = {"model": "smollm2", "messages": [FRANCE], "temperature": 0, "max_tokens": 16}
    whole = real.chat.completions.create(**asked)
    chunks = real.chat.completions.create(**asked, stream=True)
    text = whole.choices[0].message.content
    assert "Paris" in text
    assert "".join(each.choices[0].delta.content or "" for each in chunks) == text
    assert whole.usage.prompt_tokens > 20


@pytest.mark.model
def test_a_real_model_keeps_to_a_schema(real: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
    }
    answer = real.chat.completions.create(
        model="smollm2",
        messages=[FRANCE],
        temperature=0,
        max_tokens=60,
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
    )
    assert list(json.loads(answer.choices[0].message.content)) == ["city"]


@pytest.mark.model
def test_a_real_model_tells_how_likely_its_words_were(real: Any) -> None:
    answer = real.chat.completions.create(
        model="smollm2",
        messages=[FRANCE],
        temperature=0,
        max_tokens=4,
        logprobs=True,
        top_logprobs=2,
    )
    found = answer.choices[0].logprobs.content
    assert "".join(each.token for each in found) == answer.choices[0].message.content
    for each in found:
        assert each.logprob <= 0
        assert each.top_logprobs[0].token == each.token  # The likeliest was drawn.
        assert len(each.top_logprobs) == 2


@pytest.mark.model
def test_a_real_model_has_vectors(real: Any) -> None:
    answer = real.embeddings.create(model="smollm2", input=["a cat", "a kitten", "tax law"])
    cat, kitten, tax = (each.embedding for each in answer.data)

    def likeness(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert likeness(cat, kitten) > likeness(cat, tax)
