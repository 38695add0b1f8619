"""Removing what nothing needs, beside other processes that build.

What goes first is what makes other things loose: revisions, then blobs and sources, then what
only saves work. A process that dies on the way leaves less to remove, and nothing that refers
to what is gone.

Three things keep a blob that no manifest and no revision refers to. A build that goes on may be
about to refer to it, and holds the store's lock: then no blob is removed at all. Another tool
may be about to, and takes no lock: what was used within the last hour is spared, as the
reference does. A process may have loaded it: what some process has open is spared.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from mbuild.store import locks, room, tree
from mbuild.store.blobs import Blobs, MissingBlob
from mbuild.store.catalogue import DamagedModel, MissingModel
from mbuild.store.digest import BadDigest, Digest
from mbuild.store.durable import is_temporary
from mbuild.store.history import DamagedHistory, Revision
from mbuild.store.holders import held
from mbuild.store.name import Name
from mbuild.store.places import Places
from mbuild.store.sweep import Unknowable, in_use
from mbuild.store.usage import blobs

_HOUR = 3_600_000_000_000  # ns
_GRACE = _HOUR
_FORGOTTEN = 30 * 24 * _HOUR  # after which a record is not worth its room

_HEX = re.compile(rb"(?:sha256:)?([0-9a-f]{64})")


class Kind(StrEnum):
    """What was removed."""

    REVISION = "earlier build"
    BLOB = "blob"
    SOURCE = "source text"
    RECORD = "record"
    SCRATCH = "unfinished download"
    TEMPORARY = "temporary file"


@dataclass(frozen=True, slots=True)
class Item:
    """Something that can be removed."""

    kind: Kind
    path: str  # from the root of the store
    size: int  # bytes that it gives back
    used: int  # when, in ns since the epoch
    about: str = ""  # what a path does not say


@dataclass(frozen=True, slots=True)
class Policy:
    """What is to go beside that which nobody can ever need."""

    everything: bool = False  # also what was used within the last hour, and every record
    revisions: int | None = None  # so many of each name stay; None for all
    older_than: int = 0  # ns; younger revisions stay
    keep: int | None = None  # bytes of blobs and records that may stay, those used last


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or what would be."""

    items: tuple[Item, ...]
    spared: tuple[Item, ...] = ()  # blobs that are loose and too young, or held by a process
    kept_because: str = ""  # why no blob was removed, if so

    @property
    def freed(self) -> int:
        """Bytes."""
        return sum(item.size for item in self.items)


def prune(
    places: Places,
    policy: Policy,
    clock: Callable[[], int],
    *,
    dry_run: bool = False,
    patience: float,
) -> Pruned:
    """Remove what nothing needs.

    With *dry_run* only say what that would be, and take no lock. Builds are waited for for so
    many seconds of *patience*; what needs no waiting is done in any case.
    """
    if dry_run:
        return _Prune(places, policy, clock()).all(remove=False, free=True)
    with locks.alone_if_free(places.lock, patience=patience) as free:
        return _Prune(places, policy, clock()).all(remove=True, free=free)


class _Prune:
    def __init__(self, places: Places, policy: Policy, now: int) -> None:
        self._places = places
        self._policy = policy
        self._now = now
        # What was used since then is spared; a clock that was set back spares it as well.
        self._since = None if policy.everything else now - _GRACE
        self._spared: list[Item] = []

    def all(self, *, remove: bool, free: bool) -> Pruned:
        """Remove, or find, everything; *free* says that no build goes on."""
        revisions = self._drop_revisions() if remove else self._revisions()
        kept_because = "" if free else "a build is going on, which may need what is loose"
        loose: list[Item] = []
        sources: list[Item] = []
        if free:
            try:
                loose, sources = self._loose({item.path for item in revisions})
            except Unknowable as error:
                kept_because = error.reason
        items = [*self._evicted(loose, list(self._records(loose))), *sources]
        items += [*(self._scratch() if free else ()), *self._temporary(free=free)]
        if remove:
            items = [item for item in items if self._remove(item)]
            if free:
                self._forget_links()
        return Pruned((*revisions, *items), tuple(self._spared), kept_because)

    # What there is.

    def _revisions(self) -> list[Item]:
        names = sorted(
            {name.path: name for name, _ in tree.walk(self._places.history.folder)}.items()
        )
        found: list[Item] = []
        for _, name in names:
            with suppress(DamagedHistory):
                found += [self._revision(name, each) for each in self._droppable(name)]
        return found

    def _droppable(self, name: Name) -> Iterator[Revision]:
        """Revisions that were never finished, and those that the policy lets go."""
        policy = self._policy
        every = list(self._places.history.of(name))
        numbered = [each for each in every if each.number]
        for each in every[len(numbered) :]:
            if each.manifest != self._present(name):
                yield each
        if policy.revisions is not None:
            # The newest one is what the name stands for.
            for each in numbered[: -max(policy.revisions, 1)]:
                if not policy.older_than or each.time <= self._now - policy.older_than:
                    yield each

    def _present(self, name: Name) -> bytes | None:
        try:
            return self._places.catalogue.read(name)
        except (MissingModel, DamagedModel):
            return None

    def _revision(self, name: Name, revision: Revision) -> Item:
        path = self._places.history.path(name, revision.number)
        about = (
            f"{name.short} @{revision.number}" if revision.number else f"{name.short}, unfinished"
        )
        return self._item(Kind.REVISION, path, revision.time, about)

    def _loose(self, dropped: set[str]) -> tuple[list[Item], list[Item]]:
        """Blobs, and sources, that nothing refers to once the revisions *dropped* are gone."""
        places = self._places
        needs = in_use(
            places.catalogue,
            places.history,
            lambda name, number: places.relative(places.history.path(name, number)) in dropped,
        )
        loose = [*self._unneeded(Kind.BLOB, places.blobs, needs.blobs)]
        sources = [*self._unneeded(Kind.SOURCE, places.sources, needs.sources)]
        return loose, sources

    def _unneeded(self, kind: Kind, folder: Blobs, needed: set[Digest]) -> Iterator[Item]:
        open_now: set[str] | None = None
        for digest, found in blobs(folder):
            if digest in needed:
                continue
            if open_now is None:
                open_now = held(folder.folder)
            when = found.st_mtime_ns
            if folder.is_link(digest):
                when = folder.links.used(digest)
            item = self._item(kind, folder.place(digest), when)
            if digest.filename in open_now or self._young(when):
                self._spared.append(item)
            else:
                yield item

    def _records(self, loose: Iterable[Item]) -> Iterator[tuple[Item, bool]]:
        """All records, and whether each is of no use any more."""
        gone = {os.path.basename(item.path) for item in loose}
        for path, found in room.files(self._places.records.folder):
            if is_temporary(os.path.basename(path)):
                continue
            when = room.used(found)
            stale = self._policy.everything or when < self._now - _FORGOTTEN
            if not stale:
                data = self._places.records.at(path)
                stale = data is None or not self._there(data, gone)
            yield self._item(Kind.RECORD, path, when), stale

    def _there(self, data: bytes, gone: set[str]) -> bool:
        """Whether the blobs that a record tells of are in the store."""
        digests = _told(data)
        blobs = self._places.blobs
        keep = self._policy.keep is not None  # Then what is loose may yet stay.
        return all(each in blobs and (keep or each.filename not in gone) for each in digests)

    def _scratch(self) -> Iterator[Item]:
        folder = self._places.scratch
        for name in _listed(folder):
            with suppress(FileNotFoundError):
                path = f"{folder}/{name}"
                when = os.lstat(path).st_mtime_ns
                yield self._item(Kind.SCRATCH, path, when, size=room.size_below(path))

    def _temporary(self, *, free: bool) -> Iterator[Item]:
        """Files that were being written by a process that is gone."""
        places = self._places
        for folder in (places.blobs.folder, places.catalogue.folder, places.ours):
            # Under the lock nobody writes blobs; elsewhere somebody may be about to finish.
            sure = free and self._policy.everything and folder == places.blobs.folder
            for path, found in room.files(folder):
                if is_temporary(os.path.basename(path)) and not path.startswith(
                    (places.scratch, places.damaged)
                ):
                    when = max(found.st_mtime_ns, found.st_ctime_ns)
                    if sure or when < self._now - _GRACE:
                        yield self._item(Kind.TEMPORARY, path, when)

    def _young(self, when: int) -> bool:
        return self._since is not None and when >= self._since

    def _item(
        self, kind: Kind, path: str, when: int, about: str = "", *, size: int | None = None
    ) -> Item:
        if size is None:
            size = 0
            with suppress(FileNotFoundError):  # Another process was faster.
                size = room.freed(os.lstat(path))
        return Item(kind, self._places.relative(path), size, when, about)

    # What goes.

    def _evicted(self, loose: list[Item], records: list[tuple[Item, bool]]) -> list[Item]:
        """Those of the blobs and records that are to go: the stale, then those used longest ago."""
        stale = [item for item, is_stale in records if is_stale]
        if self._policy.keep is None:
            return [*loose, *stale]
        cache = [*loose, *(item for item, is_stale in records if not is_stale)]
        left = sum(item.size for item in (*cache, *self._spared))
        evicted = []
        for item in sorted(cache, key=lambda item: (item.used, item.path)):
            if left <= self._policy.keep:
                break
            evicted.append(item)
            left -= item.size
        return [*evicted, *stale]

    def _drop_revisions(self) -> list[Item]:
        with locks.alone(self._places.names_lock):
            return [item for item in self._revisions() if self._remove(item)]

    def _forget_links(self) -> None:
        """Drop the notes about links that another tool has removed, or that never came about."""
        blobs = self._places.blobs
        for digest in blobs.links.every():
            if not os.path.lexists(blobs.place(digest)):
                blobs.links.forget(digest)

    def _remove(self, item: Item) -> bool:
        """Remove something: whether it was still there."""
        path = os.path.join(self._places.root, item.path)
        if item.kind is Kind.SCRATCH and os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
            return not os.path.exists(path)
        try:
            if item.kind is Kind.BLOB:
                self._places.blobs.remove(Digest.parse(os.path.basename(path)))
            else:
                os.unlink(path)
        except (FileNotFoundError, MissingBlob):
            return False  # Another process was faster.
        return True


def _told(data: bytes) -> list[Digest]:
    """The blobs that a record is about, as far as it says.

    It may be a digest, or an object with a ``digest``, or with a list of ``blobs``.
    """
    whole = _HEX.fullmatch(data)
    if whole is not None:
        return [Digest(whole[1].decode())]
    try:
        fields = json.loads(data)
        if not isinstance(fields, dict):
            return []
        single = [fields["digest"]] if "digest" in fields else []
        return [Digest.parse(str(each)) for each in (*single, *fields.get("blobs", []))]
    except (ValueError, TypeError, RecursionError, BadDigest):
        return []


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
