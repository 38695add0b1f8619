"""What the instructions of one stage ask for, taken one after another.

Here is what repetition does (the last one wins, or each one counts), what a value must look like,
and what UNSET and SYSTEM --append do to what stands before them.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mbuild.compiler import advice
from mbuild.compiler.diagnostic import Code, Diagnostic, Label, Source, Span
from mbuild.compiler.dialect import NOT_A_VERSION, Dialect
from mbuild.compiler.parameters import DEPRECATED, OPTIONS, Type, convert
from mbuild.compiler.recipe import Located, Message, ParameterValue, Recipe
from mbuild.compiler.syntax import SIMPLE, Flag, Instruction, Parameter, Value
from mbuild.compiler.syntax import Message as MessageInstruction


@dataclass(frozen=True, slots=True)
class Entry:
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


def entry(node: Instruction) -> Entry:
    word = node.word.text.upper()
    match node:
        case Parameter(name=name):
            kind = _DISGUISES.get(name.text, "parameter")
            label = f"{word} {name.text}"
            disguised = kind != "parameter"
            return Entry(kind, name.text, None, node.value, label, name.span, disguised)
        case MessageInstruction(role=role):
            return Entry("message", "", role.text, node.value, word, node.word.span)
        case _:
            return Entry(word.lower(), "", None, node.value, word, node.word.span)


class Settings:
    """What the instructions so far ask for, and what is wrong with them."""

    def __init__(
        self,
        dialect: Dialect,
        *,
        folders: Mapping[Source, str] | None = None,
        base: Recipe | None = None,
    ) -> None:
        self._dialect = dialect
        self._folders = folders or {}
        self._base = base
        self._findings: list[Diagnostic] = []
        self._last: dict[str, Entry] = {}  # What a later one replaces, by kind or name.
        self._sources: list[Located] = []
        self._drafts: list[Located] = []
        self._adapters: list[Entry] = []
        self._appended: list[Entry] = []
        self._unset: dict[str, Span | None] = {}
        self._licenses: list[str] = []
        self._messages: list[Message] = []
        self._parameters: dict[str, ParameterValue] = {}
        self._lists: dict[str, list[str]] = {}
        self._places: dict[str, list[Span]] = {}
        self._not_finite: dict[str, Diagnostic] = {}

    def add(self, entry: Entry) -> None:
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
                self._sources.append(self._located(entry.value))
            case "draft":
                self._drafts.append(self._located(entry.value))
            case "adapter":
                self._adapters.append(entry)
            case "license":
                self._licenses.append(entry.value.text)
            case "message":
                self._messages.append(_turn(entry))
            case "parameter":
                self._parameter(entry)
            case "system":
                self._system(entry)
            case "unset":
                self._remove(entry)
            case _:
                self._replace(entry.kind, entry)
                if entry.kind == "quantize":
                    self._check_quantization(entry.value)
                if entry.kind == "schema":
                    self._check_schema(entry.value)
                if entry.kind == "requires" and _version(entry.value.cleaned) is None:
                    self._bad_version(entry.value)

    def findings(self) -> list[Diagnostic]:
        """What is wrong, in file order, but what is known only at the very end comes last."""
        # The reference writes its request then, with the names of the parameters in order.
        late = [self._not_finite[name] for name in sorted(self._not_finite)]
        return self._findings + self._about_adapters() + late

    def recipe(self) -> Recipe:
        """What is asked for; only if nothing was wrong."""
        requires = self._cleaned("requires")
        lists = {name: tuple(texts) for name, texts in self._lists.items()}
        adapters = self._adapters if self._all_scaled() else self._adapters[-1:]
        scales = [_scale(each.value) for each in adapters]
        return Recipe(
            sources=() if self._base else tuple(self._sources),
            adapters=tuple(self._located(each.value) for each in adapters),
            drafts=tuple(self._drafts),
            template=self._text("template"),
            system=self._text("system"),
            licenses=tuple(self._licenses),
            messages=tuple(self._messages),
            parameters=self._parameters | lists or None,
            renderer=self._cleaned("renderer"),
            parser=self._cleaned("parser"),
            requires=_version(requires) if requires else None,
            base=self._base,
            scales=tuple(each for each in scales if each is not None),
            appended=tuple(self._located(each.value) for each in self._appended),
            quantize=self._quantize(),
            schema=self._text("schema"),
            places={name: tuple(spans) for name, spans in self._places.items()},
            unset_at=dict(self._unset),
        )

    def _all_scaled(self) -> bool:
        """Whether each ADAPTER says its scale, so that they add up."""
        return all(
            flag is not None for flag in (_flag(each.value, "scale") for each in self._adapters)
        )

    def _about_adapters(self) -> list[Diagnostic]:
        """What is wrong with scales; and, of adapters that do not add up, all but the last."""
        if self._dialect == "ollama":
            return []
        wrong = [
            Diagnostic(
                Code.BAD_SCALE,
                f"{advice.short(flag.value.text)} is no scale",
                flag.value.span,
                "write a number, as in ADAPTER --scale=0.7 ./style.gguf",
            )
            for each in self._adapters
            if (flag := _flag(each.value, "scale")) and flag.value and _scale(each.value) is None
        ]
        if self._all_scaled():
            return wrong
        return wrong + [
            Diagnostic(
                Code.REPLACED,
                "ADAPTER has no effect",
                each.span,
                f"{_place(self._adapters[-1].span, each.span)} sets it again, and the last one"
                " wins\n"
                "adapters add up if each has a scale, as in ADAPTER --scale=1 ./style.gguf",
                (Label(self._adapters[-1].span, "this one wins"),),
            )
            for each in self._adapters[:-1]
        ]

    def _system(self, entry: Entry) -> None:
        if _flag(entry.value, "append"):
            self._appended.append(entry)
            return
        for each in self._appended:
            message = "SYSTEM --append has no effect"
            hint = f"{_place(entry.span, each.span)} sets the whole text again"
            self._teach(Code.REPLACED, each.span, message, hint, entry.span)
        self._appended.clear()
        self._replace("system", entry)

    def _remove(self, entry: Entry) -> None:
        """Forget what the base, and the lines so far, have set."""
        word, *rest = entry.value.cleaned.split()[:3] or [""]
        kind = word.lower()
        if kind == "parameter" and len(rest) == 1:
            self._remove_parameter(rest[0], entry.value.span)
            return
        if rest or kind not in _REMOVABLE:
            self._bad_unset(entry, kind)
            return
        found = self._last.pop(kind, None) is not None
        match kind:
            case "license":
                found = bool(self._licenses)
                self._licenses.clear()
            case "message":
                found = bool(self._messages)
                self._messages.clear()
            case "adapter":
                found = bool(self._adapters)
                self._adapters.clear()
            case "system":
                found = found or bool(self._appended)
                self._appended.clear()
        self._unset[kind] = None if found else entry.value.span

    def _remove_parameter(self, name: str, span: Span) -> None:
        found = name in self._places
        self._last.pop(f"parameter {name}", None)
        self._parameters.pop(name, None)
        self._lists.pop(name, None)
        self._places.pop(name, None)
        self._not_finite.pop(name, None)
        self._unset[f"parameter {name}"] = None if found else span

    def _bad_unset(self, entry: Entry, kind: str) -> None:
        text = advice.short(entry.value.cleaned)
        shown = ", ".join(each.upper() for each in _REMOVABLE)
        hint = f"it takes one of {shown}, or PARAMETER and a name"
        if kind == "parameter":
            hint = "name one parameter, as in UNSET PARAMETER stop"
        elif kind in OPTIONS:
            hint = f"write UNSET PARAMETER {kind}"
        message = f"UNSET does not know {text}" if text else "UNSET says nothing"
        self._teach(Code.BAD_UNSET, entry.value.span, message, hint)

    def _quantize(self) -> Located | None:
        entry = self._last.get("quantize")
        if entry is None:
            return None
        from mbuild.compiler.quantization import Unsupported, wanted

        type_ = wanted(entry.value.cleaned)
        assert not isinstance(type_, Unsupported), "then there is no recipe"
        return Located(type_, entry.value.span)

    def _check_quantization(self, value: Value) -> None:
        # Imported here: few Modelfiles ask for it.
        from mbuild.compiler.quantization import Unsupported, wanted

        type_ = wanted(value.cleaned)
        if isinstance(type_, Unsupported):
            message = type_.message if value.cleaned else "QUANTIZE names no type"
            self._teach(Code.BAD_QUANTIZATION, value.span, message, type_.hint)

    def _check_schema(self, value: Value) -> None:
        # Imported here: few Modelfiles have one.
        import json

        try:
            schema = json.loads(value.text)
        except json.JSONDecodeError as bad:
            span = value.span
            if span.text == value.text:
                at = min(span.start + bad.pos, span.end)
                span = span.source.span(at, min(at + 1, span.end))
            self._teach(Code.BAD_SCHEMA, span, f"no JSON: {bad.msg.lower()}", _SCHEMA)
            return
        except (RecursionError, ValueError):
            self._teach(Code.BAD_SCHEMA, value.span, "JSON that nests too deeply", None)
            return
        if not isinstance(schema, dict):
            message = "a schema is a JSON object"
            self._teach(Code.BAD_SCHEMA, value.span, message, _SCHEMA)

    def _text(self, kind: str) -> Located | None:
        entry = self._last.get(kind)
        return self._located(entry.value) if entry and entry.value.text else None

    def _located(self, value: Value) -> Located:
        return Located(value.text, value.span, self._folders.get(value.span.source))

    def _cleaned(self, kind: str) -> str | None:
        entry = self._last.get(kind)
        return entry.value.cleaned or None if entry else None

    def _replace(self, key: str, entry: Entry) -> None:
        earlier = self._last.get(key)
        self._last[key] = entry
        if earlier is not None:
            message = f"{earlier.label} has no effect"
            hint = f"{_place(entry.span, earlier.span)} sets it again, and the last one wins"
            self._teach(Code.REPLACED, earlier.span, message, hint, entry.span)

    def _parameter(self, entry: Entry) -> None:
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

    def _convert(self, name: str, type_: Type, entry: Entry) -> None:
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

    def _teach(
        self, code: Code, span: Span, message: str, hint: str | None, winner: Span | None = None
    ) -> None:
        """Note what the reference says nothing about."""
        if self._dialect != "ollama":
            labels = () if winner is None else (Label(winner, "this one wins"),)
            self._findings.append(Diagnostic(code, message, span, hint, labels))


_NEEDS = {
    Type.INT: "needs a whole number",
    Type.FLOAT: "needs a number",
    Type.BOOL: "needs true or false",
}


_REMOVABLE = ("system", "template", "license", "message", "adapter", "schema")
_SCHEMA = "write a JSON schema, as in SCHEMA --file=answer.schema.json"


def _place(span: Span, seen_from: Span) -> str:
    """The line of *span*, and its file if that is another one."""
    line = f"line {span.line}"
    return line if span.source is seen_from.source else f"{line} of {span.source.name}"


def _flag(value: Value, name: str) -> Flag | None:
    return next((flag for flag in value.flags if flag.name == name), None)


def _scale(value: Value) -> float | None:
    """The number behind ``--scale=``, if there is one."""
    flag = _flag(value, "scale")
    if flag is None or flag.value is None or not _NUMBER.fullmatch(flag.value.text):
        return None
    return float(flag.value.text)


_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,6}(?:\.[0-9]*)?|\.[0-9]+)")


def _turn(entry: Entry) -> Message:
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
