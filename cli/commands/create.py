"""``mbuild create``."""

import errno
import os
import stat
import sys
from typing import TYPE_CHECKING, BinaryIO, Literal

import click

from mbuild.cli.abilities import quantize as quantize_weights
from mbuild.cli.abilities import refuse_schema
from mbuild.cli.options import ModelName, completed, debug_option, store, store_option
from mbuild.compiler.create import Dialect, Order, Review, create
from mbuild.store.name import Name

if TYPE_CHECKING:
    from mbuild.cli.building import Form
    from mbuild.compiler.diagnostic import Diagnostic
    from mbuild.runtime.budget import Budget
    from mbuild.store.store import Store

_LARGEST = 64 << 20  # bytes of a Modelfile


def _arguments(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    """NAME=VALUE, each; as in Docker, a NAME alone takes its value from the environment."""
    arguments: dict[str, str] = {}
    for each in values:
        name, equals, value = each.partition("=")
        if not name or (not equals and name not in os.environ):
            message = f"{each!r} is not NAME=VALUE, and the environment has no such name"
            raise click.BadParameter(message, ctx, param)
        arguments[name] = value if equals else os.environ[name]
    return arguments


def _type(ctx: click.Context, param: click.Parameter, text: str | None) -> str | None:
    """The type of quantization that *text* names."""
    if text is None:
        return None
    from mbuild.compiler.quantization import Unsupported, wanted

    found = wanted(text)
    if isinstance(found, Unsupported):
        raise click.BadParameter(f"{found.message}; {found.hint}", ctx, param)
    return found


class _Create(click.Command):
    """Some options take a value behind an equals sign only: in ``--no-cache kid`` kid is none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, completed(args, _ALONE))


_ALONE = {"--no-cache": "*", "--link": "always"}


@click.command("create", cls=_Create, short_help="Build a model from a Modelfile")
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
@click.option(
    "--no-cache",
    metavar="[=STEP]",
    help="Do everything again, or one step, as --no-cache=quantized; mbuild graph names them.",
)
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@click.option(
    "--budget",
    is_flag=True,
    help="Count the tokens of template, system and examples; look at the vocabulary, too.",
)
@click.option(
    "--link",
    type=click.Choice(["never", "auto", "always"]),
    metavar="[=never|auto|always]",
    default="auto",
    show_default=True,
    help="Whether a hard link to a file may save its copy; auto: from read-only caches.",
)
@click.option("--quiet", is_flag=True, help="Print errors and warnings only.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "plain", "json"]),
    default="auto",
    show_default=True,
    help="How to tell of the build: bars on a terminal, lines, or JSON.",
)
@click.option(
    "-q",
    "--quantize",
    metavar="TYPE",
    callback=_type,
    help="Make the weights smaller, as in q4_K_M; goes before QUANTIZE.",
)
@click.option("--requantize", is_flag=True, help="Quantize weights that were quantized before.")
@click.option(
    "--build-arg",
    "arguments",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_arguments,
    help="The value of an ARG.",
)
@click.option("--target", metavar="STAGE", help="Build up to this stage [default: the last].")
@click.option(
    "--allow-outside",
    is_flag=True,
    help="Let INCLUDE and --file= name files outside of the Modelfile's folder.",
)
@store_option
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    file: str | None,
    *,
    dialect: Dialect,
    no_cache: str | None,
    strict: bool,
    budget: bool,
    quiet: bool,
    progress: "Form",
    quantize: str | None,
    requantize: bool,
    arguments: dict[str, str],
    target: str | None,
    allow_outside: bool,
    link: "Literal['never', 'auto', 'always']",
) -> None:
    """Build the model that a Modelfile describes, and name it MODEL.

    \b
    Examples:
      mbuild create kid
      mbuild create kid:v2 -f prompts/Modelfile
      mbuild create kid:strict --build-arg TONE=strict
      echo "FROM ./model.gguf" | mbuild create plain -f -
    """
    models = store(ctx)
    name = models.resolve(Name.parse(model))
    shown, data, folder = _read(file)
    order = Order(
        name,
        shown,
        data,
        folder,
        dialect,
        fresh=no_cache == "*",
        fresh_steps=frozenset() if no_cache in (None, "*") else frozenset({str(no_cache)}),
        strict=strict,
        learn=budget,
        arguments=arguments,
        target=target,
        allow_outside=allow_outside,
        quantize=quantize,
        requantize=requantize,
        quantizer=quantize_weights,
        refuse_schema=refuse_schema,
        link=link,
    )
    counted: list[Budget] = []
    review = _review(order, models, counted) if budget else None
    if quiet:
        manifest, findings = create(order, models, lambda _: None, review=review)
    else:
        from mbuild.cli.building import narrator

        with narrator(progress) as tell:
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
        with open(_descriptor(path), "rb") as opened:
            return path, _all(opened, path), os.path.dirname(os.path.abspath(path))
    except FileNotFoundError:
        if file is not None:
            raise
        return "<no Modelfile>", b"FROM .", os.getcwd()


_PATIENCE = 5  # seconds until somebody writes


def _descriptor(path: str) -> int:
    """The file at *path*, opened; a FIFO only if somebody writes into it, as a shell's <() does."""
    # Opening a FIFO waits for a writer, who may never come.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        os.close(descriptor)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if stat.S_ISFIFO(mode):
        from select import select

        if not select([descriptor], [], [], _PATIENCE)[0]:
            os.close(descriptor)
            raise OSError(errno.EAGAIN, "a FIFO into which nobody writes", path)
    os.set_blocking(descriptor, True)
    return descriptor


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
