"""The folder of manifests: which models there are, and what each is made of.

Only reads. A manifest is read once, whole, and never believed: it may be missing, damaged, not
even a file, and the other models are there all the same.
"""

import os
import stat
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mbuild.store import tree
from mbuild.store.digest import Digest
from mbuild.store.name import Name, same_ignoring_case

if TYPE_CHECKING:
    from mbuild.store.entry import Entry
    from mbuild.store.manifest import Manifest

# Bytes. A manifest of ten thousand layers has three million.
_LARGEST = 64 << 20

_SECOND = 1_000_000_000  # ns


class MissingModel(Exception):
    """A name that no model in the store has."""

    def __init__(self, name: Name) -> None:
        super().__init__(f"no model {name.short}")
        self.name = name


class DamagedModel(Exception):
    """A model whose manifest cannot be read."""

    def __init__(self, name: Name, reason: str) -> None:
        super().__init__(f"the manifest of {name.short} is damaged: {reason}")
        self.name = name
        self.reason = reason


class Catalogue:
    """The manifests in *folder*, which need not exist."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def path(self, name: Name) -> str:
        """Where the manifest of *name* is, or would be."""
        return f"{self.folder}/{name.path}"

    def names(self) -> Iterator[Name]:
        """The names of all models, in no order. Opens no manifest."""
        return (name for name, found in tree.walk(self.folder) if not tree.is_folder(found))

    def entries(self, has: Callable[[Digest], bool] = lambda _: True) -> "list[Entry]":
        """All models, the newest (by whole seconds) first, those of one second by name.

        *has* tells whether a blob is there; a model that needs one that is not is damaged.
        """
        found = (self._entry(name, each.path, has) for name, each in tree.walk(self.folder))
        entries = [entry for entry in found if entry is not None]
        return sorted(entries, key=lambda entry: (-(entry.modified_ns // _SECOND), entry.name.path))

    def resolve(self, name: Name) -> Name:
        """*name* in the case in which its parts are already in the store.

        Part by part, each perhaps from another model, as in the reference; where several would
        do, which the reference leaves to chance, a model that is there goes before one that is
        not, and a part that needs no change before one that does.
        """
        if tree.has(self.folder, name):
            return name
        names = sorted(self.names(), key=str)
        for other in names:
            if same_ignoring_case(str(other), str(name)):
                return other
        return Name(
            _in_case(name.host, [other.host for other in names]),
            _in_case(name.namespace, [other.namespace for other in names]),
            _in_case(name.model, [other.model for other in names]),
            _in_case(name.tag, [other.tag for other in names]),
        )

    def read(self, name: Name) -> bytes:
        """The bytes of the manifest, whatever they are.

        Raises:
            MissingModel: there is none.
            DamagedModel: what is there is no file, or far too large.

        """
        return self.look(name)[0]

    def look(self, name: Name) -> tuple[bytes, int]:
        """The bytes of the manifest, and when it was written (ns since the epoch).

        Raises:
            as :meth:`read`.

        """
        try:
            data, found = _read(self.path(name))
        except (FileNotFoundError, NotADirectoryError):
            raise MissingModel(name) from None
        if stat.S_ISDIR(found.st_mode):
            raise MissingModel(name)
        if data is None:
            raise DamagedModel(name, _unreadable(found))
        return data, found.st_mtime_ns

    def load(self, name: Name) -> "Manifest":
        """What the model is made of.

        Raises:
            MissingModel: there is no such model.
            DamagedModel: its manifest is none.

        """
        # Imported here: to read a manifest's bytes is all that some commands do.
        from mbuild.store.manifest import BadManifest, Manifest

        try:
            return Manifest.decode(self.read(name))
        except BadManifest as error:
            raise DamagedModel(name, error.reason) from None

    def _entry(self, name: Name, path: str, has: Callable[[Digest], bool]) -> "Entry | None":
        from mbuild.store.entry import Damaged, Model
        from mbuild.store.manifest import BadManifest, parse

        try:
            data, found = _read(path)
        except FileNotFoundError:
            return None  # Removed since the folder was listed.
        except OSError as error:
            return Damaged(name, 0, (error.strerror or str(error)).lower())
        if stat.S_ISDIR(found.st_mode):
            return None
        if data is None:
            return Damaged(name, found.st_mtime_ns, _unreadable(found))
        try:
            manifest, identity = parse(data)
        except BadManifest as error:
            return Damaged(name, found.st_mtime_ns, error.reason)
        missing = sum(not has(layer.digest) for layer in manifest.blobs)
        if not missing:
            return Model(name, identity, manifest.size, found.st_mtime_ns)
        if not os.path.lexists(path):
            return None  # Removed since it was read, and its blobs with it.
        return Damaged(name, found.st_mtime_ns, _missing(missing, len(manifest.blobs)))


def _in_case(part: str, existing: list[str]) -> str:
    if part in existing:
        return part
    return next((other for other in existing if same_ignoring_case(other, part)), part)


def _read(path: str) -> tuple[bytes | None, os.stat_result]:
    """The bytes at *path*, None if it is no file of a manifest's size. Never waits."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            return None, found
        return _all(descriptor, found.st_size), found
    finally:
        os.close(descriptor)


def _all(descriptor: int, size: int) -> bytes:
    # One read takes the file whole, and less than was asked for means that it ends there.
    data = os.read(descriptor, size + 1)
    while len(data) > size and (piece := os.read(descriptor, size)):
        data += piece  # It has grown meanwhile.
    return data


def _missing(count: int, total: int) -> str:
    verb = "is" if count == 1 else "are"
    return f"{count} of its {total} blobs {verb} missing"


def _unreadable(found: os.stat_result) -> str:
    return "not a file" if not stat.S_ISREG(found.st_mode) else "too large for a manifest"
