"""A manifest, opened: everything that answering needs to know of a model.

Reads the texts and the header of the weights, and starts nothing. What llama.cpp will be given
has been looked at by memory-safe code first.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mbuild.compiler import gguf
from mbuild.runtime.engine import Adapter
from mbuild.runtime.message import BadMessage, Message, from_json
from mbuild.store.blobs import Blobs, MissingBlob
from mbuild.store.config import Config
from mbuild.store.contents import Contents, contents
from mbuild.store.gojson import Json
from mbuild.store.manifest import Layer, Manifest


class Unanswering(Exception):
    """A model that cannot answer, because of what it is; the text says why."""

    def __init__(self, name: str, reason: str, *, embeds: bool = False) -> None:
        super().__init__(f"{name} {reason}")
        self.name = name
        self.reason = reason
        self.embeds = embeds  # whether it makes vectors instead


@dataclass(frozen=True, slots=True)
class Model:
    """What a name in the store stands for."""

    name: str
    config: Config
    weights: str  # path of a GGUF file
    adapters: tuple[Adapter, ...]
    projectors: tuple[str, ...]  # paths; the first is used
    template: str | None  # in Go's template language
    system: str
    messages: tuple[Message, ...]  # examples
    options: Mapping[str, Json]
    licenses: tuple[str, ...]
    header: gguf.Header
    schema: str | None = None  # JSON: what answers look like unless a request says otherwise

    @property
    def chat_template(self) -> str | None:
        """The Jinja text in the weights, if they have one."""
        return self.header.chat_template or None


def open_model(name: str, manifest: Manifest, blobs: Blobs) -> Model:
    """The model that *manifest* describes, called *name* in errors.

    Raises:
        MissingBlob: a layer is not in the store.
        BadConfig, BadLayer: a layer is not what it is said to be.
        BadGguf: the weights, an adapter or a projector are not what llama.cpp should be given.
        Unanswering: there are no weights, or they are not for answering.
    """
    held = contents(manifest, blobs)
    if held.weights is None:
        raise Unanswering(name, "has no weights")
    weights = _path(held.weights, blobs)
    header = gguf.read(weights)
    if (header.number("split.count") or 0) > 1:
        raise Unanswering(name, "has one part of a split model as its weights, not the whole")
    if header.number(f"{header.architecture}.pooling_type") is not None:
        raise Unanswering(name, "is an embedding model: it cannot chat", embeds=True)
    adapters = tuple(
        Adapter(_path(layer, blobs), scale)
        for layer, scale in zip(held.adapters, held.scales, strict=True)
    )
    projectors = tuple(_path(layer, blobs) for layer in held.projectors)
    for path in (*(adapter.path for adapter in adapters), *projectors):
        gguf.read(path)
    return Model(
        name=name,
        config=held.config,
        weights=weights,
        adapters=adapters,
        projectors=projectors,
        template=held.template,
        system=held.system or "",
        messages=_messages(name, held),
        options=held.parameters,
        licenses=held.licenses,
        schema=held.schema,
        header=header,
    )


def _path(layer: Layer, blobs: Blobs) -> str:
    if layer.digest not in blobs:
        raise MissingBlob(layer.digest)
    return blobs.path(layer.digest)


def _messages(name: str, held: Contents) -> tuple[Message, ...]:
    try:
        return tuple(map(from_json, held.messages))
    except BadMessage as error:
        raise Unanswering(name, f"has a damaged example: {error}") from None
