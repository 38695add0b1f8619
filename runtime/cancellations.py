"""Which answers are to end: said by a thread that listens, obeyed by the one that works.

An answer is expected, then perhaps cancelled, then over; a cancellation of one that is over, or
was never expected, is nothing. A step that works for cancelled answers alone is interrupted; one
that works for others too goes on, since what it has done would have to be done again.
"""

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager


class Cancellations:
    """Numbers of answers."""

    def __init__(self) -> None:
        self._interrupt: Callable[[bool], None] = lambda on: None  # noqa: ARG005 - no step yet.
        self._lock = threading.Lock()
        self._expected: set[int] = set()
        self._cancelled: set[int] = set()
        self._working_for: frozenset[int] = frozenset()  # in the step under way

    def attach(self, interrupt: Callable[[bool], None]) -> None:
        """Call *interrupt* when the step under way is to end, and when none is any more."""
        self._interrupt = interrupt

    def expect(self, number: int) -> None:
        """Answer *number* was asked for."""
        with self._lock:
            self._expected.add(number)

    def cancel(self, number: int) -> None:
        """End answer *number*, whether it runs or waits."""
        with self._lock:
            if number in self._expected:
                self._cancelled.add(number)
                self._tell()

    def over(self, number: int) -> None:
        """Answer *number* has ended."""
        with self._lock:
            self._expected.discard(number)
            self._cancelled.discard(number)

    def __contains__(self, number: int) -> bool:
        return number in self._cancelled

    @contextmanager
    def step(self, numbers: Collection[int]) -> Iterator[None]:
        """While a step works for *numbers*."""
        with self._lock:
            self._working_for = frozenset(numbers)
            self._tell()
        yield
        with self._lock:
            self._working_for = frozenset()
            self._interrupt(False)

    def _tell(self) -> None:
        if self._working_for and self._working_for <= self._cancelled:
            self._interrupt(True)
