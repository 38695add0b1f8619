"""Two texts, word by word."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.cli.worddiff import Change, compare

_SIGNS = {Change.SAME: " ", Change.GONE: "-", Change.NEW: "+"}
TEXTS = st.text(alphabet="ab \n<|>é", max_size=40)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("", "", [], id="nothing"),
        pytest.param("a b", "a b", [" a b"], id="the same"),
        pytest.param("", "a", ["+a"], id="all new"),
        pytest.param("a", "", ["-a"], id="all gone"),
        pytest.param("one kid.", "one cat.", [" one ", "-kid", "+cat", " ."], id="a word"),
        pytest.param("<a>\nb\n<c>", "<a>\nx\n<c>", [" <a>\n", "-b", "+x", " \n<c>"], id="line"),
        pytest.param("a\nb\n", "a\n", [" a\n", "-b\n"], id="a line less"),
    ],
)
def test_differences(old: str, new: str, expected: list[str]) -> None:
    assert [_SIGNS[run.change] + run.text for run in compare(old, new)] == expected


@given(TEXTS, TEXTS)
def test_both_texts_can_be_had_back(old: str, new: str) -> None:
    runs = compare(old, new)
    assert "".join(run.text for run in runs if run.change is not Change.NEW) == old
    assert "".join(run.text for run in runs if run.change is not Change.GONE) == new


@given(TEXTS, TEXTS)
def test_neighbours_are_put_together_and_what_is_gone_stands_first(old: str, new: str) -> None:
    changes = [run.change for run in compare(old, new)]
    for first, second in pairwise(changes):
        assert first is not second
        assert (first, second) != (Change.NEW, Change.GONE)


def test_texts_too_long_to_compare_are_shown_whole() -> None:
    old, new = "a\n" * 5000, "b\n" * 5000
    assert [run.text for run in compare(old, new)] == [old, new]
