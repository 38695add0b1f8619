"""From the bytes of a Modelfile to a name in the store: the front door of building.

A build that read the same Modelfile and the same inputs as an earlier one is recognised by its
record and neither parsed nor built again; the parser and the builder are not even imported.
"""

import json
from collections.abc import Callable, Iterable
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

_RULES = 2  # Grows whenever the same Modelfile would build to something else.


_SKIPPED = "note: stops and BOS are checked once the vocabulary is known, as after create --budget"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be built, and how."""

    name: Name
    file: str  # the Modelfile's name, as findings show it
    data: bytes
    folder: str  # absolute; relative paths are seen from here
    dialect: Dialect = "mbuild"
    fresh: bool = False  # no record is believed
    strict: bool = False  # a warning is as bad as an error
    learn: bool = False  # the vocabulary is looked up, for all checks to be made


Review = Callable[[bytes], "tuple[Diagnostic, ...]"]
"""A last look at a manifest, before it gets its name: what there is to say of it."""


def create(
    order: Order, store: Store, tell: Tell, *, review: Review | None = None
) -> tuple[bytes | None, "tuple[Diagnostic, ...]"]:
    """Build *order* and give the result its name; the findings tell why if there is none.

    The result is the manifest's bytes, as they are in the store now.

    Raises:
        as :func:`mbuild.compiler.build.build`, what *review* raises, and OSError if the store
        cannot be written.
    """
    known = _unchanged(order, store, _key(order))
    quick = known is not None and review is None and not (order.strict and known[1])
    if known is not None and quick and store.confirm(order.name, known[0]):
        _retell(known[0], tell)
        tell(Status("writing manifest"))
        tell(Status("success"))
        return known
    created: set[Digest] = set()
    data = None
    try:
        with store.building():
            data, findings = _made(order, store, tell, review, created)
    finally:
        if data is None:
            store.abandon(created)
    return data, findings


def _made(
    order: Order, store: Store, tell: Tell, review: Review | None, created: set[Digest]
) -> tuple[bytes | None, "tuple[Diagnostic, ...]"]:
    """What :func:`create` gives; *created* gets the blobs that were not there before."""
    # Looked up again: before the lock was ours, a sweep may have taken the blobs.
    key = _key(order)
    known = _unchanged(order, store, key)
    built = None
    if known is not None:
        data, findings = known
        _retell(data, tell)
    else:
        built, findings = _build(order, store, tell, created)
        if built is None:
            return None, findings
        if built.skipped:
            tell(Status(_SKIPPED))
        data = built.manifest.encode()
    more = () if review is None else review(data)
    if order.strict and (findings or more):
        return None, (*findings, *more)
    if built is not None:
        _record(key, built, findings, store)
    tell(Status("writing manifest"))
    store.save(order.name, data, sources={"Modelfile": order.data})
    tell(Status("success"))
    return data, (*findings, *more)


def _retell(manifest: bytes, tell: Tell) -> None:
    """Say what a build would say that finds all layers already there."""
    tell(Status("gathering model components"))
    for layer in json.loads(manifest)["layers"] or []:
        tell(Status(f"using existing layer {layer['digest']}"))


def _build(
    order: Order, store: Store, tell: Tell, created: set[Digest]
) -> "tuple[Built | None, tuple[Diagnostic, ...]]":
    # Imported here: an unchanged Modelfile needs neither the parser nor the builder.
    from mbuild.compiler.build import build
    from mbuild.compiler.check import load

    recipe, findings = load(order.file, order.data, dialect=order.dialect)
    if recipe is None or (order.strict and findings):
        return None, findings
    built, more = build(
        recipe,
        order.folder,
        store,
        tell=tell,
        created=created,
        teach=order.dialect == "mbuild",
        fresh=order.fresh,
        strict=order.strict,
        learn=order.learn,
    )
    return built, tuple(sorted((*findings, *more), key=lambda finding: finding.span.start))


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
    if record["skipped"] and _can_check_more(order, record["skipped"], store):
        return None
    return record["manifest"].encode(), _findings(order, record["findings"])


def _can_check_more(order: Order, skipped: Iterable[str], store: Store) -> bool:
    """Whether a lookup that was not there, so that checks were *skipped*, is now."""
    return order.learn or any(store.recall(Digest.parse(key)) for key in skipped)


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
        "skipped": [str(digest) for digest in built.skipped],
        "manifest": built.manifest.encode().decode(),
        "blobs": [str(layer.digest) for layer in built.manifest.blobs],
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
