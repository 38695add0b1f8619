"""A model as ``/api/tags`` and ``/api/show`` describe it.

Source: the specification of the native API, sections 13 and 14.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mbuild.compiler import gguf
from mbuild.store.blobs import Blobs
from mbuild.store.contents import Contents
from mbuild.store.digest import Digest

_HIDDEN = {"general.name", "tokenizer.chat_template"}


def header(model: Contents, blobs: Blobs) -> gguf.Header | None:
    """What the weights of *model* say of themselves; None if there are none.

    Raises:
        MissingBlob, BadGguf: they are gone, or damaged.
    """
    if model.weights is None:
        return None
    return _read(blobs.path(model.weights.digest), model.weights.digest)


@lru_cache(maxsize=64)
def _read(path: str, _: Digest) -> gguf.Header:
    """The header of the blob at *path*, whose bytes never change."""
    return gguf.read(path)


def details(model: Contents) -> dict[str, Any]:
    """The summary that every description has."""
    config = model.config
    return {
        "parent_model": "",
        "format": config.model_format or "gguf",
        "family": config.model_family,
        "families": list(config.model_families) or None,
        "parameter_size": config.model_type,
        "quantization_level": config.file_type,
    }


def lengths(weights: gguf.Header | None) -> dict[str, int]:
    """How long a context, and how wide an embedding, the weights have."""
    if weights is None:
        return {}
    found = {key: weights.number(key) for key in ("context_length", "embedding_length")}
    return {key: value for key, value in found.items() if value}


def capabilities(model: Contents, weights: gguf.Header | None) -> list[str]:
    """What the model can do, in the reference's words and order."""
    found = list(model.config.capabilities)
    if weights is not None:
        found.append("embedding" if weights.number("pooling_type") is not None else "completion")
        if model.template is None:
            found += _of_jinja(weights.chat_template or "")
        if weights.number("vision.block_count"):
            found.append("vision")
    if model.projectors:
        found.append("vision")
    if model.template is not None:
        found += _of_template(model.template)
    return list(dict.fromkeys(found))


def parameters(model: Contents) -> str:
    """The parameters, one value on a line."""
    rows = [
        f"{key:<30} {_shown(each)}"
        for key, value in sorted(model.parameters.items())
        for each in (value if isinstance(value, list) else [value])
    ]
    return "\n".join(rows)


def model_info(weights: gguf.Header | None) -> dict[str, Any]:
    """The metadata of the weights."""
    if weights is None:
        return {}
    info: dict[str, Any] = {
        key: [] if isinstance(value, gguf.Array) else value
        for key, value in weights.metadata.items()
        if key not in _HIDDEN
    }
    return {**info, "general.parameter_count": weights.parameter_count}


def tensors(weights: gguf.Header | None) -> list[dict[str, Any]]:
    """The names, types and shapes of the tensors."""
    every = () if weights is None else weights.tensors
    return [{"name": each.name, "type": each.type, "shape": list(each.shape)} for each in every]


def _shown(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def _of_jinja(text: str) -> list[str]:
    words: Mapping[str, bool] = {
        "tools": "tools" in text or "tool_call" in text,
        "thinking": "<think>" in text and "</think>" in text,
    }
    return [word for word, has in words.items() if has]


@lru_cache(maxsize=64)
def _of_template(text: str) -> tuple[str, ...]:
    # Imported here: many models have no TEMPLATE, and the language takes some time.
    from mbuild.compiler.template.capabilities import thinking_tags, variables
    from mbuild.compiler.template.failure import BadTemplate
    from mbuild.compiler.template.reading import read

    try:
        tree = read(text)
    except BadTemplate:
        return ()
    names = variables(tree)
    can = {
        "tools": "tools" in names,
        "insert": "suffix" in names,
        "thinking": thinking_tags(tree) is not None,
    }
    return tuple(word for word, has in can.items() if has)
