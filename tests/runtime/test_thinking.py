"""Thoughts and answers, told apart."""

from itertools import pairwise
from pathlib import Path

import pytest
from gguf_files import tiny_llama
from hypothesis import given
from hypothesis import strategies as st

from mbuild.compiler import gguf
from mbuild.compiler.template.capabilities import Tags
from mbuild.compiler.weights import summarise
from mbuild.runtime.engine import Finished, Piece, Reason
from mbuild.runtime.thinking import (
    Split,
    Splitter,
    Thought,
    split,
    splitter,
    tags_of_jinja,
)

TAGS = Tags("<t>", "</t>")
# What is near to tags, blanks of both kinds, and what repeats its own beginning.
PARTS = st.sampled_from(["<t>", "</t>", "<", "</", "<t", "t>", " ", "\n", "\u3000", "\x1c", "a"])
TEXTS = st.lists(PARTS, max_size=12).map("".join)


def told_apart(pieces: list[str], tags: Tags = TAGS, *, begun: bool = False) -> Split:
    """All that comes of *pieces*."""
    by = Splitter(tags, begun=begun)
    parts = [*map(by.feed, pieces), by.end()]
    return Split("".join(p.thinking for p in parts), "".join(p.answer for p in parts))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("<t>a</t>b", Split("a", "b"), id="both"),
        pytest.param(" \n<t>\n a \n</t>\n\n b ", Split("a \n", "b "), id="blanks behind tags go"),
        pytest.param("b<t>a</t>", Split("", "b<t>a</t>"), id="thoughts come first or not at all"),
        pytest.param("  b", Split("", "  b"), id="blanks before an answer stay"),
        pytest.param("<t>a</t>b<t>c</t>", Split("a", "b<t>c</t>"), id="only the first are split"),
        pytest.param("<t>a<t>b</t>c", Split("a<t>b", "c"), id="an opening tag amid thoughts"),
        pytest.param("<t>a</t>b</t>", Split("a", "b</t>"), id="a closing tag amid the answer"),
        pytest.param("<t>a", Split("a", ""), id="cut short while thinking"),
        pytest.param("<t>a</", Split("a</", ""), id="cut short in the closing tag"),
        pytest.param("<t>a</</t>b", Split("a</", "b"), id="a tag that begins twice"),
        pytest.param(" <", Split("", " <"), id="cut short in the opening tag"),
        pytest.param(" \n", Split("", " \n"), id="nothing but blanks"),
        pytest.param("<t> </t>b", Split("", "b"), id="no thought at all"),
        pytest.param("<t>", Split("", ""), id="the tag alone"),
        pytest.param("", Split("", ""), id="nothing"),
        # Python takes it for blank, Go does not.
        pytest.param("\x1c<t>a", Split("", "\x1c<t>a"), id="no blank"),
        pytest.param("\u3000<t>\x85a", Split("a", ""), id="blanks beyond ascii"),
    ],
)
def test_a_text_is_told_apart(text: str, expected: Split) -> None:
    assert told_apart([text]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("\n a</t> b", Split("a", "b"), id="both"),
        pytest.param("</t>b", Split("", "b"), id="no thought"),
        pytest.param("<t>a</t>b", Split("<t>a", "b"), id="the tag again is a thought"),
    ],
)
def test_a_prompt_may_have_opened_the_thoughts(text: str, expected: Split) -> None:
    assert told_apart([text], begun=True) == expected


@given(text=TEXTS, cuts=st.lists(st.integers(0, 30), max_size=8), begun=st.booleans())
def test_any_pieces_give_the_same_split(text: str, cuts: list[int], begun: bool) -> None:
    ends = sorted(min(cut, len(text)) for cut in cuts)
    pieces = [text[start:end] for start, end in pairwise([0, *ends, len(text)])]
    assert told_apart(pieces, begun=begun) == told_apart([text], begun=begun)


@given(text=TEXTS)
def test_nothing_is_lost_but_tags_and_blanks(text: str) -> None:
    found = told_apart(list(text))
    thinking, answer = solid(found.thinking), solid(found.answer)
    assert solid(text) in (answer, f"<t>{thinking}", f"<t>{thinking}</t>{answer}")


def solid(text: str) -> str:
    """*text* without blanks."""
    return "".join(text.split())


@given(thought=st.text("ab \n<"), answer=st.text("ab \n</t>"))
def test_what_was_put_together_comes_apart(thought: str, answer: str) -> None:
    found = told_apart(list(f"<t>{thought}</t>{answer}"))
    assert found == Split(thought.lstrip(), answer.lstrip())


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("<a>", Split("", "x</t>y")),
        ("<a><t>", Split("x", "y")),
        ("<a><t>\n", Split("x", "y")),
        ("<a><t>\n\n</t>\n", Split("", "x</t>y")),
    ],
)
def test_a_prompt_that_ends_with_the_opening_tag_has_begun(prompt: str, expected: Split) -> None:
    assert splitter(TAGS, prompt).feed("x</t>y") == expected


def test_every_token_is_counted_once() -> None:
    end = Finished(Reason.STOP)
    events = [Piece("<t", 2), Piece(">a", 1), Piece("b</t>c", 3), Piece("</", 1), Piece("d", 1)]
    assert list(split([*events, end], Splitter(TAGS))) == [
        Thought("a", 3),
        Thought("b", 3),
        Piece("c", 0),
        Piece("</", 1),
        Piece("d", 1),
        end,
    ]


def test_what_was_held_back_comes_before_the_end() -> None:
    end = Finished(Reason.LENGTH)
    assert list(split([Piece("<t>a</"), end], Splitter(TAGS))) == [
        Thought("a", 1),
        Thought("</", 0),
        end,
    ]


SPLITS = "{{ message.content.split('</think>')[-1] }}"


@pytest.mark.parametrize(
    ("text", "thinks"),
    [
        pytest.param("<think>\n</think>", True, id="both tags"),
        pytest.param("<think>", False, id="one tag"),
        pytest.param(SPLITS, True, id="takes thoughts out of old answers"),
        pytest.param(SPLITS.replace("'", '"'), True, id="in double quotes"),
        pytest.param(SPLITS + "reasoning_content", False, id="has them apart"),
        pytest.param(SPLITS + "<SPECIAL_12>", False, id="has other tags"),
        pytest.param("{{ messages }}", False, id="neither"),
    ],
)
def test_who_thinks_by_a_template_of_its_own(text: str, thinks: bool, tmp_path: Path) -> None:
    assert tags_of_jinja(text) == (Tags("<think>", "</think>") if thinks else None)
    # `show` tells the same.
    header = gguf.read(tiny_llama(tmp_path / "m.gguf", chat_template=text))
    assert summarise(header).thinking is thinks
