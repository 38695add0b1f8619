"""What changes in a file, as a unified diff: for `patch` and `git apply`, or for a person."""

import re
from collections.abc import Iterator
from difflib import unified_diff

import click

from mbuild.compiler.characters import dropped
from mbuild.compiler.diagnostic import visible

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_END = re.compile(r"(?:\r\n|\r|\n)?\Z")
_NO_END = "\\ No newline at end of file\n"


def plain_diff(name: str, before: str, after: str) -> str:
    r"""The diff, to the byte as `patch` wants it.

    >>> print(plain_diff("Modelfile", "from a\n", "FROM a\n"), end="")
    --- Modelfile
    +++ Modelfile (formatted)
    @@ -1 +1 @@
    -from a
    +FROM a
    """
    return "".join(
        line if line.endswith(("\n", "\r")) else f"{line}\n{_NO_END}"
        for line in _lines(name, before, after)
    )


def painted_diff(name: str, before: str, after: str) -> str:
    """The diff in colours. What cannot be seen is shown: blanks and odd line ends, marks."""
    heads, lines = [], _lines(name, before, after)
    for _, head in zip(range(2), lines, strict=False):
        heads.append(click.style(visible(head.rstrip("\n")), bold=True))
    usual = _end(after)
    return "\n".join([*heads, *(_painted(line, usual) for line in lines), ""])


def _lines(name: str, before: str, after: str) -> Iterator[str]:
    return unified_diff(
        _LINE.findall(before), _LINE.findall(after), name, f"{name} (formatted)", lineterm="\n"
    )


_COLORS = {"-": "red", "+": "green", "@": "cyan"}
_BLANKS = {" ": "␠", "\t": "␉"}
_ENDS = {"": "␄", "\n": "␊", "\r\n": "␍␊", "\r": "␍"}


def _painted(line: str, usual: str) -> str:
    """One line of the diff; of one that goes, what stands behind its text is marked."""
    end = _end(line)
    body = line.removesuffix(end)
    text = body.rstrip(" \t" + "".join(dropped(body)))
    shown = click.style(visible(text), fg=_COLORS.get(line[0]))
    if line[0] != "-":
        return shown
    blanks = "".join(map(_picture, body[len(text) :]))
    behind = blanks + ("" if end == usual else _ENDS[end])
    return shown + (click.style(behind, bg="red") if behind else "")


def _picture(character: str) -> str:
    return _BLANKS.get(character) or f"<U+{ord(character):04X}>"


def _end(text: str) -> str:
    """The line end at the end of *text*."""
    found = _END.search(text[-2:])
    assert found is not None, "it matches the empty text"
    return found[0]
