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


def create(order: Order, store: Store, tell: Tell) -> tuple[bytes | None, "tuple[Diagnostic, ...]"]:
    """Build *order* and give the result its name; the findings hold an error if there is none.

    The result is the manifest's bytes, as they are in the store now.

    Raises:
        as :func:`mbuild.compiler.build.build`, and OSError if the store cannot be written.
    """
    key = _key(order)
    known = _unchanged(order, store, key)
    if known is not None and store.confirm(order.name, known[0]):
        _retell(known[0], tell)
        tell(Status("writing manifest"))
        tell(Status("success"))
        return known
    with store.building():
        # Looked up again: before the lock was ours, a sweep may have taken the blobs.
        known = _unchanged(order, store, key)
        if known is not None:
            data, findings = known
            _retell(data, tell)
        else:
            built, findings = _build(order, store, tell)
            if built is None:
                return None, findings
            data = built.manifest.encode()
            _record(key, built.inputs, data, findings, store)
        tell(Status("writing manifest"))
        store.save(order.name, data, sources={"Modelfile": order.data})
        tell(Status("success"))
        return data, findings


def _retell(manifest: bytes, tell: Tell) -> None:
    """Say what a build would say that finds all layers already there."""
    tell(Status("gathering model components"))
    for layer in json.loads(manifest)["layers"] or []:
        tell(Status(f"using existing layer {layer['digest']}"))


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
) -> "tuple[bytes, tuple[Diagnostic, ...]] | None":
    """What an earlier build made, if its inputs are the same and its blobs still there."""
    recorded = None if order.fresh else store.recall(key)
    if recorded is None:
        return None
    record = json.loads(recorded)
    if not all(inputs.same(tuple(entry), store) for entry in record["inputs"]):
        return None
    if not all(Digest.parse(digest) in store.blobs for digest in record["blobs"]):
        return None
    return record["manifest"].encode(), _findings(order, record["findings"])


def _record(
    key: Digest,
    read: "Iterable[inputs.Input]",
    manifest: bytes,
    findings: "Iterable[Diagnostic]",
    store: Store,
) -> None:
    # A file that changed too short a time ago has no trusted stamp, so nothing is recorded.
    entries = list(read)
    if not all(inputs.same(entry, store) for entry in entries):
        return
    from mbuild.store.manifest import Manifest

    rows = [
        [finding.code.name, finding.message, finding.span.start, finding.span.end, finding.hint]
        for finding in findings
    ]
    record = {
        "inputs": entries,
        "manifest": manifest.decode(),
        "blobs": [str(layer.digest) for layer in Manifest.decode(manifest).blobs],
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
