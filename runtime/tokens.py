"""Which token of a prompt came from where.

A tokenizer knows nothing of parts, so the bytes that tokens stand for are laid beside those of
the prompt. Where they are not the same, as for a vocabulary that changes letters, nothing is
said of any token.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from mbuild.compiler.template.provenance import Part, Piece
from mbuild.runtime.prompt import Prompt

VOCABULARY: Part = "vocabulary"
"""The part of what a tokenizer adds by itself."""

_BLANK = b" "  # Some vocabularies put one in front of a text.


@dataclass(frozen=True, slots=True)
class Token:
    """A token of a prompt."""

    id: int
    data: bytes  # what it stands for
    part: Part | None  # of its first byte; None: not known


def attribute(
    prompt: Prompt, ids: Sequence[int], data: Sequence[bytes], *, bos: str
) -> tuple[Token, ...]:
    """The tokens *ids*, which stand for *data*, with their parts.

    *bos* is the text of the token that a tokenizer may put in front.
    """
    added = _added(prompt.text.encode("utf-8", "replace"), b"".join(data), bos.encode())
    if added is None:
        return tuple(Token(each, text, None) for each, text in zip(ids, data, strict=True))
    pieces = prompt.pieces
    ends = list(accumulate(len(piece.text.encode("utf-8", "replace")) for piece in pieces))
    starts = accumulate((len(each) for each in data), initial=-added)
    return tuple(
        Token(each, text, _part(pieces, ends, start, len(text)))
        for each, text, start in zip(ids, data, starts, strict=False)
    )


def _added(text: bytes, spoken: bytes, bos: bytes) -> int | None:
    """How many bytes *spoken* has in front of *text*; None if it is another text."""
    for front in (b"", bos, _BLANK, bos + _BLANK):
        if spoken == front + text:
            return len(front)
    return None


def _part(pieces: Sequence[Piece], ends: Sequence[int], start: int, size: int) -> Part | None:
    """The part of the *size* bytes from *start* on; *pieces* end at *ends*."""
    if start + size <= 0:
        return VOCABULARY
    place = bisect_right(ends, max(0, start))
    return pieces[place].part if place < len(pieces) else None
