"""Findings as JSON: one list, with lines and columns from 1 in characters, ends exclusive."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from mbuild.compiler.diagnostic import Diagnostic, Span


def format_json(findings: Iterable[Diagnostic]) -> str:
    """The list of *findings*."""
    return json.dumps([_finding(each) for each in findings], indent=2, ensure_ascii=False) + "\n"


def _finding(finding: Diagnostic) -> Mapping[str, Any]:
    return {
        "code": finding.code.number,
        "name": finding.code.label,
        "severity": finding.severity.value,
        "message": finding.message,
        "hint": finding.hint,
        **_place(finding.span),
        "labels": [{"text": label.text, **_place(label.span)} for label in finding.labels],
        "fix": [{"text": edit.text, **_place(edit.span)} for edit in finding.fix],
    }


def _place(span: Span) -> Mapping[str, Any]:
    line, column = span.source.position(span.start)
    last, end = span.source.position(span.end)
    return {
        "file": span.source.name,
        "line": line,
        "column": column,
        "end_line": last,
        "end_column": end,
    }
