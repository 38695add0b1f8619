"""What steps of earlier builds gave: key → bytes, in small files.

A record only saves work, so it is not synced: after a crash it may be missing or torn. It
begins with a digest of its key and its bytes, and one that does not fit is no record.
"""

from mbuild.store.digest import BadDigest, Digest


class Records:
    """The records in *folder*, which need not exist as long as nothing is recorded."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def recall(self, key: Digest) -> bytes | None:
        """What was recorded for *key*, or None if that is nothing or not whole."""
        try:
            with open(self._path(key), "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return None
        seal, _, data = content.partition(b"\n")
        return data if seal == _seal(key, data) else None

    def at(self, path: str) -> bytes | None:
        """What the record in the file at *path* tells, or None if it is not whole."""
        try:
            return self.recall(Digest(path.rpartition("/")[2]))
        except (BadDigest, OSError):
            return None

    def record(self, key: Digest, data: bytes) -> None:
        """Remember *data* for *key*, in place of what was there."""
        # Imported here: recalling is all that a quick command does.
        from mbuild.store.durable import write_unsynced

        write_unsynced(self._path(key), _seal(key, data) + b"\n" + data)

    def _path(self, key: Digest) -> str:
        return f"{self.folder}/{key.hex[:2]}/{key.hex}"


def _seal(key: Digest, data: bytes) -> bytes:
    return Digest.of(key.hex.encode() + data).hex.encode()
