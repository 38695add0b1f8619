"""Weights of a build made smaller: a recorded step, done once for each input and type."""

import os
from collections.abc import Callable

from mbuild.compiler import gguf
from mbuild.compiler.diagnostic import Code, Diagnostic
from mbuild.compiler.progress import Progress, Status, Tell
from mbuild.compiler.quantization import key, source_type, unfit
from mbuild.compiler.recipe import Located
from mbuild.compiler.ways import Unforeseen, Ways
from mbuild.store.blobs import Stored
from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer
from mbuild.store.store import Store


def quantized(
    layer: Layer,
    wanted: Located,
    store: Store,
    *,
    ways: Ways,
    tell: Tell,
    note: Callable[[Stored], None],
) -> tuple[Layer, bool] | Diagnostic:
    """*layer* with its weights made into the type that *wanted* names, or why they cannot be.

    And whether that was done just now.

    *note* is told what has been stored.

    Raises:
        CannotQuantize, EngineMissing: llama.cpp could not, or is not installed.
        OSError: the store cannot be written.
    """
    recorded = key(layer.digest, wanted.text)
    known = None if ways.fresh else _known(recorded, layer, store)
    if known is not None:
        return known, False
    header = gguf.read(store.blobs.path(layer.digest))
    reason = unfit(header, wanted.text, requantize=ways.requantize)
    if reason is not None:
        hint = "allow it with --requantize" if "already" in reason else None
        return Diagnostic(Code.BAD_QUANTIZATION, reason, wanted.span, hint)
    if source_type(header) == wanted.text:
        return layer, False
    if ways.foresee:
        raise Unforeseen("these weights were not quantized yet")
    with store.alone(recorded):
        # Whoever held the lock may have done it.
        known = None if ways.fresh else _known(recorded, layer, store)
        if known is not None:
            return known, False
        stored = _made(layer, wanted.text, source_type(header), store, ways, tell)
        note(stored)
        store.record(recorded, str(stored.digest).encode())
    return Layer(layer.media_type, stored.digest, stored.size), True


def _known(recorded: Digest, layer: Layer, store: Store) -> Layer | None:
    """What an earlier build made of *layer*, if it is still there."""
    known = store.recall(recorded)
    digest = None if known is None else Digest.parse(known.decode())
    if digest is None or digest not in store.blobs:
        return None
    store.blobs.touch(digest)
    return Layer(layer.media_type, digest, store.blobs.size(digest))


def _made(layer: Layer, wanted: str, source: str, store: Store, ways: Ways, tell: Tell) -> Stored:
    assert ways.quantizer is not None, "whoever builds brings one"
    label = f"quantizing {source} model to {wanted}"
    os.makedirs(store.scratch, exist_ok=True)
    target = os.path.join(store.scratch, f"{layer.digest.short}-{wanted}-{os.getpid()}.gguf")
    try:
        ways.quantizer(
            store.blobs.path(layer.digest),
            target,
            wanted,
            lambda done, total: tell(Progress(label, done, total)),
        )
        stored = store.blobs.take(target)
    finally:
        if os.path.exists(target):
            os.unlink(target)
    tell(Status(f"{label} 100%"))
    return stored
