"""What a Modelfile asks for, typed and checked: the `Recipe`.

A recipe is what the reference's client sends to its server (its create request) before any
file has been looked at: nothing here has been resolved against a disk or a store.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mbuild.compiler.diagnostic import Span

ParameterValue = bool | int | float | tuple[str, ...]
"""A flag, a whole number, a number rounded to 32 bits, or (``stop``) texts in order."""


@dataclass(frozen=True, slots=True)
class Located:
    """A text of the author's, and where its value stands."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Message:
    """One example turn: MESSAGE *role* *content*."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """A checked Modelfile. ``None`` and an empty tuple both mean "not given".

    An empty TEMPLATE, SYSTEM, RENDERER or PARSER counts as not given, as in the reference.
    """

    sources: tuple[Located, ...]  # FROM, in file order, at least one
    adapters: tuple[Located, ...] = ()  # after "the last wins": at most one
    drafts: tuple[Located, ...] = ()
    template: Located | None = None
    system: Located | None = None
    licenses: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    parameters: Mapping[str, ParameterValue] | None = None
    renderer: str | None = None
    parser: str | None = None
    requires: str | None = None  # without its leading v
    # Where the values of parameters stand, in file order. Two texts that ask for the same are
    # one recipe, so it does not count.
    places: Mapping[str, tuple[Span, ...]] = field(default_factory=dict, compare=False, repr=False)
