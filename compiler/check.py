"""A tree checked: the recipe that it asks for, or every reason why there is none.

In the default dialect all findings come at once, in source order, and teach. In the reference's
the first mistake that it would report is the only error, in its own words.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from mbuild.compiler import advice
from mbuild.compiler.diagnostic import Code, Diagnostic, Severity, Span
from mbuild.compiler.dialect import NO_FROM, NOT_A_VERSION, Dialect, scan
from mbuild.compiler.parameters import DEPRECATED, OPTIONS, Type, convert
from mbuild.compiler.recipe import Located, Message, ParameterValue, Recipe
from mbuild.compiler.source import decode, doubts
from mbuild.compiler.syntax import (
    SIMPLE,
    Comment,
    Instruction,
    Junk,
    Modelfile,
    Parameter,
    Value,
)
from mbuild.compiler.syntax import Message as MessageInstruction


def load(
    name: str, data: bytes, *, dialect: Dialect = "mbuild"
) -> tuple[Recipe | None, tuple[Diagnostic, ...]]:
    """The recipe that the file *data* asks for, if it has no errors, and every finding.

    *name* is what findings call the file. Opens nothing.
    """
    source = decode(name, data)
    if dialect == "ollama":
        return check(scan(source), dialect=dialect)
    doubtful = doubts(source, data)
    if _has_errors(doubtful):
        return None, doubtful
    # Imported here: the reference's dialect does not need it.
    from mbuild.compiler.parser import parse

    recipe, findings = check(parse(source))
    return recipe, _in_order((*doubtful, *findings))


def check(
    modelfile: Modelfile, *, dialect: Dialect = "mbuild"
) -> tuple[Recipe | None, tuple[Diagnostic, ...]]:
    """The recipe, if there were no errors, and every finding.

    The dialect is the one that the tree was read with.
    """
    findings = list(modelfile.findings)
    if dialect == "ollama" and findings:
        return None, tuple(findings)
    entries = [_entry(node) for node in modelfile.statements if not isinstance(node, _NOTHING)]
    if not any(entry.kind == "from" for entry in entries) and not _meant_from(modelfile):
        findings.append(_no_from(modelfile, dialect))
        if dialect == "ollama":
            return None, tuple(findings)
    collected = _Collected(dialect)
    for entry in entries:
        collected.add(entry)
    findings += collected.findings()
    if dialect == "ollama":
        findings = _up_to_first_error(findings)
    ordered = tuple(findings) if dialect == "ollama" else _in_order(findings)
    return None if _has_errors(findings) else collected.recipe(), ordered


_NOTHING = Comment | Junk


def _has_errors(findings: Iterable[Diagnostic]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)


def _in_order(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(findings, key=lambda finding: finding.span.start))


def _up_to_first_error(findings: list[Diagnostic]) -> list[Diagnostic]:
    for index, finding in enumerate(findings):
        if finding.severity is Severity.ERROR:
            return findings[: index + 1]
    return findings


def _meant_from(modelfile: Modelfile) -> bool:
    """Whether what is wrong is probably the FROM itself, so that it is not missing too."""
    words = (node.span.text[:40].split() for node in modelfile.statements if isinstance(node, Junk))
    return any(word and advice.nearest_instruction(word[0]) == "from" for word in words)


def _no_from(modelfile: Modelfile, dialect: Dialect) -> Diagnostic:
    span = modelfile.source.span(0, 0)
    if dialect == "ollama":
        return Diagnostic(Code.NO_FROM, NO_FROM, span)
    hint = "say what to build on, such as FROM llama3.2 or FROM ./model.gguf"
    return Diagnostic(Code.NO_FROM, "no FROM", span, hint)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What an instruction sets, whether it is said with its own word or with PARAMETER."""

    kind: str  # The instruction's word, or "parameter" or "message".
    name: str  # Of a parameter; empty otherwise.
    role: str | None  # Of a MESSAGE; a disguised one has it in its text.
    value: Value
    label: str  # As the author says it.
    span: Span  # Of the word or the name.
    disguised: bool = False


_DISGUISES = {"model": "from", "message": "message"} | {
    word: word for word in SIMPLE if word != "from"
}
"""Names of parameters that are instructions: the reference calls both by one name."""


def _entry(node: Instruction) -> _Entry:
    word = node.word.text.upper()
    match node:
        case Parameter(name=name):
            kind = _DISGUISES.get(name.text, "parameter")
            label = f"{word} {name.text}"
            disguised = kind != "parameter"
            return _Entry(kind, name.text, None, node.value, label, name.span, disguised)
        case MessageInstruction(role=role):
            return _Entry("message", "", role.text, node.value, word, node.word.span)
        case _:
            return _Entry(word.lower(), "", None, node.value, word, node.word.span)


class _Collected:
    """What the instructions so far ask for, and what is wrong with them."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._findings: list[Diagnostic] = []
        self._last: dict[str, _Entry] = {}  # What a later one replaces, by kind or name.
        self._sources: list[Located] = []
        self._drafts: list[Located] = []
        self._licenses: list[str] = []
        self._messages: list[Message] = []
        self._parameters: dict[str, ParameterValue] = {}
        self._lists: dict[str, list[str]] = {}
        self._places: dict[str, list[Span]] = {}
        self._not_finite: dict[str, Diagnostic] = {}

    def add(self, entry: _Entry) -> None:
        """Take one more instruction, in file order."""
        if entry.disguised:
            self._teach(
                Code.DISGUISED_INSTRUCTION,
                entry.span,
                f"{entry.label} acts as {entry.kind.upper()}",
                f"write {entry.kind.upper()} without PARAMETER",
            )
        match entry.kind:
            case "from":
                self._sources.append(_located(entry.value))
            case "draft":
                self._drafts.append(_located(entry.value))
            case "license":
                self._licenses.append(entry.value.text)
            case "message":
                self._messages.append(_turn(entry))
            case "parameter":
                self._parameter(entry)
            case _:
                self._replace(entry.kind, entry)
                if entry.kind == "requires" and _version(entry.value.cleaned) is None:
                    self._bad_version(entry.value)

    def findings(self) -> list[Diagnostic]:
        """What is wrong, in file order, but what is known only at the very end comes last."""
        # The reference writes its request then, with the names of the parameters in order.
        return self._findings + [self._not_finite[name] for name in sorted(self._not_finite)]

    def recipe(self) -> Recipe:
        """What is asked for; only if nothing was wrong."""
        adapter = self._last.get("adapter")
        requires = self._cleaned("requires")
        lists = {name: tuple(texts) for name, texts in self._lists.items()}
        return Recipe(
            sources=tuple(self._sources),
            adapters=(_located(adapter.value),) if adapter else (),
            drafts=tuple(self._drafts),
            template=self._text("template"),
            system=self._text("system"),
            licenses=tuple(self._licenses),
            messages=tuple(self._messages),
            parameters=self._parameters | lists or None,
            renderer=self._cleaned("renderer"),
            parser=self._cleaned("parser"),
            requires=_version(requires) if requires else None,
            places={name: tuple(spans) for name, spans in self._places.items()},
        )

    def _text(self, kind: str) -> Located | None:
        entry = self._last.get(kind)
        return _located(entry.value) if entry and entry.value.text else None

    def _cleaned(self, kind: str) -> str | None:
        entry = self._last.get(kind)
        return entry.value.cleaned or None if entry else None

    def _replace(self, key: str, entry: _Entry) -> None:
        earlier = self._last.get(key)
        self._last[key] = entry
        if earlier is not None:
            message = f"{earlier.label} has no effect"
            hint = f"line {entry.span.line} sets it again, and the last one wins"
            self._teach(Code.REPLACED, earlier.span, message, hint)

    def _parameter(self, entry: _Entry) -> None:
        name, option = entry.name, OPTIONS.get(entry.name)
        if name in DEPRECATED:
            message = f"parameter {name} is deprecated"
            self._find(Code.DEPRECATED_PARAMETER, entry.span, message, message, DEPRECATED[name])
        elif option is None:
            self._find(
                Code.UNKNOWN_PARAMETER,
                entry.span,
                f"unknown parameter '{name}'",
                f"unknown parameter {advice.short(name)}",
                advice.about_parameter(name),
            )
        elif option.type is Type.TEXTS:
            self._lists.setdefault(name, []).append(entry.value.text)
            self._places.setdefault(name, []).append(entry.value.span)
        else:
            self._replace(f"parameter {name}", entry)
            self._convert(name, option.type, entry)

    def _convert(self, name: str, type_: Type, entry: _Entry) -> None:
        text = entry.value.cleaned
        try:
            value = convert(name, text)
        except ValueError as wrong:
            message = (
                f"{name} {_NEEDS[type_]}, not {advice.short(text)}"
                if text
                else f"{name} has no value"
            )
            hint = advice.about_value(type_, text)
            self._find(Code.WRONG_TYPE, entry.value.span, str(wrong), message, hint)
            return
        self._parameters[name] = value
        self._places[name] = [entry.value.span]
        self._not_finite.pop(name, None)
        if isinstance(value, float) and not math.isfinite(value):
            self._refuse_not_finite(name, value, entry.value)

    def _refuse_not_finite(self, name: str, value: float, text: Value) -> None:
        """Note that no JSON can hold *value*, unless a later line replaces it."""
        number = "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
        reference = f"json: unsupported value: {number}"
        message = f"{name} needs a finite number, not {advice.short(text.cleaned)}"
        shown = reference if self._dialect == "ollama" else message
        self._not_finite[name] = Diagnostic(Code.WRONG_TYPE, shown, text.span)

    def _bad_version(self, value: Value) -> None:
        message = (
            f"{advice.short(value.cleaned)} is no version"
            if value.cleaned
            else "REQUIRES has no version"
        )
        hint = advice.OWN_LINE if "#" in value.cleaned else "write it as in REQUIRES 0.14.0"
        self._find(Code.NOT_A_VERSION, value.span, NOT_A_VERSION, message, hint)

    def _find(self, code: Code, span: Span, reference: str, message: str, hint: str | None) -> None:
        """Note what both dialects find, each in its own words."""
        if self._dialect == "ollama":
            self._findings.append(Diagnostic(code, reference, span))
        else:
            self._teach(code, span, message, hint)

    def _teach(self, code: Code, span: Span, message: str, hint: str | None) -> None:
        """Note what the reference says nothing about."""
        if self._dialect != "ollama":
            self._findings.append(Diagnostic(code, message, span, hint))


_NEEDS = {
    Type.INT: "needs a whole number",
    Type.FLOAT: "needs a number",
    Type.BOOL: "needs true or false",
}


def _located(value: Value) -> Located:
    return Located(value.text, value.span)


def _turn(entry: _Entry) -> Message:
    if entry.role is not None:
        return Message(entry.role, entry.value.text)
    # Said with PARAMETER, where a role is part of the text: read as the reference reads it.
    role, _, content = entry.value.cleaned.partition(": ")
    return Message(role, content)


_CORE = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){0,2}", re.ASCII)
_WORD = re.compile(r"[0-9A-Za-z-]+")


def _version(text: str) -> str | None:
    """A semantic version without its leading v, or ``None`` if *text* is none.

    Minor and patch may be left out, but not before a pre-release or a build.
    """
    version = text.removeprefix("v")
    rest, plus, build = version.partition("+")
    core, dash, release = rest.partition("-")
    if not _CORE.fullmatch(core) or ((plus or dash) and core.count(".") != 2):
        return None
    words = [*(release.split(".") if dash else ()), *(build.split(".") if plus else ())]
    if not all(_WORD.fullmatch(word) for word in words):
        return None
    padded = any(word.isdigit() and word[0] == "0" != word for word in release.split("."))
    return None if padded else version
