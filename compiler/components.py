"""What the values of FROM, ADAPTER and DRAFT name, and which of them count.

What is refused is refused here, before any file has been copied.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mbuild.compiler import inputs
from mbuild.compiler.diagnostic import Code, Diagnostic
from mbuild.compiler.graph import Operation, Part
from mbuild.compiler.inputs import Input
from mbuild.compiler.origin import LocalFile, Origin, Refusal, find_file, find_source, numbered
from mbuild.compiler.recipe import Located, Recipe
from mbuild.store.manifest import MediaType
from mbuild.store.name import Name
from mbuild.store.store import Store


@dataclass(frozen=True, slots=True)
class Component:
    """A value of FROM, ADAPTER or DRAFT, and what it names."""

    located: Located
    media_type: str  # MODEL for every FROM
    origin: "Origin"


@dataclass(frozen=True, slots=True)
class Site:
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
        for path in (each for file in _local(origin) for each in numbered(file.path)):
            leaves = root.leaves(path)
            if leaves is not None:
                return Diagnostic(Code.OUTSIDE_FOLDER, leaves.reason, located.span, leaves.hint)
        return None


def locate(
    recipe: Recipe, site: Site, *, paths_must_exist: bool
) -> tuple[list[Component], list[Diagnostic]]:
    """What each value names; every value that names nothing is a finding."""
    components: list[Component] = []
    findings: list[Diagnostic] = []

    def add(located: Located, media_type: str, origin: "Origin | Refusal") -> None:
        if isinstance(origin, Refusal):
            findings.append(bad_source(located, origin.reason, origin.hint))
        elif outside := site.outside(located, origin):
            findings.append(outside)
        else:
            components.append(Component(located, media_type, origin))

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


def _drafts_of_themselves(components: Iterable[Component]) -> list[Diagnostic]:
    mains = {
        os.path.realpath(file.path)
        for component in components
        if component.media_type == MediaType.MODEL
        for file in _files(component)
    }
    return [
        bad_source(component.located, f"DRAFT and FROM are the same file {file.path}")
        for component in components
        if component.media_type == MediaType.DRAFT
        for file in _files(component)
        if os.path.realpath(file.path) in mains
    ]


def choose(components: Sequence[Component]) -> tuple[list[Component], list[Diagnostic]]:
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


def looked_at(components: Iterable[Component], site: Site) -> Iterator[Input]:
    """The places whose content decided what the values name."""
    for component in components:
        match component.origin:
            case Name():
                # A file there would hide the model of that name.
                folder = site.folder_of(component.located)
                yield inputs.of_absence(os.path.join(folder, component.located.text))
            case tuple() as files:
                yield inputs.of_folder(os.path.dirname(files[0].path))


def one_by_one(components: Iterable[Component]) -> list[Component]:
    """Each file by itself and, of FROM, in the order of their names, as the reference has it."""
    single = [
        replace(component, origin=file)
        for component in components
        for file in (_files(component) or (component.origin,))
    ]
    sources = [part for part in single if part.media_type == MediaType.MODEL]
    others = [part for part in single if part.media_type != MediaType.MODEL]
    return [*_joined(sorted(_named_apart(sources), key=_upload_name)), *others]


def _joined(sources: list[Component]) -> list[Component]:
    """Whole files, then the first part of each split one, which stands for all of its parts."""
    parts: dict[str, Component] = {}
    whole: list[Component] = []
    for source in sources:
        file = source.origin
        if isinstance(file, LocalFile) and _is_part(file.path):
            first = LocalFile(numbered(file.path)[0], f"{file.name[:-20]}.gguf", is_split=True)
            parts.setdefault(first.path, replace(source, origin=first))
        else:
            whole.append(source)
    return [*whole, *parts.values()]


def _is_part(path: str) -> bool:
    if len(numbered(path)) < 2:
        return False
    # Imported here: few models are split.
    from mbuild.compiler.split import is_part

    return is_part(path)


def _named_apart(sources: list[Component]) -> list[Component]:
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


def _upload_name(component: Component) -> str:
    match component.origin:
        case LocalFile() as file:
            return file.name
        case Name() | tuple():
            return ""
        case package:
            return package.filename


def _files(component: Component) -> tuple[LocalFile, ...]:
    return _local(component.origin)


def _local(origin: Origin) -> tuple[LocalFile, ...]:
    match origin:
        case LocalFile() as file:
            return (file,)
        case tuple() as files:
            return files
    return ()


def bad_source(located: Located, reason: str, hint: str | None = None) -> Diagnostic:
    return Diagnostic(Code.BAD_SOURCE, reason, located.span, hint)


def problems(components: Iterable[Component], store: Store, *, fresh: bool) -> list[Diagnostic]:
    """What is wrong with the files, found before any of them is copied."""
    # Parts of a split file are looked at together.
    places = {
        (component.media_type, numbered(file.path)): (component, file)
        for component in reversed(list(components))
        for file in reversed(_files(component))
    }
    return [
        bad_source(component.located, problem.reason, problem.hint)
        for component, file in reversed(places.values())
        if (problem := _problem(file, component.media_type, store, fresh=fresh)) is not None
    ]


def _problem(file: LocalFile, media_type: str, store: Store, *, fresh: bool) -> Refusal | None:
    # Imported here: most edits bring no new weights.
    from mbuild.compiler.fitness import unfit, unfit_blob

    if not fresh:
        known = store.remembered(file.path)
        if known is not None:
            return unfit_blob(store, known, media_type, file.path)
        if (
            media_type == MediaType.MODEL
            and len(numbered(file.path)) > 1
            and _was_joined(file, store)
        ):
            return None
    return unfit(file.path, media_type, file.path)


def _was_joined(file: LocalFile, store: Store) -> bool:
    from mbuild.compiler.split import joined

    return joined(file.path, store) is not None


_ROLES = {MediaType.MODEL: "weights", MediaType.ADAPTER: "adapter", MediaType.DRAFT: "draft"}


def part(component: Component) -> Part:
    """The step that brings what a single component names."""
    role = _ROLES[MediaType(component.media_type)]
    match component.origin:
        case LocalFile(path, name, is_split):
            arguments = (("path", path), ("as", name), ("type", component.media_type))
            parts = (("parts", str(len(numbered(path)))),) if is_split else ()
            return Part(Operation.IMPORT, (*arguments, *parts), component.located, role)
        case Name() as name:
            model = (("model", str(name)),)
            return Part(Operation.INHERIT, model, component.located, "base")
        case tuple():
            raise AssertionError("folders have been taken apart")
        case reference:
            package = (("package", str(reference)),)
            return Part(Operation.FETCH, package, component.located, role)
