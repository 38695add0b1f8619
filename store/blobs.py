"""A folder of blobs, each named by its digest.

A blob is either absent or whole: bytes go to a temporary file in the same folder, which is
synced, then renamed to the digest, then the folder is synced (:mod:`mbuild.store.durable`). A
crash at any point leaves at most a temporary file, which nothing reads and which the
reference's sweep removes too. A blob that is there is believed to hold what its name says.

Whatever uses a blob again touches it: sweeps, the reference's as well, spare what is young.
"""

import os
from dataclasses import dataclass
from io import BufferedReader
from typing import TYPE_CHECKING

from mbuild.store.digest import Digest

if TYPE_CHECKING:
    from mbuild.store.intake import Progress, Readable

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


class Blobs:
    """The blobs in *folder*, which need not exist as long as nothing is put in."""

    def __init__(self, folder: StrPath) -> None:
        self.folder = os.fspath(folder)

    def path(self, digest: Digest) -> str:
        """Where the blob is, or would be."""
        return f"{self.folder}/{digest.filename}"

    def __contains__(self, digest: Digest) -> bool:
        return os.path.isfile(self.path(digest))

    def size(self, digest: Digest) -> int:
        """Bytes of the blob.

        Raises:
            MissingBlob: there is none.

        """
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            raise MissingBlob(digest) from None

    def open(self, digest: Digest) -> BufferedReader:
        """The blob, open for reading; to be closed by the caller.

        Raises:
            MissingBlob: there is none.

        """
        try:
            return open(self.path(digest), "rb")
        except FileNotFoundError:
            raise MissingBlob(digest) from None

    def read(self, digest: Digest) -> bytes:
        """All bytes of the blob.

        Raises:
            MissingBlob: there is none.

        """
        with self.open(digest) as file:
            return file.read()

    def put(self, data: bytes) -> Stored:
        """Store *data*. Bytes that are there already are not written again, only touched."""
        digest = Digest.of(data)
        if self._reuse(digest, len(data)):
            return Stored(digest, len(data), created=False)
        # Imported here, as below: most commands only read.
        from mbuild.store.durable import naming, temporary, write_all

        with temporary(self.folder) as (descriptor, beside):
            with naming(self.path(digest)):
                write_all(descriptor, data)
            return self._keep(descriptor, beside, digest, len(data))

    def take(
        self, path: StrPath, *, expected: Digest | None = None, progress: "Progress | None" = None
    ) -> Stored:
        """Store a copy of the file at *path*, read once.

        Raises:
            NotAFile: *path* is a directory, a pipe, a socket or a device.
            FileChanged: it was written or exchanged meanwhile.
            WrongDigest: it is not *expected*.

        """
        # Imported here: a build whose weights are in the store takes none.
        from mbuild.store.durable import naming, temporary
        from mbuild.store.intake import copy_file, opened

        path = os.fspath(path)
        with opened(path) as source, temporary(self.folder) as (descriptor, beside):
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
        try:
            os.utime(self.path(digest))
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
            os.unlink(self.path(digest))
        except FileNotFoundError:
            raise MissingBlob(digest) from None

    def _reuse(self, digest: Digest, size: int) -> bool:
        """Touch the blob, if it is there and as long as it must be."""
        try:
            if self.size(digest) != size:
                return False  # Cut off by some other tool: it is written again.
            self.touch(digest)
        except MissingBlob:
            return False
        return True

    def _settle(
        self, descriptor: int, beside: str, digest: Digest, size: int, expected: Digest | None
    ) -> Stored:
        if expected is not None and digest != expected:
            raise WrongDigest(expected, digest)
        if self._reuse(digest, size):
            os.unlink(beside)
            return Stored(digest, size, created=False)
        return self._keep(descriptor, beside, digest, size)

    def _keep(self, descriptor: int, beside: str, digest: Digest, size: int) -> Stored:
        from mbuild.store.durable import finish, naming, sync_folder

        with naming(self.path(digest)):
            finish(descriptor)
        os.replace(beside, self.path(digest))
        sync_folder(self.folder)
        return Stored(digest, size, created=True)
