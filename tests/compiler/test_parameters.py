"""Texts of parameters to values, as Go reads them."""

import math
import struct
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mbuild.compiler.parameters import DEPRECATED, OPTIONS, REMOVED, convert
from mbuild.compiler.recipe import ParameterValue


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        pytest.param("seed", "1", 1, id="whole"),
        pytest.param("seed", "+07", 7, id="sign and zeros"),
        pytest.param("seed", "-9223372036854775808", -(2**63), id="least"),
        pytest.param("seed", "9223372036854775807", 2**63 - 1, id="greatest"),
        pytest.param("seed", "0" * 5000 + "1", 1, id="more digits than Python reads"),
        pytest.param("use_mmap", "T", True, id="flag"),
        pytest.param("use_mmap", "False", False, id="flag off"),
        pytest.param("top_p", "0.7", 0.7, id="fraction"),
        pytest.param("top_p", "5.", 5.0, id="nothing behind the point"),
        pytest.param("top_p", ".5", 0.5, id="nothing before the point"),
        pytest.param("top_p", "1_000.2_5e0_1", 10002.5, id="underscores between digits"),
        pytest.param("top_p", "0x1p-2", 0.25, id="hexadecimal"),
        pytest.param("top_p", "-0X_A.8P0", -10.5, id="hexadecimal with everything"),
        pytest.param("top_p", "0.123456789", 0.12345679, id="shortest"),
        pytest.param("top_p", "16777217", 16777216.0, id="rounded"),
        pytest.param("top_p", "9223372036854775808", 9.223372e18, id="large"),
        pytest.param("top_p", "1e-46", 0.0, id="too small is zero"),
        pytest.param("top_p", "1e-45", 1e-45, id="smallest"),
        pytest.param("top_p", "3.4028235e38", 3.4028235e38, id="largest"),
        pytest.param("top_p", "3.4028235677973362e38", 3.4028235e38, id="rounds to the largest"),
        pytest.param("top_p", "InFinITy", math.inf, id="infinity"),
        pytest.param("top_p", "-inf", -math.inf, id="minus infinity"),
        # Half-way between two 32-bit numbers once it has been rounded to 64 bits.
        pytest.param("top_p", "1.00000005960464477540", 1.0000001, id="above half-way"),
        pytest.param("top_p", "1.00000005960464477539", 1.0, id="below half-way"),
        pytest.param("top_p", "0x1.000001000000000000001p0", 1.0000001, id="above in hexadecimal"),
        pytest.param("top_p", "0x1.000001p0", 1.0, id="half-way goes to the even one"),
        pytest.param("stop", "", ("",), id="empty text"),
        pytest.param("stop", "a b", ("a b",), id="text"),
    ],
)
def test_values(name: str, text: str, expected: ParameterValue) -> None:
    value = convert(name, text)
    assert value == expected
    assert type(value) is type(expected)


def test_minus_zero_keeps_its_sign() -> None:
    assert str(convert("top_p", "-0")) == "-0.0"


def test_not_a_number_is_read() -> None:
    assert str(convert("top_p", "NaN")) == "nan"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[
            ("seed", text)
            for text in ("", " 1", "1 ", "1.0", "1e3", "0x10", "1_000", "٣", "--1", "+")
        ],
        *[("seed", text) for text in ("9223372036854775808", "-9223372036854775809")],
        *[("top_p", text) for text in ("", ".", "1_", "_1", "1__0", "1._5", "1_.5", "1e", "1e_5")],
        *[("top_p", text) for text in ("0x1", "0x", "0xp1", "0x_.8p0", "0b1", "+nan", "infi", "½")],
        *[("top_p", text) for text in ("1e39", "3.4028236e38", "3.4028235677973367e38", "0x1p128")],
        *[("use_mmap", text) for text in ("", "yes", "tRUE", "2")],
    ],
)
def test_what_is_none_of_the_values(name: str, text: str) -> None:
    type_ = OPTIONS[name].type.value
    with pytest.raises(ValueError, match="invalid") as wrong:
        convert(name, text)
    assert str(wrong.value) == f"invalid {type_} value [{text}]"


def single(bits: int) -> float:
    value: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return value


def value_of(text: str) -> float:
    value = convert("top_p", text)
    assert isinstance(value, float)
    return value


FINITE = st.integers(0, 0x7F7FFFFF)


@given(FINITE)
@example(0x00800000)  # A power of two: its neighbours are not equally far.
@example(0x0F800000)
def test_the_shortest_decimal_stands_for_the_number(bits: int) -> None:
    value = value_of(repr(single(bits)))
    assert struct.pack("<f", value) == struct.pack("<I", bits)
    digits = repr(value).replace(".", "").split("e")[0].strip("0")
    shorter = f"{single(bits):.{max(len(digits) - 2, 0)}e}"
    if len(digits) > 1:
        assert value_of(shorter) != value


@given(FINITE.filter(lambda bits: bits < 0x7F7FFFFF), st.integers(1, 30))
def test_digits_next_to_half_way_go_to_the_nearer_side(bits: int, zeros: int) -> None:
    low, high = single(bits), single(bits + 1)
    half = (Fraction(low) + Fraction(high)) / 2
    power = half.denominator.bit_length() - 1
    scaled = half.numerator * 5**power  # Times ten to the minus power: the same number.
    assert value_of(f"{scaled}{'0' * zeros}1e-{power + zeros + 1}") == value_of(repr(high))
    assert value_of(f"{scaled - 1}{'9' * zeros}e-{power + zeros}") == value_of(repr(low))
    even = low if bits % 2 == 0 else high
    assert value_of(f"{scaled}e-{power}") == value_of(repr(even))


@given(st.text(st.sampled_from("0123456789abxep_+-. infaty"), max_size=12))
def test_a_number_is_what_python_reads_too(text: str) -> None:
    try:
        value = value_of(text)
    except ValueError:
        return
    plain = text.replace("_", "")
    known = float.fromhex(plain) if "x" in plain else float(plain)
    assert value == pytest.approx(known, rel=1e-6, abs=1e-44, nan_ok=True)


def test_there_are_twenty_options_and_no_name_is_in_two_tables() -> None:
    assert len(OPTIONS) == 20
    assert len({*OPTIONS, *DEPRECATED, *REMOVED}) == len(OPTIONS) + len(DEPRECATED) + len(REMOVED)
    assert all(option.name == name for name, option in OPTIONS.items())
