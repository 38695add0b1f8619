"""Messages from and to JSON."""

import pytest

from mbuild.runtime.message import BadMessage, Message, from_json, to_json


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"role": "user", "content": "hi"}, Message("user", "hi"), id="smallest"),
        pytest.param({"role": "USER", "content": None}, Message("user", ""), id="lower case, null"),
        pytest.param({}, Message("", ""), id="nothing"),
        pytest.param(
            {"role": "tool", "content": "4", "tool_name": "add", "images": [], "more": 1},
            Message("tool", "4", tool_name="add"),
            id="unknown fields",
        ),
    ],
)
def test_from_json(value: object, expected: Message) -> None:
    assert from_json(value) == expected


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        pytest.param("hi", "a message is an object with role and content", id="text"),
        pytest.param({"content": 5}, "content of a message is a text", id="number"),
        pytest.param({"images": "x"}, "images of a message is a list of texts", id="one image"),
        pytest.param(
            {"tool_calls": [1]}, "tool_calls of a message is a list of objects", id="calls"
        ),
    ],
)
def test_what_is_no_message_is_named(value: object, problem: str) -> None:
    with pytest.raises(BadMessage, match=f"^{problem}$"):
        from_json(value)


def test_only_what_is_there_is_written() -> None:
    call = {"function": {"name": "f", "arguments": {}}}
    message = Message("assistant", "", tool_calls=(call,))
    assert to_json(message) == {"role": "assistant", "content": "", "tool_calls": [call]}
    assert from_json(to_json(message)) == message
