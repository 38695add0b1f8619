"""``mbuild create``."""

import os
import sys
from typing import TYPE_CHECKING

import click

from mbuild.cli.options import ModelName, debug_option, store, store_option
from mbuild.compiler.create import Dialect, Order, create
from mbuild.store.name import Name

if TYPE_CHECKING:
    from mbuild.compiler.diagnostic import Diagnostic

_QUANTIZE = """-q/--quantize is not there yet: mbuild keeps weights as they are
  hint: quantize the file first, with llama.cpp's `llama-quantize IN.gguf OUT.gguf Q4_K_M`"""


@click.command("create", short_help="Build a model from a Modelfile")
@click.argument("model", type=ModelName())
@click.option(
    "-f",
    "--file",
    metavar="FILE",
    help="The Modelfile, - for standard input [default: Modelfile; without one, FROM .].",
)
@click.option(
    "--dialect",
    type=click.Choice(["mbuild", "ollama"]),
    default="mbuild",
    show_default=True,
    help="ollama: read the Modelfile exactly as Ollama does, quirks included.",
)
@click.option("--no-cache", is_flag=True, help="Read and fetch everything again.")
@click.option("--quiet", is_flag=True, help="Print errors and warnings only.")
@click.option("-q", "--quantize", metavar="TYPE", help="Not there yet.")
@store_option
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    file: str | None,
    *,
    dialect: Dialect,
    no_cache: bool,
    quiet: bool,
    quantize: str | None,
) -> None:
    """Build the model that a Modelfile describes, and name it MODEL.

    \b
    Examples:
      mbuild create kid
      mbuild create kid:v2 -f prompts/Modelfile
      echo "FROM ./model.gguf" | mbuild create plain -f -
    """
    if quantize is not None:
        raise click.UsageError(_QUANTIZE, ctx)
    models = store(ctx)
    name = models.resolve(Name.parse(model))
    shown, data, folder = _read(file)
    order = Order(name, shown, data, folder, dialect, fresh=no_cache)
    if quiet:
        manifest, findings = create(order, models, lambda _: None)
    else:
        from mbuild.cli.building import narrator

        with narrator() as tell:
            manifest, findings = create(order, models, tell)
    _print(findings)
    if manifest is None:
        ctx.exit(1)


def _read(file: str | None) -> tuple[str, bytes, str]:
    """The Modelfile's name, its bytes, and the folder that its paths are seen from."""
    if file == "-":
        return "<stdin>", sys.stdin.buffer.read(), os.getcwd()
    path = file or "Modelfile"
    try:
        with open(path, "rb") as opened:
            return path, opened.read(), os.path.dirname(os.path.abspath(path))
    except FileNotFoundError:
        if file is not None:
            raise
        return "<no Modelfile>", b"FROM .", os.getcwd()


def _print(findings: "tuple[Diagnostic, ...]") -> None:
    if not findings:
        return
    from mbuild.cli.findings import paint

    for finding in findings:
        click.echo(paint(finding), err=True)
