"""``mbuild cp``."""

import click

from mbuild.cli.options import ModelName, debug_option, store, store_option
from mbuild.store.name import Name


@click.command("cp", short_help="Give a model a second name")
@click.argument("source", type=ModelName())
@click.argument("destination")
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, source: str, destination: str) -> None:
    """Copy the model SOURCE to the name DESTINATION. No weights are copied.

    \b
    Example:
      mbuild cp kid me/kid:v2
    """
    models = store(ctx)
    models.copy(models.resolve(Name.parse(source)), models.resolve(Name.parse(destination)))
    click.echo(f"copied '{source}' to '{destination}'")
