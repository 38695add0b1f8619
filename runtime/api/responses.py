"""OpenAI's newer API, ``/v1/responses``: JSON to the native request that it stands for.

It is stateless here: what refers to an earlier response is passed over. What comes back is
translated by :mod:`mbuild.runtime.api.responses_answers`.

Source: the specification of the OpenAI API, section 6.1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mbuild.runtime.api import native, ollama
from mbuild.runtime.api.body import BadBody
from mbuild.runtime.api.openai import Reasoning
from mbuild.runtime.api.openai_messages import arguments, effort, picture
from mbuild.runtime.message import Message

_Item = Mapping[str, Any]


def items(value: object) -> tuple[Message, ...]:
    """The messages that an ``input`` stands for: a text, or a list of items.

    Raises:
        ValueError: it is neither, or an item is none; the text says why.
    """
    if isinstance(value, str):
        return (Message("user", value),)
    if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
        raise ValueError("input: a text or a list of items")
    conversation = _Conversation()
    for index, each in enumerate(value):
        conversation.add(index, each)
    return tuple(conversation.messages)


Items = Annotated[
    tuple[Message, ...],
    BeforeValidator(items, json_schema_input_type=str | list[dict[str, Any]]),
]


class Responses(BaseModel):
    """POST /v1/responses."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    model: str = ""
    input: Items = ()
    instructions: str | None = None
    max_output_tokens: int | None = None
    temperature: float = 1.0
    top_p: float | None = None
    reasoning: Reasoning | None = None
    text: dict[str, Any] = Field(default_factory=dict)
    tools: list[dict[str, Any]] = Field(default_factory=list)
    background: bool = False
    stream: bool = False
    # Ours: what a client of the native API could say.
    keep_alive: ollama.KeepAlive | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    truncate: bool = True


def chat(asked: Responses) -> ollama.Chat:
    """What *asked* is in the native API.

    Raises:
        BadBody: something is missing, or cannot be had.
    """
    if not asked.input:
        raise BadBody("input is required")
    system = [Message("system", asked.instructions)] if asked.instructions else []
    word = asked.reasoning.effort if asked.reasoning else None
    said = native.chosen(
        temperature=asked.temperature, top_p=asked.top_p, num_predict=asked.max_output_tokens
    )
    return native.request(
        ollama.Chat,
        model=asked.model,
        messages=native.turns((*system, *asked.input)),
        tools=list(_tools(asked.tools)),
        format=_format(asked.text.get("format")),
        think=None if word is None else effort(word),
        options={**asked.options, **said},
        stream=asked.stream,
        truncate=asked.truncate,
        keep_alive=asked.keep_alive,
    )


def echo(asked: Responses) -> dict[str, Any]:
    """What an answer says again of *asked*."""
    reasoning = asked.reasoning
    return {
        "instructions": asked.instructions,
        "tools": asked.tools,
        "text": {"format": asked.text.get("format") or {"type": "text"}},
        "top_p": 1.0 if asked.top_p is None else asked.top_p,
        "temperature": asked.temperature,
        "reasoning": reasoning.model_dump() if reasoning else None,
        "max_output_tokens": asked.max_output_tokens,
        "background": asked.background,
    }


class _Conversation:
    """Messages, made of items one after another."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._thinking = ""  # of the next message of the assistant
        self._names: dict[str, str] = {}  # of the tools, by the ids of their calls

    def add(self, index: int, item: _Item) -> None:
        """Add the item at *index* of the input."""
        match item.get("type", "message"):
            case "message":
                self._message(item)
            case "function_call":
                self._call(item)
            case "function_call_output":
                self._output(item)
            case "reasoning":
                self._thinking += _string(item.get("encrypted_content"))
            case "web_search_call":
                pass
            case kind:
                raise ValueError(f'input[{index}]: unknown input item type: "{kind}"')

    def _message(self, item: _Item) -> None:
        role, (text, images) = _string(item.get("role")).lower(), _content(item.get("content"))
        last = self.messages[-1] if self.messages else None
        if role == "assistant" and last is not None and last.tool_calls:
            # Between a call and its result there is no place for a message.
            self.messages[-1] = replace(last, content=last.content + text)
            return
        thinking = self._thought() if role == "assistant" else ""
        # Few templates know of a developer, and those take a system message as the same.
        role = "system" if role == "developer" else role
        self.messages.append(Message(role, text, thinking=thinking, images=images))

    def _call(self, item: _Item) -> None:
        if not self.messages or self.messages[-1].role != "assistant":
            self.messages.append(Message("assistant", "", thinking=self._thought()))
        last, told = self.messages[-1], _string(item.get("call_id"))
        name = self._names[told] = _string(item.get("name"))
        given = arguments(item.get("arguments"))
        function = {"index": len(last.tool_calls), "name": name, "arguments": given}
        calls = (*last.tool_calls, {"id": told, "function": function})
        self.messages[-1] = replace(last, tool_calls=calls)

    def _output(self, item: _Item) -> None:
        told = _string(item.get("call_id"))
        text, images = _content(item.get("output"))
        name = self._names.get(told, "")
        self.messages.append(
            Message("tool", text, images=images, tool_name=name, tool_call_id=told)
        )

    def _thought(self) -> str:
        thinking, self._thinking = self._thinking, ""
        return thinking


def _content(value: object) -> tuple[str, tuple[str, ...]]:
    """The text and the pictures in a content."""
    if value is None or isinstance(value, str):
        return value or "", ()
    if not isinstance(value, list):
        raise ValueError("input: a content is a text or a list of parts")
    texts: list[str] = []
    images: list[str] = []
    for part in value:
        match part:
            case {"type": "input_text" | "output_text", "text": str(text)}:
                texts.append(text)
            case {"type": "input_image", "image_url": url} if url is not None:
                images.append(picture(url))
            case {"type": "input_image"}:
                pass  # It names a file that was sent elsewhere.
            case {"type": "input_file"}:
                raise ValueError("file inputs are not currently supported")
            case {"type": kind}:
                raise ValueError(f"unknown content type: {kind}")
            case _:
                raise ValueError("input: a part is an object with a type")
    return "".join(texts), tuple(images)


def _tools(tools: Sequence[_Item], space: str = "") -> Iterator[_Item]:
    for tool in tools:
        match tool:
            case {"type": "function", "name": str(name)}:
                about = {key: tool[key] for key in ("description", "parameters") if tool.get(key)}
                yield {"type": "function", "function": {"name": space + name, **about}}
            case {"type": "namespace", "name": str(name), "tools": list(members)} if not space:
                yield from _tools(members, f"{name}.")
            case {"type": kind}:
                raise BadBody(f'tools: this server has no tool of the type "{kind}"')
            case _:
                raise BadBody("tools: a tool is an object with a type")


def _format(wanted: object) -> Any:
    match wanted:
        case {"type": "json_schema", "schema": dict(schema)}:
            return schema
        case {"type": "json_schema"}:
            raise BadBody("text.format: a schema is an object")
        case {"type": "json_object"}:
            return "json"
    return None


def _string(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError("input: a field that is a text is something else")
    return value
