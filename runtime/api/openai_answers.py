"""OpenAI's API, the answers: native lines to what its clients read.

A native line is what :class:`mbuild.runtime.api.ollama.Head` makes. However an answer is cut into
lines, its chunks say the same, one after another.

Source: the specification of the OpenAI API, sections 1 to 5.
"""

import json
import struct
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mbuild.runtime.api.ollama import Failure

Line = Mapping[str, Any]

_TYPES = {400: "invalid_request_error", 404: "not_found_error"}


@dataclass(frozen=True, slots=True)
class Head:
    """What all chunks of an answer begin with."""

    id: str
    created: int  # seconds since the epoch
    model: str  # as it was asked for

    def start(self, kind: str) -> dict[str, Any]:
        """The beginning of an object of that *kind*."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "fp_ollama",
        }


def failure(failed: Failure) -> dict[str, Any]:
    """An error, as OpenAI's clients get it."""
    kind = _TYPES.get(failed.status, "api_error")
    error = {"message": failed.message, "type": kind, "param": None, "code": None}
    return {"error": {**error, **failed.more}}


def chat(line: Line, head: Head) -> dict[str, Any]:
    """The whole answer to a chat."""
    said = line["message"]
    calls = _calls(said)
    message = {"role": "assistant", "content": said["content"]}
    if said.get("thinking"):
        message["reasoning"] = said["thinking"]
    if calls:
        message["tool_calls"] = calls
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": _reason(line, called=bool(calls)),
        **_likely(line),
    }
    return {
        **head.start("chat.completion"),
        "choices": [choice],
        "usage": usage(line),
        **_ours(line),
    }


def chat_chunks(lines: Iterable[Line], head: Head, *, with_usage: bool) -> Iterator[dict[str, Any]]:
    """The chunks of an answer to a chat; *with_usage* the counts come last."""
    start = head.start("chat.completion.chunk")
    role = {"role": "assistant"}
    called = False
    for line in lines:
        called = called or bool(line["message"].get("tool_calls"))
        deltas = list(_deltas(line))
        if line["done"] and not deltas and role:
            deltas = [_Delta({"content": ""})]
        for delta in deltas:
            yield {**start, "choices": [delta.choice(role)]}
            role = {}
        if line["done"]:
            end = {"index": 0, "delta": {}, "finish_reason": _reason(line, called=called)}
            yield {**start, "choices": [end], **_ours(line)}
            if with_usage:
                yield {**start, "choices": [], "usage": usage(line)}


def completion(line: Line, head: Head) -> dict[str, Any]:
    """The whole answer to a prompt; thoughts are left out."""
    return {**_text(line, head), "usage": usage(line), **_ours(line)}


def completion_chunks(
    lines: Iterable[Line], head: Head, *, with_usage: bool
) -> Iterator[dict[str, Any]]:
    """The chunks of an answer to a prompt."""
    nothing = {"usage": usage({})} if with_usage else {}
    for line in lines:
        if line["response"] or line["done"]:
            yield {**_text(line, head), **nothing, **_ours(line)}
        if line["done"] and with_usage:
            yield {**head.start("text_completion"), "choices": [], "usage": usage(line)}


def usage(line: Line) -> dict[str, int]:
    """What an answer cost, in tokens."""
    asked, said = line.get("prompt_eval_count", 0), line.get("eval_count", 0)
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def embeddings(answer: Mapping[str, Any], *, base64: bool) -> dict[str, Any]:
    """The native *answer* to a request for vectors, as a list; *base64*: packed."""
    tokens = answer.get("prompt_eval_count", 0)
    vectors = [
        {"object": "embedding", "index": index, "embedding": packed(each) if base64 else each}
        for index, each in enumerate(answer["embeddings"])
    ]
    return {
        "object": "list",
        "data": vectors,
        "model": answer["model"],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def packed(vector: Sequence[float]) -> str:
    """*vector* as 32-bit floats, little-endian, in base64."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def model(name: str, created: int, owner: str) -> dict[str, Any]:
    """A model in the store; *created* in seconds since the epoch."""
    return {"id": name, "object": "model", "created": created, "owned_by": owner}


@dataclass(frozen=True, slots=True)
class _Delta:
    """What a chunk adds."""

    what: Mapping[str, Any]
    likely: Mapping[str, Any] | None = None

    def choice(self, role: Mapping[str, str]) -> dict[str, Any]:
        """The only choice of the chunk."""
        delta = {**role, **self.what}
        return {"index": 0, "delta": delta, "finish_reason": None, **(self.likely or {})}


def _deltas(line: Line) -> Iterator[_Delta]:
    """What *line* adds: thoughts apart from what is said, and the logprobs with the first."""
    said = line["message"]
    thinking, text, calls = said.get("thinking"), said["content"], _calls(said)
    likely = _likely(line)
    spoken: dict[str, Any] = {"content": text, **({"tool_calls": calls} if calls else {})}
    if thinking:
        alone = not text and not calls
        yield _Delta({**({"content": ""} if alone else {}), "reasoning": thinking}, likely)
        if not alone:
            yield _Delta(spoken)
    elif text or calls or likely:
        yield _Delta(spoken, likely)


def _calls(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_call(each) for each in said.get("tool_calls", ())]


def _call(native: Mapping[str, Any]) -> dict[str, Any]:
    function = native["function"]
    text = json.dumps(function["arguments"], ensure_ascii=False, separators=(",", ":"))
    return {
        "id": native["id"],
        "index": function["index"],
        "type": "function",
        "function": {"name": function["name"], "arguments": text},
    }


def _likely(line: Line) -> dict[str, Any]:
    """The field logprobs. Clients read top_logprobs unasked, so it is always there."""
    found = line.get("logprobs")
    return (
        {"logprobs": {"content": [{"top_logprobs": [], **each} for each in found]}} if found else {}
    )


def _ours(line: Line) -> dict[str, Any]:
    """What was left out of the prompt; a field of ours."""
    return {"mbuild": line["mbuild"]} if "mbuild" in line else {}


def _text(line: Line, head: Head) -> dict[str, Any]:
    reason = _reason(line, called=False) if line["done"] else None
    choice = {"text": line["response"], "index": 0, "finish_reason": reason}
    return {**head.start("text_completion"), "choices": [choice]}


def _reason(line: Line, *, called: bool) -> str:
    if line.get("done_reason") == "length":
        return "length"
    return "tool_calls" if called else "stop"
