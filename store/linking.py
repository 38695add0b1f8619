"""Taking a file into the store as a hard link, where that is wanted and safe.

Safe are files of a cache in which each is named by its own digest, as a hub's is and another
store's: nobody writes to those. Any other file may be linked by its owner's wish.
"""

import errno
import os
import re
from io import FileIO
from typing import Literal

from mbuild.store import stamps
from mbuild.store.digest import Digest
from mbuild.store.durable import make_folder, sync_folder
from mbuild.store.intake import FileChanged, clones
from mbuild.store.links import Linked, Links

Wanted = Literal["never", "auto", "always"]

# <cache>/models--<owner>--<name>/blobs/<digest>, and a store's blobs/sha256-<digest>.
_CACHED = re.compile(r".*/blobs/(?:sha256-)?([0-9a-f]{64})")

_REASONS = {
    errno.EXDEV: "it lies on another file system than the store",
    errno.EPERM: "the system lets only its owner link it, or its file system has no links",
    errno.EACCES: "it may not be linked from here",
    errno.EMLINK: "it has as many links as its file system allows",
}


class CannotLink(Exception):
    """A file that was to be linked into the store, and cannot be; *reason* says why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path} cannot be linked into the store: {reason}")
        self.path = path
        self.reason = reason


def linkable(source: FileIO, path: str, wanted: Wanted, folder: str) -> str | None:
    """What to link into *folder* for the file at *path*, open as *source*; None if it is copied.

    Raises:
        CannotLink: it has to be a link, and cannot be.

    """
    real = os.path.realpath(path)
    if wanted == "auto" and not _safe(real, source, folder):
        return None
    make_folder(folder)
    beside = _beside(folder)
    # A link is made and taken away, before the file is read for nothing.
    try:
        os.link(real, beside)
    except OSError as error:
        if wanted == "auto":
            return None
        reason = _REASONS.get(error.errno or 0, (error.strerror or str(error)).lower())
        raise CannotLink(path, reason) from None
    os.unlink(beside)
    return real


def says(real: str, digest: Digest) -> bool:
    """Whether a file of a cache is called by its digest."""
    return real.endswith(digest.hex)


def make_link(real: str, before: os.stat_result, digest: Digest, target: str, links: Links) -> None:
    """Make *target* a link to the file at *real*, which had this *digest* as it was *before*.

    Raises:
        FileChanged: it was written or exchanged meanwhile.

    """
    links.note(digest, Linked(real, ()))
    beside = _beside(os.path.dirname(target))
    os.link(real, beside)
    try:
        if not stamps.same_but_links(before, os.stat(beside)):
            raise FileChanged(real)
        os.replace(beside, target)
    except BaseException:
        os.unlink(beside)
        links.forget(digest)
        raise
    sync_folder(os.path.dirname(target))
    # The stamps of a file that has changed since, or is as young as its link and may yet change
    # unseen, stay out of the note: the first use reads it once more.
    found = os.stat(target)
    if stamps.same_but_links(before, found) and stamps.written_long_before(
        found, found.st_ctime_ns
    ):
        links.note(digest, Linked(real, stamps.stamp(found)))


def _safe(real: str, source: FileIO, folder: str) -> bool:
    """Whether to link without being told to: clones are better, and most files change."""
    return _CACHED.fullmatch(real) is not None and not clones(source, folder)


def _beside(folder: str) -> str:
    return f"{folder}/.mbuild-{os.getpid()}-{os.urandom(8).hex()}"
