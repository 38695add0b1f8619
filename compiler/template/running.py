"""What a rendering is made of while it runs: its limits, its output, its variables.

Output is measured, not written, piece by piece: a piece is a reference to a text that exists
already, or was counted when a function made it, so memory stays bounded between two looks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from mbuild.compiler.template.failure import RenderFailed, place
from mbuild.compiler.template.octets import presentable
from mbuild.compiler.template.provenance import Piece, merged, pieces_of
from mbuild.compiler.template.quote import quote
from mbuild.compiler.template.tree import Node, written
from mbuild.compiler.template.value import Value

_ENDS = (" ", "\n", ")", "|", "}}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a rendering may use."""

    output: int = 1 << 26  # characters written, and again made by functions
    steps: int = 10_000_000  # turns of loops, and calls of templates at five each
    depth: int = 400  # constructs and templates inside one another


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a template wrote."""

    written: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole of it."""
        return presentable("".join(self.written))

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The whole of it by origin."""
        pieces = merged(piece for text in self.written for piece in pieces_of(text))
        return tuple(Piece(presentable(piece.text), piece.part) for piece in pieces)


class Fault:
    """Where a failure is to be blamed: a node of a template."""

    __slots__ = ("name", "node", "text")

    def __init__(self, text: str, name: str, node: Node) -> None:
        """The *node* of the template *name* in *text*."""
        self.text = text
        self.name = name
        self.node = node

    def because(self, reason: str) -> RenderFailed:
        """The failure *reason*, to be raised."""
        line, column = place(self.text, self.node.start)
        shown = written(self.node)
        where = f"template: :{line}:{column}: executing {quote(self.name)} at <{shown}>"
        return RenderFailed(f"{where}: {reason}", reason, self.node.start, self._end(shown))

    def _end(self, shown: str) -> int:
        """Where the node ends, as far as its layout lets us tell."""
        start = self.node.start
        if self.text.startswith(shown, start):
            return start + len(shown)
        stops = (self.text.find(stop, start + 1) for stop in _ENDS)
        return min((stop for stop in stops if stop >= 0), default=len(self.text))


class Run:
    """One rendering: what it has written, and what it may still use."""

    __slots__ = ("_made", "_measured", "_room", "_steps", "limits", "pieces", "today")

    def __init__(self, today: date, limits: Limits) -> None:
        """A rendering on the day *today*."""
        self.today = today
        self.limits = limits
        self.pieces: list[str] = []
        self._steps = limits.steps
        self._made = limits.output
        self._room = limits.output
        self._measured = 0

    def spend(self, steps: int, fault: Fault) -> None:
        """Count turns of a loop, or a call of a template."""
        self._steps -= steps
        if self._steps < 0:
            raise fault.because(f"more than {self.limits.steps} steps")

    def measure(self, fault: Fault) -> None:
        """Count what has been written since the last time."""
        measured = self._measured
        self._measured = len(self.pieces)
        self._room -= sum(map(len, self.pieces[measured:]))
        if self._room < 0:
            raise fault.because(f"more than {self.limits.output} characters of output")

    def charge(self, text: str, fault: Fault) -> str:
        """Count *text*, which a function made."""
        self._made -= len(text)
        if self._made < 0:
            raise fault.because(f"functions made more than {self.limits.output} characters")
        return text


DOLLAR = 0
"""The slot of the variable ``$``."""
FINAL = 1
"""The slot in which a call puts the value that came through the pipe."""
FIRST_FREE = 3
"""The first slot for declared variables; the one before tells of ``$`` what _Known.box tells."""


class Frame:
    """One execution of one template: its variables."""

    __slots__ = ("extend", "room", "run", "values", "write")

    def __init__(self, run: Run, slots: int, dollar: Value, room: int) -> None:
        """An execution with *dollar* as its data; *room* levels may still be entered."""
        self.run = run
        self.values: list[Value] = [None] * slots
        self.values[DOLLAR] = dollar
        self.write = run.pieces.append
        self.extend = run.pieces.extend
        self.room = room


class Signal:
    """How a statement says that the loop around it is to be left, or to go on."""

    __slots__ = ()


BREAK = Signal()
CONTINUE = Signal()
UNSET = object()
"""In the slot of a variable whose declaration was passed over by ``and`` or ``or``."""

Expression: TypeAlias = Callable[[Value, Frame], Value]
Step: TypeAlias = Callable[[Value, Frame], Signal | None]
Assign: TypeAlias = Callable[[Frame, Value], None]
