"""Manifests, opened."""

from pathlib import Path

import pytest
from gguf_files import split_gguf, tiny_llama, write_gguf
from shelf import Shelf

from mbuild.compiler.gguf import BadGguf
from mbuild.runtime.message import Message
from mbuild.runtime.model import Unanswering, open_model
from mbuild.store.blobs import MissingBlob
from mbuild.store.config import Config
from mbuild.store.manifest import Manifest, MediaType


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "blobs")


def test_a_model_is_what_its_layers_say(tmp_path: Path, shelf: Shelf) -> None:
    weights = tiny_llama(tmp_path / "tiny.gguf", chat_template="{{ 1 }}")
    model = shelf.model(
        weights,
        (MediaType.SYSTEM, "You are a kid."),
        (MediaType.LICENSE, "MIT"),
        (MediaType.LICENSE, "BSD"),
        params={"temperature": 1, "stop": ["a"]},
        messages=[{"role": "USER", "content": "hi"}],
        config=Config(model_family="llama"),
    )
    assert Path(model.weights).read_bytes() == weights.read_bytes()
    assert model.config.model_family == "llama"
    assert model.system == "You are a kid."
    assert model.licenses == ("MIT", "BSD")
    assert model.options == {"temperature": 1, "stop": ["a"]}
    assert model.messages == (Message("user", "hi"),)
    assert model.template is None
    assert model.chat_template == "{{ 1 }}"
    assert (model.adapters, model.projectors) == ((), ())


def test_what_is_not_there_is_empty(tmp_path: Path, shelf: Shelf) -> None:
    model = shelf.model(tiny_llama(tmp_path / "tiny.gguf", chat_template=None))
    assert (model.system, model.options, model.messages) == ("", {}, ())
    assert model.chat_template is None


def test_params_layers_are_merged_by_name(tmp_path: Path, shelf: Shelf) -> None:
    weights = tiny_llama(tmp_path / "tiny.gguf")
    first, second = (MediaType.PARAMS, '{"top_k":1,"seed":2}'), (MediaType.PARAMS, '{"top_k":3}')
    assert shelf.model(weights, first, second).options == {"top_k": 3, "seed": 2}


def test_weights_that_no_loader_should_see_are_refused(tmp_path: Path, shelf: Shelf) -> None:
    short = tmp_path / "short.gguf"
    short.write_bytes(tiny_llama(tmp_path / "tiny.gguf").read_bytes()[:-64])
    with pytest.raises(BadGguf, match="cut short"):
        shelf.model(short)


@pytest.mark.parametrize("kind", [MediaType.ADAPTER, MediaType.PROJECTOR])
def test_what_is_no_gguf_is_refused(tmp_path: Path, shelf: Shelf, kind: MediaType) -> None:
    with pytest.raises(BadGguf, match="not a GGUF file"):
        shelf.model(tiny_llama(tmp_path / "tiny.gguf"), (kind, "no such thing"))


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        pytest.param([{"role": "user", "content": 5}], "damaged example: content", id="content"),
    ],
)
def test_damaged_examples(
    tmp_path: Path, shelf: Shelf, messages: list[dict[str, object]], problem: str
) -> None:
    with pytest.raises(Unanswering, match=problem):
        shelf.model(tiny_llama(tmp_path / "tiny.gguf"), messages=messages)


def test_a_model_without_weights_cannot_answer(shelf: Shelf) -> None:
    with pytest.raises(Unanswering, match="kid has no weights"):
        shelf.model(None)


def test_a_part_of_a_split_model_cannot_answer(tmp_path: Path, shelf: Shelf) -> None:
    part, _ = split_gguf(tiny_llama(tmp_path / "tiny.gguf"), tmp_path, 2)
    with pytest.raises(Unanswering, match="kid has one part of a split model as its weights"):
        shelf.model(part)


def test_an_embedding_model_cannot_answer(tmp_path: Path, shelf: Shelf) -> None:
    metadata = {"general.architecture": "bert", "bert.pooling_type": 1}
    with pytest.raises(Unanswering, match="kid is an embedding model"):
        shelf.model(write_gguf(tmp_path / "bert.gguf", metadata))


def test_a_blob_that_is_gone_is_named(tmp_path: Path, shelf: Shelf) -> None:
    manifest: Manifest = shelf.manifest(tiny_llama(tmp_path / "tiny.gguf"))
    shelf.blobs.remove(manifest.layers[0].digest)
    with pytest.raises(MissingBlob) as caught:
        open_model("kid", manifest, shelf.blobs)
    assert caught.value.digest == manifest.layers[0].digest
