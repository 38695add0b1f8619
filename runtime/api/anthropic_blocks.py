"""A conversation as Anthropic's clients send it, to the messages that a model gets.

A message is a list of blocks. What tools gave comes as blocks of the user, and goes to the model
as messages of the tools, in front of what else the user says.

Source: the specification of the OpenAI and Anthropic APIs, section 8.1.
"""

import json
from base64 import b64decode
from binascii import Error as BadBase64
from collections.abc import Iterator, Mapping, Sequence
from itertools import starmap
from typing import Any

from mbuild.runtime.message import Message

_Block = Mapping[str, Any]


def turns(value: object) -> tuple[Message, ...]:
    """The messages that a JSON *value* stands for.

    Raises:
        ValueError: one is no message; the text says why.
    """
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise ValueError("messages: a list of objects with role and content")
    conversation = [(_string(each.get("role")), _blocks(each.get("content"))) for each in value]
    names = {
        _string(block.get("id")): _string(block.get("name"))
        for _, blocks in conversation
        for block in _of(blocks, "tool_use", "server_tool_use")
    }
    return tuple(
        message for role, blocks in conversation for message in _turn(role.lower(), blocks, names)
    )


def joined(value: object) -> str:
    """The text of a system prompt: a text, or blocks of text.

    Raises:
        ValueError: it is neither.
    """
    return _text(_blocks(value))


def _turn(role: str, blocks: Sequence[_Block], names: Mapping[str, str]) -> Iterator[Message]:
    for block in _of(blocks, "tool_result", "web_search_tool_result"):
        yield _result(block, names)
    calls = tuple(starmap(_call, enumerate(_of(blocks, "tool_use", "server_tool_use"))))
    text, thinking, images = _text(blocks), _thinking(blocks), _images(blocks)
    answered = any(_of(blocks, "tool_result", "web_search_tool_result"))
    if text or thinking or images or calls or not answered:
        yield Message(role, text, thinking=thinking, images=images, tool_calls=calls)


def _result(block: _Block, names: Mapping[str, str]) -> Message:
    told = _string(block.get("tool_use_id"))
    content = block.get("content")
    if block["type"] == "web_search_tool_result":
        content = json.dumps(content, ensure_ascii=False)
    inner = _blocks(content)
    name = names.get(told, "")
    return Message("tool", _text(inner), images=_images(inner), tool_name=name, tool_call_id=told)


def _call(index: int, block: _Block) -> Mapping[str, Any]:
    name, given = _string(block.get("name")), block.get("input")
    if not name:
        raise ValueError("tool_use block missing required 'name' field")
    if given is not None and not isinstance(given, Mapping):
        raise ValueError("messages: the input of a tool_use block is an object")
    function = {"index": index, "name": name, "arguments": given or {}}
    return {"id": _string(block.get("id")), "function": function}


def _text(blocks: Sequence[_Block]) -> str:
    return "".join(_string(block.get("text")) for block in _of(blocks, "text"))


def _thinking(blocks: Sequence[_Block]) -> str:
    return "".join(_string(block.get("thinking")) for block in _of(blocks, "thinking"))


def _images(blocks: Sequence[_Block]) -> tuple[str, ...]:
    return tuple(_image(block) for block in _of(blocks, "image"))


def _image(block: _Block) -> str:
    match block:
        case {"source": {"type": "base64", "data": str(data)}}:
            try:
                b64decode(data, validate=True)
            except BadBase64:
                raise ValueError("invalid base64 image data") from None
            return data
        case {"source": {"type": kind}}:
            raise ValueError(
                f"invalid image source type: {kind}. Only base64 images are supported."
            )
    raise ValueError("invalid image source")


def _of(blocks: Sequence[_Block], *kinds: str) -> list[_Block]:
    return [block for block in blocks if block.get("type") in kinds]


def _blocks(value: object) -> Sequence[_Block]:
    """The blocks of a content; a text is one, and nothing is none."""
    if value is None:
        return ()
    if isinstance(value, str):
        return ({"type": "text", "text": value},)
    if isinstance(value, list) and all(isinstance(each, Mapping) for each in value):
        return value
    raise ValueError("invalid message content: a text or a list of blocks")


def _string(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError("messages: a field that is a text is something else")
    return value
