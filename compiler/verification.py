"""Whether the blobs of a model are what their names say: each is read, and its digest compared."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from mbuild.store.blobs import Blobs, MissingBlob
from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, Manifest

_BLOCK = 1 << 20  # bytes that are read at once

Progress = Callable[[Layer, int], None]
"""Called with a layer and the bytes of it that have been read."""


class Verdict(Enum):
    """What became of a blob."""

    WHOLE = "ok"
    DAMAGED = "damaged"  # its bytes are others
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Checked:
    """A layer, and what is true of its blob."""

    layer: Layer
    verdict: Verdict
    found: Digest | None = None  # what its bytes have for a digest; None: there are none
    size: int = 0  # bytes that it has


def check(manifest: Manifest, blobs: Blobs, progress: Progress) -> Iterator[Checked]:
    """The verdict on each blob of *manifest*, as it is read; on one that stands twice, once.

    Raises:
        OSError: a blob cannot be read.
    """
    distinct = {layer.digest: layer for layer in manifest.blobs}
    for layer in distinct.values():
        yield _checked(layer, blobs, progress)


def _checked(layer: Layer, blobs: Blobs, progress: Progress) -> Checked:
    hasher = hashlib.sha256()
    size = 0
    try:
        with blobs.open(layer.digest) as file:
            while block := file.read(_BLOCK):
                hasher.update(block)
                size += len(block)
                progress(layer, size)
    except MissingBlob:
        return Checked(layer, Verdict.MISSING)
    found = Digest(hasher.hexdigest())
    whole = found == layer.digest and size == layer.size
    return Checked(layer, Verdict.WHOLE if whole else Verdict.DAMAGED, found, size)
