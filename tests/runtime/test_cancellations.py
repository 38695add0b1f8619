"""Which answers are to end."""

import pytest

from mbuild.runtime.cancellations import Cancellations


@pytest.fixture
def told() -> list[bool]:
    return []


@pytest.fixture
def cancellations(told: list[bool]) -> Cancellations:
    made = Cancellations()
    made.attach(told.append)
    return made


def test_an_answer_is_cancelled_until_it_is_over(cancellations: Cancellations) -> None:
    cancellations.expect(1)
    assert 1 not in cancellations
    cancellations.cancel(1)
    assert 1 in cancellations
    cancellations.over(1)
    assert 1 not in cancellations


@pytest.mark.parametrize("ended", [False, True], ids=["never asked for", "over"])
def test_what_comes_too_late_is_nothing(cancellations: Cancellations, ended: bool) -> None:
    if ended:
        cancellations.expect(1)
        cancellations.over(1)
    cancellations.cancel(1)
    assert 1 not in cancellations


def test_a_step_is_interrupted_once_it_works_for_nobody(
    cancellations: Cancellations, told: list[bool]
) -> None:
    for number in (1, 2, 3):
        cancellations.expect(number)
    with cancellations.step([1, 2]):
        cancellations.cancel(3)
        cancellations.cancel(1)
        assert told == []
        cancellations.cancel(2)
        assert told == [True]
    assert told == [True, False]


def test_a_step_for_what_was_cancelled_before_is_interrupted_at_once(
    cancellations: Cancellations, told: list[bool]
) -> None:
    cancellations.expect(1)
    cancellations.cancel(1)
    assert told == []
    with cancellations.step([1]):
        assert told == [True]
