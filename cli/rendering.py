"""A prompt as a person or a program reads it: text in colours, tokens, JSON, differences."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import click

from mbuild.cli import report
from mbuild.cli.terminal import harmless
from mbuild.cli.worddiff import Change, compare
from mbuild.runtime.prompt import Prompt
from mbuild.runtime.tokens import Token

# None is too faint on a dark or a light background; what is not known stays as it is.
_COLOURS = {
    "system": "magenta",
    "example": "cyan",
    "user": "green",
    "assistant": "blue",
    "tool": "yellow",
}
_MARKS = {Change.SAME: ("", ""), Change.GONE: ("[-", "-]"), Change.NEW: ("{+", "+}")}
_CHANGES = {Change.GONE: "red", Change.NEW: "green"}


def painted(prompt: Prompt) -> str:
    """*prompt* for a terminal, in the colours of its parts."""
    return "".join(_paint(harmless(piece.text), piece.part) for piece in prompt.pieces)


def format_tokens(tokens: Sequence[Token]) -> str:
    """A line for each token, with its id, its text and its part, and how many there are."""
    rows = [(str(each.id), quoted(each.data), each.part or "") for each in tokens]
    titles = ("ID", "TOKEN", "PART" if _any_known(tokens) else "")
    header, *lines = (line.rstrip() for line in report.table(titles, rows).splitlines())
    shown = [_paint(line, each.part) for line, each in zip(lines, tokens, strict=True)]
    return "\n".join([header, *shown, "", _counted(tokens)]) + "\n"


def format_json(name: str, prompt: Prompt, tokens: Sequence[Token] | None) -> str:
    """All that is known of *prompt*, for a program; *tokens* if they were asked for."""
    told: dict[str, Any] = {
        "model": name,
        "text": prompt.text,
        "pieces": [{"part": each.part, "text": each.text} for each in prompt.pieces],
    }
    if tokens is not None:
        told["tokens"] = [
            {"id": each.id, "text": each.data.decode("utf-8", "replace"), "part": each.part}
            for each in tokens
        ]
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def format_difference(old: tuple[str, str], new: tuple[str, str]) -> str:
    """How one prompt differs from another, each given by its model's name and its text.

    What is gone stands in ``[-…-]``, what is new in ``{+…+}``.
    """
    if old[1] == new[1]:
        return f"{old[0]} and {new[0]} give the same prompt\n"
    shown = (_changed(run.change, run.text) for run in compare(old[1], new[1]))
    text = "".join(shown)
    end = "" if text.endswith("\n") else "\n"
    return f"--- {old[0]}\n+++ {new[0]}\n{text}{end}"


def quoted(data: bytes) -> str:
    r"""*data* in double quotes, and bytes that are no text by their numbers.

    >>> quoted(b"a\n"), quoted(b"\xc3")
    ('"a\\n"', '"\\xc3"')
    """
    try:
        return report.go_string(data.decode())
    except UnicodeDecodeError:
        return '"' + "".join(f"\\x{byte:02x}" for byte in data) + '"'


def _paint(text: str, part: str | None) -> str:
    if part in _COLOURS:
        return click.style(text, fg=_COLOURS[part])
    return text if part is None else click.style(text, dim=True)


def _changed(change: Change, text: str) -> str:
    before, behind = _MARKS[change]
    marked = f"{before}{harmless(text)}{behind}"
    return marked if change is Change.SAME else click.style(marked, fg=_CHANGES[change])


def _counted(tokens: Sequence[Token]) -> str:
    counts = Counter(each.part for each in tokens)
    plural = "token" if len(tokens) == 1 else "tokens"
    known = _listed((count, part) for part, count in counts.items() if part is not None)
    if tokens and not _any_known(tokens):
        known = " (of a Jinja template the parts are not known)"
    return f"{len(tokens)} {plural}{known}"


def _any_known(tokens: Sequence[Token]) -> bool:
    """Whether it is known of any token where it comes from; BOS is the vocabulary's anyway."""
    return any(each.part not in (None, "vocabulary") for each in tokens)


def _listed(counts: Iterable[tuple[int, str]]) -> str:
    text = ", ".join(f"{count} {part}" for count, part in counts)
    return f": {text}" if text else ""
