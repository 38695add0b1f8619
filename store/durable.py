"""Files that are written whole or not at all.

The bytes go to a temporary file in the same folder (a rename is atomic only within one file
system), which is synced, then renamed, then the folder is synced. A crash at any point leaves
the file as it was, and at most a temporary file, whose name no reader takes for anything.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# No digest, so the reference's sweep takes it after an hour, as it does its own; and hidden, so
# that in a folder of manifests it is no model to anybody.
_TEMPORARY = ".mbuild-"

_OPEN_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def is_temporary(filename: str) -> bool:
    """Whether a file of this name was left by a crash (or is being written right now)."""
    return filename.startswith(_TEMPORARY)


def remove_left_by(process: int, folder: str) -> None:
    """Remove the temporary files in *folder* of a *process* that has ended.

    One that is interrupted between making a file and guarding it leaves it.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        if name.startswith(f"{_TEMPORARY}{process}-"):
            with suppress(FileNotFoundError):
                os.unlink(f"{folder}/{name}")


def make_folder(path: str) -> None:
    """Make *path* and what is missing above it, all of mode 0755 minus the umask.

    Raises:
        OSError: it cannot be made, or something on the way is no folder.

    """
    try:
        os.mkdir(path, 0o755)
    except FileNotFoundError:
        make_folder(os.path.dirname(path) or os.curdir)
        make_folder(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    else:
        sync_folder(os.path.dirname(path) or os.curdir)


def sync_folder(path: str) -> None:
    """Wait until the names in the folder *path* are on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with naming(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Say *path* in an OSError that names no file, as one of a write or a sync does not."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = path
        raise


@contextmanager
def temporary(folder: str) -> Iterator[tuple[int, str]]:
    """A new file in *folder*, open for reading and writing; to be renamed or removed.

    It is gone if anything goes wrong. The folder is made if it is missing.
    """
    descriptor, path = _open_new(folder)
    try:
        yield descriptor, path
    except BaseException:
        # What went wrong matters more; and after a rename there is nothing here any more.
        with suppress(OSError):
            os.unlink(path)
        raise
    finally:
        os.close(descriptor)


def write(path: str, data: bytes, *, at: int | None = None) -> None:
    """Make *path* a file of mode 0644 that holds *data*, whatever it was before.

    *at* sets its times (ns since the epoch).
    """
    with temporary(os.path.dirname(path)) as (descriptor, beside):
        with naming(path):
            write_all(descriptor, data)
            finish(descriptor, at=at)
        os.replace(beside, path)
        sync_folder(os.path.dirname(path))


def write_unsynced(path: str, data: bytes) -> None:
    """As :func:`write`, but after a crash of the machine the file may be missing, torn or empty.

    For what can be told from what it should be, and made anew.
    """
    with temporary(os.path.dirname(path)) as (descriptor, beside):
        with naming(path):
            write_all(descriptor, data)
            os.fchmod(descriptor, 0o644)
        os.replace(beside, path)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of *data*: one call to the system may take less."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def finish(descriptor: int, *, at: int | None = None) -> None:
    """Give a written file its mode, 0644 whatever the umask, and wait until it is on the disk."""
    os.fchmod(descriptor, 0o644)
    if at is not None:
        os.utime(descriptor, ns=(at, at))
    os.fsync(descriptor)


def _open_new(folder: str) -> tuple[int, str]:
    while True:
        # Unique among processes, threads and machines that share the folder.
        path = f"{folder}/{_TEMPORARY}{os.getpid()}-{os.urandom(8).hex()}"
        try:
            return os.open(path, _OPEN_NEW, 0o600), path
        except FileNotFoundError:
            # Missing, or a removal elsewhere has just taken the empty folder away.
            make_folder(folder)
