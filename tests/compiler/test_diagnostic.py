"""Findings as the user sees them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from mbuild.compiler.diagnostic import Code, Diagnostic, Part, Severity, Source, render, visible


def finding(text: str, start: int, end: int, hint: str | None = None) -> Diagnostic:
    span = Source("Modelfile", text).span(start, end)
    return Diagnostic(Code.UNKNOWN_PARAMETER, "no such thing", span, hint)


def test_a_finding_looks_like_this() -> None:
    text = "FROM base\nPARAMETER top_q 1\n"
    assert render(finding(text, 20, 25, "did you mean top_p?")) == (
        "Modelfile:2:11: error: no such thing [MB012 unknown-parameter]\n"
        "  |\n"
        "2 | PARAMETER top_q 1\n"
        "  |           ^^^^^\n"
        "  = hint: did you mean top_p?"
    )


@pytest.mark.parametrize(
    ("text", "word"),
    [
        pytest.param("a BAD", "BAD", id="plain"),
        pytest.param("\ta\tBAD", "BAD", id="tabs"),
        pytest.param("苹果 BAD", "BAD", id="wide characters"),
        pytest.param("e\u0301 BAD", "BAD", id="combining accent"),
        pytest.param("👩\u200d👩\u200d👧 BAD", "BAD", id="joined emoji"),
        pytest.param("❤\ufe0f BAD", "BAD", id="symbol as emoji"),
        pytest.param("👍🏽 BAD", "BAD", id="skin tone"),
        pytest.param("\x1b[31m BAD", "BAD", id="escape sequence"),
        pytest.param("\u202eabc BAD", "BAD", id="override of direction"),
        pytest.param("a 苹果 b", "苹果", id="wide span"),
        pytest.param("a \t b", "\t", id="span of a tab"),
        pytest.param("a\r\nb BAD\r\nc", "BAD", id="CRLF"),
        pytest.param("\n" * 99 + "BAD", "BAD", id="three digits"),
        pytest.param("x BAD\nMORE y", "BAD\nMORE", id="span of two lines"),
        pytest.param("x" * 300 + " BAD " + "y" * 300, "BAD", id="cut at both ends"),
        pytest.param("BAD " + "y" * 300, "BAD", id="cut at the end"),
        pytest.param("苹" * 300 + " BAD " + "果" * 300, "BAD", id="cut and wide"),
        pytest.param("a " + "B" * 300, "B" * 300, id="span wider than the line"),
    ],
)
def test_the_carets_are_below_the_span(text: str, word: str, snapshot: SnapshotAssertion) -> None:
    start = text.index(word)
    assert render(finding(text, start, start + len(word))) == snapshot


@pytest.mark.parametrize(
    ("text", "at"),
    [
        pytest.param("", 0, id="no text"),
        pytest.param("a", 1, id="end of the text"),
        pytest.param("a\n", 2, id="behind the last line end"),
    ],
)
def test_an_empty_span_has_one_caret(text: str, at: int) -> None:
    assert render(finding(text, at, at)).splitlines()[-1].count("^") == 1


def test_a_hint_may_have_lines() -> None:
    rows = render(finding("a", 0, 1, "one\ntwo")).splitlines()
    assert rows[-2:] == ["  = hint: one", "  = hint: two"]


def test_each_part_can_be_painted() -> None:
    parts: list[Part] = []

    def paint(part: Part, severity: Severity, text: str) -> str:
        parts.append(part)
        assert severity is Severity.ERROR
        return f"<{part.value}>{text}</>"

    painted = render(finding("a b", 2, 3, "c"), paint=paint)
    assert "<caret>^</>" in painted
    assert set(parts) == set(Part)


def test_a_long_line_costs_no_more_than_what_is_shown() -> None:
    text = "x" * 5_000_000
    assert len(render(finding(text, 4_000_000, 5_000_000))) < 1000


@given(st.text(), st.data())
def test_nothing_acts_on_the_terminal_and_the_excerpt_fits(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    place, bar, line, carets = render(finding(text, start, end), width=40).split("\n")
    assert place.startswith("Modelfile:")
    assert bar.strip() == "|"
    assert 0 < carets.index("^") < carets.rindex("^") + 1 <= 44
    assert all(character == "\u200d" or ord(character) >= 0x20 for character in line)
    assert not set(line) & {"\x7f", "\x9b", "\u2028", "\u202e"}


@given(st.text(st.sampled_from("ab\r\n")))
def test_every_offset_has_its_line_and_column(text: str) -> None:
    source = Source("Modelfile", text)
    line, column = 1, 1
    for offset, character in enumerate(text):
        assert source.position(offset) == (line, column)
        ends_here = character == "\n" or (character == "\r" and text[offset + 1 :][:1] != "\n")
        line, column = (line + 1, 1) if ends_here else (line, column + 1)
    assert source.position(len(text)) == (line, column)


def test_codes_are_told_apart_by_number_and_by_name() -> None:
    assert len({code.number for code in Code}) == len({code.label for code in Code}) == len(Code)
    assert str(Code.UNKNOWN_PARAMETER) == "MB012 unknown-parameter"


def test_controls_are_shown_as_pictures() -> None:
    assert visible("a\x1b\x00\x7f\u202e") == "a␛␀␡\ufffd"
