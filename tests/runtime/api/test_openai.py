"""OpenAI's wire: questions to native ones, native lines to its answers."""

import json
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.runtime.api import openai, openai_answers
from mbuild.runtime.api.body import BadBody, read
from mbuild.runtime.api.ollama import Failure, Said
from mbuild.runtime.api.ollama import Head as Native
from mbuild.runtime.engine import Finished, Reason, Stats
from mbuild.runtime.message import Message

HI = [{"role": "user", "content": "hi"}]
DEFAULTS = {"temperature": 1.0, "top_p": 1.0}
PICTURE = b64encode(b"\x89PNG").decode()
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "add", "arguments": '{"a": 1}'},
}
NATIVE_CALL = {
    "id": "call_1",
    "function": {"index": 0, "name": "add", "arguments": {"a": 1}},
}


def chat(**fields: Any) -> Any:
    body = {"model": "m", "messages": HI, **fields}
    return openai.chat(read(openai.ChatCompletion, json.dumps(body).encode()))


def completion(**fields: Any) -> Any:
    body = {"model": "m", "prompt": "hi", **fields}
    return openai.completion(read(openai.Completion, json.dumps(body).encode()))


def embed(**fields: Any) -> Any:
    return openai.embed(read(openai.EmbeddingInput, json.dumps({"model": "m", **fields}).encode()))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        # Left out, both go before what the model says, as in the reference.
        pytest.param({}, DEFAULTS, id="smallest"),
        pytest.param({"temperature": None, "top_p": None}, DEFAULTS, id="null is nothing"),
        pytest.param(
            {"temperature": 0, "top_p": 0.5}, {"temperature": 0.0, "top_p": 0.5}, id="sampling"
        ),
        pytest.param({"max_tokens": 5}, {**DEFAULTS, "num_predict": 5}, id="max_tokens"),
        pytest.param(
            {"max_completion_tokens": 5}, {**DEFAULTS, "num_predict": 5}, id="its newer name"
        ),
        pytest.param(
            {"max_tokens": 4, "max_completion_tokens": 5},
            {**DEFAULTS, "num_predict": 4},
            id="the older name wins",
        ),
        pytest.param({"seed": 7}, {**DEFAULTS, "seed": 7}, id="seed"),
        pytest.param(
            {"frequency_penalty": 0.5, "presence_penalty": -1},
            {**DEFAULTS, "frequency_penalty": 0.5, "presence_penalty": -1.0},
            id="penalties",
        ),
        pytest.param({"stop": "x"}, {**DEFAULTS, "stop": ["x"]}, id="one stop"),
        pytest.param({"stop": ["x", 1, "y"]}, {**DEFAULTS, "stop": ["x", "y"]}, id="stops"),
        pytest.param({"stop": []}, DEFAULTS, id="no stop leaves the model's own"),
        pytest.param(
            {"options": {"num_ctx": 64, "seed": 1}, "seed": 2},
            {**DEFAULTS, "num_ctx": 64, "seed": 2},
            id="native options stand behind",
        ),
        pytest.param(
            {"n": 3, "user": "u", "logit_bias": {"1": 2}, "tool_choice": "auto", "store": True},
            DEFAULTS,
            id="passed over",
        ),
    ],
)
def test_options(asked: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    assert chat(**asked).options == expected


@pytest.mark.parametrize(
    ("asked", "field", "expected"),
    [
        pytest.param({}, "stream", False, id="no stream by default"),
        pytest.param({"stream": True}, "stream", True, id="a stream"),
        pytest.param({}, "format", None, id="no format"),
        pytest.param({"response_format": {"type": "json_object"}}, "format", "json", id="json"),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}}}},
            "format",
            {"a": 1},
            id="a schema",
        ),
        pytest.param({"response_format": {"type": "text"}}, "format", "", id="text"),
        pytest.param({"response_format": {"type": "odd"}}, "format", None, id="another"),
        pytest.param({}, "think", None, id="nothing said of thinking"),
        pytest.param({"reasoning_effort": "none"}, "think", False, id="no thinking"),
        pytest.param({"reasoning_effort": "minimal"}, "think", "low", id="minimal"),
        pytest.param({"reasoning_effort": "medium"}, "think", "medium", id="medium"),
        pytest.param({"reasoning_effort": "xhigh"}, "think", "max", id="xhigh"),
        pytest.param(
            {"reasoning_effort": "low", "reasoning": {"effort": "high"}},
            "think",
            "high",
            id="reasoning wins",
        ),
        pytest.param({"logprobs": True}, "logprobs", True, id="logprobs"),
        pytest.param({"top_logprobs": 20}, "top_logprobs", 20, id="top_logprobs"),
        pytest.param(
            {"tools": [{"type": "function"}]}, "tools", [{"type": "function"}], id="tools"
        ),
        pytest.param({"keep_alive": "5m"}, "keep_alive", 300_000_000_000, id="keep_alive"),
        pytest.param({"keep_alive": -1}, "keep_alive", -1, id="keep_alive for ever"),
    ],
)
def test_what_a_question_becomes(asked: Mapping[str, Any], field: str, expected: object) -> None:
    assert getattr(chat(**asked), field) == expected


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param(HI, [Message("user", "hi")], id="a text"),
        pytest.param(
            [{"role": "user", "content": [{"type": "text", "text": t} for t in "ab"]}],
            [Message("user", "a\n\nb")],
            id="parts become one message",
        ),
        pytest.param(
            [{"role": "developer", "content": "be kind"}],
            [Message("system", "be kind")],
            id="a developer is the system",
        ),
        pytest.param(
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "see"},
                        {"type": "image_url", "image_url": {"url": f"data:;base64,{PICTURE}"}},
                        {"type": "image_url", "image_url": f"data:image/png;base64,{PICTURE}"},
                        {"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}},
                    ],
                }
            ],
            [Message("user", "see", images=(PICTURE,) * 3)],
            id="pictures and sounds",
        ),
        pytest.param(
            [
                {"role": "assistant", "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "2"},
            ],
            [
                Message("assistant", "", tool_calls=(NATIVE_CALL,)),
                Message("tool", "2", tool_name="add", tool_call_id="call_1"),
            ],
            id="a call, and its result",
        ),
        pytest.param(
            [{"role": "tool", "name": "sub", "content": "2"}],
            [Message("tool", "2", tool_name="sub")],
            id="a result that names its tool",
        ),
        pytest.param(
            [{"role": "assistant", "content": "4", "reasoning": "2+2"}],
            [Message("assistant", "4", thinking="2+2")],
            id="thoughts",
        ),
    ],
)
def test_messages(messages: Sequence[Any], expected: Sequence[Message]) -> None:
    assert chat(messages=messages).messages == list(expected)


def parts(*found: object) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(found)}]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param({"messages": []}, "[] is too short - 'messages'", id="no messages"),
        pytest.param({"messages": None}, "[] is too short - 'messages'", id="null messages"),
        pytest.param(
            {"messages": [{"role": "user"}]}, "invalid message content type: <nil>", id="no content"
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": 5}]},
            "invalid message content type: float64",
            id="a number as content",
        ),
        pytest.param(
            {"messages": parts({"type": "video"})}, "invalid message format", id="an unknown part"
        ),
        pytest.param({"messages": parts("a")}, "invalid message format", id="a bare part"),
        pytest.param(
            {"messages": parts({"type": "image_url", "image_url": {"url": "https://a/b.png"}})},
            "image URLs are not currently supported, please use base64 encoded data instead",
            id="a picture elsewhere",
        ),
        pytest.param(
            {"messages": parts({"type": "image_url", "image_url": "data:image/gif;base64,AAAA"})},
            "invalid image input",
            id="another kind of picture",
        ),
        pytest.param(
            {"messages": parts({"type": "image_url", "image_url": "data:;base64,*"})},
            "invalid image input",
            id="bad base64",
        ),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [{"function": {"name": "add", "arguments": "{"}}],
                    }
                ]
            },
            "invalid tool call arguments",
            id="arguments that are no JSON",
        ),
        pytest.param(
            {"reasoning_effort": "a lot"},
            'invalid reasoning value: "a lot" (must be one of "none", "minimal", "low", "medium",'
            ' "high", "max", "xhigh", "ultra")',
            id="an unknown effort",
        ),
        pytest.param(
            {"top_logprobs": 21}, "top_logprobs must be between 0 and 20", id="too many logprobs"
        ),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {"schema": 5}}},
            "response_format: a schema is an object",
            id="a schema that is none",
        ),
        pytest.param(
            {"temperature": "hot"}, "temperature: input should be a valid number", id="a wrong type"
        ),
    ],
)
def test_what_is_refused(asked: Mapping[str, Any], message: str) -> None:
    with pytest.raises(BadBody) as refused:
        chat(**asked)
    assert str(refused.value) == message


def test_a_prompt_becomes_a_native_one() -> None:
    found = completion(suffix="ho", max_tokens=3, stop="x", top_p=0, logprobs=2, best_of=2)
    assert (found.model, found.prompt, found.suffix) == ("m", "hi", "ho")
    assert found.options == {**DEFAULTS, "num_predict": 3, "stop": ["x"]}
    assert not found.stream
    assert not found.raw


@pytest.mark.parametrize(
    "wrong", [{"prompt": ["a"]}, {"prompt": [1, 2]}, {"stop": ["a", 1]}], ids=str
)
def test_a_prompt_is_a_text_and_its_stops_are_texts(wrong: Mapping[str, Any]) -> None:
    with pytest.raises(BadBody):
        completion(**wrong)


@pytest.mark.parametrize(
    ("given_input", "expected"),
    [
        pytest.param("a", ["a"], id="a text"),
        pytest.param(["a", "b"], ["a", "b"], id="texts"),
        # Natively a bare empty text only loads the model.
        pytest.param("", [""], id="an empty text is one"),
    ],
)
def test_texts_to_embed(given_input: object, expected: Sequence[str]) -> None:
    assert embed(input=given_input).input == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param({}, "invalid input", id="nothing"),
        pytest.param({"input": []}, "invalid input", id="no texts"),
        pytest.param({"input": [1, 2]}, "invalid input type", id="tokens"),
        pytest.param({"input": [[1], [2]]}, "invalid input type", id="lists of tokens"),
        pytest.param(
            {"input": "a", "encoding_format": "x"},
            "Invalid value for 'encoding_format' = x. Supported values: ['float', 'base64'].",
            id="an unknown encoding",
        ),
    ],
)
def test_what_cannot_be_embedded(asked: Mapping[str, Any], message: str) -> None:
    with pytest.raises(BadBody) as refused:
        embed(**asked)
    assert str(refused.value) == message


def test_the_case_of_an_encoding_does_not_matter() -> None:
    asked = read(
        openai.EmbeddingInput, b'{"model": "m", "input": "a", "encoding_format": "BASE64"}'
    )
    assert asked.encoding_format == "base64"


# What comes back.

HEAD = openai_answers.Head("chatcmpl-1", 1_700_000_000, "m")
START = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1_700_000_000,
    "model": "m",
    "system_fingerprint": "fp_ollama",
}
STATS = Stats(prompt_eval_count=8, eval_count=3)
USAGE = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11}
SAID_CALL = {
    "id": "call_1",
    "index": 0,
    "type": "function",
    "function": {"name": "add", "arguments": '{"a":1}'},
}
ODDS = {"token": "a", "logprob": -0.5, "bytes": [97]}


def lines(*said: Said, reason: Reason = Reason.STOP, kind: str = "chat") -> list[dict[str, Any]]:
    """Native lines; the last of *said* stands on the line that ends the answer."""
    native = Native("m", chat=kind == "chat")
    *before, last = said
    return [
        *(native.line(0, each) for each in before),
        native.last(0, last, Finished(reason, STATS)),
    ]


def chunks(native: Sequence[Mapping[str, Any]], *, usage: bool = False) -> list[dict[str, Any]]:
    return list(openai_answers.chat_chunks(native, HEAD, with_usage=usage))


def deltas(native: Sequence[Mapping[str, Any]]) -> list[tuple[object, object]]:
    choices = [each["choices"][0] for each in chunks(native)]
    return [(choice["delta"], choice["finish_reason"]) for choice in choices]


def test_a_whole_answer() -> None:
    (line,) = lines(Said("four", "2+2"))
    assert openai_answers.chat(line, HEAD) == {
        **START,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "four", "reasoning": "2+2"},
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }


def test_a_whole_answer_with_a_call_and_logprobs() -> None:
    (line,) = lines(Said("", calls=(NATIVE_CALL,)))
    assert openai_answers.chat({**line, "logprobs": [ODDS]}, HEAD)["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "", "tool_calls": [SAID_CALL]},
            "finish_reason": "tool_calls",
            "logprobs": {"content": [{**ODDS, "top_logprobs": []}]},
        }
    ]


@pytest.mark.parametrize(
    ("native", "expected"),
    [
        pytest.param(
            lines(Said("a"), Said("b"), Said()),
            [
                ({"role": "assistant", "content": "a"}, None),
                ({"content": "b"}, None),
                ({}, "stop"),
            ],
            id="text",
        ),
        pytest.param(
            lines(Said()),
            [({"role": "assistant", "content": ""}, None), ({}, "stop")],
            id="nothing",
        ),
        pytest.param(
            lines(Said("a"), reason=Reason.LENGTH),
            [({"role": "assistant", "content": "a"}, None), ({}, "length")],
            id="text on the last line, cut short",
        ),
        pytest.param(
            lines(Said(thinking="hm"), Said("a", "so"), Said()),
            [
                ({"role": "assistant", "content": "", "reasoning": "hm"}, None),
                ({"reasoning": "so"}, None),
                ({"content": "a"}, None),
                ({}, "stop"),
            ],
            id="thoughts, alone and with text",
        ),
        pytest.param(
            lines(Said("a"), Said(calls=(NATIVE_CALL,)), Said()),
            [
                ({"role": "assistant", "content": "a"}, None),
                ({"content": "", "tool_calls": [SAID_CALL]}, None),
                ({}, "tool_calls"),
            ],
            id="a call",
        ),
        pytest.param(
            lines(Said(calls=(NATIVE_CALL,)), Said(), reason=Reason.LENGTH),
            [
                ({"role": "assistant", "content": "", "tool_calls": [SAID_CALL]}, None),
                ({}, "length"),
            ],
            id="a call, and cut short",
        ),
    ],
)
def test_chunks(native: Sequence[Mapping[str, Any]], expected: Sequence[object]) -> None:
    assert deltas(native) == expected


def test_the_counts_come_last_and_have_no_choice() -> None:
    found = chunks(lines(Said("a"), Said()), usage=True)
    assert found[-1] == {**START, "choices": [], "usage": USAGE}
    assert all("usage" not in each for each in found[:-1])
    assert all({**each, **START} == each for each in found)


def test_the_logprobs_stand_on_the_first_chunk_of_a_line() -> None:
    first, last = lines(Said("a", "hm"), Said())
    found = [each["choices"][0] for each in chunks([{**first, "logprobs": [ODDS]}, last])]
    assert ["logprobs" in each for each in found] == [True, False, False]


def test_what_was_dropped_is_told() -> None:
    (line,) = lines(Said("a"))
    dropped = {**line, "mbuild": {"dropped_messages": 2}}
    assert openai_answers.chat(dropped, HEAD)["mbuild"] == {"dropped_messages": 2}
    assert chunks([dropped])[-1]["mbuild"] == {"dropped_messages": 2}


def texts(*said: Said, usage: bool = False) -> list[dict[str, Any]]:
    native = lines(*said, kind="generate")
    return list(openai_answers.completion_chunks(native, HEAD, with_usage=usage))


def test_a_whole_completion_leaves_thoughts_out() -> None:
    (line,) = lines(Said("four", "2+2"), kind="generate")
    assert openai_answers.completion(line, HEAD) == {
        **START,
        "object": "text_completion",
        "choices": [{"text": "four", "index": 0, "finish_reason": "stop"}],
        "usage": USAGE,
    }


def test_the_chunks_of_a_completion() -> None:
    start = {**START, "object": "text_completion"}
    none = {"usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}
    assert texts(Said("a"), Said(thinking="hm"), Said("b"), usage=True) == [
        {**start, "choices": [{"text": "a", "index": 0, "finish_reason": None}], **none},
        {**start, "choices": [{"text": "b", "index": 0, "finish_reason": "stop"}], **none},
        {**start, "choices": [], "usage": USAGE},
    ]
    assert all("usage" not in each for each in texts(Said("a"), Said()))


def test_a_model_that_was_only_loaded_said_nothing() -> None:
    line = Native("m", chat=False).only(0, "load")
    assert openai_answers.completion(line, HEAD)["choices"] == [
        {"text": "", "index": 0, "finish_reason": "stop"}
    ]


PIECES = st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), min_size=1)


@given(PIECES)
def test_however_an_answer_is_cut_its_chunks_say_the_same(pieces: list[tuple[str, str]]) -> None:
    said = [Said(text, thinking) for text, thinking in pieces]
    whole = sum(said, Said())
    found = [each["choices"][0]["delta"] for each in chunks(lines(*said))]
    assert "".join(each.get("content", "") for each in found) == whole.text
    assert "".join(each.get("reasoning", "") for each in found) == whole.thinking
    assert ["role" in each for each in found] == [True] + [False] * (len(found) - 1)
    found = [each["choices"][0]["text"] for each in texts(*said)]
    assert "".join(found) == whole.text


NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(NUMBERS))
def test_a_packed_vector_is_the_vector(vector: list[float]) -> None:
    data = b64decode(openai_answers.packed(vector))
    assert list(struct.unpack(f"<{len(vector)}f", data)) == vector


def test_a_list_of_vectors() -> None:
    native = {"model": "m", "embeddings": [[0.5, -1.0]], "prompt_eval_count": 2}
    assert openai_answers.embeddings(native, base64=False) == {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}],
        "model": "m",
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
    packed = openai_answers.embeddings(native, base64=True)
    assert packed["data"][0]["embedding"] == "AAAAPwAAgL8="


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (404, "not_found_error"),
        (500, "api_error"),
        (503, "api_error"),
    ],
)
def test_errors(status: int, kind: str) -> None:
    assert openai_answers.failure(Failure(status, "no", {"more": 1})) == {
        "error": {"message": "no", "type": kind, "param": None, "code": None, "more": 1}
    }
