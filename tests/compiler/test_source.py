"""From bytes to text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.compiler.diagnostic import Code
from mbuild.compiler.source import decode, doubts


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", "", id="empty"),
        pytest.param("FROM é".encode(), "FROM é", id="UTF-8"),
        pytest.param(b"\xef\xbb\xbfFROM x", "FROM x", id="UTF-8 with a mark"),
        pytest.param(b"\xef\xbb\xbf\xef\xbb\xbfFROM x", "\ufeffFROM x", id="only the first mark"),
        pytest.param(b"\xff\xfeF\0\xe9\0", "Fé", id="little endian"),
        pytest.param(b"\xfe\xff\0F\0\xe9", "Fé", id="big endian"),
        pytest.param(b"\xff\xfe=\xd8B\xde", "\U0001f642", id="a pair"),
        pytest.param(b"\xff\xfe=\xd8a\0", "\ufffda", id="first half of a pair"),
        pytest.param(b"\xff\xfeB\xdea\0", "\ufffda", id="second half of a pair"),
        pytest.param(b"\xff\xfea\0b", "a\ufffd", id="half a unit"),
        pytest.param(b"\xfe\xff\xd8=\xd8", "\ufffd\ufffd", id="half a pair and half a unit"),
        pytest.param(b"a\xe2\x82b", "a\ufffdb", id="a sequence that breaks off is one"),
        pytest.param(b"\xc0\xaf", "\ufffd\ufffd", id="an overlong sequence is two"),
        pytest.param(b"\xed\xa0\xbd", "\ufffd" * 3, id="an encoded surrogate is three"),
        pytest.param(b"\xf4\x90\x80\x80", "\ufffd" * 4, id="beyond the last character is four"),
        pytest.param(b"\xf0", "\ufffd", id="cut off by the end"),
    ],
)
def test_decoding(data: bytes, expected: str) -> None:
    assert decode("Modelfile", data).text == expected


@given(st.binary())
def test_any_bytes_are_a_text(data: bytes) -> None:
    source = decode("Modelfile", data)
    doubts(source, data)
    source.text.encode()  # No half of a pair is left.


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        pytest.param(b"FROM x", [], id="ASCII"),
        pytest.param("FROM x\nSYSTEM é\ufffd".encode(), [], id="a replacement character is none"),
        pytest.param(b"FROM x\nSYSTEM \xe9", [Code.NOT_UTF8], id="Latin-1"),
        pytest.param(b"\xef\xbb\xbfa\xff", [Code.NOT_UTF8], id="behind a mark"),
        pytest.param("FROM x\n".encode("utf-16-le"), [Code.UTF16_WITHOUT_MARK], id="little endian"),
        pytest.param("FROM x\n".encode("utf-16-be"), [Code.UTF16_WITHOUT_MARK], id="big endian"),
        pytest.param(
            "FROM x\nSYSTEM 苹果香蕉梨\n".encode("utf-16-le"),
            [Code.UTF16_WITHOUT_MARK],
            id="Chinese",
        ),
        pytest.param("FROM x\n".encode("utf-16"), [], id="UTF-16 with a mark"),
        pytest.param(b"FROM x\0\0\0\0\0\0\0", [], id="some NULs"),
    ],
)
def test_doubts(data: bytes, codes: list[Code]) -> None:
    assert [each.code for each in doubts(decode("Modelfile", data), data)] == codes


def test_the_bad_byte_is_pointed_at() -> None:
    data = "é\n".encode() + b"ab\xe9"
    source = decode("Modelfile", data)
    (finding,) = doubts(source, data)
    assert source.position(finding.span.start) == (2, 3)
    assert finding.message == "byte 0xe9 is not UTF-8 and becomes U+FFFD"
