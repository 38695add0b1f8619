"""Findings as the user sees them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from mbuild.compiler.diagnostic import (
    Code,
    Diagnostic,
    Label,
    Part,
    Severity,
    Source,
    render,
    visible,
)


def finding(text: str, start: int, end: int, hint: str | None = None) -> Diagnostic:
    span = Source("Modelfile", text).span(start, end)
    return Diagnostic(Code.UNKNOWN_PARAMETER, "no such thing", span, hint)


def labelled(
    text: str, span: tuple[int, int], *labels: tuple[int, int, str], hint: str | None = None
) -> Diagnostic:
    source = Source("Modelfile", text)
    return Diagnostic(
        Code.REPLACED,
        "no effect",
        source.span(*span),
        hint,
        tuple(Label(source.span(start, end), text) for start, end, text in labels),
    )


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
        assert severity is Severity.WARNING
        return f"<{part.value}>{text}</>"

    told = labelled("a b", (2, 3), (0, 1, "this"), hint="c")
    painted = render(told, paint=paint)
    assert "<caret>^</>" in painted
    assert "<label>this</>" in painted
    assert set(parts) == set(Part)


def test_a_long_line_costs_no_more_than_what_is_shown() -> None:
    text = "x" * 5_000_000
    assert len(render(finding(text, 4_000_000, 5_000_000))) < 1000


@given(st.text(), st.data())
def test_nothing_acts_on_the_terminal_and_the_excerpt_fits(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    place, bar, line, carets, *_ = render(finding(text, start, end), width=40).split("\n")
    assert place.startswith("Modelfile:")
    assert bar.strip() == "|"
    assert 0 < carets.index("^") < carets.rindex("^") + 1 <= 44
    assert all(character == "\u200d" or ord(character) >= 0x20 for character in line)
    assert not set(line) & {"\x7f", "\x9b", "\u2028", "\u202e"}


TEXT = "FROM base\nSYSTEM one\nPARAMETER a b\n\nSYSTEM two\n"


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(labelled(TEXT, (10, 16), (21, 30, "next")), id="next line"),
        pytest.param(labelled(TEXT, (10, 16), (36, 42, "wins")), id="far below"),
        pytest.param(labelled(TEXT, (36, 42), (10, 16, "was here")), id="above"),
        pytest.param(labelled(TEXT, (31, 32), (33, 34, "this")), id="same line, behind"),
        pytest.param(labelled(TEXT, (33, 34), (31, 32, "this")), id="same line, before"),
        pytest.param(labelled(TEXT, (21, 34), (31, 32, "this")), id="same line, within"),
        pytest.param(
            labelled(TEXT, (33, 34), (21, 30, "one"), (31, 32, "two")), id="two on the line"
        ),
        pytest.param(labelled(TEXT, (10, 16), (36, 46, "a"), (0, 4, "b")), id="three lines"),
        pytest.param(labelled(TEXT, (10, 46), hint="several"), id="span of several lines"),
        pytest.param(labelled(TEXT, (0, 4), (10, 46, "all of it")), id="label of several lines"),
        pytest.param(labelled("苹 果\n" * 2, (0, 1), (6, 7, "苹")), id="wide"),
        pytest.param(
            labelled("x" * 300 + "ab" + "y" * 300, (300, 301), (301, 302, "b"), (0, 1, "x")),
            id="beyond the cut",
        ),
        pytest.param(labelled(TEXT, (10, 16), (len(TEXT), len(TEXT), "end")), id="at the end"),
    ],
)
def test_labels_are_underlined_with_dashes(told: Diagnostic, snapshot: SnapshotAssertion) -> None:
    assert render(told) == snapshot


def test_a_label_in_another_file_shows_that_file(snapshot: SnapshotAssertion) -> None:
    there = Source("parts/common.mf", "\n" * 11 + "SYSTEM two")
    here = Source("Modelfile", "FROM base\nSYSTEM one\n")
    told = Diagnostic(
        Code.REPLACED,
        "no effect",
        here.span(10, 16),
        "the last one wins",
        (Label(there.span(11, 17), "this one wins"),),
    )
    assert render(told) == snapshot


LONG = Diagnostic(
    Code.SYSTEM_IGNORED,
    "the template has no place for the system text, so the model never sees a word of it",
    Source("models/parrot/Modelfile", TEXT).span(10, 16),
    "one of the two comes from the base model; write {{ .System }} where it belongs\n"
    "or 苹果 苹果 苹果",
    (Label(Source("other", "FROM a").span(0, 4), "which says something at great length, too"),),
)


@pytest.mark.parametrize("width", [20, 40, 60, 100, 200])
def test_sentences_are_broken_at_words(width: int, snapshot: SnapshotAssertion) -> None:
    assert render(LONG, width=width, wrap=True) == snapshot


def test_sentences_are_whole_where_no_terminal_is() -> None:
    assert LONG.message in render(LONG, width=40)


@given(st.integers(30, 120))
def test_a_broken_sentence_has_all_its_words_and_fits(width: int) -> None:
    rows = render(LONG, width=width, wrap=True).splitlines()
    assert " ".join(LONG.message.split()) in " ".join(" ".join(rows).split())
    assert all(len(row) <= width for row in rows if row.isascii())


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
