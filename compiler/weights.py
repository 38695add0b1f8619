"""What a build must know of a GGUF file: a few lines, kept by its digest.

A header with a large vocabulary takes a tenth of a second to read, and a blob never changes,
so its summary is read once and recorded in the store.
"""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mbuild.store.digest import Digest
from mbuild.store.manifest import MediaType
from mbuild.store.store import Store

if TYPE_CHECKING:
    from mbuild.compiler import gguf

_KEY = "weights summary 2 "  # The number grows when a field or a rule below changes.


@dataclass(frozen=True, slots=True)
class Weights:
    """The summary of one GGUF file."""

    media_type: str
    architecture: str
    parameter_count: int  # elements in all tensors
    file_type: str
    chat_template: bool
    tools: bool  # its chat template has a place for tools
    thinking: bool  # its chat template knows of thinking
    context_length: int | None  # tokens
    embedding_length: int | None
    vision: bool
    audio: bool
    pooled: bool  # an embedding model
    split_count: int  # shards that the file is one of; 0 for a whole file


def summary(store: Store, digest: Digest) -> Weights:
    """The summary of the blob *digest*.

    Raises:
        MissingBlob: the store has no such blob.
        BadGguf: it is no whole GGUF file.
    """
    key = Digest.of((_KEY + str(digest)).encode())
    known = store.recall(key)
    if known is not None and digest in store.blobs:
        return Weights(**json.loads(known))
    from mbuild.compiler import gguf

    store.blobs.size(digest)  # Raises for a blob that is not there.
    weights = summarise(gguf.read(store.blobs.path(digest)))
    store.record(key, json.dumps(asdict(weights)).encode())
    return weights


def summarise(header: "gguf.Header") -> Weights:
    """The summary that *header* gives."""
    jinja = header.chat_template or ""
    return Weights(
        media_type=_media_type(header),
        architecture=header.architecture,
        parameter_count=header.parameter_count,
        file_type=header.file_type,
        chat_template=header.chat_template is not None,
        tools="tools" in jinja or "tool_call" in jinja,
        thinking=_thinks(jinja),
        context_length=header.number("context_length"),
        embedding_length=header.number("embedding_length"),
        vision=bool(header.number("vision.block_count")),
        audio=bool(header.number("audio.block_count")),
        pooled=header.number("pooling_type") is not None,
        split_count=header.number("split.count") or 0,
    )


def _thinks(jinja: str) -> bool:
    """The reference's guess (template specification, section 6)."""
    if "<think>" in jinja and "</think>" in jinja:
        return True
    splits = "content.split('</think>')" in jinja or 'content.split("</think>")' in jinja
    return splits and "reasoning_content" not in jinja and "<SPECIAL_12>" not in jinja


def _media_type(header: "gguf.Header") -> str:
    """The reference's table (create specification, section 4.3), but for drafts."""
    kind = header.text("general.type")
    if kind == "adapter":
        return MediaType.ADAPTER
    if kind in {"projector", "mmproj"}:
        return MediaType.PROJECTOR
    architecture = header.architecture
    if header.metadata.get(f"{architecture}.block_count"):
        return MediaType.MODEL
    if (header.number("vision.block_count") or 0) > 0:
        return MediaType.PROJECTOR
    if architecture == "clip" and (
        header.flag("clip.has_vision_encoder") or header.flag("clip.has_audio_encoder")
    ):
        return MediaType.PROJECTOR
    return MediaType.MODEL
