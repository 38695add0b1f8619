"""What a name stood for: its builds, and the one that a person means by ``kid@2``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from mbuild.cli.humanize import size
from mbuild.compiler.account import decode
from mbuild.compiler.diagnostic import visible
from mbuild.store.blobs import MissingBlob
from mbuild.store.config import BadConfig
from mbuild.store.contents import BadLayer, Contents, contents
from mbuild.store.digest import Digest
from mbuild.store.history import Revision
from mbuild.store.manifest import BadManifest, Layer, Manifest, MediaType
from mbuild.store.name import BadName, Name
from mbuild.store.store import DamagedModel, MissingModel, Store

_NUMBERED = re.compile(r"(.*)@([0-9]{1,9})", re.DOTALL)


class NoBuild(Exception):
    """A number that no build of a name has."""

    def __init__(self, name: Name, number: int, numbers: tuple[int, ...]) -> None:
        if not numbers:
            there = "no build of it is recorded"
        elif len(numbers) == 1:
            there = f"@{numbers[0]} is its only build"
        else:
            there = f"its builds are @{numbers[0]} to @{numbers[-1]}"
        super().__init__(f"no build @{number} of {name.short}: {there}")
        self.name = name
        self.number = number


class Unrecorded(Exception):
    """A build of which nothing was kept that it could be built from again."""

    def __init__(self, build: "Build") -> None:
        super().__init__(f"{build.label}: the Modelfile that it was built from was not kept")
        self.build = build


class NothingBefore(Exception):
    """A build that was asked for as the one before the first."""

    def __init__(self, build: "Build") -> None:
        super().__init__(f"there is no build before {build.label}")
        self.build = build


class Swept(Exception):
    """A build that cannot come back, since parts of it are gone from the store."""

    def __init__(self, build: "Build", layers: tuple[Layer, ...]) -> None:
        gone = "".join(f"\n  {_told(layer)}" for layer in layers)
        super().__init__(f"{build.label} cannot come back; gone from the store is its{gone}")
        self.build = build
        self.layers = layers


class Unknowable(Exception):
    """A build whose parts cannot be read any more."""

    def __init__(self, build: "Build", reason: str) -> None:
        super().__init__(f"{build.label}: {reason}")
        self.build = build
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Build:
    """What a name stood for from some moment on."""

    name: Name
    number: int | None  # None: another tool made it what it is, so that nothing was recorded
    time: int  # ns since the epoch
    manifest: bytes
    present: bool = False
    sources: Mapping[str, Digest] = field(default_factory=dict)
    account: str = ""

    @property
    def label(self) -> str:
        """``kid:latest@2``, or the name alone if there is no number."""
        return self.name.short if self.number is None else f"{self.name.short}@{self.number}"

    @property
    def id(self) -> str:
        """The digest of the manifest, in short."""
        return Digest.of(self.manifest).short

    @property
    def order(self) -> Mapping[str, Any]:
        """What was asked for, as far as it was recorded."""
        account = decode(self.account)
        return {} if account is None else account.order


def split(text: str) -> tuple[str, int | None]:
    """A name, and the number behind its ``@``.

    >>> split("kid:v2@3"), split("kid")
    (('kid:v2', 3), ('kid', None))
    """
    found = _NUMBERED.fullmatch(text)
    return (text, None) if found is None else (found[1], int(found[2]))


def asked(model: str, build: str) -> tuple[str, int | None]:
    """A name and the number of a build, which is part of *model*, or *build*, or not wanted.

    Raises:
        UsageError: *build* is no number.
    """
    name, number = split(model)
    if not build:
        return name, number
    rest, behind = split(build if build.startswith("@") else f"@{build}")
    if rest or behind is None:
        raise click.UsageError(f"{build!r} is no number of a build, such as @3")
    return name, behind


def builds(store: Store, name: Name) -> tuple[Build, ...]:
    """All that *name* has stood for, oldest first; the last one is what it stands for now.

    If its manifest is gone, which no command of ours leaves, none of them is the present one.

    Raises:
        MissingModel: there is neither a manifest nor a history.
        DamagedHistory: a revision cannot be read.
    """
    present = _present(store, name)
    revisions = store.revisions(name)
    if present is None and not revisions:
        raise MissingModel(name)
    found: list[Build] = []
    for each in revisions:
        # What was announced and then not numbered, since its writer was killed, is the next one.
        earlier = (found[-1].number or 0) if found else 0
        number = each.number or earlier + 1
        last = each is revisions[-1] and each.manifest == present
        found.append(
            Build(name, number, each.time, each.manifest, last, each.sources, each.account)
        )
    if present is not None and not (found and found[-1].present):
        found.append(Build(name, None, _modified(store, name), present, present=True))
    return tuple(found)


def _present(store: Store, name: Name) -> bytes | None:
    try:
        return store.read(name)
    except (MissingModel, DamagedModel):
        return None


def _modified(store: Store, name: Name) -> int:
    """When another tool wrote the manifest of *name*."""
    times = (each.modified_ns for each in store.entries() if each.name == name)
    return next(times, 0)


def numbered(every: tuple[Build, ...], number: int) -> Build:
    """The build with this *number*.

    Raises:
        NoBuild: there is none.
    """
    for build in every:
        if build.number == number:
            return build
    numbers = tuple(build.number for build in every if build.number is not None)
    raise NoBuild(every[-1].name, number, numbers)


def before(every: tuple[Build, ...], build: Build) -> Build:
    """The build before *build*.

    Raises:
        NothingBefore: it is the first one.
    """
    index = every.index(build)
    if index == 0:
        raise NothingBefore(build)
    return every[index - 1]


def named(store: Store, text: str, *, beside: Name | None = None) -> Build:
    """The build that *text* names: ``kid``, ``kid@2``; seen from a model *beside*, also ``@2``,
    which is a build of that, and ``v2`` or ``:v2``, which is a tag of that.

    Raises:
        BadName, MissingModel, NoBuild, DamagedHistory: there is none.
    """
    model, number = split(text)
    every = _every(store, model, beside)
    return every[-1] if number is None else numbered(every, number)


def _every(store: Store, model: str, beside: Name | None) -> tuple[Build, ...]:
    if beside is not None and model == "":
        return builds(store, beside)
    candidates = [] if model.startswith(":") and beside is not None else [model]
    if beside is not None and "/" not in model:
        candidates.append(f"{beside.short.rpartition(':')[0]}:{model.removeprefix(':')}")
    missing: MissingModel | BadName | None = None
    for candidate in candidates:
        try:
            return builds(store, store.resolve(Name.parse(candidate)))
        except (MissingModel, BadName) as error:
            missing = missing or error
    assert missing is not None, "there is at least one candidate"
    raise missing


def opened(store: Store, build: Build) -> Contents:
    """What *build* is made of.

    Raises:
        Unknowable: a part of it is gone, or not what it should be.
    """
    try:
        manifest = Manifest.decode(build.manifest)
        return contents(manifest, store.blobs)
    except MissingBlob:
        gone = lost(store, build)
        raise Unknowable(build, f"{_listed(gone)} gone from the store") from None
    except (BadManifest, BadLayer, BadConfig) as error:
        raise Unknowable(build, str(error)) from None


def lost(store: Store, build: Build) -> tuple[Layer, ...]:
    """The layers of *build* whose blobs are gone.

    Raises:
        BadManifest: it is none.
    """
    found = {
        layer.digest: layer
        for layer in Manifest.decode(build.manifest).blobs
        if layer.digest not in store.blobs
    }
    return tuple(found.values())


def when_first_built(store: Store, build: Build) -> Revision:
    """The revision that is *build*, with the time at which its name first stood for the same.

    What it was built upon is what was there then, not when it was brought back.

    Raises:
        Unrecorded: it is no revision, or the Modelfile was not kept.
    """
    if "Modelfile" not in build.sources:
        raise Unrecorded(build)
    times = [each.time for each in builds(store, build.name) if each.manifest == build.manifest]
    number = build.number or 0
    return Revision(number, min(times), build.manifest, build.sources, build.account)


def restore(store: Store, build: Build) -> tuple[str, ...]:
    """Make the name of *build* stand for it again: the texts that could not be kept, as they
    are gone from the store.

    Raises:
        Swept: a part of it is gone; nothing was changed.
        NewerStore: nothing may be written here.
    """
    gone = lost(store, build)
    if gone:
        raise Swept(build, gone)
    sources: dict[str, bytes] = {}
    missing: list[str] = []
    for source, digest in build.sources.items():
        try:
            sources[source] = store.source(digest)
        except MissingBlob:
            missing.append(source)
    store.save(build.name, build.manifest, sources=sources, account=build.account)
    return tuple(missing)


def _told(layer: Layer) -> str:
    origin = f", from {visible(layer.origin)}" if layer.origin else ""
    return f"{kind(layer)} {layer.digest.short} ({size(layer.size)}{origin})"


def _listed(layers: tuple[Layer, ...]) -> str:
    """The layers in words, with a verb: ``template 0a1b2c3d4e5f is``."""
    words = [f"{kind(layer)} {layer.digest.short}" for layer in layers]
    return f"{', '.join(words)} {'is' if len(words) == 1 else 'are'}"


def kind(layer: Layer) -> str:
    """What *layer* is for, in a word."""
    if layer.media_type == MediaType.CONFIG:
        return "configuration"
    word = layer.media_type.rpartition(".")[2]
    return {"model": "weights", "params": "parameters"}.get(word, word)
