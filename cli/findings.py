"""Findings on a terminal: the text of :func:`mbuild.compiler.diagnostic.render`, in colours."""

import sys
from typing import TypedDict

import click

from mbuild.compiler.diagnostic import Diagnostic, Part, Severity, render


class _Style(TypedDict, total=False):
    fg: int
    bold: bool


# Of the 256 colours, whose values no theme changes, those that stand out from black and from
# white alike: a contrast of 3 or more with both, which a test holds.
RED, ORANGE, BLUE, TEAL, GREY = 196, 166, 33, 30, 244

SEVERITIES = {Severity.ERROR: RED, Severity.WARNING: ORANGE, Severity.NOTE: BLUE}
"""The colour of each severity."""


def _style(part: Part, severity: Severity) -> _Style:
    match part:
        case Part.PLACE | Part.MESSAGE:
            return {"bold": True}
        case Part.SEVERITY | Part.CARET:
            return {"fg": SEVERITIES[severity], "bold": True}
        case Part.LABEL | Part.HINT:
            return {"fg": TEAL}
        case Part.GUTTER | Part.CODE:
            return {"fg": GREY}
    return {}


def _paint(part: Part, severity: Severity, text: str) -> str:
    style = _style(part, severity)
    return click.style(text, **style) if style else text


def paint(finding: Diagnostic, *, to_stdout: bool = False) -> str:
    """*finding* as a person sees it; click takes the colours out where nobody sees them.

    On a terminal sentences are broken to its width; into a pipe goes one line for each.
    """
    import shutil

    wrap = (sys.stdout if to_stdout else sys.stderr).isatty()
    columns = shutil.get_terminal_size((100, 24)).columns
    # Long lines of prose are hard to read, but a wide terminal may show more of the source.
    width = max(min(columns, 200 if wrap else 120), 20)
    return render(finding, width=width, wrap=wrap, paint=_paint) + "\n"
