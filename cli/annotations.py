"""Findings as commands of a GitHub workflow, which shows them beside the changed lines.

Source: GitHub's documentation of workflow commands: ``::error file=…,line=…::message``.
"""

from collections.abc import Iterable

from mbuild.compiler.diagnostic import Diagnostic, Severity

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def format_github(findings: Iterable[Diagnostic]) -> str:
    """One command in a line for each of *findings*."""
    return "".join(map(_command, findings))


def _command(finding: Diagnostic) -> str:
    source, span = finding.span.source, finding.span
    line, column = source.position(span.start)
    last, end = source.position(span.end)
    properties = {"file": source.name, "line": line, "endLine": last}
    if last == line:
        # Columns are shown for one line only.
        properties |= {"col": column, "endColumn": max(end, column + 1)}
    properties["title"] = str(finding.code)
    given = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    text = finding.message if finding.hint is None else f"{finding.message}\n{finding.hint}"
    return f"::{_COMMANDS[finding.severity]} {given}::{_data(text)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
