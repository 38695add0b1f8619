"""``mbuild show``."""

import click

from mbuild.cli.options import ModelName, debug_option, store, store_option
from mbuild.cli.views import VIEWS, shown
from mbuild.store.name import Name


def _views(function: "click.decorators.FC") -> "click.decorators.FC":
    about = {
        "modelfile": "A Modelfile that builds the model again.",
        "system": "The system prompt.",
        "template": "The prompt template.",
        "parameters": "The parameters.",
        "license": "The licences.",
        "messages": "The example messages.",
        "layers": "The layers: what, digest, size, and from which model.",
        "json": "Everything, as JSON.",
    }
    for view in reversed(VIEWS):
        function = click.option(f"--{view}", f"view_{view}", is_flag=True, help=about[view])(
            function
        )
    return function


@click.command("show", short_help="Tell what a model is made of")
@click.argument("model", type=ModelName())
@_views
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, /, model: str, **views: bool) -> None:
    """Tell what MODEL is made of: an overview, or one part of it.

    \b
    Examples:
      mbuild show kid
      mbuild show kid --modelfile > Modelfile
      mbuild show kid --system
    """
    chosen = [view for view in VIEWS if views[f"view_{view}"]]
    if len(chosen) > 1:
        flags = ", ".join(f"--{view}" for view in chosen)
        raise click.UsageError(f"only one of {flags} can be given", ctx)
    models = store(ctx)
    name = models.resolve(Name.parse(model))
    manifest = models.load(name)
    click.echo(shown(chosen[0] if chosen else "", name, manifest, models), nl=False)
