"""Anthropic's wire: questions to native ones, native lines to its answers."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.runtime.api import anthropic, anthropic_answers
from mbuild.runtime.api.body import BadBody, read
from mbuild.runtime.api.ollama import Failure, Said
from mbuild.runtime.api.ollama import Head as Native
from mbuild.runtime.engine import Finished, Reason, Stats
from mbuild.runtime.message import Message

HI = [{"role": "user", "content": "hi"}]
PICTURE = b64encode(b"\x89PNG").decode()
NATIVE_CALL = {"id": "call_1", "function": {"index": 0, "name": "add", "arguments": {"a": 1}}}


def asking(**fields: Any) -> anthropic.Messages:
    body = {"model": "m", "max_tokens": 9, "messages": HI, **fields}
    return read(anthropic.Messages, json.dumps(body).encode())


def chat(**fields: Any) -> Any:
    return anthropic.chat(asking(**fields))


def user(*blocks: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(blocks)}]


@pytest.mark.parametrize(
    ("asked", "field", "expected"),
    [
        # No temperature of our own here: the model's counts.
        pytest.param({}, "options", {"num_predict": 9}, id="smallest"),
        pytest.param(
            {"temperature": 0, "top_p": 0.5, "top_k": 3, "stop_sequences": ["x"]},
            "options",
            {"num_predict": 9, "temperature": 0.0, "top_p": 0.5, "top_k": 3, "stop": ["x"]},
            id="options",
        ),
        pytest.param({"stop_sequences": []}, "options", {"num_predict": 9}, id="no stops"),
        pytest.param({}, "stream", False, id="no stream by default"),
        pytest.param({"stream": True}, "stream", True, id="a stream"),
        pytest.param({}, "think", None, id="nothing said of thinking"),
        pytest.param(
            {"thinking": {"type": "enabled", "budget_tokens": 9}}, "think", True, id="thinking"
        ),
        pytest.param({"thinking": {"type": "disabled"}}, "think", False, id="no thinking"),
        pytest.param(
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
            "think",
            "high",
            id="as much as the effort says",
        ),
        pytest.param(
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}},
            "think",
            False,
            id="thinking decides before effort",
        ),
        pytest.param(
            {"tools": [{"name": "add", "description": "sum", "input_schema": {"type": "object"}}]},
            "tools",
            [
                {
                    "type": "function",
                    "function": {
                        "name": "add",
                        "description": "sum",
                        "parameters": {"type": "object"},
                    },
                }
            ],
            id="a tool",
        ),
        pytest.param(
            {"tool_choice": {"type": "any"}, "metadata": {"user_id": "u"}, "service_tier": "auto"},
            "options",
            {"num_predict": 9},
            id="passed over",
        ),
    ],
)
def test_what_a_question_becomes(asked: Mapping[str, Any], field: str, expected: object) -> None:
    assert getattr(chat(**asked), field) == expected


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param({}, [Message("user", "hi")], id="a text"),
        pytest.param(
            {"system": "be kind"},
            [Message("system", "be kind"), Message("user", "hi")],
            id="a system",
        ),
        pytest.param(
            {"system": [{"type": "text", "text": t, "cache_control": {}} for t in ("a", "b")]},
            [Message("system", "ab"), Message("user", "hi")],
            id="a system in blocks",
        ),
        pytest.param(
            {
                "messages": user(
                    {"type": "text", "text": "see "},
                    {"type": "image", "source": {"type": "base64", "data": PICTURE}},
                    {"type": "odd"},
                    {"type": "text", "text": "this"},
                )
            },
            [Message("user", "see this", images=(PICTURE,))],
            id="blocks",
        ),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "thinking", "thinking": "hm", "signature": ""},
                            {"type": "text", "text": "so"},
                            {"type": "tool_use", "id": "call_1", "name": "add", "input": {"a": 1}},
                        ],
                    },
                    *user(
                        {"type": "text", "text": "and?"},
                        {
                            "type": "tool_result",
                            "tool_use_id": "call_1",
                            "content": [{"type": "text", "text": "2"}],
                        },
                    ),
                ]
            },
            [
                Message("assistant", "so", thinking="hm", tool_calls=(NATIVE_CALL,)),
                Message("tool", "2", tool_name="add", tool_call_id="call_1"),
                Message("user", "and?"),
            ],
            id="a call, and its result in front of what the user says",
        ),
        pytest.param(
            {"messages": user({"type": "tool_result", "tool_use_id": "x", "content": None})},
            [Message("tool", "", tool_call_id="x")],
            id="a result alone, and empty",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": ""}]}, [Message("user", "")], id="empty"
        ),
    ],
)
def test_messages(asked: Mapping[str, Any], expected: Sequence[Message]) -> None:
    assert chat(**asked).messages == list(expected)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param({"model": ""}, "model is required", id="no model"),
        pytest.param(
            {"max_tokens": 0}, "max_tokens is required and must be positive", id="no max_tokens"
        ),
        pytest.param({"messages": []}, "messages is required", id="no messages"),
        pytest.param(
            {"messages": user({"type": "image", "source": {"type": "url", "url": "http://a"}})},
            "invalid image source type: url. Only base64 images are supported.",
            id="a picture elsewhere",
        ),
        pytest.param(
            {"messages": user({"type": "image", "source": {"type": "base64", "data": "*"}})},
            "invalid base64 image data",
            id="bad base64",
        ),
        pytest.param(
            {"messages": user({"type": "tool_use", "id": "x"})},
            "tool_use block missing required 'name' field",
            id="a call without a name",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": 5}]},
            "invalid message content: a text or a list of blocks",
            id="a number as content",
        ),
        pytest.param(
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "this server cannot search the web",
            id="a tool of the server",
        ),
    ],
)
def test_what_is_refused(asked: Mapping[str, Any], message: str) -> None:
    with pytest.raises(BadBody) as refused:
        chat(**asked)
    assert str(refused.value) == message


def test_the_estimate_is_a_quarter_of_the_letters() -> None:
    assert anthropic.estimate(asking(system="a" * 30, messages=HI)) == 8


# What comes back.

HEAD = anthropic_answers.Head("msg_1", "m")
STATS = Stats(prompt_eval_count=8, eval_count=3)
USAGE = {"input_tokens": 8, "output_tokens": 3}
USE = {"type": "tool_use", "id": "call_1", "name": "add"}


def lines(*said: Said, reason: Reason = Reason.STOP) -> list[dict[str, Any]]:
    """Native lines; the last of *said* stands on the line that ends the answer."""
    native = Native("m", chat=True)
    *before, last = said
    end = native.last(0, last, Finished(reason, STATS))
    return [*(native.line(0, each) for each in before), end]


def events(*said: Said, reason: Reason = Reason.STOP) -> list[dict[str, Any]]:
    return list(anthropic_answers.events(lines(*said, reason=reason), HEAD, estimate=2))


@pytest.mark.parametrize(
    ("said", "reason", "content", "stopped"),
    [
        pytest.param(
            Said("four", "2+2"),
            Reason.STOP,
            [
                {"type": "thinking", "thinking": "2+2", "signature": ""},
                {"type": "text", "text": "four"},
            ],
            "end_turn",
            id="thoughts and text",
        ),
        pytest.param(
            Said("so", calls=(NATIVE_CALL,)),
            Reason.STOP,
            [{"type": "text", "text": "so"}, {**USE, "input": {"a": 1}}],
            "tool_use",
            id="text and a call",
        ),
        pytest.param(Said(), Reason.LENGTH, [], "max_tokens", id="nothing, cut short"),
    ],
)
def test_a_whole_answer(
    said: Said, reason: Reason, content: Sequence[object], stopped: str
) -> None:
    (line,) = lines(said, reason=reason)
    assert anthropic_answers.message(line, HEAD) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": content,
        "stop_reason": stopped,
        "stop_sequence": None,
        "usage": USAGE,
    }


def test_the_events_of_an_answer() -> None:
    found = events(Said(thinking="hm"), Said("a", "so"), Said("b"), Said(calls=(NATIVE_CALL,)))
    assert found == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {"input_tokens": 2, "output_tokens": 0},
            },
        },
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "thinking_delta", "thinking": text},
            }
            for text in ("hm", "so")
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        *(
            {
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "text_delta", "text": text},
            }
            for text in ("a", "b")
        ),
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": {**USE, "input": {}}},
        {
            "type": "content_block_delta",
            "index": 2,
            "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'},
        },
        {"type": "content_block_stop", "index": 2},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": USAGE,
        },
        {"type": "message_stop"},
    ]


def test_an_empty_answer_has_no_blocks() -> None:
    found = events(Said(), reason=Reason.LENGTH)
    assert [each["type"] for each in found] == ["message_start", "message_delta", "message_stop"]
    assert found[1]["delta"]["stop_reason"] == "max_tokens"


def test_a_failure_before_the_first_line_is_no_event() -> None:
    def failing() -> Any:
        raise LookupError
        yield

    with pytest.raises(LookupError):
        next(anthropic_answers.events(failing(), HEAD, estimate=0))


def test_what_was_dropped_is_told() -> None:
    (line,) = lines(Said("a"))
    dropped = {**line, "mbuild": {"dropped_messages": 2}}
    assert anthropic_answers.message(dropped, HEAD)["mbuild"] == {"dropped_messages": 2}
    found = list(anthropic_answers.events([dropped], HEAD, estimate=0))
    assert found[-2]["mbuild"] == {"dropped_messages": 2}


CALLS = st.sampled_from([(), (NATIVE_CALL,)])
SAID = st.builds(Said, st.text(max_size=3), st.text(max_size=3), CALLS)


@given(st.lists(SAID, min_size=1))
def test_however_an_answer_is_cut_its_events_say_the_same(said: list[Said]) -> None:
    whole = sum(said, Said())
    found = events(*said)
    spoken = [each["delta"] for each in found if each["type"] == "content_block_delta"]
    assert "".join(each.get("text", "") for each in spoken) == whole.text
    assert "".join(each.get("thinking", "") for each in spoken) == whole.thinking
    assert sum("partial_json" in each for each in spoken) == len(whole.calls)


@given(st.lists(SAID, min_size=1))
def test_blocks_are_numbered_and_one_is_closed_before_the_next(said: list[Said]) -> None:
    inside = [each for each in events(*said) if each["type"].startswith("content_block")]
    count, opened = 0, False
    for each in inside:
        if each["type"] == "content_block_start":
            assert not opened
            opened = True
        assert opened
        assert each["index"] == count
        if each["type"] == "content_block_stop":
            opened = False
            count += 1
    assert not opened


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (404, "not_found_error"),
        (500, "api_error"),
        (503, "overloaded_error"),
    ],
)
def test_errors(status: int, kind: str) -> None:
    assert anthropic_answers.failure(Failure(status, "no", {"more": 1}), "req_1") == {
        "type": "error",
        "error": {"type": kind, "message": "no", "more": 1},
        "request_id": "req_1",
    }
