"""Malformed GGUF files: one for each published report on loaders, and some of their kin.

Each has the mechanism that its report describes, in a file of a few hundred bytes; where a large
number must be backed by a large file, the file is a hole. ``python tests/gguf_attacks.py FOLDER``
writes them all, to try some other loader with. The table with the reports is in docs/security.md.
"""

import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gguf_files import (
    ARRAY,
    BOOL,
    F32,
    FLOAT32,
    INT32,
    Q8_0,
    STRING,
    UINT8,
    UINT32,
    UINT64,
    As,
    TensorData,
    write_gguf,
)

HUGE = 1 << 62
_TERABYTE = 1 << 40


@dataclass(frozen=True, slots=True)
class Attack:
    """A file that some loader has fallen over, and the words with which ours refuses it."""

    report: str  # its number, and what sets the file apart
    reason: str  # a part of the refusal
    make: Callable[[Path], object]


def harmless(path: Path, changes: Mapping[str, object] | None = None) -> Path:
    """Write a header that is right, but for *changes*; a change to None leaves a key out."""
    tokens = ["<unk>", "<s>", "</s>", "<0x0A>", *(f"w{number}" for number in range(4))]
    pairs: dict[str, object] = {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.context_length": 64,
        "llama.embedding_length": 8,
        "llama.feed_forward_length": 8,
        "llama.attention.head_count": 2,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": 4,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * len(tokens),
        "tokenizer.ggml.token_type": [2, 3, 3, 6, 1, 1, 1, 1],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
    }
    pairs.update(changes or {})
    kept = {key: value for key, value in pairs.items() if value is not None}
    tensors = [TensorData("token_embd.weight", (8, len(tokens)), bytes(32 * len(tokens)))]
    return write_gguf(path, kept, tensors)


def opening(tensors: int, pairs: int, *, version: int = 3) -> bytes:
    """The first 24 bytes of a file."""
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs)


def pair(key: bytes, kind: int, value: bytes) -> bytes:
    """A metadata entry, as it lies in the file."""
    return struct.pack("<Q", len(key)) + key + struct.pack("<I", kind) + value


def tensor(
    name: bytes = b"t", shape: tuple[int, ...] = (8,), kind: int = F32, offset: int = 0
) -> bytes:
    """What the header says of a tensor, as it lies in the file."""
    head = struct.pack("<Q", len(name)) + name + struct.pack("<I", len(shape))
    return head + struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", kind, offset)


def _raw(report: str, reason: str, data: bytes, *, size: int = 0) -> Attack:
    """An attack of exactly these bytes, with a hole behind them up to *size*."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.write(data)
            if size:
                file.truncate(size)

    return Attack(report, reason, make)


def _told(report: str, reason: str, changes: Mapping[str, object]) -> Attack:
    """An attack by what the metadata says."""
    return Attack(report, reason, lambda path: harmless(path, changes))


def _array(kind: int, count: int, rest: bytes = b"") -> bytes:
    return pair(b"k", ARRAY, struct.pack("<IQ", kind, count) + rest)


def _alignment(value: int) -> bytes:
    return opening(1, 1) + pair(b"general.alignment", UINT32, struct.pack("<I", value)) + tensor()


_COUNTS = [
    _raw("CVE-2024-39720: only the magic", "it ends inside the version", b"GGUF"),
    _raw("CVE-2024-39720: magic and version", "it ends inside", b"GGUF\3\0\0\0"),
    _raw("CVE-2024-21836: tensor count wraps an allocation", "tensors, with", opening(HUGE, 0)),
    _raw("CVE-2024-21836: tensor count -1", "tensors, with", opening((1 << 64) - 1, 0)),
    _raw("CVE-2024-23605: metadata count", "metadata entries, with", opening(0, HUGE)),
    _raw(
        "CVE-2024-23605: metadata count, with a hole to back it",
        "metadata entries (at most",
        opening(0, 1 << 34),
        size=_TERABYTE,
    ),
    _raw(
        "CVE-2024-21836: tensor count, with a hole to back it",
        "tensors (at most",
        opening(1 << 34, 0),
        size=_TERABYTE,
    ),
    _raw(
        "CVE-2024-23496: key length 2^64-1",
        "a key of 18446744073709551615 bytes",
        opening(0, 1) + struct.pack("<Q", (1 << 64) - 1) + bytes(64),
    ),
    _raw(
        "CVE-2024-23496: text length 2^64-1",
        "it claims 18446744073709551615 bytes of k",
        opening(0, 1) + pair(b"k", STRING, struct.pack("<Q", (1 << 64) - 1)),
    ),
    _raw(
        "CVE-2025-66959: a text of gigabytes, with a hole to back it",
        "k is a text of 8589934592 bytes",
        opening(0, 1) + pair(b"k", STRING, struct.pack("<Q", 1 << 33)),
        size=1 << 34,
    ),
    _raw(
        "CVE-2025-66960: text length of version 1",
        "bytes of k, with 0 bytes left",
        b"GGUF" + struct.pack("<IIII", 1, 0, 1, 1) + b"k" + struct.pack("<II", STRING, 1 << 31),
    ),
    _raw(
        "llama.cpp issue 19003: a text without an end",
        "bytes of k",
        opening(0, 2) + pair(b"k", STRING, struct.pack("<Q", 0x800000000000)) + bytes(32),
    ),
    _raw(
        "CVE-2024-21825: array count wraps", "elements of k", opening(0, 1) + _array(UINT64, HUGE)
    ),
    _raw("CVE-2024-21825: array of texts", "texts in k", opening(0, 1) + _array(STRING, HUGE)),
    _raw("CVE-2025-0315: array count", "elements of k", opening(0, 1) + _array(FLOAT32, 1 << 40)),
    _raw(
        "CVE-2025-0315: a vocabulary of nothing, with a hole to back it",
        "its arrays have more than",
        opening(0, 1) + _array(STRING, 1 << 36),
        size=_TERABYTE,
    ),
    _raw(
        "CVE-2024-12055: a text in an array ends behind the file",
        "bytes of a text in k",
        opening(0, 1) + _array(STRING, 1, struct.pack("<Q", 1 << 40)),
    ),
    _raw(
        "GGUF-PY-F001: arrays in arrays",
        "array of arrays",
        opening(0, 1) + _array(ARRAY, 1, struct.pack("<IQ", ARRAY, 1) * 5000),
    ),
    _raw(
        "CVE-2024-32878: a key that is cut off",
        "it ends inside",
        opening(0, 1) + struct.pack("<Q", 20) + b"abcdef",
    ),
    _raw(
        "CVE-2024-41130: no value behind a key",
        "it ends inside",
        opening(0, 1) + pair(b"k", 4, b""),
    ),
    _raw("llama.cpp issue 24884: empty key", "a key is empty", opening(0, 1) + pair(b"", 0, b"\0")),
    _raw("a key with a NUL", "has a NUL", opening(0, 1) + pair(b"a\0b", UINT8, b"\0")),
    _raw("value type 13", "unknown type 13", opening(0, 1) + pair(b"k", 13, b"")),
    _raw("value type -1", "unknown type 4294967295", opening(0, 1) + pair(b"k", 0xFFFFFFFF, b"")),
    _raw("a truth value of 2", "truth value of 2", opening(0, 1) + pair(b"k", BOOL, b"\2")),
    _raw(
        "the same key twice, of two types",
        "'k' stands twice",
        opening(0, 2) + pair(b"k", UINT8, b"\1") + pair(b"k", BOOL, b"\1"),
    ),
    *(
        _raw(f"{report}: alignment {value}", f"general.alignment is {value}", _alignment(value))
        for report, value in [
            ("CVE-2025-0317", 0),
            ("llama.cpp PR 24997", 0x80000000),
            ("llama.cpp PR 19856", 24),
        ]
    ),
    _raw(
        "llama.cpp PR 26318: alignment of another type",
        "general.alignment is not a 32-bit",
        opening(0, 1) + pair(b"general.alignment", INT32, struct.pack("<i", 32)),
    ),
]

_TENSORS = [
    _raw(
        "CVE-2024-21802: five dimensions",
        "has 5 dimensions",
        opening(1, 0) + tensor(shape=(1,) * 5),
    ),
    _raw(
        "CVE-2024-21802: 2^32-1 dimensions",
        "has 4294967295 dimensions",
        opening(1, 0) + struct.pack("<Q", 1) + b"t" + struct.pack("<I", 0xFFFFFFFF) + bytes(64),
    ),
    *(
        _raw(
            f"GHSA-3p75-pq92-q28f: shape {shape}",
            "impossible shape",
            opening(1, 0) + tensor(shape=shape),
        )
        for shape in [(0,), (8, 0), (8, 1, 0), (8, 1, 1, 0)]
    ),
    *(
        _raw(
            f"CVE-2024-42477: tensor type {kind}", "unknown type", opening(1, 0) + tensor(kind=kind)
        )
        for kind in (4, 5, 31, 36, 99, 0x80000000, 0xFFFFFFFF)  # Removed ones, too.
    ),
    _raw(
        "CVE-2026-33298: bytes of a tensor wrap",
        "impossible shape",
        opening(1, 0) + tensor(shape=(1152, (1 << 42) + 1, 1 << 20)),
    ),
    _raw(
        "CVE-2026-33298: 2^62 elements of four bytes",
        "it is cut short",
        opening(1, 0) + tensor(shape=(1 << 31, 1 << 31)) + bytes(64),
    ),
    _raw(
        "CVE-2026-33298: a negative dimension",
        "impossible shape",
        opening(1, 0) + tensor(shape=(1 << 63,)),
    ),
    _raw(
        "CVE-2025-53630: sizes whose sum wraps",
        "it is cut short",
        opening(2, 0)
        + tensor(b"a", (1 << 60,), offset=0)
        + tensor(b"b", (1 << 60,), offset=1 << 62)
        + bytes(64),
    ),
    _raw(
        "CVE-2026-27940: offset and size wrap",
        "it is cut short",
        opening(1, 0) + tensor(offset=(1 << 64) - 32) + bytes(64),
    ),
    _raw(
        "llama.cpp PR 24759: padding wraps to 0",
        "it is cut short",
        opening(1, 0) + tensor(shape=((1 << 63) - 8,), kind=24) + bytes(64),
    ),
    _raw(
        "CVE-2026-7482: a tensor behind the end",
        "it is cut short",
        opening(1, 0) + tensor(offset=4096),
    ),
    _raw(
        "CVE-2026-7482: a tensor over the end",
        "it is cut short",
        opening(1, 0) + tensor(shape=(64,)) + bytes(64),
    ),
    _raw(
        "a tensor off its alignment",
        "off the alignment",
        opening(1, 0) + tensor(offset=1) + bytes(128),
    ),
    _raw(
        "half a block",
        "no multiple of Q8_0's 32",
        opening(1, 0) + tensor(shape=(16, 2), kind=Q8_0) + bytes(128),
    ),
    _raw(
        "two tensors in one place",
        "overlap",
        opening(2, 0) + tensor(b"a", (16,)) + tensor(b"b", offset=32) + bytes(128),
    ),
    _raw(
        "the same tensor twice",
        "stands twice",
        opening(2, 0) + tensor() + tensor(offset=32) + bytes(128),
    ),
    _raw(
        "a tensor's name of 64 bytes",
        "name has 64 bytes",
        opening(1, 0) + tensor(b"n" * 64) + bytes(64),
    ),
    _raw(
        "a tensor's name of 2^62 bytes",
        "a tensor's name has",
        opening(1, 0) + struct.pack("<Q", HUGE) + bytes(64),
    ),
    _raw("a tensor's name with a NUL", "has a NUL", opening(1, 0) + tensor(b"a\0b") + bytes(64)),
]

_ONE_BYTE_EACH = As(ARRAY, [0] * 8, UINT8)
_SPECIAL = "tokenizer.ggml.%s_token_id"

_VOCABULARY = [
    Attack(
        "CVE-2025-49847: the text of a token is longer than 2^31",
        "a text in tokenizer.ggml.tokens has 2147483652 bytes",
        lambda path: _long_token(path, (1 << 31) + 4),
    ),
    _told(
        "CVE-2025-0312: a tokenizer without tokens",
        "there is no tokenizer.ggml.tokens",
        {"tokenizer.ggml.tokens": None},
    ),
    _told(
        "CVE-2025-0312: no token at all",
        "tokenizer.ggml.tokens is empty",
        {"tokenizer.ggml.tokens": As(ARRAY, [], STRING)},
    ),
    _told(
        "CVE-2025-0312: tokens are numbers",
        "is not an array of texts",
        {"tokenizer.ggml.tokens": [1, 2]},
    ),
    _told(
        "CVE-2025-0312: tokens are a text",
        "is not an array of texts",
        {"tokenizer.ggml.tokens": "a"},
    ),
    _told(
        "llama.cpp PR 20735: too few scores",
        "has 2 elements for 8 tokens",
        {"tokenizer.ggml.scores": [0.0] * 2},
    ),
    _told(
        "llama.cpp PR 20735: too few kinds",
        "has 2 elements for 8 tokens",
        {"tokenizer.ggml.token_type": [1] * 2},
    ),
    _told(
        "llama.cpp issue 24888: scores of one byte",
        "scores has elements of the wrong type",
        {"tokenizer.ggml.scores": _ONE_BYTE_EACH},
    ),
    _told(
        "llama.cpp issue 24888: kinds of one byte",
        "token_type has elements of the wrong type",
        {"tokenizer.ggml.token_type": _ONE_BYTE_EACH},
    ),
    _told(
        "llama.cpp issue 24888: suppressed tokens of one byte",
        "suppress_tokens has elements of the wrong type",
        {"tokenizer.ggml.suppress_tokens": _ONE_BYTE_EACH},
    ),
    _told(
        "llama.cpp issue 24888: a suppressed token outside",
        "suppress_tokens has 8",
        {"tokenizer.ggml.suppress_tokens": [8]},
    ),
    _told(
        "llama.cpp issue 24888: character map cut short",
        "precompiled_charsmap is shorter",
        {"tokenizer.ggml.precompiled_charsmap": As(ARRAY, [255, 0, 0, 0, 1], UINT8)},
    ),
    _told(
        "llama.cpp issue 24888: character map of two bytes",
        "precompiled_charsmap is shorter",
        {"tokenizer.ggml.precompiled_charsmap": As(ARRAY, [0, 0], UINT8)},
    ),
    _told(
        "llama.cpp PR 26690: a vocabulary of 2^32-1, without tokens",
        "llama.vocab_size is 4294967295",
        {
            "tokenizer.ggml.model": "no_vocab",
            "tokenizer.ggml.tokens": None,
            "llama.vocab_size": 0xFFFFFFFF,
        },
    ),
    *(
        _told(
            f"llama.cpp PR 25475: {word} token outside",
            f"{_SPECIAL % word} is 8, and there are 8",
            {_SPECIAL % word: 8},
        )
        for word in ("bos", "eos", "eot", "unknown", "fim_pre")
    ),
    _told("llama.cpp PR 25475: a negative token", "bos_token_id is -7", {_SPECIAL % "bos": -7}),
    _told(
        "llama.cpp PR 25475: a token that is a text",
        "bos_token_id is not a whole",
        {_SPECIAL % "bos": "1"},
    ),
    _told(
        "llama.cpp PR 25508: the usual token outside",
        "do not reach to the usual one",
        {"tokenizer.ggml.model": "gpt2", _SPECIAL % "eos": None},
    ),
    *(
        _told(
            f"llama.cpp issue 27226: {model} byte token {text}",
            f"the token {text!r} stands for a byte",
            {
                "tokenizer.ggml.model": model,
                "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", text, "a", "b", "c", "d"],
            },
        )
        for model, text in [
            ("plamo2", "<0x-1>"),
            ("plamo2", "<0x+F>"),
            ("llama", "x"),
            ("llama", ""),
        ]
    ),
    Attack(
        "a table of embeddings with fewer rows than tokens",
        "token_embd.weight has 2 rows for 8 tokens",
        lambda path: _few_rows(path),
    ),
    _told(
        "CVE-2024-34359: a chat template that is no text",
        "chat_template is not a text",
        {"tokenizer.chat_template": ["a"]},
    ),
    _told(
        "a chat template of five megabytes",
        "tokenizer.chat_template is a text of",
        {"tokenizer.chat_template": "a" * (5 << 20)},
    ),
    _told(
        "an architecture that is no text",
        "general.architecture is not a text",
        {"general.architecture": 7},
    ),
    _told("an architecture that is a format", "which is no name", {"general.architecture": "%n%s"}),
]


def _told_of(key: str, value: object, reason: str, report: str) -> Attack:
    return _told(report, reason, {f"llama.{key}": value})


_NUMBERS = [
    _told_of("block_count", 0, "llama.block_count is 0", "CVE-2024-8063: no blocks"),
    _told_of("block_count", "2", "block_count is not a whole", "CVE-2024-8063: blocks are a text"),
    _told_of("block_count", [2], "block_count is an array", "CVE-2024-8063: blocks are an array"),
    _told_of("block_count", 513, "block_count is 513", "llama.cpp PR 25821: 513 blocks"),
    _told_of(
        "block_count", As(UINT64, HUGE), "block_count is 4611", "llama.cpp PR 25821: 2^62 blocks"
    ),
    _told_of("block_count", -1, "block_count is -1", "llama.cpp PR 25821: -1 blocks"),
    _told_of("attention.head_count", 0, "head_count is 0", "ollama issue 7802: no heads"),
    _told_of("attention.head_count", -2, "head_count is -2", "-2 heads"),
    _told_of("attention.head_count", 16, "more than embedding_length 8", "more heads than numbers"),
    _told_of(
        "attention.head_count",
        [2],
        "has 1 elements for 2 blocks",
        "CVE-2024-12055: heads for one block of two",
    ),
    _told_of("attention.head_count", [2, -1], "head_count is -1", "-1 heads in a block"),
    _told_of(
        "attention.head_count_kv", 0, "head_count_kv is 0", "ollama issue 7802: no groups of heads"
    ),
    _told_of(
        "attention.head_count_kv", 3, "no multiple of head_count_kv 3", "heads that do not divide"
    ),
    _told_of("embedding_length", 0, "embedding_length is 0", "embeddings of no numbers"),
    _told_of(
        "embedding_length", 0xFFFFFFFF, "embedding_length is 4294967295", "embeddings of 2^32-1"
    ),
    _told_of("feed_forward_length", -1, "feed_forward_length is -1", "a layer of -1"),
    _told_of("context_length", 0, "context_length is 0", "no context"),
    _told_of("context_length", As(UINT64, HUGE), "context_length is 4611", "a context of 2^62"),
    _told_of(
        "rope.dimension_count", 1 << 20, "rope.dimension_count is", "rotation of 2^20 numbers"
    ),
    _told_of("rope.dimension_count", 6, "more than a head's 4", "rotation of more than a head"),
    _told_of("expert_count", 0xFFFFFFFF, "expert_count is", "2^32-1 experts"),
    _told_of("expert_used_count", 2, "expert_used_count is 2, of 0", "experts out of none"),
    _told("no expert out of eight", "expert_used_count is 0, of 8", {"llama.expert_count": 8}),
    _told_of(
        "attention.layer_norm_rms_epsilon", float("nan"), "epsilon is nan", "an epsilon of NaN"
    ),
    _told_of("attention.layer_norm_rms_epsilon", -1.0, "epsilon is -1", "a negative epsilon"),
    _told_of(
        "attention.layer_norm_rms_epsilon", "x", "epsilon is 'x'", "an epsilon that is a text"
    ),
    _told("part -1 of a split file", "split.no is -1", {"split.count": 2, "split.no": -1}),
    _told("part 3 of two", "split.no is 3", {"split.count": 2, "split.no": 3}),
    _told("2^31 parts", "split.count is", {"split.count": 1 << 31}),
]

ATTACKS = [*_COUNTS, *_TENSORS, *_VOCABULARY, *_NUMBERS]


def _long_token(path: Path, length: int) -> None:
    key = b"tokenizer.ggml.tokens"
    data = opening(0, 1) + pair(key, ARRAY, struct.pack("<IQQ", STRING, 1, length))
    with path.open("wb") as file:
        file.write(data)
        file.truncate(len(data) + length)


def _few_rows(path: Path) -> None:
    harmless(path)
    data = path.read_bytes()
    shape = struct.pack("<QQ", 8, 8)
    assert data.count(shape) == 1
    path.write_bytes(data.replace(shape, struct.pack("<QQ", 8, 2)))


def main(folder: Path) -> None:
    """Write all attacks into *folder*, and say which file is which."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, attack in enumerate(ATTACKS, 1):
        path = folder / f"{number:03}.gguf"
        attack.make(path)
        sys.stdout.write(f"{path.name}\t{attack.report}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
