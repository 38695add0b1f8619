"""``mbuild verify``."""

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from mbuild.cli.abilities import quantize
from mbuild.cli.options import ModelName, debug_option, store, store_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mbuild.cli.builds import Build
    from mbuild.compiler.progress import Tell
    from mbuild.compiler.reproduction import Rebuilt
    from mbuild.compiler.verification import Checked
    from mbuild.store.manifest import Layer
    from mbuild.store.store import Store


@click.command("verify", short_help="Check a model's files, or build it again to prove it")
@click.argument("model", type=ModelName())
@click.option("--rebuild", is_flag=True, help="Build it again, from what is kept of it.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, /, model: str, *, rebuild: bool, as_json: bool) -> None:
    """Read all files that MODEL is made of, and check that each byte is what it was.

    With --rebuild, also build it again from the texts and the files that are kept of that build,
    beside the store, and check that the manifest comes out the same. Exits with 1 if anything is
    not as it should be.

    \b
    Examples:
      mbuild verify kid
      mbuild verify kid@2 --rebuild
    """
    from mbuild.cli.builds import named
    from mbuild.cli.verdict import format_checked, format_json
    from mbuild.compiler.verification import Verdict

    models = store(ctx)
    build = named(models, model)
    with _bar() as tell:
        checked = _checked(models, build, tell)
    whole = all(each.verdict is Verdict.WHOLE for each in checked)
    if not as_json:
        click.echo(format_checked(build, checked), nl=False)
    again = _rebuilt(models, build) if rebuild and whole else None
    if as_json:
        click.echo(format_json(build, checked, again), nl=False)
    elif again is not None:
        _report(build, again)
    elif rebuild:
        click.echo("not built again: that would prove nothing of other files", err=True)
    if not whole or (again is not None and again.manifest != build.manifest):
        ctx.exit(1)


def _checked(models: "Store", build: "Build", tell: "Tell") -> "tuple[Checked, ...]":
    from mbuild.cli.builds import kind
    from mbuild.compiler.progress import Progress
    from mbuild.compiler.verification import check
    from mbuild.store.manifest import Manifest

    def progress(layer: "Layer", done: int) -> None:
        tell(Progress(f"reading {kind(layer)} {layer.digest.short}", done, layer.size))

    return tuple(check(Manifest.decode(build.manifest), models.blobs, progress))


@contextmanager
def _bar() -> "Iterator[Tell]":
    """A listener that shows a bar while bytes move, and on a terminal only."""
    from mbuild.cli.building import narrator
    from mbuild.compiler.progress import Progress, Status

    with narrator() as narrate:

        def tell(news: Status | Progress) -> None:
            if isinstance(news, Progress) and sys.stderr.isatty():
                narrate(news)

        yield tell


def _rebuilt(models: "Store", build: "Build") -> "Rebuilt":
    # Imported here: a plain check builds nothing.
    from tempfile import TemporaryDirectory

    from mbuild.cli.builds import when_first_built
    from mbuild.compiler.reproduction import rebuild

    revision = when_first_built(models, build)
    with TemporaryDirectory(prefix="mbuild-verify-") as folder, _bar() as tell:
        return rebuild(revision, models, os.path.realpath(folder), tell=tell, quantizer=quantize)


def _report(build: "Build", rebuilt: "Rebuilt") -> None:
    from mbuild.cli.terminal import width
    from mbuild.cli.verdict import format_rebuilt

    if rebuilt.manifest is None:
        from mbuild.cli.findings import paint

        for finding in rebuilt.findings:
            click.echo(paint(finding), err=True)
    cells = (width() or 80) if sys.stdout.isatty() else None
    click.echo(format_rebuilt(build, rebuilt, width=cells), nl=False)
