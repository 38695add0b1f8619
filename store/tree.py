"""A folder whose paths spell names: host/namespace/model/tag, four levels and no more.

Manifests lie in one, the history in another. What does not spell a valid name is passed over,
as in the reference: hidden files, temporary ones, anything higher up or further down.
"""

import errno
import os
from collections.abc import Iterator

from mbuild.store.name import BadName, Name


def walk(folder: str) -> Iterator[tuple[Name, "os.DirEntry[str]"]]:
    """What lies on the fourth level under a valid name, in no order."""
    for host in _folders(folder):
        for namespace in _folders(host.path):
            for model in _folders(namespace.path):
                for tag in _entries(model.path):
                    try:
                        name = Name(host.name, namespace.name, model.name, tag.name)
                    except BadName:
                        continue
                    yield name, tag


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether *entry* is a folder or a link to one; a link that goes in a circle is none.

    Raises:
        OSError: that cannot be told. Taken for no folder, what is in it would seem unneeded.
    """
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise


def has(folder: str, name: Name) -> bool:
    """Whether *name* is there in just this case, on a file system that ignores case as well."""
    path = folder
    for part in name.path.split("/"):
        if part not in _listed(path):
            return False
        path = f"{path}/{part}"
    return True


def remove_empty(folder: str, top: str) -> None:
    """Remove *folder* if it is empty, and then those above it, up to and including *top*."""
    while True:
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            pass  # Another process was faster: there is still what is above.
        except OSError:
            return  # Not empty, or not ours: it stays.
        if folder == top:
            return
        folder = os.path.dirname(folder)


def _folders(path: str) -> Iterator["os.DirEntry[str]"]:
    return (entry for entry in _entries(path) if is_folder(entry))


def _entries(path: str) -> "list[os.DirEntry[str]]":
    # A folder may vanish between being seen and being opened: removing a model does that.
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []
