"""Findings on a terminal: the text of :func:`mbuild.compiler.diagnostic.render`, in colours."""

from typing import TypedDict

import click

from mbuild.compiler.diagnostic import Diagnostic, Part, Severity, render


class _Style(TypedDict, total=False):
    fg: str
    bold: bool
    dim: bool


_SEVERITIES = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


def _style(part: Part, severity: Severity) -> _Style:
    # No part has a colour that a light or a dark background would swallow.
    match part:
        case Part.PLACE | Part.MESSAGE:
            return {"bold": True}
        case Part.SEVERITY | Part.CARET:
            return {"fg": _SEVERITIES[severity], "bold": True}
        case Part.HINT:
            return {"fg": "cyan"}
        case Part.GUTTER | Part.CODE:
            return {"dim": True}
    return {}


def _paint(part: Part, severity: Severity, text: str) -> str:
    style = _style(part, severity)
    return click.style(text, **style) if style else text


def paint(finding: Diagnostic) -> str:
    """*finding* as a person sees it; click takes the colours out where nobody sees them."""
    import shutil

    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    return render(finding, width=width, paint=_paint) + "\n"
