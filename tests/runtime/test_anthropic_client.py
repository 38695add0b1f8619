"""Anthropic's own Python package, over a socket."""

from collections.abc import Iterator
from typing import Any

import pytest
from servers import Running, running

from mbuild.runtime.service import Settings
from mbuild.store.store import Store

anthropic = pytest.importorskip("anthropic", reason="pip install 'mbuild-modelfile[test]'")

WHY: Any = {"role": "user", "content": "why"}
TOOL: Any = {"name": "add", "input_schema": {"type": "object", "properties": {}}}
CALLING = '<t>hm</t>Well. <call>{"name": "add", "arguments": {"a": 1}}'


def connected(server: Running, key: str = "none") -> Any:
    return anthropic.Anthropic(base_url=server.url, api_key=key, max_retries=0)


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


def ask(client: Any, **more: Any) -> Any:
    return client.messages.create(**{"model": "kid", "max_tokens": 9, "messages": [WHY], **more})


def test_a_message(client: Any) -> None:
    answer = ask(client)
    (block,) = answer.content
    assert (block.type, block.text) == ("text", "Because the sky is blue")
    assert (answer.role, answer.stop_reason, answer.model) == ("assistant", "end_turn", "kid")
    assert answer.stop_sequence is None
    assert answer.usage.output_tokens == 5


def test_max_tokens_and_stop_sequences(client: Any) -> None:
    short = ask(client, max_tokens=2)
    assert (short.content[0].text, short.stop_reason) == ("Because the", "max_tokens")
    stopped = ask(client, stop_sequences=[" sky"])
    assert (stopped.content[0].text, stopped.stop_reason) == ("Because the", "end_turn")


def test_the_system_and_the_options_reach_the_model(client: Any, up: Running) -> None:
    ask(
        client,
        system=[{"type": "text", "text": "Be kind."}],
        extra_body={"temperature": 0.5, "top_k": 3},
    )
    assert up.aviary.prompts[-1].startswith("system:Be kind.\nuser:why")
    sampling = up.aviary.parrots[-1].requests[-1].sampling
    assert (sampling.temperature, sampling.top_k) == (0.5, 3)


def test_a_stream(client: Any) -> None:
    with client.messages.stream(model="kid", max_tokens=9, messages=[WHY]) as stream:
        assert "".join(stream.text_stream) == "Because the sky is blue"
        final = stream.get_final_message()
    assert (final.content[0].text, final.stop_reason) == ("Because the sky is blue", "end_turn")
    assert final.usage.output_tokens == 5


def test_thoughts_and_calls(calling: Any) -> None:
    answer = ask(calling, model="able", tools=[TOOL])
    thinking, text, use = answer.content
    assert (thinking.thinking, thinking.signature) == ("hm", "")
    assert text.text == "Well. "
    assert (use.name, use.input, answer.stop_reason) == ("add", {"a": 1}, "tool_use")


def test_thoughts_and_calls_in_a_stream(calling: Any) -> None:
    asked = {"model": "able", "max_tokens": 9, "messages": [WHY], "tools": [TOOL]}
    with calling.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    thinking, text, use = final.content
    assert (thinking.thinking, text.text) == ("hm", "Well. ")
    assert (use.name, use.input, final.stop_reason) == ("add", {"a": 1}, "tool_use")


def test_the_result_of_a_call_goes_back(shelf: Store) -> None:
    with running(shelf, script=CALLING) as found, connected(found) as client:
        first = ask(client, model="able", tools=[TOOL])
        told = {"type": "tool_result", "tool_use_id": first.content[-1].id, "content": "2"}
        turns = [
            WHY,
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [told]},
        ]
        ask(client, model="able", tools=[TOOL], messages=turns)
        assert "assistant:<t>hm</t>Well. <call>add\ntool:2\n" in found.aviary.prompts[-1]


def test_thinking_is_no_error_where_there_is_none(client: Any) -> None:
    answer = ask(client, thinking={"type": "enabled", "budget_tokens": 1024})
    assert [each.type for each in answer.content] == ["text"]


def test_thinking_can_be_turned_off(calling: Any) -> None:
    answer = ask(calling, model="able", thinking={"type": "disabled"})
    assert [each.type for each in answer.content] == ["text"]


def test_tokens_are_counted_as_a_prompt_has_them(client: Any) -> None:
    counted = client.messages.count_tokens(model="kid", messages=[WHY], system="Be kind.")
    assert counted.input_tokens == ask(client, system="Be kind.").usage.input_tokens


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        pytest.param(
            {"model": "no"}, anthropic.NotFoundError, "model 'no' not found", id="unknown model"
        ),
        pytest.param(
            {"messages": []}, anthropic.BadRequestError, "messages is required", id="no messages"
        ),
        pytest.param(
            {"model": "no", "stream": True},
            anthropic.NotFoundError,
            "model 'no' not found",
            id="in front of a stream",
        ),
    ],
)
def test_errors(client: Any, asked: Any, error: Any, message: str) -> None:
    with pytest.raises(error) as raised:
        ask(client, **asked)
    body = raised.value.body
    assert (body["type"], body["error"]["message"]) == ("error", message)
    assert body["request_id"].startswith("req_")


def test_a_stream_that_breaks_off_raises(shelf: Store) -> None:
    with (
        running(shelf, script="mortal") as found,
        connected(found) as client,
        pytest.raises(anthropic.APIStatusError, match="unexpectedly stopped"),
    ):
        list(ask(client, stream=True))


def test_the_key_comes_in_a_header_of_its_own(shelf: Store) -> None:
    with running(shelf, settings=Settings(api_key="secret")) as found:
        with connected(found, "wrong") as client, pytest.raises(anthropic.AuthenticationError):
            ask(client)
        with connected(found, "secret") as client:
            assert ask(client).content


# With a real model.


@pytest.mark.model
def test_a_real_model_says_the_same_at_once_and_in_a_stream(smollm2_server: Running) -> None:
    france = {"role": "user", "content": "What is the capital of France?"}
    asked = {
        "model": "smollm2",
        "max_tokens": 16,
        "messages": [france],
        "extra_body": {"temperature": 0},
    }
    with connected(smollm2_server) as client:
        whole = client.messages.create(**asked)
        with client.messages.stream(**asked) as stream:
            text = "".join(stream.text_stream)
        counted = client.messages.count_tokens(model="smollm2", messages=[france])
    assert "Paris" in text
    assert whole.content[0].text == text
    assert counted.input_tokens == whole.usage.input_tokens
