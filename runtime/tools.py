"""Calls of tools, told apart from the answer while it comes.

A call is the name of a tool that was offered and a JSON object with its arguments, behind the
tag with which the model's template writes calls. Text before the tag is the answer; a call is
given out whole.

Source: the runtime specification, section 12 (the generic parser).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

_BRACKETS = ("{", "[")


@dataclass(frozen=True, slots=True)
class Call:
    """A tool, and what it is called with."""

    id: str
    index: int  # in the answer, from 0
    name: str
    arguments: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The call as clients see it."""
        function = {"index": self.index, "name": self.name, "arguments": dict(self.arguments)}
        return {"id": self.id, "function": function}


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of a stretch: the answer, then calls."""

    text: str = ""
    calls: tuple[Call, ...] = ()


class _At(Enum):
    """Where in the answer we are."""

    TEXT = "before the tag"
    CALLS = "behind it"
    PLAIN = "amid an answer that has no calls"


class Caller:
    """Finds the calls of the tools *names* in one answer, which comes in pieces.

    *tag* begins them; a bracket counts only as the first character. *new_id* names a call.
    """

    def __init__(self, tag: str, names: Sequence[str], new_id: Callable[[], str]) -> None:
        self._tag = tag
        self._names = sorted(filter(None, names), key=len, reverse=True)
        self._new_id = new_id
        self._held = ""
        self._at = _At.TEXT
        self._count = 0

    def feed(self, text: str) -> Heard:
        """What is known for certain once *text* has come."""
        self._held += text
        before = self._before() if self._at is _At.TEXT else ""
        calls = self._calls() if self._at is _At.CALLS else ()
        if self._at is _At.CALLS and self._is_no_call():
            self._at = _At.PLAIN
        if self._at is _At.PLAIN:
            before, self._held = before + self._held, ""
        return Heard(before, calls)

    def end(self) -> str:
        """The rest of the answer, when no more comes."""
        held, self._held = self._held, ""
        swallowed = self._at is _At.CALLS and (self._count or self._tag not in _BRACKETS)
        return "" if swallowed else held

    def _before(self) -> str:
        """The text in front of the tag, as far as it is certain."""
        if self._tag in _BRACKETS:
            first = self._held.lstrip()
            if first:
                self._at = _At.CALLS if first.startswith(self._tag) else _At.PLAIN
            return ""
        before, tag, behind = self._held.partition(self._tag)
        if tag:
            self._held, self._at = behind, _At.CALLS
            return before
        certain = len(before) - _begun(before, (self._tag,))
        self._held = before[certain:]
        return before[:certain]

    def _calls(self) -> tuple[Call, ...]:
        found = []
        while (call := self._call()) is not None:
            found.append(call)
        return tuple(found)

    def _call(self) -> Call | None:
        name = self._name()
        whole = _object(self._held)
        if name is None or whole is None:
            return None
        place = self._held.index(name)
        value, end = whole
        call = Call(self._new_id(), self._count, name, _arguments(value, name))
        self._count += 1
        self._held = self._held[max(end, place + len(name)) :]
        return call

    def _name(self) -> str | None:
        """The tool that is named first, once no longer name can come of it."""
        places = [(self._held.find(name), -len(name), name) for name in self._names]
        found = min((each for each in places if each[0] >= 0), default=None)
        if found is None:
            return None
        rest = self._held[found[0] :]
        longer = any(name != found[2] and name.startswith(rest) for name in self._names)
        return None if longer else found[2]

    def _is_no_call(self) -> bool:
        """Whether what began with a bracket has ended, and called nothing."""
        if self._count or self._tag not in _BRACKETS:
            return False
        return _balanced(self._held.lstrip()) is not None and self._name() is None


def _object(text: str) -> tuple[dict[str, Any], int] | None:
    """The first whole JSON object in *text*, and where it ends."""
    start = text.find("{")
    while start >= 0:
        length = _balanced(text[start:])
        if length is None:
            return None
        try:
            value = json.loads(text[start : start + length])
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        return value, start + length
    return None


def _balanced(text: str) -> int | None:
    """How long the brackets that *text* begins with are; None: they are not closed."""
    depth, in_string, escaped = 0, False, False
    for at, character in enumerate(text):
        if in_string:
            in_string = escaped or character != '"'
            escaped = not escaped and character == "\\"
        elif character == '"':
            in_string = True
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
            if depth <= 0:
                return at + 1
    return None


def _arguments(value: dict[str, Any], name: str) -> Mapping[str, Any]:
    found = _search(value, name)
    return value if found is None else found


def _search(value: object, name: str) -> Mapping[str, Any] | None:
    """What *value*, or something in it, says are the arguments of *name*."""
    if isinstance(value, list):
        return next((found for each in value if (found := _search(each, name)) is not None), None)
    if not isinstance(value, dict):
        return None
    own = _own(value, name)
    return _search(list(value.values()), name) if own is None else own


def _own(value: dict[str, Any], name: str) -> Mapping[str, Any] | None:
    keys = ("arguments", "parameters") if "name" in value else (name,)
    for key in keys:
        found = value.get(key)
        if isinstance(found, str):
            try:
                found = json.loads(found)
            except (ValueError, RecursionError):
                continue
        if isinstance(found, dict):
            return found
    return None


def tag_of_jinja(text: str) -> str:
    """The tag with which a chat template in weights writes calls; a bracket if it has none."""
    known = ("<tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "<start_function_call>")
    return next((tag for tag in known if tag in text), "{")


def _begun(text: str, tags: Sequence[str]) -> int:
    """How many of the last characters of *text* may begin one of *tags*."""
    longest = max(map(len, tags)) - 1
    counts = range(min(len(text), longest), 0, -1)
    return next((n for n in counts if any(tag.startswith(text[-n:]) for tag in tags)), 0)
