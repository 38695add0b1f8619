"""The files that `lint` looks at: what is in them, and their mended texts.

Only regular files are opened, and only those of a bounded size. A mended file is written whole
beside the old one and then takes its name, so that a crash leaves the one or the other.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

from mbuild.compiler.diagnostic import Code, Diagnostic
from mbuild.compiler.dialect import Dialect
from mbuild.compiler.lint import lint, mend
from mbuild.compiler.rules.secrets import hidden
from mbuild.compiler.surroundings import Onlooker, Surroundings

_LARGEST = 64 << 20  # bytes of a Modelfile
STDIN = "<stdin>"
"""What findings call a Modelfile from standard input."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What there is to say of one file."""

    name: str
    findings: tuple[Diagnostic, ...] = ()
    mended: tuple[Diagnostic, ...] = ()  # what --fix has mended
    data: bytes = b""  # of a mended standard input
    refusal: str | None = None  # why it was not looked at
    named: frozenset[str] = frozenset()  # the real paths of the texts that it names


def look(path: str, store: Onlooker, *, dialect: Dialect, fix: bool, allow_outside: bool) -> Looked:
    """What there is to say of the file at *path*, - being standard input, after mending it."""
    name = STDIN if path == "-" else path
    try:
        data = _read(path)
    except OSError as error:
        return Looked(name, refusal=_why(error))
    folder = os.getcwd() if path == "-" else os.path.dirname(os.path.abspath(path))
    world = Surroundings(folder, name, store, allow_outside=allow_outside)
    mended: tuple[Diagnostic, ...] = ()
    if fix:
        result = mend(name, data, world, dialect=dialect)
        mended = result.findings
        try:
            if result.data != data and path != "-":
                _replace(path, result.data)
        except OSError as error:
            return Looked(name, refusal=_why(error))
        data = result.data
    findings = lint(name, data, world, dialect=dialect)
    return Looked(name, findings, mended, data, named=frozenset(world.named))


def together(looked: Iterable[Looked]) -> list[Looked]:
    """*looked*, of which those that another one includes need no FROM; with no secret in sight."""
    every = list(looked)
    included = frozenset().union(*(each.named for each in every))
    return [_shown(each, part=os.path.realpath(each.name) in included) for each in every]


def _shown(looked: Looked, *, part: bool) -> Looked:
    findings = hidden(looked.findings)
    if part:
        findings = tuple(each for each in findings if each.code is not Code.NO_FROM)
    return replace(looked, findings=findings, mended=hidden(looked.mended))


def _read(path: str) -> bytes:
    if path == "-":
        data = sys.stdin.buffer.read(_LARGEST + 1)
    else:
        # Looked at before it is opened: opening a FIFO waits for who writes to it.
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "a folder" if stat.S_ISDIR(mode) else "no regular file")
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise OSError(errno.EFBIG, f"larger than {_LARGEST >> 20} MiB, so no Modelfile")
    return data


def _replace(path: str, data: bytes) -> None:
    """Put *data* in the place of what the file at *path* holds; its mode and links stay."""
    target = os.path.realpath(path)
    # Same folder as the file: a rename is atomic only within one file system.
    beside = f"{target}.{os.getpid()}.mbuild"
    mode = stat.S_IMODE(os.stat(target).st_mode)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(beside, target)
    except BaseException:
        os.unlink(beside)
        raise


def _why(error: OSError) -> str:
    said = error.strerror or str(error)
    return said[:1].lower() + said[1:]
