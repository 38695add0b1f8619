"""``mbuild export``."""

import click

from mbuild.cli.options import ModelName, debug_option, store, store_option
from mbuild.store.name import Name


@click.command("export", short_help="Give a model back as a plain Modelfile")
@click.argument("model", type=ModelName())
@click.option(
    "--dir",
    "folder",
    metavar="DIR",
    help="Write the Modelfile there, with the weights and the prompts beside it.",
)
@click.option("--force", is_flag=True, help="With --dir: replace the files that are written.")
@click.option(
    "--link",
    is_flag=True,
    help="With --dir: link the weights. They stay the store's: writing to them harms it.",
)
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, model: str, *, folder: str | None, force: bool, link: bool) -> None:
    """Give MODEL back as a plain Modelfile, which Ollama reads as well.

    Everything is resolved: ARG, INCLUDE, --file=, UNSET, stages. The text is FROM the model that
    MODEL was built from, if that still gives the same layers, else FROM the weights in the store.
    What a plain Modelfile cannot say (SCHEMA, the scale of an adapter, invisible characters)
    is refused by name.

    \b
    Examples:
      mbuild export kid > Modelfile
      mbuild export --dir kid/ kid
      ollama create kid -f kid/Modelfile
    """
    if folder is None and (force or link):
        raise click.UsageError(f"{'--force' if force else '--link'} needs --dir", ctx)
    # Imported here: --help reads no model.
    from mbuild.compiler.export import bundle, export

    models = store(ctx)
    name = models.resolve(Name.parse(model))
    manifest = models.load(name)
    if folder is None:
        click.echo(export(name, manifest, models), nl=False)
        return
    from mbuild.cli.building import narrator
    from mbuild.compiler.bundle import write

    made = bundle(name, manifest, models)
    with narrator() as tell:
        write(made, folder, models.blobs, tell=tell, force=force, link=link)
    for written in ("Modelfile", *made.weights, *made.prompts):
        click.echo(f"{folder.rstrip('/')}/{written}")
