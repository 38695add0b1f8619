"""The builds of a name as a person or a program reads them: when, from what, what changed."""

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from mbuild.cli import report
from mbuild.cli.builds import Build, Unknowable, opened
from mbuild.cli.differences import as_json, summary
from mbuild.cli.humanize import age
from mbuild.compiler.comparison import Difference, compare
from mbuild.compiler.diagnostic import visible
from mbuild.store.contents import Contents
from mbuild.store.digest import Digest
from mbuild.store.store import Store

_INDENT = "      "


@dataclass(frozen=True, slots=True)
class Step:
    """A build, and how it differs from the one before it."""

    build: Build
    differences: tuple[Difference, ...] | None  # None: it is the first, or it cannot be told
    change: str  # the same in a few words


def steps(store: Store, every: Sequence[Build]) -> tuple[Step, ...]:
    """*every* build of a name, oldest first, with what it changed."""
    made: list[Step] = []
    earlier: dict[bytes, Build] = {}
    read: dict[bytes, Contents] = {}
    for number, build in enumerate(every):
        if number == 0:
            made.append(Step(build, None, "the first build" if build.number else ""))
        else:
            made.append(_step(store, every[number - 1], build, earlier, read))
        earlier.setdefault(build.manifest, build)
    return tuple(made)


def _step(
    store: Store, old: Build, new: Build, earlier: dict[bytes, Build], read: dict[bytes, Contents]
) -> Step:
    back = earlier.get(new.manifest)
    again = f"back to @{back.number}" if back is not None and back.number else ""
    try:
        for each in (old, new):
            if each.manifest not in read:
                read[each.manifest] = opened(store, each)
    except Unknowable as error:
        return Step(new, None, again or f"cannot be told: of {error}")
    differences = compare(read[old.manifest], read[new.manifest])
    change = _in_words(differences)
    return Step(new, differences, f"{again}: {change}" if again else change)


def change(store: Store, old: Build, new: Build) -> str:
    """What made *new* of *old*, in a few words."""
    try:
        return _in_words(compare(opened(store, old), opened(store, new)))
    except Unknowable as error:
        return f"what has changed cannot be told: of {error}"


def _in_words(differences: tuple[Difference, ...]) -> str:
    return summary(differences) or "the same parts in another order"


def format_screen(steps: Iterable[Step], *, now: float, width: int, long: bool) -> str:
    """The builds, newest first, for a terminal of *width* cells; *now* in seconds."""
    return "".join(
        f"{_head(step.build, now)}\n{_body(step, width)}{_details(step.build) if long else ''}"
        for step in reversed(tuple(steps))
    )


def _head(build: Build, now: float) -> str:
    mark = click.style(f"{_number(build):>5}", bold=True, fg="green" if build.present else None)
    here = click.style("   ● now", fg="green") if build.present else ""
    return f"{mark} {_when(build, now):<19} {_source(build)}{here}"


def _body(step: Step, width: int) -> str:
    return wrapped(step.change, width, _INDENT)


def wrapped(text: str, width: int, indent: str) -> str:
    """*text* as indented lines of at most *width* cells."""
    lines = textwrap.wrap(text, max(width - len(indent), 20), break_on_hyphens=False)
    return "".join(f"{indent}{line}\n" for line in lines)


def _details(build: Build) -> str:
    rows = [("time", exact_time(build)), ("id", str(Digest.of(build.manifest)))]
    rows += [(visible(name), str(digest)) for name, digest in build.sources.items()]
    widest = max(len(name) for name, _ in rows)
    lines = (f"{_INDENT}{name:<{widest}}   {value}" for name, value in rows)
    return "".join(click.style(line, dim=True) + "\n" for line in lines) + "\n"


def format_lines(steps: Iterable[Step], *, now: float, long: bool) -> str:
    """The builds, newest first, a line for each, for a pipe."""
    rows = [
        (
            _number(step.build),
            exact_time(step.build) if long else _when(step.build, now),
            Digest.of(step.build.manifest).hex if long else step.build.id,
            _source(step.build),
            f"{step.change} (now)" if step.build.present else step.change,
        )
        for step in reversed(tuple(steps))
    ]
    table = report.table(("BUILD", "WHEN", "ID", "SOURCE", "CHANGED"), rows)
    return "".join(f"{line.rstrip()}\n" for line in table.splitlines())


def format_json(steps: Iterable[Step]) -> str:
    """All that is known of the builds, newest first; times in seconds since the epoch."""
    return json.dumps([_row(step) for step in reversed(tuple(steps))], indent=2) + "\n"


def _row(step: Step) -> dict[str, Any]:
    build = step.build
    told = None if step.differences is None else [as_json(each) for each in step.differences]
    return {
        "name": build.name.short,
        "build": build.number,
        "present": build.present,
        "time": build.time / 1e9,
        "digest": Digest.of(build.manifest).hex,
        "sources": {name: str(digest) for name, digest in build.sources.items()},
        "order": build.order or None,
        "change": step.change,
        "differences": told,
    }


def exact_time(build: Build) -> str:
    """When, to the second, in local time."""
    moment = datetime.fromtimestamp(build.time // 10**9, UTC)
    return moment.astimezone().isoformat(" ")


def _number(build: Build) -> str:
    return "–" if build.number is None else f"@{build.number}"


def _when(build: Build, now: float) -> str:
    return age(now - build.time / 1e9)


def _source(build: Build) -> str:
    """The file that was built from, and its digest."""
    digest = build.sources.get("Modelfile")
    if digest is None:
        return "by another tool" if build.number is None else "no source recorded"
    others = len(build.sources) - 1
    more = f" and {others} {'text' if others == 1 else 'texts'}" if others else ""
    return f"{_file(build)} {digest.short}{more}"


def _file(build: Build) -> str:
    file = build.order.get("file")
    if file == "":
        return "standard input"
    return visible(file.rpartition("/")[2]) if isinstance(file, str) else "Modelfile"
