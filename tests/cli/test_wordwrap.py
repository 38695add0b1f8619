"""Word wrap, seen through a terminal that does what the escapes say."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mbuild.cli.wordwrap import Wrapped, cells

_BACK = re.compile(r"\x1b\[(\d+)D\x1b\[K")


def screen(written: str) -> list[str]:
    """The lines that a terminal of endless width shows."""
    lines = [""]
    at = 0
    while at < len(written):
        back = _BACK.match(written, at)
        if back is not None:
            gone = int(back[1])
            while gone > 0:
                gone -= cells(lines[-1][-1])
                lines[-1] = lines[-1][:-1]
            assert gone == 0
            at = back.end()
            continue
        if written[at] == "\n":
            lines.append("")
        else:
            lines[-1] += written[at]
        at += 1
    return lines


def shown(*parts: str, width: int = 20) -> list[str]:
    wrapped = Wrapped()
    return screen("".join(wrapped.feed(part, width) for part in parts))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("one two three", ["one two three"], id="fits"),
        pytest.param("the dinosaurs are gone", ["the dinosaurs", "are gone"], id="word goes down"),
        pytest.param("123456789012345", ["123456789012345"], id="to the last free cell"),
        # 15 cells are for text; a word of more than 10 is split there.
        pytest.param("1234567890123456", ["123456789012345", "6"], id="long word is split"),
        pytest.param("ab 12345678901234", ["ab 123456789012", "34"], id="long word stays"),
        # The blank at the end of a line is the end of the line.
        pytest.param("123456789012345 six", ["123456789012345", "six"], id="blank at the edge"),
        pytest.param("one\ntwo three four", ["one", "two three four"], id="own line ends"),
        pytest.param("空空空空空空空空", ["空空空空空空空", "空"], id="wide, anywhere"),
        pytest.param("abc空空空空空空空", ["abc空空空空空空", "空"], id="wide behind a word"),
        pytest.param("one two cafe\u0301s soon", ["one two cafe\u0301s", "soon"], id="combining"),
        pytest.param("\tone two three", ["\tone two", "three"], id="tab"),
    ],
)
def test_lines_break_between_words(text: str, lines: list[str]) -> None:
    assert [line.rstrip(" ") for line in shown(text)] == lines


def test_a_word_that_has_been_shown_is_taken_back() -> None:
    wrapped = Wrapped()
    assert wrapped.feed("eins zwei dr", 18) == "eins zwei dr"
    assert wrapped.feed("ei!", 18) == "e\x1b[3D\x1b[K\ndrei!"


@pytest.mark.parametrize("width", [0, 9])
def test_a_narrow_terminal_is_left_alone(width: int) -> None:
    text = "the dinosaurs are gone"
    assert Wrapped().feed(text, width) == text


TEXTS = st.text(st.sampled_from("ab c\n\t空é🦕\u0301\u200d"), max_size=200)
WIDTHS = st.integers(10, 40)


@given(TEXTS, WIDTHS, st.integers(0, 200))
def test_how_a_text_is_cut_into_pieces_does_not_show(text: str, width: int, at: int) -> None:
    assert shown(text[:at], text[at:], width=width) == shown(text, width=width)


@given(TEXTS, WIDTHS)
@example("aaaa空空空\u200d空a", 15)  # What is drawn into a wide character is no word.
def test_nothing_but_blanks_is_lost(text: str, width: int) -> None:
    assert "".join("".join(shown(text, width=width)).split()) == "".join(text.split())


@given(TEXTS.map(lambda text: text.replace("\t", "").replace("\u200d", "")), WIDTHS)
def test_no_line_comes_near_the_edge(text: str, width: int) -> None:
    for line in shown(text, width=width):
        assert sum(map(cells, line)) <= width - 5
