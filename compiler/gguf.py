"""The header of a GGUF file, read with distrust.

Everything that a native loader would trust is checked here first: counts, lengths, types,
alignment, and that each tensor lies inside the file and on top of no other; what the numbers
mean is for :mod:`mbuild.compiler.gguf_rules`. No number of the file allocates memory before it
has been compared with the file's size, and nothing is read past the header. Time and memory have
limits of their own, since a file with holes may be long and yet cost its author nothing.

Layout (GGUF specification, versions 1 to 3; integers little endian unless swapped)::

    0   4  magic "GGUF"
    4   4  version
    8   8  tensor count                     (4 bytes in version 1)
    16  8  metadata count                   (4 bytes in version 1)
    24  …  metadata: key, type (4), value   string = length (8; 4 in version 1) + bytes
    …   …  tensors: name, dimension count (4), dimensions (8 each; 4), type (4), offset (8)
    …   …  padding to the alignment, then the tensors' data
"""

import os
import struct
import sys
from array import array
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise
from math import prod
from typing import IO

from mbuild.compiler import gguf_rules

MAGIC = b"GGUF"
SWAPPED_MAGIC = b"FUGG"

Scalar = bool | int | float | str

_CHUNK = 1 << 20  # bytes
_LONGEST_KEY = 0xFFFF  # bytes, GGUF specification
_LONGEST_NAME = 63  # bytes, GGML_MAX_NAME less its NUL
_MOST_DIMENSIONS = 4
_LARGEST_ALIGNMENT = 1 << 16  # bytes; files in the field use 32
_KEPT_STRING = 4 << 20  # bytes; a longer text value is a mistake or an attack
_KEPT = 16 << 20  # bytes of all texts and keys
_MOST_PAIRS = 1 << 15  # files in the field have some hundreds, or a few thousand
_MOST_TENSORS = 1 << 17  # the largest models in the field have some ten thousand
_MOST_TEXTS = 1 << 22  # in all arrays; vocabulary and merges come to less than a million
_TOKENS = "tokenizer.ggml.tokens"
_KINDS = "tokenizer.ggml.token_type"
_CHARACTER_MAP = "tokenizer.ggml.precompiled_charsmap"
_BYTE_TOKEN = 6  # a kind of token
_MOST_BYTE_TOKENS = 4096  # there are 256 bytes
_LARGEST = (1 << 63) - 1


class BadGguf(Exception):
    """A file that no loader should be given."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class Kind(IntEnum):
    """The type of a metadata value, by its number in the file."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


_FORMATS = {
    Kind.UINT8: "B",
    Kind.INT8: "b",
    Kind.UINT16: "H",
    Kind.INT16: "h",
    Kind.UINT32: "I",
    Kind.INT32: "i",
    Kind.FLOAT32: "f",
    Kind.BOOL: "B",
    Kind.UINT64: "Q",
    Kind.INT64: "q",
    Kind.FLOAT64: "d",
}

# Number of a tensor type: (name, elements in a block, bytes of a block), from ggml's type table.
_TENSOR_TYPES = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}

TYPE_NUMBERS = {name: number for number, (name, _, _) in _TENSOR_TYPES.items()}

# The reference's names of general.file_type (store specification, section 4.2).
_FILE_TYPES = {
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
}


@dataclass(frozen=True, slots=True)
class Array:
    """An array value: what it holds and how many; its elements stay in the file."""

    kind: Kind
    count: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies: *offset* counts from the start of the data section."""

    name: str
    shape: tuple[int, ...]  # elements in each dimension, the fastest varying first
    type: str
    offset: int  # bytes
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of itself."""

    version: int
    metadata: Mapping[str, Scalar | Array]
    tensors: tuple[Tensor, ...]
    kinds: Mapping[str, Kind] = field(repr=False)
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict, repr=False)
    """Where the entry of each key begins and ends in the file, in bytes."""
    data: int = 0  # where the data section begins, in bytes
    swapped: bool = False  # big endian

    @property
    def architecture(self) -> str:
        """``general.architecture``, or ``unknown``."""
        return self.text("general.architecture") or "unknown"

    @property
    def parameter_count(self) -> int:
        """The number of elements in all tensors."""
        return sum(prod(tensor.shape) for tensor in self.tensors)

    @property
    def file_type(self) -> str:
        """The quantization's name; only a 32-bit unsigned number counts, and 0 reads as unknown."""
        if self.kinds.get("general.file_type") is not Kind.UINT32:
            return "unknown"
        return _FILE_TYPES.get(self.number("general.file_type") or 0, "unknown")

    @property
    def chat_template(self) -> str | None:
        """The Jinja text that the model's authors wrote."""
        return self.text("tokenizer.chat_template")

    def text(self, key: str) -> str | None:
        """The text at *key*, if there is one."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | None:
        """The whole number at *key*, or at ``<architecture>.<key>``."""
        for candidate in (key, f"{self.architecture}.{key}"):
            value = self.metadata.get(candidate)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
        return None

    def flag(self, key: str) -> bool:
        """Whether *key* is there and true."""
        return self.metadata.get(key) is True


def read(path: str | os.PathLike[str]) -> Header:
    """The header of the file at *path*.

    Raises:
        BadGguf: it is no GGUF, it is cut short, or it says something impossible.
        OSError: it cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        return parse(file, os.fspath(path))


def texts(path: str | os.PathLike[str], key: str, places: Collection[int]) -> dict[int, str]:
    """The texts at *places* of the array *key*; a place where there is none is left out.

    The other texts of the array are passed over, and what follows it is not read.

    Raises:
        BadGguf, OSError: as `read`.
    """
    with open(path, "rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        return _Reader(file, os.fspath(path), size).texts(key, places)


def parse(file: IO[bytes], name: str) -> Header:
    """The header at the start of *file*, which is called *name* in errors."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return _Reader(file, name, size).header()


class _Reader:
    """A cursor over the start of a file, which is held in memory as far as it was needed."""

    def __init__(self, file: IO[bytes], name: str, size: int) -> None:
        self._file = file
        self._name = name
        self._size = size
        self._held = b""
        self._base = 0  # the place in the file of _held[0]
        self._at = 0  # the place in _held of the next byte
        self._order = "<"
        self._wide = True  # lengths and counts take 8 bytes
        self._kept = 0  # bytes of texts and keys so far
        self._texts_passed = 0  # in arrays, so far
        self._listed: dict[str, gguf_rules.Listed] = {}
        self._character_map = b""
        self._kinds_of_tokens: tuple[int, int] | None = None  # where that array lies, and how many

    def header(self) -> Header:
        version, tensor_count, pair_count = self._counts()
        metadata: dict[str, Scalar | Array] = {}
        kinds: dict[str, Kind] = {}
        places: dict[str, tuple[int, int]] = {}
        for _ in range(pair_count):
            begin = self._base + self._at
            key = self._key()
            if key in metadata:
                raise self._bad(f"the key {key!r} stands twice")
            kinds[key] = kind = self._kind(key)
            metadata[key] = self._value(kind, key)
            places[key] = begin, self._base + self._at
        alignment = self._alignment(metadata, kinds)
        tensors = tuple(self._tensor(alignment) for _ in range(tensor_count))
        data = self._check_places(tensors, alignment)
        self._check_meaning(metadata, tensors)
        return Header(version, metadata, tensors, kinds, places, data, self._order == ">")

    def _check_meaning(
        self, metadata: Mapping[str, Scalar | Array], tensors: tuple[Tensor, ...]
    ) -> None:
        facts = gguf_rules.Facts(
            {key: value for key, value in metadata.items() if not isinstance(value, Array)},
            self._listed,
            {tensor.name: tensor.shape for tensor in tensors},
            self._character_map,
        )
        reason = gguf_rules.objection(facts)
        if reason is not None:
            raise self._bad(reason)
        places = self._places_of_byte_tokens(metadata.get("tokenizer.ggml.model"))
        if places:
            self._rewind(0)
            texts = self.texts(_TOKENS, places)
            for reason in gguf_rules.bad_byte_tokens(texts.values()):
                raise self._bad(reason)

    def _places_of_byte_tokens(self, tokenizer: object) -> list[int]:
        """Which tokens stand for single bytes, in vocabularies where loaders read them as such."""
        if self._kinds_of_tokens is None or _TOKENS not in self._listed:
            return []
        if tokenizer not in gguf_rules.WITH_BYTE_TOKENS:
            return []
        at, count = self._kinds_of_tokens
        self._rewind(at)
        kinds = array("i", self._take(4 * count, _KINDS))
        if (self._order == ">") != (sys.byteorder == "big"):
            kinds.byteswap()
        if kinds.count(_BYTE_TOKEN) > _MOST_BYTE_TOKENS:
            raise self._bad(f"{kinds.count(_BYTE_TOKEN)} tokens stand for single bytes")
        return [place for place, kind in enumerate(kinds) if kind == _BYTE_TOKEN]

    def _rewind(self, place: int) -> None:
        self._file.seek(place)
        self._held, self._base, self._at = b"", place, 0
        self._kept = self._texts_passed = 0

    def texts(self, key: str, places: Collection[int]) -> dict[int, str]:
        _, _, pair_count = self._counts()
        for _ in range(pair_count):
            found = self._key()
            kind = self._kind(found)
            if found == key and kind is Kind.ARRAY:
                return self._texts(key, places)
            self._value(kind, found)
        return {}

    def _texts(self, key: str, places: Collection[int]) -> dict[int, str]:
        kind = self._kind(key)
        count = self._length(f"the length of {key}")
        if kind is not Kind.STRING:
            return {}
        self._affords(count, 8 if self._wide else 4, f"texts in {key}")
        found: dict[int, str] = {}
        at = 0
        for place in sorted({place for place in places if 0 <= place < count}):
            self._skip_strings(place - at, key)
            found[place] = self._string(key)
            at = place + 1
        return found

    def _counts(self) -> tuple[int, int, int]:
        """The version, and how many tensors and metadata entries there are."""
        version = self._opening()
        tensor_count = self._length("tensor count")
        pair_count = self._length("metadata count")
        # The smallest pair is a key of no letters and one byte; the smallest tensor has no name.
        self._affords(pair_count, 8 + 4 + 1 if self._wide else 9, "metadata entries")
        self._affords(tensor_count, 24 if self._wide else 20, "tensors")
        if pair_count > _MOST_PAIRS:
            raise self._bad(f"it has {pair_count} metadata entries (at most {_MOST_PAIRS})")
        if tensor_count > _MOST_TENSORS:
            raise self._bad(f"it has {tensor_count} tensors (at most {_MOST_TENSORS})")
        return version, tensor_count, pair_count

    def _opening(self) -> int:
        if self._size == 0:
            raise self._bad("it is empty")
        magic = self._take(min(4, self._size), "the magic")
        if magic not in (MAGIC, SWAPPED_MAGIC):
            raise self._bad(f"it is not a GGUF file: it begins with {_shown(magic)}, not 'GGUF'")
        raw = self._take(4, "the version")
        # Big-endian files are marked by a swapped magic, or only by a version that makes no sense.
        swapped = magic == SWAPPED_MAGIC or (raw[:2] == b"\0\0" and raw[2:] != b"\0\0")
        self._order = ">" if swapped else "<"
        (version,) = struct.unpack(self._order + "I", raw)
        if version not in (1, 2, 3):
            raise self._bad(f"GGUF version {version} is not known (1, 2 and 3 are)")
        self._wide = version > 1
        return int(version)

    def _key(self) -> str:
        length = self._length("the length of a key")
        if length > _LONGEST_KEY:
            raise self._bad(f"a key of {length} bytes (at most {_LONGEST_KEY})")
        key = self._named(length, "a key")
        if not key:
            raise self._bad("a key is empty")
        return key

    def _named(self, length: int, what: str) -> str:
        """A key or a name; a loader would take one with a NUL for a shorter one."""
        self._keep(length)
        text = self._decoded(self._take(length, what))
        if "\0" in text:
            raise self._bad(f"{what} has a NUL in it: {text[:40]!r}")
        return text

    def _keep(self, length: int) -> None:
        self._kept += length
        if self._kept > _KEPT:
            raise self._bad(f"its texts have more than {_KEPT} bytes")

    def _kind(self, key: str) -> Kind:
        number = self._number("I", f"the type of {key}")
        try:
            return Kind(number)
        except ValueError:
            raise self._bad(f"{key} has the unknown type {number}") from None

    def _value(self, kind: Kind, key: str) -> Scalar | Array:
        if kind is Kind.STRING:
            return self._string(key)
        if kind is Kind.ARRAY:
            return self._array(key)
        (value,) = struct.unpack(self._order + _FORMATS[kind], self._fixed(kind, key))
        if kind is Kind.BOOL:
            if value not in (0, 1):
                raise self._bad(f"{key} is a truth value of {value}")
            return bool(value)
        assert isinstance(value, int | float)
        return value

    def _fixed(self, kind: Kind, key: str) -> bytes:
        return self._take(struct.calcsize(_FORMATS[kind]), f"the value of {key}")

    def _string(self, key: str) -> str:
        length = self._length(f"the length of {key}")
        self._affords(length, 1, f"bytes of {key}")
        if length > _KEPT_STRING:
            raise self._bad(f"{key} is a text of {length} bytes (at most {_KEPT_STRING})")
        self._keep(length)
        return self._decoded(self._take(length, key))

    def _array(self, key: str) -> Array:
        kind = self._kind(key)
        count = self._length(f"the length of {key}")
        match kind:
            case Kind.ARRAY:
                raise self._bad(f"{key} is an array of arrays")
            case Kind.STRING:
                self._affords(count, 8 if self._wide else 4, f"texts in {key}")
                self._skip_strings(count, key)
            case _:
                width = struct.calcsize(_FORMATS[kind])
                self._affords(count, width, f"elements of {key}")
                self._numbers(kind, count, key)
        if kind is Kind.STRING:
            self._listed[key] = gguf_rules.Listed(0, floating=False, count=count)
        return Array(kind, count)

    def _numbers(self, kind: Kind, count: int, key: str) -> None:
        """Pass over *count* numbers, and keep those that some rule is about."""
        width = struct.calcsize(_FORMATS[kind])
        numbers: tuple[Scalar, ...] = ()
        if key == _KINDS and width == 4 and kind is not Kind.FLOAT32:
            self._kinds_of_tokens = self._base + self._at, count
        if key == _CHARACTER_MAP:
            self._character_map = self._peek(min(4, count * width), key)
        if gguf_rules.wants_numbers(key, count):
            numbers = struct.unpack(
                f"{self._order}{count}{_FORMATS[kind]}", self._peek(count * width, key)
            )
        self._listed[key] = gguf_rules.Listed(
            width, kind in (Kind.FLOAT32, Kind.FLOAT64), count, numbers
        )
        self._skip(count * width, key)

    def _peek(self, count: int, what: str) -> bytes:
        self._hold(count, what)
        return self._held[self._at : self._at + count]

    def _skip_strings(self, count: int, key: str) -> None:
        # A vocabulary has a quarter of a million texts: this loop is all of the time.
        self._texts_passed += count
        if self._texts_passed > _MOST_TEXTS:
            raise self._bad(f"its arrays have more than {_MOST_TEXTS} texts")
        width, unpack = self._length_reader()
        held, at = self._held, self._at
        for _ in range(count):
            if at + width > len(held):
                self._at = at
                self._hold(width, key)
                held, at = self._held, self._at
            (length,) = unpack(held, at)
            at += width + length
            if at > len(held):
                self._at = at - length
                self._affords(length, 1, f"bytes of a text in {key}")
                if length > _KEPT_STRING:
                    raise self._bad(f"a text in {key} has {length} bytes (at most {_KEPT_STRING})")
                self._skip(length, key)
                held, at = self._held, self._at
        self._at = at

    def _length_reader(self) -> tuple[int, Callable[[bytes, int], tuple[int]]]:
        layout = struct.Struct(self._order + ("Q" if self._wide else "I"))
        return layout.size, layout.unpack_from

    def _alignment(self, metadata: Mapping[str, Scalar | Array], kinds: Mapping[str, Kind]) -> int:
        value = metadata.get("general.alignment", 32)
        if kinds.get("general.alignment", Kind.UINT32) is not Kind.UINT32:
            raise self._bad("general.alignment is not a 32-bit unsigned number")
        assert isinstance(value, int)
        if not 1 <= value <= _LARGEST_ALIGNMENT or value & (value - 1):
            raise self._bad(f"general.alignment is {value}, not a power of two up to 65536")
        return value

    def _tensor(self, alignment: int) -> Tensor:
        length = self._length("the length of a tensor's name")
        if length > _LONGEST_NAME:
            raise self._bad(f"a tensor's name has {length} bytes (at most {_LONGEST_NAME})")
        name = self._named(length, "a tensor's name")
        dimensions = self._number("I", f"the dimensions of {name}")
        if dimensions > _MOST_DIMENSIONS:
            raise self._bad(f"tensor {name} has {dimensions} dimensions (at most 4)")
        shape = tuple(self._length(f"the shape of {name}") for _ in range(dimensions))
        number = self._number("I", f"the type of {name}")
        offset = self._number("Q", f"the offset of {name}")
        if number not in _TENSOR_TYPES:
            raise self._bad(f"tensor {name} has the unknown type {number}")
        if offset % alignment:
            raise self._bad(f"tensor {name} begins at {offset}, off the alignment of {alignment}")
        kind, size = self._tensor_size(name, shape, number)
        return Tensor(name, shape, kind, offset, size)

    def _tensor_size(self, name: str, shape: tuple[int, ...], number: int) -> tuple[str, int]:
        kind, block, width = _TENSOR_TYPES[number]
        elements = prod(shape)
        if not 0 < elements <= _LARGEST:
            raise self._bad(f"tensor {name} has the impossible shape {list(shape)}")
        if (shape[0] if shape else 1) % block:
            raise self._bad(f"a row of tensor {name} is no multiple of {kind}'s {block} elements")
        return kind, elements // block * width

    def _check_places(self, tensors: tuple[Tensor, ...], alignment: int) -> int:
        """Where the data begins; all tensors lie behind that, and in the file."""
        start = -(-(self._base + self._at) // alignment) * alignment
        seen: set[str] = set()
        for tensor in tensors:
            if tensor.name in seen:
                raise self._bad(f"the tensor {tensor.name!r} stands twice")
            seen.add(tensor.name)
            end = start + tensor.offset + tensor.size
            if end > self._size:
                raise self._bad(
                    f"it is cut short: tensor {tensor.name} ends at byte {end},"
                    f" the file at {self._size}"
                )
        by_place = sorted(tensors, key=lambda tensor: tensor.offset)
        for tensor, behind in pairwise(by_place):
            if tensor.offset + tensor.size > behind.offset:
                raise self._bad(f"the tensors {tensor.name} and {behind.name} overlap")
        return start

    def _length(self, what: str) -> int:
        return self._number("Q" if self._wide else "I", what)

    def _number(self, code: str, what: str) -> int:
        layout = self._order + code
        (value,) = struct.unpack(layout, self._take(struct.calcsize(layout), what))
        return int(value)

    def _affords(self, count: int, width: int, what: str) -> None:
        left = self._size - self._base - self._at
        if count * width > left:
            raise self._bad(f"it claims {count} {what}, with {left} bytes left in the file")

    def _take(self, count: int, what: str) -> bytes:
        self._hold(count, what)
        taken = self._held[self._at : self._at + count]
        self._at += count
        return taken

    def _skip(self, count: int, what: str) -> None:
        left = len(self._held) - self._at
        if count <= left:
            self._at += count
            return
        self._base += len(self._held) + count - left
        self._held, self._at = b"", 0
        if self._base > self._size:
            raise self._bad(f"it ends inside {what}")
        self._file.seek(self._base)

    def _hold(self, count: int, what: str) -> None:
        """Have *count* bytes at hand."""
        while len(self._held) - self._at < count:
            more = self._file.read(max(_CHUNK, count))
            if not more:
                raise self._bad(f"it ends inside {what}")
            self._base += self._at
            self._held = self._held[self._at :] + more
            self._at = 0

    def _decoded(self, data: bytes) -> str:
        # Version 1 ends its texts with a NUL.
        return (data if self._wide else data.removesuffix(b"\0")).decode("utf-8", "replace")

    def _bad(self, reason: str) -> BadGguf:
        return BadGguf(self._name, reason)


def _shown(data: bytes) -> str:
    return repr(data.decode("latin-1"))
