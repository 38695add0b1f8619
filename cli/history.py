"""What was typed at the chat's prompt, kept for the next time.

One entry a line, the newest last, at most 100; an entry of several lines is kept as one, its
line ends as U+2028. The file is written to a temporary one and renamed, readable by its owner
only. It is a convenience: what goes wrong with it stops nobody.
"""

import os
from contextlib import suppress

_MOST = 100  # entries
_LINE_END = "\u2028"


class History:
    """The entries in the file at *path*, which need not exist; *keeps* says whether more go in."""

    def __init__(self, path: str, *, keeps: bool = True) -> None:
        self._path = path
        self.keeps = keeps

    def entries(self) -> list[str]:
        """The entries, oldest first."""
        try:
            with open(self._path, encoding="utf-8", errors="replace", newline="\n") as file:
                lines = file.read().split("\n")
        except OSError:
            return []
        return [line.replace(_LINE_END, "\n") for line in lines if line][-_MOST:]

    def add(self, entry: str) -> None:
        """Keep *entry*, unless it is blank or nothing is to be kept."""
        if not self.keeps or not entry.strip():
            return
        # Read again: another chat may have added something.
        kept = [*self.entries(), entry][-_MOST:]
        lines = (each.replace("\r\n", "\n").replace("\n", _LINE_END) + "\n" for each in kept)
        with suppress(OSError):
            self._write("".join(lines).encode("utf-8", "replace"))

    def _write(self, data: bytes) -> None:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        temporary = f"{self._path}.{os.getpid()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, self._path)
        except OSError:
            os.unlink(temporary)
            raise
