"""``mbuild list``."""

import time

import click

from mbuild.cli import report
from mbuild.cli.options import debug_option, store, store_option


@click.command("list", short_help="List the models in the store")
@click.argument("prefix", default="")
@click.option("--json", "as_json", is_flag=True, help="As JSON: name, digest, size, modified.")
@click.option("-q", "--quiet", is_flag=True, help="Names only, one on a line.")
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, prefix: str, *, as_json: bool, quiet: bool) -> None:
    """List the models in the store, the newest first; only those that begin with PREFIX.

    \b
    Examples:
      mbuild list
      mbuild list kid
      mbuild ls --json
    """
    entries = [
        entry
        for entry in store(ctx).entries()
        if entry.name.short.lower().startswith(prefix.lower())
    ]
    if quiet:
        text = "".join(f"{entry.name.short}\n" for entry in entries)
    elif as_json:
        text = report.models_as_json(entries)
    else:
        text = report.models_as_table(entries, now=time.time())
    click.echo(text, nl=False)
    for entry in entries:
        if entry.damaged:
            click.echo(f"warning: {entry.name.short} is damaged: {entry.damaged}", err=True)
