"""What no model needs any more, and removing it.

In use is what a manifest or a revision in the history refers to. If one of them cannot be read,
nobody knows what it needs, and nothing is removed. Callers hold the lock that keeps builds out:
a build refers to its blobs only at its end.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from mbuild.store.blobs import Blobs, MissingBlob
from mbuild.store.catalogue import Catalogue, DamagedModel, MissingModel
from mbuild.store.digest import Digest
from mbuild.store.durable import is_temporary
from mbuild.store.history import DamagedHistory, History, Revision
from mbuild.store.manifest import BadManifest, Manifest
from mbuild.store.name import Name


class Unknowable(Exception):
    """What is in use cannot be told; *reason* says what is in the way."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Needs:
    """Digests of blobs, and digests in the folder of sources."""

    blobs: set[Digest] = field(default_factory=set)
    sources: set[Digest] = field(default_factory=set)

    def add_manifest(self, data: bytes) -> None:
        """Add what a manifest refers to. Bytes that are none refer to nothing."""
        with suppress(BadManifest):
            self.blobs.update(layer.digest for layer in Manifest.decode(data).blobs)

    def add_revision(self, revision: Revision) -> None:
        """Add what a revision refers to."""
        self.add_manifest(revision.manifest)
        self.sources.update(revision.sources.values())


def in_use(
    catalogue: Catalogue,
    history: History,
    left_out: Callable[[Name, int], bool] = lambda _name, _number: False,
) -> Needs:
    """What all manifests and revisions refer to, but revisions that are to be *left_out*.

    Raises:
        Unknowable: one of them cannot be read.

    """
    needs = Needs()
    try:
        for name in catalogue.names():
            with suppress(MissingModel):  # Removed since it was listed.
                needs.blobs.update(layer.digest for layer in catalogue.load(name).blobs)
        for name, revision in history.every():
            if not left_out(name, revision.number):
                needs.add_revision(revision)
    except (OSError, DamagedModel, DamagedHistory) as error:
        raise Unknowable(str(error)) from None
    return needs


def remove_leftovers(folder: str, before: int | None = None) -> int:
    """Remove temporary files last written *before* (ns since the epoch): the bytes freed."""
    freed = 0
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return 0
    for entry in entries:
        if not is_temporary(entry.name):
            continue
        # Its writer may finish with it, or another sweep take it.
        with suppress(FileNotFoundError):
            found = entry.stat(follow_symlinks=False)
            # A file that has just been linked is as old as it was, but has changed.
            if before is None or max(found.st_mtime_ns, found.st_ctime_ns) < before:
                os.unlink(entry.path)
                freed += found.st_size
    return freed


def discard(folder: Blobs, digests: Iterable[Digest]) -> int:
    """Remove blobs that are not in use: the bytes that this frees."""
    freed = 0
    for digest in sorted(digests):
        # Someone else may have removed it, or it was never there.
        with suppress(MissingBlob):
            size = folder.size(digest)
            folder.remove(digest)
            freed += size
    return freed
