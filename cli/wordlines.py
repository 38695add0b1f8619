"""Two texts, word by word, as lines for a screen: what changed, and a little of what is around.

What is gone stands in ``[-…-]``, what is new in ``{+…+}``, so that it can be told apart without
colours, too.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeAlias

import click

from mbuild.cli.worddiff import Change, Run, compare
from mbuild.cli.wordwrap import cells
from mbuild.compiler.diagnostic import visible

_MARKS = {Change.SAME: ("", ""), Change.GONE: ("[-", "-]"), Change.NEW: ("{+", "+}")}
_COLOURS = {Change.GONE: "red", Change.NEW: "green"}
_MORE = "⋮"  # for lines that are not shown
_CONTEXT = 2  # lines that are shown around a change
_WORD = re.compile(r"\w+")
_BREAKS = re.compile(r"\s*\S+|\s+")

_Line: TypeAlias = Sequence[Run]


def changed_lines(old: str, new: str, *, width: int | None = None) -> list[str]:
    """The lines of both texts in which something changed, and those around them.

    Lines longer than *width* cells are broken between words.
    """
    lines = _split(compare(old, new))
    near = {
        each
        for index, line in enumerate(lines)
        if any(run.change is not Change.SAME for run in line)
        for each in range(index - _CONTEXT, index + _CONTEXT + 1)
    }
    shown: list[str] = []
    for index, line in enumerate(lines):
        if index in near:
            shown += map(_painted, _broken(line, width))
        elif near and (index == 0 or index - 1 in near):
            shown.append(_MORE)
    return _without_blanks(shown)


def _without_blanks(lines: list[str]) -> list[str]:
    """*lines* without empty ones at either end."""
    while lines and not lines[0].strip():
        del lines[0]
    while lines and not lines[-1].strip():
        del lines[-1]
    return lines


def whole_lines(text: str, change: Change, *, width: int | None = None) -> list[str]:
    """The lines of a *text* that came or went as a whole, each behind its sign."""
    sign = {Change.GONE: "- ", Change.NEW: "+ ", Change.SAME: "  "}[change]
    room = None if width is None else width - len(sign)
    rows = (row for line in _split([Run(Change.SAME, text)]) for row in _broken(line, room))
    shown = _without_blanks(["".join(run.text for run in row) for row in rows])
    return [click.style(f"{sign}{line}", fg=_COLOURS.get(change)) for line in shown]


def words_changed(old: str, new: str) -> str:
    """How much of a text changed, in words.

    >>> words_changed("a small kid", "a big kid"), words_changed("hi", "hi there, you")
    ('1 word changed', '2 words added')
    """
    gone, came, changed = 0, 0, 0
    for before, behind in _turns(compare(old, new)):
        gone += before
        came += behind
        changed += max(before, behind)
    if changed == 0:
        return "punctuation or blanks changed"
    what = "added" if gone == 0 else "removed" if came == 0 else "changed"
    return f"{changed} {'word' if changed == 1 else 'words'} {what}"


def _turns(runs: Iterable[Run]) -> Iterator[tuple[int, int]]:
    """For each place that changed, the words that went and that came."""
    gone = 0
    for run in runs:
        count = len(_WORD.findall(run.text))
        match run.change:
            case Change.GONE:
                gone = count
            case Change.NEW:
                yield gone, count
                gone = 0
            case Change.SAME:
                yield gone, 0
                gone = 0
    yield gone, 0


def _split(runs: Iterable[Run]) -> list[list[Run]]:
    """*runs*, line by line. A line end that went or came is shown as a sign of its own."""
    lines: list[list[Run]] = [[]]
    for run in runs:
        first, *others = run.text.split("\n")
        sign = "" if run.change is Change.SAME else "⏎"
        parts = [first, *others]
        for number, part in enumerate(parts):
            text = part + (sign if number < len(parts) - 1 else "")
            if number > 0:
                lines.append([])
            if text:
                lines[-1].append(Run(run.change, visible(text.replace("\t", "    "))))
    if not lines[-1]:
        lines.pop()
    return lines


def _broken(line: _Line, width: int | None) -> Iterator[_Line]:
    """*line* as lines of at most *width* cells, if that can be had by breaks between words."""
    if width is None:
        yield line
        return
    row: list[Run] = []
    for word in _words(line):
        apart = word.text[0].isspace() or (bool(row) and row[-1].text[-1].isspace())
        if row and apart and _cells([*row, word]) > width:
            yield _joined(row)
            row = []
            if word.change is Change.SAME:
                word = Run(word.change, word.text.lstrip())  # The end of the line stands for it.
        if word.text:
            row.append(word)
    yield _joined(row)


def _words(line: _Line) -> Iterator[Run]:
    return (Run(run.change, word) for run in line for word in _BREAKS.findall(run.text))


def _joined(row: _Line) -> list[Run]:
    """*row* with one run for all that are beside each other and of one kind."""
    return [
        Run(change, "".join(run.text for run in runs))
        for change, runs in groupby(row, key=lambda run: run.change)
    ]


def _cells(row: _Line) -> int:
    runs = _joined(row)
    marks = sum(len(mark) for run in runs for mark in _MARKS[run.change])
    return marks + sum(cells(character) for run in runs for character in run.text)


def _painted(line: _Line) -> str:
    return "".join(map(_painted_run, line))


def _painted_run(run: Run) -> str:
    before, behind = _MARKS[run.change]
    if run.change is Change.SAME:
        return run.text
    return click.style(f"{before}{run.text}{behind}", fg=_COLOURS[run.change])
