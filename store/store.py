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
        links/      which blobs are hard links to files outside, and what those looked like
        damaged/    what a repair has moved out of the way; never removed by mbuild
        scratch/    downloads under way

A manifest is in the store only together with all that it refers to. Whatever fails or is killed
on the way leaves each name as it was. Reading takes no lock and makes no folder.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mbuild.store import stamps
from mbuild.store.blobs import Blobs, Stored, StrPath
from mbuild.store.catalogue import Catalogue, DamagedModel, MissingModel
from mbuild.store.digest import BadDigest, Digest
from mbuild.store.name import Name
from mbuild.store.records import Records

if TYPE_CHECKING:
    from mbuild.store.changes import Changes, Removed
    from mbuild.store.damage import Inspected, Repaired
    from mbuild.store.entry import Entry
    from mbuild.store.history import Revision
    from mbuild.store.intake import Progress
    from mbuild.store.linking import Wanted
    from mbuild.store.manifest import Manifest
    from mbuild.store.places import Places
    from mbuild.store.prune import Policy, Pruned
    from mbuild.store.usage import Usage

__all__ = ["DamagedModel", "MissingModel", "NewerStore", "Store"]

_VERSION = 1

_PATIENCE = 2.0  # seconds for which care waits for a build


class NewerStore(Exception):
    """A store in which a newer mbuild has kept things in a way that this one does not know."""

    def __init__(self, version: str) -> None:
        super().__init__(f"the store was written by a newer mbuild (layout {version})")
        self.version = version


class Store:
    """The store at *root*, which need not exist as long as nothing is put in.

    *clock* gives the time in ns since the epoch.
    """

    def __init__(self, root: StrPath, *, clock: Callable[[], int] = time.time_ns) -> None:
        self.root = os.fspath(root)
        self._ours = f"{self.root}/mbuild"
        self.blobs = Blobs(
            f"{self.root}/blobs", f"{self._ours}/links", users=self._users, clock=clock
        )
        self.scratch = f"{self._ours}/scratch"
        self._clock = clock
        self._catalogue = Catalogue(f"{self.root}/manifests")
        self._records = Records(f"{self._ours}/records")

    # Reading.

    def names(self) -> Iterator[Name]:
        """The names of all models, in no order. Opens no manifest."""
        return self._catalogue.names()

    def entries(self) -> "list[Entry]":
        """All models, the newest first; also damaged ones, such as those that lack a blob."""
        # One look at the folder takes less time than one for each blob.
        files = self._blob_files()
        return self._catalogue.entries(
            lambda digest: digest.filename in files or digest in self.blobs
        )

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

    def load(self, name: Name) -> "Manifest":
        """What *name* is made of.

        Raises:
            MissingModel: there is no such model.
            DamagedModel: its manifest cannot be read.

        """
        return self._catalogue.load(name)

    def revisions(self, name: Name) -> "tuple[Revision, ...]":
        """What *name* has stood for, oldest first. Models of other tools have no revisions.

        Raises:
            DamagedHistory: a revision cannot be read.

        """
        return self._changes().revisions(name)

    def source(self, digest: Digest) -> bytes:
        """The text of a source that a revision names.

        Raises:
            MissingBlob: it is not there.

        """
        return self._changes().sources.read(digest)

    # Writing.

    @contextmanager
    def building(self) -> Iterator[None]:
        """Keep blobs from being removed, while some are there that no manifest refers to yet.

        Any number of builds may go on at once.

        Raises:
            NewerStore: nothing may be written here.

        """
        self._prepare()
        with self._changes().building():
            yield

    def save(
        self,
        name: Name,
        manifest: "Manifest | bytes",
        *,
        sources: Mapping[str, bytes] | None = None,
        account: str = "",
    ) -> bool:
        """Make *name* stand for *manifest*: whether it stood for anything else before.

        What it stood for stays in the history. *sources* are the texts, by file name, that it
        was built from, and *account* is what the builder wants to be kept of how.

        Raises:
            BadManifest: the bytes are no manifest.
            MissingBlob: something that it refers to is not in the store.
            NewerStore: nothing may be written here.

        """
        self._prepare()
        data = manifest if isinstance(manifest, bytes) else manifest.encode()
        return self._changes().save(name, data, sources or {}, account)

    def confirm(self, name: Name, manifest: bytes) -> bool:
        """Whether *name* stands for *manifest* already; it then counts as built just now.

        Needs no lock: a blob that the present manifest refers to is not removed.

        Raises:
            NewerStore: nothing may be written here.

        """
        try:
            if self.read(name) != manifest:
                return False
        except (MissingModel, DamagedModel):
            return False
        self._prepare()
        now = self._clock()
        try:
            os.utime(self._catalogue.path(name), ns=(now, now))
        except FileNotFoundError:
            return False  # Removed since it was read.
        return True

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
        self._prepare()
        return self._changes().copy(source, target)

    def remove(self, name: Name) -> "Removed":
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
        return self._changes().remove(name)

    def abandon(self, created: Iterable[Digest]) -> None:
        """Take out what a failed build has *created*, unless something refers to it by now.

        While another build is going on, which may be about to, it stays for a later sweep.
        """
        digests = set(created)
        if digests:
            self._changes().abandon(digests)

    # Care.

    def usage(self) -> "Usage":
        """What takes room, and how much."""
        from mbuild.store.usage import usage

        return usage(self._places())

    def prune(
        self, policy: "Policy", *, dry_run: bool = False, patience: float = _PATIENCE
    ) -> "Pruned":
        """Remove what nothing needs, or with *dry_run* only say what that would be.

        While a build goes on no blob is removed; it is waited for *patience* seconds.

        Raises:
            NewerStore: nothing may be written here.

        """
        from mbuild.store.prune import prune

        if not os.path.isdir(self.root):
            dry_run = True
        if not dry_run:
            self._prepare()
        return prune(self._places(), policy, self._clock, dry_run=dry_run, patience=patience)

    def inspect(
        self, *, quick: bool = False, progress: "Callable[[str, int, int], None] | None" = None
    ) -> "Inspected":
        """Everything that is wrong here. With *quick* no blob is read. Changes nothing.

        *progress* is told what is being done, the bytes done and the bytes in all.
        """
        from mbuild.store.inspection import inspect

        return inspect(self._places(), quick=quick, progress=progress)

    def repair(self, found: "Inspected", *, patience: float = _PATIENCE) -> "Repaired":
        """Mend what can be mended of what was *found*; nothing that is damaged is deleted.

        While a build goes on nothing is mended; it is waited for *patience* seconds.

        Raises:
            NewerStore: nothing may be written here.

        """
        from mbuild.store.mending import repair

        self._prepare()
        return repair(self._places(), found, self._clock, patience=patience)

    def _places(self) -> "Places":
        # Imported here, as all of the care: it is not what a store is mostly for.
        from mbuild.store.history import History
        from mbuild.store.places import Places

        return Places(
            self.root,
            self._ours,
            self._catalogue,
            self.blobs,
            Blobs(f"{self._ours}/sources"),
            History(f"{self._ours}/history"),
            self._records,
        )

    def clear_up_after(self, process: int) -> None:
        """Remove what a *process* that built, and has ended, may have left among the blobs."""
        from mbuild.store.durable import remove_left_by

        remove_left_by(process, self.blobs.folder)

    def _changes(self) -> "Changes":
        # Imported here: most commands only read.
        from mbuild.store.changes import Changes

        return Changes(self._catalogue, self.blobs, self._ours, self._clock)

    def _prepare(self) -> None:
        path = f"{self._ours}/version"
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                version = file.read(80).strip()
        except FileNotFoundError:
            from mbuild.store.durable import write

            write(path, f"{_VERSION}\n".encode())
            return
        if not version.isdecimal() or int(version) > _VERSION:
            raise NewerStore(version)

    def _users(self, digest: Digest) -> tuple[str, ...]:
        """The short names of the models that need a blob, in order."""
        users = []
        for name in self.names():
            with suppress(MissingModel, DamagedModel):
                if any(layer.digest == digest for layer in self.load(name).blobs):
                    users.append(name.short)
        return tuple(sorted(users))

    def _blob_files(self) -> set[str]:
        try:
            return set(os.listdir(self.blobs.folder))
        except FileNotFoundError:
            return set()

    @contextmanager
    def alone(self, key: Digest) -> Iterator[None]:
        """Do something that is slow once: whoever else wants to do *key* waits meanwhile.

        One at a time: who holds one must not ask for another. Two keys may share a lock.

        Raises:
            NewerStore: nothing may be written here.

        """
        self._prepare()
        # Imported here: most commands do nothing that is slow.
        from mbuild.store import locks

        with locks.alone(f"{self._ours}/steps/{key.hex[:2]}.lock"):
            yield

    # What only saves work.

    def recall(self, key: Digest) -> bytes | None:
        """What was recorded for *key*, or None if that is nothing or not whole."""
        return self._records.recall(key)

    def record(self, key: Digest, data: bytes) -> None:
        """Remember *data* for *key*, if the store can be written.

        One that cannot, or that a newer mbuild keeps, is read all the same.
        """
        with suppress(NewerStore, OSError):
            self._prepare()
            self._records.record(key, data)

    def now(self) -> int:
        """The time by the clock that stamps are compared with (ns since the epoch)."""
        return self._clock()

    def remembered(self, path: StrPath) -> Digest | None:
        """The digest of the file at *path*, if it can be told without reading it.

        Only of a file whose bytes are still in the store.
        """
        absolute = os.path.abspath(path)
        own = self._own(absolute)
        if own is not None:
            return own
        try:
            recorded = self.recall(stamps.key(absolute, os.stat(absolute)))
        except OSError:
            return None  # Whoever reads the file will say what is wrong with it.
        if recorded is None:
            return None
        digest = Digest(recorded.decode())
        return digest if digest in self.blobs else None

    def _own(self, absolute: str) -> Digest | None:
        """The digest of a blob of this store, which is believed to hold what its name says."""
        folder, name = os.path.split(absolute)
        if folder != os.path.abspath(self.blobs.folder):
            return None
        try:
            digest = Digest.parse(name)
        except BadDigest:
            return None
        return digest if digest in self.blobs else None

    def remember(self, path: StrPath, found: os.stat_result, digest: Digest, *, began: int) -> None:
        """Remember that the file at *path*, as it was *found*, has this *digest*.

        *began* is when reading it began (ns since the epoch). What has changed since, or so
        shortly before that a change while it was read might not show, is not remembered.
        """
        absolute = os.path.abspath(path)
        if stamps.settled(found, began) and stamps.same_file(found, os.stat(absolute)):
            self.record(stamps.key(absolute, found), digest.hex.encode())

    def take(
        self,
        path: StrPath,
        *,
        fresh: bool = False,
        link: "Wanted" = "auto",
        progress: "Progress | None" = None,
    ) -> Stored:
        """Store a copy of the file at *path*, which is read only if it is not remembered.

        With *fresh* it is read in any case. A *link* takes the place of the copy: "always", or
        with "auto" for files of caches that nobody writes to, where blocks cannot be shared.

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
        self._changes().remove_leftovers()
        found = os.stat(path)
        stored = self.blobs.take(path, link=link, progress=progress)
        if stored.linked:
            self._remember_linked(path, found, stored.digest, began)
        else:
            self.remember(path, found, stored.digest, began=began)
        return stored

    def _remember_linked(
        self, path: StrPath, found: os.stat_result, digest: Digest, began: int
    ) -> None:
        """Remember a file that we have just linked, which shows in its stamps."""
        now = os.stat(path)
        if stamps.settled(found, began) and stamps.same_but_links(found, now):
            self.record(stamps.key(os.path.abspath(path), now), digest.hex.encode())
