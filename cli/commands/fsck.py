"""``mbuild fsck``."""

import click

from mbuild.cli.options import debug_option, store, store_option


@click.command("fsck", short_help="Look for damage in the store, and mend it")
@click.option("--repair", is_flag=True, help="Mend what can be mended.")
@click.option("--quick", is_flag=True, help="Read no blob: sizes and structure only.")
@click.option("-v", "--verbose", is_flag=True, help="Show every note.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, *, repair: bool, quick: bool, verbose: bool, as_json: bool) -> None:
    """Read everything in the store and tell what is damaged, and which models that hits.

    --repair moves what is damaged to mbuild/damaged in the store, deletes nothing but what
    saves work, and puts back manifests from the history. The status is 1 if damage is left.

    \b
    Examples:
      mbuild fsck
      mbuild fsck --quick --json
      mbuild fsck --repair
    """
    # Imported here, as all that a single command needs.
    from mbuild.cli import storage
    from mbuild.cli.building import narrator
    from mbuild.compiler.progress import Progress

    models = store(ctx)
    with narrator() as tell:
        found = models.inspect(
            quick=quick, progress=lambda what, done, total: tell(Progress(what, done, total))
        )
    repaired = models.repair(found) if repair and found.damages else None
    if as_json:
        click.echo(storage.inspected_as_json(found, repaired), nl=False)
    else:
        text = storage.inspected_as_text(found, storage.paint, verbose=verbose)
        click.echo(text, nl=False)
        if repaired is not None:
            click.echo(storage.repaired_as_text(repaired, storage.paint), nl=False)
    left = found.damages if repaired is None else repaired.left
    if not all(damage.harmless for damage in left):
        ctx.exit(1)
