"""What a build would do, without doing it: for each step whether it is done already, and why not.

The steps are done as in a build, but in a store that is only imagined: texts are kept in memory,
and what would take long, or ask somebody, stops at that step. Nothing is written.
"""

from dataclasses import dataclass
from enum import Enum

from mbuild.compiler import components
from mbuild.compiler.build import refused
from mbuild.compiler.components import Site
from mbuild.compiler.diagnostic import Diagnostic
from mbuild.compiler.graph import Step, lower, prefix_of
from mbuild.compiler.recipe import Located, Recipe
from mbuild.compiler.ways import Unforeseen, Ways
from mbuild.compiler.workshop import Outcome, Workshop
from mbuild.store.blobs import Blobs, Stored
from mbuild.store.digest import Digest
from mbuild.store.store import Store


class State(Enum):
    """What would become of a step."""

    CACHED = "cached"
    STALE = "stale"  # It would be done.
    WAITING = "waiting"  # Nobody knows before another step is done.


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A step, what would become of it, and why."""

    step: Step
    state: State
    reason: str
    outcome: Outcome | None = None  # None: only doing it would tell


def foresee(
    recipe: Recipe, folder: str, store: Store
) -> tuple[tuple[Foreseen, ...], tuple[Diagnostic, ...]]:
    """What building *recipe* would do, step by step, as far as it can be told.

    *store* is only looked at, but its records may grow: use one that forgets them.

    Raises:
        as :func:`mbuild.compiler.build.build`.
    """
    imagined = Imagined(store)
    ways = Ways(foresee=True)
    done: dict[str, Outcome] = {}
    seen: list[Foreseen] = []
    findings: list[Diagnostic] = []
    chain = recipe.stages
    for number, each in enumerate(chain, 1):
        prefix = prefix_of(each, number, len(chain))
        located, more = components.locate(
            each, Site(folder, allow_outside=True), paths_must_exist=True
        )
        more += components.problems(located, store, fresh=False)
        chosen, unused = components.choose(located)
        findings += [*more, *unused]
        if refused(findings):
            break
        parts = tuple(map(components.part, components.one_by_one(chosen)))
        graph = lower(each, parts, prefix=prefix, base=seen[-1].step.name if seen else None)
        shop = Workshop(each, imagined, lambda _: None, set(), ways)
        seen += [_foreseen(step, shop, done, graph.places.get(step.name)) for step in graph]
        findings += shop.findings
    return tuple(seen), tuple(findings)


def _foreseen(
    step: Step, shop: Workshop, done: dict[str, Outcome], place: Located | None
) -> Foreseen:
    missing = [name for name in step.inputs if name not in done]
    if missing:
        return Foreseen(step, State.WAITING, f"it waits for {missing[0]}")
    try:
        outcome = shop.do(step, done, place)
    except Unforeseen as unforeseen:
        return Foreseen(step, State.STALE, unforeseen.reason)
    if outcome is None:
        return Foreseen(step, State.STALE, "it cannot be done: a finding says why")
    done[step.name] = outcome
    state = State.CACHED if outcome.cached else State.STALE
    return Foreseen(step, state, outcome.reason, outcome)


class Imagined(Store):
    """A store that is read, and written only in memory."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.root)
        self.blobs = _ImaginedBlobs(self.blobs.folder)
        self._noted: dict[Digest, bytes] = {}

    def recall(self, key: Digest) -> bytes | None:
        """The record of *key*, ours first."""
        noted = self._noted.get(key)
        return super().recall(key) if noted is None else noted

    def record(self, key: Digest, data: bytes) -> None:
        """Remember *data*, and forget it at the end."""
        self._noted[key] = data


class _ImaginedBlobs(Blobs):
    """A folder of blobs, and some that are only imagined to be there."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self._imagined: dict[Digest, bytes] = {}

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._imagined or super().__contains__(digest)

    def put(self, data: bytes) -> Stored:
        """Imagine that *data* is here."""
        digest = Digest.of(data)
        there = digest in self
        self._imagined[digest] = data
        return Stored(digest, len(data), created=not there)

    def read(self, digest: Digest) -> bytes:
        """The bytes of a blob. Raises as that of a real folder."""
        imagined = self._imagined.get(digest)
        return super().read(digest) if imagined is None else imagined

    def size(self, digest: Digest) -> int:
        """The size of a blob in bytes. Raises as that of a real folder."""
        imagined = self._imagined.get(digest)
        return super().size(digest) if imagined is None else len(imagined)

    def touch(self, digest: Digest) -> None:
        """Nothing: a look keeps nothing alive."""
