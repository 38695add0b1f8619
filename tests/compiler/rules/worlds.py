"""A small world around a Modelfile, held in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mbuild.compiler import review
from mbuild.compiler.diagnostic import Diagnostic
from mbuild.compiler.expand import Text, Unread
from mbuild.compiler.recipe import Recipe
from mbuild.compiler.rules import Base
from mbuild.compiler.surroundings import Onlooker


@dataclass
class FakeWorld:
    """Files by their paths, and what every FROM brings."""

    files: Mapping[str, str] = field(default_factory=dict)
    brings: Base | None = None

    def read(self, path: str, folder: str | None) -> Text | Unread:
        if path.startswith(".."):
            return Unread(outside=True, reason=f"{path} lies outside the Modelfile's folder")
        if path not in self.files:
            return Unread(outside=False, reason=f"no file {path}")
        return Text(path, f"/here/{path}", "/here", self.files[path].encode())

    def is_there(self, path: str) -> bool:
        return path.removeprefix("./") in self.files

    def base(self, source: str) -> Base | None:
        return self.brings

    def review(self, recipe: Recipe) -> tuple[Diagnostic, ...]:
        store = Onlooker("/nowhere")
        return (*review.before(recipe, store, teach=True), *review.after(recipe, (), store))
