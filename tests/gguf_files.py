"""GGUF files for tests: any file at all, and small models that llama.cpp really runs.

`write_gguf` writes whatever it is told, so that wrong files can be made too. `tiny_llama` writes
a model of a few hundred kilobytes whose next token is known: it says the words of *follows*.
"""

import random
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path

UINT8, INT8, UINT16, INT16, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64, INT64, FLOAT64 = (
    range(13)
)
F32, F16, Q8_0 = 0, 1, 8  # The numbers of some tensor types.

_FORMATS = {
    UINT8: "B",
    INT8: "b",
    UINT16: "H",
    INT16: "h",
    UINT32: "I",
    INT32: "i",
    FLOAT32: "f",
    BOOL: "?",
    UINT64: "Q",
    INT64: "q",
    FLOAT64: "d",
}
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6  # Kinds of tokens.
_WIDTH = 64  # The length of an embedding.

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = ("one", " two", " three", " four", " five", " six", " seven", " eight")


@dataclass(frozen=True, slots=True)
class As:
    """A metadata value of a chosen *kind*; *element* is the kind of an array's elements."""

    kind: int
    value: object
    element: int | None = None


@dataclass(frozen=True, slots=True)
class TensorData:
    """A tensor: *shape* with the fastest varying dimension first, *data* as it lies in the file.

    *offset* overrides where the header says that the data begins.
    """

    name: str
    shape: tuple[int, ...]
    data: bytes
    type: int = F32
    offset: int | None = None


def write_gguf(
    path: Path,
    metadata: Mapping[str, object] | None = None,
    tensors: Sequence[TensorData] = (),
    *,
    version: int = 3,
    alignment: int = 32,
) -> Path:
    """Write a GGUF file and return its path.

    A plain ``int`` is written as UINT32 (negative: INT32), ``float`` as FLOAT32; lists of ``int``
    as INT32. `As` chooses otherwise. *alignment* only places the data; say it in *metadata* too.
    """
    pairs = {"general.architecture": "test"} if metadata is None else metadata
    head = bytearray(b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs)))
    for key, value in pairs.items():
        head += _string(key) + _typed(value)
    body = bytearray()
    for tensor in tensors:
        at = len(body) if tensor.offset is None else tensor.offset
        head += _string(tensor.name) + struct.pack("<I", len(tensor.shape))
        head += struct.pack(f"<{len(tensor.shape)}Q", *tensor.shape)
        head += struct.pack("<IQ", tensor.type, at)
        body += tensor.data + bytes(-len(tensor.data) % alignment)
    path.write_bytes(bytes(head) + bytes(-len(head) % alignment) + bytes(body))
    return path


def tiny_llama(
    path: Path,
    *,
    vocab: Sequence[str] = WORDS,
    follows: Mapping[str, str] | None = None,
    certainty: float = 1.0,
    seed: int = 0,
    context_length: int = 256,
    chat_template: str | None = CHATML,
    add_bos: bool = True,
    metadata: Mapping[str, object] | None = None,
) -> Path:
    r"""Write a model of the llama architecture that answers by rote, and return its path.

    After the token *t* it says ``follows[t]``; by default each word of *vocab* leads to the next
    and the last to ``</s>``, and a chat (``"\n"``) begins with the first word. Tokens: ``<unk>``,
    ``<s>``, ``</s>``, ``<|im_start|>``, ``<|im_end|>`` (ends an answer), the 256 bytes as
    ``<0x0A>``, then *vocab*. *certainty* scales the logits: 1.0 is as good as certain, 0.0 makes
    all tokens equally likely. *metadata* adds to the header or replaces keys of it.
    """
    tokens, kinds = _vocabulary(vocab)
    rote = _rote(vocab) if follows is None else follows
    source = random.Random(seed)
    embeddings = [[source.gauss(0, 1) for _ in range(_WIDTH)] for _ in tokens]
    header = {
        **_header(tokens, kinds, context_length, add_bos=add_bos),
        **({} if chat_template is None else {"tokenizer.chat_template": chat_template}),
        **(metadata or {}),
    }
    tensors = _tensors(embeddings, _output(tokens, embeddings, rote, certainty))
    return write_gguf(path, header, tensors)


def floats(values: Iterable[float]) -> bytes:
    """The numbers as F32 data."""
    numbers = array("f", values)
    return struct.pack(f"<{len(numbers)}f", *numbers)


def _vocabulary(words: Sequence[str]) -> tuple[list[str], list[int]]:
    special = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    codes = [f"<0x{code:02X}>" for code in range(256)]
    kinds = [_UNKNOWN, *[_CONTROL] * 4, *[_BYTE] * 256, *[_USER_DEFINED] * len(words)]
    return [*special, *codes, *words], kinds


def _rote(words: Sequence[str]) -> dict[str, str]:
    return dict(pairwise(["<0x0A>", *words, "</s>"]))


def _header(
    tokens: list[str], kinds: list[int], context_length: int, *, add_bos: bool
) -> dict[str, object]:
    return {
        "general.architecture": "llama",
        "general.name": "tiny",
        "general.file_type": 0,
        "llama.context_length": context_length,
        "llama.embedding_length": _WIDTH,
        "llama.block_count": 1,
        "llama.feed_forward_length": _WIDTH,
        "llama.attention.head_count": 2,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.dimension_count": _WIDTH // 2,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * len(tokens),
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_bos_token": add_bos,
        "tokenizer.ggml.add_space_prefix": False,
    }


def _output(
    tokens: list[str],
    embeddings: list[list[float]],
    follows: Mapping[str, str],
    certainty: float,
) -> list[list[float]]:
    """Rows of the output matrix: a token's row is the sum of the embeddings that lead to it."""
    place = {token: index for index, token in enumerate(tokens)}
    rows = [[0.0] * _WIDTH for _ in tokens]
    for before, after in follows.items():
        row = rows[place[after]]
        for index, value in enumerate(embeddings[place[before]]):
            row[index] += certainty * value
    return rows


def _tensors(embeddings: list[list[float]], output: list[list[float]]) -> list[TensorData]:
    square = bytes(4 * _WIDTH * _WIDTH)  # Zeros: the block adds nothing to what enters it.
    ones = floats([1.0] * _WIDTH)
    norms = ["blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"]
    layers = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
    return [
        TensorData("token_embd.weight", (_WIDTH, len(embeddings)), _rows(embeddings)),
        TensorData("output.weight", (_WIDTH, len(output)), _rows(output)),
        *(TensorData(name, (_WIDTH,), ones) for name in norms),
        *(TensorData(f"blk.0.{name}.weight", (_WIDTH, _WIDTH), square) for name in layers),
    ]


def _rows(rows: Iterable[Iterable[float]]) -> bytes:
    return floats(chain.from_iterable(rows))


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: object) -> bytes:
    chosen = value if isinstance(value, As) else _guessed(value)
    return struct.pack("<I", chosen.kind) + _plain(chosen)


def _guessed(value: object) -> As:
    match value:
        case bool():
            return As(BOOL, value)
        case int():
            return As(UINT32 if value >= 0 else INT32, value)
        case float():
            return As(FLOAT32, value)
        case str():
            return As(STRING, value)
        case list() | tuple():
            return As(ARRAY, value, _element(value))
        case _:
            raise TypeError(f"no GGUF value: {value!r}")


def _element(values: Sequence[object]) -> int:
    kinds = {bool: BOOL, float: FLOAT32, str: STRING}
    return kinds.get(type(values[0]), INT32) if values else INT32


def _plain(chosen: As) -> bytes:
    value = chosen.value
    if chosen.kind == STRING:
        return _string(str(value))
    if chosen.kind != ARRAY:
        return struct.pack("<" + _FORMATS[chosen.kind], value)
    assert chosen.element is not None
    assert isinstance(value, list | tuple)
    elements = b"".join(_plain(As(chosen.element, each)) for each in value)
    return struct.pack("<IQ", chosen.element, len(value)) + elements


def lora(path: Path, tensor: str, rows: int, *, at: int = -1) -> Path:
    """Write an adapter for a *tensor* of `tiny_llama` with so many *rows*, and return its path.

    It makes much of the row *at*, and little of the one before it.
    """
    metadata = {
        "general.type": "adapter",
        "general.architecture": "llama",
        "adapter.type": "lora",
        "adapter.lora.alpha": 1.0,
    }
    spikes = [0.0] * rows
    spikes[at], spikes[at - 1] = 9.0, -9.0
    tensors = [
        TensorData(f"{tensor}.lora_a", (_WIDTH, 1), floats([9.0] * _WIDTH)),
        TensorData(f"{tensor}.lora_b", (1, rows), floats(spikes)),
    ]
    return write_gguf(path, metadata, tensors)


def halves(values: Iterable[float]) -> bytes:
    """The numbers as F16 data."""
    numbers = tuple(values)
    return struct.pack(f"<{len(numbers)}e", *numbers)


def wide_llama(path: Path, *, kind: int = F16, width: int = 256, **metadata: object) -> Path:
    """Write a `tiny_llama` whose rows have *width* numbers of a *kind*, and return its path.

    Types like Q4_K need rows of 256 numbers, or of a multiple.
    """
    tokens, kinds = _vocabulary(WORDS)
    source = random.Random(0)
    embeddings = [[source.gauss(0, 1) for _ in range(width)] for _ in tokens]
    place = {token: index for index, token in enumerate(tokens)}
    output = [[0.0] * width for _ in tokens]
    for before, after in _rote(WORDS).items():
        output[place[after]] = embeddings[place[before]]
    header = {
        **_header(tokens, kinds, 256, add_bos=True),
        "general.file_type": 0 if kind == F32 else 1,
        "llama.embedding_length": width,
        "llama.feed_forward_length": width,
        "llama.rope.dimension_count": width // 2,
        "tokenizer.chat_template": CHATML,
        **metadata,
    }
    pack = floats if kind == F32 else halves
    tensors = _tensors([], [])
    square = pack([0.0] * width * width)
    ones = floats([1.0] * width)  # Norms are never halved.
    matrices = {"token_embd.weight": embeddings, "output.weight": output}
    wide = [
        TensorData(name, (width, len(rows)), pack(chain.from_iterable(rows)), kind)
        for name, rows in matrices.items()
    ]
    for tensor in tensors:
        if "norm" in tensor.name:
            wide.append(TensorData(tensor.name, (width,), ones))
        elif tensor.name.startswith("blk."):
            wide.append(TensorData(tensor.name, (width, width), square, kind))
    return write_gguf(path, header, wide)


def split_gguf(path: Path, folder: Path, count: int, *, name: str = "model") -> list[Path]:
    """Write the file at *path* as so many parts, as llama.cpp's tool does, and return their paths.

    The first has all of the metadata; each says which it is, of how many.
    """
    from mbuild.compiler import gguf

    header, data = gguf.read(path), path.read_bytes()
    own = [data[begin:end] for begin, end in header.places.values()]
    share = -(-len(header.tensors) // count)
    paths = []
    for number in range(count):
        tensors = [
            TensorData(
                each.name, each.shape, data[at : at + each.size], gguf.TYPE_NUMBERS[each.type]
            )
            for each in header.tensors[number * share : (number + 1) * share]
            for at in [header.data + each.offset]
        ]
        part = folder / f"{name}-{number + 1:05}-of-{count:05}.gguf"
        said = {
            "split.no": As(UINT16, number),
            "split.count": As(UINT16, count),
            "split.tensors.count": As(INT32, len(header.tensors)),
        }
        paths.append(_with(part, own if number == 0 else [], said, tensors))
    return paths


def _with(
    path: Path, pairs: list[bytes], said: Mapping[str, object], tensors: list[TensorData]
) -> Path:
    """Write a file with these entries, as they lie in another, in front of what is *said*."""
    write_gguf(path, said, tensors)
    data = path.read_bytes()
    end = 24 + sum(len(_string(key) + _typed(value)) for key, value in said.items())
    places = sum(len(_string(each.name)) + 4 + 8 * len(each.shape) + 12 for each in tensors)
    head = data[:16] + struct.pack("<Q", len(pairs) + len(said)) + b"".join(pairs)
    head += data[24 : end + places]
    body = data[end + places + -(end + places) % 32 :]
    path.write_bytes(head + bytes(-len(head) % 32) + body)
    return path
