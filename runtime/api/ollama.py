"""Ollama's API: JSON ↔ values. Requests are checked here, answers made, errors worded.

Source: the specification of the native API.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from mbuild.runtime.engine import Finished, Reason
from mbuild.runtime.goduration import BadDuration
from mbuild.runtime.goduration import parse as duration
from mbuild.runtime.message import BadMessage, Message, from_json
from mbuild.runtime.thinking import LEVELS

VERSION = "0.32.7"
"""The release that clients are told they talk to: some refuse what they do not know."""

FOREVER = -1
"""A keep_alive without end, in nanoseconds."""

_MOST = 2**63 - 1  # ns


class _Body(BaseModel):
    """What every request is: checked strictly, and never changed."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


def keep_alive(value: object) -> int:
    """Nanoseconds that a model stays loaded for; `FOREVER`, for anything below 0.

    Raises:
        ValueError: it is neither a number of seconds nor a duration in Go's words.
    """
    match value:
        case bool():
            raise ValueError("keep_alive is a number of seconds or a duration")
        case int() | float():
            # Bounded first: a whole number may be too large for a float.
            nanoseconds = max(-1, min(value, 10**10)) * 1e9
        case str():
            try:
                nanoseconds = duration(value)
            except BadDuration as error:
                raise ValueError(str(error)) from None
        case _:
            raise ValueError("keep_alive is a number of seconds or a duration")
    return FOREVER if nanoseconds < 0 else min(int(nanoseconds), _MOST)


def _think(value: object) -> object:
    if isinstance(value, str) and value not in LEVELS:
        raise ValueError(
            f'invalid think value: "{value}"'
            ' (must be "high", "medium", "low", "max", true, or false)'
        )
    if not isinstance(value, bool | str):
        raise ValueError("think is true, false or a level")
    return value


def _top_logprobs(value: int) -> int:
    if not 0 <= value <= 20:
        raise ValueError("top_logprobs must be between 0 and 20")
    return value


def _message(value: object) -> Message:
    try:
        return from_json(_without_null(value))
    except BadMessage as error:
        raise ValueError(f"messages: {error}") from None


def _without_null(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    return {str(key).lower(): each for key, each in value.items() if each is not None}


def _texts(value: object) -> object:
    return [value] if isinstance(value, str) else value


KeepAlive = Annotated[
    int,
    BeforeValidator(keep_alive, json_schema_input_type=int | float | str),
    Field(description="seconds, or a duration such as 5m; below 0: for ever; 0: not at all"),
]
Level = Literal["low", "medium", "high", "max"]
Think = Annotated[
    bool | str | None, BeforeValidator(_think, json_schema_input_type=bool | Level | None)
]
Turn = Annotated[Message, BeforeValidator(_message, json_schema_input_type=dict[str, Any])]
Texts = Annotated[list[str], BeforeValidator(_texts, json_schema_input_type=str | list[str])]


class _Asking(_Body):
    """What generate and chat share."""

    model: str = ""
    stream: bool = True
    format: Any = None  # "json", or a JSON schema
    keep_alive: KeepAlive | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    think: Think = None
    truncate: bool = True
    shift: bool = True
    logprobs: bool = False
    top_logprobs: Annotated[int, AfterValidator(_top_logprobs)] = 0
    debug: bool = Field(default=False, alias="_debug_render_only")


class Generate(_Asking):
    """POST /api/generate."""

    prompt: str = ""
    suffix: str = ""
    system: str | None = None
    template: str | None = None
    context: list[int] = Field(default_factory=list)
    raw: bool = False
    images: list[str] = Field(default_factory=list)


class Chat(_Asking):
    """POST /api/chat."""

    messages: list[Turn] = Field(default_factory=list)
    tools: list[dict[str, Any]] = Field(default_factory=list)


class Embed(_Body):
    """POST /api/embed."""

    model: str = ""
    input: Any = None  # a text, or a list of texts
    truncate: bool = True
    dimensions: int = Field(default=0, ge=0)
    keep_alive: KeepAlive | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class Embeddings(_Body):
    """POST /api/embeddings."""

    model: str = ""
    prompt: str = ""
    keep_alive: KeepAlive | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class Named(_Body):
    """A request about one model, which older clients call *name*."""

    model: str = ""
    name: str = ""

    @property
    def asked(self) -> str:
        """The name, whichever field it came in."""
        return self.model or self.name


class Show(Named):
    """POST /api/show."""

    verbose: bool = False
    system: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class Transfer(Named):
    """POST /api/pull, POST /api/push."""

    insecure: bool = False
    stream: bool = True


class Copy(_Body):
    """POST /api/copy."""

    source: str = ""
    destination: str = ""


class Create(Named):
    """POST /api/create."""

    stream: bool = True
    base: str = Field(default="", alias="from")
    files: dict[str, str] = Field(default_factory=dict)
    adapters: dict[str, str] = Field(default_factory=dict)
    quantize: str = ""
    quantization: str = ""
    template: str = ""
    system: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    license: Texts = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)
    messages: list[Turn] = Field(default_factory=list)
    info: dict[str, Any] = Field(default_factory=dict)
    draft_files: dict[str, str] = Field(default_factory=dict)


class Render(_Body):
    """POST /api/render: the exact prompt of a conversation."""

    model: str = ""
    messages: list[Turn] = Field(default_factory=list)
    tools: list[dict[str, Any]] = Field(default_factory=list)
    think: Think = None


class Tokenize(_Body):
    """POST /api/tokenize: the tokens of a text."""

    model: str = ""
    text: str = ""
    keep_alive: KeepAlive | None = None
    options: dict[str, Any] = Field(default_factory=dict)


def moment(nanoseconds: int) -> str:
    """A time (ns since the epoch) as RFC 3339 has it, in UTC.

    >>> moment(1_500_000_000_120_000_000)
    '2017-07-14T02:40:00.12Z'
    """
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


@dataclass(frozen=True, slots=True)
class Said:
    """A stretch of an answer, or all of it."""

    text: str = ""
    thinking: str = ""
    calls: tuple[Mapping[str, Any], ...] = ()

    def __add__(self, other: "Said") -> "Said":
        return Said(
            self.text + other.text, self.thinking + other.thinking, (*self.calls, *other.calls)
        )


@dataclass(frozen=True, slots=True)
class Head:
    """What each line of an answer begins with: the model as it was asked for, and the wire."""

    model: str
    chat: bool

    def line(self, now: int, said: Said, **more: Any) -> dict[str, Any]:
        """A line at *now* (ns since the epoch)."""
        start = {"model": self.model, "created_at": moment(now)}
        thinking = {"thinking": said.thinking} if said.thinking else {}
        calls = {"tool_calls": list(said.calls)} if said.calls else {}
        if self.chat:
            message = {"role": "assistant", "content": said.text, **thinking, **calls}
            return {**start, "message": message, "done": False, **more}
        return {**start, "response": said.text, **thinking, **calls, "done": False, **more}

    def last(
        self, now: int, said: Said, finished: Finished, context: Sequence[int] | None = None
    ) -> dict[str, Any]:
        """The line that ends an answer."""
        stats = finished.stats
        reason = "length" if finished.reason is Reason.LENGTH else "stop"
        return self.line(
            now,
            said,
            done=True,
            done_reason=reason,
            **({"context": list(context)} if context is not None else {}),
            total_duration=stats.total_duration,
            load_duration=max(1, stats.load_duration),
            prompt_eval_count=stats.prompt_eval_count,
            prompt_eval_duration=stats.prompt_eval_duration,
            eval_count=stats.eval_count,
            eval_duration=stats.eval_duration,
        )

    def only(self, now: int, reason: Literal["load", "unload"]) -> dict[str, Any]:
        """The answer to a request that asks nothing."""
        return self.line(now, Said(), done=True, done_reason=reason)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as a client gets it."""

    status: int
    message: str
    more: Mapping[str, Any] = field(default_factory=dict)  # beside the message; ours

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of it."""
        return {"error": self.message, **self.more}


def embeddings(
    model: str, vectors: Iterable[Sequence[float]], tokens: int, total: int, load: int
) -> dict[str, Any]:
    """The answer to /api/embed; durations in nanoseconds."""
    return {
        "model": model,
        "embeddings": [list(vector) for vector in vectors],
        "total_duration": total,
        "load_duration": max(1, load),
        "prompt_eval_count": tokens,
    }
