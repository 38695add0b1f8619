"""What the author of a mistake probably meant: the hints of findings."""

import re
from collections.abc import Iterable
from functools import lru_cache

from mbuild.compiler.parameters import OPTIONS, REMOVED, Type
from mbuild.compiler.syntax import ALL_WORDS, ROLES

OWN_LINE = "a comment needs a line of its own, which begins with #"
"""For text behind a value that looks like a comment."""


SEVERAL_LINES = 'a value of several lines stands between """'
"""For text that looks as if it belonged to the line before."""


_LONGEST = 40  # Characters.


def short(text: str) -> str:
    """*text* as a message repeats it: its first line, and not too much of that."""
    line, *more = text.strip().splitlines() or [""]
    return f"{line[:_LONGEST]}…" if more or len(line) > _LONGEST else line


def nearest_instruction(word: str) -> str | None:
    """The instruction, in lower case, that *word* was probably meant to be."""
    # A letter too many or too few, or words of other formats that build files have.
    others = {"params": "parameter", "param": "parameter", "base": "from"}
    name = word.lower()
    return others.get(name) or _nearest(name, ALL_WORDS)


def nearest_parameter(name: str) -> str | None:
    """The parameter that *name* was probably meant to be."""
    # `num-ctx`, `numCtx` and `NUM_CTX` differ only in what a hurried hand gets wrong.
    plain = {option.replace("_", ""): option for option in OPTIONS}
    close = _nearest(re.sub("[^a-z0-9]", "", name.lower()), plain)
    return plain[close] if close else None


def _nearest(word: str, known: Iterable[str]) -> str | None:
    return None if len(word) > 40 else _nearest_of(word, tuple(known))


@lru_cache(maxsize=1000)  # The same mistake is often made again.
def _nearest_of(word: str, known: tuple[str, ...]) -> str | None:
    # Imported here: only a mistake needs it.
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1, cutoff=0.7)
    return close[0] if close else None


_REMARKS = ("//", "--", ";", "/*")


def about_word(word: str, *, follows: bool) -> str | None:
    """What to write instead of *word*, which begins no instruction.

    *follows* tells that it stands directly below other text.
    """
    if word.startswith(_REMARKS):
        return "a comment begins with #"
    if word in OPTIONS:
        return f"write PARAMETER {word}"
    if word.rstrip(":").lower() in ROLES:
        return f"write MESSAGE {word.rstrip(':').lower()}"
    if word.upper() == "EMBED":
        return "it was removed: drop the line"
    close = nearest_instruction(word.rstrip(":="))
    if close:
        return f"did you mean {close.upper()}?"
    return SEVERAL_LINES if follows else None


def about_parameter(name: str) -> str | None:
    """What to write instead of the unknown parameter *name*."""
    if name in REMOVED:
        return REMOVED[name]
    if name.lower() in ALL_WORDS:
        return f"{name.upper()} is an instruction of its own, without PARAMETER"
    close = nearest_parameter(name)
    return f"did you mean {close}?" if close else None


def about_role(role: str) -> str:
    """What to write instead of the unknown *role*."""
    if role.lower() in ROLES:
        return f"roles are written in lower case: {role.lower()}"
    bare = role.rstrip(":")
    if bare.lower() in ROLES:
        return f"no colon between the role and the text: MESSAGE {bare.lower()} ..."
    close = _nearest(role.lower(), ROLES)
    return f"did you mean {close}?" if close else "the roles are system, user and assistant"


_YES = {"yes", "y", "on", "enable", "enabled"}
_NO = {"no", "n", "off", "disable", "disabled"}
_KILO = re.compile(r"([0-9]{1,6})[kK]")
_WHOLE = re.compile(r"([+-]?[0-9]+)\.0*")


def about_value(type_: Type, text: str) -> str | None:
    """What to write instead of *text*, which is no value of *type_*."""
    if "#" in text:
        return OWN_LINE
    if type_ is Type.BOOL and text.lower() in _YES | _NO | {"true", "false"}:
        return f"write {'true' if text.lower() in _YES | {'true'} else 'false'}"
    if type_ is Type.INT:
        return _about_whole_number(text)
    if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", text):
        return f"write {text.replace(',', '.')}"
    return None


def _about_whole_number(text: str) -> str | None:
    if kilo := _KILO.fullmatch(text):
        return f"write {int(kilo[1]) * 1024}"
    if whole := _WHOLE.fullmatch(text):
        return f"write {whole[1]}"
    if re.fullmatch(r"[0-9]{1,3}([_,'][0-9]{3})+", text):
        return f"write {re.sub('[^0-9]', '', text)}"
    return None
