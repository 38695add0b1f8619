"""Anthropic's API, the answers: native lines to what its clients read.

A native line is what :class:`mbuild.runtime.api.ollama.Head` makes. An answer is a list of blocks,
each of one kind; in a stream a block is closed before the next one begins.

Source: the specification of the OpenAI and Anthropic APIs, sections 8.2 to 8.4.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mbuild.runtime.api.ollama import Failure

Line = Mapping[str, Any]
Event = dict[str, Any]

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer begins with."""

    id: str
    model: str  # as it was asked for

    def message(self, content: list[Any], reason: str | None, usage: Mapping[str, int]) -> Event:
        """The answer; *content* are its blocks."""
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": dict(usage),
        }


def failure(failed: Failure, request: str) -> Event:
    """An error, as Anthropic's clients get it; *request* is the id of what failed."""
    error = {"type": _TYPES.get(failed.status, "api_error"), "message": failed.message}
    return {"type": "error", "error": {**error, **failed.more}, "request_id": request}


def message(line: Line, head: Head) -> Event:
    """The whole answer."""
    said = line["message"]
    calls = said.get("tool_calls", ())
    content = [
        *([_thinking(said["thinking"])] if said.get("thinking") else []),
        *([{"type": "text", "text": said["content"]}] if said["content"] else []),
        *(_use(call, call["function"]["arguments"]) for call in calls),
    ]
    reason = _reason(line, called=bool(calls))
    return {**head.message(content, reason, _usage(line)), **_ours(line)}


def events(lines: Iterable[Line], head: Head, *, estimate: int) -> Iterator[Event]:
    """The events of an answer to a prompt of about *estimate* tokens."""
    blocks = _Blocks()
    called = begun = False
    for line in lines:
        if not begun:
            begun = True
            usage = {"input_tokens": estimate, "output_tokens": 0}
            yield {"type": "message_start", "message": head.message([], None, usage)}
        yield from blocks.say(line["message"])
        called = called or bool(line["message"].get("tool_calls"))
        if line["done"]:
            yield from blocks.close()
            delta = {"stop_reason": _reason(line, called=called), "stop_sequence": None}
            yield {"type": "message_delta", "delta": delta, "usage": _usage(line), **_ours(line)}
            yield {"type": "message_stop"}


class _Blocks:
    """The blocks of one answer: at most one is open, and each has the next number."""

    def __init__(self) -> None:
        self._count = 0
        self._open = ""  # its type; empty: none is

    def say(self, said: Mapping[str, Any]) -> Iterator[Event]:
        """What *said* adds: thoughts, then text, then calls."""
        if said.get("thinking"):
            yield from self._begin(_thinking(""))
            yield self._delta("thinking_delta", thinking=said["thinking"])
        if said["content"]:
            yield from self._begin({"type": "text", "text": ""})
            yield self._delta("text_delta", text=said["content"])
        for call in said.get("tool_calls", ()):
            given = call["function"]["arguments"]
            text = json.dumps(given, ensure_ascii=False, separators=(",", ":"))
            yield from self.close()
            yield from self._begin(_use(call, {}))
            yield self._delta("input_json_delta", partial_json=text)
            yield from self.close()

    def close(self) -> Iterator[Event]:
        """End the open block, if there is one."""
        if self._open:
            self._open = ""
            yield {"type": "content_block_stop", "index": self._count - 1}

    def _begin(self, block: Mapping[str, Any]) -> Iterator[Event]:
        """Open *block*, unless one of its kind is open."""
        if self._open == block["type"]:
            return
        yield from self.close()
        yield {"type": "content_block_start", "index": self._count, "content_block": dict(block)}
        self._open = block["type"]
        self._count += 1

    def _delta(self, kind: str, **more: str) -> Event:
        delta = {"type": kind, **more}
        return {"type": "content_block_delta", "index": self._count - 1, "delta": delta}


def _thinking(text: str) -> dict[str, Any]:
    # Clients want a signature, and nobody checks ours.
    return {"type": "thinking", "thinking": text, "signature": ""}


def _use(call: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    name = call["function"]["name"]
    return {"type": "tool_use", "id": call["id"], "name": name, "input": dict(given)}


def _usage(line: Line) -> dict[str, int]:
    return {
        "input_tokens": line.get("prompt_eval_count", 0),
        "output_tokens": line.get("eval_count", 0),
    }


def _ours(line: Line) -> dict[str, Any]:
    """What was left out of the prompt; a field of ours."""
    return {"mbuild": line["mbuild"]} if "mbuild" in line else {}


def _reason(line: Line, *, called: bool) -> str:
    if line.get("done_reason") == "length":
        return "max_tokens"
    return "tool_use" if called else "end_turn"
