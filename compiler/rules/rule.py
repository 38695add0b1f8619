"""What a rule is, what it sees of a Modelfile, and what it asks of the world around it."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Protocol

from mbuild.compiler.diagnostic import Code, Diagnostic, Edit, Label, Source, Span
from mbuild.compiler.parameters import OPTIONS, Type, convert
from mbuild.compiler.recipe import Recipe
from mbuild.compiler.syntax import (
    Comment,
    From,
    Instruction,
    Junk,
    Modelfile,
    Parameter,
    Statement,
    Value,
    Word,
    stage,
)


@dataclass(frozen=True, slots=True)
class Base:
    """What the model or the weights that FROM names bring along."""

    license: bool = False  # a license, as a text or by its name
    stops: bool = False
    draft: bool = False
    penalty: bool = False  # a parameter that holds repetitions back


class World(Protocol):
    """What lies outside a Modelfile. Asking it changes nothing."""

    def is_there(self, path: str) -> bool:
        """Whether *path*, seen from the Modelfile, is on this disk."""

    def base(self, source: str) -> Base | None:
        """What ``FROM source`` brings, or ``None`` if that is not known here."""


class Mending(Enum):
    """Whether a machine may mend what a rule tells, and what becomes of the model then."""

    BY_HAND = "no"
    SAME_MODEL = "yes"
    OTHER_VALUE = "yes, and the value changes"


@dataclass(frozen=True, slots=True)
class Subject:
    """One Modelfile, as rules see it."""

    data: bytes
    tree: Modelfile
    recipe: Recipe | None  # None: it has errors.
    world: World
    parts: "Parts"

    @property
    def source(self) -> Source:
        """Its text."""
        return self.tree.source

    @property
    def text(self) -> str:
        """The characters of its text."""
        return self.tree.source.text


@dataclass(frozen=True)
class Parts:
    """The statements of a tree, sorted for those who look for some of them."""

    tree: Modelfile

    @cached_property
    def instructions(self) -> tuple[Instruction, ...]:
        """All instructions, in file order."""
        return tuple(node for node in self.tree.statements if not isinstance(node, Comment | Junk))

    @cached_property
    def comments(self) -> tuple[Comment, ...]:
        """All comments, in file order."""
        return tuple(node for node in self.tree.statements if isinstance(node, Comment))

    @cached_property
    def _by_word(self) -> dict[str, list[Instruction]]:
        found: dict[str, list[Instruction]] = {}
        for node in self.instructions:
            found.setdefault(node.word.text.lower(), []).append(node)
        return found

    def of(self, *words: str) -> tuple[Instruction, ...]:
        """The instructions that begin with one of *words*, in lower case; by word."""
        return tuple(node for word in words for node in self._by_word.get(word, ()))

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """All PARAMETERs, in file order."""
        return tuple(node for node in self.of("parameter") if isinstance(node, Parameter))

    @cached_property
    def _by_place(self) -> dict[int, Instruction]:
        places: dict[int, Instruction] = {}
        for node in self.instructions:
            places[node.word.span.start] = places[node.value.span.start] = node
            if isinstance(node, Parameter):
                places[node.name.span.start] = node
        return places

    def said_at(self, span: Span) -> Instruction | None:
        """The instruction whose word, name or value begins where *span* does."""
        return self._by_place.get(span.start) if span.source is self.tree.source else None

    def holding(self, span: Span) -> Statement | None:
        """The statement that *span* lies in."""
        statements = self.tree.statements
        at = bisect_right(statements, span.start, key=lambda node: node.span.start) - 1
        return statements[at] if at >= 0 and span.end <= statements[at].span.end else None

    @cached_property
    def first_stops(self) -> dict[str, Parameter]:
        """For each text that is a stop, where it is the first time."""
        return {node.value.text: node for node in reversed(self.stops)}

    @cached_property
    def stops(self) -> tuple[Parameter, ...]:
        """All PARAMETERs called stop."""
        return tuple(node for node in self.parameters if node.name.text == "stop")

    @cached_property
    def numbers(self) -> dict[str, tuple[float, Parameter]]:
        """The numbers that parameters are set to at last, and where; flags are not among them."""
        found: dict[str, tuple[float, Parameter]] = {}
        for node in self.parameters:
            option = OPTIONS.get(node.name.text)
            if option is None or option.type not in (Type.INT, Type.FLOAT):
                continue
            try:
                value = convert(option.name, node.value.cleaned)
            except ValueError:
                continue
            if isinstance(value, int | float):
                found[option.name] = value, node
        return found

    @cached_property
    def sources(self) -> tuple[tuple[Value, Word | None], ...]:
        """What each FROM names, and the name of the stage that it begins."""
        found: list[tuple[Value, Word | None]] = []
        for node in self.of("from"):
            parts = stage(node.value) if isinstance(node, From) else None
            found.append(parts or (node.value, None))
        return tuple(found)


Check = Callable[[Subject], Iterable[Diagnostic]]
"""Findings of one rule about a Modelfile."""

Mend = Callable[[Subject, Diagnostic], tuple[Edit, ...]]
"""What mends a finding that someone else made; nothing where only a person can."""

Point = Callable[[Subject, Diagnostic], tuple[Label, ...]]
"""The second places of a finding that someone else made."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a code means. The examples are whole Modelfiles.

    *wrong* gives a finding with the code and none with another that is as bad or worse; *right*
    gives none with the code. *files* lie beside them, *base* is what their FROM brings.
    """

    code: Code
    summary: str
    cause: str
    wrong: str
    right: str
    mending: Mending = Mending.BY_HAND
    check: Check | None = None  # None: told by a build, too, and found there.
    mend: Mend | None = None
    point: Point | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    base: Base | None = None
    encoding: str = "utf-8"  # of the wrong example
    by_build: bool = False  # needs weights, a store or an engine, so that no text alone shows it


def found(
    code: Code,
    message: str,
    span: Span,
    hint: str | None = None,
    *,
    labels: tuple[Label, ...] = (),
    fix: tuple[Edit, ...] = (),
) -> Iterator[Diagnostic]:
    """One finding, for a check to yield from."""
    yield Diagnostic(code, message, span, hint, labels, fix)


def line_of(span: Span) -> Span:
    """The lines that *span* lies on, with the line end behind them."""
    source = span.source
    first, _ = source.position(span.start)
    last, _ = source.position(max(span.start, span.end - 1))
    starts = source.line_starts
    end = starts[last] if last < len(starts) else len(source.text)
    return source.span(starts[first - 1], end)


def without(node: Instruction) -> tuple[Edit, ...]:
    """What takes *node* out, with its line if nothing else stands there."""
    line = line_of(node.span)
    return (Edit(line, ""),)


def quoted(text: str) -> str:
    """*text* as a quoted value."""
    return f'"""{text}"""' if '"' in text else f'"{text}"'
