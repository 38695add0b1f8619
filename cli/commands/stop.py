"""``mbuild stop``."""

import os

import click

from mbuild.cli.options import ModelName, debug_option, store, store_option


@click.command("stop", short_help="Have a server unload a model")
@click.argument("model", type=ModelName())
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, model: str) -> None:
    """Have the server unload MODEL, once what it answers now is answered.

    The server is the one on the same store, or the one that MBUILD_HOST names.
    """
    # Imported here: --help asks no server.
    from mbuild.cli.peer import NoServer, Unwilling, ask, ours

    address = ours(store(ctx).root, named=os.environ.get("MBUILD_HOST", "").strip())
    try:
        ask(address, "POST", "/api/generate", {"model": model, "prompt": "", "keep_alive": 0})
    except Unwilling as error:
        if error.status == 404:
            raise NoServer(f'couldn\'t find model "{model}" to stop') from None
        raise
