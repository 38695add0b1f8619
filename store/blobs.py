"""A folder of blobs, each named by its digest.

A blob is either absent or whole: bytes go to a temporary file in the same folder, which is
synced, then renamed to the digest, then the folder is synced (:mod:`mbuild.store.durable`). A
crash at any point leaves at most a temporary file, which nothing reads and which the
reference's sweep removes too. A blob that is there is believed to hold what its name says.

Whatever uses a blob again touches it: sweeps, the reference's as well, spare what is young.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BufferedReader, FileIO
from typing import TYPE_CHECKING

from mbuild.store.digest import Digest
from mbuild.store.links import DamagedBlob, Links

if TYPE_CHECKING:
    from mbuild.store.intake import Progress, Readable
    from mbuild.store.linking import Wanted

StrPath = str | os.PathLike[str]


class MissingBlob(Exception):
    """A digest for which there is no blob."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(f"no blob {digest}")
        self.digest = digest


class WrongDigest(Exception):
    """Bytes that are not those that were asked for."""

    def __init__(self, expected: Digest, found: Digest) -> None:
        super().__init__(f"expected {expected}, found {found}")
        self.expected = expected
        self.found = found


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob that is there now."""

    digest: Digest
    size: int  # bytes
    created: bool  # or was it there already
    linked: bool = False  # it is the file that was taken, under a second name


class Blobs:
    """The blobs in *folder*, which need not exist as long as nothing is put in.

    Some may be hard links to files outside, if there is a folder *notes* that says which.
    *users* gives the short names of the models that need a blob, *clock* the time in ns.
    """

    def __init__(
        self,
        folder: StrPath,
        notes: str | None = None,
        *,
        users: Callable[[Digest], tuple[str, ...]] = lambda _: (),
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.folder = os.fspath(folder)
        self._notes = notes
        self._users = users
        self._clock = clock

    def place(self, digest: Digest) -> str:
        """Where the blob is, or would be, whatever it holds."""
        return f"{self.folder}/{digest.filename}"

    def path(self, digest: Digest) -> str:
        """Where the blob is, or would be, for reading it.

        Raises:
            DamagedBlob: it is a link to a file that has changed.

        """
        if self.is_link(digest):
            self.links.check(digest, self.place(digest))
        return self.place(digest)

    @property
    def links(self) -> Links:
        """What is known of the blobs that are links."""
        assert self._notes is not None
        return Links(self._notes, self._users, self._clock)

    def is_link(self, digest: Digest) -> bool:
        """Whether the blob was linked to a file outside."""
        return self._notes is not None and os.path.exists(f"{self._notes}/{digest.hex}")

    def __contains__(self, digest: Digest) -> bool:
        return os.path.isfile(self.place(digest))

    def size(self, digest: Digest) -> int:
        """Bytes of the blob.

        Raises:
            MissingBlob: there is none.

        """
        try:
            return os.stat(self.place(digest)).st_size
        except FileNotFoundError:
            raise MissingBlob(digest) from None

    def open(self, digest: Digest) -> BufferedReader:
        """The blob, open for reading; to be closed by the caller.

        Raises:
            MissingBlob: there is none.
            DamagedBlob: it is a link to a file that has changed.

        """
        try:
            return open(self.path(digest), "rb")
        except FileNotFoundError:
            raise MissingBlob(digest) from None

    def read(self, digest: Digest) -> bytes:
        """All bytes of the blob.

        Raises:
            MissingBlob, DamagedBlob: as :meth:`open`.

        """
        with self.open(digest) as file:
            return file.read()

    def put(self, data: bytes) -> Stored:
        """Store *data*. Bytes that are there already are not written again, only touched."""
        digest = Digest.of(data)
        if self.reuse(digest, len(data)):
            return Stored(digest, len(data), created=False)
        # Imported here, as below: most commands only read.
        from mbuild.store.durable import naming, temporary, write_all

        with temporary(self.folder) as (descriptor, beside):
            with naming(self.place(digest)):
                write_all(descriptor, data)
            return self._keep(descriptor, beside, digest, len(data))

    def take(
        self,
        path: StrPath,
        *,
        expected: Digest | None = None,
        link: "Wanted" = "never",
        progress: "Progress | None" = None,
    ) -> Stored:
        """Store a copy of the file at *path*, read once, or a *link* to it.

        With "auto" only files of caches that nobody writes to are linked.

        Raises:
            CannotLink: *link* is "always", and there cannot be one.
            NotAFile: *path* is a directory, a pipe, a socket or a device.
            FileChanged: it was written or exchanged meanwhile.
            WrongDigest: it is not *expected*.

        """
        # Imported here: a build whose weights are in the store takes none.
        from mbuild.store.durable import naming, temporary
        from mbuild.store.intake import copy_file, opened

        path = os.fspath(path)
        with opened(path) as source:
            if link != "never":
                linked = self._take_link(source, path, link, expected, progress)
                if linked is not None:
                    return linked
            with temporary(self.folder) as (descriptor, beside):
                with naming(self.folder):
                    digest = copy_file(source, descriptor, path, progress)
                size = os.fstat(descriptor).st_size
                return self._settle(descriptor, beside, digest, size, expected)

    def take_stream(
        self,
        source: "Readable",
        *,
        size: int | None = None,
        expected: Digest | None = None,
        progress: "Progress | None" = None,
    ) -> Stored:
        """Store what *source* has from here to its end, such as a member of an archive.

        Raises:
            WrongSize: it does not have *size* bytes; what is too much is not read.
            WrongDigest: it is not *expected*.

        """
        # Imported here, as above.
        from mbuild.store.durable import naming, temporary
        from mbuild.store.intake import copy_stream

        with temporary(self.folder) as (descriptor, beside):
            with naming(self.folder):
                digest, length = copy_stream(source, descriptor, size, progress)
            return self._settle(descriptor, beside, digest, length, expected)

    def touch(self, digest: Digest) -> None:
        """Say that the blob is in use just now, so that a sweep spares it.

        Raises:
            MissingBlob: there is none.

        """
        if self.is_link(digest):
            self.size(digest)  # Raises for a blob that is not there.
            self.links.touch(digest)  # The file's own times belong to whoever linked it.
            return
        try:
            os.utime(self.place(digest))
        except FileNotFoundError:
            raise MissingBlob(digest) from None
        except PermissionError:
            return  # In a store that we share, the blob is another user's to touch.

    def remove(self, digest: Digest) -> None:
        """Remove the blob. Whether someone needs it is for the caller to know.

        Raises:
            MissingBlob: there is none.

        """
        try:
            os.unlink(self.place(digest))
        except FileNotFoundError:
            raise MissingBlob(digest) from None
        if self.is_link(digest):
            self.links.forget(digest)

    def reuse(self, digest: Digest, size: int) -> bool:
        """Touch the blob, if it is there and as long as it must be: whether it is."""
        try:
            if self.size(digest) != size:
                return False  # Cut off by some other tool: it is written again.
            self.path(digest)
            self.touch(digest)
        except (MissingBlob, DamagedBlob):
            return False
        return True

    def _take_link(
        self,
        source: FileIO,
        path: str,
        link: "Wanted",
        expected: Digest | None,
        progress: "Progress | None",
    ) -> Stored | None:
        """The file as a link; None if it has to be copied."""
        # Imported here: hardly any blob is a link.
        from mbuild.store.durable import naming
        from mbuild.store.intake import hash_file
        from mbuild.store.linking import linkable, make_link, says

        real = linkable(source, path, link, self.folder)
        if real is None:
            return None
        before = os.fstat(source.fileno())
        digest = hash_file(source, path, progress)
        if expected is not None and digest != expected:
            raise WrongDigest(expected, digest)
        if link == "auto" and not says(real, digest):
            return None  # It is not what its name says, so this is no such cache.
        if self.reuse(digest, before.st_size):
            return Stored(digest, before.st_size, created=False)
        with naming(real):
            os.fsync(source.fileno())
        make_link(real, before, digest, self.place(digest), self.links)
        return Stored(digest, before.st_size, created=True, linked=True)

    def _settle(
        self, descriptor: int, beside: str, digest: Digest, size: int, expected: Digest | None
    ) -> Stored:
        if expected is not None and digest != expected:
            raise WrongDigest(expected, digest)
        if self.reuse(digest, size):
            os.unlink(beside)
            return Stored(digest, size, created=False)
        return self._keep(descriptor, beside, digest, size)

    def _keep(self, descriptor: int, beside: str, digest: Digest, size: int) -> Stored:
        from mbuild.store.durable import finish, naming, sync_folder

        with naming(self.place(digest)):
            finish(descriptor)
        os.replace(beside, self.place(digest))
        if self.is_link(digest):
            self.links.forget(digest)
        sync_folder(self.folder)
        return Stored(digest, size, created=True)
