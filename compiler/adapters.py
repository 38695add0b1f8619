"""Whether an adapter was made for the model that it is put upon.

The rules are those by which llama.cpp refuses one (its `llama-adapter.cpp`): the same
architecture, and for each pair of low-rank matrices a tensor of the base whose rows and columns
they have. Told when a model is built, not when it is first run.
"""

from collections.abc import Iterable, Mapping
from math import isfinite

from mbuild.compiler import gguf
from mbuild.compiler.components import bad_source
from mbuild.compiler.diagnostic import Diagnostic
from mbuild.compiler.gguf import Header
from mbuild.compiler.recipe import Located
from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, MediaType
from mbuild.store.store import Store

_A, _B = ".lora_a", ".lora_b"
_HINT = "an adapter fits only the model that it was trained on"


def misfits(
    base: Iterable[Layer], adapters: Iterable[tuple[Located, Layer]], store: Store
) -> list[Diagnostic]:
    """A finding for each of the *adapters* that does not fit the model among the *base* layers."""
    weights = [layer.digest for layer in base if layer.media_type == MediaType.MODEL][:1]
    return [
        bad_source(located, f"{located.text}: {reason}", _HINT)
        for located, layer in adapters
        for digest in weights
        if (reason := _known_misfit(digest, layer.digest, store))
    ]


def _known_misfit(base: Digest, adapter: Digest, store: Store) -> str:
    """The same as `misfit`, of two blobs, which are compared once; empty if there is none."""
    key = Digest.of(f"adapter 1 {base} {adapter}".encode())
    known = store.recall(key)
    if known is not None:
        return known.decode()
    path = store.blobs.path
    reason = misfit(gguf.read(path(base)), gguf.read(path(adapter))) or ""
    store.record(key, reason.encode())
    return reason


def misfit(base: Header, adapter: Header) -> str | None:
    """Why *adapter* cannot be put upon *base*, if so."""
    if adapter.architecture != base.architecture:
        return f"the adapter is for {adapter.architecture}, the model is {base.architecture}"
    kind = adapter.text("adapter.type")
    if kind != "lora":
        return f"its adapter.type is {kind or 'missing'}, not lora"
    alpha = adapter.metadata.get("adapter.lora.alpha", 0.0)
    if not isinstance(alpha, float) or not isfinite(alpha):
        return f"its adapter.lora.alpha is {alpha!r}"
    shapes = {tensor.name: (*tensor.shape, 1, 1)[:2] for tensor in adapter.tensors}
    of_base = {tensor.name: (*tensor.shape, 1, 1)[:2] for tensor in base.tensors}
    if not any(name.endswith(_A) for name in shapes):
        return "it has no low-rank matrices (*.lora_a)"
    for name in shapes:
        reason = _misplaced(name, shapes, of_base)
        if reason is not None:
            return reason
    return None


_Shapes = Mapping[str, tuple[int, ...]]  # columns, rows


def _misplaced(name: str, shapes: _Shapes, base: _Shapes) -> str | None:
    if name.endswith("_norm.weight"):
        return None  # llama.cpp passes over them.
    if not name.endswith((_A, _B)):
        return f"its tensor {name} is neither a {_A} nor a {_B}"
    target, half = name[: -len(_A)], name[-len(_A) :]
    if target + (_B if half == _A else _A) not in shapes:
        return f"{name} has no {_B if half == _A else _A} beside it"
    if target not in base:
        return f"it changes {target}, which the model does not have"
    return None if half == _B else _shapeless(target, shapes, base[target])


def _shapeless(target: str, shapes: _Shapes, wanted: tuple[int, ...]) -> str | None:
    """Why the matrices for *target*, of *wanted* columns and rows, do not fit it."""
    first, second = shapes[target + _A], shapes[target + _B]
    # Rows of embeddings are looked up, so llama.cpp has these two the other way round.
    is_table = target.endswith("token_embd.weight")
    made = (second[1], first[1]) if is_table else (first[0], second[1])
    ranks = (first[0], second[0]) if is_table else (first[1], second[0])
    if made != wanted:
        return f"its {target} is for {_size(made)}, the model's has {_size(wanted)}"
    if ranks[0] != ranks[1]:
        return f"the matrices for {target} have ranks of {ranks[0]} and {ranks[1]}"
    return None


def _size(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))
