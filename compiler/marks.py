"""The text that the grammar reads: a Modelfile's, of the same length, with marks in it.

A mark stands for what one character cannot tell by itself, and what a terminal would have to
search the whole rest of the file for. All marks are characters that the reference drops, so the
text itself has none of them: each is first replaced by `DROPPED`.
"""

import re

from mbuild.compiler.characters import blanked
from mbuild.compiler.syntax import WORDS

DROPPED = "\0"
"""A character that the reference drops; around quotes it is as good as a blank."""

_NO_ONE_CLOSES = "\1"  # A quote behind which no quote closes a value.
_NO_THREE_CLOSE = "\2"  # A quote behind which no three quotes close a value.

_NO_LINES = "\4"  # A < that begins no <<WORD whose lines end.

INSTRUCTION_FOLLOWS = "\3"
"""A line end before a line that begins with an instruction; only in texts with quotes."""

OPENING = re.compile(r'[ \t\0]*+(["\1\2](?:\0*["\1\2]\0*["\1\2])?)')
"""The blanks before a quoted value, and the quotes that open it."""

_CLOSES = re.compile(r'"[ \t\0]*+(?![^\r\n])')
_THREE_CLOSE = re.compile(r'"\0*"\0*"[ \t\0]*+(?![^\r\n])')
_BEFORE_INSTRUCTION = re.compile(rf"[\r\n](?=[ \t]*+\0?(?ai:{'|'.join(WORDS)})[ \t])")


def marked(text: str) -> str:
    """*text* with the marks that modelfile.lark explains; of the same length."""
    text = blanked(text, DROPPED)
    if "<<" in text:
        text = _without_idle_openings(text)
    if '"' not in text:
        return text
    one, three = _last(_CLOSES, text), _last(_THREE_CLOSE, text)
    near, far = max(three - 2, 0), max(one, 0)
    middle, rest = text[near:far], text[far:]
    middle, rest = middle.replace('"', _NO_THREE_CLOSE), rest.replace('"', _NO_ONE_CLOSES)
    return _BEFORE_INSTRUCTION.sub(INSTRUCTION_FOLLOWS, text[:near] + middle + rest)


_OPENS_LINES = re.compile(r"<<([A-Z][A-Z0-9_]*+)(?=[ \t\0]*+[\r\n])")
_CLOSES_LINES = re.compile(r"(?<![^\r\n])[A-Z][A-Z0-9_]*+(?![^\r\n])")


def _without_idle_openings(text: str) -> str:
    """*text* with a mark in each ``<<WORD`` behind which no line is WORD."""
    last = {match[0]: match.start() for match in _CLOSES_LINES.finditer(text)}

    def keep(match: re.Match[str]) -> str:
        closes = last.get(match[1], -1) > match.start()
        return match[0] if closes else _NO_LINES + match[0][1:]

    return _OPENS_LINES.sub(keep, text)


def _last(pattern: re.Pattern[str], text: str) -> int:
    """Where *pattern* matches last; -1 if nowhere."""
    last = -1
    for match in pattern.finditer(text):
        last = match.start()
    return last
