import contextlib
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.store.config import BadConfig, Config, Draft
from mbuild.store.digest import Digest
from mbuild.store.manifest import BadManifest, Layer, Manifest, MediaType, identity

A, B, C = (Digest(letter * 64) for letter in "abc")

DIGESTS = st.binary(max_size=2).map(Digest.of)
TEXTS = st.text(max_size=20)
LAYERS = st.builds(
    Layer, st.sampled_from(MediaType) | TEXTS, DIGESTS, st.integers(0, 2**63 - 1), TEXTS, TEXTS
)
MANIFESTS = st.builds(
    Manifest, st.none() | LAYERS, st.lists(LAYERS, max_size=5).map(tuple[Layer, ...])
)
SOME_TEXTS = st.lists(TEXTS, max_size=3).map(tuple[str, ...])
CONFIGS = st.builds(
    Config,
    model_families=SOME_TEXTS,
    renderer=TEXTS,
    capabilities=SOME_TEXTS,
    context_length=st.integers(0, 2**63 - 1),
    base_name=TEXTS,
    draft=st.none() | st.builds(Draft, TEXTS, TEXTS, TEXTS, TEXTS),
    architecture=TEXTS,
)


def layer_fields(**changed: object) -> dict[str, object]:
    return {"mediaType": "t", "digest": str(A), "size": 1, **changed}


def with_layer(**changed: object) -> bytes:
    return json.dumps({"layers": [layer_fields(**changed)]}).encode()


def test_a_manifest_is_written_as_the_reference_writes_it() -> None:
    manifest = Manifest(
        Layer(MediaType.CONFIG, C, 147),
        (
            Layer(MediaType.MODEL, A, 68, origin="llama3.2:latest"),
            Layer(MediaType.TENSOR, B, 9, name="a<b"),
        ),
    )
    assert manifest.encode().decode() == (
        '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",'
        '"config":{"mediaType":"application/vnd.docker.container.image.v1+json",'
        f'"digest":"sha256:{"c" * 64}","size":147}},"layers":['
        '{"mediaType":"application/vnd.ollama.image.model",'
        f'"digest":"sha256:{"a" * 64}","size":68,"from":"llama3.2:latest"}},'
        '{"mediaType":"application/vnd.ollama.image.tensor",'
        f'"digest":"sha256:{"b" * 64}","size":9,"name":"a\\u003cb"}}]}}\n'
    )


def test_a_manifest_of_nothing_has_null_for_its_layers() -> None:
    data = Manifest(None, ()).encode()
    assert data.endswith(b'"config":{"mediaType":"","digest":"","size":0},"layers":null}\n')


@given(MANIFESTS)
def test_a_manifest_survives_writing_and_reading(manifest: Manifest) -> None:
    assert Manifest.decode(manifest.encode()) == manifest


@given(MANIFESTS)
def test_a_size_is_the_sum_of_what_is_written(manifest: Manifest) -> None:
    fields = json.loads(manifest.encode())
    layers = fields["layers"] or []
    assert manifest.size == sum(layer["size"] for layer in [*layers, fields["config"]])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"{}", Manifest(None, ()), id="nothing in it"),
        pytest.param(b' \n{"layers": null}\t', Manifest(None, ()), id="blanks and null"),
        pytest.param(b'{"layers":[],"config":null}', Manifest(None, ()), id="empty list"),
        pytest.param(b'{"config":{"size":0}}', Manifest(None, ()), id="config without digest"),
        pytest.param(b'{"config":{"digest":""}}', Manifest(None, ()), id="empty digest"),
        pytest.param(
            with_layer(annotations={"x": [1]}, urls=None),
            Manifest(None, (Layer("t", A, 1),)),
            id="keys that we do not know",
        ),
        pytest.param(
            with_layer(size=None, mediaType=None),
            Manifest(None, (Layer("", A, 0),)),
            id="null is as good as nothing",
        ),
        pytest.param(
            with_layer(digest=f"sha256-{'A' * 64}"),
            Manifest(None, (Layer("t", A, 1),)),
            id="the other way to write a digest",
        ),
        pytest.param(
            b'{"layers":[{"digest":"sha256:%s","from":"\\ud800x"}]}' % (b"a" * 64),
            Manifest(None, (Layer("", A, 0, origin="\ufffdx"),)),
            id="half a surrogate pair",
        ),
        # The reference's reader stops at the end of the value, so ours does.
        pytest.param(b"{}\n{]", Manifest(None, ()), id="something behind it"),
    ],
)
def test_any_json_with_the_fields_is_read(data: bytes, expected: Manifest) -> None:
    assert Manifest.decode(data) == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "it is empty", id="empty file"),
        pytest.param(b"\0" * 512, "not JSON", id="zeros after a crash"),
        pytest.param(b'{"layers":[', "not JSON", id="cut off"),
        pytest.param(b"[" * 100_000, "not JSON", id="too deep"),
        pytest.param(b"[]", "not a JSON object", id="a list"),
        pytest.param(b'{"layers":{}}', "layers is no list", id="layers in an object"),
        pytest.param(b'{"layers":[null]}', "layer 1: no object", id="null for a layer"),
        pytest.param(b'{"config":"x"}', "config: no object", id="text for the config"),
        pytest.param(b'{"layers":[{}]}', "layer 1: not a sha256 digest: ''", id="no digest"),
        pytest.param(with_layer(digest=1), "layer 1: digest is no text", id="number for a digest"),
        pytest.param(
            with_layer(digest="sha256:../../../etc/passwd"), "layer 1: not a sha256", id="path"
        ),
        pytest.param(with_layer(size=-1), "layer 1: size is out of range", id="negative"),
        pytest.param(with_layer(size=2**63), "layer 1: size is out of range", id="huge"),
        pytest.param(
            with_layer(size=0).replace(b'"size": 0', b'"size": ' + b"9" * 5000),
            "not JSON",
            id="more digits than python takes",
        ),
        pytest.param(with_layer(size=1.0), "layer 1: size is no whole number", id="float"),
        pytest.param(with_layer(size=True), "layer 1: size is no whole number", id="bool"),
        pytest.param(with_layer(size="1"), "layer 1: size is no whole number", id="text"),
        pytest.param(with_layer(mediaType=[]), "layer 1: mediaType is no text", id="list"),
        pytest.param(with_layer(**{"from": 1}), "layer 1: from is no text", id="origin"),
    ],
)
def test_what_is_no_manifest_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadManifest) as caught:
        Manifest.decode(data)
    assert caught.value.reason.startswith(reason)


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with contextlib.suppress(BadManifest):
        Manifest.decode(data)


def manifest_of_length(length: int) -> bytes:
    """A manifest whose JSON has *length* bytes."""
    frame = '{"layers":null,"x":""}'
    return frame.replace('""', f'"{"x" * (length - len(frame))}"').encode()


@pytest.mark.parametrize("edge", [512, 1536, 3584, 7680, 15872, 32256])
@pytest.mark.parametrize(
    ("beside", "read"),
    [
        pytest.param(-1, True, id="just below"),
        pytest.param(0, False, id="at the edge"),
        pytest.param(1, True, id="just above"),
    ],
)
def test_the_id_is_the_digest_of_what_the_reference_reads(
    edge: int, beside: int, read: bool
) -> None:
    data = manifest_of_length(edge + beside)
    assert len(data) == edge + beside
    assert identity(data).hex == hashlib.sha256(data).hexdigest()
    expected = data + b"\n" if read else data
    assert identity(data + b"\n").hex == hashlib.sha256(expected).hexdigest()


def test_the_edge_is_counted_in_bytes() -> None:
    frame = '{"layers":null,"x":"é"}'
    data = frame.replace("é", "é" * 100 + "x" * (512 - len(frame) - 199)).encode()
    assert len(data) == 512
    assert identity(data + b"\n").hex == hashlib.sha256(data).hexdigest()
    # Bytes that are no UTF-8 count as what they are.
    data = data.replace("é".encode(), b"\xff\xfe")
    assert identity(data + b"\n").hex == hashlib.sha256(data).hexdigest()


def test_a_config_is_written_as_the_reference_writes_it() -> None:
    config = Config("gguf", "test", ("test",), "0", "unknown")
    assert config.encode() == (
        b'{"model_format":"gguf","model_family":"test","model_families":["test"],"model_type":"0",'
        b'"file_type":"unknown","architecture":"amd64","os":"linux"}\n'
    )
    assert (
        Digest.of(config.encode()).hex
        == "99759ad5b91e723db0393d698ffbb448b1b7df5ff6377a108c49254583b1bc8c"
    )


def test_a_full_config_has_its_keys_in_order() -> None:
    config = Config(
        renderer="r",
        parser="p",
        requires="0.9.0",
        remote_host="h",
        remote_model="m",
        capabilities=("tools",),
        context_length=1,
        embedding_length=2,
        base_name="b",
        draft=Draft(architecture="llama"),
    )
    assert config.encode() == (
        b'{"model_format":"","model_family":"","model_families":null,"model_type":"",'
        b'"file_type":"","renderer":"r","parser":"p","requires":"0.9.0","remote_host":"h",'
        b'"remote_model":"m","capabilities":["tools"],"context_length":1,"embedding_length":2,'
        b'"base_name":"b","draft":{"architecture":"llama"},"architecture":"amd64","os":"linux"}\n'
    )


@given(CONFIGS)
def test_a_config_survives_writing_and_reading(config: Config) -> None:
    assert Config.decode(config.encode()) == config


def test_a_config_of_an_older_store_is_read() -> None:
    data = (
        b'{"model_format":"gguf","model_family":"llama","model_families":["llama","clip"],'
        b'"model_type":"8.0B","file_type":"Q4_0","architecture":"amd64","os":"linux",'
        b'"rootfs":{"type":"layers","diff_ids":["sha256:00"]}}'
    )
    assert Config.decode(data) == Config("gguf", "llama", ("llama", "clip"), "8.0B", "Q4_0")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"{", "not JSON", id="no JSON"),
        pytest.param(b"3", "not a JSON object", id="no object"),
        pytest.param(b'{"model_family":1}', "model_family is no text", id="no text"),
        pytest.param(b'{"model_families":"x"}', "model_families is no list", id="no list"),
        pytest.param(b'{"capabilities":[1]}', "capabilities is no list of texts", id="no texts"),
        pytest.param(b'{"context_length":-1}', "context_length is out of range", id="negative"),
        pytest.param(b'{"draft":[]}', "draft is no object", id="no draft"),
    ],
)
def test_what_is_no_config_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadConfig) as caught:
        Config.decode(data)
    assert caught.value.reason.startswith(reason)
