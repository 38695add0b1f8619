"""Two texts, word by word: what went, what came, what stayed."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import Enum

_LINES = re.compile(r"[^\n]*\n|[^\n]+")
_WORDS = re.compile(r"\w+|\s|[^\w\s]")
_MOST_LINES = 4000  # What has more of them is not compared line by line,
_MOST_WORDS = 2000  # nor word by word: the time grows with the square.


class Change(Enum):
    """What became of a run of words."""

    SAME = "same"
    GONE = "gone"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Run:
    """Some text, and what became of it."""

    change: Change
    text: str


def compare(old: str, new: str) -> tuple[Run, ...]:
    """How *old* became *new*; runs that are gone stand before those that came for them."""
    return tuple(_merged(_by_lines(old, new)))


def _by_lines(old: str, new: str) -> Iterator[Run]:
    for change, before, behind in _blocks(_LINES.findall(old), _LINES.findall(new), _MOST_LINES):
        if change is Change.SAME:
            yield Run(Change.SAME, before)
        else:
            yield from _by_words(before, behind)


def _by_words(old: str, new: str) -> Iterator[Run]:
    for change, before, behind in _blocks(_WORDS.findall(old), _WORDS.findall(new), _MOST_WORDS):
        if change is Change.SAME:
            yield Run(Change.SAME, before)
        else:
            yield Run(Change.GONE, before)
            yield Run(Change.NEW, behind)


def _blocks(old: Sequence[str], new: Sequence[str], most: int) -> Iterator[tuple[Change, str, str]]:
    """What is the SAME in both, and what is not, with the text on either side."""
    if max(len(old), len(new)) > most:
        whole = "".join(old), "".join(new)
        yield (Change.SAME if whole[0] == whole[1] else Change.NEW, *whole)
        return
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        yield Change.SAME if tag == "equal" else Change.NEW, "".join(old[a:b]), "".join(new[c:d])


def _merged(runs: Iterator[Run]) -> Iterator[Run]:
    """*runs* without empty ones; between two that stay, all that went, then all that came."""
    gone, new = "", ""
    same = ""
    for run in runs:
        match run.change:
            case Change.SAME if run.text:
                yield from _filled(Run(Change.GONE, gone), Run(Change.NEW, new))
                gone, new = "", ""
                same += run.text
            case Change.GONE | Change.NEW if run.text:
                yield from _filled(Run(Change.SAME, same))
                same = ""
                gone += run.text if run.change is Change.GONE else ""
                new += run.text if run.change is Change.NEW else ""
            case _:
                pass
    yield from _filled(Run(Change.SAME, same), Run(Change.GONE, gone), Run(Change.NEW, new))


def _filled(*runs: Run) -> Iterator[Run]:
    return (run for run in runs if run.text)
