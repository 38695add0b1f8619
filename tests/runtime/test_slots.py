"""Slots, and what the next step reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.runtime.slots import Pace, Part, Place, Slot, Want, choose, packs, plan

PROMPT = [1, 2, 3, 4, 5, 6, 7, 8, 9]


def slots(*held: tuple[list[int], int]) -> list[Slot]:
    return [Slot(number, tokens, used) for number, (tokens, used) in enumerate(held)]


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        pytest.param([([], 0), ([], 0)], Place(0, 0), id="the first"),
        pytest.param([([1, 2, 3, 4, 5], 1), ([], 0)], Place(0, 5), id="a conversation goes on"),
        pytest.param([(PROMPT, 1), ([], 0)], Place(0, 8), id="the last token is read again"),
        pytest.param([([*PROMPT[:5], 0], 1), ([], 0)], Place(0, 5), id="most of it is of use"),
        # A system text is common to many conversations.
        pytest.param(
            [([*PROMPT[:4], *[0] * 5], 1), ([], 0)], Place(1, 0), id="another begins the same"
        ),
        pytest.param([([1, 2, 3], 1), ([], 0)], Place(1, 0), id="only a few tokens in common"),
        pytest.param([([9], 2), ([8], 1), ([7], 3)], Place(1, 0), id="nothing in common"),
        # What it has in common is kept all the same.
        pytest.param([([1, 2, 0], 1), ([8], 2)], Place(0, 2), id="least recently used"),
        pytest.param([([1, 2, 3, 0, 0, 0, 0, 0], 1)], Place(0, 3), id="a single slot"),
        pytest.param(
            [([1, 2, 3, 4], 2), ([1, 2, 3, 4, 5, 6], 1)], Place(1, 6), id="the longest prefix"
        ),
    ],
)
def test_where_a_request_goes(held: list[tuple[list[int], int]], expected: Place) -> None:
    assert choose(slots(*held), PROMPT) == expected


def test_a_busy_slot_is_nobodys_whatever_it_holds() -> None:
    both = slots((PROMPT[:5], 1), ([], 0))
    both[0].busy = True
    assert choose(both, PROMPT) == Place(1, 0)
    both[1].busy = True
    assert choose(both, PROMPT) is None


@pytest.mark.parametrize(
    ("wants", "size", "reading", "expected"),
    [
        pytest.param([], 8, 8, [], id="nobody"),
        pytest.param([Want(0, 1, True)], 8, 8, [Part(0, 1)], id="an answer"),
        pytest.param([Want(0, 20, False)], 8, 99, [Part(0, 8)], id="a prompt, all that fits"),
        pytest.param(
            [Want(0, 50, False), Want(1, 1, True)], 8, 99, [Part(1, 1), Part(0, 7)], id="both"
        ),
        pytest.param(
            [Want(0, 50, False), Want(1, 1, True)], 8, 3, [Part(1, 1), Part(0, 3)], id="bounded"
        ),
        pytest.param(
            [Want(0, 50, False), Want(1, 2, False), Want(2, 50, False)],
            12,
            99,
            [Part(0, 5), Part(1, 2), Part(2, 5)],
            id="what a short prompt leaves goes to the others",
        ),
        pytest.param(
            [Want(0, 1, True, 7), Want(1, 9, False, 5), Want(2, 1, True, 6)],
            2,
            99,
            [Part(1, 1), Part(2, 1)],
            id="who has waited longest",
        ),
        pytest.param([Want(0, 9, False)], 8, 0, [Part(0, 1)], id="at least one token"),
    ],
)
def test_a_step(wants: list[Want], size: int, reading: int, expected: list[Part]) -> None:
    assert plan(wants, size, reading) == tuple(expected)


@st.composite
def crowds(draw: st.DrawFn) -> list[Want]:
    speaking = draw(st.lists(st.booleans(), max_size=9))
    return [
        Want(slot, 1 if each else draw(st.integers(1, 40)), each, draw(st.integers(0, 5)))
        for slot, each in enumerate(speaking)
    ]


@given(crowds(), st.integers(1, 50), st.integers(0, 60))
def test_a_step_is_never_larger_than_it_may_be_and_nobody_gets_more_than_he_wants(
    wants: list[Want], size: int, reading: int
) -> None:
    parts = plan(wants, size, reading)
    wanted = {want.slot: want for want in wants}
    assert sum(part.tokens for part in parts) <= size
    assert len({part.slot for part in parts}) == len(parts)
    assert all(1 <= part.tokens <= wanted[part.slot].tokens for part in parts)
    read = [part.tokens for part in parts if not wanted[part.slot].speaking]
    assert sum(read) <= max(reading, len(read))


@given(crowds(), st.integers(1, 50))
def test_a_step_is_full_if_there_is_enough_to_read(wants: list[Want], size: int) -> None:
    parts = plan(wants, size, size)
    assert sum(part.tokens for part in parts) == min(size, sum(want.tokens for want in wants))


@given(crowds(), st.integers(1, 12), st.integers(0, 12))
def test_nobody_starves(wants: list[Want], size: int, reading: int) -> None:
    waited = dict.fromkeys((want.slot for want in wants), 0)
    left = {want.slot: want for want in wants}
    for step in range(6, 60):
        served = {part.slot: part.tokens for part in plan(list(left.values()), size, reading)}
        for slot, want in left.items():
            waited[slot] = 0 if slot in served else waited[slot] + 1
            rest = want.tokens - served.get(slot, 0)
            if slot in served:
                left[slot] = Want(slot, max(1, rest), want.speaking or rest < 1, step)
            assert waited[slot] <= -(-len(wants) // size)


def test_the_pace_follows_the_steps_that_say_something() -> None:
    pace = Pace()
    assert pace.tokens(0.5) == 64
    pace.note(100, 1.0)
    assert pace.tokens(0.5) == 50
    pace.note(1, 1.0)
    assert pace.tokens(0.5) == 50
    for _ in range(50):
        pace.note(1000, 1.0)
    assert pace.tokens(0.5) in (499, 500)
    assert pace.tokens(0.0001) == 16


@given(st.lists(st.integers(1, 20), max_size=12), st.integers(1, 20), st.integers(1, 4))
def test_packs_hold_every_input_once_and_in_order(lengths: list[int], size: int, most: int) -> None:
    found = list(packs(lengths, size, most))
    assert [at for start, end in found for at in range(start, end)] == list(range(len(lengths)))
    assert all(sum(lengths[a:b]) <= size for a, b in found if b - a > 1)
    assert all(1 <= end - start <= most for start, end in found)
