"""How one model differs from another, as text: in full, in a few words, as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from mbuild.cli import report
from mbuild.cli.humanize import size
from mbuild.cli.worddiff import Change
from mbuild.cli.wordlines import changed_lines, whole_lines, words_changed
from mbuild.compiler.comparison import (
    Adapters,
    Difference,
    Licenses,
    Messages,
    Parameter,
    Projectors,
    Scaled,
    Setting,
    Text,
    Turn,
    Unknown,
    Weights,
    moves,
)
from mbuild.compiler.diagnostic import visible
from mbuild.store.gojson import Json
from mbuild.store.manifest import Layer

_UNSET = "–"
_LONGEST = 40  # characters of a value in a summary

# What the fields of the configuration are called.
_SETTINGS = {
    "model_type": "parameters",
    "file_type": "quantization",
    "model_family": "architecture",
    "model_families": "architectures",
    "model_format": "format",
}
_OF_WEIGHTS = {*_SETTINGS, "context_length", "embedding_length"}
# Of what the weights say of themselves, what a person wants to know when they are other weights.
_TELLING = {"model_type", "file_type", "model_family"}


def told(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """*differences* without those that follow from others."""
    every = tuple(differences)
    if not any(isinstance(each, Weights) for each in every):
        return every
    implied = _OF_WEIGHTS - _TELLING
    return tuple(each for each in every if not (isinstance(each, Setting) and each.name in implied))


def format_differences(differences: Iterable[Difference], *, width: int | None = None) -> str:
    """All of *differences*, in sections; lines of texts are broken at *width* cells."""
    sections: dict[str, list[str]] = {}
    for each in told(differences):
        sections.setdefault(_title(each), []).extend(_lines(each, width))
    return "\n".join(_section(title, lines) for title, lines in sections.items())


def _section(title: str, lines: Iterable[str]) -> str:
    return "".join([f"  {title}\n", *(f"    {line}".rstrip() + "\n" for line in lines)])


def _title(difference: Difference) -> str:
    match difference:
        case Weights(part) | Text(part):
            return part.capitalize()
        case Setting(name):
            return "Weights" if name in _OF_WEIGHTS else "Configuration"
        case Unknown():
            return "Other layers"
        case Parameter():
            return "Parameters"
    return type(difference).__name__


def _lines(difference: Difference, width: int | None) -> list[str]:
    match difference:
        case Weights(_, old, new):
            return _moved([_layer(each) for each in (old,) if each], [_layer(new)] if new else [])
        case Setting(name, old, new):
            return [_row(_setting(name), _word(old), _word(new))]
        case Parameter(name, old, new):
            return [_row(name, _value(old), _value(new))]
        case Text(_, old, new):
            return _text_lines(old or "", new or "", None if width is None else width - 4)
        case Messages(old, new):
            return _moved([_turn(each) for each in old], [_turn(each) for each in new])
        case Licenses(old, new):
            return _moved([_license(each) for each in old], [_license(each) for each in new])
        case Projectors(old, new):
            return _moved([_layer(each) for each in old], [_layer(each) for each in new])
        case Adapters(old, new):
            return _moved([_adapter(each) for each in old], [_adapter(each) for each in new])
        case Unknown(old, new):
            return _moved([_other(each) for each in old], [_other(each) for each in new])


def _text_lines(old: str, new: str, width: int | None) -> list[str]:
    if old and new:
        return changed_lines(old, new, width=width)
    return [
        *whole_lines(old, Change.GONE, width=width),
        *whole_lines(new, Change.NEW, width=width),
    ]


def _row(name: str, old: str, new: str) -> str:
    return f"{visible(name):<16} {click.style(old, fg='red')} → {click.style(new, fg='green')}"


def _moved(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """A line for each of what went and of what came."""
    return [
        click.style(f"+ {new[move.index]}", fg="green")
        if move.came
        else click.style(f"- {old[move.index]}", fg="red")
        for move in moves(old, new)
    ]


def _layer(layer: Layer) -> str:
    return f"{layer.digest.short}   {size(layer.size)}   {visible(layer.origin)}".rstrip()


def _other(layer: Layer) -> str:
    return f"{visible(layer.media_type)}   {_layer(layer)} {visible(layer.name)}".rstrip()


def _adapter(adapter: Scaled) -> str:
    return f"{_layer(adapter.layer)}   scale {_number(adapter.scale)}"


def _turn(turn: Turn) -> str:
    fields = dict(turn)
    role, content = fields.pop("role", ""), fields.pop("content", "")
    more = f" {json.dumps(fields, ensure_ascii=False)}" if fields else ""
    return visible(f"{role}: {str(content).strip()}{more}".replace("\n", " ⏎ "))


def _license(text: str) -> str:
    return f"{_first_line(text)}   {size(len(text.encode()))}"


def _first_line(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return visible(next(filter(None, lines), ""))


def _setting(name: str) -> str:
    return _SETTINGS.get(name, name.replace("_", " "))


def _word(value: Json) -> str:
    """The value of a setting: texts there are words, and need no quotes."""
    match value:
        case str() if value:
            return visible(value)
        case list() | tuple() if value:
            return " ".join(map(_word, value))
    return _value(value)


def _value(value: Json) -> str:
    match value:
        case None | "" | []:
            return _UNSET
        case bool():
            return "true" if value else "false"
        case str():
            return report.go_string(value)
        case float():
            return _number(value)
        case list() | tuple():
            return " ".join(map(_value, value))
    return visible(json.dumps(value, ensure_ascii=False))


# In a few words.


def summary(differences: Iterable[Difference]) -> str:
    """*differences* on one line, without colours."""
    return "; ".join(map(_clause, told(differences)))


def _clause(difference: Difference) -> str:
    match difference:
        case Weights(part, old, new):
            return _weights_clause(part, old, new)
        case Setting(name, old, new):
            return _value_clause(_setting(name), _word(old), _word(new))
        case Parameter(name, old, new):
            return _value_clause(name, _value(old), _value(new))
        case Text(part, None, _):
            return f"{part} added"
        case Text(part, _, None):
            return f"{part} removed"
        case Text(part, old, new):
            return f"{part}: {words_changed(old or '', new or '')}"
        case Messages(old, new):
            return _count_clause("message", [*map(_turn, old)], [*map(_turn, new)])
        case Licenses(old, new):
            return _count_clause("licence", old, new)
        case Projectors(old, new):
            return _count_clause("projector", [*map(_layer, old)], [*map(_layer, new)])
        case Adapters(old, new):
            return _adapters_clause(old, new)
        case Unknown(old, new):
            return _count_clause("other layer", [*map(_other, old)], [*map(_other, new)])


def _value_clause(name: str, old: str, new: str) -> str:
    shown, before, after = visible(name), _shortened(old), _shortened(new)
    if old == _UNSET:
        return f"{shown} {after} added"
    return f"{shown} {before} removed" if new == _UNSET else f"{shown} {before} → {after}"


def _weights_clause(part: str, old: Layer | None, new: Layer | None) -> str:
    if old is None or new is None:
        return f"{part} {'added' if old is None else 'removed'}"
    if old.digest == new.digest:
        origins = (visible(each.origin or _UNSET) for each in (old, new))
        return f"{part}: the same bytes, from {' → '.join(origins)}"
    return f"{part} {old.digest.short[:6]}… → {new.digest.short[:6]}…"


def _adapters_clause(old: Sequence[Scaled], new: Sequence[Scaled]) -> str:
    if [each.layer for each in old] != [each.layer for each in new]:
        return _count_clause("adapter", [*map(_adapter, old)], [*map(_adapter, new)])
    scales = zip(old, new, strict=True)
    turned = (
        f"{_number(one.scale)} → {_number(other.scale)}"
        for one, other in scales
        if one.scale != other.scale
    )
    return f"adapter scale {', '.join(turned)}"


def _count_clause(what: str, old: Sequence[str], new: Sequence[str]) -> str:
    """How many of *what* came and went; those that came for others have changed."""
    made = moves(old, new)
    came = sum(move.came for move in made)
    gone = len(made) - came
    changed = min(came, gone)
    counts = ((changed, "changed"), (came - changed, "added"), (gone - changed, "removed"))
    (first, verb), *others = [each for each in counts if each[0]]
    head = f"{first} {what}{'' if first == 1 else 's'} {verb}"
    return ", ".join([head, *(f"{count} {verb}" for count, verb in others)])


def _number(value: float) -> str:
    # Imported here: it comes with the parser, and most differences are of texts.
    from mbuild.compiler.decompile import plain_number

    return plain_number(value)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


# For a program.


def as_json(difference: Difference) -> dict[str, Any]:
    """*difference* with its part, its name if it has one, and what was before and is now."""
    match difference:
        case Weights(part, old, new):
            return _fields(part, _layer_json(old), _layer_json(new))
        case Setting(name, old, new):
            return {"part": "config", "name": name, "old": old, "new": new}
        case Parameter(name, old, new):
            return {"part": "parameters", "name": name, "old": old, "new": new}
        case Text(part, old, new):
            return _fields(part, old, new)
        case Messages(old, new):
            return _fields("messages", [dict(each) for each in old], [dict(each) for each in new])
        case Licenses(old, new):
            return _fields("licenses", list(old), list(new))
        case Projectors(old, new):
            return _fields("projectors", [*map(_layer_json, old)], [*map(_layer_json, new)])
        case Adapters(old, new):
            return _fields("adapters", [*map(_scaled_json, old)], [*map(_scaled_json, new)])
        case Unknown(old, new):
            return _fields("unknown", [*map(_layer_json, old)], [*map(_layer_json, new)])


def _fields(part: str, old: object, new: object) -> dict[str, Any]:
    return {"part": part, "old": old, "new": new}


def _layer_json(layer: Layer | None) -> dict[str, Json] | None:
    return None if layer is None else layer.to_json()


def _scaled_json(adapter: Scaled) -> dict[str, Json]:
    return {**adapter.layer.to_json(), "scale": adapter.scale}


def format_json(
    old: Mapping[str, object], new: Mapping[str, object], differences: Sequence[Difference]
) -> str:
    """What *old* and *new* are, and all of *differences* between them."""
    told = {
        "old": old,
        "new": new,
        "same": not differences,
        "differences": [as_json(each) for each in differences],
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"
