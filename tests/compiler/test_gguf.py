"""The header of a GGUF file: what is read, and what is refused before a native library sees it."""

import struct
from pathlib import Path

import pytest
from gguf_files import (
    ARRAY,
    F32,
    FLOAT32,
    STRING,
    UINT32,
    UINT64,
    As,
    TensorData,
    tiny_llama,
    write_gguf,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbuild.compiler import gguf
from mbuild.compiler.gguf import BadGguf

FOUR_FLOATS = bytes(16)


def test_the_header_of_a_model(tmp_path: Path) -> None:
    header = gguf.read(tiny_llama(tmp_path / "m.gguf", context_length=128))
    assert header.architecture == "llama"
    assert header.number("context_length") == 128
    assert header.number("embedding_length") == 64
    assert header.text("general.name") == "tiny"
    assert header.flag("tokenizer.ggml.add_bos_token")
    assert header.chat_template is not None
    assert header.metadata["tokenizer.ggml.tokens"] == gguf.Array(gguf.Kind.STRING, 269)
    # Every tensor of it is F32.
    assert header.parameter_count == sum(tensor.size for tensor in header.tensors) // 4


@pytest.mark.model
def test_the_header_of_a_real_model(smollm2: Path) -> None:
    header = gguf.read(smollm2)
    assert (header.architecture, header.file_type) == ("llama", "Q4_1")
    assert header.parameter_count == 134_515_008  # as the reference counts it
    assert header.number("context_length") == 8192
    assert len(header.tensors) == 272


def test_a_header_without_tensors_needs_no_padding(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    key = b"general.architecture"
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, 1)
    data += struct.pack("<Q", len(key)) + key + struct.pack("<IQ", STRING, 4) + b"test"
    path.write_bytes(data)
    assert len(data) == 68
    assert gguf.read(path).architecture == "test"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(As(UINT32, 15), "Q4_K_M", id="a 32-bit number is a type"),
        pytest.param(As(UINT32, 0), "unknown", id="F32 reads as unknown, as in the reference"),
        pytest.param(As(UINT32, 999), "unknown", id="an unheard-of number"),
        pytest.param(As(UINT64, 15), "unknown", id="another width does not count"),
    ],
)
def test_the_file_type(tmp_path: Path, value: As, expected: str) -> None:
    path = write_gguf(tmp_path / "m.gguf", {"general.file_type": value})
    assert gguf.read(path).file_type == expected


@pytest.mark.parametrize("swapped_magic", [True, False], ids=["magic swapped", "version swapped"])
def test_a_big_endian_file_is_read(tmp_path: Path, swapped_magic: bool) -> None:
    path = tmp_path / "m.gguf"
    key = b"general.architecture"
    data = (b"FUGG" if swapped_magic else b"GGUF") + struct.pack(">IQQ", 3, 0, 1)
    data += struct.pack(">Q", len(key)) + key + struct.pack(">IQ", STRING, 5) + b"llama"
    path.write_bytes(data)
    assert gguf.read(path).architecture == "llama"


def test_version_1_has_short_lengths(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    key = b"general.architecture"
    data = b"GGUF" + struct.pack("<III", 1, 0, 1)
    data += struct.pack("<I", len(key)) + key + struct.pack("<II", STRING, 5) + b"llama"
    path.write_bytes(data)
    assert gguf.read(path).architecture == "llama"


def _raw(tensors: int, pairs: int, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs) + rest


def _pair(key: str, kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + value


def _tensor(
    name: bytes = b"t", shape: tuple[int, ...] = (4,), kind: int = F32, offset: int = 0
) -> bytes:
    head = struct.pack("<Q", len(name)) + name + struct.pack("<I", len(shape))
    return head + struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", kind, offset)


HUGE = 1 << 62


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "it is empty", id="empty"),
        pytest.param(b"GG", "it is not a GGUF file", id="two bytes"),
        pytest.param(b"PK\x03\x04 whatever", "it is not a GGUF file", id="an archive"),
        # CVE-2024-39720: a file of only the magic made the reference read out of bounds.
        pytest.param(b"GGUF", "it ends inside the version", id="only the magic"),
        pytest.param(_raw(0, 0, version=9), "version 9 is not known", id="a version to come"),
        # CVE-2024-21802 and its like: counts that wrap an allocation.
        pytest.param(_raw(HUGE, 0), "it claims 4611686018427387904 tensors", id="tensor count"),
        pytest.param(_raw(0, HUGE), "metadata entries, with 0 bytes left", id="metadata count"),
        pytest.param(
            _raw(0, 1, struct.pack("<Q", HUGE) + b"x" * 32),
            "a key of 4611686018427387904 bytes",
            id="key length",
        ),
        pytest.param(
            _raw(0, 1, _pair("k", STRING, struct.pack("<Q", HUGE))), "bytes of k", id="text length"
        ),
        # CVE-2025-0315: an array's count allocated memory.
        pytest.param(
            _raw(0, 1, _pair("k", ARRAY, struct.pack("<IQ", FLOAT32, HUGE))),
            "elements of k",
            id="array count",
        ),
        pytest.param(
            _raw(0, 1, _pair("k", ARRAY, struct.pack("<IQ", STRING, HUGE))),
            "texts in k",
            id="array of texts",
        ),
        pytest.param(
            _raw(0, 1, _pair("k", ARRAY, struct.pack("<IQQ", STRING, 1, HUGE))),
            "bytes of a text in k",
            id="a text in an array",
        ),
        pytest.param(
            _raw(0, 1, _pair("k", ARRAY, struct.pack("<IQIQ", ARRAY, 1, 0, 0))),
            "array of arrays",
            id="nested arrays",
        ),
        pytest.param(_raw(0, 1, _pair("k", 77, b"")), "unknown type 77", id="value type"),
        pytest.param(
            _raw(0, 2, _pair("k", UINT32, b"\1\0\0\0") * 2), "'k' stands twice", id="a key twice"
        ),
        # CVE-2025-0317: alignment 0 divided by zero; 2^31 and odd ones wrap the padding.
        *(
            pytest.param(
                _raw(0, 1, _pair("general.alignment", UINT32, struct.pack("<I", value))),
                f"general.alignment is {value}",
                id=f"alignment {value}",
            )
            for value in (0, 3, 0x80000000)
        ),
        pytest.param(
            _raw(0, 1, _pair("general.alignment", STRING, struct.pack("<Q", 2) + b"32")),
            "general.alignment is not a 32-bit",
            id="alignment as text",
        ),
        pytest.param(
            _raw(1, 0, _tensor(name=b"n" * 64)), "name has 64 bytes", id="tensor name length"
        ),
        pytest.param(
            _raw(1, 0, _tensor(shape=(1, 1, 1, 1, 1))), "has 5 dimensions", id="dimensions"
        ),
        pytest.param(_raw(1, 0, _tensor(kind=4)), "unknown type 4", id="tensor type"),
        pytest.param(_raw(1, 0, _tensor(offset=7)), "off the alignment", id="offset"),
        pytest.param(_raw(1, 0, _tensor(shape=(0,))), "impossible shape [0]", id="no elements"),
        # CVE-2026-33298: the size of a tensor wrapped to something small.
        pytest.param(
            _raw(1, 0, _tensor(shape=(HUGE, HUGE))), "impossible shape", id="elements that wrap"
        ),
        pytest.param(
            _raw(1, 0, _tensor(shape=(30,), kind=2)), "no multiple of Q4_0's 32", id="half a block"
        ),
        # CVE-2026-7482: a tensor beyond the end of the file was read from the heap.
        pytest.param(_raw(1, 0, _tensor(offset=1 << 40)), "it is cut short", id="beyond the end"),
        # CVE-2025-53630: offset and size wrapped when they were added.
        pytest.param(
            _raw(1, 0, _tensor(offset=(1 << 64) - 32)), "it is cut short", id="offset that wraps"
        ),
        pytest.param(_raw(1, 0, _tensor()), "it is cut short", id="no data"),
    ],
)
def test_what_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(BadGguf) as refusal:
        gguf.read(path)
    assert reason in refusal.value.reason
    assert refusal.value.path == str(path)


def test_a_tensor_that_stands_twice_is_refused(tmp_path: Path) -> None:
    twice = [TensorData("t", (4,), FOUR_FLOATS), TensorData("t", (4,), FOUR_FLOATS)]
    with pytest.raises(BadGguf, match="stands twice"):
        gguf.read(write_gguf(tmp_path / "m.gguf", {}, twice))


def test_every_cut_of_a_model_is_refused(tmp_path: Path) -> None:
    whole = write_gguf(
        tmp_path / "m.gguf", {"a": "b", "list": ["x", "yz"]}, [TensorData("t", (8,), bytes(32))]
    ).read_bytes()
    path = tmp_path / "cut.gguf"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(BadGguf):
            gguf.read(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
def test_a_damaged_header_is_read_or_refused_and_never_more(
    tmp_path: Path, data: st.DataObject
) -> None:
    whole = bytearray(
        write_gguf(
            tmp_path / "m.gguf",
            {"general.alignment": 32, "a": "b", "l": ["x", "yz"], "n": [1, 2]},
            [TensorData("t", (32,), bytes(34), type=8)],
        ).read_bytes()
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(4, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.gguf"
    path.write_bytes(whole)
    try:
        header = gguf.read(path)
    except BadGguf:
        return
    assert all(tensor.offset + tensor.size <= len(whole) for tensor in header.tensors)


def test_an_array_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    path = write_gguf(
        tmp_path / "m.gguf", {"a": ["x" * 700_000, "y" * 900_000, "z"], "b": 7, "c": [1] * 400_000}
    )
    header = gguf.read(path)
    assert header.metadata["b"] == 7
    assert header.metadata["c"] == gguf.Array(gguf.Kind.INT32, 400_000)


def test_single_texts_of_an_array_can_be_read(tmp_path: Path) -> None:
    words = ["a", "", "ü", "d" * 3_000_000, "e"]
    path = write_gguf(tmp_path / "m.gguf", {"before": [1, 2], "words": words, "behind": "x"})
    assert gguf.texts(path, "words", (4, 0, 2, 2)) == {0: "a", 2: "ü", 4: "e"}
    assert gguf.texts(path, "words", (-1, 5)) == {}
    assert gguf.texts(path, "before", (0,)) == {}
    assert gguf.texts(path, "behind", (0,)) == {}
    assert gguf.texts(path, "missing", (0,)) == {}


@pytest.mark.parametrize("cut", [-1, -4, -12])
def test_texts_of_a_file_that_ends_too_early(tmp_path: Path, cut: int) -> None:
    path = write_gguf(tmp_path / "m.gguf", {"words": ["abcd", "efgh"]}, alignment=1)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(gguf.BadGguf):
        gguf.texts(path, "words", (1,))


def test_texts_that_claim_to_be_longer_than_the_file(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", {"words": ["abcd"]}, alignment=1)
    data = path.read_bytes()
    path.write_bytes(data[:-12] + (1 << 62).to_bytes(8, "little") + data[-4:])
    with pytest.raises(gguf.BadGguf, match="claims 4611686018427387904 bytes"):
        gguf.texts(path, "words", (0,))
