"""What can be quantized, and to what."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from gguf_files import F16, F32, Q8_0, TensorData, tiny_llama, wide_llama, write_gguf

from mbuild.compiler import gguf
from mbuild.compiler.quantization import (
    TYPES,
    Unsupported,
    exceptions,
    key,
    source_type,
    unfit,
    wanted,
)
from mbuild.store.digest import Digest

I32, BF16 = 26, 30


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(pytest.param(name, name, id=name) for name in TYPES),
        pytest.param("q4_k_m", "Q4_K_M", id="small letters"),
        pytest.param("q4_K_M", "Q4_K_M", id="as llama.cpp writes it"),
        pytest.param("Q4_K", "Q4_K_M", id="the reference's short form"),
        pytest.param("q5_k", "Q5_K_M", id="and its sister"),
    ],
)
def test_words_that_are_types(text: str, expected: str) -> None:
    assert wanted(text) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("q4km", "did you mean Q4_K_M?", id="no underscores"),
        pytest.param("Q8", "did you mean Q8_0?", id="cut short"),
        pytest.param("q4-k-s", "did you mean Q4_K_S?", id="hyphens"),
        pytest.param("fp16", "did you mean F16?", id="another name"),
        pytest.param(
            "tiny",
            "supported types are F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q5_K_S, Q4_K_M, Q4_K_S",
            id="far off",
        ),
    ],
)
def test_words_that_are_none(text: str, hint: str) -> None:
    found = wanted(text)
    assert isinstance(found, Unsupported)
    assert (found.message, found.hint) == (f"unknown quantization type {text}", hint)


def header(
    path: Path, file_type: int | None, kinds: Sequence[int], **metadata: object
) -> gguf.Header:
    """The header of a file with one tensor of each of *kinds*."""
    sizes = {F32: 128, F16: 64, BF16: 64, Q8_0: 34, I32: 128}
    said = {} if file_type is None else {"general.file_type": file_type}
    tensors = [
        TensorData(f"t{index}", (32,), bytes(sizes[kind]), kind) for index, kind in enumerate(kinds)
    ]
    return gguf.read(write_gguf(path, {"general.architecture": "x", **said, **metadata}, tensors))


@pytest.mark.parametrize(
    ("file_type", "kinds", "expected"),
    [
        pytest.param(1, [F16, F32], "F16", id="as the file says"),
        pytest.param(0, [F32], "F32", id="F32, which the reference cannot read"),
        pytest.param(None, [F16, F16, F32], "F16", id="what most numbers have"),
        pytest.param(32, [BF16], "BF16", id="BF16"),
        pytest.param(None, [], "unknown", id="nothing"),
    ],
)
def test_the_type_of_weights(
    tmp_path: Path, file_type: int | None, kinds: list[int], expected: str
) -> None:
    assert source_type(header(tmp_path / "x", file_type, kinds)) == expected


@pytest.mark.parametrize(
    ("file_type", "kinds", "metadata", "expected"),
    [
        pytest.param(1, [F16, F32, I32], {}, None, id="F16"),
        pytest.param(0, [F32], {}, None, id="F32"),
        pytest.param(32, [BF16], {}, None, id="BF16"),
        pytest.param(1, [F16], {"general.type": "model"}, None, id="called a model"),
        pytest.param(
            7,
            [Q8_0],
            {},
            "the weights are Q8_0 already: only F16, BF16 and F32 can be quantized",
            id="quantized",
        ),
        pytest.param(1, [F16, Q8_0], {}, "the tensor t1 is Q8_0 already", id="called F16"),
        pytest.param(
            1,
            [F16],
            {"general.type": "adapter"},
            "the file is of the kind adapter, and only models are quantized",
            id="adapter",
        ),
        pytest.param(
            1,
            [F16],
            {"split.count": 2},
            "the file is one part of a split model: only whole ones are quantized",
            id="split",
        ),
        pytest.param(1, [], {}, "the file has no weights", id="empty"),
    ],
)
def test_what_can_be_quantized(
    tmp_path: Path,
    file_type: int,
    kinds: list[int],
    metadata: dict[str, object],
    expected: str | None,
) -> None:
    assert unfit(header(tmp_path / "x", file_type, kinds, **metadata), "Q4_K_M") == expected


def test_weights_of_the_type_already_are_fit(tmp_path: Path) -> None:
    assert unfit(header(tmp_path / "x", 7, [Q8_0]), "Q8_0") is None


def test_who_insists_may_quantize_twice(tmp_path: Path) -> None:
    assert unfit(header(tmp_path / "x", 7, [Q8_0]), "Q4_K_M", requantize=True) is None


def test_models_of_the_tests_are_fit(tmp_path: Path) -> None:
    for path in (tiny_llama(tmp_path / "tiny"), wide_llama(tmp_path / "wide")):
        assert unfit(gguf.read(path), "Q4_K_M") is None


def test_some_tensors_of_some_architectures_keep_more() -> None:
    assert exceptions("gemma3n", "Q4_K_M") == ((r"^per_layer_token_embd\.weight$", "F16"),)
    assert len(exceptions("deepseek2", "Q4_K_S")) == 5
    assert [kind for _, kind in exceptions("qwen35", "Q4_K_S")] == ["Q8_0"]
    assert [kind for _, kind in exceptions("glm4", "Q4_K_S")] == ["F16", "F16"]
    assert exceptions("gemma3n", "Q8_0") == exceptions("llama", "Q4_K_M") == ()


def test_a_key_is_of_weights_and_type() -> None:
    digests = [Digest.of(data) for data in (b"a", b"b")]
    keys = {key(digest, kind) for digest in digests for kind in TYPES}
    assert len(keys) == 2 * len(TYPES)
    assert key(digests[0], "F16") == key(digests[0], "F16")
