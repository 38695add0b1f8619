"""OpenAI's API, the questions: JSON to the native requests that they stand for.

What comes back is translated by :mod:`mbuild.runtime.api.openai_answers`.

Source: the specification of the OpenAI API, sections 2 to 5.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from mbuild.runtime.api import native, ollama
from mbuild.runtime.api.body import BadBody
from mbuild.runtime.api.openai_messages import effort, turns
from mbuild.runtime.message import Message


class _Body(BaseModel):
    """What every request is: checked strictly, and never changed."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


def _stops(value: object) -> object:
    """The texts in *value*; what is none is passed over, as in the reference."""
    if isinstance(value, str):
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _one(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _effort(value: str) -> str:
    effort(value)
    return value


def _top_logprobs(value: int) -> int:
    if not 0 <= value <= 20:
        raise ValueError("top_logprobs must be between 0 and 20")
    return value


def _encoding(value: str) -> str:
    if value.lower() not in ("float", "base64"):
        raise ValueError(
            f"Invalid value for 'encoding_format' = {value}. Supported values: ['float', 'base64']."
        )
    return value.lower()


Turns = Annotated[
    tuple[Message, ...], BeforeValidator(turns, json_schema_input_type=list[dict[str, Any]])
]
Stops = Annotated[list[str], BeforeValidator(_stops, json_schema_input_type=str | list[str])]
Texts = Annotated[list[str], BeforeValidator(_one, json_schema_input_type=str | list[str])]
Effort = Annotated[str, AfterValidator(_effort)]


class StreamOptions(_Body):
    """What a stream has beside the answer."""

    include_usage: bool | None = None


class Reasoning(_Body):
    """How much to think."""

    effort: Effort | None = None
    summary: str | None = None


class _Asking(_Body):
    """What chat and completions share."""

    model: str = ""
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    # Ours: what a client of the native API could say.
    keep_alive: ollama.KeepAlive | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    truncate: bool = True

    @property
    def usage(self) -> bool:
        """Whether a stream ends with the counts."""
        return bool(self.stream_options.include_usage)


class ChatCompletion(_Asking):
    """POST /v1/chat/completions."""

    messages: Turns = ()
    max_completion_tokens: int | None = None
    stop: Stops = Field(default_factory=list)
    response_format: dict[str, Any] = Field(default_factory=dict)
    tools: list[dict[str, Any]] = Field(default_factory=list)
    reasoning_effort: Effort | None = None
    reasoning: Reasoning = Reasoning()
    logprobs: bool = False
    top_logprobs: Annotated[int, AfterValidator(_top_logprobs)] = 0


class Completion(_Asking):
    """POST /v1/completions."""

    prompt: str = ""
    suffix: str = ""
    stop: Texts = Field(default_factory=list)


class EmbeddingInput(_Body):
    """POST /v1/embeddings."""

    model: str = ""
    input: Any = None  # a text, or a list of texts
    dimensions: int = Field(default=0, ge=0)
    encoding_format: Annotated[str, AfterValidator(_encoding)] = "float"
    keep_alive: ollama.KeepAlive | None = None


def chat(asked: ChatCompletion) -> ollama.Chat:
    """What *asked* is in the native API.

    Raises:
        BadBody: something is missing, or the wanted format is none.
    """
    if not asked.messages:
        raise BadBody("[] is too short - 'messages'")
    limit = asked.max_completion_tokens if asked.max_tokens is None else asked.max_tokens
    word = asked.reasoning.effort or asked.reasoning_effort
    return native.request(
        ollama.Chat,
        model=asked.model,
        messages=native.turns(asked.messages),
        tools=asked.tools,
        format=_format(asked.response_format),
        think=None if word is None else effort(word),
        logprobs=asked.logprobs,
        top_logprobs=asked.top_logprobs,
        options=_options(asked, asked.top_p, stop=asked.stop, num_predict=limit),
        stream=asked.stream,
        truncate=asked.truncate,
        keep_alive=asked.keep_alive,
    )


def completion(asked: Completion) -> ollama.Generate:
    """What *asked* is in the native API."""
    return native.request(
        ollama.Generate,
        model=asked.model,
        prompt=asked.prompt,
        suffix=asked.suffix,
        options=_options(asked, asked.top_p or 1.0, stop=asked.stop, num_predict=asked.max_tokens),
        stream=asked.stream,
        truncate=asked.truncate,
        keep_alive=asked.keep_alive,
    )


def embed(asked: EmbeddingInput) -> ollama.Embed:
    """What *asked* is in the native API.

    Raises:
        BadBody: there is nothing to embed, or it is no text.
    """
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    if texts is None or texts == []:
        raise BadBody("invalid input")
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise BadBody("invalid input type")
    return native.request(
        ollama.Embed,
        model=asked.model,
        input=texts,
        dimensions=asked.dimensions,
        keep_alive=asked.keep_alive,
    )


def _options(asked: _Asking, top_p: float, **more: Any) -> dict[str, Any]:
    said = native.chosen(
        temperature=asked.temperature,
        top_p=top_p,
        seed=asked.seed,
        frequency_penalty=asked.frequency_penalty,
        presence_penalty=asked.presence_penalty,
        **more,
    )
    return {**asked.options, **said}


def _format(wanted: Mapping[str, Any]) -> Any:
    match wanted:
        case {"type": "json_object"}:
            return "json"
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return schema
        case {"type": "json_schema", "json_schema": {"schema": schema}} if schema is not None:
            raise BadBody("response_format: a schema is an object")
        case {"type": "text"}:
            return ""
    return None
