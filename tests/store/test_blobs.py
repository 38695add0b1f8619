import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from failing_disk import FailingDisk

from mbuild.store.blobs import Blobs, MissingBlob, Stored
from mbuild.store.digest import Digest

HELLO = Digest.of(b"hello")
LONG_AGO = 1_000_000_000_000_000_000  # ns since the epoch


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "store" / "blobs")


def test_bytes_come_back(blobs: Blobs) -> None:
    assert blobs.put(b"hello") == Stored(HELLO, 5, created=True)
    assert HELLO in blobs
    assert (blobs.size(HELLO), blobs.read(HELLO)) == (5, b"hello")
    with blobs.open(HELLO) as file:
        assert file.read() == b"hello"
    assert Path(blobs.path(HELLO)).name == f"sha256-{HELLO.hex}"


def test_a_blob_is_for_all_to_read_whatever_the_umask(blobs: Blobs) -> None:
    before = os.umask(0o077)
    try:
        blobs.put(b"hello")
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(blobs.path(HELLO)).st_mode) == 0o644


def test_what_is_there_is_touched_and_not_written(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs.put(b"hello")
    path = Path(blobs.path(HELLO))
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    inode = path.stat().st_ino
    monkeypatch.delattr(os, "write")
    assert blobs.put(b"hello") == Stored(HELLO, 5, created=False)
    found = path.stat()
    assert found.st_ino == inode
    assert min(found.st_atime_ns, found.st_mtime_ns) > LONG_AGO


@pytest.mark.parametrize("damage", ["cut off", "dangling link"])
def test_a_blob_that_cannot_be_whole_is_written_again(blobs: Blobs, damage: str) -> None:
    blobs.put(b"hello")
    path = Path(blobs.path(HELLO))
    if damage == "cut off":
        path.write_bytes(b"he")
    else:
        path.unlink()
        path.symlink_to("nowhere")
    assert blobs.put(b"hello") == Stored(HELLO, 5, created=True)
    assert blobs.read(HELLO) == b"hello"


def test_a_blob_may_be_a_link(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"hello")
    Path(blobs.folder).mkdir(parents=True)
    Path(blobs.path(HELLO)).symlink_to(tmp_path / "elsewhere")
    assert blobs.put(b"hello").created is False
    blobs.remove(HELLO)
    assert (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(lambda blobs: blobs.size(HELLO), id="size"),
        pytest.param(lambda blobs: blobs.read(HELLO), id="read"),
        pytest.param(lambda blobs: blobs.open(HELLO), id="open"),
        pytest.param(lambda blobs: blobs.touch(HELLO), id="touch"),
        pytest.param(lambda blobs: blobs.remove(HELLO), id="remove"),
    ],
)
def test_a_blob_that_is_not_there_is_named(blobs: Blobs, use: object) -> None:
    assert callable(use)
    with pytest.raises(MissingBlob) as caught:
        use(blobs)
    assert caught.value.digest == HELLO
    assert HELLO not in blobs


def test_looking_makes_no_folder(blobs: Blobs) -> None:
    assert HELLO not in blobs
    assert not os.path.exists(blobs.folder)


def test_whatever_fails_there_is_no_blob_and_no_litter(blobs: Blobs, disk: FailingDisk) -> None:
    blobs.put(b"another")
    failed = []
    for attempt in disk.attempts(lambda: blobs.put(b"hello")):
        failed.append(attempt.failed)
        assert attempt.error is not None
        assert str(attempt.error.filename).startswith(blobs.folder)
        # The blob is there only if nothing but the last sync of the folder is missing.
        if HELLO in blobs:
            assert blobs.read(HELLO) == b"hello"
            blobs.remove(HELLO)
        assert os.listdir(blobs.folder) == [Digest.of(b"another").filename]
    assert failed == ["write", "fchmod", "fsync", "replace", "fsync"]
    assert blobs.read(HELLO) == b"hello"


def test_a_folder_that_cannot_be_made_is_named(blobs: Blobs, disk: FailingDisk) -> None:
    attempt = disk.attempt(lambda: blobs.put(b"hello"), 0, errno.EROFS)
    assert attempt.failed == "mkdir"
    assert isinstance(attempt.error, OSError)
    assert attempt.error.filename in {blobs.folder, os.path.dirname(blobs.folder)}


def test_threads_that_put_the_same_bytes_agree(blobs: Blobs) -> None:
    start = threading.Barrier(8)
    stored: list[Stored] = []

    def put() -> None:
        start.wait(timeout=30)
        stored.extend(blobs.put(b"hello" * 1000) for _ in range(20))

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(stored) == 160
    assert len({each.digest for each in stored}) == 1
    assert os.listdir(blobs.folder) == [stored[0].digest.filename]


def test_processes_that_put_the_same_bytes_agree(blobs: Blobs) -> None:
    script = (
        "import sys; from mbuild.store.blobs import Blobs\n"
        "sys.stdin.readline()\n"
        "for n in range(50): Blobs(sys.argv[1]).put(b'%d' % n * 100_000)\n"
    )
    command = [sys.executable, "-c", script, blobs.folder]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(8)]
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.close()
    assert [child.wait(timeout=60) for child in children] == [0] * 8
    expected = {Digest.of(b"%d" % n * 100_000) for n in range(50)}
    assert set(os.listdir(blobs.folder)) == {digest.filename for digest in expected}
    assert all(Digest.of(blobs.read(digest)) == digest for digest in expected)
