"""``mbuild rollback``."""

import sys
from typing import TYPE_CHECKING

import click

from mbuild.cli.options import ModelName, debug_option, store, store_option

if TYPE_CHECKING:
    from mbuild.cli.builds import Build
    from mbuild.store.store import Store


@click.command("rollback", short_help="Bring back an earlier build of a model")
@click.argument("model", type=ModelName())
@click.argument("build", metavar="[@N]", default="")
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, /, model: str, build: str) -> None:
    """Make MODEL what it was at build @N, or before the present build.

    That is a build, too: it gets a number of its own, and can be taken back the same way.

    \b
    Examples:
      mbuild rollback kid
      mbuild rollback kid @3
    """
    from mbuild.cli.builds import asked, before, builds, numbered
    from mbuild.store.name import Name

    models = store(ctx)
    name, number = asked(model, build)
    every = builds(models, models.resolve(Name.parse(name)))
    there = every[-1] if every[-1].present else None
    if number is not None:
        wanted = numbered(every, number)
    else:
        wanted = every[-1] if there is None else before(every, there)
    if there is not None and there.manifest == wanted.manifest:
        click.echo(f"{there.name.short} is still what it was at @{wanted.number}; nothing changed")
        return
    _bring_back(models, there, wanted)


def _bring_back(models: "Store", there: "Build | None", wanted: "Build") -> None:
    from mbuild.cli import past
    from mbuild.cli.builds import builds, restore
    from mbuild.cli.terminal import width

    missing = restore(models, wanted)
    for source in missing:
        click.echo(f"warning: the text of {source} is gone from the store", err=True)
    now = builds(models, wanted.name)[-1]
    click.echo(f"{now.label} is {wanted.label} again")
    if there is not None:
        told = past.change(models, there, now)
        cells = (width() or 80) if sys.stdout.isatty() else len(told) + 2
        click.echo(past.wrapped(told, cells, "  "), nl=False)
