"""Every malformed file of the published reports is refused: with a reason, and quickly."""

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf_attacks import ATTACKS, Attack, harmless, main
from gguf_files import INT32, As, TensorData, lora, tiny_llama, wide_llama, write_gguf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbuild.compiler import gguf
from mbuild.compiler.fitness import unfit
from mbuild.compiler.gguf import BadGguf
from mbuild.store.manifest import MediaType

LONGEST = 5.0  # seconds; a busy machine is no reason to fail
MOST = 32 << 20  # bytes


def _measured(read: Callable[[], object]) -> int:
    """The bytes that *read* needed at most."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.report)
def test_what_is_refused(tmp_path: Path, attack: Attack) -> None:
    path = tmp_path / "m.gguf"
    attack.make(path)

    def refused() -> None:
        with pytest.raises(BadGguf) as refusal:
            gguf.read(path)
        assert attack.reason in refusal.value.reason

    begun = time.perf_counter()
    assert _measured(refused) < MOST
    assert time.perf_counter() - begun < LONGEST
    # A build says the same of it, before it has copied a byte.
    refusal = unfit(str(path), MediaType.MODEL, "m.gguf")
    assert refusal is not None
    assert attack.reason in refusal.reason


def test_an_attack_differs_from_a_harmless_file_only_by_what_is_refused(tmp_path: Path) -> None:
    assert gguf.read(harmless(tmp_path / "m.gguf")).architecture == "llama"


def test_reports_are_told_apart() -> None:
    assert len({attack.report for attack in ATTACKS}) == len(ATTACKS)


def test_the_script_writes_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(tmp_path / "attacks")
    names = sorted(path.name for path in (tmp_path / "attacks").iterdir())
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == names
    assert len(names) == len(ATTACKS)


def test_the_document_names_every_report() -> None:
    document = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    words = ("CVE-", "GHSA-", "GGUF-PY", "llama.cpp ", "ollama issue")
    reports = {each.report.partition(":")[0] for each in ATTACKS if each.report.startswith(words)}
    assert sorted(report for report in reports if report not in document) == []


FEATURES = {"general.type": "mmproj", "clip.has_vision_encoder": True}


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(tiny_llama, id="a llama"),
        pytest.param(wide_llama, id="a wide llama"),
        pytest.param(lambda path: lora(path, "output.weight", 269), id="an adapter"),
        pytest.param(
            lambda path: write_gguf(
                path,
                {"general.architecture": "clip", "clip.vision.block_count": 2, **FEATURES},
                [TensorData("v.patch_embd.weight", (4, 4, 3, 2), bytes(384))],
            ),
            id="a projector",
        ),
        pytest.param(
            lambda path: harmless(
                path,
                {
                    "llama.attention.head_count": [0, 2],
                    "llama.attention.head_count_kv": [0, 1],
                    "llama.feed_forward_length": [8, 0],
                    "llama.ssm.state_size": 4,
                },
            ),
            id="blocks that differ",
        ),
        pytest.param(
            lambda path: harmless(
                path, {"llama.attention.head_count": 0, "llama.ssm.conv_kernel": 4}
            ),
            id="states instead of heads",
        ),
        pytest.param(
            lambda path: harmless(path, {"tokenizer.ggml.padding_token_id": 0xFFFFFFFF}),
            id="no padding, as some converters say it",
        ),
        pytest.param(
            lambda path: harmless(path, {"tokenizer.ggml.padding_token_id": As(INT32, -1)}),
            id="no padding, as others do",
        ),
        pytest.param(
            lambda path: harmless(path, {"tokenizer.ggml.image_token_id": 8}),
            id="a token for images behind the vocabulary",
        ),
        pytest.param(
            lambda path: harmless(path, {"llama.expert_count": 8, "llama.expert_used_count": 2}),
            id="experts",
        ),
    ],
)
def test_what_is_read(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path / "m.gguf")
    assert gguf.read(path).architecture in {"llama", "clip"}


@pytest.mark.model
def test_a_real_model_is_read_in_little_room(smollm2: Path) -> None:
    assert _measured(lambda: gguf.read(smollm2)) < MOST


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400, deadline=None
)
@given(
    changes=st.lists(
        st.tuples(
            st.integers(4, 1 << 20),
            st.one_of(
                st.binary(min_size=1, max_size=8),
                # What breaks arithmetic: the ends of the ranges of numbers.
                st.sampled_from(
                    [b"\xff" * 8, b"\0" * 8, b"\0" * 7 + b"\x80", b"\xff" * 7 + b"\x7f"]
                ),
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_changed_header_is_read_or_refused_in_little_room(
    tmp_path: Path, changes: list[tuple[int, bytes]]
) -> None:
    data = bytearray(harmless(tmp_path / "m.gguf").read_bytes())
    for place, new in changes:
        at = place % (len(data) - 256 - 4) + 4  # Not the magic, and not the tensor's data.
        data[at : at + len(new)] = new
    path = tmp_path / "changed.gguf"
    path.write_bytes(data)

    def read() -> None:
        try:
            header = gguf.read(path)
        except BadGguf:
            return
        assert all(tensor.offset + tensor.size <= len(data) for tensor in header.tensors)

    assert _measured(read) < MOST
