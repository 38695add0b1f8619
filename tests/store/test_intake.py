import errno
import fcntl
import hashlib
import io
import os
import socket
import stat
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from failing_disk import FailingDisk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbuild.store import intake
from mbuild.store.blobs import Blobs, Stored, WrongDigest
from mbuild.store.digest import Digest
from mbuild.store.intake import FileChanged, NotAFile, WrongSize

MIB = 1 << 20


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "store" / "blobs")


def litter(blobs: Blobs) -> list[str]:
    try:
        return os.listdir(blobs.folder)
    except FileNotFoundError:
        return []


@pytest.mark.parametrize(
    "size", [0, 1, MIB - 1, MIB, MIB + 1, 13 * MIB + 7], ids=lambda size: f"{size} bytes"
)
def test_a_file_becomes_a_blob(blobs: Blobs, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "model.gguf").write_bytes(data)
    stored = blobs.take(tmp_path / "model.gguf")
    assert stored == Stored(Digest.of(data), size, created=True)
    assert blobs.read(stored.digest) == data
    assert stat.S_IMODE(os.stat(blobs.path(stored.digest)).st_mode) == 0o644
    assert blobs.take(tmp_path / "model.gguf") == Stored(Digest.of(data), size, created=False)
    assert litter(blobs) == [stored.digest.filename]


def test_the_blob_is_not_the_author_s_file(blobs: Blobs, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"first")
    digest = blobs.take(path).digest
    with path.open("r+b") as file:
        file.write(b"other")
    assert blobs.read(digest) == b"first"


def test_a_link_to_a_file_is_followed(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"data")
    (tmp_path / "link").symlink_to("real")
    assert blobs.take(tmp_path / "link").digest == Digest.of(b"data")


def test_progress_ends_with_all_bytes(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(256)) * (3 * MIB // 256) + b"end")
    seen: list[tuple[int, int | None]] = []
    blobs.take(tmp_path / "file", progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (3 * MIB + 3, 3 * MIB + 3)


def test_an_expected_digest_is_checked(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    assert blobs.take(tmp_path / "file", expected=Digest.of(b"data")).created
    with pytest.raises(WrongDigest) as caught:
        blobs.take(tmp_path / "file", expected=Digest.of(b"other"))
    assert (caught.value.expected, caught.value.found) == (Digest.of(b"other"), Digest.of(b"data"))
    assert litter(blobs) == [Digest.of(b"data").filename]


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)  # Paths of sockets are short.
        server.bind(path.name)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        pytest.param(Path.mkdir, "a directory", id="directory"),
        pytest.param(make_fifo, "a named pipe", id="pipe that nobody writes to"),
        pytest.param(make_socket, "a socket", id="socket"),
        pytest.param(lambda path: path.symlink_to("/dev/zero"), "a device", id="endless device"),
        pytest.param(lambda path: path.symlink_to("/dev/null"), "a device", id="empty device"),
    ],
)
def test_what_is_no_file_is_refused_at_once(
    blobs: Blobs,
    tmp_path: Path,
    make: Callable[[Path], None],
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "source")
    with pytest.raises(NotAFile) as caught:
        blobs.take(tmp_path / "source")
    assert (caught.value.path, caught.value.kind) == (str(tmp_path / "source"), kind)
    assert not os.path.exists(blobs.folder)


def test_a_pipe_that_takes_the_place_of_a_file_does_not_block(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "source"
    path.write_bytes(b"data")
    look = os.stat

    def exchanging(target: str) -> os.stat_result:
        found = look(target)
        path.unlink()
        os.mkfifo(path)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", exchanging)
        with pytest.raises(NotAFile):
            blobs.take(path)
    assert not os.path.exists(blobs.folder)


def test_a_missing_file_is_named(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        blobs.take(tmp_path / "nowhere")
    assert caught.value.filename == str(tmp_path / "nowhere")
    assert not os.path.exists(blobs.folder)


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def cut(path: Path) -> None:
    os.truncate(path, MIB)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")
    os.utime(path, ns=(1, 1))  # Whoever hides a change cannot hide the change of status.


def exchange(path: Path) -> None:
    path.with_suffix(".new").write_bytes(bytes(4 * MIB))
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize("change", [grow, cut, overwrite, exchange])
def test_a_file_that_changes_while_it_is_read_is_refused(
    blobs: Blobs, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(4 * MIB))
    os.utime(path, ns=(10**18, 10**18))
    changes = iter([change])

    def progress(done: int, total: int | None) -> None:
        for each in changes:
            each(path)

    with pytest.raises(FileChanged) as caught:
        blobs.take(path, progress=progress)
    assert caught.value.path == str(path)
    assert litter(blobs) == []


@pytest.mark.skipif(not os.path.exists("/proc/version"), reason="apt-get install procps")
def test_a_file_without_a_size_that_has_bytes_is_refused(blobs: Blobs) -> None:
    with pytest.raises(FileChanged):
        blobs.take("/proc/version")
    assert litter(blobs) == []


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupt_leaves_nothing(
    blobs: Blobs, tmp_path: Path, interrupt: type[BaseException]
) -> None:
    (tmp_path / "source").write_bytes(os.urandom(20 * MIB))

    def progress(done: int, total: int | None) -> None:
        if done > 10 * MIB:
            raise interrupt

    with pytest.raises(interrupt):
        blobs.take(tmp_path / "source", progress=progress)
    assert litter(blobs) == []


@pytest.fixture(params=["kernel", "by hand"])
def copying(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who copies: the kernel, or, where that cannot, we."""

    def refused(*_: int) -> int:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    if request.param == "by hand":
        monkeypatch.setattr(os, "copy_file_range", refused, raising=False)
    return str(request.param)


def test_a_file_becomes_a_blob_whoever_copies(blobs: Blobs, tmp_path: Path, copying: str) -> None:
    data = os.urandom(3 * MIB + 7)
    (tmp_path / "source").write_bytes(data)
    assert blobs.read(blobs.take(tmp_path / "source").digest) == data


def test_what_the_kernel_leaves_is_copied_by_hand(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([1000, 0, 5])

    def little(source: int, target: int, count: int, start: int, to: int) -> int:
        data = os.pread(source, min(count, next(answers, 0)), start)
        return os.pwrite(target, data, to)

    data = os.urandom(3 * MIB + 7)
    (tmp_path / "source").write_bytes(data)
    monkeypatch.setattr(os, "copy_file_range", little, raising=False)
    assert blobs.read(blobs.take(tmp_path / "source").digest) == data


def test_a_file_cut_while_it_is_copied_by_hand_is_refused(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(3 * MIB))

    def cutting(*_: int) -> int:
        os.truncate(path, 5)
        return 0

    monkeypatch.setattr(os, "copy_file_range", cutting, raising=False)
    with pytest.raises(FileChanged):
        blobs.take(path)
    assert litter(blobs) == []


def test_whatever_fails_there_is_no_blob_and_no_litter(
    blobs: Blobs, tmp_path: Path, disk: FailingDisk, copying: str
) -> None:
    data = os.urandom(3 * MIB)
    (tmp_path / "source").write_bytes(data)
    Path(blobs.folder).mkdir(parents=True)
    failed = []
    for attempt in disk.attempts(lambda: blobs.take(tmp_path / "source")):
        failed.append(attempt.failed)
        if attempt.failed == "copy_file_range":  # The one that there is another way for.
            assert attempt.error is None
            blobs.remove(Digest.of(data))
            continue
        assert attempt.error is not None
        assert attempt.error.errno == errno.ENOSPC
        assert str(attempt.error.filename).startswith(blobs.folder)
        if Digest.of(data) in blobs:
            assert blobs.read(Digest.of(data)) == data
            blobs.remove(Digest.of(data))
        assert litter(blobs) == []
    assert {"ftruncate", "fsync", "fchmod", "replace"} <= set(failed)
    assert blobs.read(Digest.of(data)) == data


# Sizes of runs in units of 64 KiB, so that some file systems can make holes of them.
RUNS = st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=6)


@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(runs=RUNS, rest=st.integers(0, 5000))
def test_holes_and_data_in_any_order_come_back(
    tmp_path: Path, runs: list[tuple[bool, int]], rest: int
) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        for hole, length in runs:
            if hole:
                file.seek(length << 16, os.SEEK_CUR)
            else:
                file.write(os.urandom(length << 16))
        file.truncate(file.tell() + rest)
    blobs = Blobs(tmp_path / "blobs")
    stored = blobs.take(path)
    assert blobs.read(stored.digest) == path.read_bytes()
    assert stored.digest == Digest.of(path.read_bytes())
    # Of the last block a file system keeps all or nothing.
    grown = os.stat(blobs.path(stored.digest)).st_blocks - path.stat().st_blocks
    assert grown * 512 <= 1 << 16
    blobs.remove(stored.digest)


def test_a_gigabyte_of_holes_takes_no_room(blobs: Blobs, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(b"GGUF")
        file.truncate(1 << 30)
        file.seek(-4, os.SEEK_END)
        file.write(b"last")
    if path.stat().st_blocks > 1000:
        pytest.skip("mount a file system with holes on /tmp")
    stored = blobs.take(path)
    found = os.stat(blobs.path(stored.digest))
    assert (stored.size, found.st_size) == (1 << 30, 1 << 30)
    assert found.st_blocks * 512 < MIB
    hasher = hashlib.sha256(b"GGUF")
    for _ in range(1023):
        hasher.update(bytes(MIB))
    hasher.update(bytes(MIB - 8) + b"last")
    assert stored.digest.hex == hasher.hexdigest()


@pytest.mark.parametrize(
    "answer", [errno.EINVAL, None], ids=["a call that is refused", "no such call"]
)
def test_where_holes_cannot_be_asked_for_all_is_data(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int | None
) -> None:
    data = bytes(2 * MIB) + os.urandom(MIB)
    (tmp_path / "source").write_bytes(data)
    if answer is None:
        monkeypatch.delattr(os, "SEEK_DATA")
        monkeypatch.delattr(os, "SEEK_HOLE")
    else:
        code = answer

        def refused(descriptor: int, position: int, whence: int) -> int:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "lseek", refused)
    assert blobs.take(tmp_path / "source").digest == Digest.of(data)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this call")
def test_where_blocks_can_be_shared_nothing_is_written(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = os.urandom(2 * MIB + 5)
    (tmp_path / "source").write_bytes(data)

    def clone(target: int, request: int, source: int) -> int:
        assert request == 0x40049409  # FICLONE in linux/fs.h
        with open(target, "wb", closefd=False) as file:
            file.write(os.pread(source, 3 * MIB, 0))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", clone)
    monkeypatch.delattr(os, "pwrite")
    stored = blobs.take(tmp_path / "source")
    assert stored == Stored(Digest.of(data), len(data), created=True)
    assert blobs.read(stored.digest) == data


def test_memory_stays_flat(blobs: Blobs, tmp_path: Path) -> None:
    path = tmp_path / "source"
    with path.open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(MIB))
    tracemalloc.start()
    try:
        blobs.take(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * MIB


def test_a_stream_becomes_a_blob(blobs: Blobs) -> None:
    data = os.urandom(2 * MIB + 1)
    seen: list[tuple[int, int | None]] = []
    stored = blobs.take_stream(
        io.BytesIO(data),
        size=len(data),
        expected=Digest.of(data),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert stored == Stored(Digest.of(data), len(data), created=True)
    assert blobs.read(stored.digest) == data
    assert seen[-1] == (len(data), len(data))
    assert blobs.take_stream(io.BytesIO(data)).created is False


@pytest.mark.parametrize("said", [0, 9, 11, 10**30])
def test_a_stream_of_another_size_is_refused(blobs: Blobs, said: int) -> None:
    with pytest.raises(WrongSize) as caught:
        blobs.take_stream(io.BytesIO(b"0123456789"), size=said)
    assert (caught.value.expected, caught.value.found) == (said, 10)
    assert litter(blobs) == []


def test_a_stream_that_does_not_end_is_not_read_for_ever(blobs: Blobs) -> None:
    with open("/dev/zero", "rb") as zeros, pytest.raises(WrongSize):
        blobs.take_stream(zeros, size=5 * MIB)
    assert litter(blobs) == []


def test_a_stream_with_other_bytes_is_refused(blobs: Blobs) -> None:
    with pytest.raises(WrongDigest):
        blobs.take_stream(io.BytesIO(b"data"), expected=Digest.of(b"other"))
    assert litter(blobs) == []


class Breaking(io.RawIOBase):
    def read(self, size: int = -1, /) -> bytes:
        raise OSError(errno.EIO, "the network is gone", "wheel.whl")


def test_an_error_of_a_stream_keeps_its_own_name(blobs: Blobs) -> None:
    with pytest.raises(OSError, match="network") as caught:
        blobs.take_stream(Breaking())
    assert caught.value.filename == "wheel.whl"
    assert litter(blobs) == []


@pytest.fixture(autouse=True)
def small_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less is copied at once than in life, so that small files show what becomes of large ones."""
    monkeypatch.setattr(intake, "_RUN", MIB)
