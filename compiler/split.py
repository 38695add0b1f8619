"""Split GGUFs: files that hold one model together, and the whole that is made of them.

As in the reference a group becomes one layer (create specification, section 4.3): the metadata of
the first part without its ``split.`` keys, then the tensors of all parts in their order. The
bytes of metadata and tensors are those of the parts; only places are counted anew. The parts are
files named ``PREFIX-00001-of-00003.gguf`` beside each other; naming one of them names them all.

What a group was joined to is remembered by the stamps of its files.
"""

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from io import FileIO

from mbuild.compiler import gguf
from mbuild.compiler.gguf import BadGguf, Header, Tensor
from mbuild.compiler.origin import Refusal, numbered
from mbuild.store import stamps
from mbuild.store.blobs import Blobs, Stored
from mbuild.store.digest import Digest
from mbuild.store.intake import FileChanged, NotAFile, opened
from mbuild.store.store import Store

_OWN_KEYS = ("split.no", "split.count", "split.tensors.count")
_CHUNK = 1 << 20  # bytes

Progress = Callable[[int, int | None], None]


def is_part(path: str) -> bool:
    """Whether the file at *path* is one of several parts, by its name and by what it says.

    Raises:
        BadGguf, OSError: as :func:`mbuild.compiler.gguf.read`.
    """
    return len(numbered(path)) > 1 and (gguf.read(path).number("split.count") or 0) > 1


def trouble(path: str) -> Refusal | None:
    """Why the part at *path* and those beside it make no whole, if so."""
    paths = numbered(path)
    if len(paths) < 2:
        return Refusal(
            f"{path} is a part of a split GGUF, and its name does not say which",
            "name the parts as llama.cpp does: model-00001-of-00003.gguf, …",
        )
    headers = []
    for place in paths:
        try:
            headers.append(_header(place))
        except FileNotFoundError:
            return _missing(place, paths)
        except NotAFile as error:
            return Refusal(str(error))
        except BadGguf as error:
            return Refusal(f"{place}: {error.reason}")
        except OSError as error:
            return Refusal(f"{place}: {(error.strerror or str(error)).lower()}")
    return _disagreement(paths, headers)


def _header(path: str) -> Header:
    # A part that was not named itself may be anything, such as a pipe that nobody writes to.
    with opened(path) as file:
        return gguf.parse(file, path)


def _missing(place: str, paths: Sequence[str]) -> Refusal:
    there = sum(map(os.path.exists, paths))
    return Refusal(
        f"no file {place}: {there} of {len(paths)} parts of the split GGUF are there",
        "all parts must lie beside each other; download the missing ones again",
    )


def _disagreement(paths: Sequence[str], headers: Sequence[Header]) -> Refusal | None:
    """What the parts say that does not fit their names, or each other."""
    total = sum(len(header.tensors) for header in headers)
    names = {tensor.name for header in headers for tensor in header.tensors}
    for number, (path, header) in enumerate(zip(paths, headers, strict=True)):
        told, count = header.number("split.no"), header.number("split.count")
        if (count or 0) != len(paths):
            return Refusal(f"{path} says that there are {count or 1} parts, its name {len(paths)}")
        if told != number:
            said = "does not say which part it is" if told is None else f"says part {told + 1}"
            return Refusal(f"{path} {said}, its name {number + 1}")
        if (header.version, header.swapped) != (headers[0].version, headers[0].swapped):
            return Refusal(f"{path} is of another version of GGUF than the first part")
    told = headers[0].number("split.tensors.count")
    if told not in (None, total):
        return Refusal(f"{paths[0]} says that there are {told} tensors, the parts have {total}")
    if len(names) != total:
        return Refusal(f"{paths[0]}: the same tensor is in two parts")
    return None


def remembered(path: str, store: Store) -> Digest | None:
    """The digest of the whole that the part at *path* was joined to, if it did not change since."""
    try:
        recorded = store.recall(_key(path, os.stat(path)))
    except OSError:
        return None
    digest = None if recorded is None else Digest(recorded.decode())
    return digest if digest is not None and digest in store.blobs else None


def joined(path: str, store: Store) -> Digest | None:
    """The digest of the whole of the part at *path*, if no part of it changed since."""
    found = {remembered(each, store) for each in numbered(path)}
    return found.pop() if len(found) == 1 else None


def join(path: str, store: Store, progress: Progress) -> Stored:
    """Store the whole of the part at *path*.

    Raises:
        BadGguf: the parts make none, or have changed to something else.
        FileChanged: one changed while it was read.
    """
    paths, began = numbered(path), store.now()
    before = [os.stat(each) for each in paths]
    problem = trouble(path)
    if problem is not None:
        raise BadGguf(path, problem.reason)
    stored = _join(paths, store.blobs, progress)
    try:
        gguf.read(store.blobs.path(stored.digest))
    except BadGguf as error:
        # What no part says alone, they may say together.
        if stored.created:
            store.blobs.remove(stored.digest)
        raise BadGguf(path, error.reason) from None
    for place, found in zip(paths, before, strict=True):
        if not stamps.same_file(found, os.stat(place)):
            raise FileChanged(place)
        if stamps.settled(found, began):
            store.record(_key(place, found), stored.digest.hex.encode())
    return stored


def _key(path: str, found: os.stat_result) -> Digest:
    return Digest.of(f"part 1 {stamps.key(os.path.abspath(path), found)}".encode())


def _join(paths: Sequence[str], blobs: Blobs, progress: Progress) -> Stored:
    headers = [_header(path) for path in paths]
    first, alignment = headers[0], headers[0].number("general.alignment") or 32
    tensors = [tensor for header in headers for tensor in header.tensors]
    with ExitStack() as files:
        sources = [files.enter_context(opened(path)) for path in paths]
        start = _start(first, sources[0], tensors, alignment)
        size = len(start) + sum(_padded(tensor.size, alignment) for tensor in tensors)
        chunks = _chunks(start, headers, sources, alignment)
        return blobs.take_stream(_Stream(chunks), size=size, progress=progress)


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def _start(first: Header, source: FileIO, tensors: Sequence[Tensor], alignment: int) -> bytes:
    """The header of the whole, and what fills it up to where the data begins."""
    order, wide = ">" if first.swapped else "<", "Q" if first.version > 1 else "I"
    source.seek(0)
    opening = source.read(8)  # Magic and version.
    kept = [place for key, place in first.places.items() if key not in _OWN_KEYS]
    head = bytearray(opening + struct.pack(f"{order}2{wide}", len(tensors), len(kept)))
    for begin, end in kept:
        source.seek(begin)
        head += source.read(end - begin)
    at = 0
    for tensor in tensors:
        name = tensor.name.encode()
        head += struct.pack(f"{order}{wide}", len(name)) + name
        head += struct.pack(f"{order}I{len(tensor.shape)}{wide}", len(tensor.shape), *tensor.shape)
        head += struct.pack(f"{order}IQ", gguf.TYPE_NUMBERS[tensor.type], at)
        at += _padded(tensor.size, alignment)
    return bytes(head) + bytes(-len(head) % alignment)


def _chunks(
    start: bytes, headers: Sequence[Header], sources: Sequence[FileIO], alignment: int
) -> Iterator[bytes]:
    yield start
    for header, source in zip(headers, sources, strict=True):
        for tensor in header.tensors:
            source.seek(header.data + tensor.offset)
            left = tensor.size
            while left:
                chunk = source.read(min(left, _CHUNK))
                if not chunk:
                    raise FileChanged(str(source.name))
                left -= len(chunk)
                yield chunk
            yield bytes(-tensor.size % alignment)


class _Stream:
    """Chunks of any size, read as a file is."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""

    def read(self, size: int, /) -> bytes:
        parts, left = [], size
        while left:
            if not self._held:
                following = next(self._chunks, None)
                if following is None:
                    break
                self._held = following
                continue
            parts.append(self._held[:left])
            self._held = self._held[left:]
            left -= len(parts[-1])
        return b"".join(parts)
