"""What each name has stood for: numbered revisions, so that nothing that was built is lost.

A revision is a file ``<host>/<namespace>/<model>/<tag>/<number>.json``: when, the manifest's
bytes, and the digests of the sources that it was built from. The newest is the present one.

A revision and the manifest that it is about are two files, and cannot be replaced at one
stroke. So the revision is written first, under a name that is no number (`announce`), then the
manifest, then the revision gets its number (`settle`). After a crash in between, the present
manifest tells whether the revision came about; if not, it is dropped.

Callers hold the lock of the store's names.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mbuild.store import tree
from mbuild.store.digest import Digest
from mbuild.store.durable import sync_folder, write
from mbuild.store.name import Name

_ANNOUNCED = "announced.json"


class DamagedHistory(Exception):
    """A file of the history that is no revision."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Revision:
    """What a name stood for from some moment on."""

    number: int  # from 1; 0 for one that was announced and not settled
    time: int  # ns since the epoch
    manifest: bytes
    sources: Mapping[str, Digest]  # file name → its text, in the store's folder of sources
    account: str = ""  # what the builder tells of how it was built; not read here


class History:
    """The revisions in *folder*, which need not exist as long as nothing is saved."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def revisions(self, name: Name, present: bytes | None) -> tuple[Revision, ...]:
        """All that *name* has stood for, oldest first; *present* is its manifest now.

        Raises:
            DamagedHistory: one of them cannot be read.

        """
        return tuple(each for each in self.of(name) if each.number or each.manifest == present)

    def of(self, name: Name) -> Iterator[Revision]:
        """The revisions of *name*, oldest first, and at last one that was only announced.

        Raises:
            DamagedHistory: one of them cannot be read.

        """
        for number, path in self.paths(name):
            revision = _read(path, number)
            if revision is not None:
                yield revision

    def paths(self, name: Name) -> tuple[tuple[int, str], ...]:
        """The number and the file of each revision, in order; at last 0, for what is announced."""
        return (*self._numbered(name), (0, self._announcement(name)))

    def at(self, path: str, number: int) -> Revision | None:
        """The revision in one file, None if there is no such file.

        Raises:
            DamagedHistory: it cannot be read.

        """
        return _read(path, number)

    def latest_number(self, name: Name) -> int:
        """The number of the newest revision, readable or not; 0 if there is none."""
        numbered = self._numbered(name)
        return numbered[-1][0] if numbered else 0

    def latest(self, name: Name) -> Revision | None:
        """The newest revision of *name*, if it has any; not one that was only announced.

        Raises:
            DamagedHistory: it cannot be read.

        """
        numbered = self._numbered(name)
        return _read(numbered[-1][1], numbered[-1][0]) if numbered else None

    def every(self) -> Iterator[tuple[Name, Revision]]:
        """All revisions with their names, also those that were only announced, in no order.

        Raises:
            DamagedHistory: one of them cannot be read.

        """
        for name, _ in tree.walk(self.folder):
            for revision in self.of(name):
                yield name, revision

    def add(self, name: Name, time: int, manifest: bytes, sources: Mapping[str, Digest]) -> None:
        """Add a revision that has already come about."""
        self.announce(name, time, manifest, sources)
        self.settle(name, manifest)

    def announce(
        self,
        name: Name,
        time: int,
        manifest: bytes,
        sources: Mapping[str, Digest],
        account: str = "",
    ) -> None:
        """Write down the revision that *name* is about to have. It is none before `settle`."""
        fields = {
            "time": time,
            # Bytes that are no UTF-8 survive as lone surrogates, which JSON escapes.
            "manifest": manifest.decode("utf-8", "surrogateescape"),
            "sources": {source: str(digest) for source, digest in sources.items()},
            **({"account": account} if account else {}),
        }
        write(self._announcement(name), json.dumps(fields).encode())

    def settle(self, name: Name, present: bytes | None) -> None:
        """Number what was announced, if *present* is its manifest; drop it, if it is another."""
        path = self._announcement(name)
        try:
            announced = _read(path, 0)
        except DamagedHistory:
            return  # The next announcement is written over it.
        if announced is None:
            return
        if announced.manifest == present:
            os.replace(path, self.path(name, self._next(name)))
        else:
            os.unlink(path)
        sync_folder(self._folder(name))

    def path(self, name: Name, number: int) -> str:
        """Where the revision *number* of *name* is, or what was announced for 0."""
        return f"{self._folder(name)}/{number:06}.json" if number else self._announcement(name)

    def forget(self, name: Name) -> None:
        """Remove all revisions of *name*, and the folders that this leaves empty."""
        folder = self._folder(name)
        try:
            filenames = os.listdir(folder)
        except FileNotFoundError:
            return
        for filename in filenames:
            os.unlink(f"{folder}/{filename}")
        tree.remove_empty(folder, self.folder)

    def _folder(self, name: Name) -> str:
        return f"{self.folder}/{name.path}"

    def _announcement(self, name: Name) -> str:
        return f"{self._folder(name)}/{_ANNOUNCED}"

    def _next(self, name: Name) -> int:
        return self.latest_number(name) + 1

    def _numbered(self, name: Name) -> list[tuple[int, str]]:
        try:
            filenames = os.listdir(self._folder(name))
        except FileNotFoundError:
            return []
        stems = [each.removesuffix(".json") for each in filenames if each.endswith(".json")]
        return sorted(
            (int(stem), f"{self._folder(name)}/{stem}.json") for stem in stems if stem.isdecimal()
        )


def _read(path: str, number: int) -> Revision | None:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return None  # Nothing was announced, or the name was removed while we looked.
    try:
        return _revision(json.loads(data), number)
    except (ValueError, RecursionError) as error:
        raise DamagedHistory(path, f"no revision: {error}") from None


def _revision(fields: object, number: int) -> Revision:
    match fields:
        case {"time": int(time), "manifest": str(manifest), "sources": dict(sources), **more}:
            digests = {source: Digest.parse(str(digest)) for source, digest in sources.items()}
            account = str(more.get("account", ""))
            data = manifest.encode("utf-8", "surrogateescape")
            return Revision(number, time, data, digests, account)
    raise ValueError("a field is missing or of the wrong type")
