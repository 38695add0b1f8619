"""Bytes from outside, hashed in the one pass that copies them.

A file is cloned where the file system can share its blocks; else its data is copied, by the
kernel where it can, and its holes stay holes. One thread copies and brings to the disk what the
other hashes a moment later: out of the copy, so that a digest is that of the bytes that are kept.
A clone is hashed out of its source, which may be in memory while the clone is not, if any write
to the source since would show in its stamps; otherwise out of the clone.
Memory stays flat whatever the size. The source may be a file that someone else is still writing,
or none at all (a pipe, a device): the first is noticed, the second refused before it is read.
"""

import errno
import hashlib
import os
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from typing import TYPE_CHECKING, Protocol

from mbuild.store.digest import Digest
from mbuild.store.durable import naming, temporary
from mbuild.store.stamps import same_file, settled

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Progress = Callable[[int, int | None], None]
"""Called with the bytes done so far and the bytes in all (None where nobody knows)."""

_BLOCK = 256 << 10  # bytes that are hashed at once: they stay in the processor's cache
_RUN = 64 << 20  # bytes that are copied, and brought to the disk, at once
_AHEAD = 2  # runs that are copied before they are hashed: they are still in memory then
_DEPTH = 32  # blocks of a stream that may wait to be written

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
    before, began = os.fstat(source.fileno()), time.time_ns()
    cloned = _clone(source.fileno(), target)
    # Cloning brings the source's pages to the disk and takes the right to write them away, so
    # that a later write, through memory as well, moves the stamps, which are looked at below.
    hashed = source.fileno() if cloned and settled(before, began) else target
    if not cloned:
        os.ftruncate(target, before.st_size)  # Where nothing will be written is a hole.
    hasher = hashlib.sha256()
    with _thread() as thread:
        runs = _runs(hashed if cloned else source.fileno(), before.st_size, path)
        if not cloned:
            copy = partial(_Target(target).copy, source.fileno(), path)
            runs = _ahead(thread, copy, runs)
        for end, data in _blocks(hashed, runs, path):
            hasher.update(data)
            if progress is not None:
                progress(end, before.st_size)
    # A byte after the last one, as files in /proc have it, is a change as well.
    source.seek(before.st_size)
    if source.read(1) or not same_file(before, os.fstat(source.fileno())):
        raise FileChanged(path)
    return Digest(hasher.hexdigest())


def hash_file(source: FileIO, path: str, progress: Progress | None = None) -> Digest:
    """The digest of all of *source*, which errors call *path*.

    Raises:
        FileChanged: it was not the same file, unchanged, all the time.

    """
    before = os.fstat(source.fileno())
    hasher = hashlib.sha256()
    runs = _runs(source.fileno(), before.st_size, path)
    with naming(path):
        for end, data in _blocks(source.fileno(), runs, path):
            hasher.update(data)
            if progress is not None:
                progress(end, before.st_size)
    if not same_file(before, os.fstat(source.fileno())):
        raise FileChanged(path)
    return Digest(hasher.hexdigest())


def clones(source: FileIO, folder: str) -> bool:
    """Whether a file in *folder* can share the blocks of *source*."""
    with temporary(folder) as (descriptor, beside):
        cloned = _clone(source.fileno(), descriptor)
        os.unlink(beside)
        return cloned


def copy_stream(
    source: Readable, target: int, size: int | None, progress: Progress | None
) -> tuple[Digest, int]:
    """Write all of *source* to the empty file *target*: the digest and size of it.

    Raises:
        WrongSize: it does not have *size* bytes. Where it has more, it is not read to its end.

    """
    hasher = hashlib.sha256()
    done = 0
    with _thread() as thread:
        write = _Target(target).write
        writing: deque[Future[None]] = deque()
        while data := source.read(_BLOCK):
            if size is not None and done + len(data) > size:
                raise WrongSize(size, done + len(data))
            writing.append(thread.submit(write, data, done))
            hasher.update(data)
            done += len(data)
            if progress is not None:
                progress(done, size)
            if len(writing) > _DEPTH:
                writing.popleft().result()
        for each in writing:
            each.result()
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
class _Run:
    """Bytes of a file from *start* up to *end*: all data, or all hole. At most ``_RUN``."""

    start: int
    end: int
    hole: bool


def _runs(source: int, size: int, path: str) -> Iterator[_Run]:
    """The runs that make up the first *size* bytes, in order."""
    position = 0
    while position < size:
        with naming(path):
            start = min(_next_data(source, position, size), size)
            end = min(_next_hole(source, start, size), size)
        for each in range(position, start, _RUN):
            yield _Run(each, min(each + _RUN, start), hole=True)
        for each in range(start, end, _RUN):
            yield _Run(each, min(each + _RUN, end), hole=False)
        position = end


def _ahead(
    thread: "ThreadPoolExecutor", job: Callable[[_Run], None], runs: Iterator[_Run]
) -> Iterator[_Run]:
    """The same runs, each once its *job* is done; a thread does up to ``_AHEAD`` more."""
    doing: deque[tuple[_Run, Future[None]]] = deque()
    for each in runs:
        doing.append((each, thread.submit(job, each)))
        if len(doing) > _AHEAD:
            run, done = doing.popleft()
            done.result()
            yield run
    for run, done in doing:
        done.result()
        yield run


def _blocks(target: int, runs: Iterator[_Run], path: str) -> Iterator[tuple[int, memoryview]]:
    """What is in *target*: where each block ends, and its bytes until the next is asked for."""
    zeros = memoryview(bytes(_BLOCK))
    buffer = memoryview(bytearray(_BLOCK))
    with FileIO(target, closefd=False) as file:
        for run in runs:
            for start in range(run.start, run.end, _BLOCK):
                length = min(_BLOCK, run.end - start)
                if not run.hole:
                    _fill(file, buffer[:length], start, path)
                yield start + length, (zeros if run.hole else buffer)[:length]


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


def _fill(file: FileIO, data: memoryview, offset: int, path: str) -> None:
    file.seek(offset)
    while data:
        count = file.readinto(data)
        if not count:
            raise FileChanged(path)  # Cut, just before it was cloned.
        data = data[count:]


class _Target:
    """A file that is written from its beginning, and brought to the disk as that goes on."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting = 0  # bytes written since the disk was last made to catch up

    def write(self, data: bytes, offset: int) -> None:
        """Put *data* at *offset*."""
        self._put(data, offset)
        self._wrote(len(data))

    def copy(self, source: int, path: str, run: _Run) -> None:
        """Put at the same place what is in *source*, which errors call *path*."""
        if run.hole:
            return
        position = self._copy_in_kernel(source, run)
        while position < run.end:
            with naming(path):
                data = os.pread(source, min(_BLOCK, run.end - position), position)
            if not data:
                raise FileChanged(path)
            self._put(data, position)
            position += len(data)
        self._wrote(run.end - run.start)

    def _copy_in_kernel(self, source: int, run: _Run) -> int:
        """Copy as far as the kernel does it: up to which offset that was."""
        position = run.start
        while sys.platform == "linux" and position < run.end:
            left = run.end - position
            try:
                count = os.copy_file_range(source, self._descriptor, left, position, position)
            except OSError:
                # Other file systems, an old kernel. What is really wrong shows at once.
                return position
            if not count:
                return position
            position += count
        return position

    def _put(self, data: bytes, offset: int) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self._descriptor, view, offset)
            view, offset = view[count:], offset + count

    def _wrote(self, count: int) -> None:
        self._waiting += count
        if self._waiting >= _RUN:
            # Else the disk would have most of its work when all else is done.
            self._waiting = 0
            os.fsync(self._descriptor)


@contextmanager
def _thread() -> Iterator["ThreadPoolExecutor"]:
    """A thread that does jobs in order. At the end it is idle, and has dropped what was left."""
    # Imported here: only an import of a file needs it.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1) as pool:
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
