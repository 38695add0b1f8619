"""What the layers of a model say."""

import json
from pathlib import Path

import pytest

from mbuild.store.blobs import Blobs
from mbuild.store.contents import BadLayer, Contents, contents
from mbuild.store.manifest import Layer, Manifest, MediaType


def held(folder: Path, *given: tuple[str, bytes]) -> Contents:
    """The contents of a model with these layers."""
    blobs = Blobs(folder)
    stored = [(kind, blobs.put(data)) for kind, data in given]
    layers = tuple(Layer(kind, each.digest, each.size) for kind, each in stored)
    return contents(Manifest(None, layers), blobs)


def scales(folder: Path, *rows: tuple[bytes, object]) -> bytes:
    blobs = Blobs(folder)
    said = [{"digest": str(blobs.put(data).digest), "scale": scale} for data, scale in rows]
    return json.dumps(said).encode()


A, B = (MediaType.ADAPTER, b"a"), (MediaType.ADAPTER, b"b")


def test_what_only_mbuild_knows_is_not_unknown(tmp_path: Path) -> None:
    schema = b'{"type": "object"}'
    found = held(tmp_path, (MediaType.SCHEMA, b"{}"), (MediaType.SCHEMA, schema), ("x/y", b""))
    assert found.schema == schema.decode()
    assert [layer.media_type for layer in found.unknown] == ["x/y"]


def test_without_its_layer_there_is_no_schema(tmp_path: Path) -> None:
    assert held(tmp_path).schema is None


def test_the_media_types_that_the_reference_ignores() -> None:
    assert MediaType.SCHEMA == "application/vnd.mbuild.schema"
    assert MediaType.SCALES == "application/vnd.mbuild.adapters"


def test_each_adapter_has_its_scale_and_one_without_has_1(tmp_path: Path) -> None:
    said = scales(tmp_path, (b"b", 0.5), (b"a", -2), (b"gone", 3))
    assert held(tmp_path, A, B, (MediaType.SCALES, said)).scales == (-2.0, 0.5)
    assert held(tmp_path, A, B).scales == (1.0, 1.0)
    assert held(tmp_path, A, (MediaType.SCALES, scales(tmp_path))).scales == (1.0,)
    assert held(tmp_path).scales == ()


def test_an_adapter_that_is_there_twice_has_two_scales(tmp_path: Path) -> None:
    said = scales(tmp_path, (b"a", 0.5), (b"b", 0.25), (b"a", 2))
    assert held(tmp_path, A, A, B, A, (MediaType.SCALES, said)).scales == (0.5, 2.0, 0.25, 1.0)


def test_the_last_word_on_scales_counts(tmp_path: Path) -> None:
    layers = [(MediaType.SCALES, scales(tmp_path, (b"a", scale))) for scale in (1, 2)]
    assert held(tmp_path, A, *layers).scales == (2.0,)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"{", "is no JSON: ", id="no JSON"),
        pytest.param(b"{}", "is no list of adapters", id="no list"),
        pytest.param(b"[1]", "names no adapter", id="a number"),
        pytest.param(b'[{"scale": 1}]', "names no adapter", id="no digest"),
        pytest.param(b'[{"digest": "d"}]', "has no scale for d", id="no scale"),
        pytest.param(b'[{"digest": "d", "scale": "1"}]', "has no scale for d", id="a text"),
        pytest.param(b'[{"digest": "d", "scale": true}]', "has no scale for d", id="a boolean"),
        pytest.param(b'[{"digest": "d", "scale": NaN}]', "has no scale for d", id="NaN"),
        pytest.param(b'[{"digest": "d", "scale": 1e39}]', "has no scale for d", id="too large"),
        pytest.param(b"[" * 100_000, "is no JSON: ", id="deep"),
    ],
)
def test_a_damaged_layer_of_scales_is_an_error(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(BadLayer) as caught:
        held(tmp_path, A, (MediaType.SCALES, data))
    assert caught.value.reason.startswith(reason)
    assert caught.value.layer.media_type == MediaType.SCALES
