"""What mends the findings that a build tells, too; they come without a fix from there."""

import re

from mbuild.compiler.diagnostic import Code, Diagnostic, Edit
from mbuild.compiler.parameters import OPTIONS
from mbuild.compiler.rules.quoting import behind_number
from mbuild.compiler.rules.rule import Subject, without
from mbuild.compiler.syntax import ROLES, Parameter

_ADVICE = re.compile(r"write (PARAMETER|MESSAGE) (\w+)")


def word(subject: Subject, finding: Diagnostic) -> tuple[Edit, ...]:
    """Put the word that is missing before a parameter or a role; make other comments ours."""
    span, text = finding.span, finding.span.text
    advice = _ADVICE.fullmatch(finding.hint or "")
    if advice and advice[2] == text:
        return (Edit(subject.source.span(span.start, span.start), f"{advice[1]} "),)
    if finding.hint == "a comment begins with #" and text.startswith(("//", "--", ";")):
        mark = "//" if text.startswith("//") else "--" if text.startswith("--") else ";"
        return (Edit(subject.source.span(span.start, span.start + len(mark)), "#"),)
    return sign(subject, finding)


def sign(subject: Subject, finding: Diagnostic) -> tuple[Edit, ...]:
    """Put a blank where a colon or an equals sign stands behind a word."""
    if finding.span.text not in (":", "=") or "instead of a space" not in finding.message:
        return ()
    after = subject.text[finding.span.end : finding.span.end + 1]
    return (Edit(finding.span, "" if after in (" ", "\t") else " "),)


def parameter_name(subject: Subject, finding: Diagnostic) -> tuple[Edit, ...]:
    """Write a name as it is written, where only case and signs differ."""
    plain = _letters(finding.span.text)
    for name in OPTIONS:
        if plain and plain == _letters(name):
            return (Edit(finding.span, name),)
    return sign(subject, finding)


def _letters(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.lower())


def value(subject: Subject, finding: Diagnostic) -> tuple[Edit, ...]:
    """Write a number or a flag as it is written."""
    written = re.fullmatch(r"write (\S+)", finding.hint or "")
    if written:
        return (Edit(finding.span, written[1]),)
    equals = re.match(r"[=:][ \t]*(?=[\w.+-]+$)", finding.span.text)
    if equals:
        start = finding.span.start
        return (Edit(subject.source.span(start, start + equals.end()), ""),)
    return behind_number(subject, finding)


def role(_subject: Subject, finding: Diagnostic) -> tuple[Edit, ...]:
    """Write a role in lower case and without a colon."""
    meant = finding.span.text.rstrip(":").lower()
    return (Edit(finding.span, meant),) if meant in ROLES else ()


def blanks(_subject: Subject, finding: Diagnostic) -> tuple[Edit, ...]:
    """Leave one blank where one must stand."""
    many = finding.span.text and not finding.span.text.strip(" \t")
    return (Edit(finding.span, " "),) if many else ()


def drop(subject: Subject, finding: Diagnostic) -> tuple[Edit, ...]:
    """Take the parameter out that does nothing."""
    node = subject.parts.said_at(finding.span)
    return without(node) if isinstance(node, Parameter) else ()


def stop(subject: Subject, finding: Diagnostic) -> tuple[Edit, ...]:
    """Take the stop out that stands twice, or is empty."""
    idle = finding.message.endswith("stands twice") or finding.span.text in ("", '""')
    return drop(subject, finding) if idle else ()


def disguise(subject: Subject, finding: Diagnostic) -> tuple[Edit, ...]:
    """Write the instruction's own word."""
    node = subject.parts.said_at(finding.span)
    if not isinstance(node, Parameter) or finding.code is not Code.DISGUISED_INSTRUCTION:
        return ()
    name = node.name.text
    text = node.value.text
    own = {"model": "FROM"}.get(name, name.upper())
    # As an instruction of its own it would read more into such a value.
    if name == "message" or text.startswith(("--", "<<")) or " as " in text.lower() or not text:
        return ()
    return (Edit(subject.source.span(node.word.span.start, node.name.span.end), own),)
