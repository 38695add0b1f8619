"""Findings as SARIF 2.1.0, which code hosts and editors read.

Lines and columns count from 1, columns in UTF-16 code units, and ends are exclusive; offsets of
characters count from 0. Source: OASIS, Static Analysis Results Interchange Format 2.1.0.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from mbuild.compiler.diagnostic import Diagnostic, Edit, Severity, Source, Span
from mbuild.compiler.rules import RULES, Rule

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def format_sarif(findings: Iterable[Diagnostic], *, version: str) -> str:
    """A SARIF log of one run with *findings*; *version* is that of mbuild."""
    findings = list(findings)
    codes = sorted({finding.code for finding in findings}, key=lambda code: code.number)
    places = {code: at for at, code in enumerate(codes)}
    driver = {
        "name": "mbuild",
        "version": version,
        "rules": [_rule(RULES[code]) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "utf16CodeUnits",
        "results": [_result(finding, places[finding.code]) for finding in findings],
    }
    # Not indented: programs read it, and that would take ten times as long.
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}) + "\n"


def _rule(rule: Rule) -> Mapping[str, Any]:
    wrong, right = _fenced(rule.wrong), _fenced(rule.right)
    return {
        "id": rule.code.number,
        "name": "".join(word.title() for word in rule.code.label.split("-")),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.cause},
        "help": {
            "text": f"{rule.cause}\n\nWrong:\n{rule.wrong}\nRight:\n{rule.right}",
            "markdown": f"{rule.cause}\n\nWrong:\n\n{wrong}\n\nRight:\n\n{right}\n",
        },
        "defaultConfiguration": {"level": _LEVELS[rule.code.severity]},
    }


def _fenced(example: str) -> str:
    return f"````\n{example.rstrip()}\n````"


def _result(finding: Diagnostic, index: int) -> Mapping[str, Any]:
    text = finding.message if finding.hint is None else f"{finding.message}\n{finding.hint}"
    result: dict[str, Any] = {
        "ruleId": finding.code.number,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": _location(finding.span)}],
    }
    if finding.labels:
        result["relatedLocations"] = [
            {
                "id": number,
                "physicalLocation": _location(label.span),
                "message": {"text": label.text},
            }
            for number, label in enumerate(finding.labels)
        ]
    if finding.fix:
        result["fixes"] = [
            {
                "description": {"text": RULES[finding.code].summary},
                "artifactChanges": _changes(finding.fix),
            }
        ]
    return result


def _changes(edits: Sequence[Edit]) -> list[Mapping[str, Any]]:
    by_source: dict[Source, list[Edit]] = {}
    for edit in edits:
        by_source.setdefault(edit.span.source, []).append(edit)
    return [
        {
            "artifactLocation": {"uri": _uri(source)},
            "replacements": [
                {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.text}}
                for edit in mine
            ],
        }
        for source, mine in by_source.items()
    ]


def _location(span: Span) -> Mapping[str, Any]:
    return {"artifactLocation": {"uri": _uri(span.source)}, "region": _region(span)}


def _region(span: Span) -> Mapping[str, int]:
    first, last = _place(span.source, span.start), _place(span.source, span.end)
    return {
        "startLine": first[0],
        "startColumn": first[1],
        "endLine": last[0],
        "endColumn": last[1],
    }


def _place(source: Source, offset: int) -> tuple[int, int]:
    """Line and column of *offset*, the column in UTF-16 code units."""
    line, column = source.position(offset)
    before = source.text[offset - column + 1 : offset]
    return line, 1 + len(before) + sum(character > "\uffff" for character in before)


def _uri(source: Source) -> str:
    """A reference to the file, relative if its name is."""
    return quote(source.name.replace("\\", "/"), safe="/~!$&'()*+,;=@")
