"""What a model is made of, and the exact bytes that say so.

A manifest is one line of JSON that lists layers: blobs with a purpose. A config is one more
blob, which describes the weights. Both are written to the byte as the reference writes them,
since a model's ID is the digest of its manifest; both are read from any JSON that has the
fields, whoever wrote it, and nothing in it is believed: sizes are whole and not negative,
digests are digests.

Source: the reference's on-disk format (fields, their order, what is omitted when empty).
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mbuild.store import gojson
from mbuild.store.digest import BadDigest, Digest
from mbuild.store.fields import BadField, text, whole

_DECODER = json.JSONDecoder()

_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


class MediaType(StrEnum):
    """What a layer is for. A layer may have a type that is not listed here: it is kept."""

    CONFIG = "application/vnd.docker.container.image.v1+json"
    MODEL = "application/vnd.ollama.image.model"
    PROJECTOR = "application/vnd.ollama.image.projector"
    ADAPTER = "application/vnd.ollama.image.adapter"
    DRAFT = "application/vnd.ollama.image.draft"
    TEMPLATE = "application/vnd.ollama.image.template"
    PROMPT = "application/vnd.ollama.image.prompt"  # An old name of TEMPLATE.
    SYSTEM = "application/vnd.ollama.image.system"
    PARAMS = "application/vnd.ollama.image.params"
    MESSAGES = "application/vnd.ollama.image.messages"
    LICENSE = "application/vnd.ollama.image.license"
    EMBED = "application/vnd.ollama.image.embed"  # Obsolete, ignored by all.
    TENSOR = "application/vnd.ollama.image.tensor"
    JSON = "application/vnd.ollama.image.json"
    # Only mbuild knows these; the reference keeps them and reads neither.
    SCHEMA = "application/vnd.mbuild.schema"
    SCALES = "application/vnd.mbuild.adapters"


class BadManifest(ValueError):
    """Bytes that are no manifest; *reason* says what is wrong with them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob with a purpose."""

    media_type: str
    digest: Digest
    size: int  # bytes, as the manifest has it: nobody has looked at the blob
    origin: str = ""  # "from" in JSON: the short name of the model that it was taken from
    name: str = ""  # of a tensor or a file: only in models that are split into tensors

    def to_json(self) -> dict[str, gojson.Json]:
        """The fields in the order in which they are written."""
        fields: dict[str, gojson.Json] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.origin:
            fields["from"] = self.origin
        if self.name:
            fields["name"] = self.name
        return fields


@dataclass(frozen=True, slots=True)
class Manifest:
    """The layers of a model, in order, and its config (the reference can do without one)."""

    config: Layer | None
    layers: tuple[Layer, ...]

    @property
    def blobs(self) -> tuple[Layer, ...]:
        """All that the model needs: its layers, then its config. A blob may stand here twice."""
        return self.layers if self.config is None else (*self.layers, self.config)

    @property
    def size(self) -> int:
        """Bytes of all layers and the config, as written; what stands twice counts twice."""
        return sum(layer.size for layer in self.blobs)

    def of_type(self, media_type: str) -> tuple[Layer, ...]:
        """The layers of one type, in order."""
        return tuple(layer for layer in self.layers if layer.media_type == media_type)

    def encode(self) -> bytes:
        """The bytes that the reference writes for this manifest."""
        empty: gojson.Json = {"mediaType": "", "digest": "", "size": 0}
        fields: gojson.Json = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "config": empty if self.config is None else self.config.to_json(),
            "layers": [layer.to_json() for layer in self.layers] or None,
        }
        return f"{gojson.encode(fields)}\n".encode()

    @classmethod
    def decode(cls, data: bytes) -> "Manifest":
        """The manifest that *data* holds, in whatever order and with whatever else.

        Raises:
            BadManifest: no JSON object, or a layer without a digest, or a field whose value
                cannot be what it is for.

        """
        return parse(data)[0]


def parse(data: bytes) -> tuple[Manifest, Digest]:
    """The manifest that *data* holds, and its ID.

    The ID is the digest of what the reference's JSON reader takes from the file before it has
    the whole value. It reads into a buffer that grows to 512, 1536, 3584, … bytes, so what
    follows the value (mostly one line feed) is left out where the value just fills it.

    Raises:
        BadManifest: as :meth:`Manifest.decode`.

    """
    if not data:
        raise BadManifest("it is empty")
    value, end = _first_value(data.decode("utf-8", "replace"))
    if not data.isascii():
        # One character for each byte, so that the end is counted in bytes.
        _, end = _first_value(data.decode("latin-1"))
    if not isinstance(value, dict):
        raise BadManifest("not a JSON object")
    return _manifest(value), Digest.of(data[: _read_ahead(end)])


def identity(data: bytes) -> Digest:
    """The ID of the manifest with these bytes.

    Raises:
        BadManifest: as :meth:`Manifest.decode`.

    """
    return parse(data)[1]


def _first_value(text: str) -> tuple[object, int]:
    """The first JSON value in *text* and where it ends: the reference reads no further."""
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise BadManifest(f"not JSON: {error}") from None
    return value, end


def _read_ahead(length: int) -> int:
    capacity = 512
    while capacity < length:
        capacity = 2 * capacity + 512
    return capacity


def _manifest(fields: Mapping[str, object]) -> Manifest:
    layers = fields.get("layers")
    if layers is not None and not isinstance(layers, list):
        raise BadManifest("layers is no list")
    return Manifest(_config_layer(fields.get("config")), tuple(_layers(layers or ())))


def _config_layer(value: object) -> Layer | None:
    if value is None or (isinstance(value, dict) and value.get("digest") in (None, "")):
        return None
    try:
        return _layer(value)
    except (BadDigest, BadField) as error:
        raise BadManifest(f"config: {error}") from None


def _layers(values: Iterable[object]) -> Iterator[Layer]:
    for number, value in enumerate(values, 1):
        try:
            layer = _layer(value)
        except (BadDigest, BadField) as error:
            raise BadManifest(f"layer {number}: {error}") from None
        yield layer


def _layer(value: object) -> Layer:
    if not isinstance(value, dict):
        raise BadField("no object")
    return Layer(
        text(value, "mediaType"),
        Digest.parse(text(value, "digest")),
        whole(value, "size"),
        text(value, "from"),
        text(value, "name"),
    )
