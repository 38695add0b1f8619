"""Durations as Go reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.cli.humanize import duration
from mbuild.runtime.goduration import BadDuration, parse

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("5m", 300 * SECOND),
        ("1h30m", 5400 * SECOND),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("5.s", 5 * SECOND),
        ("+7ms", 7_000_000),
        ("-1s", -SECOND),
        ("3µs3us3μs", 9_000),
        ("0.1ns", 0),
        ("9223372036854775807ns", 2**63 - 1),
        ("-9223372036854775808ns", -(2**63)),
    ],
)
def test_what_is_a_duration(text: str, nanoseconds: int) -> None:
    assert parse(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'time: invalid duration ""'),
        ("m", 'time: invalid duration "m"'),
        (".s", 'time: invalid duration ".s"'),
        ("1s.", 'time: invalid duration "1s."'),
        ("--1s", 'time: invalid duration "--1s"'),
        ("10", 'time: missing unit in duration "10"'),
        ("1h5", 'time: missing unit in duration "1h5"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("5 m", 'time: unknown unit " m" in duration "5 m"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("-1", 'time: missing unit in duration "-1"'),
    ],
)
def test_what_is_none(text: str, message: str) -> None:
    with pytest.raises(BadDuration) as caught:
        parse(text)
    assert str(caught.value) == message


@given(st.integers(-(2**63), 2**63 - 1))
def test_what_is_written_is_read_back(nanoseconds: int) -> None:
    assert parse(duration(nanoseconds)) == nanoseconds
