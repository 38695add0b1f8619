"""How one model differs from another, in the terms of their authors: the differences as data.

Models without a difference are made of the same parts: at most the order of layers of different
types, which nothing depends on, tells their manifests apart.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from difflib import SequenceMatcher
from typing import Literal, TypeAlias

from mbuild.store.config import Config, Draft
from mbuild.store.contents import Contents
from mbuild.store.gojson import Json
from mbuild.store.manifest import Layer


@dataclass(frozen=True, slots=True)
class Weights:
    """A file that a model has one of at most."""

    part: Literal["weights", "draft"]
    old: Layer | None
    new: Layer | None


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of the configuration; an empty one is not set."""

    name: str
    old: Json
    new: Json


@dataclass(frozen=True, slots=True)
class Projectors:
    """The files that turn images or sounds into what the weights understand."""

    old: tuple[Layer, ...]
    new: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Scaled:
    """An adapter, and how strong it is."""

    layer: Layer
    scale: float


@dataclass(frozen=True, slots=True)
class Adapters:
    """The adapters, in the order in which they are applied."""

    old: tuple[Scaled, ...]
    new: tuple[Scaled, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """An option; ``None`` stands for one that is not set."""

    name: str
    old: Json
    new: Json


@dataclass(frozen=True, slots=True)
class Text:
    """A text that a model has one of at most."""

    part: Literal["template", "system", "schema"]
    old: str | None
    new: str | None


Turn = tuple[tuple[str, Json], ...]
"""A message: its fields and their values, in the order of their names."""


@dataclass(frozen=True, slots=True)
class Messages:
    """The example messages."""

    old: tuple[Turn, ...]
    new: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Licenses:
    """The licences, in order."""

    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Layers of types that mbuild has no words for."""

    old: tuple[Layer, ...]
    new: tuple[Layer, ...]


Difference: TypeAlias = (
    Weights | Setting | Projectors | Adapters | Parameter | Text | Messages | Licenses | Unknown
)


def compare(old: Contents, new: Contents) -> tuple[Difference, ...]:
    """What makes *new* another model than *old*: the weights first, then the texts."""
    return tuple(_differences(old, new))


def _differences(old: Contents, new: Contents) -> Iterator[Difference]:
    if old.weights != new.weights:
        yield Weights("weights", old.weights, new.weights)
    yield from _settings(old.config, new.config)
    if old.projectors != new.projectors:
        yield Projectors(old.projectors, new.projectors)
    adapters = _scaled(old), _scaled(new)
    if adapters[0] != adapters[1]:
        yield Adapters(*adapters)
    if old.draft != new.draft:
        yield Weights("draft", old.draft, new.draft)
    yield from _parameters(old, new)
    yield from _texts(old, new)
    turns = _turns(old), _turns(new)
    if turns[0] != turns[1]:
        yield Messages(*turns)
    if old.licenses != new.licenses:
        yield Licenses(old.licenses, new.licenses)
    if old.unknown != new.unknown:
        yield Unknown(old.unknown, new.unknown)


def _settings(old: Config, new: Config) -> Iterator[Setting]:
    for field in fields(Config):
        before, after = (_plain(getattr(config, field.name)) for config in (old, new))
        if before != after:
            yield Setting(field.name, before, after)


def _plain(value: "str | int | tuple[str, ...] | Draft | None") -> Json:
    """The value of a field of the configuration, as JSON has it."""
    match value:
        case Draft():
            return asdict(value)
        case tuple():
            return list(value)
    return value


def _scaled(model: Contents) -> tuple[Scaled, ...]:
    return tuple(map(Scaled, model.adapters, model.scales))


def _parameters(old: Contents, new: Contents) -> Iterator[Parameter]:
    for name in sorted({*old.parameters, *new.parameters}):
        before, after = old.parameters.get(name), new.parameters.get(name)
        if before != after:
            yield Parameter(name, before, after)


def _texts(old: Contents, new: Contents) -> Iterator[Text]:
    if old.template != new.template:
        yield Text("template", old.template, new.template)
    if old.system != new.system:
        yield Text("system", old.system, new.system)
    if old.schema != new.schema:
        yield Text("schema", old.schema, new.schema)


def _turns(model: Contents) -> tuple[Turn, ...]:
    return tuple(tuple(sorted(turn.items())) for turn in model.messages)


@dataclass(frozen=True, slots=True)
class Move:
    """An item that went or came."""

    came: bool
    index: int  # in the old sequence if it went, in the new one if it came


def moves(old: Sequence[Hashable], new: Sequence[Hashable]) -> tuple[Move, ...]:
    """What makes *new* of *old*, with as much as possible left where it is.

    >>> moves("abc", "acd")
    (Move(came=False, index=1), Move(came=True, index=2))
    """
    made: list[Move] = []
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for tag, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if tag != "equal":
            made += (Move(False, index) for index in range(old_start, old_end))
            made += (Move(True, index) for index in range(new_start, new_end))
    return tuple(made)
