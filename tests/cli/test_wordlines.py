"""Texts word by word, as lines: what changed, in how many words, and within the screen."""

import re

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.cli.worddiff import Change
from mbuild.cli.wordlines import changed_lines, whole_lines, words_changed


def _plain(old: str, new: str, **options: int) -> list[str]:
    return [click.unstyle(line) for line in changed_lines(old, new, **options)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("a b c", "a x c", ["a [-b-]{+x+} c"], id="a word"),
        pytest.param("", "new\n", ["{+new⏎+}"], id="a text that came"),
        pytest.param("a\nb", "a\n\nb", ["a", "{+⏎+}", "b"], id="an empty line"),
        pytest.param("a", "a\n", ["a{+⏎+}"], id="a line end"),
        pytest.param("a\tb", "a\tc", ["a    [-b-]{+c+}"], id="a tab"),
        pytest.param("a\x1b[2J", "b\x1b[2J", ["[-a-]{+b+}␛[2J"], id="no control sequence"),
        pytest.param(
            "1\n2\n3\n4\n5\n6\n7",
            "1\n2\n3\nx\n5\n6\n7",
            ["⋮", "2", "3", "[-4-]{+x+}", "5", "6", "⋮"],
            id="two lines around a change",
        ),
        pytest.param("\n\na", "\n\nb", ["[-a-]{+b+}"], id="no blank lines around"),
        pytest.param("a", "a", [], id="nothing"),
    ],
)
def test_lines(old: str, new: str, expected: list[str]) -> None:
    assert _plain(old, new) == expected


def test_long_lines_are_broken_between_words() -> None:
    old = "You are a helpful assistant who answers in one sentence."
    new = "You are a terse assistant who always answers in one sentence."
    assert _plain(old, new, width=30) == [
        "You are a [-helpful-]{+terse+}",
        "assistant who{+ always+}",
        "answers in one sentence.",
    ]


def test_a_text_that_came_or_went_as_a_whole() -> None:
    text = "\nYou are a kid who\n\nplays.\n"
    came = [click.unstyle(line) for line in whole_lines(text, Change.NEW, width=12)]
    assert came == ["+ You are a", "+ kid who", "+ ", "+ plays."]
    went = [click.unstyle(line) for line in whole_lines(text, Change.GONE)]
    assert went == ["- You are a kid who", "- ", "- plays."]


words = st.lists(st.sampled_from(["a", "bb", "ccc", "you", "", "\n"]), max_size=30)


@given(words, words, st.integers(20, 40))
def test_lines_keep_to_the_width(old: list[str], new: list[str], width: int) -> None:
    for line in _plain(" ".join(old), " ".join(new), width=width):
        # What went and what came for it stay together.
        assert len(line) <= width + len("[-ccc-]{+ccc+}")


@given(words, words)
def test_breaking_lines_loses_nothing(old: list[str], new: list[str]) -> None:
    whole, broken = (_plain(" ".join(old), " ".join(new), width=width) for width in (10_000, 20))
    bare = re.compile(r"[-+\[\]{}\s]")
    assert bare.sub("", "".join(whole)) == bare.sub("", "".join(broken))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("a small kid", "a big kid", "1 word changed", id="one"),
        pytest.param("a kid", "a very small kid", "2 words added", id="added"),
        pytest.param("a very small kid", "a kid", "2 words removed", id="removed"),
        pytest.param("a b c d", "x b y d z", "3 words changed", id="both"),
        pytest.param("a b", "a, b!", "punctuation or blanks changed", id="no word"),
    ],
)
def test_words(old: str, new: str, expected: str) -> None:
    assert words_changed(old, new) == expected
