"""Models in a store, made without a build."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mbuild.runtime.model import Model, open_model
from mbuild.store.blobs import Blobs
from mbuild.store.config import Config
from mbuild.store.manifest import Layer, Manifest, MediaType


class Shelf:
    """A folder of blobs, and manifests made of them."""

    def __init__(self, folder: Path) -> None:
        self.blobs = Blobs(folder)

    def layer(self, media_type: str, data: bytes) -> Layer:
        stored = self.blobs.put(data)
        return Layer(media_type, stored.digest, stored.size)

    def manifest(
        self,
        weights: Path | None,
        *more: tuple[MediaType, str],
        params: Mapping[str, Any] | None = None,
        messages: Sequence[Mapping[str, Any]] = (),
        config: Config | None = None,
    ) -> Manifest:
        layers = [] if weights is None else [self.layer(MediaType.MODEL, weights.read_bytes())]
        layers += [self.layer(kind, text.encode()) for kind, text in more]
        if params is not None:
            layers.append(self.layer(MediaType.PARAMS, json.dumps(params).encode()))
        if messages:
            layers.append(self.layer(MediaType.MESSAGES, json.dumps(messages).encode()))
        described = self.layer(MediaType.CONFIG, (config or Config()).encode())
        return Manifest(described, tuple(layers))

    def model(self, *given: Any, **options: Any) -> Model:
        return open_model("kid", self.manifest(*given, **options), self.blobs)
