"""A conversation as OpenAI's clients send it, to the messages that a model gets.

The parts of one message become one message, with an empty line between its texts: what the
reference makes of them too, once messages of one role are put together.

Source: the specification of the OpenAI API, section 2.1.
"""

import re
from base64 import b64decode
from binascii import Error as BadBase64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mbuild.runtime.api.body import BadBody, decode
from mbuild.runtime.message import Message

_BETWEEN = "\n\n"
_PICTURE = re.compile(r"data:(?:image/(?:jpeg|jpg|png|webp))?;base64,(.*)", re.DOTALL)
_GO_KINDS = {bool: "bool", int: "float64", float: "float64", dict: "map[string]interface {}"}


@dataclass(frozen=True, slots=True)
class _Content:
    """What one message holds."""

    texts: tuple[str, ...] = ()
    media: tuple[str, ...] = ()  # base64


def turns(value: object) -> tuple[Message, ...]:
    """The messages that a JSON *value* stands for.

    Raises:
        ValueError: one is no message; the text says why.
    """
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise ValueError("messages: a list of objects with role and content")
    calls = [_calls(each.get("tool_calls")) for each in value]
    names = {call["id"]: call["function"]["name"] for own in calls for call in own}
    return tuple(_turn(each, own, names) for each, own in zip(value, calls, strict=True))


def effort(value: str) -> bool | str:
    """Whether, or how much, a model is to think.

    Raises:
        ValueError: *value* is no such word.
    """
    known = _EFFORTS.get(value)
    if known is None:
        words = ", ".join(f'"{word}"' for word in _EFFORTS)
        raise ValueError(f'invalid reasoning value: "{value}" (must be one of {words})')
    return known


_EFFORTS: Mapping[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "max": "max",
    "xhigh": "max",
    "ultra": "max",
}


def picture(url: object) -> str:
    """The base64 in a data URL.

    Raises:
        ValueError: it is another kind of URL, or holds no picture.
    """
    if not isinstance(url, str):
        raise ValueError("invalid message format")
    if url.lower().startswith(("http://", "https://")):
        raise ValueError(
            "image URLs are not currently supported, please use base64 encoded data instead"
        )
    found = _PICTURE.fullmatch(url)
    if found is None:
        raise ValueError("invalid image input")
    return encoded(found[1])


def encoded(text: object) -> str:
    """*text*, which is base64.

    Raises:
        ValueError: it is not.
    """
    try:
        b64decode(_string(text), validate=True)
    except BadBase64:
        raise ValueError("invalid image input") from None
    return _string(text)


def arguments(text: object) -> Mapping[str, Any]:
    """The arguments of a call, which come as the text of a JSON object.

    Raises:
        ValueError: they do not.
    """
    try:
        value = decode(_string(text).encode("utf-8", "replace"))
    except BadBody:
        value = None
    if not isinstance(value, Mapping):
        raise ValueError("invalid tool call arguments")
    return value


def _turn(
    value: Mapping[str, Any], calls: Sequence[Mapping[str, Any]], names: Mapping[str, str]
) -> Message:
    content = _content(value.get("content"), calls=bool(calls))
    role = _string(value.get("role")).lower()
    told = _string(value.get("tool_call_id"))
    name = _string(value.get("name")) or names.get(told, "")
    return Message(
        # Few templates know of a developer, and those take a system message as the same.
        role="system" if role == "developer" else role,
        content=_BETWEEN.join(content.texts),
        thinking=_string(value.get("reasoning")),
        images=content.media,
        tool_calls=tuple(calls),
        tool_name=name if role == "tool" else "",
        tool_call_id=told,
    )


def _content(value: object, *, calls: bool) -> _Content:
    match value:
        case str():
            return _Content((value,))
        case list():
            return _parts(value)
        case None if calls:
            return _Content()
    kind = "<nil>" if value is None else _GO_KINDS.get(type(value), "unknown")
    raise ValueError(f"invalid message content type: {kind}")


def _parts(value: Sequence[object]) -> _Content:
    texts: list[str] = []
    media: list[str] = []
    for part in value:
        match part:
            case {"type": "text", "text": str(text)}:
                texts.append(text)
            case {"type": "image_url", "image_url": {"url": url}}:
                media.append(picture(url))
            case {"type": "image_url", "image_url": str(url)}:
                media.append(picture(url))
            case {"type": "input_audio", "input_audio": {"data": str(data)}}:
                media.append(encoded(data))
            case _:
                raise ValueError("invalid message format")
    return _Content(tuple(texts), tuple(media))


def _calls(value: object) -> tuple[Mapping[str, Any], ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError("messages: tool_calls is a list")
    return tuple(_call(index, each) for index, each in enumerate(value))


def _call(index: int, value: object) -> Mapping[str, Any]:
    call = value if isinstance(value, Mapping) else {}
    match call.get("function"):
        case {"name": str(name), "arguments": given}:
            function = {"index": index, "name": name, "arguments": arguments(given)}
            return {"id": _string(call.get("id")), "function": function}
    raise ValueError("messages: a tool call has a function with name and arguments")


def _string(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError("messages: a field that is a text is something else")
    return value
