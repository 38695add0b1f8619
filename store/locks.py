"""Locks between processes (and threads) that share a store.

A lock is a file that is locked, not one that exists, so a process that dies lets go of it. It
is never removed: another process may be waiting on the file that is there now.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from mbuild.store.durable import make_folder, naming

_PAUSE = 0.01  # seconds between two tries


@contextmanager
def shared(path: str) -> Iterator[None]:
    """Hold the lock at *path* together with others. Waits while someone holds it alone."""
    with _open(path) as descriptor:
        _lock(descriptor, path, fcntl.LOCK_SH)
        yield


@contextmanager
def alone(path: str) -> Iterator[None]:
    """Hold the lock at *path* alone. Waits while anyone holds it."""
    with _open(path) as descriptor:
        _lock(descriptor, path, fcntl.LOCK_EX)
        yield


@contextmanager
def alone_if_free(path: str, *, patience: float = 0) -> Iterator[bool]:
    """Hold the lock at *path* alone, or find (False) that someone holds it.

    Tries again for *patience* seconds. It does not queue: those who share the lock never wait
    for one who only would like to have it alone.
    """
    until = time.monotonic() + patience
    with _open(path) as descriptor:
        free = _lock_now(descriptor, path)
        while not free and time.monotonic() < until:
            time.sleep(_PAUSE)
            free = _lock_now(descriptor, path)
        yield free


def _lock_now(descriptor: int, path: str) -> bool:
    try:
        _lock(descriptor, path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock(descriptor: int, path: str, operation: int) -> None:
    with naming(path):
        fcntl.flock(descriptor, operation)


@contextmanager
def _open(path: str) -> Iterator[int]:
    make_folder(os.path.dirname(path))
    # Each holder opens the file for itself: a lock belongs to what was opened.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
