"""Which characters the reference keeps."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.compiler.characters import blanked, cleaned, dropped, is_kept, kept


@pytest.mark.parametrize(
    ("character", "expected"),
    [
        pytest.param(" ", True, id="space"),
        pytest.param("\t", True, id="tab"),
        pytest.param("\r", True, id="carriage return"),
        pytest.param("\n", True, id="line feed"),
        pytest.param("é", True, id="letter"),
        pytest.param("\u0301", True, id="combining accent"),
        pytest.param("\ufe0f", True, id="variation selector, a mark"),
        pytest.param("\ufffd", True, id="replacement character"),
        pytest.param("\U0001f642", True, id="emoji"),
        # Newer than the Unicode tables of most Pythons, but known to the reference.
        pytest.param("\U0001f6d8", True, id="emoji of Unicode 17"),
        pytest.param("\U000323b0", True, id="ideograph of Unicode 17"),
        pytest.param("\u31ef", True, id="symbol of Unicode 15.1"),
        pytest.param("\0", False, id="NUL"),
        pytest.param("\x1b", False, id="escape"),
        pytest.param("\x7f", False, id="delete"),
        pytest.param("\x85", False, id="next line"),
        pytest.param("\u00a0", False, id="no-break space"),
        pytest.param("\u00ad", False, id="soft hyphen"),
        pytest.param("\u200b", False, id="zero-width space"),
        pytest.param("\u200d", False, id="zero-width joiner"),
        pytest.param("\u2028", False, id="line separator"),
        pytest.param("\u3000", False, id="ideographic space"),
        pytest.param("\ufeff", False, id="byte-order mark"),
        pytest.param("\ue000", False, id="private use"),
        pytest.param("\U0010ffff", False, id="not a character"),
    ],
)
def test_kept_characters(character: str, expected: bool) -> None:
    assert is_kept(character) is expected


def test_what_this_python_knows_as_printable_is_kept() -> None:
    for code in range(0x110000):
        if unicodedata.category(chr(code))[0] in "LMNPS":
            assert is_kept(chr(code)), hex(code)


@given(st.text())
def test_the_reference_reads_what_is_kept(text: str) -> None:
    assert kept(text) == "".join(filter(is_kept, text))
    assert dropped(kept(text)) == frozenset()


@given(st.text())
def test_blanking_keeps_every_place(text: str) -> None:
    assert [a == b for a, b in zip(text, blanked(text, "\0"), strict=True)] == [
        is_kept(each) or each == "\0" for each in text
    ]


def test_a_name_is_cleaned_and_a_clean_text_stays() -> None:
    assert cleaned("llama3\u200b \u00a0") == "llama3"
    assert cleaned(" a ") == " a "
