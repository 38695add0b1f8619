from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbuild.store.digest import Digest
from mbuild.store.records import Records

KEY = Digest.of(b"a step")
OTHER = Digest.of(b"another step")


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(str(tmp_path / "records"))


def file_of(records: Records) -> Path:
    return next(path for path in Path(records.folder).rglob("*") if path.is_file())


def test_nothing_is_recalled_before_it_is_recorded(records: Records) -> None:
    assert records.recall(KEY) is None
    assert not Path(records.folder).exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.binary(), second=st.binary())
def test_the_last_bytes_are_recalled(records: Records, first: bytes, second: bytes) -> None:
    records.record(KEY, first)
    records.record(OTHER, b"other")
    records.record(KEY, second)
    assert records.recall(KEY) == second
    assert records.recall(OTHER) == b"other"


@pytest.mark.parametrize("length", range(0, 66 + 9, 5))
def test_a_torn_record_is_none(records: Records, length: int) -> None:
    records.record(KEY, b"0123456789")
    path = file_of(records)
    path.write_bytes(path.read_bytes()[:length])
    assert records.recall(KEY) is None


def test_zeros_after_a_crash_are_none(records: Records) -> None:
    records.record(KEY, b"0123456789")
    path = file_of(records)
    path.write_bytes(bytes(len(path.read_bytes())))
    assert records.recall(KEY) is None


def test_the_record_of_another_step_is_none(records: Records) -> None:
    records.record(KEY, b"data")
    content = file_of(records).read_bytes()
    records.record(OTHER, b"")
    for path in Path(records.folder).rglob("*"):
        if path.is_file():
            path.write_bytes(content)
    assert (records.recall(KEY), records.recall(OTHER)) == (b"data", None)
