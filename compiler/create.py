"""From the bytes of a Modelfile to a name in the store: the front door of building.

A build that read the same Modelfile and the same inputs as an earlier one is recognised by its
record and neither parsed nor built again; the parser and the builder are not even imported.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mbuild.compiler import inputs
from mbuild.compiler.progress import Status, Tell
from mbuild.store.digest import Digest
from mbuild.store.manifest import Manifest
from mbuild.store.name import Name
from mbuild.store.store import Store

if TYPE_CHECKING:
    from mbuild.compiler.build import Built
    from mbuild.compiler.diagnostic import Diagnostic

Dialect = Literal["mbuild", "ollama"]

_RULES = 1  # Grows whenever the same Modelfile would build to something else.


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built, and how."""

    name: Name
    file: str  # the Modelfile's name, as findings show it
    data: bytes
    folder: str  # absolute; relative paths are seen from here
    dialect: Dialect = "mbuild"
    fresh: bool = False  # no record is believed


def create(
    order: Order, store: Store, tell: Tell
) -> tuple[Manifest | None, "tuple[Diagnostic, ...]"]:
    """Build *order* and give the result its name; the findings hold an error if there is none.

    Raises:
        as :func:`mbuild.compiler.build.build`, and OSError if the store cannot be written.
    """
    with store.building():
        key = _key(order)
        known = None if order.fresh else _unchanged(order, store, key)
        if known is not None:
            manifest, findings = known
            tell(Status("gathering model components"))
            for layer in manifest.layers:
                tell(Status(f"using existing layer {layer.digest}"))
        else:
            built, findings = _build(order, store, tell)
            if built is None:
                return None, findings
            manifest = built.manifest
            _record(key, built, findings, store)
        tell(Status("writing manifest"))
        store.save(order.name, manifest, sources={"Modelfile": order.data})
        tell(Status("success"))
        return manifest, findings


def _build(order: Order, store: Store, tell: Tell) -> "tuple[Built | None, tuple[Diagnostic, ...]]":
    # Imported here: an unchanged Modelfile needs neither the parser nor the builder.
    from mbuild.compiler.build import build
    from mbuild.compiler.check import load

    recipe, findings = load(order.file, order.data, dialect=order.dialect)
    if recipe is None:
        return None, findings
    built, more = build(
        recipe,
        order.folder,
        store,
        tell=tell,
        paths_must_exist=order.dialect == "mbuild",
        fresh=order.fresh,
    )
    return built, (*findings, *more)


def _key(order: Order) -> Digest:
    """The key of what *order* builds to, as long as no input changes. The name is no part of it."""
    parts = [_RULES, order.dialect, order.folder, str(Digest.of(order.data))]
    return Digest.of(json.dumps(parts).encode())


def _unchanged(
    order: Order, store: Store, key: Digest
) -> "tuple[Manifest, tuple[Diagnostic, ...]] | None":
    """What an earlier build made, if its inputs are the same and its blobs still there."""
    recorded = store.recall(key)
    if recorded is None:
        return None
    record = json.loads(recorded)
    if not all(inputs.same(tuple(entry), store) for entry in record["inputs"]):
        return None
    manifest = Manifest.decode(record["manifest"].encode())
    if not all(layer.digest in store.blobs for layer in manifest.blobs):
        return None
    return manifest, _findings(order, record["findings"])


def _record(key: Digest, built: "Built", findings: "Iterable[Diagnostic]", store: Store) -> None:
    # A file that changed too short a time ago has no trusted stamp, so nothing is recorded.
    if not all(inputs.same(entry, store) for entry in built.inputs):
        return
    rows = [
        [finding.code.name, finding.message, finding.span.start, finding.span.end, finding.hint]
        for finding in findings
    ]
    record = {
        "inputs": built.inputs,
        "manifest": built.manifest.encode().decode(),
        "findings": rows,
    }
    store.record(key, json.dumps(record).encode())


def _findings(order: Order, rows: list[list[str]]) -> "tuple[Diagnostic, ...]":
    if not rows:
        return ()
    from mbuild.compiler.diagnostic import Code, Diagnostic, Span
    from mbuild.compiler.source import decode

    source = decode(order.file, order.data)
    return tuple(
        Diagnostic(Code[code], message, Span(source, int(start), int(end)), hint)
        for code, message, start, end, hint in rows
    )
