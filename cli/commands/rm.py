"""``mbuild rm``."""

import click

from mbuild.cli.options import ModelName, debug_option, store, store_option
from mbuild.store.name import Name


@click.command("rm", short_help="Remove models")
@click.argument("models", nargs=-1, required=True, type=ModelName(), metavar="MODEL...")
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, models: tuple[str, ...]) -> None:
    """Remove MODELs, their history, and the layers that no other model needs.

    \b
    Example:
      mbuild rm kid kid:v2
    """
    kept = store(ctx)
    for text in models:
        removed = kept.remove(kept.resolve(Name.parse(text)))
        click.echo(f"deleted '{text}'")
        if removed.kept_because:
            click.echo(f"note: {removed.kept_because}", err=True)
