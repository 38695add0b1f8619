"""``mbuild create``."""

import errno
import os
import sys
from typing import TYPE_CHECKING, BinaryIO

import click

from mbuild.cli.options import ModelName, debug_option, store, store_option
from mbuild.compiler.create import Dialect, Order, Review, create
from mbuild.store.name import Name

if TYPE_CHECKING:
    from mbuild.compiler.diagnostic import Diagnostic
    from mbuild.runtime.budget import Budget
    from mbuild.store.store import Store

_LARGEST = 64 << 20  # bytes of a Modelfile

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
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@click.option(
    "--budget",
    is_flag=True,
    help="Count the tokens of template, system and examples; look at the vocabulary, too.",
)
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
    strict: bool,
    budget: bool,
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
    order = Order(name, shown, data, folder, dialect, fresh=no_cache, strict=strict, learn=budget)
    counted: list[Budget] = []
    review = _review(order, models, counted) if budget else None
    if quiet:
        manifest, findings = create(order, models, lambda _: None, review=review)
    else:
        from mbuild.cli.building import narrator

        with narrator() as tell:
            manifest, findings = create(order, models, tell, review=review)
    _print(findings)
    for each in counted:
        from mbuild.cli.budget import format_budget

        click.echo(format_budget(each, bar=sys.stdout.isatty()), nl=False)
    if manifest is None:
        if strict and not any(each.severity.value == "error" for each in findings):
            click.echo("nothing was built: with --strict, warnings are errors", err=True)
        ctx.exit(1)


def _review(order: Order, models: "Store", counted: "list[Budget]") -> Review:
    """What counts the tokens of the model that *order* builds, and puts the result in *counted*."""
    # Imported here: a plain build loads no vocabulary.
    from mbuild.cli.budget import measured, require_engine, tight
    from mbuild.runtime.model import open_model
    from mbuild.store.manifest import Manifest

    require_engine()

    def review(manifest: bytes) -> "tuple[Diagnostic, ...]":
        model = open_model(order.name.short, Manifest.decode(manifest), models.blobs)
        counted.append(measured(model))
        return tight(counted[-1], order)

    return review


def _read(file: str | None) -> tuple[str, bytes, str]:
    """The Modelfile's name, its bytes, and the folder that its paths are seen from."""
    if file == "-":
        return "<stdin>", _all(sys.stdin.buffer, "<stdin>"), os.getcwd()
    path = file or "Modelfile"
    try:
        with open(path, "rb") as opened:
            return path, _all(opened, path), os.path.dirname(os.path.abspath(path))
    except FileNotFoundError:
        if file is not None:
            raise
        return "<no Modelfile>", b"FROM .", os.getcwd()


def _all(opened: BinaryIO, path: str) -> bytes:
    """What is in a file; a device or a pipe may have no end."""
    data = opened.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise OSError(errno.EFBIG, f"larger than {_LARGEST >> 20} MiB, so no Modelfile", path)
    return data


def _print(findings: "tuple[Diagnostic, ...]") -> None:
    if not findings:
        return
    from mbuild.cli.findings import paint

    for finding in findings:
        click.echo(paint(finding), err=True)
