"""What takes room in a store: models, what earlier builds need, and what nobody does."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from mbuild.store.blobs import Blobs
from mbuild.store.catalogue import DamagedModel, MissingModel
from mbuild.store.digest import BadDigest, Digest
from mbuild.store.durable import is_temporary
from mbuild.store.history import DamagedHistory
from mbuild.store.manifest import Manifest
from mbuild.store.name import Name
from mbuild.store.places import Places
from mbuild.store.room import Room, files, taken
from mbuild.store.sweep import Needs


@dataclass(frozen=True, slots=True)
class ModelRoom:
    """The room that one model takes, in bytes on the disk."""

    name: Name
    size: int
    unique: int  # what no other model needs


@dataclass(frozen=True, slots=True)
class Usage:
    """The room that each kind of thing takes."""

    models: tuple[ModelRoom, ...]
    unknown: tuple[str, ...]  # what cannot be read, so that what it needs is not known
    unique: Room = field(default_factory=Room)  # blobs that one model needs
    shared: Room = field(default_factory=Room)  # blobs that several do
    past: Room = field(default_factory=Room)  # blobs that only earlier builds need
    loose: Room = field(default_factory=Room)  # blobs that nobody needs
    history: Room = field(default_factory=Room)  # what earlier builds were
    sources: Room = field(default_factory=Room)
    records: Room = field(default_factory=Room)
    scratch: Room = field(default_factory=Room)
    temporary: Room = field(default_factory=Room)  # left by a crash, or being written
    foreign: Room = field(default_factory=Room)  # unfinished files of other tools
    damaged: Room = field(default_factory=Room)  # moved aside by a repair


def usage(places: Places) -> Usage:
    """The room that everything takes. Reads manifests and revisions, and no blob."""
    unknown: list[str] = []
    manifests = dict(_manifests(places, unknown))
    past = _past(places, unknown)
    found = dict(blobs(places.blobs))
    users = Counter(digest for needed in manifests.values() for digest in needed)
    models = tuple(_model(name, manifests[name], users, found) for name in manifests)
    used = Usage(
        tuple(sorted(models, key=lambda model: (-model.size, model.name.path))), tuple(unknown)
    )
    for digest, known in found.items():
        _place_for(used, digest, users, past).add(known)
    _count_the_rest(places, used)
    return used


def blobs(folder: Blobs) -> Iterator[tuple[Digest, os.stat_result]]:
    """The blobs in *folder* and what is known of the file of each."""
    for entry in _entries(folder.folder):
        with suppress(BadDigest, FileNotFoundError):
            if entry.name.startswith("sha256-"):
                digest = Digest.parse(entry.name)
                if digest.filename == entry.name:
                    yield digest, entry.stat()


def _manifests(places: Places, unknown: list[str]) -> Iterator[tuple[Name, frozenset[Digest]]]:
    for name in places.catalogue.names():
        try:
            manifest: Manifest = places.catalogue.load(name)
        except MissingModel:
            continue  # Removed since it was listed.
        except (DamagedModel, OSError) as error:
            unknown.append(str(error))
            continue
        yield name, frozenset(layer.digest for layer in manifest.blobs)


def _past(places: Places, unknown: list[str]) -> set[Digest]:
    needs = Needs()
    try:
        for _, revision in places.history.every():
            needs.add_revision(revision)
    except (OSError, DamagedHistory) as error:
        unknown.append(str(error))
    return needs.blobs


def _model(
    name: Name,
    needed: frozenset[Digest],
    users: "Counter[Digest]",
    found: dict[Digest, os.stat_result],
) -> ModelRoom:
    sizes = {digest: taken(found[digest]) for digest in needed if digest in found}
    unique = sum(size for digest, size in sizes.items() if users[digest] == 1)
    return ModelRoom(name, sum(sizes.values()), unique)


def _place_for(used: Usage, digest: Digest, users: "Counter[Digest]", past: set[Digest]) -> Room:
    if users[digest]:
        return used.unique if users[digest] == 1 else used.shared
    return used.past if digest in past else used.loose


def _count_the_rest(places: Places, used: Usage) -> None:
    for entry in _entries(places.blobs.folder):
        with suppress(FileNotFoundError):
            found = entry.stat(follow_symlinks=False)
            if is_temporary(entry.name):
                used.temporary.add(found)
            elif not _is_blob(entry.name) and not stat.S_ISDIR(found.st_mode):
                used.foreign.add(found)
    for folder, room in (
        (places.sources.folder, used.sources),
        (places.history.folder, used.history),
        (places.records.folder, used.records),
        (places.scratch, used.scratch),
        (places.damaged, used.damaged),
        (places.catalogue.folder, None),
    ):
        for path, found in files(folder):
            if is_temporary(os.path.basename(path)):
                used.temporary.add(found)
            elif room is not None:
                room.add(found)


def _is_blob(filename: str) -> bool:
    try:
        return Digest.parse(filename).filename == filename
    except BadDigest:
        return False


def _entries(folder: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
