"""What a build has read besides the Modelfile, and whether that is still what it was."""

import os

from mbuild.store.digest import Digest
from mbuild.store.store import DamagedModel, MissingModel, Store

Input = tuple[str, str, str]
"""A kind, what it is of, and what it was.

- ``file``: a path, and the digest of its content.
- ``part``: a path of one part of a split file, and the digest of the whole.
- ``text``: a path, and the digest of its content, which is short enough to be read each time.
- ``folder``: a path, and the digest of the names in it.
- ``absent``: a path at which there is nothing, and nothing.
- ``model``: a full name, and the digest of its manifest.
"""


def of_file(path: str, content: Digest) -> Input:
    """The file at *path*, whose bytes have the digest *content*."""
    return "file", path, str(content)


def of_part(path: str, whole: Digest) -> Input:
    """The file at *path*, which is one part of what has the digest *whole*."""
    return "part", path, str(whole)


def of_text(path: str, content: bytes) -> Input:
    """The text file at *path*, which holds *content*."""
    return "text", path, str(Digest.of(content))


def of_folder(path: str) -> Input:
    """The folder at *path*: files that come or go change it."""
    return "folder", path, _names(path)


def of_absence(path: str) -> Input:
    """That there is nothing at *path*."""
    return "absent", path, ""


def of_model(name: str, manifest: bytes) -> Input:
    """The model with the full name *name*, as it is in the store."""
    return "model", name, str(Digest.of(manifest))


def kept_as(path: str, folder: str) -> str:
    """The name among a build's sources of the text at *path*, which a Modelfile in *folder* names.

    The Modelfile itself, whatever its file is called, is kept as ``Modelfile``.
    """
    name = os.path.relpath(path, folder)
    return f"./{name}" if name == "Modelfile" else name


def same(entry: Input, store: Store) -> bool:
    """Whether the input is what it was. Reads no file whose digest is not remembered."""
    kind, what, was = entry
    match kind:
        case "file":
            content = store.remembered(what)
            return content is not None and str(content) == was
        case "part":
            # Imported here: few models are split.
            from mbuild.compiler import split

            return str(split.remembered(what, store)) == was
        case "text":
            return _text(what) == was
        case "folder":
            return _names(what) == was
        case "absent":
            return not os.path.exists(what)
        case "model":
            return _manifest(what, store) == was
    return False


def _text(path: str) -> str:
    # A FIFO that came in its place must not be waited for.
    if not os.path.isfile(path):
        return ""
    try:
        with open(path, "rb") as file:
            return str(Digest.of(file.read()))
    except OSError:
        return ""


def _names(folder: str) -> str:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return ""
    return str(Digest.of("\0".join(names).encode("utf-8", "surrogateescape")))


def _manifest(full_name: str, store: Store) -> str:
    # Imported here: few Modelfiles are FROM a model.
    from mbuild.store.name import Name

    try:
        return str(Digest.of(store.read(Name.parse(full_name))))
    except (MissingModel, DamagedModel):
        return ""
