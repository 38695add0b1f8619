"""How much room files take on the disk: what removing them would give back.

Holes take none, a file with two names is counted once, and one with a name outside of what is
looked at gives nothing back. Blocks that a file system shares between copies cannot be seen.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

_BLOCK = 512  # bytes in what st_blocks counts, whatever the file system


def taken(found: os.stat_result) -> int:
    """Bytes on the disk."""
    return found.st_blocks * _BLOCK


def freed(found: os.stat_result) -> int:
    """Bytes that removing this name gives back: none if the file has another one."""
    return taken(found) if found.st_nlink == 1 or stat.S_ISDIR(found.st_mode) else 0


def used(found: os.stat_result) -> int:
    """When the file was last written or, as far as its system keeps that, read (ns)."""
    return max(found.st_mtime_ns, found.st_atime_ns)


@dataclass(slots=True)
class Room:
    """A number of files, and what they take."""

    count: int = 0
    size: int = 0  # bytes on the disk
    linked: int = 0  # bytes of those in files that have a name elsewhere as well
    _seen: set[tuple[int, int]] = field(default_factory=set, repr=False, compare=False)

    def add(self, found: os.stat_result) -> None:
        """Count a file."""
        self.count += 1
        inode = (found.st_dev, found.st_ino)
        if found.st_nlink > 1 and inode in self._seen:
            return
        self._seen.add(inode)
        self.size += taken(found)
        self.linked += taken(found) - freed(found)


def files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """The paths of all files below *folder*, and what is known of each. Follows no link."""
    for where, _, names in os.walk(folder):
        for name in names:
            path = f"{where}/{name}"
            with suppress(FileNotFoundError):  # Removed since the folder was listed.
                yield path, os.lstat(path)


def size_below(path: str) -> int:
    """What removing *path*, and all below it if it is a folder, gives back."""
    if not os.path.isdir(path) or os.path.islink(path):
        return freed(os.lstat(path))
    return sum(freed(found) for _, found in files(path))
