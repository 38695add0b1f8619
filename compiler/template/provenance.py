"""Text that remembers where it came from.

A :class:`Traced` is a ``str`` in every respect; it also knows the parts that it is made of. A
template hands the texts of its data through untouched, so what a rendering wrote can be told
apart afterwards, without a search and without a cost while it is written. What a function made
(``json``, ``printf``) is of no known origin.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias

Part: TypeAlias = str
"""A label: TEMPLATE for the template's own text, any other that the caller chose."""

TEMPLATE: Part = "template"


@dataclass(frozen=True, slots=True)
class Piece:
    """Some text and its origin; None where that is not known."""

    text: str
    part: Part | None


class Traced(str):
    """A text and its origins."""

    __slots__ = ("pieces",)

    pieces: tuple[Piece, ...]

    @classmethod
    def of(cls, text: str, part: Part) -> "Traced":
        """*text*, all of which came from *part*."""
        return cls.made_of((Piece(str(text), part),))

    @classmethod
    def made_of(cls, pieces: tuple[Piece, ...]) -> "Traced":
        """The text of *pieces*, one after another."""
        traced = cls("".join([piece.text for piece in pieces]))
        traced.pieces = pieces
        return traced


def pieces_of(text: str) -> tuple[Piece, ...]:
    """What *text* is made of."""
    return text.pieces if isinstance(text, Traced) else (Piece(str(text), None),)


def joined(texts: Iterable[str], separator: str) -> str:
    """``separator.join(texts)``; a separator belongs to the text in front of it."""
    parts = list(texts)
    if not any(isinstance(text, Traced) for text in parts):
        return separator.join(parts)
    pieces: list[Piece] = []
    for text in parts:
        if pieces:
            pieces.append(Piece(separator, pieces[-1].part))
        pieces.extend(pieces_of(text))
    return Traced.made_of(merged(pieces))


def merged(pieces: Iterable[Piece]) -> tuple[Piece, ...]:
    """*pieces* without empty ones, and neighbours of one origin put together."""
    runs = groupby((piece for piece in pieces if piece.text), attrgetter("part"))
    return tuple(Piece("".join([each.text for each in run]), part) for part, run in runs)
