"""The files that a Modelfile names as texts: fragments to include, prompts, schemas.

They must lie in the Modelfile's folder, links followed, unless that is allowed: a Modelfile may
come from a stranger, and what it reads ends up in a model that is shown, run and pushed. Only
regular files are opened, and no more than a bounded part of each is read.
"""

import os
import stat

from mbuild.compiler import inputs
from mbuild.compiler.expand import Text, Unread
from mbuild.compiler.inputs import Input, of_text
from mbuild.compiler.origin import Refusal, expand, near

_LARGEST = 64 << 20  # bytes


class Folder:
    """The texts below *root*, which is absolute; *shown* is the Modelfile as findings call it.

    *inputs* and *read_texts*, the texts by their paths below the root, grow by what is read.
    """

    def __init__(self, root: str, shown: str, *, allow_outside: bool = False) -> None:
        self._root = root
        self._real = os.path.realpath(root)
        self._prefix = os.path.dirname(shown)
        self._allow_outside = allow_outside
        self.inputs: list[Input] = []
        self.read_texts: dict[str, bytes] = {}

    def read(self, path: str, folder: str | None) -> Text | Unread:
        """The file at *path*, seen from *folder* (None: the Modelfile's)."""
        full = expand(path, folder or self._root)
        if isinstance(full, Refusal):
            return Unread(outside=False, reason=full.reason, hint=full.hint)
        outside = None if self._allow_outside else self.leaves(full)
        if outside is not None:
            return outside
        data = _regular(full)
        if isinstance(data, Unread):
            return data
        self.inputs.append(of_text(full, data))
        self.read_texts[inputs.kept_as(full, self._root)] = data
        return Text(self._name(full), full, os.path.dirname(full), data)

    def leaves(self, path: str) -> Unread | None:
        """Why *path* must not be read, if it lies outside the folder."""
        real = os.path.realpath(path)
        if os.path.commonpath([self._real, real]) == self._real:
            return None
        through = "" if real == path else f", which is {real},"
        return Unread(
            outside=True,
            reason=f"{path}{through} lies outside the Modelfile's folder",
            hint=f"move it below {self._root}, or allow it with --allow-outside",
        )

    def _name(self, path: str) -> str:
        """*path* as the user would write it, from where the Modelfile was named."""
        below = os.path.relpath(path, self._root)
        return path if below.startswith("..") else os.path.join(self._prefix, below)


def _regular(path: str) -> bytes | Unread:
    """The content of the file at *path*. A FIFO or a device could keep us waiting for ever."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            return Unread(outside=False, reason=f"{path} is {what}", hint="name a text file")
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return Unread(outside=False, reason=f"no file {path}", hint=near(path))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Unread(outside=False, reason=f"{path}: {why.lower()}")
    if len(data) > _LARGEST:
        return Unread(outside=False, reason=f"{path} is larger than {_LARGEST >> 20} MiB")
    return data
