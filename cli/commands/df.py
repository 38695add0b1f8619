"""``mbuild df``."""

import click

from mbuild.cli.options import debug_option, store, store_option


@click.command("df", short_help="Show what takes room in the store")
@click.option("-v", "--verbose", is_flag=True, help="Show the room of each model too.")
@click.option("--json", "as_json", is_flag=True, help="As JSON: counts, and bytes on the disk.")
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, *, verbose: bool, as_json: bool) -> None:
    """Show what takes room in the store, on the disk, and what could be had back.

    \b
    Examples:
      mbuild df
      mbuild df -v
    """
    from mbuild.cli import storage

    usage = store(ctx).usage()
    if as_json:
        click.echo(storage.usage_as_json(usage), nl=False)
        return
    click.echo(storage.usage_as_table(usage, storage.paint), nl=False)
    if verbose and usage.models:
        click.echo("\n" + storage.models_as_table(usage, storage.paint), nl=False)
