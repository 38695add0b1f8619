"""Blobs that are hard links to files outside the store, and whether those are what they were.

A linked blob takes no room and no copy, but whoever writes to the file writes to the blob. So
it is kept, in a file for each such blob, where the file was and what stamps it had. They are
compared whenever the blob is used; only where they differ, as they do after a harmless link or
touch elsewhere too, the bytes are read again. What has changed is named and never served.

The file about a blob is there before the link is: a crash leaves no link that nobody knows of.
Its own time of change is the blob's time of use, since the file's belongs to its owner.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from mbuild.store import stamps
from mbuild.store.digest import BadDigest, Digest


class DamagedBlob(Exception):
    """A blob that was linked to a file, which has changed since: it must not be served."""

    def __init__(self, digest: Digest, source: str, models: tuple[str, ...]) -> None:
        needed = f"; needed by {', '.join(models)}" if models else ""
        super().__init__(f"{source} has changed since it was linked as {digest.short}{needed}")
        self.digest = digest
        self.source = source  # the file that was linked
        self.models = models  # short names of those that need the blob


@dataclass(frozen=True, slots=True)
class Linked:
    """A blob that is a link."""

    source: str  # absolute: where the file was when it was linked
    stamp: tuple[int, ...]  # none if the file was too young for its stamps to be trusted


class Links:
    """What is known of the linked blobs, in *folder*.

    *users* gives the names of the models that need a blob, *clock* the ns since the epoch.
    """

    def __init__(
        self, folder: str, users: Callable[[Digest], tuple[str, ...]], clock: Callable[[], int]
    ) -> None:
        self.folder = folder
        self._users = users
        self._clock = clock

    def every(self) -> Iterator[Digest]:
        """The digests of all blobs that are or were links."""
        try:
            filenames = os.listdir(self.folder)
        except FileNotFoundError:
            return
        for filename in filenames:
            with suppress(BadDigest):
                yield Digest(filename)

    def read(self, digest: Digest) -> Linked:
        """What is known of the blob; nothing but that it is a link, if the file is torn."""
        # Imported here: hardly any blob is a link.
        import json

        try:
            with open(self._path(digest), "rb") as file:
                fields = json.loads(file.read())
            return Linked(str(fields["source"]), tuple(map(int, fields["stamp"])))
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return Linked("a file outside the store", ())

    def note(self, digest: Digest, linked: Linked) -> None:
        """Write down that the blob is a link."""
        # Imported here, as above; and most commands only read.
        import json

        from mbuild.store.durable import write

        fields = {"source": linked.source, "stamp": linked.stamp}
        write(self._path(digest), json.dumps(fields).encode())

    def touch(self, digest: Digest) -> None:
        """Say that the blob is in use just now."""
        with suppress(OSError):  # In a store that we only read, it stays as old as it is.
            os.utime(self._path(digest))

    def used(self, digest: Digest) -> int:
        """When the blob was last put to use (ns since the epoch); 0 if it is no link."""
        try:
            return os.stat(self._path(digest)).st_mtime_ns
        except OSError:
            return 0

    def forget(self, digest: Digest) -> None:
        """The blob is gone, or no link any more."""
        with suppress(FileNotFoundError):
            os.unlink(self._path(digest))

    def check(self, digest: Digest, path: str) -> None:
        """See that the linked blob at *path* holds what it held.

        Raises:
            DamagedBlob: it holds something else.

        """
        linked = self.read(digest)
        try:
            found = os.stat(path)
        except OSError:
            return  # Whoever reads it will say what is wrong.
        if stamps.stamp(found) != linked.stamp:
            self._read_again(digest, path, linked, found)

    def _read_again(self, digest: Digest, path: str, linked: Linked, found: os.stat_result) -> None:
        # Imported here: this hardly ever happens.
        from mbuild.store.intake import FileChanged, hash_file, opened

        began = self._clock()
        try:
            with opened(path) as file:
                same = hash_file(file, path) == digest
        except FileChanged:
            same = False
        if not same:
            raise DamagedBlob(digest, linked.source, self._users(digest))
        if stamps.settled(found, began):
            with suppress(OSError):  # As above; it is then read again each time.
                self.note(digest, Linked(linked.source, stamps.stamp(found)))

    def _path(self, digest: Digest) -> str:
        return f"{self.folder}/{digest.hex}"
