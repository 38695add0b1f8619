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
    folder: str | None = None  # Of the included file that says it; None: the Modelfile's.


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

    sources: tuple[Located, ...]  # FROM, in file order, at least one unless there is a base
    adapters: tuple[Located, ...] = ()  # after "the last wins": at most one, unless scaled
    drafts: tuple[Located, ...] = ()
    template: Located | None = None
    system: Located | None = None
    licenses: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    parameters: Mapping[str, ParameterValue] | None = None
    renderer: str | None = None
    parser: str | None = None
    requires: str | None = None  # without its leading v
    # What only the default dialect can say.
    base: "Recipe | None" = None  # The stage that this one is FROM.
    scales: tuple[float, ...] = ()  # of the adapters; empty: all have full strength
    appended: tuple[Located, ...] = ()  # SYSTEM --append, behind the base's system or *system*
    quantize: Located | None = None  # its text is the type, as the reference writes it
    schema: Located | None = None  # a JSON schema
    stage: str = field(default="", compare=False)  # its own name, if it is one of several
    # Where the values of parameters stand, in file order. Two texts that ask for the same are
    # one recipe, so it does not count.
    places: Mapping[str, tuple[Span, ...]] = field(default_factory=dict, compare=False, repr=False)
    # "system", "parameter stop", ...: what is taken away from the base, and where that is said;
    # None: it took something away from the lines before it, so it need not find more.
    unset_at: Mapping[str, Span | None] = field(default_factory=dict)

    @property
    def stages(self) -> tuple["Recipe", ...]:
        """The stages that it is made of, the first one first and itself last."""
        chain = [self]
        while chain[-1].base is not None:
            chain.append(chain[-1].base)
        return tuple(reversed(chain))

    @property
    def unset(self) -> frozenset[str]:
        """What is taken away from the base: "system", "parameter stop", ..."""
        return frozenset(self.unset_at)
