"""Mending what an inspection has found, without throwing away what might be the only copy.

What is damaged is moved to ``damaged/`` in our folder, under the path that it had. Nothing of
another tool is touched but blobs and manifests that are of no use to it either.

Holds the locks under which blobs are removed and names change, and looks at each damage once
more: what has been mended or removed meanwhile is left alone.
"""

import os
from collections.abc import Callable
from contextlib import suppress

from mbuild.store import locks
from mbuild.store.damage import Damage, Inspected, Part, Remedy, Repaired
from mbuild.store.digest import BadDigest, Digest
from mbuild.store.durable import make_folder, sync_folder, write
from mbuild.store.history import DamagedHistory
from mbuild.store.inspection import inspect, lacking, newest_whole
from mbuild.store.intake import FileChanged, NotAFile, hash_file, opened
from mbuild.store.name import Name
from mbuild.store.places import Places


def repair(
    places: Places,
    found: Inspected,
    clock: Callable[[], int],
    *,
    patience: float,
) -> Repaired:
    """Mend what can be mended of what was *found*.

    Builds are waited for for *patience* seconds; while one goes on nothing is mended.
    """
    with locks.alone_if_free(places.lock, patience=patience) as free:
        if not free:
            return Repaired((), found.damages, "a build is going on")
        with locks.alone(places.names_lock):
            return _repair(places, found, clock)


def _repair(places: Places, found: Inspected, clock: Callable[[], int]) -> Repaired:
    # What is moved aside first tells which builds are whole.
    order = sorted(found.damages, key=lambda damage: damage.remedy is not Remedy.ASIDE)
    done = [(damage, _mend(places, damage, clock)) for damage in order]
    mended = tuple((damage, what) for damage, what in done if what)
    return Repaired(mended, inspect(places, quick=True).damages)


def _mend(places: Places, damage: Damage, clock: Callable[[], int]) -> str:
    """What was done about it; "" if nothing."""
    path = os.path.join(places.root, damage.path)
    if damage.remedy is Remedy.NONE:
        return ""
    if not os.path.lexists(path) or _whole(places, damage, path):
        return "not so any more"
    match damage.remedy:
        case Remedy.ASIDE:
            return f"moved to {os.path.dirname(places.relative(_aside(places, path)))}"
        case Remedy.RESTORE:
            return _restore(places, path, clock)
        case Remedy.DROP:
            os.unlink(path)
            return "removed"
        case Remedy.MODE:
            os.chmod(path, 0o644)
            return "given the mode 0644"


def _whole(places: Places, damage: Damage, path: str) -> bool:
    """Whether somebody has mended it meanwhile."""
    match damage.part, damage.remedy:
        case ((Part.BLOB | Part.SOURCE), Remedy.ASIDE):
            return _holds_what_it_should(path)
        case Part.MANIFEST, Remedy.RESTORE:
            return not lacking(places, _bytes(path))
        case Part.REVISION, _:
            with suppress(DamagedHistory, OSError):
                return places.history.at(path, 1) is not None
        case Part.RECORD, _:
            return places.records.at(path) is not None
    return False


def _holds_what_it_should(path: str) -> bool:
    try:
        with opened(path) as file:
            return hash_file(file, path) == Digest.parse(os.path.basename(path))
    except (OSError, NotAFile, FileChanged):
        return False


def _bytes(path: str) -> bytes:
    try:
        with opened(path) as file:
            return file.read()
    except (OSError, NotAFile):
        return b""


def _aside(places: Places, path: str) -> str:
    """Move the file at *path* out of the way: where it is now."""
    target = _free(places, path)
    os.replace(path, target)
    sync_folder(os.path.dirname(target))
    sync_folder(os.path.dirname(path))
    with suppress(BadDigest):
        digest = Digest.parse(os.path.basename(path))
        if places.blobs.place(digest) == path and places.blobs.is_link(digest):
            places.blobs.links.forget(digest)
    return target


def _free(places: Places, path: str) -> str:
    """A path under which what is at *path* can be kept; its folder is there."""
    target = f"{places.damaged}/{places.relative(path)}"
    number = 1
    while os.path.lexists(target if number == 1 else f"{target}.{number}"):
        number += 1
    make_folder(os.path.dirname(target))
    return target if number == 1 else f"{target}.{number}"


def _restore(places: Places, path: str, clock: Callable[[], int]) -> str:
    """Put back the newest whole build of a name whose manifest is damaged."""
    name = Name(*os.path.relpath(path, places.catalogue.folder).split("/"))
    revision = newest_whole(places, name)
    if revision is None:
        return ""
    if revision.number != places.history.latest_number(name):
        places.history.add(name, clock(), revision.manifest, revision.sources)
    # A second name, and no move: the model must not be gone if we are killed before it is back.
    target = _free(places, path)
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError:  # A file system without links.
        write(target, _bytes(path))
    sync_folder(os.path.dirname(target))
    write(path, revision.manifest, at=revision.time)
    return f"put back as it was in build @{revision.number}"
