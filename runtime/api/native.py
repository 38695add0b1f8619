"""Native requests, made of what other APIs say."""

from collections.abc import Sequence
from typing import Any, TypeVar

from mbuild.runtime.api import ollama
from mbuild.runtime.message import Message, to_json

_Request = TypeVar("_Request", ollama.Chat, ollama.Generate, ollama.Embed)

_SECOND = 1e9  # ns


def request(kind: type[_Request], *, keep_alive: int | None, **said: Any) -> _Request:
    """A request of *kind*, which says all of *said* that is not None; *keep_alive* in ns."""
    seconds = None if keep_alive is None else keep_alive / _SECOND
    return kind.model_validate(chosen(keep_alive=seconds, **said))


def turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """*messages* in JSON, which is what a native request is checked from."""
    return [to_json(each) for each in messages]


def chosen(**options: Any) -> dict[str, Any]:
    """Those of *options* that were said: an empty list of stops would replace the model's."""
    return {name: each for name, each in options.items() if each is not None and each != []}
