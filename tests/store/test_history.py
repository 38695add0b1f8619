from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbuild.store.digest import Digest
from mbuild.store.history import DamagedHistory, History, Revision
from mbuild.store.name import Name

KID = Name.parse("kid")
SOURCES = {"Modelfile": Digest.of(b"FROM x"), "ß": Digest.of(b"")}


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(str(tmp_path / "history"))


def test_nothing_has_no_history(history: History) -> None:
    assert history.revisions(KID, None) == ()
    assert list(history.every()) == []
    history.settle(KID, b"x")
    history.forget(KID)
    assert not Path(history.folder).exists()


def test_revisions_are_numbered_in_order(history: History) -> None:
    for number in range(1, 12):
        history.add(KID, number * 10, b"%d" % number, SOURCES)
    history.add(Name.parse("other"), 1, b"x", {})
    assert history.revisions(KID, None) == tuple(
        Revision(number, number * 10, b"%d" % number, SOURCES) for number in range(1, 12)
    )
    assert history.latest(KID) == Revision(11, 110, b"11", SOURCES)
    assert len(list(history.every())) == 12


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(time=st.integers(0, 2**63), manifest=st.binary(), files=st.lists(st.text(), max_size=3))
def test_a_revision_survives_writing_and_reading(
    history: History, time: int, manifest: bytes, files: list[str]
) -> None:
    sources = {file: Digest.of(file.encode()) for file in files}
    history.add(KID, time, manifest, sources)
    latest = history.latest(KID)
    assert latest == Revision(latest.number if latest else 0, time, manifest, sources)


@pytest.mark.parametrize(
    ("present", "kept"),
    [
        pytest.param(b"new", True, id="it came about"),
        pytest.param(b"old", False, id="it did not"),
        pytest.param(None, False, id="there is no model"),
    ],
)
def test_what_was_announced_counts_if_it_came_about(
    history: History, present: bytes | None, kept: bool
) -> None:
    history.add(KID, 1, b"old", {})
    history.announce(KID, 2, b"new", SOURCES)
    # Before it is settled, as after a crash, ...
    assert len(history.revisions(KID, present)) == 1 + kept
    # ... its blobs are in use whatever becomes of it, ...
    assert {revision.manifest for _, revision in history.every()} == {b"old", b"new"}
    # ... and afterwards it is there or gone for good.
    history.settle(KID, present)
    manifests = [each.manifest for each in history.revisions(KID, b"new")]
    assert manifests == ([b"old", b"new"] if kept else [b"old"])
    assert len(list(history.every())) == 1 + kept


def test_what_is_forgotten_leaves_no_folder(history: History) -> None:
    history.add(KID, 1, b"x", {})
    history.announce(KID, 2, b"y", {})
    history.forget(KID)
    assert not Path(history.folder).exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'{"time":1,"manifest":"x"}', id="no sources"),
        pytest.param(b'{"time":"1","manifest":"x","sources":{}}', id="time is a text"),
        pytest.param(b'{"time":1,"manifest":"x","sources":{"a":"../../x"}}', id="path for digest"),
        pytest.param(b'{"time":1,"manifest":"x","sources":{"a":1}}', id="number for digest"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"[" * 100_000, id="too deep"),
    ],
)
def test_a_damaged_revision_is_named(history: History, content: bytes) -> None:
    history.add(KID, 1, b"x", {})
    path = Path(history.folder) / KID.path / "000001.json"
    path.write_bytes(content)
    with pytest.raises(DamagedHistory) as caught:
        history.revisions(KID, None)
    assert caught.value.path == str(path)


def test_other_files_are_no_revisions(history: History) -> None:
    history.add(KID, 1, b"x", {})
    folder = Path(history.folder) / KID.path
    for name in (".mbuild-1-00", "notes.txt", "latest.json", "-1.json", "1e3.json"):
        (folder / name).write_bytes(b"")
    assert len(history.revisions(KID, None)) == 1
