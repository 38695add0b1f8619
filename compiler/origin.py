"""What FROM, ADAPTER and DRAFT name: files on this disk, a model of the store, a package.

The rules for paths and folders are the reference's (Modelfile specification, section 5); what
is refused is refused here, before anything has been read or copied.
"""

import os
import re
import stat
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, TypeAlias

from mbuild.compiler.characters import cleaned
from mbuild.store.name import BadName, Name

if TYPE_CHECKING:
    from mbuild.store.remote.package_reference import PackageReference

_SNIFFED = 512  # bytes
# Bytes that text does not have (WHATWG MIME Sniffing, "binary data byte").
_BINARY = frozenset([*range(9), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)])

# What a folder of weights in another format holds: (pattern, whether it must be a zip archive).
_CONVERTIBLE = (
    ("model*.safetensors", False),
    ("consolidated*.safetensors", False),
    ("pytorch_model*.bin", True),
    ("consolidated*.pth", True),
)
_USABLE = ("*.gguf", "*.bin")


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A regular file, and the name that the reference would upload it under."""

    path: str
    name: str
    is_split: bool = False  # the path is that of the first part, the name that of the whole


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a value names nothing that can be used, and what would help."""

    reason: str
    hint: str | None = None


_PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.DOTALL)  # as llama.cpp's tools name parts


def numbered(path: str) -> tuple[str, ...]:
    """The paths of all parts of a split file, if *path* is named like one of them, else itself.

    >>> numbered("m-00002-of-00002.gguf")
    ('m-00001-of-00002.gguf', 'm-00002-of-00002.gguf')
    """
    found = _PART.fullmatch(path)
    if found is None or not 1 <= int(found[2]) <= int(found[3]):
        return (path,)
    count = int(found[3])
    return tuple(f"{found[1]}-{number:05}-of-{count:05}.gguf" for number in range(1, count + 1))


Origin: TypeAlias = "LocalFile | tuple[LocalFile, ...] | Name | PackageReference"


def expand(text: str, folder: str) -> str | Refusal:
    """The path that *text* is, seen from the Modelfile's *folder*. Looks at no file."""
    if text.startswith("~"):
        user, slash, rest = text[1:].partition("/")
        home = _home(user)
        if home is None:
            return Refusal(f"there is no user {user!r}")
        return os.path.normpath(home + slash + rest)
    if text.startswith(("/", "\\")):
        return os.path.abspath(text)
    return os.path.normpath(os.path.join(folder, text))


def find_source(text: str, folder: str, *, paths_must_exist: bool) -> "Origin | Refusal":
    """What ``FROM text`` means: a path if there is something, else a model's name.

    With *paths_must_exist* a text that can only be a path is never taken for a model's name.
    """
    # The reference drops what cannot be printed; a path keeps it, a name cannot hold it.
    name = cleaned(text)
    if name.startswith("pypi://"):
        return _package(name)
    found = _find_path(text, folder)
    if found is not None:
        return found
    if paths_must_exist and looks_like_a_path(text):
        return _no_file(text, folder)
    return _model(name)


def find_file(text: str, folder: str) -> LocalFile | Refusal:
    """What ``ADAPTER text`` and ``DRAFT text`` mean: always one GGUF file."""
    found = _find_path(text, folder)
    match found:
        case None:
            return _no_file(text, folder)
        case (LocalFile() as only,):
            return only
        case tuple():
            names = ", ".join(file.name for file in found)
            return Refusal(f"the folder {text} has several GGUF files", f"name one of {names}")
    return found


def looks_like_a_path(text: str) -> bool:
    """Whether *text* was surely meant as a path: no model's name looks like that.

    >>> looks_like_a_path("./llama.gguf"), looks_like_a_path("llama3")
    (True, False)
    """
    return text.startswith((".", "/", "\\", "~")) or text.lower().endswith(
        (".gguf", ".safetensors", ".bin", ".pth")
    )


def _home(user: str) -> str | None:
    # From the user database and not from HOME, as in the reference.
    import pwd

    try:
        entry = pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())
    except KeyError:
        return None
    return entry.pw_dir


def _package(text: str) -> "PackageReference | Refusal":
    # Imported here: most Modelfiles name a file or a model.
    from mbuild.store.remote.package_reference import BadPackageReference, PackageReference

    try:
        return PackageReference.parse(text)
    except BadPackageReference as error:
        return Refusal(error.reason, "write FROM pypi://PROJECT@VERSION/FILE.gguf")


def _model(text: str) -> Name | Refusal:
    try:
        return Name.parse(text) if text.isidentifier() else _model_at_a_place(text)
    except BadName:
        return Refusal(
            f"{text!r} is neither a file here nor a model's name",
            "a name is [HOST/][NAMESPACE/]MODEL[:TAG]; a path may begin with ./",
        )


def _model_at_a_place(text: str) -> Name | Refusal:
    # Imported here: a plain word has no suffix that says where to look.
    from mbuild.store.reference import BadReference, refer

    try:
        reference = refer(text)
    except BadReference as error:
        return Refusal(error.reason)
    if reference.place == "cloud":
        return Refusal(f"{text} is a cloud model", "name a model whose weights are here")
    return Name.parse(reference.base)


def _no_file(text: str, folder: str) -> Refusal:
    path = expand(text, folder)
    return (
        path
        if isinstance(path, Refusal)
        else Refusal(f"no file {path}", near(path) or _models_beside(path))
    )


def near(path: str) -> str | None:
    """A file beside the missing one whose name is much the same, or that there is no folder."""
    from difflib import get_close_matches

    parent, name = os.path.split(path)
    try:
        names = os.listdir(parent)
    except OSError:
        return f"there is no folder {parent}" if not os.path.isdir(parent) else None
    matches = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {matches[0]}?" if matches else None


def _models_beside(path: str) -> str | None:
    try:
        names = os.listdir(os.path.dirname(path))
    except OSError:
        return None
    models = sorted(name for name in names if name.endswith(".gguf"))
    return f"the folder has {', '.join(models[:5])}" if models else None


def _find_path(text: str, folder: str) -> LocalFile | tuple[LocalFile, ...] | Refusal | None:
    path = expand(text, folder)
    if isinstance(path, Refusal):
        return path
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None  # ValueError: a NUL in the text, so no file can have that name.
    except OSError as error:
        # A name may be too long for a file and still be a model's.
        return None if error.errno == _too_long() else Refusal(f"{path}: {_why(error)}")
    if stat.S_ISDIR(mode):
        return _in_folder(path)
    return _regular(path, mode)


def _too_long() -> int:
    import errno

    return errno.ENAMETOOLONG


def _regular(path: str, mode: int) -> LocalFile | Refusal:
    if not stat.S_ISREG(mode):
        return Refusal(f"{path} is {_kind(mode)}, not a file", "FROM takes a GGUF file")
    if not os.access(path, os.R_OK):
        return Refusal(f"{path}: permission denied", f"chmod +r {path}")
    return LocalFile(path, os.path.basename(path))


def _kind(mode: int) -> str:
    for test, name in (
        (stat.S_ISFIFO, "a FIFO"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if test(mode):
            return name
    return "no regular file"


def _in_folder(path: str) -> tuple[LocalFile, ...] | Refusal:
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        return Refusal(f"{path}: {_why(error)}")
    for pattern, zipped in _CONVERTIBLE:
        matches = [name for name in names if fnmatchcase(name, pattern)]
        if matches and all(_sniff(path, name) == "zip" for name in matches if zipped):
            return Refusal(
                f"{path} holds {matches[0]}, and mbuild builds from GGUF only",
                "convert it with llama.cpp's"
                f" `python convert_hf_to_gguf.py {path} --outfile model.gguf`",
            )
    for pattern in _USABLE:
        matches = [name for name in names if fnmatchcase(name, pattern)]
        if matches and all(_sniff(path, name) == "binary" for name in matches):
            return _checked(path, matches)
    return Refusal(f"{path} holds no model", "FROM takes a GGUF file, or a folder with one")


def _checked(folder: str, names: list[str]) -> tuple[LocalFile, ...] | Refusal:
    files: list[LocalFile] = []
    real = os.path.realpath(folder)
    for name in names:
        path = os.path.join(folder, name)
        if os.path.commonpath([real, os.path.realpath(path)]) != real:
            return Refusal(
                f"{path} is a link that leads out of the folder", "name the file itself in FROM"
            )
        file = _regular(path, os.stat(path).st_mode)
        if isinstance(file, Refusal):
            return file
        files.append(file)
    return tuple(files)


def _sniff(folder: str, name: str) -> str:
    """``zip``, ``binary`` or ``text``: what a browser would take the file for."""
    path = os.path.join(folder, name)
    if not os.path.isfile(path):
        return "text"  # A FIFO or a folder of that name is no model; it must not be opened.
    if not os.access(path, os.R_OK):
        return "binary"  # Refused later, by name.
    with open(path, "rb") as file:
        start = file.read(_SNIFFED)
    if start.startswith(b"PK\x03\x04"):
        return "zip"
    return "text" if _BINARY.isdisjoint(start) else "binary"


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
