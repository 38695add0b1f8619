import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.cli.humanize import age, duration, size

MINUTE, HOUR, DAY = 60, 3600, 86400
YEAR = 365 * DAY


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (1500, "1.5 KB"),
        (9949, "9.9 KB"),
        # Rounded to ten, and still with its digit: only from ten on is it cut off.
        (9999, "10.0 KB"),
        (10_000, "10 KB"),
        (999_999, "999 KB"),
        (98_111_222, "98 MB"),
        (2_000_000_000, "2 GB"),
        (2_010_000_000, "2.0 GB"),
        (4_920_753_328, "4.9 GB"),
        (9_960_000_000, "10.0 GB"),
        (10_900_000_000, "10 GB"),
        (12_345_678_901, "12 GB"),
        (1_500_000_000_000, "1.5 TB"),
        (2**63 - 1, "9223372 TB"),
    ],
)
def test_sizes(count: int, expected: str) -> None:
    assert size(count) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "Less than a second ago"),
        (0.999, "Less than a second ago"),
        (1, "1 second ago"),
        (1.999, "1 second ago"),
        (2, "2 seconds ago"),
        (59.9, "59 seconds ago"),
        (MINUTE, "About a minute ago"),
        (2 * MINUTE - 0.1, "About a minute ago"),
        (2 * MINUTE, "2 minutes ago"),
        (HOUR - 1, "59 minutes ago"),
        (HOUR, "About an hour ago"),
        # Hours are rounded, not cut off.
        (1.5 * HOUR - 1, "About an hour ago"),
        (1.5 * HOUR, "2 hours ago"),
        (47.4 * HOUR, "47 hours ago"),
        (47.5 * HOUR, "2 days ago"),
        (3 * DAY - HOUR, "2 days ago"),
        (14 * DAY - HOUR, "13 days ago"),
        (14 * DAY, "2 weeks ago"),
        (60 * DAY - HOUR, "8 weeks ago"),
        (60 * DAY, "2 months ago"),
        (2 * YEAR - HOUR, "24 months ago"),
        (2 * YEAR, "2 years ago"),
        (30 * YEAR, "30 years ago"),
        (-0.5, "Less than a second from now"),
        (-5 * MINUTE, "5 minutes from now"),
        (-20 * YEAR, "20 years from now"),
        (-21 * YEAR, "Forever"),
    ],
)
def test_ages(seconds: float, expected: str) -> None:
    assert age(seconds) == expected


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [
        (0, "0s"),
        (1, "1ns"),
        (831, "831ns"),
        (1_000, "1µs"),
        (1_500, "1.5µs"),
        (26_239_000, "26.239ms"),
        (999_999_999, "999.999999ms"),
        (1_000_000_000, "1s"),
        (5_191_566_416, "5.191566416s"),
        (62_500_000_000, "1m2.5s"),
        (120_000_000_000, "2m0s"),
        (3_600_000_000_000, "1h0m0s"),
        (90_061_000_000_001, "25h1m1.000000001s"),
        (-1_500_000, "-1.5ms"),
    ],
)
def test_durations(nanoseconds: int, expected: str) -> None:
    assert duration(nanoseconds) == expected


@given(st.integers(0, 2**63 - 1))
def test_a_size_is_short_and_has_a_unit(count: int) -> None:
    number, unit = size(count).split(" ")
    scale = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}[unit]
    assert abs(float(number) * scale - count) <= scale
    assert unit == "TB" or len(number) <= 4


@given(st.floats(-(10**12), 10**12))
def test_every_age_can_be_told(seconds: float) -> None:
    assert age(seconds).endswith((" ago", " from now", "Forever"))


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_duration_loses_nothing(nanoseconds: int) -> None:
    text = duration(abs(nanoseconds)).replace("µs", "us")
    total = 0.0
    for unit, scale in (("h", 3600e9), ("m", 60e9), ("s", 1e9)):
        if text.endswith(("ms", "us", "ns")):
            break
        whole, mark, rest = text.partition(unit)
        if mark:
            total, text = total + float(whole) * scale, rest
    for unit, scale in (("ms", 1e6), ("us", 1e3), ("ns", 1)):
        if text.endswith(unit):
            total += float(text.removesuffix(unit)) * scale
    assert total == pytest.approx(abs(nanoseconds), rel=1e-12)
