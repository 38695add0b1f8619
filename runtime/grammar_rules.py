"""The rules of a grammar in llama.cpp's language (GBNF), as they are made.

An *expression* is what may stand in a rule: a name, or a text that is safe in any place. Names
and texts are made here alone, so that nothing from a schema gets into a grammar unescaped.

Source: llama.cpp's description of GBNF; its bound on repetitions is one of its parser.
"""

import re
from collections.abc import Iterable

Ranges = tuple[tuple[int, int], ...]
"""Code points: sorted, inclusive, apart from each other."""

LAST = 0x10FFFF
MOST = 100_000  # of one thing in a row; a larger bound is as good as none
_BLOCK = 1000  # llama.cpp refuses 2000 repetitions of anything
_MOST_RULES = 20_000
_LONGEST = 8 << 20  # characters of a grammar
_NO_NAME = re.compile(r"[^a-zA-Z0-9]+")


class TooLarge(Exception):
    """More rules than llama.cpp should be given."""

    def __init__(self) -> None:
        super().__init__("it makes a grammar that is too large")


class Rules:
    """Rules under names of their own; the same rule stands there once."""

    def __init__(self) -> None:
        self._bodies: dict[str, str] = {}
        self._names: dict[str, str] = {}  # by their bodies
        self._length = 0

    def reserve(self, hint: str) -> str:
        """A name that something like *hint* will have; `define` must follow."""
        if len(self._bodies) >= _MOST_RULES:
            raise TooLarge
        name = f"{_NO_NAME.sub('-', hint)[:32].strip('-') or 'r'}-{len(self._bodies)}"
        self._bodies[name] = ""
        return name

    def define(self, name: str, body: str) -> None:
        self._length += len(body)
        if self._length > _LONGEST:
            raise TooLarge
        # A rule without a body would swallow the next line.
        self._bodies[name] = body or '""'

    def add(self, hint: str, body: str) -> str:
        """The name of the rule *body*."""
        name = self._names.get(body)
        if name is None:
            name = self._names[body] = self.reserve(hint)
            self.define(name, body)
        return name

    def union(self, hint: str, expressions: Iterable[str]) -> str:
        """One of *expressions*, of which there is at least one."""
        different = list(dict.fromkeys(expressions))
        return different[0] if len(different) == 1 else self.add(hint, " | ".join(different))

    def repeated(self, name: str, least: int, most: int | None) -> str:
        """The rule *name*, *least* to *most* times in a row; at most `MOST` of *least*."""
        if most is None or most > MOST:
            return f"{self._exactly(name, least)} {name}*"
        return f"{self._exactly(name, least)} {self._up_to(name, most - least)}"

    def text(self, root: str) -> str:
        """The whole grammar, which begins with the expression *root*."""
        lines = [f"{name} ::= {body}" for name, body in self._bodies.items()]
        return "\n".join([f"root ::= {root}", *lines]) + "\n"

    def _exactly(self, name: str, count: int) -> str:
        blocks, rest = divmod(count, _BLOCK)
        ones = f"{name}{{{rest}}}" if rest else ""
        if not blocks:
            return ones or '""'
        block = self.add(name, f"{name}{{{_BLOCK}}}")
        return f"{block}{{{blocks}}} {ones}"

    def _up_to(self, name: str, count: int) -> str:
        if count <= 0:
            return '""'
        blocks, rest = divmod(count, _BLOCK)
        found = f"{name}{{0,{rest}}}" if rest else '""'
        for _ in range(blocks):
            block = self.add(name, f"{name}{{{_BLOCK}}}")
            found = self.add(name, f"{block} {found} | {name}{{0,{_BLOCK - 1}}}")
        return found


def literal(text: str) -> str:
    """The expression for exactly *text*."""
    return '"' + "".join(_escaped(ord(character)) for character in text) + '"'


def one_of(ranges: Ranges) -> str:
    """The expression for one character of *ranges*, of which there is at least one."""
    return f"[{''.join(map(_range, ranges))}]"


def none_of(ranges: Ranges) -> str:
    """The expression for one character that is not in *ranges*."""
    return f"[^{''.join(map(_range, ranges))}]"


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """*ranges* in any order, which may overlap, as `Ranges`."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return tuple(found)


def others(ranges: Ranges) -> Ranges:
    """All code points that are not in *ranges*.

    >>> others(((0, 9), (20, LAST)))
    ((10, 19),)
    """
    starts = [0, *(high + 1 for _, high in ranges)]
    ends = [*(low - 1 for low, _ in ranges), LAST]
    return tuple((low, high) for low, high in zip(starts, ends, strict=True) if low <= high)


def _range(limits: tuple[int, int]) -> str:
    low, high = limits
    return _escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}"


def _escaped(point: int) -> str:
    character = chr(point)
    # The same in a text and between brackets; NUL could not stand there as itself.
    return character if character.isascii() and character.isalnum() else f"\\U{point:08X}"
