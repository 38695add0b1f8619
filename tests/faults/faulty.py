"""A disk that goes wrong at one call, inside the process that makes it.

Counts the calls by which mbuild changes (or, for some faults, reads) files, and at one of them
kills the process as by ``kill -9``, tears what is written, or returns an error. Imports nothing
of the tests' tools and nothing of mbuild: it is at home in the process that it breaks.
"""

import builtins
import errno
import itertools
import os
import signal
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

WRITING = ("write", "pwrite", "copy_file_range")
GROWING = (*WRITING, "mkdir", "link", "symlink", "open")  # what takes room on the disk
WAITING = (*WRITING, "fsync", "fdatasync", "open")  # what a signal may interrupt
CHANGING = (
    *(*WRITING, "fsync", "fdatasync"),
    *("replace", "rename", "link", "symlink", "unlink", "remove", "mkdir", "rmdir"),
    *("utime", "chmod", "fchmod", "truncate", "ftruncate", "open"),
)
READING = ("read", "pread", "scandir", "listdir", "stat", "lstat", "open")

KILL, TEAR, FULL, NO_SPACE, BROKEN, INTERRUPTED, UNREADABLE = (
    "killed",  # before the call
    "torn",  # killed when half of the call's bytes are written
    "full",  # the disk is full from that call on
    "ENOSPC",
    "EIO",
    "EINTR",
    "EIO on reading",
)
_MEETS = {
    KILL: CHANGING,
    TEAR: WRITING,
    FULL: GROWING,
    NO_SPACE: (*GROWING, "fsync", "fdatasync", "replace", "rename"),
    BROKEN: CHANGING,
    INTERRUPTED: WAITING,
    UNREADABLE: READING,
}
_CODES = {
    FULL: errno.ENOSPC,
    NO_SPACE: errno.ENOSPC,
    BROKEN: errno.EIO,
    INTERRUPTED: errno.EINTR,
    UNREADABLE: errno.EIO,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, at which call (from 0; a number that is never reached: at none)."""

    kind: str
    at: int

    @property
    def message(self) -> str:
        """What the system says of it, in lower case; "" if nobody is left to hear it."""
        code = _CODES.get(self.kind)
        return "" if code is None else os.strerror(code).lower()


def faults(changing: Sequence[str], reading: Sequence[str]) -> Iterator[Fault]:
    """All that can go wrong with a process that makes these calls, in order."""
    for kind, names in _MEETS.items():
        calls = reading if kind == UNREADABLE else changing
        yield from (Fault(kind, at) for at, name in enumerate(calls) if name in names)


class Disk:
    """Stands between this process and its system calls, until the process ends."""

    def __init__(self, fault: Fault, hit: Callable[[str], object]) -> None:
        self._fault = fault
        self._hit = hit  # told the call that goes wrong, before it does
        self._numbers = itertools.count()
        self.calls: list[str] = []  # that could have gone wrong
        self._is_full = False

    def install(self) -> None:
        """From now on calls are counted."""
        names = READING if self._fault.kind == UNREADABLE else CHANGING
        for name in names:
            if hasattr(os, name):
                setattr(os, name, self._wrapped(name, getattr(os, name)))
        builtins.open = self._opening(builtins.open)

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            is_other_way = name == "open" and not self._counts(bool(arguments[1] & os.O_CREAT))
            if not is_other_way and _is_on_disk(arguments[0] if arguments else "."):
                self._meet(name, call, arguments)
            return call(*arguments, **options)

        return wrapped

    def _opening(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if self._counts(not set(mode).isdisjoint("wax+")) and _is_on_disk(file):
                self._meet("open", call, (file,))
            return call(file, mode, *arguments, **options)

        return wrapped

    def _counts(self, creates: bool) -> bool:
        """Whether an opening is one of the calls that can go wrong."""
        return creates != (self._fault.kind == UNREADABLE)

    def _meet(self, name: str, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        number = next(self._numbers)
        self.calls.append(name)
        if number == self._fault.at:
            self._hit(name)
            self._is_full = self._fault.kind == FULL
            self._go_wrong(name, call, arguments)
        elif self._is_full and name in GROWING:
            self._raise(arguments)

    def _go_wrong(self, name: str, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        if self._fault.kind == TEAR and name == "copy_file_range":
            source, target, count, *more = arguments
            call(source, target, count // 2, *more)
        elif self._fault.kind == TEAR and name in WRITING:  # Threads may have changed the order.
            descriptor, data, *more = arguments
            call(descriptor, memoryview(data)[: len(data) // 2], *more)
        if self._fault.kind in (KILL, TEAR):
            os.kill(os.getpid(), signal.SIGKILL)
        self._raise(arguments)

    def _raise(self, arguments: tuple[Any, ...]) -> None:
        code = _CODES[self._fault.kind]
        # As the system does: a call with a path names it, one with a number cannot.
        path = arguments[0] if isinstance(arguments[0], str) else None
        raise OSError(code, os.strerror(code), path)


_fstat = os.fstat


def _is_on_disk(file: Any) -> bool:
    """Whether a path or a descriptor is of a disk, and not of a pipe or the kernel."""
    if isinstance(file, int):
        mode = _fstat(file).st_mode
        return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    return not os.fspath(file).startswith("/proc/")
