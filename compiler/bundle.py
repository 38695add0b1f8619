"""A bundle becomes a folder: a Modelfile, its weights and its prompts.

All is written into a hidden folder inside the new one first, and then renamed, so that what goes
wrong leaves nothing behind, and no file half written.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from mbuild.compiler.export import Bundle
from mbuild.compiler.progress import Progress, Tell
from mbuild.store.blobs import Blobs, WrongDigest
from mbuild.store.digest import Digest

_STAGE = ".mbuild-export"


class Occupied(Exception):
    """A folder that is not ours to write into."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path} {what}")
        self.path = path


def write(
    bundle: Bundle,
    folder: str,
    blobs: Blobs,
    *,
    tell: Tell,
    force: bool = False,
    link: bool = False,
) -> None:
    """Make *folder*, which must be empty or missing, hold *bundle*.

    With *force* it may have other files, and those of the bundle's names are replaced. The
    weights are copied (or share their blocks, where the file system can do that), so that nothing
    that is done to them harms the store; with *link* they are the store's own files.

    Raises:
        Occupied: there is something that would be in the way.
        MissingBlob, WrongDigest: weights are not in the store, or damaged there.
        OSError: the folder cannot be written.
    """
    folder = folder or os.curdir
    names = ["Modelfile", *bundle.weights, *bundle.prompts]
    _demand_place(folder, names, force=force)
    with _staged(folder, names) as stage:
        for name, digest in bundle.weights.items():
            blobs.size(digest)  # Raises for a blob that is not there.
            if link:
                _link(blobs, digest, f"{stage}/{name}")
            else:
                _copy(blobs, digest, f"{stage}/{name}", name, tell)
        for name, data in [("Modelfile", bundle.modelfile.encode()), *bundle.prompts.items()]:
            os.makedirs(os.path.dirname(f"{stage}/{name}"), exist_ok=True)
            with open(f"{stage}/{name}", "xb") as file:
                file.write(data)


def _demand_place(folder: str, names: list[str], *, force: bool) -> None:
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise Occupied(folder, "is no folder")
    if not os.path.isdir(folder):
        return
    if not force and os.listdir(folder):
        raise Occupied(folder, "is not empty, and --force is not given")
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            raise Occupied(path, "is a folder, and a file is to be there")
        above = os.path.dirname(path)
        # Through a link the files would end up elsewhere.
        there = "/" in name and os.path.lexists(above)
        if there and (os.path.islink(above) or not os.path.isdir(above)):
            raise Occupied(above, "is no folder, and one is to be there")


@contextmanager
def _staged(folder: str, names: list[str]) -> Iterator[str]:
    """A folder for files whose *names* go into *folder* at the end, or not at all."""
    with ExitStack() as undo:

        def make(path: str) -> None:
            os.mkdir(path)
            undo.callback(_quietly, os.rmdir, path)

        for path in _missing_folders(folder):
            make(path)
        stage = os.path.join(folder, f"{_STAGE}-{os.getpid()}")
        os.mkdir(stage)
        undo.callback(shutil.rmtree, stage, ignore_errors=True)
        yield stage
        for name in names:
            path = os.path.join(folder, name)
            for above in _missing_folders(os.path.dirname(path)):
                make(above)
            if not os.path.lexists(path):
                undo.callback(_quietly, os.unlink, path)
            os.replace(f"{stage}/{name}", path)
        undo.pop_all()
    shutil.rmtree(stage)


def _quietly(act: Callable[[str], None], path: str) -> None:
    # What went wrong before matters more.
    with suppress(OSError):
        act(path)


def _missing_folders(folder: str) -> list[str]:
    """What has to be made for *folder* to be there, in order."""
    missing = []
    path = os.path.abspath(folder)
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    return missing[::-1]


def _link(blobs: Blobs, digest: Digest, path: str) -> None:
    blob = os.path.realpath(blobs.path(digest))
    try:
        os.link(blob, path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        reason = "on another file system than the store, so it cannot be linked: leave --link out"
        raise OSError(errno.EXDEV, reason, os.path.basename(path)) from None


def _copy(blobs: Blobs, digest: Digest, path: str, name: str, tell: Tell) -> None:
    """Copy a blob, whose bytes are checked on the way."""
    # Imported here: a bundle of links copies nothing.
    from mbuild.store.durable import finish, naming
    from mbuild.store.intake import copy_file, opened

    def progress(done: int, total: int | None) -> None:
        tell(Progress(f"copying {name}", done, total))

    source = blobs.path(digest)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with opened(source) as file, os.fdopen(os.open(path, flags, 0o600), "r+b") as target:
        with naming(path):
            found = copy_file(file, target.fileno(), source, progress)
            finish(target.fileno())
        if found != digest:
            raise WrongDigest(digest, found)
