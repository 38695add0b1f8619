"""``/api/embed`` and ``/api/embeddings``: texts to vectors.

Source: the specification of the native API, section 10.
"""

import math
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from mbuild.runtime.api.ollama import Embed, Embeddings, embeddings
from mbuild.runtime.pool import Borrowed, CannotEmbed, Ticket
from mbuild.runtime.service import Refused, Service

_LEAST = 1e-12  # what a length is at least, so that nothing divides by 0


def embed(service: Service, asked: Embed, ticket: Ticket) -> dict[str, Any]:
    """The vectors of one or more texts, each of length 1, in their order.

    Raises:
        Refused: no such model, no texts, or a text that is too long.
        CannotEmbed: the engine makes no vectors.
    """
    begun = time.perf_counter_ns()
    name, load = service.load_of(
        asked.model, asked.options, missing=_missing(asked.model, quoted=bool(asked.model))
    )
    texts = _texts(asked.input)
    with closing(service.borrow(name.short, load, asked.keep_alive, ticket)) as engine:
        loaded = time.perf_counter_ns()
        if not texts:
            return {"model": asked.model, "embeddings": []}
        tokens = [_tokens(engine, text, truncate=asked.truncate) for text in texts]
        found = [_normalized(each, asked.dimensions) for each in engine.embed(tokens)]
    count = sum(map(len, tokens))
    total = time.perf_counter_ns() - begun
    return embeddings(asked.model, found, count, total, loaded - begun)


def embedding(service: Service, asked: Embeddings, ticket: Ticket) -> dict[str, Any]:
    """The vector of one text, as the engine gives it. Raises as `embed`."""
    if not asked.model:
        raise Refused(400, "model is required")
    name, load = service.load_of(
        asked.model, asked.options, missing=_missing(asked.model, quoted=True)
    )
    with closing(service.borrow(name.short, load, asked.keep_alive, ticket)) as engine:
        if not asked.prompt:
            return {"embedding": []}
        (vector,) = engine.embed([_tokens(engine, asked.prompt, truncate=True)])
    return {"embedding": _finite(vector)}


def _missing(model: str, *, quoted: bool) -> str:
    return f'model "{model}" not found, try pulling it first' if quoted else "model '' not found"


def _texts(value: Any) -> list[str]:
    """The texts of an ``input``; a single empty one, or none, only loads the model."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    raise Refused(400, "invalid input type")


def _tokens(engine: Borrowed, text: str, *, truncate: bool) -> Sequence[int]:
    limit = engine.loaded.embed_ctx
    if not limit:
        raise CannotEmbed
    tokens = engine.tokenize(text) or engine.tokenize(" ")
    if len(tokens) > limit and not truncate:
        message = "the input length exceeds the context length"
        raise Refused(400, message, prompt_tokens=len(tokens), num_ctx=limit)
    return tokens[:limit]


def _normalized(vector: Sequence[float], dimensions: int) -> list[float]:
    whole = _unit(_finite(vector))
    return _unit(whole[:dimensions]) if 0 < dimensions < len(whole) else whole


def _unit(vector: Sequence[float]) -> list[float]:
    length = max(math.hypot(*vector), _LEAST)
    return [value / length for value in vector]


def _finite(vector: Sequence[float]) -> list[float]:
    if not all(map(math.isfinite, vector)):
        raise Refused(400, "embedding contains NaN or Inf values")
    return list(vector)
