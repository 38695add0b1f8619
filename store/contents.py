"""What a manifest's layers say, read as the reference reads them.

Source: the reference's on-disk format: which media types there are, and whether the last one
wins, all count, or they are merged.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mbuild.store.blobs import Blobs
from mbuild.store.config import Config
from mbuild.store.digest import Digest
from mbuild.store.gojson import Json
from mbuild.store.manifest import Layer, Manifest, MediaType


class BadLayer(ValueError):
    """A layer that does not hold what its media type promises."""

    def __init__(self, layer: Layer, reason: str) -> None:
        super().__init__(f"layer {layer.digest} ({layer.media_type}) {reason}")
        self.layer = layer
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Contents:
    """The parts of a model. ``None`` and empty tuples stand for layers that are not there."""

    config: Config
    weights: Layer | None
    projectors: tuple[Layer, ...]
    adapters: tuple[Layer, ...]
    scales: tuple[float, ...]  # one for each of the adapters; 1.0 where none is said
    draft: Layer | None
    template: str | None
    system: str | None
    parameters: Mapping[str, Json]
    messages: tuple[Mapping[str, Json], ...]
    licenses: tuple[str, ...]
    schema: str | None  # the JSON schema that answers follow, as its author wrote it
    unknown: tuple[Layer, ...]  # media types that no rule here knows


_WEIGHTS = {MediaType.MODEL, MediaType.PROJECTOR, MediaType.ADAPTER, MediaType.DRAFT}
_TEXTS = {
    MediaType.TEMPLATE,
    MediaType.PROMPT,
    MediaType.SYSTEM,
    MediaType.PARAMS,
    MediaType.MESSAGES,
    MediaType.LICENSE,
    MediaType.SCHEMA,
    MediaType.SCALES,
}
# What a 32-bit float can hold, which is how llama.cpp takes a scale.
_LARGEST_SCALE = 3.4e38


def contents(manifest: Manifest, blobs: Blobs) -> Contents:
    """What *manifest* holds. Reads the texts, and no weights.

    Raises:
        MissingBlob: a text layer is not in the store.
        BadConfig, BadLayer: a blob is not what it is said to be.
    """
    template = _last(manifest, MediaType.TEMPLATE, MediaType.PROMPT)
    system = _last(manifest, MediaType.SYSTEM)
    schema = _last(manifest, MediaType.SCHEMA)
    return Contents(
        config=_config(manifest, blobs),
        weights=_last(manifest, MediaType.MODEL),
        projectors=manifest.of_type(MediaType.PROJECTOR),
        adapters=manifest.of_type(MediaType.ADAPTER),
        scales=scales(manifest.layers, blobs),
        draft=_last(manifest, MediaType.DRAFT),
        template=None if template is None else text(blobs, template.digest),
        system=None if system is None else text(blobs, system.digest),
        parameters=parameters(manifest.layers, blobs),
        messages=_messages(manifest, blobs),
        licenses=tuple(text(blobs, layer.digest) for layer in manifest.of_type(MediaType.LICENSE)),
        schema=None if schema is None else text(blobs, schema.digest),
        unknown=tuple(
            layer
            for layer in manifest.layers
            if layer.media_type not in _WEIGHTS and layer.media_type not in _TEXTS
        ),
    )


def text(blobs: Blobs, digest: Digest) -> str:
    """The text in a blob; what is no UTF-8 becomes U+FFFD, as in the reference."""
    return blobs.read(digest).decode("utf-8", "replace")


def _last(manifest: Manifest, *media_types: str) -> Layer | None:
    found = [layer for layer in manifest.layers if layer.media_type in media_types]
    return found[-1] if found else None


def _config(manifest: Manifest, blobs: Blobs) -> Config:
    if manifest.config is None:
        return Config()
    return Config.decode(blobs.read(manifest.config.digest))


def parameters(layers: Iterable[Layer], blobs: Blobs) -> dict[str, Json]:
    """The options of all parameter layers among *layers*, merged; a later one wins.

    Raises:
        MissingBlob, BadLayer: as :func:`contents`.
    """
    merged: dict[str, Json] = {}
    for layer in layers:
        if layer.media_type != MediaType.PARAMS:
            continue
        value = _json(layer, blobs)
        if value is not None and not isinstance(value, Mapping):
            raise BadLayer(layer, "is no JSON object")
        merged.update(value or {})
    return merged


def _messages(manifest: Manifest, blobs: Blobs) -> tuple[Mapping[str, Json], ...]:
    layer = _last(manifest, MediaType.MESSAGES)
    value = None if layer is None else _json(layer, blobs)
    if layer is None or value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(turn, Mapping) for turn in value):
        raise BadLayer(layer, "is no list of messages")
    return tuple(value)


def scales(layers: Iterable[Layer], blobs: Blobs) -> tuple[float, ...]:
    """The scale of each adapter among *layers*: the first said for its digest and not yet taken.

    Raises:
        MissingBlob, BadLayer: as :func:`contents`.
    """
    layers = list(layers)
    saying = [layer for layer in layers if layer.media_type == MediaType.SCALES]
    said = [each for layer in saying[-1:] for each in _said_scales(layer, blobs)]
    scales = []
    for adapter in layers:
        if adapter.media_type != MediaType.ADAPTER:
            continue
        found = next((pair for pair in said if pair[0] == str(adapter.digest)), None)
        if found is not None:
            said.remove(found)
        scales.append(1.0 if found is None else found[1])
    return tuple(scales)


def _said_scales(layer: Layer, blobs: Blobs) -> Iterator[tuple[str, float]]:
    value = _json(layer, blobs)
    if not isinstance(value, list):
        raise BadLayer(layer, "is no list of adapters")
    for each in value:
        if not isinstance(each, Mapping) or not isinstance(each.get("digest"), str):
            raise BadLayer(layer, "names no adapter")
        scale = each.get("scale")
        # Not above, for what is no number at all compares as false.
        if not isinstance(scale, float) or not abs(scale) <= _LARGEST_SCALE:
            raise BadLayer(layer, f"has no scale for {each['digest']}")
        yield str(each["digest"]), scale


def _json(layer: Layer, blobs: Blobs) -> Json:
    try:
        # As in the reference, every number is a 64-bit float.
        value: Json = json.loads(blobs.read(layer.digest), parse_int=float)
    except (ValueError, RecursionError) as error:
        raise BadLayer(layer, f"is no JSON: {error}") from None
    return value
