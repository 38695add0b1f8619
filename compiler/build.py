"""A recipe becomes a manifest: its graph is lowered, checked and done, stage by stage.

The order of layers, the configuration and every byte of a text layer are the reference's
(create specification, sections 4 to 8). Three departures: weights keep the bytes of the file
that the author gave; no template is guessed; nothing is deleted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mbuild.compiler import components, overlay, review
from mbuild.compiler.components import Site
from mbuild.compiler.diagnostic import Code, Diagnostic, Severity
from mbuild.compiler.graph import Graph, Operation, Step, lower, prefix_of
from mbuild.compiler.inputs import Input
from mbuild.compiler.progress import Status, Tell
from mbuild.compiler.recipe import Recipe
from mbuild.compiler.ways import NoSuchStep, Ways
from mbuild.compiler.workshop import GGUF_LAYERS, Outcome, Workshop
from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.store import Store

_USUAL = Ways()


@dataclass(frozen=True, slots=True)
class Built:
    """What a build made, what it read to make it, and what its steps were."""

    manifest: Manifest
    inputs: tuple[Input, ...]
    outcomes: tuple[Outcome, ...] = ()  # of all stages, in order
    skipped: tuple[Digest, ...] = ()  # keys of lookups that some checks would have needed
    passing: frozenset[Digest] = frozenset()  # texts that only an earlier stage has


def build(
    recipe: Recipe,
    folder: str,
    store: Store,
    *,
    tell: Tell,
    created: set[Digest] | None = None,
    ways: Ways = _USUAL,
) -> tuple[Built | None, tuple[Diagnostic, ...]]:
    """The manifest of *recipe*, whose paths are seen from *folder*, and what is to be said of it.

    Every blob that it names is in the store when this returns; the manifest itself is not.
    *created* gets the blobs that were not there before, also if there is no manifest, and also
    those that only a stage needed.

    Raises:
        MissingBlob, DamagedModel: the store lacks a part of the base model.
        NotInIndex, BadWheel, PipMissing: a package could not be had.
        CannotQuantize, EngineMissing: the weights could not be made smaller.
        NoSuchStep: a step that was to be done anew is none.
        OSError: a file cannot be read, or the store not be written.
    """
    created = set() if created is None else created
    site = Site(folder, allow_outside=ways.allow_outside)
    chain = recipe.stages
    built, findings = None, list[Diagnostic]()
    for number, each in enumerate(chain, 1):
        prefix = prefix_of(each, number, len(chain))
        shop = Workshop(each, store, tell, created, ways)
        is_last = number == len(chain)
        stage = _Stage(each, prefix, built, site, store, tell, ways, shop, is_last)
        built, more = stage.built()
        findings += more
        if built is None:
            break
    return built, tuple(findings)


@dataclass(frozen=True, slots=True)
class _Stage:
    """One stage of a build, behind the one that it is FROM."""

    recipe: Recipe
    prefix: str  # of the names of its steps
    base: Built | None
    site: Site
    store: Store
    tell: Tell
    ways: Ways
    shop: Workshop
    is_last: bool

    def built(self) -> tuple[Built | None, tuple[Diagnostic, ...]]:
        self.tell(Status("gathering model components"))
        recipe, ways = self.recipe, self.ways
        located, findings = components.locate(recipe, self.site, paths_must_exist=ways.teach)
        findings += components.problems(located, self.store, fresh=ways.fresh)
        if ways.teach or not findings:
            findings += review.before(recipe, self.store, teach=ways.teach)
        findings += self._unfollowed()
        chosen, unused = components.choose(located)
        findings += unused
        if refused(findings, strict=ways.strict):
            return None, tuple(findings)
        graph = self._lowered(components.one_by_one(chosen))
        names = tuple(step.name for step in graph)
        for name in sorted(ways.fresh_steps.difference(names)):
            if self.is_last and not ways.some_steps and name not in self.done_before:
                raise NoSuchStep(name, (*self.done_before, *names))
        done = dict(self.done_before)
        self._do([step for step in graph if _is_material(step)], graph, done)
        findings += self._after_material(graph, done)
        if refused(findings, strict=ways.strict):
            return None, tuple(findings)
        self._do([step for step in graph if not _is_material(step)], graph, done)
        manifest = done[graph.steps[-1].name].output.manifest
        assert manifest is not None, "the last step makes it"
        self._tell_layers(manifest)
        read = (*components.looked_at(located, self.site), *self.shop.inputs)
        missed = self._missed(_material(graph, done)) if ways.teach else ()
        return self._with_base(Built(manifest, read, tuple(done.values()), missed)), (*findings,)

    @property
    def done_before(self) -> dict[str, Outcome]:
        """What earlier stages did."""
        return {} if self.base is None else {each.step.name: each for each in self.base.outcomes}

    def _lowered(self, located: Iterable[components.Component]) -> Graph:
        parts = tuple(map(components.part, located))
        before = None if self.base is None else self.base.outcomes[-1].step.name
        return lower(self.recipe, parts, prefix=self.prefix, base=before)

    def _do(self, steps: Sequence[Step], graph: Graph, done: dict[str, Outcome]) -> None:
        """Do *steps*, in order; but those that move bytes and need no other all at once."""
        slow = [step for step in steps if not step.inputs and self.shop.is_slow(step)]
        if len(slow) > 1:
            # Imported here: most builds move nothing.
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(max_workers=len(slow)) as pool:
                made = pool.map(
                    lambda step: self.shop.do(step, done, graph.places.get(step.name)), slow
                )
                done |= {each.step.name: each for each in made if each is not None}
        for step in steps:
            if step.name in done or not all(name in done for name in step.inputs):
                continue  # What it needs has failed, and a finding says why.
            outcome = self.shop.do(step, done, graph.places.get(step.name))
            if outcome is not None:
                done[step.name] = outcome

    def _after_material(self, graph: Graph, done: dict[str, Outcome]) -> list[Diagnostic]:
        """What there is to say once the layers are there to begin with."""
        findings = self.shop.findings
        if not any(step.operation is Operation.INHERIT for step in graph):
            findings += overlay.idle_unsets(self.recipe, (), self.store.blobs)
        if not self.ways.teach or refused(findings):
            return findings
        layers = _material(graph, done)
        findings += self._misfits(layers, graph, done)
        if self.ways.learn:
            # Imported here: a plain build reads no vocabulary.
            from mbuild.compiler.vocabulary import learn

            for digest in review.skipped(self.recipe, layers, self.store):
                learn(self.store, digest)
        return [*findings, *review.after(self.recipe, layers, self.store)]

    def _misfits(
        self, layers: Sequence[Layer], graph: Graph, done: Mapping[str, Outcome]
    ) -> list[Diagnostic]:
        """What there is to say of adapters that were not made for these weights."""
        adapters = [
            (graph.places[name], layer)
            for name in graph.material
            if name in graph.places
            for layer in done[name].output.layers
            if layer.media_type == MediaType.ADAPTER
            and done[name].step.operation is Operation.IMPORT
        ]
        if not adapters:
            return []
        # Imported here: few models have one.
        from mbuild.compiler.adapters import misfits

        return misfits(layers, adapters, self.store)

    def _unfollowed(self) -> Iterator[Diagnostic]:
        """A finding if no engine can follow the schema."""
        schema, refuse = self.recipe.schema, self.ways.refuse_schema
        reason = None if schema is None or refuse is None else refuse(schema.text)
        if schema is not None and reason is not None:
            yield Diagnostic(Code.BAD_SCHEMA, reason, schema.span)

    def _tell_layers(self, manifest: Manifest) -> None:
        before = () if self.base is None else self.base.manifest.layers
        for layer in manifest.layers:
            new = self.shop.has_created(layer.digest) and layer not in before
            self.tell(Status(f"{'creating new' if new else 'using existing'} layer {layer.digest}"))

    def _missed(self, layers: Sequence[Layer]) -> tuple[Digest, ...]:
        weights = review.skipped(self.recipe, layers, self.store)
        if not weights:
            return ()
        from mbuild.compiler.vocabulary import key

        return tuple(map(key, weights))

    def _with_base(self, built: Built) -> Built:
        base = self.base
        if base is None:
            return built
        texts = {each.digest for each in base.manifest.blobs if each.media_type not in GGUF_LAYERS}
        return Built(
            built.manifest,
            (*base.inputs, *built.inputs),
            built.outcomes,
            (*base.skipped, *built.skipped),
            (base.passing | texts) - {each.digest for each in built.manifest.blobs},
        )


def refused(findings: Iterable[Diagnostic], *, strict: bool = False) -> bool:
    """Whether *findings* leave nothing to build; with *strict* warnings do, too."""
    return any(strict or finding.severity is Severity.ERROR for finding in findings)


_MATERIAL = (Operation.IMPORT, Operation.FETCH, Operation.INHERIT, Operation.QUANTIZE)


def _is_material(step: Step) -> bool:
    return step.operation in _MATERIAL


def _material(graph: Graph, done: dict[str, Outcome]) -> list[Layer]:
    """The layers to begin with."""
    return [layer for name in graph.material for layer in done[name].output.layers]
