import os
from typing import NamedTuple

import pytest

from mbuild.store import stamps

MS = 1_000_000
NOW = 1_700_000_000_000_000_000 + 123_456_789  # fine stamps


class Found(NamedTuple):
    """What `os.stat` says of a file, as far as it matters here."""

    st_dev: int = 1
    st_ino: int = 2
    st_size: int = 3
    st_mtime_ns: int = 4
    st_ctime_ns: int = 5


def settled(modified: int, changed: int, began: int) -> bool:
    found: object = Found(st_mtime_ns=modified, st_ctime_ns=changed)
    return stamps.settled(found, began)  # type: ignore[arg-type]  # a fake


@pytest.mark.parametrize(
    ("modified", "changed", "expected"),
    [
        pytest.param(NOW - 50 * MS, NOW - 50 * MS, True, id="a grain ago"),
        pytest.param(NOW - 50 * MS + 1, NOW - 1000 * MS, False, id="modified within the grain"),
        pytest.param(NOW - 1000 * MS, NOW - 50 * MS + 1, False, id="status within the grain"),
        pytest.param(NOW, NOW, False, id="just now"),
        pytest.param(NOW + 1, NOW - 1000 * MS, False, id="in the future"),
    ],
)
def test_a_fine_clock_settles_in_fifty_milliseconds(
    modified: int, changed: int, expected: bool
) -> None:
    assert settled(modified, changed, NOW) is expected


@pytest.mark.parametrize(
    ("ago", "expected"),
    [pytest.param(2000, True, id="two seconds"), pytest.param(1999, False, id="less")],
)
def test_a_coarse_clock_settles_in_two_seconds(ago: int, expected: bool) -> None:
    now = NOW // MS * MS
    assert settled(now - ago * MS, now - 5000 * MS, now) is expected


def test_one_fine_stamp_shows_that_the_clock_is_fine() -> None:
    # A copy that keeps the time of the original has whole seconds there.
    assert settled(NOW // (1000 * MS) * (1000 * MS) - 1000 * MS, NOW - 60 * MS, NOW)


@pytest.mark.parametrize("field", Found._fields)
def test_every_part_of_the_stamp_counts(field: str) -> None:
    one: object = Found()
    other: object = Found()._replace(**{field: 9})
    assert isinstance(one, Found)
    assert isinstance(other, Found)
    assert not stamps.same_file(one, other)  # type: ignore[arg-type]  # fakes
    assert stamps.key("/a", one) != stamps.key("/a", other)  # type: ignore[arg-type]  # fakes


def test_the_path_counts(tmp_path: os.PathLike[str]) -> None:
    found = os.stat(tmp_path)
    assert stamps.key("/a", found) == stamps.key("/a", found) != stamps.key("/b", found)
