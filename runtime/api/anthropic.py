"""Anthropic's API, the questions: JSON to the native request that they stand for.

What comes back is translated by :mod:`mbuild.runtime.api.anthropic_answers`.

Source: the specification of the OpenAI and Anthropic APIs, section 8.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mbuild.runtime.api import native, ollama
from mbuild.runtime.api.anthropic_blocks import joined, turns
from mbuild.runtime.api.body import BadBody
from mbuild.runtime.message import Message

_EFFORTS = {"low": "low", "medium": "medium", "high": "high", "xhigh": "high", "max": "max"}
_LETTERS_OF_A_TOKEN = 4  # about


class _Body(BaseModel):
    """What every request is: checked strictly, and never changed."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


Turns = Annotated[
    tuple[Message, ...], BeforeValidator(turns, json_schema_input_type=list[dict[str, Any]])
]
System = Annotated[str, BeforeValidator(joined, json_schema_input_type=str | list[dict[str, Any]])]


class Thinking(_Body):
    """Whether to think."""

    type: str = ""


class OutputConfig(_Body):
    """How much to think."""

    effort: str | None = None


class Tool(_Body):
    """Something that the model may call."""

    name: str = ""
    type: str = ""
    description: str = ""
    input_schema: dict[str, Any] = Field(default_factory=dict)


class Count(_Body):
    """POST /v1/messages/count_tokens."""

    model: str = ""
    system: System = ""
    messages: Turns = ()
    tools: list[Tool] = Field(default_factory=list)
    thinking: Thinking = Thinking()
    output_config: OutputConfig = OutputConfig()


class Messages(Count):
    """POST /v1/messages."""

    max_tokens: int = 0
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] = Field(default_factory=list)
    # Ours: what a client of the native API could say.
    keep_alive: ollama.KeepAlive | None = None
    truncate: bool = True


def chat(asked: Messages) -> ollama.Chat:
    """What *asked* is in the native API.

    Raises:
        BadBody: something is missing.
    """
    _check(asked)
    if asked.max_tokens <= 0:
        raise BadBody("max_tokens is required and must be positive")
    return native.request(
        ollama.Chat,
        **_conversation(asked),
        options=_options(asked),
        stream=asked.stream,
        truncate=asked.truncate,
        keep_alive=asked.keep_alive,
    )


def counted(asked: Count) -> ollama.Chat:
    """The native request whose prompt is to be counted.

    Raises:
        BadBody: something is missing.
    """
    _check(asked)
    return native.request(ollama.Chat, **_conversation(asked), keep_alive=None)


def estimate(asked: Count) -> int:
    """About how many tokens *asked* has; nothing is tokenized."""
    letters = len(asked.system) + sum(len(each.content) for each in asked.messages)
    return letters // _LETTERS_OF_A_TOKEN


def _check(asked: Count) -> None:
    if not asked.model:
        raise BadBody("model is required")
    if not asked.messages:
        raise BadBody("messages is required")


def _conversation(asked: Count) -> dict[str, Any]:
    system = [Message("system", asked.system)] if asked.system else []
    return {
        "model": asked.model,
        "messages": native.turns((*system, *asked.messages)),
        "tools": list(_tools(asked.tools)),
        "think": _think(asked),
    }


def _tools(tools: Sequence[Tool]) -> Iterator[Mapping[str, Any]]:
    for tool in tools:
        if tool.type.startswith("web_search"):
            raise BadBody("this server cannot search the web")
        about = {"description": tool.description} if tool.description else {}
        function = {"name": tool.name, **about, "parameters": tool.input_schema}
        yield {"type": "function", "function": function}


def _think(asked: Count) -> bool | str | None:
    match asked.thinking.type:
        case "enabled":
            return True
        case "disabled":
            return False
    return _EFFORTS.get(asked.output_config.effort or "")


def _options(asked: Messages) -> dict[str, Any]:
    return native.chosen(
        num_predict=asked.max_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=asked.stop_sequences,
    )
