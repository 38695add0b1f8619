"""In which order the models of a project are built, and what becomes of each.

Decides, and builds nothing: who builds is a `Crew`. A model is built when all that it needs is
done. If what it needs was built and came out as before, it is not built: its record still holds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from typing import Protocol

from mbuild.compiler.diagnostic import Diagnostic
from mbuild.compiler.progress import Progress, Status
from mbuild.compiler.project import Made, Node, again, is_stale
from mbuild.compiler.reasons import reason
from mbuild.store.store import Store


class State(Enum):
    """What became of a model."""

    CACHED = "cached"
    BUILT = "built"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a model, and why."""

    node: Node
    state: State
    manifest: bytes | None = None
    reason: str = ""
    seconds: float = 0
    findings: tuple[Diagnostic, ...] = ()
    failure: "Failure | None" = None  # what was wrong with the world


@dataclass(frozen=True, slots=True)
class Failure:
    """What was not as it should be, in a sentence, and what may help."""

    message: str
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class News:
    """What a build says while it works."""

    node: Node
    news: Status | Progress


@dataclass(frozen=True, slots=True)
class Ended:
    """How a build ended."""

    node: Node
    seconds: float
    result: Made | Failure


class Crew(Protocol):
    """Who builds."""

    jobs: int  # how many models at once, at least one

    def start(self, node: Node) -> None:
        """Begin to build *node*."""
        ...

    def wait(self) -> News | Ended:
        """What happens next, of all that was started."""
        ...


class Watcher(Protocol):
    """Who is told what happens."""

    def began(self, node: Node, why: str) -> None:
        """*node* is being built from now on."""
        ...

    def heard(self, news: News) -> None:
        """A build said something."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """One model is done."""
        ...


def run(
    nodes: Iterable[Node], store: Store, crew: Crew, watcher: Watcher, *, keep_going: bool
) -> tuple[Outcome, ...]:
    """Build those of *nodes* that are stale, and tell what became of each, in that order.

    After a failure nothing more is begun; with *keep_going* only what needs the failed one is not.
    """
    schedule = _Schedule(nodes, store, keep_going=keep_going)
    running = 0
    while schedule.goes_on():
        while running < crew.jobs and (turn := schedule.next()) is not None:
            if isinstance(turn, Outcome):
                watcher.ended(turn)
                continue
            running += 1
            watcher.began(*turn)
            crew.start(turn[0])
        if not running:
            continue
        happened = crew.wait()
        if isinstance(happened, News):
            watcher.heard(happened)
        else:
            running -= 1
            watcher.ended(schedule.end(happened))
    return schedule.outcomes


class _Schedule:
    def __init__(self, nodes: Iterable[Node], store: Store, *, keep_going: bool) -> None:
        self._store = store
        self._keep_going = keep_going
        self._nodes = tuple(nodes)
        self._places = {node: place for place, node in enumerate(self._nodes)}
        self._sorter = TopologicalSorter({node: node.needs for node in self._nodes})
        self._sorter.prepare()
        self._ready: list[int] = []  # A heap of places: the first ones go first.
        self._reasons: dict[Node, str] = {}
        self._done: dict[Node, Outcome] = {}
        self._stopped = False

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What became of each so far, in the order of the nodes."""
        return tuple(self._done[node] for node in self._nodes if node in self._done)

    def goes_on(self) -> bool:
        return self._sorter.is_active()

    def next(self) -> tuple[Node, str] | Outcome | None:
        """A node to be built, and why; or one that is done without; or None, for now."""
        for ready in self._sorter.get_ready():
            heappush(self._ready, self._places[ready])
        if not self._ready:
            return None
        node = self._nodes[heappop(self._ready)]
        outcome = self._without_building(node)
        if outcome is not None:
            return self._settle(node, outcome)
        self._reasons[node] = reason(node.order, self._store)
        return node, self._reasons[node]

    def end(self, ended: Ended) -> Outcome:
        """Take note of how a build has ended."""
        node, result = ended.node, ended.result
        why, seconds = self._reasons[node], ended.seconds
        if isinstance(result, Failure):
            outcome = Outcome(node, State.FAILED, None, why, seconds, failure=result)
        else:
            state = State.FAILED if result.manifest is None else State.BUILT
            outcome = Outcome(node, state, result.manifest, why, seconds, result.findings)
        if outcome.state is State.FAILED and not self._keep_going:
            self._stopped = True
        return self._settle(node, outcome)

    def _settle(self, node: Node, outcome: Outcome) -> Outcome:
        self._done[node] = outcome
        self._sorter.done(node)
        return outcome

    def _without_building(self, node: Node) -> Outcome | None:
        needs = [self._done[need] for need in node.needs]
        for need in needs:
            if need.state in (State.FAILED, State.SKIPPED):
                return Outcome(node, State.SKIPPED, reason=f"needs {need.node.unit.label}")
        if self._stopped:
            return Outcome(node, State.SKIPPED, reason="not begun")
        # Looked at again: what it is built of may have changed, or have come out as before.
        moved = any(need.state is State.BUILT for need in needs)
        now = again(node, self._store) if moved else node
        if is_stale(now, self._store):
            return None
        assert now.known is not None
        return Outcome(node, State.CACHED, now.known.manifest)


def foreseen(nodes: Iterable[Node], store: Store) -> tuple[tuple[Node, str], ...]:
    """Each of *nodes*, and why it would be built; an empty reason if it would not."""
    why: dict[Node, str] = {}
    for node in nodes:
        if is_stale(node, store):
            why[node] = reason(node.order, store)
        else:
            moving = [need.unit.label for need in node.needs if why[need]]
            why[node] = f"if {moving[0]} changes" if moving else ""
    return tuple(why.items())
