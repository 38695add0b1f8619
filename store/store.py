"""A store of models on disk, shared with Ollama if it is Ollama's: names → manifests → blobs.

    <root>/blobs/sha256-<hex>                             what models are made of
    <root>/manifests/<host>/<namespace>/<model>/<tag>     what each is made of
    <root>/mbuild/                                        all that is only ours:
        version     of what follows; a newer one than this module knows is not written to
        lock        shared by builds, alone by what removes blobs
        names.lock  held alone while a name changes
        history/    what names stood for before, and from which sources
        sources/    the texts that models were built from, named by their digests
        records/    what steps gave, and digests of files that need not be read again
        scratch/    downloads under way

A manifest is in the store only together with all that it refers to. Whatever fails or is killed
on the way leaves each name as it was. Reading takes no lock and makes no folder.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mbuild.store import locks, stamps, tree
from mbuild.store.blobs import Blobs, MissingBlob, Stored, StrPath
from mbuild.store.catalogue import Catalogue, DamagedModel, Entry, MissingModel
from mbuild.store.digest import Digest
from mbuild.store.durable import sync_folder, write
from mbuild.store.history import DamagedHistory, History, Revision
from mbuild.store.manifest import Manifest
from mbuild.store.name import Name
from mbuild.store.records import Records

if TYPE_CHECKING:
    from mbuild.store.intake import Progress
    from mbuild.store.sweep import Needs

__all__ = ["DamagedModel", "Entry", "MissingModel", "NewerStore", "Removed", "Store"]

_VERSION = 1

# Nothing is written to a temporary file for this long, unless its process is gone (ns). The
# reference's sweep waits as long.
_ABANDONED = 3_600_000_000_000


class NewerStore(Exception):
    """A store in which a newer mbuild has kept things in a way that this one does not know."""

    def __init__(self, version: str) -> None:
        super().__init__(f"the store was written by a newer mbuild (layout {version})")
        self.version = version


@dataclass(frozen=True, slots=True)
class Removed:
    """What removing a model has freed."""

    freed: int  # bytes
    kept_because: str = ""  # why the blobs are still there, if they are


class Store:
    """The store at *root*, which need not exist as long as nothing is put in.

    *clock* gives the time in ns since the epoch.
    """

    def __init__(self, root: StrPath, *, clock: Callable[[], int] = time.time_ns) -> None:
        self.root = os.fspath(root)
        self._ours = f"{self.root}/mbuild"
        self.blobs = Blobs(f"{self.root}/blobs")
        self.scratch = f"{self._ours}/scratch"
        self._clock = clock
        self._catalogue = Catalogue(f"{self.root}/manifests")
        self._history = History(f"{self._ours}/history")
        self._sources = Blobs(f"{self._ours}/sources")
        self._records = Records(f"{self._ours}/records")

    # Reading.

    def names(self) -> Iterator[Name]:
        """The names of all models, in no order. Opens no manifest."""
        return self._catalogue.names()

    def entries(self) -> list[Entry]:
        """All models, damaged ones as well, the newest first."""
        return self._catalogue.entries()

    def resolve(self, name: Name) -> Name:
        """*name* in the case in which its parts are already in the store."""
        return self._catalogue.resolve(name)

    def read(self, name: Name) -> bytes:
        """The bytes of the manifest of *name*.

        Raises:
            MissingModel: there is no such model.
            DamagedModel: its manifest is no file.

        """
        return self._catalogue.read(name)

    def load(self, name: Name) -> Manifest:
        """What *name* is made of.

        Raises:
            MissingModel: there is no such model.
            DamagedModel: its manifest cannot be read.

        """
        return self._catalogue.load(name)

    def revisions(self, name: Name) -> tuple[Revision, ...]:
        """What *name* has stood for, oldest first. Models of other tools have no revisions.

        Raises:
            DamagedHistory: a revision cannot be read.

        """
        return self._history.revisions(name, self._stands_for(name))

    def source(self, digest: Digest) -> bytes:
        """The text of a source that a revision names.

        Raises:
            MissingBlob: it is not there.

        """
        return self._sources.read(digest)

    # Writing.

    @contextmanager
    def building(self) -> Iterator[None]:
        """Keep blobs from being removed, while some are there that no manifest refers to yet.

        Any number of builds may go on at once.

        Raises:
            NewerStore: nothing may be written here.

        """
        self._prepare()
        with locks.shared(f"{self._ours}/lock"):
            yield

    def save(
        self, name: Name, manifest: Manifest | bytes, *, sources: Mapping[str, bytes] | None = None
    ) -> bool:
        """Make *name* stand for *manifest*: whether it stood for anything else before.

        What it stood for stays in the history. *sources* are the texts, by file name, that it
        was built from.

        Raises:
            BadManifest: the bytes are no manifest.
            MissingBlob: something that it refers to is not in the store.
            NewerStore: nothing may be written here.

        """
        data = manifest if isinstance(manifest, bytes) else manifest.encode()
        with self.building():
            for layer in Manifest.decode(data).blobs:
                if layer.digest not in self.blobs:
                    raise MissingBlob(layer.digest)
            kept = {file: self._sources.put(text).digest for file, text in (sources or {}).items()}
            return self._replace(name, data, kept)

    def copy(self, source: Name, target: Name) -> bool:
        """Make *target* stand for what *source* stands for: whether it did not before.

        What it stood for stays in the history.

        Raises:
            MissingModel, DamagedModel: as :meth:`load` of *source*.
            NewerStore: nothing may be written here.

        """
        self.load(source)
        if source == target:
            return False
        with self.building():
            data = self.read(source)
            return self._replace(target, data, self._sources_of(source, data))

    def remove(self, name: Name) -> Removed:
        """Remove *name*, its history, and the blobs that nothing else needs.

        The blobs stay if a build is going on, which may be about to need them, and if another
        manifest is damaged, which may need them.

        Raises:
            MissingModel: there is no such model.
            NewerStore: nothing may be written here.

        """
        with suppress(DamagedModel):
            self.read(name)
        self._prepare()
        with locks.alone(f"{self._ours}/names.lock"):
            needs = self._needs(name)
            self._unlink(name)
            self._history.forget(name)
        return self._discard(needs)

    def _prepare(self) -> None:
        path = f"{self._ours}/version"
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                version = file.read(80).strip()
        except FileNotFoundError:
            write(path, f"{_VERSION}\n".encode())
            return
        if not version.isdecimal() or int(version) > _VERSION:
            raise NewerStore(version)

    def _replace(self, name: Name, data: bytes, sources: Mapping[str, Digest]) -> bool:
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
            self._history.announce(name, now, data, sources)
            try:
                write(path, data, at=now)
            finally:
                # Whether the manifest was replaced or not, it says itself what became of the
                # revision. If this cannot be written, the next change of the name does it.
                with suppress(OSError):
                    self._history.settle(name, self._stands_for(name))
            return True

    def _sources_of(self, name: Name, data: bytes) -> Mapping[str, Digest]:
        """The sources that *name* was built from, if it still stands for *data*."""
        with suppress(DamagedHistory):
            for revision in reversed(self._history.revisions(name, data)):
                return revision.sources if revision.manifest == data else {}
        return {}

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
        # Imported here, as below: only a removal needs it.
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
            freed = discard(self.blobs, needs.blobs - used.blobs)
            freed += discard(self._sources, needs.sources - used.sources)
            return Removed(freed + self._remove_leftovers())

    def _remove_leftovers(self) -> int:
        """Remove what a killed import left among the blobs: the bytes that this frees."""
        from mbuild.store.sweep import remove_leftovers

        return remove_leftovers(self.blobs.folder, self._clock() - _ABANDONED)

    # What only saves work.

    def recall(self, key: Digest) -> bytes | None:
        """What was recorded for *key*, or None if that is nothing or not whole."""
        return self._records.recall(key)

    def record(self, key: Digest, data: bytes) -> None:
        """Remember *data* for *key*.

        Raises:
            NewerStore: nothing may be written here.

        """
        self._prepare()
        self._records.record(key, data)

    def remembered(self, path: StrPath) -> Digest | None:
        """The digest of the file at *path*, if it can be told without reading it.

        Only of a file whose bytes are still in the store.
        """
        absolute = os.path.abspath(path)
        try:
            recorded = self.recall(stamps.key(absolute, os.stat(absolute)))
        except OSError:
            return None  # Whoever reads the file will say what is wrong with it.
        if recorded is None:
            return None
        digest = Digest(recorded.decode())
        return digest if digest in self.blobs else None

    def remember(self, path: StrPath, found: os.stat_result, digest: Digest, *, began: int) -> None:
        """Remember that the file at *path*, as it was *found*, has this *digest*.

        *began* is when reading it began (ns since the epoch). What has changed since, or so
        shortly before that a change while it was read might not show, is not remembered.

        Raises:
            NewerStore: nothing may be written here.

        """
        absolute = os.path.abspath(path)
        if stamps.settled(found, began) and stamps.same_file(found, os.stat(absolute)):
            self.record(stamps.key(absolute, found), digest.hex.encode())

    def take(
        self, path: StrPath, *, fresh: bool = False, progress: "Progress | None" = None
    ) -> Stored:
        """Store a copy of the file at *path*, which is read only if it is not remembered.

        With *fresh* it is read in any case.

        Raises:
            as :meth:`Blobs.take <mbuild.store.blobs.Blobs.take>`, and
            NewerStore: nothing may be written here.

        """
        began = self._clock()
        known = None if fresh else self.remembered(path)
        if known is not None:
            self.blobs.touch(known)
            return Stored(known, self.blobs.size(known), created=False)
        self._prepare()
        self._remove_leftovers()
        found = os.stat(path)
        stored = self.blobs.take(path, progress=progress)
        self.remember(path, found, stored.digest, began=began)
        return stored
