"""Looking for damage: everything in the store is read and held against what it should be.

Takes no lock. What may only look damaged because somebody changes the store meanwhile is looked
at twice; what is gone by then was removed, not lost.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from mbuild.store import room, tree
from mbuild.store.blobs import Blobs
from mbuild.store.catalogue import DamagedModel, MissingModel
from mbuild.store.damage import Damage, Inspected, Part, Remedy
from mbuild.store.digest import BadDigest, Digest
from mbuild.store.durable import is_temporary
from mbuild.store.history import DamagedHistory, Revision
from mbuild.store.intake import FileChanged, NotAFile, hash_file, opened
from mbuild.store.links import DamagedBlob
from mbuild.store.manifest import BadManifest, Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.places import Places

Progress = Callable[[str, int, int], None]
"""Called with what is being done, the bytes done so far and the bytes in all."""

_PURPOSES: Mapping[str, str] = {
    MediaType.CONFIG: "the description",
    MediaType.MODEL: "the weights",
    MediaType.PROJECTOR: "the projector",
    MediaType.ADAPTER: "an adapter",
    MediaType.DRAFT: "the draft model",
    MediaType.SYSTEM: "the system text",
    MediaType.TEMPLATE: "the template",
    MediaType.PARAMS: "the parameters",
    MediaType.MESSAGES: "the messages",
    MediaType.LICENSE: "a license",
}

_REPAIR = "mbuild fsck --repair"
_BUILD_AGAIN = "build or pull {} again"
_REPAIR_FIRST = f"{_REPAIR}, then {_BUILD_AGAIN}"


def inspect(places: Places, *, quick: bool = False, progress: Progress | None = None) -> Inspected:
    """Everything that is wrong with the store. With *quick* no blob is read."""
    return Inspection(places, quick=quick, progress=progress).result()


class Inspection:
    """One look at everything."""

    def __init__(self, places: Places, *, quick: bool, progress: Progress | None) -> None:
        self._places = places
        self._quick = quick
        self._progress = progress or (lambda _what, _done, _total: None)
        self._models: dict[Name, Manifest] = {}
        self._users: dict[Digest, list[tuple[Name, Layer]]] = {}
        self._revisions: list[tuple[Name, Revision]] = []
        self._bad: set[Digest] = set()  # blobs that are there and cannot be used
        self._counts = {"models": 0, "blobs": 0, "size": 0, "sources": 0, "records": 0}

    def result(self) -> Inspected:
        """All damages: of models first, harmless ones last."""
        damages = [
            *self._manifests(),
            *self._history(),
            *self._blobs(),
            *self._missing(),
            *self._sizes(),
            *self._sources(),
            *self._records(),
            *self._litter(),
        ]
        damages.sort(key=lambda damage: (damage.harmless, not damage.models))
        return Inspected(tuple(damages), revisions=len(self._revisions), **self._counts)

    # Manifests.

    def _manifests(self) -> Iterator[Damage]:
        catalogue = self._places.catalogue
        for name in sorted(catalogue.names(), key=str):
            self._counts["models"] += 1
            path = catalogue.path(name)
            try:
                manifest = catalogue.load(name)
            except MissingModel:
                self._counts["models"] -= 1
                continue
            except DamagedModel as error:
                yield self._bad_manifest(name, error.reason)
                continue
            except OSError as error:
                yield self._bad_manifest(name, (error.strerror or str(error)).lower())
                continue
            yield from self._mode(Part.MANIFEST, path, os.stat(path), (name.short,))
            self._models[name] = manifest
            for layer in manifest.blobs:
                self._users.setdefault(layer.digest, []).append((name, layer))
        yield from self._misplaced()

    def _bad_manifest(self, name: Name, reason: str) -> Damage:
        path = self._places.catalogue.path(name)
        what = "is empty" if reason == "it is empty" else f"is no manifest: {reason}"
        whole = newest_whole(self._places, name)
        lost = "" if whole else "what the model is made of; its history has no whole build either"
        advice = _REPAIR if whole else _BUILD_AGAIN.format(name.short)
        return Damage(
            Part.MANIFEST,
            self._places.relative(path),
            what,
            Remedy.RESTORE if whole else Remedy.NONE,
            (name.short,),
            lost,
            advice,
        )

    def _misplaced(self) -> Iterator[Damage]:
        catalogue = self._places.catalogue
        named = {catalogue.path(name) for name in catalogue.names()}
        for path, _ in room.files(catalogue.folder):
            parts = os.path.relpath(path, catalogue.folder).split("/")
            if path not in named and not any(part.startswith(".") for part in parts):
                what = "lies where its path spells no name, so nothing finds it"
                yield self._note(Part.FILE, path, what)

    # History.

    def _history(self) -> Iterator[Damage]:
        history = self._places.history
        names = {name.path: name for name, _ in tree.walk(history.folder)}
        for _, name in sorted(names.items()):
            for number, path in history.paths(name):
                try:
                    revision = history.at(path, number)
                except (DamagedHistory, OSError) as error:
                    reason = getattr(error, "reason", None) or str(error)
                    yield self._bad_revision(name, number, path, reason)
                    continue
                if revision is None:
                    continue
                self._revisions.append((name, revision))
                yield from self._swept(name, revision, path)

    def _bad_revision(self, name: Name, number: int, path: str, reason: str) -> Damage:
        whole = self._present(name) is not None
        return Damage(
            Part.REVISION,
            self._places.relative(path),
            f"is no record of a build: {reason}",
            Remedy.ASIDE,
            (),
            f"build @{number} of {name.short}" + ("; the model itself is whole" if whole else ""),
            f"{_REPAIR} moves it aside; until then no blob is ever removed",
        )

    def _swept(self, name: Name, revision: Revision, path: str) -> Iterator[Damage]:
        """What an earlier build lacks; the present one is its model's affair."""
        if revision.number == 0 or revision.manifest == self._present(name):
            return
        what = lacking(self._places, revision.manifest)
        if what and os.path.exists(path):
            build = f"build @{revision.number} of {name.short}"
            yield self._note(Part.REVISION, path, f"{what}: {build} cannot be brought back")

    def _present(self, name: Name) -> bytes | None:
        with suppress(MissingModel, DamagedModel, OSError):
            return self._places.catalogue.read(name)
        return None

    # Blobs.

    def _blobs(self) -> Iterator[Damage]:
        folder = self._places.blobs
        entries = sorted(_digests(folder), key=lambda pair: pair[0])
        total = sum(found.st_size for _, found in entries if found is not None)
        done = 0
        for digest, found in entries:
            yield from self._blob(folder, Part.BLOB, digest, found, done, total)
            done += 0 if found is None else found.st_size
            self._counts["blobs"] += 1
        self._counts["size"] = done

    def _blob(
        self,
        folder: Blobs,
        part: Part,
        digest: Digest,
        found: os.stat_result | None,
        done: int = 0,
        total: int = 0,
    ) -> Iterator[Damage]:
        what = _unusable(found)
        if what is None and found is not None:
            yield from self._mode(part, folder.place(digest), found, self._names(digest))
            what = self._wrong(folder, digest, found, done, total)
        if what is None or not os.path.lexists(folder.place(digest)):
            return
        self._bad.add(digest)
        yield self._bad_blob(folder, part, digest, what)

    def _wrong(
        self, folder: Blobs, digest: Digest, found: os.stat_result, done: int, total: int
    ) -> str | None:
        """What is wrong with what the blob holds."""
        path = folder.place(digest)
        if folder.is_link(digest):
            try:
                folder.path(digest)
            except DamagedBlob as error:
                return f"is a link to {error.source}, which has changed since"
        sizes = {layer.size for _, layer in self._users.get(digest, ())}
        if self._quick and sizes <= {found.st_size}:
            return None
        try:
            with opened(path) as file:
                same = digest == hash_file(file, path, self._telling(done, total))
        except FileNotFoundError:
            return None  # Removed since it was listed.
        except (OSError, NotAFile, FileChanged) as error:
            return f"cannot be read: {getattr(error, 'strerror', None) or error}".lower()
        if same:
            return None
        if sizes and found.st_size not in sizes:
            return f"has {found.st_size} bytes, not the {min(sizes)} that it should have"
        return "holds other bytes than its name says"

    def _telling(self, done: int, total: int) -> Callable[[int, int | None], None] | None:
        """How to tell of the progress of one blob of many; texts are too small to be told of."""
        if not total:
            return None
        return lambda now, _: self._progress("reading blobs", done + now, total)

    def _bad_blob(self, folder: Blobs, part: Part, digest: Digest, what: str) -> Damage:
        names = self._names(digest) if part is Part.BLOB else ()
        return Damage(
            part,
            self._places.relative(folder.place(digest)),
            what,
            Remedy.ASIDE,
            names,
            self._purposes(digest) if part is Part.BLOB else "the text that a model was built from",
            _REPAIR_FIRST.format(_all(names)) if names else f"{_REPAIR} moves it aside",
        )

    def _missing(self) -> Iterator[Damage]:
        for digest, users in sorted(self._users.items()):
            path = self._places.blobs.place(digest)
            if os.path.lexists(path) or not any(self._still(name) for name, _ in users):
                continue
            names = self._names(digest)
            yield Damage(
                Part.BLOB,
                self._places.relative(path),
                "is missing",
                Remedy.NONE,
                names,
                self._purposes(digest),
                _BUILD_AGAIN.format(_all(names)),
            )

    def _still(self, name: Name) -> bool:
        """Whether the model is what it was when the inspection began."""
        with suppress(MissingModel, DamagedModel, OSError):
            return self._places.catalogue.load(name) == self._models[name]
        return False

    def _sizes(self) -> Iterator[Damage]:
        """Manifests that say another size than the blob has, which is what its name says."""
        for name, manifest in self._models.items():
            for layer in manifest.blobs:
                with suppress(OSError):
                    size = os.stat(self._places.blobs.place(layer.digest)).st_size
                    if size != layer.size and layer.digest not in self._bad:
                        yield self._wrong_manifest(name, layer, size)

    def _wrong_manifest(self, name: Name, layer: Layer, size: int) -> Damage:
        whole = newest_whole(self._places, name) is not None
        return Damage(
            Part.MANIFEST,
            self._places.relative(self._places.catalogue.path(name)),
            f"says {layer.size} bytes of {layer.digest.short}, which has {size}",
            Remedy.RESTORE if whole else Remedy.NONE,
            (name.short,),
            "",
            _REPAIR if whole else _BUILD_AGAIN.format(name.short),
        )

    # All else.

    def _sources(self) -> Iterator[Damage]:
        folder = self._places.sources
        there = set()
        for digest, found in sorted(_digests(folder), key=lambda pair: pair[0]):
            there.add(digest)
            self._counts["sources"] += 1
            quick, self._quick = self._quick, False  # Texts are small.
            yield from self._blob(folder, Part.SOURCE, digest, found)
            self._quick = quick
        for name, revision in self._revisions:
            path = self._places.history.path(name, revision.number)
            for file, digest in revision.sources.items():
                if digest not in there and digest not in folder and os.path.exists(path):
                    what = f"is missing: {file} of build @{revision.number} of {name.short}"
                    yield self._note(Part.SOURCE, folder.place(digest), what)

    def _records(self) -> Iterator[Damage]:
        for path, _ in sorted(room.files(self._places.records.folder), key=lambda pair: pair[0]):
            if is_temporary(os.path.basename(path)):
                continue
            self._counts["records"] += 1
            if self._places.records.at(path) is None and os.path.exists(path):
                what = "is torn; it is taken for none, and made anew when needed"
                yield self._note(Part.RECORD, path, what, Remedy.DROP)

    def _litter(self) -> Iterator[Damage]:
        places = self._places
        for folder in (places.blobs.folder, places.catalogue.folder, places.ours):
            for path, found in room.files(folder):
                if path.startswith((places.scratch, places.damaged)):
                    continue
                if is_temporary(os.path.basename(path)):
                    what = (
                        f"was left by a command that was killed, or is being written: {_of(found)}"
                    )
                    yield self._note(Part.FILE, path, what, Remedy.DROP)
                elif folder == places.blobs.folder and not _is_blob(os.path.basename(path)):
                    what = f"is an unfinished file of another tool: {_of(found)}"
                    yield self._note(Part.FILE, path, what)

    def _mode(
        self, part: Part, path: str, found: os.stat_result, names: tuple[str, ...]
    ) -> Iterator[Damage]:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        where = self._places.relative(path)
        if not found.st_mode & stat.S_IRUSR:
            what = f"has the mode {mode}: its owner cannot read it"
            yield Damage(part, where, what, Remedy.MODE, names, "", _REPAIR)
        elif found.st_mode & stat.S_IWOTH:
            what = f"has the mode {mode}: everybody can write to it"
            yield Damage(part, where, what, Remedy.MODE, names, "", _REPAIR, harmless=True)

    def _note(self, part: Part, path: str, what: str, remedy: Remedy = Remedy.NONE) -> Damage:
        return Damage(part, self._places.relative(path), what, remedy, harmless=True)

    def _names(self, digest: Digest) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name.short for name, _ in self._users.get(digest, ())))

    def _purposes(self, digest: Digest) -> str:
        """What the blob is for: "the weights"."""
        types = dict.fromkeys(layer.media_type for _, layer in self._users.get(digest, ()))
        return " and ".join(_PURPOSES.get(each, each) for each in types)


def newest_whole(places: Places, name: Name) -> Revision | None:
    """The newest build of *name* all of whose blobs are there, as long as they should be."""
    found = None
    for number, path in places.history.paths(name):
        with suppress(DamagedHistory, OSError):
            revision = places.history.at(path, number)
            if revision is not None and number and not lacking(places, revision.manifest):
                found = revision
    return found


def lacking(places: Places, data: bytes) -> str:
    """Why the manifest *data* makes no model: "" if it does."""
    try:
        manifest = Manifest.decode(data)
    except BadManifest:
        return "its manifest was damaged already"
    for layer in manifest.blobs:
        try:
            size = os.stat(places.blobs.place(layer.digest)).st_size
        except OSError:
            return f"{layer.digest.short} is gone"
        if size != layer.size:
            return f"{layer.digest.short} has {size} bytes, not {layer.size}"
    return ""


def _digests(folder: Blobs) -> Iterator[tuple[Digest, os.stat_result | None]]:
    """All that is called like a blob, and what is known of it: None for a link to nowhere."""
    try:
        names = os.listdir(folder.folder)
    except FileNotFoundError:
        return
    for name in names:
        if _is_blob(name):
            try:
                yield Digest.parse(name), os.stat(f"{folder.folder}/{name}")
            except OSError:
                yield Digest.parse(name), None


def _is_blob(filename: str) -> bool:
    try:
        return Digest.parse(filename).filename == filename
    except BadDigest:
        return False


def _unusable(found: os.stat_result | None) -> str | None:
    if found is None:
        return "is a link to a file that is not there"
    return None if stat.S_ISREG(found.st_mode) else "is no file"


def _of(found: os.stat_result) -> str:
    return f"{found.st_size} bytes"


def _all(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else "the models"
