"""What FROM, ADAPTER and DRAFT take, and which adapter goes upon which model."""

import time
from pathlib import Path

import pytest
from gguf_files import FLOAT32, As, TensorData, lora, split_gguf, tiny_llama, write_gguf

from mbuild.compiler import gguf
from mbuild.compiler.adapters import misfit
from mbuild.compiler.create import Order, create
from mbuild.compiler.diagnostic import Code, Diagnostic
from mbuild.store.manifest import Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import Store


class Place:
    """A folder with a model, adapters and a projector, a store, and what the last build found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self.store = Store(folder / "store", clock=lambda: time.time_ns() + 60 * 10**9)
        self.findings: tuple[Diagnostic, ...] = ()
        tiny_llama(self.folder / "m.gguf")
        lora(self.folder / "a.gguf", "output.weight", 269)
        projector(self.folder / "p.gguf")

    def create(self, text: str, name: str = "kid") -> list[str]:
        """The kinds of the layers, or nothing if it cannot be built."""
        order = Order(Name.parse(name), "Modelfile", text.encode(), str(self.folder))
        data, self.findings = create(order, self.store, lambda _: None)
        manifest = Manifest.decode(data) if data is not None else Manifest(None, ())
        return [layer.media_type.rpartition(".")[2] for layer in manifest.layers]

    @property
    def only(self) -> Diagnostic:
        (finding,) = self.findings
        return finding


def projector(path: Path, **metadata: object) -> Path:
    """Write an encoder for images, as far as its header tells, and return its path."""
    said = {"general.architecture": "clip", "general.type": "mmproj", "clip.vision.block_count": 2}
    data = TensorData("v.patch_embd.weight", (4, 4, 3, 2), bytes(384))
    return write_gguf(path, {**said, "clip.has_vision_encoder": True, **metadata}, [data])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_projector_is_a_layer_of_its_own(place: Place) -> None:
    assert place.create("FROM m.gguf\nFROM p.gguf") == ["model", "projector"]
    assert not place.findings


def test_a_projector_beside_a_split_model(place: Place) -> None:
    split_gguf(place.folder / "m.gguf", place.folder, 2)
    assert place.create("FROM model-00001-of-00002.gguf\nFROM p.gguf") == ["projector", "model"]


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param({}, id="by its type"),
        pytest.param({"general.type": "projector"}, id="by its other type"),
        pytest.param({"general.type": "model"}, id="by its encoder"),
        pytest.param(
            {"general.type": "model", "general.architecture": "x", "x.vision.block_count": 1},
            id="by blocks that only see",
        ),
    ],
)
def test_what_a_projector_is_known_by(tmp_path: Path, metadata: dict[str, object]) -> None:
    from mbuild.compiler.weights import summarise

    path = projector(tmp_path / "p.gguf", **metadata)
    assert summarise(gguf.read(path)).media_type == MediaType.PROJECTOR


@pytest.mark.parametrize("known", [False, True], ids=["new", "imported before"])
@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        pytest.param(
            "FROM a.gguf", "is an adapter, not a model", "write ADAPTER ", id="FROM adapter"
        ),
        pytest.param(
            "ADAPTER m.gguf", "is no adapter but a model", "convert_lora", id="ADAPTER model"
        ),
        pytest.param(
            "ADAPTER p.gguf", "is no adapter but a projector", "write FROM ", id="ADAPTER p"
        ),
        pytest.param("DRAFT a.gguf", "is an adapter, not a model that can draft", "", id="DRAFT a"),
        pytest.param(
            "DRAFT p.gguf", "is a projector, not a model that can draft", "", id="DRAFT p"
        ),
    ],
)
def test_wrong_kinds_are_refused(
    place: Place, text: str, reason: str, hint: str, known: bool
) -> None:
    if known:
        place.create("FROM m.gguf\nFROM p.gguf\nADAPTER a.gguf", "before")
        assert not place.findings
    tiny_llama(place.folder / "base.gguf", seed=3)
    assert place.create(f"FROM base.gguf\n{text}") == []
    assert place.only.code is Code.BAD_SOURCE
    assert reason in place.only.message
    assert hint in (place.only.hint or "")
    assert place.only.span.text.endswith(text.split()[1])


def test_an_adapter_that_fits(place: Place) -> None:
    assert place.create("FROM m.gguf\nADAPTER a.gguf") == ["model", "adapter"]
    assert not place.findings


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("FROM m.gguf\nADAPTER wrong.gguf", id="a file"),
        pytest.param("FROM base\nADAPTER wrong.gguf", id="a model of the store"),
        pytest.param("FROM m.gguf AS first\nFROM first\nADAPTER wrong.gguf", id="a stage"),
        pytest.param(
            "FROM m.gguf\nADAPTER --scale=0.5 a.gguf\nADAPTER --scale=0.5 wrong.gguf",
            id="the second of two",
        ),
    ],
)
def test_an_adapter_of_another_model_is_refused(place: Place, text: str) -> None:
    place.create("FROM m.gguf", "base")
    lora(place.folder / "wrong.gguf", "output.weight", 300)
    for _ in range(2):  # The second time it is known.
        assert place.create(text) == []
        assert place.only.code is Code.BAD_SOURCE
        assert place.only.span.text == "wrong.gguf"
        assert place.only.message == (
            "wrong.gguf: its output.weight is for 64 × 300, the model's has 64 × 269"
        )
        assert place.only.hint == "an adapter fits only the model that it was trained on"


SAID = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora"}


def pair(
    target: str, first: tuple[int, ...], second: tuple[int, ...], **names: str
) -> list[TensorData]:
    """The two matrices of an adapter, of these columns and rows."""
    shapes = {names.get("a", f"{target}.lora_a"): first, names.get("b", f"{target}.lora_b"): second}
    return [
        TensorData(name, shape, bytes(4 * shape[0] * shape[1])) for name, shape in shapes.items()
    ]


@pytest.mark.parametrize(
    ("metadata", "tensors", "reason"),
    [
        pytest.param({}, pair("blk.0.attn_q.weight", (64, 2), (2, 64)), None, id="fits"),
        # Rows of the table of tokens are looked up: its matrices lie the other way round.
        pytest.param({}, pair("token_embd.weight", (2, 269), (2, 64)), None, id="fits the table"),
        pytest.param(
            {},
            [
                *pair("output.weight", (64, 1), (1, 269)),
                TensorData("x_norm.weight", (64,), bytes(256)),
            ],
            None,
            id="a norm is passed over",
        ),
        pytest.param(
            {"general.architecture": "gemma"},
            pair("output.weight", (64, 1), (1, 269)),
            "the adapter is for gemma, the model is llama",
            id="architecture",
        ),
        pytest.param(
            {"adapter.type": "control"}, [], "its adapter.type is control, not lora", id="type"
        ),
        pytest.param(
            {"adapter.type": 7}, [], "its adapter.type is missing, not lora", id="no type"
        ),
        pytest.param(
            {"adapter.lora.alpha": As(FLOAT32, float("nan"))},
            [],
            "its adapter.lora.alpha is nan",
            id="alpha",
        ),
        pytest.param({}, [], "it has no low-rank matrices (*.lora_a)", id="no matrices"),
        pytest.param(
            {},
            pair("output.weight", (64, 1), (1, 269))[:1],
            "output.weight.lora_a has no .lora_b beside it",
            id="half a pair",
        ),
        pytest.param(
            {},
            pair("blk.7.attn_q.weight", (64, 1), (1, 64)),
            "it changes blk.7.attn_q.weight, which the model does not have",
            id="no such tensor",
        ),
        pytest.param(
            {},
            pair("blk.0.attn_q.weight", (32, 1), (1, 64)),
            "its blk.0.attn_q.weight is for 32 × 64, the model's has 64 × 64",
            id="columns",
        ),
        pytest.param(
            {},
            pair("output.weight", (64, 2), (1, 269)),
            "the matrices for output.weight have ranks of 2 and 1",
            id="ranks",
        ),
        pytest.param(
            {},
            pair("token_embd.weight", (64, 2), (2, 269)),
            "its token_embd.weight is for 269 × 2, the model's has 64 × 269",
            id="the table the wrong way round",
        ),
        pytest.param(
            {},
            [
                *pair("output.weight", (64, 1), (1, 269)),
                TensorData("output.weight", (4,), bytes(16)),
            ],
            "its tensor output.weight is neither a .lora_a nor a .lora_b",
            id="a tensor that is no matrix of a pair",
        ),
    ],
)
def test_what_fits(
    tmp_path: Path, metadata: dict[str, object], tensors: list[TensorData], reason: str | None
) -> None:
    base = gguf.read(tiny_llama(tmp_path / "m.gguf"))
    said = {**SAID, "adapter.lora.alpha": 1.0, **metadata}
    adapter = gguf.read(write_gguf(tmp_path / "a.gguf", said, tensors))
    assert misfit(base, adapter) == reason
