"""How many threads."""

import pytest

from mbuild.runtime.cores import count_cores, decoding_threads, physical_cores, quota

TWO_CORES_FOUR_THREADS = "\n\n".join(
    f"processor\t: {number}\nphysical id\t: 0\ncore id\t\t: {number % 2}\nflags\t: a b"
    for number in range(4)
)


@pytest.mark.parametrize(
    ("text", "allowed", "expected"),
    [
        pytest.param(TWO_CORES_FOUR_THREADS, {0, 1, 2, 3}, 2, id="two threads a core"),
        pytest.param(TWO_CORES_FOUR_THREADS, {1, 3}, 1, id="both of one core"),
        pytest.param("processor : 0\nBogoMIPS : 50", {0}, 0, id="it does not say"),
        pytest.param("", {0}, 0, id="no text"),
    ],
)
def test_count_cores(text: str, allowed: set[int], expected: int) -> None:
    assert count_cores(text, allowed) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max 100000\n", 0),
        ("150000 100000\n", 1),
        ("400000 100000\n", 4),
        ("1000 100000", 1),
        ("", 0),
    ],
)
def test_quota(text: str, expected: int) -> None:
    assert quota(text) == expected


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 1), (8, 7)])
def test_a_core_is_left_for_the_rest(cores: int, expected: int) -> None:
    assert decoding_threads(cores) == expected


def test_there_is_at_least_one_core() -> None:
    assert physical_cores() >= 1
