"""``mbuild history``."""

import sys
import time
from typing import TYPE_CHECKING

import click

from mbuild.cli.options import ModelName, debug_option, store, store_option

if TYPE_CHECKING:
    from mbuild.cli.builds import Build
    from mbuild.store.store import Store


@click.command("history", short_help="List the builds of a model, or show one's sources")
@click.argument("model", type=ModelName())
@click.argument("build", metavar="[@N]", default="")
@click.option("--show", metavar="N", type=int, help="The sources of build N; the same as @N.")
@click.option("--source", metavar="NAME", help="With @N: only this text, byte for byte.")
@click.option("--long", is_flag=True, help="Exact times, whole digests, all sources.")
@click.option("--json", "as_json", is_flag=True, help="As JSON: all that is known.")
@store_option
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    model: str,
    build: str,
    *,
    show: int | None,
    source: str | None,
    long: bool,
    as_json: bool,
) -> None:
    """List all that MODEL has stood for, newest first, and what each build changed.

    With @N, show the texts that build was made from: the Modelfile, and what it read.

    \b
    Examples:
      mbuild history kid
      mbuild history kid @3
      mbuild history kid @3 --source Modelfile > Modelfile
      mbuild history kid --json
    """
    from mbuild.cli.builds import asked, builds, numbered
    from mbuild.store.name import Name

    models = store(ctx)
    name, number = asked(model, build)
    number = number if show is None else show
    if source is not None and number is None:
        raise click.UsageError("--source needs the number of a build, such as @3", ctx)
    every = builds(models, models.resolve(Name.parse(name)))
    if number is not None:
        _show(ctx, models, numbered(every, number), source)
        return
    _list(models, every, long=long, as_json=as_json)


def _list(models: "Store", every: "tuple[Build, ...]", *, long: bool, as_json: bool) -> None:
    from mbuild.cli import past
    from mbuild.cli.terminal import width

    steps = past.steps(models, every)
    if as_json:
        text = past.format_json(steps)
    elif sys.stdout.isatty():
        text = past.format_screen(steps, now=time.time(), width=width() or 80, long=long)
    else:
        text = past.format_lines(steps, now=time.time(), long=long)
    click.echo(text, nl=False)


def _show(ctx: click.Context, models: "Store", build: "Build", source: str | None) -> None:
    """Write the sources of *build*: a single one as it is, several under their names."""
    if not build.sources:
        click.echo(f"{build.label}: nothing is recorded of its sources", err=True)
        ctx.exit(1)
    wanted = list(build.sources) if source is None else [source]
    for name in wanted:
        if name not in build.sources:
            there = ", ".join(build.sources)
            raise click.UsageError(f"no source {name!r} of {build.label}; it has {there}", ctx)
    for name in wanted:
        if len(wanted) > 1:
            click.echo(f"==> {name} <==")
        data = models.source(build.sources[name])
        _write(data)
        if len(wanted) > 1 and not data.endswith(b"\n"):
            click.echo()


def _write(data: bytes) -> None:
    """Write *data* as it is; on a terminal without what would act on it."""
    if sys.stdout.isatty():
        from mbuild.cli.terminal import harmless

        text = harmless(data.decode("utf-8", "replace"))
        click.echo(text, nl=not text.endswith("\n"))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
