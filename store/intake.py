"""Bytes from outside, hashed in the one pass that copies them.

A file is cloned where the file system can share its blocks; else its data is copied block by
block, one thread reading and hashing while another writes, and its holes stay holes. Memory
stays flat whatever the size. The source may be a file that someone else is still writing, or
none at all (a pipe, a device): the first is noticed, the second refused before it is read.
"""

import errno
import hashlib
import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from typing import TYPE_CHECKING, Protocol

from mbuild.store.digest import Digest
from mbuild.store.durable import naming
from mbuild.store.stamps import same_file

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Progress = Callable[[int, int | None], None]
"""Called with the bytes done so far and the bytes in all (None where nobody knows)."""

_BLOCK = 1 << 20  # bytes
_DEPTH = 8  # blocks that may wait to be written
_FLUSH = 64 << 20  # bytes written before the disk is made to catch up

# ioctl(target, FICLONE, source) makes the target share the source's blocks (linux/fs.h).
_FICLONE = 0x40049409


class NotAFile(Exception):
    """A path at which there is something other than a regular file."""

    def __init__(self, path: str, kind: str) -> None:
        super().__init__(f"{path} is {kind}, not a file")
        self.path = path
        self.kind = kind  # with its article: "a directory"


class FileChanged(Exception):
    """A file that was written, replaced or cut while it was read."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} changed while it was read")
        self.path = path


class WrongSize(Exception):
    """A stream that ended before or went on after the size it was said to have."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(f"expected {expected} bytes, found {found}")
        self.expected = expected
        self.found = found  # at least: nothing is read past the first byte too many


class Readable(Protocol):
    """A stream of bytes, such as a member of an archive."""

    def read(self, size: int, /) -> bytes: ...


@contextmanager
def opened(path: str) -> Iterator[FileIO]:
    """The regular file at *path*, open for unbuffered reading. Never waits for a writer.

    Raises:
        NotAFile: it is a directory, a pipe, a socket or a device.
        OSError: it is missing or may not be read.

    """
    # Looked at before it is opened, because opening a pipe or a device can have effects, and
    # once more afterwards, because it may have been exchanged in between.
    _demand_regular(path, os.stat(path))
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags), "rb", buffering=0) as file:
        _demand_regular(path, os.fstat(file.fileno()))
        yield file


def copy_file(source: FileIO, target: int, path: str, progress: Progress | None) -> Digest:
    """Make the empty file *target* a copy of *source*, and give the digest of what it holds.

    *path* is what the source is called in errors.

    Raises:
        FileChanged: the source was not the same file, unchanged, all the time.

    """
    before = os.fstat(source.fileno())
    cloned = _clone(source.fileno(), target)
    if not cloned:
        os.ftruncate(target, before.st_size)  # Where nothing will be written is a hole.
    hasher = hashlib.sha256()
    with _writing_behind(target) as writer:
        # A clone is read itself: nobody can be changing it.
        reader = FileIO(target, closefd=False) if cloned else source
        for block in _blocks(reader, before.st_size, path):
            hasher.update(block.data)
            if not (cloned or block.hole):
                writer.write(block.data, block.offset)
            if progress is not None:
                progress(block.offset + len(block.data), before.st_size)
    # A byte after the last one, as files in /proc have it, is a change as well.
    source.seek(before.st_size)
    if source.read(1) or not same_file(before, os.fstat(source.fileno())):
        raise FileChanged(path)
    return Digest(hasher.hexdigest())


def copy_stream(
    source: Readable, target: int, size: int | None, progress: Progress | None
) -> tuple[Digest, int]:
    """Write all of *source* to the empty file *target*: the digest and size of it.

    Raises:
        WrongSize: it does not have *size* bytes. Where it has more, it is not read to its end.

    """
    hasher = hashlib.sha256()
    done = 0
    with _writing_behind(target) as writer:
        while data := source.read(_BLOCK):
            if size is not None and done + len(data) > size:
                raise WrongSize(size, done + len(data))
            hasher.update(data)
            writer.write(memoryview(data), done)
            done += len(data)
            if progress is not None:
                progress(done, size)
    if size is not None and done != size:
        raise WrongSize(size, done)
    return Digest(hasher.hexdigest()), done


def _demand_regular(path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotAFile(path, _kind(found.st_mode))


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    if stat.S_ISSOCK(mode):
        return "a socket"
    return "a device"


def _clone(source: int, target: int) -> bool:
    """Make *target* share the blocks of *source*: False where that cannot be."""
    if sys.platform != "linux":
        return False
    # Imported here: only an import of a file needs it.
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        # Another file system, or one that shares no blocks. Whatever else is wrong, the copy
        # that follows meets it too and reports it.
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Block:
    """A piece of a file: where it begins, what is in it, and whether that is all hole."""

    offset: int
    data: memoryview
    hole: bool


def _blocks(source: FileIO, size: int, path: str) -> Iterator[_Block]:
    """All of the first *size* bytes, in order. A block's data holds for ``_DEPTH`` more blocks."""
    zeros = memoryview(bytes(_BLOCK))
    buffers = deque(memoryview(bytearray(_BLOCK)) for _ in range(_DEPTH + 1))
    for start, end, hole in _extents(source.fileno(), size, path):
        for offset in range(start, end, _BLOCK):
            length = min(_BLOCK, end - offset)
            if hole:
                yield _Block(offset, zeros[:length], hole=True)
                continue
            buffers.rotate()
            data = buffers[0][:length]
            _fill(source, data, offset, path)
            yield _Block(offset, data, hole=False)


def _extents(source: int, size: int, path: str) -> Iterator[tuple[int, int, bool]]:
    """Start, end and "is it a hole" of the runs that make up the first *size* bytes."""
    position = 0
    while position < size:
        with naming(path):
            start = min(_next_data(source, position, size), size)
            end = min(_next_hole(source, start, size), size)
        if position < start:
            yield position, start, True
        if start < end:
            yield start, end, False
        position = end


def _next_data(source: int, position: int, size: int) -> int:
    if not hasattr(os, "SEEK_DATA"):
        return position
    try:
        return os.lseek(source, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:  # Nothing but hole from here on.
            return size
        if error.errno == errno.EINVAL:  # A file system that does not tell.
            return position
        raise


def _next_hole(source: int, position: int, size: int) -> int:
    if not hasattr(os, "SEEK_HOLE"):
        return size
    try:
        return os.lseek(source, position, os.SEEK_HOLE)
    except OSError as error:
        # The position is at the end, or past it if the file has just been cut: reading tells.
        if error.errno in {errno.ENXIO, errno.EINVAL}:
            return size
        raise


def _fill(source: FileIO, data: memoryview, offset: int, path: str) -> None:
    with naming(path):
        source.seek(offset)
        while data:
            count = source.readinto(data)
            if not count:
                raise FileChanged(path)
            data = data[count:]


class _Writer:
    """Writes blocks to a file, in another thread: at most ``_DEPTH`` are still to be written."""

    def __init__(self, pool: "ThreadPoolExecutor", target: int) -> None:
        self._pool = pool
        self._target = target
        self._pending: deque[Future[None]] = deque()
        self._unflushed = 0

    def write(self, data: memoryview, offset: int) -> None:
        self._submit(_write_at, data, offset)
        self._unflushed += len(data)
        if self._unflushed >= _FLUSH:
            # Else all of the disk's work would come at the end, when nothing is left to hash.
            self._unflushed = 0
            self._submit(os.fsync)

    def finish(self) -> None:
        while self._pending:
            self._pending.popleft().result()

    def _submit(self, function: Callable[..., None], *arguments: object) -> None:
        self._pending.append(self._pool.submit(function, self._target, *arguments))
        if len(self._pending) > _DEPTH:
            self._pending.popleft().result()


@contextmanager
def _writing_behind(target: int) -> Iterator[_Writer]:
    # Imported here: only an import of a file needs it.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1) as pool:
        writer = _Writer(pool, target)
        try:
            yield writer
            writer.finish()
        finally:
            pool.shutdown(cancel_futures=True)


def _write_at(target: int, data: memoryview, offset: int) -> None:
    while data:
        count = os.pwrite(target, data, offset)
        data, offset = data[count:], offset + count
