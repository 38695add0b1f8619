"""``mbuild serve``."""

import os
import time
from contextlib import closing
from typing import TYPE_CHECKING

import click

from mbuild.cli.options import debug_option, store, store_option

if TYPE_CHECKING:
    from mbuild.cli.address import Address
    from mbuild.runtime.jinja import Templates
    from mbuild.runtime.pool import Pool
    from mbuild.runtime.service import Service, Settings
    from mbuild.store.store import Store


@click.command("serve", short_help="Serve models to clients of Ollama")
@click.option("--host", metavar="HOST", help="The address to listen at [default: 127.0.0.1].")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="The port [default: 11434]; 0: any free one."
)
@click.option(
    "--parallel", type=click.IntRange(1, 64), help="Answers at once of one model [default: 4]."
)
@click.option(
    "--api-key",
    metavar="KEY",
    envvar="MBUILD_API_KEY",
    help="Ask for this key, in Authorization: Bearer; better in MBUILD_API_KEY.",
)
@click.option(
    "--insecure-no-auth",
    is_flag=True,
    help="Let everybody in who can reach an address that is not of this machine alone.",
)
@store_option
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    host: str | None,
    port: int | None,
    parallel: int | None,
    api_key: str | None,
    insecure_no_auth: bool,
) -> None:
    """Serve the models in the store, as Ollama does: its clients work unchanged.

    Only this machine can ask, unless --host says otherwise. MBUILD_HOST is the address, too;
    OLLAMA_NUM_PARALLEL, OLLAMA_KEEP_ALIVE, OLLAMA_MAX_QUEUE, OLLAMA_MAX_LOADED_MODELS,
    OLLAMA_CONTEXT_LENGTH and OLLAMA_ORIGINS mean what they mean to Ollama.

    \b
    Examples:
      mbuild serve
      mbuild serve --port 8080 --parallel 8
      MBUILD_API_KEY=secret mbuild serve --host 0.0.0.0
    """
    address = _address(ctx, host, port)
    if not (address.is_loopback or api_key or insecure_no_auth):
        message = f"others could reach {address.host}: give --api-key, or --insecure-no-auth"
        raise click.UsageError(message, ctx)
    if not (address.is_loopback or api_key):
        _say(f"WARNING: everybody who can reach {address.host} can use and change the models")
    _require()
    _serve(store(ctx), address, parallel, api_key or "")


def _address(ctx: click.Context, host: str | None, port: int | None) -> "Address":
    from mbuild.cli.address import Address, BadAddress, parse

    try:
        named = parse(host or os.environ.get("MBUILD_HOST", ""))
    except BadAddress as bad:
        raise click.UsageError(str(bad), ctx) from None
    return named if port is None else Address(named.host, port)


def _require() -> None:
    from importlib.util import find_spec

    from mbuild.runtime.engine import EngineMissing

    for module in ("uvicorn", "starlette", "pydantic"):
        if find_spec(module) is None:
            raise EngineMissing(module)


def _serve(models: "Store", address: "Address", parallel: int | None, api_key: str) -> None:
    # Imported here, as below: --help needs no server.
    from functools import lru_cache
    from importlib.metadata import version

    from mbuild.cli.address import Address
    from mbuild.cli.serving import Environment, ends_in_order, listen
    from mbuild.runtime.jinja import Templates
    from mbuild.runtime.llama import Llama
    from mbuild.runtime.memory import available, needed
    from mbuild.runtime.pool import Pool
    from mbuild.runtime.server import application, run
    from mbuild.runtime.service import Settings

    environment = Environment(os.environ, _say)
    settings = Settings(
        version=version("mbuild-modelfile"),
        parallel=parallel or environment.parallel,
        num_ctx=environment.num_ctx,
        api_key=api_key,
        origins=environment.origins,
        loopback=address.is_loopback,
    )
    with closing(listen(address)) as listening, closing(Templates()) as templates:
        pool = Pool(
            Llama,
            environment.limits,
            clock=time.time_ns,
            needed=lru_cache(64)(lambda load: needed(load, settings.parallel)),
            available=available,
        )
        with closing(pool):
            service = _service(models, pool, templates, settings)
            bound = Address(address.host, listening.getsockname()[1])
            _say(f"mbuild {settings.version} serves {models.root} at http://{bound}")
            most = environment.limits.most_waiting + settings.parallel
            app = application(service, most=most, log=_say)
            with ends_in_order():
                run(app, [listening])


def _service(
    models: "Store", pool: "Pool", templates: "Templates", settings: "Settings"
) -> "Service":
    from mbuild.cli.crafting import crafts
    from mbuild.runtime.quantize import quantize
    from mbuild.runtime.service import Service

    return Service(models, pool, templates, crafts(models, quantize), settings, clock=time.time_ns)


def _say(text: str) -> None:
    click.echo(text, err=True)
