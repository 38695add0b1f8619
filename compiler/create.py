"""From the bytes of a Modelfile to a name in the store: the front door of building.

A build that read the same Modelfile and the same inputs as an earlier one is recognised by its
record and neither parsed nor built again; the parser and the builder are not even imported.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mbuild.compiler import inputs
from mbuild.compiler.progress import Status, Tell
from mbuild.store.digest import Digest
from mbuild.store.name import Name
from mbuild.store.store import Store

if TYPE_CHECKING:
    from mbuild.compiler.build import Built
    from mbuild.compiler.diagnostic import Diagnostic, Span
    from mbuild.compiler.inputs import Input
    from mbuild.compiler.quantization import Quantizer
    from mbuild.compiler.recipe import Recipe
    from mbuild.compiler.texts import Folder

Dialect = Literal["mbuild", "ollama"]

_RULES = 4  # Grows whenever the same Modelfile would build to something else.


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
    fresh_steps: frozenset[str] = frozenset()  # nor those of these steps
    some_steps: bool = False  # it need not have them all
    strict: bool = False  # a warning is as bad as an error
    learn: bool = False  # the vocabulary is looked up, for all checks to be made
    arguments: Mapping[str, str] = field(default_factory=dict)  # --build-arg
    target: str | None = None  # the stage to build; None: the last one
    allow_outside: bool = False  # texts and included files may lie outside of the folder
    quantize: str | None = None  # goes before the Modelfile's QUANTIZE
    requantize: bool = False  # weights that were quantized before may be quantized again
    quantizer: "Quantizer | None" = None
    refuse_schema: Callable[[str], str | None] | None = None  # why none can follow it
    link: Literal["never", "auto", "always"] = "auto"  # whether a hard link may save a copy


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
    earlier = known(order, store)
    quick = earlier is not None and review is None and not (order.strict and earlier.rows)
    if earlier is not None and quick and store.confirm(order.name, earlier.manifest):
        _retell(earlier.manifest, tell)
        tell(Status("writing manifest"))
        tell(Status("success"))
        return earlier.manifest, _findings(order, earlier.rows)
    created: set[Digest] = set()
    passing: set[Digest] = set()
    data = None
    try:
        with store.building():
            data, findings = _made(order, store, tell, review, created, passing)
    finally:
        store.abandon(created if data is None else created & passing)
    return data, findings


def read(order: Order) -> "tuple[Recipe | None, tuple[Diagnostic, ...], Folder]":
    """The recipe that *order* asks for, if there are no errors; every finding; what was read."""
    # Imported here: an unchanged Modelfile needs neither the parser nor the checks.
    from mbuild.compiler.check import Given, load
    from mbuild.compiler.texts import Folder

    texts = Folder(order.folder, order.file, allow_outside=order.allow_outside)
    given = Given(texts, order.arguments, order.target)
    recipe, findings = load(order.file, order.data, dialect=order.dialect, given=given)
    if recipe is not None and order.quantize is not None:
        recipe = _quantized(recipe, order.quantize)
    return recipe, findings, texts


def _quantized(recipe: "Recipe", wanted: str) -> "Recipe":
    from dataclasses import replace

    from mbuild.compiler.recipe import Located

    first = recipe
    while first.base is not None:
        first = first.base
    return replace(recipe, quantize=Located(wanted, first.sources[-1].span))


def _made(
    order: Order,
    store: Store,
    tell: Tell,
    review: Review | None,
    created: set[Digest],
    passing: set[Digest],
) -> "tuple[bytes | None, tuple[Diagnostic, ...]]":
    """What :func:`create` gives.

    *created* gets the blobs that were not there before, *passing* those that only a stage needs.
    """
    # Looked up again: before the lock was ours, a sweep may have taken the blobs.
    key = _key(order)
    earlier = _unchanged(order, store, key)
    built = None
    sources = {"Modelfile": order.data}
    if earlier is not None:
        data, findings, account = earlier.manifest, _findings(order, earlier.rows), earlier.account
        sources |= _read_again(order, earlier.inputs)
        _retell(data, tell)
    else:
        built, findings, texts = _build(order, store, tell, created)
        if built is None:
            return None, findings
        sources |= texts
        passing |= built.passing
        if built.skipped:
            tell(Status(_SKIPPED))
        data, account = built.manifest.encode(), _account(order, built)
    more = () if review is None else review(data)
    if order.strict and (findings or more):
        return None, (*findings, *more)
    if built is not None:
        _record(key, built, findings, account, store)
    tell(Status("writing manifest"))
    store.save(order.name, data, sources=sources, account=account)
    tell(Status("success"))
    return data, (*findings, *more)


def _retell(manifest: bytes, tell: Tell) -> None:
    """Say what a build would say that finds all layers already there."""
    tell(Status("gathering model components"))
    for layer in json.loads(manifest)["layers"] or []:
        tell(Status(f"using existing layer {layer['digest']}"))


def _build(
    order: Order, store: Store, tell: Tell, created: set[Digest]
) -> "tuple[Built | None, tuple[Diagnostic, ...], Mapping[str, bytes]]":
    """What is built, what there is to say of it, and the texts that were read, by their names."""
    # Imported here: an unchanged Modelfile does not need the builder.
    from dataclasses import replace

    from mbuild.compiler.build import build
    from mbuild.compiler.ways import Ways

    recipe, findings, texts = read(order)
    if recipe is None or (order.strict and findings):
        return None, findings, {}
    ways = Ways(
        teach=order.dialect == "mbuild",
        fresh=order.fresh,
        fresh_steps=order.fresh_steps,
        some_steps=order.some_steps,
        strict=order.strict,
        learn=order.learn,
        allow_outside=order.allow_outside,
        requantize=order.requantize,
        quantizer=order.quantizer,
        refuse_schema=order.refuse_schema,
        link=order.link,
    )
    built, more = build(recipe, order.folder, store, tell=tell, created=created, ways=ways)
    if built is not None:
        built = replace(built, inputs=(*texts.inputs, *built.inputs))
    return built, _merged(findings, more), texts.read_texts


def _merged(
    first: "tuple[Diagnostic, ...]", second: "tuple[Diagnostic, ...]"
) -> "tuple[Diagnostic, ...]":
    """Both in source order, if they are about one file."""
    if any(each.span.source is not every.span.source for each in first for every in second):
        return (*first, *second)
    return tuple(sorted((*first, *second), key=lambda finding: finding.span.start))


def _key(order: Order) -> Digest:
    """The key of what *order* builds to, as long as no input changes. The name is no part of it."""
    parts = [
        *(_RULES, order.dialect, order.folder, str(Digest.of(order.data))),
        *(sorted(order.arguments.items()), order.target, order.allow_outside),
        *(order.quantize, order.requantize),
    ]
    return Digest.of(json.dumps(parts).encode())


@dataclass(frozen=True, slots=True)
class Known:
    """What an earlier build of an order made, and what it had read."""

    manifest: bytes
    inputs: "tuple[Input, ...]"
    account: str  # of its steps
    rows: "tuple[list[Any], ...]"  # its findings, as they are recorded

    @property
    def findings(self) -> int:
        """How many findings there were."""
        return len(self.rows)


def known(order: Order, store: Store) -> Known | None:
    """What an earlier build made of *order*, if all that it read is the same, and its blobs there.

    Looks only. The name is no part of the order here.
    """
    return _unchanged(order, store, _key(order))


def _unchanged(order: Order, store: Store, key: Digest) -> Known | None:
    recorded = None if order.fresh or order.fresh_steps else store.recall(key)
    if recorded is None:
        return None
    record = json.loads(recorded)
    read_before: tuple[Input, ...] = tuple(tuple(entry) for entry in record["inputs"])
    if not all(inputs.same(entry, store) for entry in read_before):
        return None
    if not all(Digest.parse(digest) in store.blobs for digest in record["blobs"]):
        return None
    if record["skipped"] and _can_check_more(order, record["skipped"], store):
        return None
    rows = tuple(record["findings"])
    return Known(record["manifest"].encode(), read_before, record["account"], rows)


def _read_again(order: Order, read_before: "Iterable[Input]") -> dict[str, bytes]:
    """The texts among what an earlier build has read, by their names."""
    texts = {}
    for kind, path, _ in read_before:
        if kind == "text":
            with open(path, "rb") as file:
                texts[inputs.kept_as(path, order.folder)] = file.read()
    return texts


def _can_check_more(order: Order, skipped: Iterable[str], store: Store) -> bool:
    """Whether a lookup that was not there, so that checks were *skipped*, is now."""
    return order.learn or any(store.recall(Digest.parse(key)) for key in skipped)


def _account(order: Order, built: "Built") -> str:
    """What is kept of how a model was built: the order, and each step."""
    steps = [
        {
            "name": outcome.step.name,
            "operation": outcome.step.operation.word,
            "arguments": dict(outcome.step.arguments),
            "content": str(Digest.of(outcome.step.content)),
            "inputs": {name: str(outputs[name].output.digest) for name in outcome.step.inputs},
            "key": str(outcome.key),
            "output": str(outcome.output.digest),
            "cached": outcome.cached,
            "reason": outcome.reason,
        }
        for outputs in [{each.step.name: each for each in built.outcomes}]
        for outcome in built.outcomes
    ]
    asked = {
        "file": "" if order.file.startswith("<") else os.path.abspath(order.file),
        "folder": order.folder,
        "dialect": order.dialect,
        "arguments": dict(order.arguments),
        "target": order.target,
        "allow_outside": order.allow_outside,
        "quantize": order.quantize,
        "requantize": order.requantize,
    }
    return json.dumps({"order": asked, "steps": steps})


def _record(
    key: Digest,
    built: "Built",
    findings: "Iterable[Diagnostic]",
    account: str,
    store: Store,
) -> None:
    # A file that changed too short a time ago has no trusted stamp, so nothing is recorded.
    if not all(inputs.same(entry, store) for entry in built.inputs):
        return
    record = {
        "inputs": built.inputs,
        "skipped": [str(digest) for digest in built.skipped],
        "manifest": built.manifest.encode().decode(),
        "blobs": [str(layer.digest) for layer in built.manifest.blobs],
        "findings": [_row(finding) for finding in findings],
        "account": account,
    }
    store.record(key, json.dumps(record).encode())


def _row(finding: "Diagnostic") -> list[object]:
    labels = [[*_place(label.span), label.text] for label in finding.labels]
    return [finding.code.name, finding.message, _place(finding.span), finding.hint, labels]


def _place(span: "Span") -> list[object]:
    """A span without its source's text: the inputs say whether that is still the same."""
    return [span.source.name, span.source.path, span.start, span.end]


def _findings(order: Order, rows: "Iterable[list[Any]]") -> "tuple[Diagnostic, ...]":
    if not rows:
        return ()
    from mbuild.compiler.diagnostic import Code, Diagnostic, Label, Source, Span
    from mbuild.compiler.source import decode

    sources: dict[str, Source] = {"": decode(order.file, order.data)}

    def span(name: str, path: str, start: int, end: int) -> Span:
        if path not in sources:
            with open(path, "rb") as file:
                sources[path] = decode(name, file.read(), path=path)
        return Span(sources[path], start, end)

    return tuple(
        Diagnostic(
            Code[code],
            message,
            span(*place),
            hint,
            tuple(Label(span(*where), text) for *where, text in labels),
        )
        for code, message, place, hint, labels in rows
    )
