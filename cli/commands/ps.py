"""``mbuild ps``."""

import json
import os
import time

import click

from mbuild.cli.options import debug_option, store, store_option


@click.command("ps", short_help="List the models that a server has loaded")
@click.argument("prefix", default="")
@click.option("--json", "as_json", is_flag=True, help="As JSON, in the server's own words.")
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, prefix: str, *, as_json: bool) -> None:
    """List the models that the server has loaded; only those that begin with PREFIX.

    The server is the one on the same store, or the one that MBUILD_HOST names.
    """
    # Imported here: --help asks no server.
    from mbuild.cli.loaded import loaded_as_table
    from mbuild.cli.peer import ask, ours

    address = ours(store(ctx).root, named=os.environ.get("MBUILD_HOST", "").strip())
    found = ask(address, "GET", "/api/ps")["models"]
    rows = [each for each in found if each["name"].startswith(prefix)]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        click.echo(loaded_as_table(rows, now=time.time()), nl=False)
