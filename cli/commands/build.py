"""``mbuild build``."""

import os
import re
import sys
import time
from typing import TYPE_CHECKING, NoReturn

import click

from mbuild.cli.abilities import quantize, refuse_schema
from mbuild.cli.options import completed, debug_option, store, store_option
from mbuild.compiler.plan import Unit, matching, spoken
from mbuild.compiler.project import FILE, Node, Project, Survey, Ways, find, is_stale, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mbuild.compiler.diagnostic import Diagnostic
    from mbuild.compiler.schedule import Failure, Outcome
    from mbuild.store.store import Store

_ALL = "*"


class _Command(click.Command):
    """A command in which --no-cache takes a value only behind an equals sign."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, completed(args, {"--no-cache": _ALL}))


@click.command("build", cls=_Command, short_help="Build the models of a project")
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    help="Models that are built at once [default: as many as there are cores].",
)
@click.option("-k", "--keep-going", is_flag=True, help="After a failure build what can be built.")
@click.option("-n", "--dry-run", is_flag=True, help="Tell what would be built, and why.")
@click.option(
    "--no-cache",
    metavar="[=MODEL|STEP]",
    multiple=True,
    help="Do everything again; for one model, or one step of all, as in --no-cache=quantized.",
)
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@click.option("--quiet", is_flag=True, help="Print errors and warnings only.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each model as JSON.")
@click.option("-C", "folder", metavar="DIR", help="Look for the project from this folder on.")
@click.option("--project", "file", metavar="FILE", help=f"The project [default: {FILE}].")
@store_option
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    targets: tuple[str, ...],
    *,
    jobs: int | None,
    keep_going: bool,
    dry_run: bool,
    no_cache: tuple[str, ...],
    strict: bool,
    quiet: bool,
    as_json: bool,
    folder: str | None,
    file: str | None,
) -> None:
    """Build the models of a project that are stale, each after those that it is FROM.

    The project is mbuild.toml in this folder, or in the nearest one above. TARGET is a model of
    it, a model with a tag, or either with * and ?; without one all are built.

    \b
    Examples:
      mbuild build
      mbuild build kid 'tutor:*' -j 4
      mbuild build --dry-run
    """
    start = time.monotonic()
    path, shown = _found(ctx, folder, file, quiet=quiet or as_json)
    project, findings = load(path, shown)
    models = store(ctx)
    if findings:
        _refuse(ctx, path, findings, as_json=as_json)
    units = _chosen(ctx, project, targets)
    survey = Survey(project, models, _ways(ctx, project, no_cache, strict=strict))
    nodes = survey.nodes(units)
    if survey.findings:
        _refuse(ctx, path, survey.findings, as_json=as_json)
    if dry_run:
        _foresee(path, nodes, models, as_json=as_json)
        return
    stale = [node for node in nodes if is_stale(node, models)]
    if not stale and not as_json:
        if not quiet:
            _tell_cached(nodes, start)
        return
    outcomes = _build(nodes, models, _jobs(jobs, nodes, stale), keep_going, quiet or as_json)
    _report(path, outcomes, start, quiet=quiet, as_json=as_json)
    if any(outcome.state.value == "failed" for outcome in outcomes):
        ctx.exit(1)


def _found(
    ctx: click.Context, folder: str | None, file: str | None, *, quiet: bool
) -> tuple[str, str]:
    """The path of the project file, and what findings call it."""
    if file is not None:
        path = os.path.join(folder or "", file)
        return os.path.abspath(path), path
    begin = os.path.abspath(folder or ".")
    found = find(begin)
    if found is None:
        hint = "mbuild create builds a single Modelfile"
        message = f"no {FILE} in {begin}, nor in a folder above it; {hint}"
        raise click.UsageError(message, ctx)
    shown = os.path.relpath(found)
    if os.path.dirname(found) != begin and not quiet:
        click.echo(f"project {shown}")
    return found, shown


def _chosen(ctx: click.Context, project: Project, targets: tuple[str, ...]) -> tuple[Unit, ...]:
    """The units that the command line names."""
    if not targets:
        return project.units
    chosen, unknown = matching(project.units, targets)
    if unknown:
        _refuse_target(ctx, project, unknown[0])
    return chosen


def _ways(ctx: click.Context, project: Project, no_cache: tuple[str, ...], *, strict: bool) -> Ways:
    steps = frozenset(word for word in no_cache if _STEP.fullmatch(word))
    models = tuple(word for word in no_cache if word not in steps)
    return Ways(
        _fresh(ctx, project, models),
        steps,
        strict=strict,
        quantizer=quantize,
        refuse_schema=refuse_schema,
    )


# What `mbuild graph` calls the steps, of a stage or of the whole.
_STEP = re.compile(
    r"(?:[\w-]+: )?(?:base|weights|adapter|draft|quantized|template|system|license|messages"
    r"|schema|parameters|scales|config|manifest)(?: [0-9]+)?"
)


def _fresh(
    ctx: click.Context, project: Project, no_cache: tuple[str, ...]
) -> "Callable[[Unit], bool]":
    if _ALL in no_cache:
        return lambda _: True
    chosen = set(_chosen(ctx, project, no_cache)) if no_cache else set()
    return chosen.__contains__


def _refuse_target(ctx: click.Context, project: Project, target: str) -> NoReturn:
    from difflib import get_close_matches

    known = list(dict.fromkeys(name for unit in project.units for name in spoken(unit)))
    near = get_close_matches(target, known, n=1)
    message = f'no model of this project is called "{target}"'
    models = list(dict.fromkeys(unit.model for unit in project.units))
    shown = ", ".join(models[:5]) + (", …" if len(models) > 5 else "")
    message += f"; did you mean {near[0]}?" if near else f"; it has {shown}"
    raise click.UsageError(message, ctx)


def _refuse(
    ctx: click.Context, path: str, findings: "Iterable[Diagnostic]", *, as_json: bool
) -> NoReturn:
    if as_json:
        from mbuild.cli.project_report import findings_as_json

        click.echo(findings_as_json(path, findings), nl=False)
    else:
        _print(findings)
    ctx.exit(1)


def _print(findings: "Iterable[Diagnostic]") -> None:
    from mbuild.cli.findings import paint

    for finding in findings:
        click.echo(paint(finding), err=True)


def _foresee(path: str, nodes: "Sequence[Node]", models: "Store", *, as_json: bool) -> None:
    from mbuild.cli.project_report import foreseen_as_json, format_foreseen, format_plan
    from mbuild.compiler.schedule import foreseen

    plan = foreseen(nodes, models)
    if as_json:
        click.echo(foreseen_as_json(path, plan), nl=False)
        return
    names = _widest(nodes)
    columns = _columns()
    for node, why in plan:
        click.echo(format_plan(node.unit.label, why, names=names, columns=columns))
    click.echo(format_foreseen([why for _, why in plan]))


def _tell_cached(nodes: "Sequence[Node]", start: float) -> None:
    """Nothing has to be built: one line each, written at once."""
    from mbuild.cli.project_report import format_cached, format_summary

    names = _widest(nodes)
    lines = [
        format_cached(node.unit.label, node.known.manifest, names=names)
        for node in nodes
        if node.known is not None
    ]
    untold = sum(node.known.findings for node in nodes if node.known is not None)
    seconds = time.monotonic() - start
    lines.append(format_summary(["cached"] * len(nodes), seconds=seconds, untold=untold))
    sys.stdout.write("\n".join(lines) + "\n")


def _build(
    nodes: "Sequence[Node]", models: "Store", jobs: int, keep_going: bool, quiet: bool
) -> "tuple[Outcome, ...]":
    # Imported here: where nothing is stale, nobody is needed who builds.
    import gc

    from mbuild.cli.project_view import watching
    from mbuild.cli.signals import ends_when_told
    from mbuild.compiler.crew import Alone, Team
    from mbuild.compiler.schedule import run

    gc.enable()  # Many models may be built, and each leaves some garbage.
    with ends_when_told(), watching(_widest(nodes), quiet=quiet) as watcher:
        if jobs == 1:
            alone = Alone(models, _explain, watcher.heard)
            return run(nodes, models, alone, watcher, keep_going=keep_going)
        _warm_up()
        with Team(models, _explain, jobs) as team:
            return run(nodes, models, team, watcher, keep_going=keep_going)


def _warm_up() -> None:
    """Import what each child would import again."""
    import mbuild.compiler.build
    import mbuild.compiler.check
    import mbuild.compiler.expand
    import mbuild.compiler.parser
    import mbuild.store.changes  # noqa: F401  # They are only to be there.


def _jobs(jobs: int | None, nodes: "Sequence[Node]", stale: "Sequence[Node]") -> int:
    """How many models may be built at once: no more than may have to be."""
    moving = set(stale)
    for node in nodes:
        if any(need in moving for need in node.needs):
            moving.add(node)
    return max(min(jobs or _cores(), len(moving)), 1)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _report(
    path: str, outcomes: "tuple[Outcome, ...]", start: float, *, quiet: bool, as_json: bool
) -> None:
    from mbuild.cli.project_report import format_summary, outcomes_as_json

    if as_json:
        click.echo(outcomes_as_json(path, outcomes), nl=False)
        return
    if not quiet and any(outcome.findings or outcome.failure for outcome in outcomes):
        click.echo()
    sys.stdout.flush()
    for outcome in outcomes:
        _print(outcome.findings)
        if outcome.failure is not None:
            _tell_failure(outcome.node.unit.label, outcome.failure)
    if not quiet:
        states = [outcome.state.value for outcome in outcomes]
        click.echo(format_summary(states, seconds=time.monotonic() - start))


def _tell_failure(label: str, failure: "Failure") -> None:
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {label}: {failure.message}", err=True)
    for hint in failure.hints:
        click.echo(click.style("  hint: ", fg="cyan") + hint, err=True)


def _explain(error: Exception) -> "Failure":
    from mbuild.cli.failure import explain
    from mbuild.compiler.schedule import Failure

    told = explain(error)
    return Failure(told.message, told.hints)


def _widest(nodes: "Sequence[Node]") -> int:
    return max((len(node.unit.label) for node in nodes), default=0)


def _columns() -> int | None:
    """The cells of a terminal that sees the lines; None: they go somewhere else, whole."""
    if not sys.stdout.isatty():
        return None
    import shutil

    return shutil.get_terminal_size().columns
