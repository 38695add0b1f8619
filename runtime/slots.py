"""Which slot a request takes, and who reads what in the next step: decided apart from doing it.

A slot is one sequence of a context. Its tokens are exactly what the context holds of it, so what
a prompt has in common with them is not read again. A step reads one token of every running answer
first, then of the prompts; nobody waits for long.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mbuild.runtime.batch import common

_FEW = 4  # tokens; what has no more in common has nothing in common
_WEIGHT = 0.3  # of the newest step in what is thought of the speed
_LEAST_READ = 16  # tokens; fewer cost nearly as much time
_UNKNOWN = 64  # tokens that a step reads before the speed is known


@dataclass(slots=True)
class Slot:
    """A sequence, and who has it."""

    number: int  # of the sequence in the context
    tokens: list[int] = field(default_factory=list)  # as they lie in the context
    used: int = 0  # grows with each answer that began here; 0: none did
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request goes."""

    slot: int
    kept: int  # tokens at the front of the slot that its prompt begins with


def choose(slots: Sequence[Slot], prompt: Sequence[int]) -> Place | None:
    """The slot for *prompt*, or ``None`` while all are busy.

    It is the one with the longest common prefix, if that is most of what the slot holds: a
    conversation goes on where it was, and does not drive out another one that only begins in the
    same way. Otherwise it is the one that was used least recently, first of all one that never was.
    """
    free = [(common(slot.tokens, prompt), slot) for slot in slots if not slot.busy]
    if not free:
        return None
    kept, best = max(free, key=lambda pair: (pair[0], pair[1].used))
    if kept < _FEW or 2 * kept < len(best.tokens):
        kept, best = min(free, key=lambda pair: pair[1].used)
    return Place(best.number, kept)


@dataclass(frozen=True, slots=True)
class Want:
    """What an answer could read in the next step."""

    slot: int
    tokens: int  # of its prompt, or the one that was drawn last; at least 1
    speaking: bool  # Its prompt has been read.
    served: int = 0  # the step in which it last read something


@dataclass(frozen=True, slots=True)
class Part:
    """What it does read."""

    slot: int
    tokens: int


def plan(wants: Sequence[Want], size: int, reading: int) -> tuple[Part, ...]:
    """The next step, of at most *size* tokens, about *reading* of them of prompts.

    One token for each, those first that have waited longest, and among them running answers; what
    is left is shared by the prompts. So with n of them everyone reads in one of n / *size* steps.
    """
    first = sorted(wants, key=lambda want: (want.served, not want.speaking))[:size]
    readers = [want for want in first if not want.speaking]
    room = min(size - len(first), max(0, reading - len(readers)))
    more = dict(_shared({want.slot: want.tokens - 1 for want in readers}, room))
    return tuple(Part(want.slot, 1 + more.get(want.slot, 0)) for want in first)


def _shared(wanted: dict[int, int], room: int) -> Iterator[tuple[int, int]]:
    """*room* in equal shares; what is more than somebody wants goes to the others."""
    left = len(wanted)
    for slot, count in sorted(wanted.items(), key=lambda item: item[1]):
        given = min(count, room // left)
        room, left = room - given, left - 1
        yield slot, given


class Pace:
    """How many tokens of prompts a step may read, so that it ends soon enough for the others."""

    def __init__(self) -> None:
        self._speed = 0.0  # tokens a second; 0: not known

    def note(self, tokens: int, seconds: float) -> None:
        """A step that read *tokens* took *seconds*."""
        # A step of few tokens says nothing of one with many.
        if tokens >= _LEAST_READ and seconds > 0:
            speed = tokens / seconds
            self._speed += (speed - self._speed) * (_WEIGHT if self._speed else 1.0)

    def tokens(self, seconds: float) -> int:
        """What can be read in *seconds*."""
        return max(_LEAST_READ, int(self._speed * seconds)) if self._speed else _UNKNOWN


def packs(lengths: Sequence[int], size: int, most: int) -> Iterator[tuple[int, int]]:
    """The half-open ranges of inputs that are read together.

    Each has at most *most* inputs and *size* tokens; an input that is longer is alone.

    >>> list(packs([3, 3, 3, 12], 9, 2))
    [(0, 2), (2, 3), (3, 4)]
    """
    start = total = 0
    for at, length in enumerate(lengths):
        if at > start and (total + length > size or at - start == most):
            yield start, at
            start, total = at, 0
        total += length
    if start < len(lengths):
        yield start, len(lengths)
