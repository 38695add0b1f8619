"""What `lint` looks at besides a Modelfile: the files beside it, and what the store has.

Nothing is written, fetched or built, and a store that is not there has nothing in it.
"""

import os
from collections.abc import Iterable

from mbuild.compiler import review
from mbuild.compiler.diagnostic import Diagnostic
from mbuild.compiler.expand import Text, Unread
from mbuild.compiler.gguf import BadGguf, read
from mbuild.compiler.origin import LocalFile, Origin, Refusal, expand, find_source
from mbuild.compiler.recipe import Recipe
from mbuild.compiler.rules import Base
from mbuild.compiler.texts import Folder
from mbuild.store.blobs import MissingBlob
from mbuild.store.config import BadConfig
from mbuild.store.contents import BadLayer, contents
from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, MediaType
from mbuild.store.name import Name
from mbuild.store.store import DamagedModel, MissingModel, Store

_ABSENT = (MissingModel, DamagedModel, MissingBlob, BadLayer, BadConfig, BadGguf, OSError)
"""What a model cannot be looked at for; a build says so, lint says what it can."""


class Onlooker(Store):
    """A store that is only looked at: what is recorded is remembered until the end, and no more."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._noted: dict[Digest, bytes] = {}

    def recall(self, key: Digest) -> bytes | None:
        """The record of *key*, ours first."""
        noted = self._noted.get(key)
        return super().recall(key) if noted is None else noted

    def record(self, key: Digest, data: bytes) -> None:
        """Remember *data*."""
        self._noted[key] = data


class Surroundings:
    """The world around the Modelfile *shown*, which lies in *folder*."""

    def __init__(
        self, folder: str, shown: str, store: Onlooker, *, allow_outside: bool = False
    ) -> None:
        self._folder = folder
        self._store = store
        self._texts = Folder(folder, shown, allow_outside=allow_outside)
        self.named: set[str] = set()  # the real paths of the texts that were read
        self._there: dict[str, bool] = {}
        self._bases: dict[str, Base | None] = {}

    def read(self, path: str, folder: str | None) -> Text | Unread:
        """A text that the Modelfile names."""
        found = self._texts.read(path, folder)
        if isinstance(found, Text):
            self.named.add(os.path.realpath(found.path))
        return found

    def is_there(self, path: str) -> bool:
        """Whether there is something at *path*."""
        if path not in self._there:
            full = expand(path, self._folder)
            # A path with a NUL in it is nowhere.
            is_path = isinstance(full, str) and "\0" not in full
            self._there[path] = is_path and os.path.exists(str(full))
        return self._there[path]

    def base(self, source: str) -> Base | None:
        """What ``FROM source`` brings, if it is in the store or on the disk."""
        if source not in self._bases:
            self._bases[source] = self._base(source)
        return self._bases[source]

    def _base(self, source: str) -> Base | None:
        try:
            match self._origin(source, self._folder):
                case Name() as name:
                    return self._of_model(name)
                case LocalFile(path=path):
                    return _of_weights(path)
        except _ABSENT:
            return None
        return None

    def _origin(self, source: str, folder: str) -> "Origin | Refusal":
        return find_source(source, folder, paths_must_exist=True)

    def _of_model(self, name: Name) -> Base:
        manifest = self._store.load(self._store.resolve(name))
        held = contents(manifest, self._store.blobs)
        return Base(
            license=bool(held.licenses),
            stops=bool(held.parameters.get("stop")),
            draft=held.draft is not None,
            penalty=any(each.endswith("_penalty") for each in held.parameters),
        )

    def review(self, recipe: Recipe) -> tuple[Diagnostic, ...]:
        """What the checks of a build say that need no more than what is here."""
        found = review.before(recipe, self._store, teach=True)
        if any(each.severity.value == "error" for each in found):
            return found
        try:
            return (*found, *review.after(recipe, self._layers(recipe), self._store))
        except _ABSENT:
            return found

    def _layers(self, recipe: Recipe) -> list[Layer]:
        """What the last model that *recipe* is FROM brings, and the files that the store knows."""
        first = recipe
        while first.base is not None:
            first = first.base
        layers: list[Layer] = []
        for located in first.sources:
            origin = self._origin(located.text, located.folder or self._folder)
            if isinstance(origin, Name):
                layers = list(self._store.load(self._store.resolve(origin)).layers)
            elif isinstance(origin, LocalFile | tuple):
                files = (origin,) if isinstance(origin, LocalFile) else origin
                layers += self._known(files)
        return layers

    def _known(self, files: Iterable[LocalFile]) -> list[Layer]:
        """The layers that files would be, if an earlier build has read them."""
        digests = [self._store.remembered(file.path) for file in files]
        return [
            Layer(MediaType.MODEL, digest, self._store.blobs.size(digest))
            for digest in digests
            if digest is not None and digest in self._store.blobs
        ]


def _of_weights(path: str) -> Base:
    header = read(path)
    said = [header.text(f"general.license{end}") for end in ("", ".name", ".link")]
    return Base(license=any(said))
