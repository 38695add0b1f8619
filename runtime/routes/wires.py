"""What answers and errors look like on the wire, by path."""

import secrets
from typing import Any

from mbuild.runtime.api import anthropic_answers, openai_answers
from mbuild.runtime.api.ollama import Failure
from mbuild.runtime.streaming import NATIVE, Wire, encoded

_EVENTS = "text/event-stream"


def of(path: str) -> Wire:
    """The wire of *path*."""
    if path.startswith("/v1/messages"):
        return ANTHROPIC
    if path.startswith("/v1/responses"):
        return RESPONSES
    return OPENAI if path.startswith("/v1/") else NATIVE


def _datum(value: Any) -> bytes:
    return b"data: " + encoded(value) + b"\n\n"


def _event(value: Any) -> bytes:
    # Clients pass over an event without a name.
    return b"event: " + str(value.get("type", "error")).encode() + b"\n" + _datum(value)


def _failure(failed: Failure) -> dict[str, Any]:
    return anthropic_answers.failure(failed, f"req_{secrets.token_hex(12)}")


OPENAI = Wire(_EVENTS, _datum, openai_answers.failure, b"data: [DONE]\n\n")
RESPONSES = Wire(_EVENTS, _event, openai_answers.failure)
ANTHROPIC = Wire(_EVENTS, _event, _failure)
