"""Calls of tools, told apart from the answer."""

import json
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.runtime.tools import Call, Caller, tag_of_jinja

NAMES = ("get_weather", "get", "add")
TAG = "<tool_call>"


def heard(text: str, tag: str = TAG, size: int = 1) -> tuple[str, list[tuple[str, object]]]:
    """The answer in *text*, which comes *size* characters at a time, and the calls."""
    numbers = count()
    caller = Caller(tag, NAMES, lambda: f"call_{next(numbers)}")
    said, calls = "", list[Call]()
    for start in range(0, len(text), size):
        found = caller.feed(text[start : start + size])
        said += found.text
        calls += found.calls
    assert [call.index for call in calls] == list(range(len(calls)))
    return said + caller.end(), [(call.name, dict(call.arguments)) for call in calls]


PARIS = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
CALLED = [("get_weather", {"city": "Paris"})]


@pytest.mark.parametrize(
    ("text", "tag", "expected"),
    [
        pytest.param("Hello.", TAG, ("Hello.", []), id="no call"),
        pytest.param(f"Well. {TAG}{PARIS}</tool_call>", TAG, ("Well. ", CALLED), id="a call"),
        pytest.param(f"{TAG}{PARIS}</tool_call>{TAG}{PARIS}", TAG, ("", CALLED * 2), id="two"),
        pytest.param("a < b <tool", TAG, ("a < b <tool", []), id="half a tag at the end"),
        pytest.param(f'{TAG}{{"name": "no"}}', TAG, ("", []), id="an unknown tool is swallowed"),
        pytest.param(PARIS, "{", ("", CALLED), id="a bare object"),
        pytest.param(f" \n{PARIS}", "{", ("", CALLED), id="behind blanks"),
        pytest.param(f"So: {PARIS}", "{", (f"So: {PARIS}", []), id="a bracket comes first or not"),
        pytest.param('{"a": [1]} then', "{", ('{"a": [1]} then', []), id="JSON that calls nothing"),
        pytest.param('{"a": ', "{", ('{"a": ', []), id="unfinished"),
        pytest.param(f"[{PARIS}, {PARIS}]", "[", ("", CALLED * 2), id="a list"),
        pytest.param(
            '<tool_call>{"name": "add", "parameters": "{\\"a\\": 1}"}',
            TAG,
            ("", [("add", {"a": 1})]),
            id="arguments as a text",
        ),
        pytest.param('<tool_call>add {"a": "}{"}', TAG, ("", [("add", {"a": "}{"})]), id="braces"),
        pytest.param('<tool_call>{"get": {"a": 1}}', TAG, ("", [("get", {"a": 1})]), id="by name"),
    ],
)
def test_calls_and_text(text: str, tag: str, expected: tuple[str, list[object]]) -> None:
    assert heard(text, tag) == expected
    assert heard(text, tag, size=len(text)) == expected


@given(st.text(alphabet='ab<{[]}"tool_call>:, getadd', max_size=60), st.integers(1, 9))
def test_pieces_make_no_difference_to_text_without_calls(text: str, size: int) -> None:
    whole, calls = heard(text, TAG, size=max(1, len(text)))
    assert heard(text, TAG, size=size) == (whole, calls)


def test_a_call_is_told_with_its_arguments_as_an_object() -> None:
    value = Call("call_1", 0, "f", {"a": 1}).to_json()
    assert json.loads(json.dumps(value)) == {
        "id": "call_1",
        "function": {"index": 0, "name": "f", "arguments": {"a": 1}},
    }


@pytest.mark.parametrize(
    ("template", "tag"), [("… <tool_call> …", TAG), ("[TOOL_CALLS]", "[TOOL_CALLS]"), ("", "{")]
)
def test_the_tag_of_a_template(template: str, tag: str) -> None:
    assert tag_of_jinja(template) == tag
