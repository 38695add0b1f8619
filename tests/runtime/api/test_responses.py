"""The wire of ``/v1/responses``: questions to native ones, native lines to its answers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.runtime.api import responses, responses_answers
from mbuild.runtime.api.body import BadBody, read
from mbuild.runtime.api.ollama import Head as Native
from mbuild.runtime.api.ollama import Said
from mbuild.runtime.engine import Finished, Reason, Stats
from mbuild.runtime.message import Message

NATIVE_CALL = {"id": "call_1", "function": {"index": 0, "name": "add", "arguments": {"a": 1}}}
CALL = {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"a": 1}'}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "2"}
RESULT = Message("tool", "2", tool_name="add", tool_call_id="call_1")
TOOL = {"type": "function", "name": "add", "parameters": {"type": "object"}}


def asking(**fields: Any) -> responses.Responses:
    body = {"model": "m", "input": "hi", **fields}
    return read(responses.Responses, json.dumps(body).encode())


def chat(**fields: Any) -> Any:
    return responses.chat(asking(**fields))


@pytest.mark.parametrize(
    ("asked", "field", "expected"),
    [
        pytest.param({}, "options", {"temperature": 1.0}, id="smallest"),
        pytest.param(
            {"temperature": 0, "top_p": 0.5, "max_output_tokens": 5},
            "options",
            {"temperature": 0.0, "top_p": 0.5, "num_predict": 5},
            id="options",
        ),
        pytest.param({"reasoning": {"effort": "low"}}, "think", "low", id="effort"),
        pytest.param({"reasoning": {"summary": "auto"}}, "think", None, id="a summary alone"),
        pytest.param(
            {"text": {"format": {"type": "json_schema", "name": "a", "schema": {"b": 1}}}},
            "format",
            {"b": 1},
            id="a schema",
        ),
        pytest.param({"text": {"format": {"type": "text"}}}, "format", None, id="text"),
        pytest.param(
            {"tools": [TOOL, {"type": "namespace", "name": "ns", "tools": [TOOL]}]},
            "tools",
            [
                {
                    "type": "function",
                    "function": {"name": name, "parameters": {"type": "object"}},
                }
                for name in ("add", "ns.add")
            ],
            id="tools",
        ),
        pytest.param(
            {"previous_response_id": "x", "store": True, "include": [], "truncation": "auto"},
            "options",
            {"temperature": 1.0},
            id="passed over",
        ),
    ],
)
def test_what_a_question_becomes(asked: Mapping[str, Any], field: str, expected: object) -> None:
    assert getattr(chat(**asked), field) == expected


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        pytest.param("hi", [Message("user", "hi")], id="a text"),
        pytest.param(
            [{"role": "developer", "content": "kind"}, {"role": "user", "content": "hi"}],
            [Message("system", "kind"), Message("user", "hi")],
            id="messages without a type",
        ),
        pytest.param(
            [
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "a"},
                        {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
                        {"type": "input_image", "file_id": "f"},
                        {"type": "input_text", "text": "b"},
                    ],
                }
            ],
            [Message("user", "ab", images=("AAAA",))],
            id="parts",
        ),
        pytest.param(
            [
                {"role": "user", "content": "hi"},
                {"type": "reasoning", "encrypted_content": "hm", "summary": []},
                CALL,
                OUTPUT,
            ],
            [
                Message("user", "hi"),
                Message("assistant", "", thinking="hm", tool_calls=(NATIVE_CALL,)),
                RESULT,
            ],
            id="thoughts, a call, and its result",
        ),
        pytest.param(
            [{"role": "assistant", "content": "so"}, CALL, OUTPUT],
            [Message("assistant", "so", tool_calls=(NATIVE_CALL,)), RESULT],
            id="a call joins the message in front of it",
        ),
        pytest.param(
            [CALL, {"role": "assistant", "content": "so"}, {"type": "web_search_call"}, OUTPUT],
            [Message("assistant", "so", tool_calls=(NATIVE_CALL,)), RESULT],
            id="a message behind a call joins it",
        ),
    ],
)
def test_items(items: object, expected: Sequence[Message]) -> None:
    assert chat(input=items).messages == list(expected)


def test_instructions_come_first() -> None:
    assert chat(instructions="kind").messages == [Message("system", "kind"), Message("user", "hi")]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        pytest.param({"input": []}, "input is required", id="nothing"),
        pytest.param({"input": 5}, "input: a text or a list of items", id="a number"),
        pytest.param(
            {"input": [{"role": "user", "content": "a"}, {"type": "odd"}]},
            'input[1]: unknown input item type: "odd"',
            id="an unknown item",
        ),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "file inputs are not currently supported",
            id="a file",
        ),
        pytest.param(
            {"input": [{"role": "user", "content": [{"type": "odd"}]}]},
            "unknown content type: odd",
            id="an unknown part",
        ),
        pytest.param(
            {"input": [{**CALL, "arguments": "{"}]}, "invalid tool call arguments", id="arguments"
        ),
        pytest.param(
            {"tools": [{"type": "web_search"}]},
            'tools: this server has no tool of the type "web_search"',
            id="a tool of the server",
        ),
    ],
)
def test_what_is_refused(asked: Mapping[str, Any], message: str) -> None:
    with pytest.raises(BadBody) as refused:
        chat(**asked)
    assert str(refused.value) == message


# What comes back.

HEAD = responses_answers.Head(7, 1_700_000_000, "m", responses.echo(asking(tools=[TOOL])))
SECOND = 1_000_000_000  # ns
START = {
    "id": "resp_7",
    "object": "response",
    "created_at": 1_700_000_000,
    "completed_at": None,
    "status": "in_progress",
    "incomplete_details": None,
    "model": "m",
    "previous_response_id": None,
    "instructions": None,
    "output": [],
    "error": None,
    "tools": [TOOL],
    "tool_choice": "auto",
    "truncation": "disabled",
    "parallel_tool_calls": True,
    "text": {"format": {"type": "text"}},
    "top_p": 1.0,
    "temperature": 1.0,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "top_logprobs": 0,
    "reasoning": None,
    "usage": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "store": False,
    "background": False,
    "service_tier": "default",
    "metadata": {},
    "safety_identifier": None,
    "prompt_cache_key": None,
}
END = {
    "completed_at": 1_700_000_005,
    "status": "completed",
    "usage": {
        "input_tokens": 8,
        "output_tokens": 3,
        "total_tokens": 11,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}
THOUGHTS = {
    "id": "rs_7_0",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": "hm",
}
CALLED = {
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "add",
    "arguments": '{"a":1}',
}


def part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def spoken(text: str, index: int) -> dict[str, Any]:
    return {
        "id": f"msg_7_{index}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part(text)],
    }


def lines(*said: Said, reason: Reason = Reason.STOP) -> list[dict[str, Any]]:
    """Native lines; the last of *said* stands on the line that ends the answer."""
    native, stats = Native("m", chat=True), Stats(prompt_eval_count=8, eval_count=3)
    *before, last = said
    end = native.last(1_700_000_005 * SECOND, last, Finished(reason, stats))
    return [*(native.line(0, each) for each in before), end]


def events(*said: Said) -> list[dict[str, Any]]:
    return list(responses_answers.events(lines(*said), HEAD))


@pytest.mark.parametrize(
    ("said", "output"),
    [
        pytest.param(Said("so", "hm"), [THOUGHTS, spoken("so", 1)], id="thoughts and text"),
        pytest.param(
            Said("so", calls=(NATIVE_CALL,)),
            [spoken("so", 0), {"id": "fc_7_1", **CALLED}],
            id="text next to a call is kept",
        ),
        pytest.param(Said(), [], id="nothing"),
    ],
)
def test_a_whole_answer(said: Said, output: Sequence[object]) -> None:
    (line,) = lines(said)
    assert responses_answers.response(line, HEAD) == {**START, **END, "output": output}


def test_an_answer_that_was_cut_short_is_incomplete() -> None:
    (line,) = lines(Said("so"), reason=Reason.LENGTH)
    found = responses_answers.response(line, HEAD)
    assert found["status"] == "incomplete"
    assert found["incomplete_details"] == {"reason": "max_output_tokens"}


def test_the_events_of_an_answer() -> None:
    found = events(Said(thinking="hm"), Said("s"), Said("o", calls=(NATIVE_CALL,)))
    thoughts = {"item_id": "rs_7_0", "output_index": 0}
    text = {"item_id": "msg_7_1", "output_index": 1, "content_index": 0}
    call = {"item_id": "fc_7_2", "output_index": 2}
    message, called = spoken("so", 1), {"id": "fc_7_2", **CALLED}
    expected: list[tuple[str, dict[str, Any]]] = [
        ("created", {"response": START}),
        ("in_progress", {"response": START}),
        (
            "output_item.added",
            {"output_index": 0, "item": {"id": "rs_7_0", "type": "reasoning", "summary": []}},
        ),
        ("reasoning_summary_text.delta", {**thoughts, "summary_index": 0, "delta": "hm"}),
        ("reasoning_summary_text.done", {**thoughts, "summary_index": 0, "text": "hm"}),
        ("output_item.done", {"output_index": 0, "item": THOUGHTS}),
        (
            "output_item.added",
            {"output_index": 1, "item": {**message, "status": "in_progress", "content": []}},
        ),
        ("content_part.added", {**text, "part": part("")}),
        ("output_text.delta", {**text, "delta": "s", "logprobs": []}),
        ("output_text.delta", {**text, "delta": "o", "logprobs": []}),
        ("output_text.done", {**text, "text": "so", "logprobs": []}),
        ("content_part.done", {**text, "part": part("so")}),
        ("output_item.done", {"output_index": 1, "item": message}),
        (
            "output_item.added",
            {"output_index": 2, "item": {**called, "status": "in_progress", "arguments": ""}},
        ),
        ("function_call_arguments.delta", {**call, "delta": '{"a":1}'}),
        ("function_call_arguments.done", {**call, "name": "add", "arguments": '{"a":1}'}),
        ("output_item.done", {"output_index": 2, "item": called}),
        ("completed", {"response": {**START, **END, "output": [THOUGHTS, message, called]}}),
    ]
    assert found == [
        {"type": f"response.{kind}", "sequence_number": number, **more}
        for number, (kind, more) in enumerate(expected)
    ]


SAID = st.builds(
    Said, st.text(max_size=3), st.text(max_size=3), st.sampled_from([(), (NATIVE_CALL,)])
)


@given(st.lists(SAID, min_size=1))
def test_however_an_answer_is_cut_its_items_say_the_same(said: list[Said]) -> None:
    whole = sum(said, Said())
    found = events(*said)
    deltas = [each for each in found if each["type"] == "response.output_text.delta"]
    output = found[-1]["response"]["output"]
    messages = [each for each in output if each["type"] == "message"]
    assert "".join(each["delta"] for each in deltas) == whole.text
    assert "".join(each["content"][0]["text"] for each in messages) == whole.text
    done = [each["item"] for each in found if each["type"] == "response.output_item.done"]
    assert done == output
    added = [each for each in found if each["type"] == "response.output_item.added"]
    assert [each["output_index"] for each in added] == list(range(len(output)))
    assert [each["item"]["id"] for each in added] == [each["id"] for each in output]
