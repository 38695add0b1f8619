"""The pool: who gets which engine, and when one goes."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field

import pytest
from parrots import Doomed, Endless

from mbuild.runtime.engine import (
    CannotLoad,
    Engine,
    EngineDied,
    Load,
    LoadOptions,
    Parrot,
    Request,
)
from mbuild.runtime.pool import (
    FOREVER,
    GoneAway,
    Limits,
    Pool,
    PoolFull,
    Ticket,
)

SECOND = 1_000_000_000
A, B, C = Load("a.gguf"), Load("b.gguf"), Load("c.gguf")


@dataclass
class Clock:
    """A time that passes when it is told to, and what is to be done then."""

    now: int = 0
    due: list[tuple[int, Callable[[], None], list[bool]]] = field(default_factory=list)

    def __call__(self) -> int:
        return self.now

    def after(self, seconds: float, action: Callable[[], None]) -> "Alarm":
        cancelled: list[bool] = []
        self.due.append((self.now + int(seconds * SECOND), action, cancelled))
        return Alarm(cancelled)

    def pass_by(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        ripe = [each for each in self.due if each[0] <= self.now]
        self.due = [each for each in self.due if each[0] > self.now]
        for _, action, cancelled in ripe:
            if not cancelled:
                action()


@dataclass
class Alarm:
    cancelled: list[bool]

    def cancel(self) -> None:
        self.cancelled.append(True)


class Cage:
    """Starts parrots, and remembers them."""

    def __init__(self) -> None:
        self.started: list[Parrot] = []
        self.kind: Callable[[Load], Parrot] = Parrot

    def __call__(self, load: Load) -> Engine:
        self.started.append(self.kind(load))
        return self.started[-1]

    @property
    def alive(self) -> list[str]:
        return sorted(parrot.load.weights for parrot in self.started if not parrot.closed)


class House:
    """A pool, its clock and its parrots."""

    def __init__(self, *, most: int = 3, waiting: int = 512, memory: int | None = None) -> None:
        self.clock, self.cage = Clock(), Cage()
        self.memory = memory
        self.pool = Pool(
            self.cage,
            Limits(300 * SECOND, most, waiting),
            clock=self.clock,
            after=self.clock.after,
            needed=lambda _: 10,
            available=lambda: self.memory,
        )

    def use(self, load: Load, keep_alive: int | None = None) -> None:
        self.pool.borrow(load.weights, load, keep_alive=keep_alive).close()

    @property
    def loaded(self) -> list[str]:
        return [each.name for each in self.pool.residents()]


def test_requests_for_the_same_load_share_one_engine() -> None:
    house = House()
    with closing(house.pool.borrow("a", A)), closing(house.pool.borrow("b", A)):
        assert len(house.cage.started) == 1
        assert [(each.name, each.requests) for each in house.pool.residents()] == [("a", 2)]


def test_another_scale_or_option_is_another_engine() -> None:
    house = House()
    with closing(house.pool.borrow("a", A)):
        house.use(Load("a.gguf", options=LoadOptions(num_ctx=8)))
    assert len(house.cage.started) == 2


def test_an_engine_goes_when_its_time_is_over() -> None:
    house = House()
    house.use(A)
    house.clock.pass_by(299)
    assert house.loaded == ["a.gguf"]
    house.clock.pass_by(1)
    assert house.loaded == []
    assert house.cage.alive == []


def test_a_use_starts_the_time_again() -> None:
    house = House()
    house.use(A)
    house.clock.pass_by(200)
    house.use(A)
    house.clock.pass_by(200)
    assert house.loaded == ["a.gguf"]
    assert house.pool.residents()[0].expires == 500 * SECOND


@pytest.mark.parametrize(
    ("keep_alive", "later", "loaded"),
    [
        pytest.param(0, 0, [], id="not at all"),
        pytest.param(SECOND, 0.5, ["a.gguf"], id="before the end"),
        pytest.param(SECOND, 1, [], id="at the end"),
        pytest.param(FOREVER, 1e9, ["a.gguf"], id="for ever"),
    ],
)
def test_a_request_says_how_long(keep_alive: int, later: float, loaded: list[str]) -> None:
    house = House()
    house.use(A, keep_alive)
    house.clock.pass_by(later)
    assert house.loaded == loaded


def test_what_a_request_said_holds_for_those_that_say_nothing() -> None:
    house = House()
    house.use(A, FOREVER)
    house.use(A)
    house.clock.pass_by(1e9)
    assert house.loaded == ["a.gguf"]


def test_a_busy_engine_is_unloaded_when_its_last_request_has_ended() -> None:
    house = House()
    with closing(house.pool.borrow("a", A)):
        house.pool.unload("a.gguf")
        assert house.cage.alive == ["a.gguf"]
    assert house.cage.alive == []


def test_unloading_what_is_not_loaded_does_nothing() -> None:
    House().pool.unload("a.gguf")


def test_room_is_made_by_the_one_that_was_used_longest_ago() -> None:
    house = House(most=2)
    house.use(A)
    house.use(B)
    house.use(A)
    house.use(C)
    assert house.cage.alive == ["a.gguf", "c.gguf"]


def test_room_is_made_when_the_memory_says_so() -> None:
    house = House(memory=5)
    house.use(A)
    house.use(B)  # 10 bytes are needed; 5 and the 10 of the other are there, and not all is used.
    assert house.cage.alive == ["b.gguf"]


def test_the_first_engine_is_loaded_whatever_the_memory() -> None:
    house = House(memory=0)
    house.use(A)
    assert house.cage.alive == ["a.gguf"]


def test_idle_engines_of_the_same_weights_make_room() -> None:
    house = House()
    house.use(A)
    house.use(Load("a.gguf", options=LoadOptions(num_ctx=8)))
    assert len(house.cage.alive) == 1


def test_a_request_waits_while_all_that_is_loaded_is_busy() -> None:
    house = House(most=1)
    busy = house.pool.borrow("a", A)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(house.use, B)
        assert not waiting.done()
        busy.close()
        waiting.result(10)
    assert house.cage.alive == ["b.gguf"]


def test_a_request_whose_client_went_away_waits_no_longer() -> None:
    house = House(most=1)
    ticket = Ticket()
    with closing(house.pool.borrow("a", A)), ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(house.pool.borrow, "b", B, ticket=ticket)
        ticket.cancel()
        with pytest.raises(GoneAway):
            waiting.result(10)
    assert house.cage.alive == ["a.gguf"]


def test_no_more_may_wait_than_the_limit_says() -> None:
    house = House(most=1, waiting=0)
    with closing(house.pool.borrow("a", A)):
        with pytest.raises(PoolFull, match=r"server busy, please try again\.  maximum"):
            house.pool.borrow("b", B)
        house.use(A)  # It is loaded, so nobody waits.


def test_an_engine_that_cannot_be_loaded_is_told_to_all_who_wait_and_tried_again() -> None:
    house = House()

    def refuse(load: Load) -> Parrot:
        raise CannotLoad(load.weights, "no")

    house.cage.kind = refuse
    with pytest.raises(CannotLoad):
        house.use(A)
    house.cage.kind = Parrot
    house.use(A)
    assert house.loaded == ["a.gguf"]


def test_an_engine_that_died_of_a_request_is_loaded_again_by_the_next() -> None:
    house = House()
    house.cage.kind = Doomed
    with closing(house.pool.borrow("a", A)) as engine, pytest.raises(EngineDied):
        engine.generate(Request((1,)))
    assert house.loaded == []
    house.cage.kind = Parrot
    house.use(A)
    assert len(house.cage.started) == 2


def test_an_engine_that_died_while_idle_is_found_out_before_it_is_given() -> None:
    class Mortal(Parrot):
        def tokenize(self, text: str) -> tuple[int, ...]:
            if self.closed:
                raise EngineDied("it was killed")
            return super().tokenize(text)

    house = House()
    house.cage.kind = Mortal
    house.use(A)
    house.cage.started[0].closed = True
    with closing(house.pool.borrow("a", A)) as engine:
        assert engine.tokenize("x") == (120,)
    assert len(house.cage.started) == 2


def test_giving_back_twice_counts_once() -> None:
    house = House()
    first = house.pool.borrow("a", A)
    with closing(house.pool.borrow("a", A)):
        first.close()
        first.close()
        assert house.pool.residents()[0].requests == 1


def test_closing_the_pool_ends_everything_and_all_who_wait() -> None:
    house = House(most=1)
    busy = house.pool.borrow("a", A)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(house.pool.borrow, "b", B)
        house.pool.close()
        with pytest.raises(GoneAway):
            waiting.result(10)
    busy.close()
    assert house.cage.alive == []


def test_an_answer_goes_through_the_pool_and_can_be_cancelled() -> None:
    house = House()
    house.cage.kind = Endless
    with closing(house.pool.borrow("a", A)) as engine:
        said = engine.generate(Request((1,)))
        next(iter(said))
        said.cancel()
        assert len(list(said)) == 1


def test_many_threads_leave_nothing_behind() -> None:
    house = House(most=2)
    loads = [A, B, C]
    ready = threading.Barrier(8)

    def work(number: int) -> None:
        ready.wait(10)
        for turn in range(50):
            with suppress(EngineDied):
                house.use(loads[(number + turn) % 3], 0 if turn % 7 == 0 else None)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert len(house.cage.alive) <= 2
    assert all(each.requests == 0 for each in house.pool.residents())
    house.pool.close()
    assert house.cage.alive == []
