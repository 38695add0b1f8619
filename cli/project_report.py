"""What `mbuild build` prints: a line for each model, a summary, JSON. Nothing here prints."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mbuild.store.manifest import identity

if TYPE_CHECKING:
    from mbuild.compiler.diagnostic import Diagnostic
    from mbuild.compiler.progress import Progress, Status
    from mbuild.compiler.project import Node
    from mbuild.compiler.schedule import Outcome

_STATES = ("cached", "built", "failed", "skipped")

_STATE = 8  # cells for the longest word that a state has
_TIME = 8
_LEAST = 12  # cells of a reason, below which it is not worth showing


def format_outcome(outcome: "Outcome", *, names: int, columns: int | None = None) -> str:
    """The line of one model; *names* are the cells for its name, *columns* those of a terminal."""
    cells = [outcome.node.unit.label.ljust(names), outcome.state.value.ljust(_STATE)]
    # What was neither built nor there has the reason where others have their time and digest.
    if outcome.seconds or outcome.manifest is not None:
        seconds = f"{outcome.seconds:.2f} s" if outcome.seconds else ""
        cells.append(seconds.rjust(_TIME))
    if outcome.manifest is not None:
        cells.append(identity(outcome.manifest).short)
    return _fitted("  ".join(cells), outcome.reason, columns)


def format_cached(label: str, manifest: bytes, *, names: int) -> str:
    """The line of a model that nothing had to be done for."""
    state = "cached".ljust(_STATE + 2 + _TIME)
    return f"{label.ljust(names)}  {state}  {identity(manifest).short}"


def format_news(news: "Status | Progress", *, seconds: float) -> str:
    """What a build says while it works, the most important first; *seconds* since it began that.

    >>> from mbuild.compiler.progress import Progress
    >>> format_news(Progress("copying file m.gguf", 5_000_000, 20_000_000), seconds=2)
    ' 25%    6 s left  2.5 MB/s of 20 MB  copying file m.gguf'
    """
    from mbuild.cli.humanize import size
    from mbuild.compiler.progress import Status

    if isinstance(news, Status):
        return news.text
    if not news.total:
        return news.label
    if not news.done or seconds <= 0:
        return f"  0%  {news.label}"
    rate = news.done / seconds
    left = f"{(news.total - news.done) / rate:4.0f} s left"
    share = f"{100 * news.done // news.total:3}%"
    return f"{share} {left}  {size(int(rate))}/s of {size(news.total)}  {news.label}"


def format_plan(label: str, why: str, *, names: int, columns: int | None = None) -> str:
    """The line of one model that would be built, or not."""
    verb = "cached" if not why else "may build" if why.startswith("if ") else "would build"
    return _fitted(f"{label.ljust(names)}  {verb.ljust(11)}", why, columns)


def _fitted(line: str, reason: str, columns: int | None) -> str:
    line = f"{line}  "
    room = len(reason) if columns is None else columns - len(line)
    if len(reason) > room:
        reason = f"{reason[: room - 1]}…" if room >= _LEAST else ""
    return f"{line}{reason}".rstrip()


def format_summary(states: Iterable[str], *, seconds: float, untold: int = 0) -> str:
    """How many models there were, and what became of them; *untold*: warnings of cached ones."""
    every = list(states)
    counts = [f"{every.count(state):,} {state}" for state in _STATES if state in every]
    shown = f"{_counted(len(every), 'model')}: {', '.join(counts)} in {seconds:.2f} s"
    if untold:
        shown += f"; {_counted(untold, 'warning')} of cached ones, which mbuild lint shows"
    return shown


def format_foreseen(reasons: Sequence[str]) -> str:
    """How many models a build would make."""
    sure = sum(bool(why) and not why.startswith("if ") for why in reasons)
    maybe = sum(why.startswith("if ") for why in reasons)
    parts = [f"{sure:,} would be built"]
    if maybe:
        parts.append(f"{maybe:,} may be")
    cached = len(reasons) - sure - maybe
    if cached:
        parts.append(f"{cached:,} cached")
    return f"{_counted(len(reasons), 'model')}: {', '.join(parts)}"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def outcomes_as_json(path: str, outcomes: "Iterable[Outcome]") -> str:
    """What became of each model, for programs; times in seconds."""
    return _document(path, [_row(outcome) for outcome in outcomes])


def foreseen_as_json(path: str, foreseen: "Iterable[tuple[Node, str]]") -> str:
    """What would be built, in order, for programs."""
    rows = [
        {**_names(node), "state": _foreseen_state(why), "reason": why or None}
        for node, why in foreseen
    ]
    return _document(path, rows)


def findings_as_json(path: str, findings: "Iterable[Diagnostic]") -> str:
    """What is wrong with the project, for programs."""
    return _document(path, [], _as_json(findings))


def _as_json(findings: "Iterable[Diagnostic]") -> Any:
    from mbuild.cli.listing import format_json

    return json.loads(format_json(findings))


def _foreseen_state(why: str) -> str:
    return "cached" if not why else "maybe" if why.startswith("if ") else "stale"


def _document(path: str, rows: list[dict[str, Any]], findings: Sequence[Any] = ()) -> str:
    document = {"project": path, "findings": list(findings), "models": rows}
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _names(node: "Node") -> dict[str, Any]:
    return {"name": node.unit.label, "names": [name.short for name in node.unit.names]}


def _row(outcome: "Outcome") -> dict[str, Any]:
    failure = outcome.failure
    return {
        **_names(outcome.node),
        "state": outcome.state.value,
        "digest": None if outcome.manifest is None else identity(outcome.manifest).hex,
        "seconds": round(outcome.seconds, 3),
        "reason": outcome.reason or None,
        "findings": _as_json(outcome.findings),
        "error": None if failure is None else failure.message,
    }
