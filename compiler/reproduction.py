"""A build done again from what is recorded of it, to see that it comes out the same.

Nothing is taken from where it was: the texts are those that were kept, the files are the blobs
that were made of them, and a model that was built upon is what it was at the time. Only a file
of which no blob is left is looked for where it was. The store itself is not written to: the work
is done in one beside it, whose blobs are links.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mbuild.compiler.characters import cleaned
from mbuild.compiler.comparison import Difference, compare
from mbuild.compiler.expand import Text, Unread
from mbuild.compiler.origin import Refusal, expand, find_source, numbered
from mbuild.compiler.recipe import Located, Recipe
from mbuild.compiler.recorded import Import, Ordered, imports, ordered
from mbuild.store.blobs import StrPath
from mbuild.store.contents import contents
from mbuild.store.digest import Digest
from mbuild.store.history import Revision
from mbuild.store.manifest import Manifest
from mbuild.store.name import Name
from mbuild.store.store import DamagedModel, MissingModel, Store

if TYPE_CHECKING:
    from mbuild.compiler.diagnostic import Diagnostic
    from mbuild.compiler.progress import Tell
    from mbuild.compiler.quantization import Quantizer


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What building again gave."""

    ordered: Ordered  # how it was ordered, or what was assumed of that
    manifest: bytes | None  # None: it could not be built; the findings tell why
    findings: "tuple[Diagnostic, ...]"
    differences: tuple[Difference, ...] = ()  # of what came out to what was there


def rebuild(
    revision: Revision,
    store: Store,
    folder: str,
    *,
    tell: "Tell",
    quantizer: "Quantizer | None" = None,
) -> Rebuilt:
    """What *revision* gives if it is built again, in the empty *folder*.

    Raises:
        MissingBlob: a text that it was built from is gone.
        as :func:`mbuild.compiler.build.build`.
    """
    from mbuild.compiler.build import build
    from mbuild.compiler.ways import Ways

    order = ordered(revision)
    recipe, findings = _read(order, _texts(revision, store))
    if recipe is None:
        return Rebuilt(order, None, findings)
    place = _Place(store, f"{folder}/inputs", order.folder, imports(revision))
    recipe = place.moved(recipe)
    bench = _Bench(f"{folder}/store", place.known)
    _lend(bench, store, {*place.known.values(), *_needed(revision.manifest)})
    for name in place.models:
        _lend_model(bench, store, name, revision.time)
    ways = Ways(
        teach=order.dialect == "mbuild",
        allow_outside=True,  # It was allowed, or else nothing had been built.
        requantize=order.requantize,
        quantizer=quantizer,
    )
    built, more = build(recipe, order.folder, bench, tell=tell, ways=ways)
    if built is None:
        return Rebuilt(order, None, (*findings, *more))
    data = built.manifest.encode()
    if data == revision.manifest:
        return Rebuilt(order, data, (*findings, *more))
    then = contents(Manifest.decode(revision.manifest), store.blobs)
    differences = compare(then, contents(built.manifest, bench.blobs))
    return Rebuilt(order, data, (*findings, *more), differences)


def _texts(revision: Revision, store: Store) -> dict[str, bytes]:
    return {name: store.source(digest) for name, digest in revision.sources.items()}


class _Kept:
    """The texts that were kept, found by where they were."""

    def __init__(self, folder: str, texts: Mapping[str, bytes]) -> None:
        self._folder = folder
        self._texts = texts

    def read(self, path: str, folder: str | None) -> Text | Unread:
        """The text that was at *path*, seen from *folder*."""
        full = expand(path, folder or self._folder)
        if isinstance(full, Refusal):
            return Unread(outside=False, reason=full.reason, hint=full.hint)
        name = os.path.relpath(full, self._folder)
        # What was built may have another name, and what it includes that of a Modelfile.
        data = self._texts.get(f"./{name}", self._texts.get(name))
        if data is None:
            return Unread(outside=False, reason=f"the text {name} was not kept")
        return Text(name, full, os.path.dirname(full), data)


def _read(
    order: Ordered, texts: Mapping[str, bytes]
) -> "tuple[Recipe | None, tuple[Diagnostic, ...]]":
    """What :func:`mbuild.compiler.create.read` gives, but from the *texts* that were kept."""
    from mbuild.compiler.check import Given, load

    given = Given(_Kept(order.folder, texts), order.arguments, order.target)
    recipe, findings = load(order.file, texts["Modelfile"], dialect=order.dialect, given=given)
    if recipe is not None and order.quantize is not None:
        first = recipe
        while first.base is not None:
            first = first.base
        wanted = Located(order.quantize, first.sources[-1].span)
        recipe = replace(recipe, quantize=wanted)
    return recipe, findings


class _Place:
    """Where the files of a build lie now, and a recipe that finds them there.

    *known* grows by those files and their digests, *models* by the models that are built upon.
    """

    def __init__(self, store: Store, folder: str, seen_from: str, every: Iterable[Import]) -> None:
        self.known: dict[str, Digest] = {}
        self.models: set[Name] = set()
        self._store = store
        self._folder = folder
        self._seen_from = seen_from
        self._every = tuple(every)
        self._folders = 0

    def moved(self, recipe: Recipe) -> Recipe:
        """*recipe* with each file named by where it lies now."""
        together = self._new_folder()  # Files of FROM are named by their paths from one folder.
        return replace(
            recipe,
            base=None if recipe.base is None else self.moved(recipe.base),
            sources=tuple(self._sources(recipe.sources, together)),
            adapters=tuple(map(self._file, recipe.adapters)),
            drafts=tuple(map(self._file, recipe.drafts)),
        )

    def _new_folder(self) -> str:
        self._folders += 1
        return f"{self._folder}/{self._folders}"

    def _sources(self, sources: Iterable[Located], folder: str) -> Iterator[Located]:
        joined: set[str] = set()
        for old in sources:
            for new in self._source(old, folder):
                # What the parts of a split file were joined to takes the place of all of them.
                if len(numbered(old.text)) == 1 or new.text not in joined:
                    yield new
                joined.add(new.text)

    def _source(self, located: Located, folder: str) -> Iterator[Located]:
        found = self._found(located)
        if not found:
            name = find_source(located.text, self._seen_from, paths_must_exist=False)
            if isinstance(name, Name):
                self.models.add(name)
            yield located
        for each in found:
            yield replace(located, text=self._put(each, folder), folder=None)

    def _file(self, located: Located) -> Located:
        found = self._found(located)[:1]
        if not found:
            return located
        return replace(located, text=self._put(found[0], self._new_folder()), folder=None)

    def _found(self, located: Located) -> tuple[Import, ...]:
        """The files that *located* names, of those whose bytes are still in the store."""
        there = [each for each in self._every if each.digest in self._store.blobs]
        path = expand(located.text, located.folder or self._seen_from)
        first = path if isinstance(path, Refusal) else numbered(path)[0]
        rules = (
            lambda each: each.path in (path, cleaned(located.text), first),
            lambda each: bool(each.path) and os.path.dirname(each.path) == path,
            lambda each: not each.path and f"/{path}".endswith(f"/{each.name}"),
        )
        for rule in rules:
            found = {each.name: each for each in there if rule(each)}
            if found:
                return tuple(found.values())
        return ()

    def _put(self, file: Import, folder: str) -> str:
        path = f"{folder}/{file.name}"
        if path not in self.known:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(os.path.abspath(self._store.blobs.path(file.digest)), path)
            self.known[path] = file.digest
        return path


class _Bench(Store):
    """A store to build in, which knows the digests of some files and need not copy them."""

    def __init__(self, root: str, known: Mapping[str, Digest]) -> None:
        super().__init__(root)
        self._known = known

    def remembered(self, path: StrPath) -> Digest | None:
        known = self._known.get(os.fspath(path))
        return super().remembered(path) if known is None else known


def _needed(manifest: bytes) -> set[Digest]:
    return {layer.digest for layer in Manifest.decode(manifest).blobs}


def _lend(bench: Store, store: Store, digests: Iterable[Digest]) -> None:
    """Link blobs of *store* into *bench*."""
    os.makedirs(bench.blobs.folder, exist_ok=True)
    for digest in digests:
        if digest in store.blobs and digest not in bench.blobs:
            os.symlink(os.path.abspath(store.blobs.path(digest)), bench.blobs.path(digest))


def _lend_model(bench: Store, store: Store, name: Name, time: int) -> None:
    """Give *bench* what *name* stood for at that *time*; nothing, if there is no such model."""
    at_the_time = [each.manifest for each in store.revisions(name) if each.time <= time]
    try:
        data = at_the_time[-1] if at_the_time else store.read(name)
    except (MissingModel, DamagedModel):
        return  # The build will say so, at the place that asks for it.
    _lend(bench, store, _needed(data))
    bench.save(name, data)
