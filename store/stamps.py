"""When a file may be taken for the one that was read before, without reading it again.

A file whose path, device, inode, size and both time stamps are what they were is believed to
have the digest that it had. That is safe only if a later change must show in the stamps, so a
file that was changed within the clock's grain of being read is not remembered.
"""

import os

from mbuild.store.digest import Digest

_MILLISECOND = 1_000_000  # ns
_FINE_GRAIN = 50 * _MILLISECOND  # Kernels stamp by their tick, of up to ten milliseconds.
_COARSE_GRAIN = 2_000 * _MILLISECOND  # Some file systems keep every other second.


def key(path: str, found: os.stat_result) -> Digest:
    """The key under which the digest of the file is recorded; *path* is absolute."""
    return Digest.of(f"file {[path, *stamp(found)]!r}".encode())


def same_file(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether two looks at a path have found the same file, unchanged."""
    return stamp(one) == stamp(other)


def same_but_links(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether two looks have found the same file, which at most was linked in between.

    That alone changes its change time. Whoever writes to it changes the other one.
    """
    return stamp(one)[:-1] == stamp(other)[:-1]


def settled(found: os.stat_result, began: int) -> bool:
    """Whether any change since *began* (ns since the epoch) would show in the stamps.

    Stamps in the future never settle: the clock that made them is not ours.
    """
    newest = max(found.st_mtime_ns, found.st_ctime_ns)
    return newest <= began - _grain(found)


def written_long_before(found: os.stat_result, moment: int) -> bool:
    """Whether whatever was written after *moment* (ns since the epoch) would show in the time."""
    return found.st_mtime_ns <= moment - _grain(found)


def stamp(found: os.stat_result) -> tuple[int, ...]:
    """By which a file is known again: device, inode, size, and both times."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _grain(found: os.stat_result) -> int:
    coarse = found.st_mtime_ns % _MILLISECOND == 0 and found.st_ctime_ns % _MILLISECOND == 0
    return _COARSE_GRAIN if coarse else _FINE_GRAIN
