"""One turn of a conversation, as clients send it and as models store it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class BadMessage(ValueError):
    """A JSON value that is no message; the text says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one side said. Roles are lower case; the usual ones: system, user, assistant, tool."""

    role: str
    content: str
    thinking: str = ""
    images: tuple[str, ...] = ()  # base64
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


def from_json(value: object) -> Message:
    """The message that a JSON *value* stands for; what is missing or ``null`` is empty.

    Raises:
        BadMessage: it is no object, or a field has the wrong type.
    """
    if not isinstance(value, Mapping):
        raise BadMessage("a message is an object with role and content")
    return Message(
        role=_text(value, "role").lower(),
        content=_text(value, "content"),
        thinking=_text(value, "thinking"),
        images=tuple(_list(value, "images", str, "texts")),
        tool_calls=tuple(_list(value, "tool_calls", Mapping, "objects")),
        tool_name=_text(value, "tool_name"),
        tool_call_id=_text(value, "tool_call_id"),
    )


def to_json(message: Message) -> dict[str, Any]:
    """The message as templates and clients see it: role and content, the rest if not empty."""
    rest: dict[str, Any] = {
        "thinking": message.thinking,
        "images": list(message.images),
        "tool_calls": [dict(call) for call in message.tool_calls],
        "tool_name": message.tool_name,
        "tool_call_id": message.tool_call_id,
    }
    filled = {key: value for key, value in rest.items() if value}
    return {"role": message.role, "content": message.content, **filled}


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise BadMessage(f"{key} of a message is a text")
    return found


def _list(value: Mapping[str, Any], key: str, kind: type, plural: str) -> list[Any]:
    found = value.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(each, kind) for each in found):
        raise BadMessage(f"{key} of a message is a list of {plural}")
    return found
