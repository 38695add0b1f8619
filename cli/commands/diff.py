"""``mbuild diff``."""

import sys
from typing import TYPE_CHECKING

import click

from mbuild.cli.options import ModelName, debug_option, store, store_option

if TYPE_CHECKING:
    from mbuild.cli.builds import Build
    from mbuild.compiler.comparison import Difference
    from mbuild.store.store import Store


@click.command("diff", short_help="Tell how two models, or two builds, differ")
@click.argument("old", metavar="A", type=ModelName())
@click.argument("new", metavar="[B]", type=ModelName(), required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON: each part, old and new.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if they differ.")
@store_option
@debug_option
@click.pass_context
def command(
    ctx: click.Context, /, old: str, new: str | None, *, as_json: bool, exit_code: bool
) -> None:
    """Tell what makes B another model than A: weights, parameters, texts word by word.

    Each is a model, or a build of it as in kid@2; B may also be a tag of A, or @2. A alone is
    compared with the build before it.

    \b
    Examples:
      mbuild diff kid
      mbuild diff kid kid:v2
      mbuild diff kid@2 @4
      mbuild diff kid v2 --exit-code
    """
    from mbuild.cli.builds import opened
    from mbuild.compiler.comparison import compare

    models = store(ctx)
    one, other = _pair(models, old, new)
    differences = compare(opened(models, one), opened(models, other))
    if as_json:
        from mbuild.cli.differences import format_json

        text = format_json(_about(one), _about(other), differences)
    else:
        text = _told(one, other, differences)
    click.echo(text, nl=False)
    if exit_code and differences:
        ctx.exit(1)


def _pair(models: "Store", old: str, new: str | None) -> "tuple[Build, Build]":
    from mbuild.cli.builds import before, builds, named

    one = named(models, old)
    if new is None:
        return before(builds(models, one.name), one), one
    return one, named(models, new, beside=one.name)


def _told(one: "Build", other: "Build", differences: "tuple[Difference, ...]") -> str:
    from mbuild.cli.differences import format_differences
    from mbuild.cli.terminal import width

    if not differences:
        order = ", in another order" if one.manifest != other.manifest else ""
        return f"{one.label} and {other.label} are made of the same parts{order}\n"
    cells = (width() or 80) if sys.stdout.isatty() else None
    head = click.style(f"--- {one.label}", fg="red") + "\n"
    head += click.style(f"+++ {other.label}", fg="green") + "\n\n"
    return head + format_differences(differences, width=cells)


def _about(build: "Build") -> dict[str, object]:
    from mbuild.store.digest import Digest

    digest = Digest.of(build.manifest).hex
    return {"name": build.name.short, "build": build.number, "digest": digest}
