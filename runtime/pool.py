"""Which engines are loaded: one owner of that state.

An engine is loaded for the first request that needs it, shared by all that need the same, and
ended some time after the last one, to make room for another, or because it was told to. What
can be shared is what has the same `Load`: weights, adapters with their scales, load options.

    from      what happens                                to
    (none)    a request needs it, and there is room       LOADING
    LOADING   the engine has started                      BUSY
    LOADING   it cannot be started                        GONE, and the requests that wait are told
    BUSY      the last request has ended                  IDLE, and a timer of keep_alive starts
    BUSY      the same, with keep_alive 0 or expired      GONE
    BUSY      the engine has died                         GONE, and the next request loads it again
    IDLE      a request needs it                          BUSY, and the timer stops
    IDLE      the timer, room for another, an unload      GONE

One engine is loaded at a time, in the thread of the request that needs it first. Room is made
by ending the idle engine that was used longest ago; while none is idle, a request waits.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import count
from typing import Protocol

from mbuild.runtime.engine import (
    Engine,
    EngineDied,
    EngineFactory,
    Finished,
    Generation,
    Load,
    Loaded,
    Piece,
    Request,
)

FOREVER = -1
"""A keep_alive without end, in nanoseconds."""

_SHARE = 0.8  # of the memory that is there, when others are loaded


class PoolFull(Exception):
    """So many requests wait already that no more may."""

    def __init__(self) -> None:
        super().__init__("server busy, please try again.  maximum pending requests exceeded")


class GoneAway(Exception):
    """A request whose client went away while it waited."""

    def __init__(self) -> None:
        super().__init__("request canceled")


class CannotEmbed(Exception):
    """An engine that makes no embeddings."""

    def __init__(self) -> None:
        super().__init__("this engine makes no embeddings")


class Timer(Protocol):
    """Something that will happen, unless it is cancelled."""

    def cancel(self) -> None: ...


After = Callable[[float, Callable[[], None]], Timer]
"""Has something done after some seconds, in another thread."""


def after(seconds: float, action: Callable[[], None]) -> Timer:
    """Have *action* done after *seconds*."""
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), action)
    timer.daemon = True
    timer.start()
    return timer


@dataclass(frozen=True, slots=True)
class Limits:
    """What the pool keeps to."""

    keep_alive: int = 300_000_000_000  # ns, for requests that do not say; FOREVER
    most_loaded: int = 3
    most_waiting: int = 512  # requests that wait for an engine


class State(Enum):
    """Where an engine is; the module's docstring has the transitions."""

    LOADING = "loading"
    BUSY = "busy"
    IDLE = "idle"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Resident:
    """An engine as others see it."""

    name: str  # of the model that it was loaded for
    load: Load
    loaded: Loaded
    size: int  # bytes that it takes, about
    expires: int  # ns since the epoch; FOREVER
    requests: int  # under way


class Ticket:
    """A request's right to wait, which any thread may withdraw."""

    def __init__(self) -> None:
        self._wake: Callable[[], None] | None = None
        self.cancelled = False

    def cancel(self) -> None:
        """Have the request wait no longer."""
        self.cancelled = True
        if self._wake is not None:
            self._wake()

    def waits(self, wake: Callable[[], None]) -> None:
        """Have *wake* called when the ticket is withdrawn."""
        self._wake = wake


class _Seat:
    """An engine, and all that is known of it. Only the pool touches it, under its lock."""

    def __init__(self, name: str, load: Load, size: int) -> None:
        self.name = name
        self.load = load
        self.size = size
        self.keep_alive = 0
        self.in_the_way: list[Engine] = []  # closed before the engine is started
        self.state = State.LOADING
        self.engine: Engine | None = None
        self.error: Exception | None = None
        self.requests = 0
        self.used = 0
        self.expires = FOREVER
        self.timer: Timer | None = None


class Pool:
    """The engines that *start* makes. Any thread may call.

    *needed* tells how many bytes a load takes, *available* how many there are; *clock* is in ns
    since the epoch.
    """

    def __init__(
        self,
        start: EngineFactory,
        limits: Limits,
        *,
        clock: Callable[[], int],
        needed: Callable[[Load], int] = lambda _: 0,
        available: Callable[[], int | None] = lambda: None,
        after: After = after,
    ) -> None:
        self._start = start
        self._limits = limits
        self._clock = clock
        self._needed = needed
        self._available = available
        self._after = after
        self._changed = threading.Condition()
        self._seats: dict[Load, _Seat] = {}
        self._waiting = 0
        self._uses = count(1)
        self._closed = False

    def borrow(
        self, name: str, load: Load, *, keep_alive: int | None = None, ticket: Ticket | None = None
    ) -> "Borrowed":
        """An engine for *load*, which must be closed; waits until there is one.

        *keep_alive* (ns) is how long it stays, counted from the end of its last request.

        Raises:
            PoolFull: too many wait already.
            GoneAway: *ticket* was withdrawn meanwhile, or the pool closed.
            as the pool's *start* and *needed*.
        """
        ticket = ticket or Ticket()
        ticket.waits(self._notify)
        size = self._needed(load)
        while True:
            with self._changed:
                rested = self._is_idle(load)
                seat = self._seat(name, load, size, keep_alive, ticket)
                engine = seat.engine
            borrowed = Borrowed(self, seat, engine or self._loaded(seat))
            if not rested or borrowed.answers():
                return borrowed
            borrowed.close()  # It died while nobody looked.

    def release(self, seat: _Seat, *, died: bool) -> None:
        """End one use of an engine; for `Borrowed`."""
        with self._changed:
            seat.requests -= 1
            ended = self._remove(seat) if died else self._rest(seat)
            self._changed.notify_all()
        _close(ended)

    def unload(self, weights: str) -> None:
        """End the engines with the file *weights*, those that are busy when they are not."""
        with self._changed:
            seats = [each for each in self._seats.values() if each.load.weights == weights]
            for seat in seats:
                seat.keep_alive = 0
            ended = [self._remove(each) for each in seats if each.state is State.IDLE]
            self._changed.notify_all()
        for engine in ended:
            _close(engine)

    def residents(self) -> tuple[Resident, ...]:
        """What is loaded, the one that stays longest first."""
        with self._changed:
            found = [
                Resident(s.name, s.load, s.engine.loaded, s.size, s.expires, s.requests)
                for s in self._seats.values()
                if s.engine is not None
            ]
        last = float("inf")
        return tuple(
            sorted(
                found, key=lambda each: each.expires if each.expires >= 0 else last, reverse=True
            )
        )

    def close(self) -> None:
        """End all engines, and whatever waits for one."""
        with self._changed:
            self._closed = True
            ended = [self._remove(seat) for seat in list(self._seats.values())]
            self._changed.notify_all()
        for engine in ended:
            _close(engine)

    # All of these are called with the lock held, but for _loaded and _expire.

    def _seat(
        self, name: str, load: Load, size: int, keep_alive: int | None, ticket: Ticket
    ) -> _Seat:
        """The seat for *load*, used once more: loaded, or to be loaded by the caller."""
        while True:
            found = self._taken(load)
            if found is not None:
                found.keep_alive = found.keep_alive if keep_alive is None else keep_alive
                return found
            if ticket.cancelled or self._closed:
                raise GoneAway
            other = self._seats.get(load)
            going = self._room(load, size) if other is None else None
            if going is not None:
                return self._new(_Seat(name, load, size), keep_alive, going)
            self._wait()
            if other is not None and other.error is not None:
                raise other.error

    def _wait(self) -> None:
        """Wait until something has changed."""
        if self._waiting >= self._limits.most_waiting:
            raise PoolFull
        self._waiting += 1
        try:
            self._changed.wait()
        finally:
            self._waiting -= 1

    def _taken(self, load: Load) -> _Seat | None:
        seat = self._seats.get(load)
        if seat is None or seat.engine is None:
            return None
        self._stop_timer(seat)
        seat.state = State.BUSY
        seat.requests += 1
        seat.used = next(self._uses)
        return seat

    def _new(self, seat: _Seat, keep_alive: int | None, going: Sequence[_Seat]) -> _Seat:
        seat.keep_alive = self._limits.keep_alive if keep_alive is None else keep_alive
        seat.in_the_way = [engine for each in going if (engine := self._remove(each))]
        seat.requests = 1
        seat.used = next(self._uses)
        self._seats[seat.load] = seat
        return seat

    def _is_idle(self, load: Load) -> bool:
        seat = self._seats.get(load)
        return seat is not None and seat.state is State.IDLE

    def _room(self, load: Load, size: int) -> list[_Seat] | None:
        """The idle seats that go when *load* is loaded now; None: it has to wait."""
        if any(each.state is State.LOADING for each in self._seats.values()):
            return None
        idle = [each for each in self._seats.values() if each.state is State.IDLE]
        # The same weights with other options: nobody is likely to ask for the old ones again.
        going = [each for each in idle if each.load.weights == load.weights]
        others = sorted((each for each in idle if each not in going), key=lambda each: each.used)
        while not self._fits(size, going):
            if not others:
                return None
            going.append(others.pop(0))
        return going

    def _fits(self, size: int, going: Sequence[_Seat]) -> bool:
        """Whether there is room for *size* more bytes once *going* are gone."""
        staying = len(self._seats) - len(going)
        if not staying:
            return True
        if staying >= self._limits.most_loaded:
            return False
        available = self._available()
        freed = sum(each.size for each in going)
        return available is None or size <= (available + freed) * _SHARE

    def _loaded(self, seat: _Seat) -> Engine:
        """The engine of a new seat, started in this thread."""
        for other in seat.in_the_way:
            other.close()
        seat.in_the_way = []
        try:
            engine = self._start(seat.load)
        except Exception as error:
            with self._changed:
                seat.error = error
                self._remove(seat)
                self._changed.notify_all()
            raise
        with self._changed:
            if not self._closed:
                seat.engine, seat.state = engine, State.BUSY
                self._changed.notify_all()
                return engine
        engine.close()
        raise GoneAway

    def _rest(self, seat: _Seat) -> Engine | None:
        """What is to be closed once a use of *seat* has ended."""
        if seat.requests or seat.state is not State.BUSY:
            return None
        if seat.keep_alive == 0:
            return self._remove(seat)
        seat.state = State.IDLE
        if seat.keep_alive != FOREVER:
            seat.expires = self._clock() + seat.keep_alive
            seat.timer = self._after(seat.keep_alive / 1e9, lambda: self._expire(seat))
        else:
            seat.expires = FOREVER
        return None

    def _expire(self, seat: _Seat) -> None:
        with self._changed:
            # A request may have come while the timer waited for the lock.
            due = seat.state is State.IDLE and 0 <= seat.expires <= self._clock()
            ended = self._remove(seat) if due else None
            self._changed.notify_all()
        _close(ended)

    def _remove(self, seat: _Seat) -> Engine | None:
        """Forget *seat*: its engine, which the caller closes, unless that was done before."""
        self._stop_timer(seat)
        seat.state = State.GONE
        if self._seats.get(seat.load) is seat:
            del self._seats[seat.load]
        engine, seat.engine = seat.engine, None
        return engine

    def _stop_timer(self, seat: _Seat) -> None:
        if seat.timer is not None:
            seat.timer.cancel()
            seat.timer = None

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()


class Borrowed:
    """An engine of the pool, for one request: an `Engine` whose `close` gives it back."""

    def __init__(self, pool: Pool, seat: _Seat, engine: Engine) -> None:
        self._pool = pool
        self._seat = seat
        self._engine = engine
        self._died = False
        self._returned = False

    @property
    def loaded(self) -> Loaded:
        return self._engine.loaded

    def tokenize(self, text: str) -> tuple[int, ...]:
        with _Watch(self):
            return self._engine.tokenize(text)

    def pieces(self, tokens: Sequence[int]) -> tuple[bytes, ...]:
        with _Watch(self):
            return self._engine.pieces(tokens)

    def generate(self, request: Request) -> "Generation":
        with _Watch(self):
            return _Watched(self, self._engine.generate(request))

    def embed(self, inputs: Sequence[Sequence[int]]) -> list[list[float]]:
        """The vectors of *inputs*; raises CannotEmbed, and what the engine raises."""
        if not self.loaded.embed_ctx:
            raise CannotEmbed
        with _Watch(self):
            return self._engine.embed(inputs)

    def answers(self) -> bool:
        """Whether the engine is still there."""
        try:
            self.tokenize("")
        except EngineDied:
            return False
        return True

    def died(self) -> None:
        """Say that the engine is gone, so that nobody gets it again."""
        self._died = True

    def close(self) -> None:
        """Give it back; it may be called twice."""
        if not self._returned:
            self._returned = True
            self._pool.release(self._seat, died=self._died)


class _Watch:
    """Notes the death of an engine."""

    def __init__(self, borrowed: Borrowed) -> None:
        self._borrowed = borrowed

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, EngineDied):
            self._borrowed.died()


class _Watched:
    """An answer under way, which may be the end of its engine."""

    def __init__(self, borrowed: Borrowed, generation: Generation) -> None:
        self._watch = _Watch(borrowed)
        self._generation = generation

    def __iter__(self) -> Iterator[Piece | Finished]:
        return self

    def __next__(self) -> Piece | Finished:
        with self._watch:
            return next(self._generation)

    def cancel(self) -> None:
        self._generation.cancel()


def _close(engine: Engine | None) -> None:
    if engine is not None:
        engine.close()
