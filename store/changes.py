"""What makes a name stand for something else: saving, copying, removing.

What a name is about to stand for is announced in its history first; the manifest, which is
renamed into place, then says itself whether that came to be. Whatever fails or is killed on the
way leaves each name as it was. Names change under one lock, and blobs are removed under another,
which builds share.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mbuild.store import locks, tree
from mbuild.store.blobs import Blobs, MissingBlob
from mbuild.store.catalogue import Catalogue, DamagedModel, MissingModel
from mbuild.store.digest import Digest
from mbuild.store.durable import sync_folder, write
from mbuild.store.history import DamagedHistory, History, Revision
from mbuild.store.manifest import Manifest
from mbuild.store.name import Name

if TYPE_CHECKING:
    from mbuild.store.sweep import Needs

# Nothing is written to a temporary file for this long, unless its process is gone (ns). The
# reference's sweep waits as long.
_ABANDONED = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Removed:
    """What removing a model has freed."""

    freed: int  # bytes
    kept_because: str = ""  # why the blobs are still there, if they are


class Changes:
    """Changes of names, in the folders of one store. *ours* is the one that only we use."""

    def __init__(
        self, catalogue: Catalogue, blobs: Blobs, ours: str, clock: Callable[[], int]
    ) -> None:
        self.sources = Blobs(f"{ours}/sources")
        self._catalogue = catalogue
        self._blobs = blobs
        self._ours = ours
        self._clock = clock
        self._history = History(f"{ours}/history")

    def building(self) -> AbstractContextManager[None]:
        """Keep blobs from being removed meanwhile."""
        return locks.shared(f"{self._ours}/lock")

    def revisions(self, name: Name) -> tuple[Revision, ...]:
        """What *name* has stood for, oldest first."""
        return self._history.revisions(name, self._stands_for(name))

    def save(
        self, name: Name, data: bytes, sources: Mapping[str, bytes], account: str = ""
    ) -> bool:
        """Make *name* stand for the manifest *data*: whether it stood for anything else before."""
        with self.building():
            for layer in Manifest.decode(data).blobs:
                if layer.digest not in self._blobs:
                    raise MissingBlob(layer.digest)
            kept = {file: self.sources.put(text).digest for file, text in sources.items()}
            return self._replace(name, data, kept, account)

    def copy(self, source: Name, target: Name) -> bool:
        """Make *target* stand for what *source* stands for: whether it did not before."""
        with self.building():
            data = self._catalogue.read(source)
            return self._replace(target, data, *self._origin_of(source, data))

    def remove(self, name: Name) -> Removed:
        """Remove *name*, its history, and the blobs that nothing else needs."""
        with locks.alone(f"{self._ours}/names.lock"):
            needs = self._needs(name)
            self._unlink(name)
            self._history.forget(name)
        return self._discard(needs)

    def abandon(self, created: set[Digest]) -> None:
        """Remove those of *created* that nothing refers to, if no build is going on."""
        from mbuild.store.sweep import Unknowable, discard, in_use

        with locks.alone_if_free(f"{self._ours}/lock") as free, suppress(Unknowable):
            if free:
                discard(self._blobs, created - in_use(self._catalogue, self._history).blobs)

    def remove_leftovers(self) -> int:
        """Remove what a killed import left among the blobs: the bytes that this frees."""
        from mbuild.store.sweep import remove_leftovers

        return remove_leftovers(self._blobs.folder, self._clock() - _ABANDONED)

    def _replace(
        self, name: Name, data: bytes, sources: Mapping[str, Digest], account: str
    ) -> bool:
        path = self._catalogue.path(name)
        with locks.alone(f"{self._ours}/names.lock"):
            now = self._clock()
            present = self._present(name)
            if present is not None:
                self._history.settle(name, present[0])
                if present[0] == data:
                    os.utime(path, ns=(now, now))
                    return False
                self._keep(name, *present)
            self._history.announce(name, now, data, sources, account)
            try:
                write(path, data, at=now)
            finally:
                # Whether the manifest was replaced or not, it says itself what became of the
                # revision. If this cannot be written, the next change of the name does it.
                with suppress(OSError):
                    self._history.settle(name, self._stands_for(name))
            return True

    def _origin_of(self, name: Name, data: bytes) -> tuple[Mapping[str, Digest], str]:
        """The sources and the account of *name*, if it still stands for *data*."""
        with suppress(DamagedHistory):
            for revision in reversed(self._history.revisions(name, data)):
                if revision.manifest == data:
                    return revision.sources, revision.account
                break
        return {}, ""

    def _keep(self, name: Name, present: bytes, written: int) -> None:
        """See that *present*, perhaps written by another tool, is in the history of *name*."""
        try:
            latest = self._history.latest(name)
        except DamagedHistory:
            latest = None
        if latest is None or latest.manifest != present:
            self._history.add(name, written, present, {})

    def _stands_for(self, name: Name) -> bytes | None:
        present = self._present(name)
        return None if present is None else present[0]

    def _present(self, name: Name) -> tuple[bytes, int] | None:
        """The bytes of the manifest, and when it was written; None if there is none to keep."""
        try:
            return self._catalogue.look(name)
        except (MissingModel, DamagedModel):
            return None

    def _needs(self, name: Name) -> "Needs":
        """What *name* and its history refer to, as far as that can be read."""
        # Imported here, as in all of what removes: most changes only add.
        from mbuild.store.sweep import Needs

        needs = Needs()
        present = self._present(name)
        if present is not None:
            needs.add_manifest(present[0])
        with suppress(DamagedHistory):
            for revision in self._history.of(name):
                needs.add_revision(revision)
        return needs

    def _unlink(self, name: Name) -> None:
        from mbuild.store.sweep import remove_leftovers

        path = self._catalogue.path(name)
        folder = os.path.dirname(path)
        try:
            os.unlink(path)
        except FileNotFoundError:
            raise MissingModel(name) from None
        # No manifest is being written: that takes the lock that is held here.
        remove_leftovers(folder)
        sync_folder(folder)
        tree.remove_empty(folder, self._catalogue.folder)

    def _discard(self, needs: "Needs") -> Removed:
        from mbuild.store.sweep import Unknowable, discard, in_use

        with locks.alone_if_free(f"{self._ours}/lock") as free:
            if not free:
                return Removed(0, "a build is going on, which may need the layers")
            try:
                used = in_use(self._catalogue, self._history)
            except Unknowable as error:
                return Removed(0, error.reason)
            freed = discard(self._blobs, needs.blobs - used.blobs)
            freed += discard(self.sources, needs.sources - used.sources)
            return Removed(freed + self.remove_leftovers())
