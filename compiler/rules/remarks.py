"""``# mbuild: ignore=MB012``: a remark to lint, about the instruction that follows it."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mbuild.compiler.diagnostic import Code, Diagnostic, Span
from mbuild.compiler.rules.rule import Rule, Subject, found
from mbuild.compiler.syntax import Comment

_REMARK = re.compile(r"#[ \t]*mbuild[ \t]*:[ \t]*(?P<said>.*)", re.DOTALL)
_IGNORE = re.compile(r"ignore[ \t]*=")


@dataclass(frozen=True, slots=True)
class Remark:
    """A code that is not to be told of between two offsets, and where that is said."""

    code: Code
    start: int
    end: int
    span: Span


def remarks(subject: Subject) -> tuple[tuple[Remark, ...], tuple[Diagnostic, ...]]:
    """What the comments of a file ask not to be told, and what is wrong with them."""
    if "mbuild" not in subject.text:
        return (), ()
    found_remarks: list[Remark] = []
    wrong: list[Diagnostic] = []
    statements = subject.tree.statements
    following: list[Span | None] = []  # Of each statement, the next that is no comment.
    ahead: Span | None = None
    for node in reversed(statements):
        following.append(ahead)
        ahead = ahead if isinstance(node, Comment) else node.span
    for node, about in zip(statements, reversed(following), strict=True):
        match = _REMARK.match(node.span.text) if isinstance(node, Comment) else None
        if match is None:
            continue
        # The line as a whole, and the lines that the value goes on to.
        start = node.span.end if about is not None else len(subject.text)
        end = len(subject.text) if about is None else _line_end(subject, about)
        for code, span in _codes(subject, node.span, match):
            if isinstance(code, Code):
                found_remarks.append(Remark(code, start, end, span))
            else:
                hint = _near(code)
                wrong += found(Code.UNKNOWN_IGNORE, f"no rule is called {code}", span, hint)
    return tuple(found_remarks), tuple(wrong)


def _line_end(subject: Subject, span: Span) -> int:
    return subject.source.line_end(max(span.start, span.end - 1)) + 1


def _codes(subject: Subject, span: Span, match: re.Match[str]) -> Iterator[tuple[Code | str, Span]]:
    start = span.start + match.start("said")
    ignore = _IGNORE.match(match["said"])
    if ignore is None:
        yield match["said"].strip() or "nothing", subject.source.span(start, span.end)
        return
    start += ignore.end()
    text = subject.text[start : span.end]
    # Behind the codes there may stand a reason.
    listed = re.match(r"[ \t]*[\w-]+(?:[ \t]*,[ \t]*[\w-]+)*", text)
    for word in re.finditer(r"[\w-]+", listed[0] if listed else ""):
        place = subject.source.span(start + word.start(), start + word.end())
        yield named(word[0]) or word[0], place
    if listed is None:
        yield "nothing", subject.source.span(start, span.end)


_CODES = {key: code for code in Code for key in (code.number.lower(), code.label)}


def named(text: str) -> Code | None:
    """The code with the number or the name *text*, in any case."""
    return _CODES.get(text.lower().replace("_", "-"))


def _near(text: str) -> str | None:
    from difflib import get_close_matches

    near = get_close_matches(text.lower(), _CODES, n=1)
    return f"did you mean {_CODES[near[0]]}?" if near else "mbuild lint --explain tells them all"


def heeded(
    findings: Iterable[Diagnostic], asked: tuple[Remark, ...], subject: Subject
) -> tuple[Diagnostic, ...]:
    """*findings* without those that remarks ask not to tell, and a note of each idle remark."""
    by_code: dict[Code, list[Remark]] = {}
    for remark in asked:
        by_code.setdefault(remark.code, []).append(remark)
    used: set[Remark] = set()
    left: list[Diagnostic] = []
    for finding in findings:
        heard = _about(finding, by_code.get(finding.code, []), subject)
        if heard is None:
            left.append(finding)
        else:
            used.add(heard)
    for remark in asked:
        if remark not in used:
            message = f"there is no {remark.code.label} here to ignore"
            left += found(Code.IDLE_IGNORE, message, remark.span, "leave it out")
    return tuple(left)


def _about(finding: Diagnostic, asked: list[Remark], subject: Subject) -> Remark | None:
    """Which of the remarks *asked*, in file order, *finding* is not to be told for."""
    start = finding.span.start
    at = bisect_right(asked, start, key=lambda remark: remark.start) - 1
    if at < 0 or finding.span.source is not subject.source:
        return None
    return asked[at] if start < asked[at].end else None


RULES = (
    Rule(
        Code.IDLE_IGNORE,
        "A remark asks to ignore what there is not.",
        "The mistake was mended, and the remark would hide the next one.",
        "FROM llama3.2:3b\n# mbuild: ignore=idle-sampler\nPARAMETER temperature 0.5\n",
        "FROM llama3.2:3b\nPARAMETER temperature 0.5\n",
    ),
    Rule(
        Code.UNKNOWN_IGNORE,
        "A remark names a rule that there is not.",
        "It ignores nothing.",
        "FROM llama3.2:3b\n# mbuild: ignore=MB999\nSYSTEM You are a parrot.\n",
        "FROM llama3.2:3b\nSYSTEM You are a parrot.\n",
    ),
)
