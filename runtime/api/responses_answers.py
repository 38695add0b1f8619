"""OpenAI's newer API, ``/v1/responses``: native lines to what its clients read.

An answer is a list of items: thoughts, then text, or calls. A whole answer has the items that the
stream of it would have had.

Source: the specification of the OpenAI API, sections 6.2 and 6.3.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Line = Mapping[str, Any]
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer begins with."""

    number: int  # of the answer; its id, and those of its items
    created: int  # seconds since the epoch
    model: str  # as it was asked for
    echo: Mapping[str, Any]  # what it says again of the question

    def response(self, **more: Any) -> Event:
        """The answer as far as it is known."""
        return {
            "id": f"resp_{self.number}",
            "object": "response",
            "created_at": self.created,
            "completed_at": None,
            "status": "in_progress",
            "incomplete_details": None,
            "model": self.model,
            "previous_response_id": None,
            "output": [],
            "error": None,
            "tool_choice": "auto",
            "truncation": "disabled",
            "parallel_tool_calls": True,
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "top_logprobs": 0,
            "usage": None,
            "max_tool_calls": None,
            "store": False,
            "service_tier": "default",
            "metadata": {},
            "safety_identifier": None,
            "prompt_cache_key": None,
            **self.echo,
            **more,
        }


def response(line: Line, head: Head) -> Event:
    """The whole answer."""
    output = _Output(head.number)
    for _ in (*output.say(line["message"]), *output.close()):
        pass
    return _finished(line, head, output.items)


def events(lines: Iterable[Line], head: Head) -> Iterator[Event]:
    """The events of an answer, numbered."""
    for number, event in enumerate(_events(lines, head)):
        yield {"type": event["type"], "sequence_number": number, **event}


def _events(lines: Iterable[Line], head: Head) -> Iterator[Event]:
    output = _Output(head.number)
    begun = False
    for line in lines:
        if not begun:
            begun = True
            yield {"type": "response.created", "response": head.response()}
            yield {"type": "response.in_progress", "response": head.response()}
        yield from output.say(line["message"])
        if line["done"]:
            yield from output.close()
            whole = _finished(line, head, output.items)
            yield {"type": "response.completed", "response": whole}


class _Output:
    """The items of one answer, at most one of which is open."""

    def __init__(self, number: int) -> None:
        self.items: list[dict[str, Any]] = []  # those that are whole
        self._number = number
        self._open = ""  # the type of the open one; empty: none is
        self._text = ""  # of the open one

    def say(self, said: Mapping[str, Any]) -> Iterator[Event]:
        """What *said* adds: thoughts, then text, then calls."""
        if said.get("thinking"):
            yield from self._think(said["thinking"])
        if said["content"]:
            yield from self._speak(said["content"])
        for call in said.get("tool_calls", ()):
            yield from self.close()
            yield from self._call(call)

    def close(self) -> Iterator[Event]:
        """End the open item, if there is one."""
        if self._open == "reasoning":
            yield self._event(
                "reasoning_summary_text.done", **self._place("rs"), summary_index=0, text=self._text
            )
            yield from self._done(self._thoughts())
        elif self._open == "message":
            place = {**self._place("msg"), "content_index": 0}
            yield self._event("output_text.done", **place, text=self._text, logprobs=[])
            yield self._event("content_part.done", **place, part=_part(self._text))
            yield from self._done(self._message("completed", [_part(self._text)]))
        self._open = self._text = ""

    def _think(self, text: str) -> Iterator[Event]:
        if self._open != "reasoning":
            yield from self.close()
            self._open = "reasoning"
            yield self._added({"id": self._id("rs"), "type": "reasoning", "summary": []})
        self._text += text
        place = {**self._place("rs"), "summary_index": 0}
        yield self._event("reasoning_summary_text.delta", **place, delta=text)

    def _speak(self, text: str) -> Iterator[Event]:
        begins = self._open != "message"
        if begins:
            yield from self.close()
            self._open = "message"
            yield self._added(self._message("in_progress", []))
        place = {**self._place("msg"), "content_index": 0}
        if begins:
            yield self._event("content_part.added", **place, part=_part(""))
        self._text += text
        yield self._event("output_text.delta", **place, delta=text, logprobs=[])

    def _call(self, call: Mapping[str, Any]) -> Iterator[Event]:
        function, place = call["function"], self._place("fc")
        text = json.dumps(function["arguments"], ensure_ascii=False, separators=(",", ":"))
        item = {
            "id": self._id("fc"),
            "type": "function_call",
            "status": "completed",
            "call_id": call["id"],
            "name": function["name"],
            "arguments": text,
        }
        yield self._added({**item, "status": "in_progress", "arguments": ""})
        yield self._event("function_call_arguments.delta", **place, delta=text)
        name = function["name"]
        yield self._event("function_call_arguments.done", **place, name=name, arguments=text)
        yield from self._done(item)

    def _thoughts(self) -> dict[str, Any]:
        summary = [{"type": "summary_text", "text": self._text}]
        return {
            "id": self._id("rs"),
            "type": "reasoning",
            "summary": summary,
            "encrypted_content": self._text,
        }

    def _message(self, status: str, content: list[Any]) -> dict[str, Any]:
        return {
            "id": self._id("msg"),
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def _id(self, kind: str) -> str:
        return f"{kind}_{self._number}_{len(self.items)}"

    def _place(self, kind: str) -> dict[str, Any]:
        return {"item_id": self._id(kind), "output_index": len(self.items)}

    def _added(self, item: dict[str, Any]) -> Event:
        return self._event("output_item.added", output_index=len(self.items), item=item)

    def _done(self, item: dict[str, Any]) -> Iterator[Event]:
        yield self._event("output_item.done", output_index=len(self.items), item=item)
        self.items.append(item)

    def _event(self, kind: str, **more: Any) -> Event:
        return {"type": f"response.{kind}", **more}


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _finished(line: Line, head: Head, items: list[dict[str, Any]]) -> Event:
    short = line.get("done_reason") == "length"
    return head.response(
        status="incomplete" if short else "completed",
        completed_at=int(datetime.fromisoformat(line["created_at"]).timestamp()),
        incomplete_details={"reason": "max_output_tokens"} if short else None,
        output=items,
        usage=_usage(line),
        **({"mbuild": line["mbuild"]} if "mbuild" in line else {}),
    )


def _usage(line: Line) -> dict[str, Any]:
    asked, said = line.get("prompt_eval_count", 0), line.get("eval_count", 0)
    return {
        "input_tokens": asked,
        "output_tokens": said,
        "total_tokens": asked + said,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
