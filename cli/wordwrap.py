"""Text for a terminal while it is still being written: words are not cut at its edge.

A word is shown as its letters come. When it turns out not to fit, it is taken back (cursor to
the left, clear to the end of the line) and written again on the next line.
"""

import unicodedata
from itertools import pairwise

_SPARE = 5  # cells that stay free at the right
_LONGEST = 10  # cells; a word longer than the terminal less these is split
_TAB = 8
_JOINER = "\u200d"  # joins two emoji to one


class Wrapped:
    """The text of one answer, part by part."""

    def __init__(self) -> None:
        self._column = 0
        self._word = ""
        self._before = ""  # the character before

    def feed(self, text: str, width: int) -> str:
        """What to write for *text* on a terminal of *width* cells; below 10, *text* itself."""
        if width < 10:
            return text
        return "".join(self._place(character, width) for character in text)

    def _place(self, character: str, width: int) -> str:
        if character in "\r\n":
            self._column, self._word, self._before = 0, "", ""
            return character
        blank = character in " \t"
        size = _TAB - self._column % _TAB if character == "\t" else cells(character, self._before)
        self._before = character
        lead = ""
        if self._column + size > width - _SPARE:
            if blank:
                # The end of the line stands for it.
                self._column, self._word = 0, ""
                return "\n"
            lead = self._break(size, width)
        self._column += size
        # A wide character stands for a word of its own, with what is drawn into it.
        alone = blank or size >= 2 or (size == 0 and not self._word)
        self._word = "" if alone else self._word + character
        return lead + character

    def _break(self, size: int, width: int) -> str:
        """Begin a line, and take along the word that a character of *size* cells belongs to."""
        taken = _cells_of(self._word)
        if taken == 0 or size >= 2 or taken > width - _LONGEST:
            self._column, self._word = 0, ""
            return "\n"
        self._column = taken
        return f"\x1b[{taken}D\x1b[K\n{self._word}"


def cells(character: str, before: str = "") -> int:
    """The cells that a terminal gives *character*, which stands behind *before*.

    >>> cells("a"), cells("犬"), cells("\u0301"), cells("🦕", "\u200d")
    (1, 2, 0, 0)
    """
    if " " <= character < "\x7f":
        return 1
    if before == _JOINER or "\U0001f3fb" <= character <= "\U0001f3ff":
        return 0  # Drawn into the emoji before it, as is a colour of skin.
    if unicodedata.category(character) in ("Mn", "Me", "Cf") or "\u1160" <= character <= "\u11ff":
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cells_of(text: str) -> int:
    return sum(cells(character, before) for before, character in pairwise(f"\0{text}"))
