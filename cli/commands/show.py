"""``mbuild show``."""

import sys
from typing import TYPE_CHECKING

import click

from mbuild.cli.options import ModelName, debug_option, store, store_option
from mbuild.cli.views import VIEWS, shown
from mbuild.store.name import Name

if TYPE_CHECKING:
    from mbuild.store.manifest import Manifest
    from mbuild.store.store import Store


def _views(function: "click.decorators.FC") -> "click.decorators.FC":
    about = {
        "modelfile": "A Modelfile that builds the model again.",
        "system": "The system prompt.",
        "template": "The prompt template.",
        "parameters": "The parameters.",
        "license": "The licences.",
        "messages": "The example messages.",
        "schema": "The JSON schema that answers follow.",
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
@click.option("--budget", is_flag=True, help="The tokens that are spent, and what is left.")
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, /, model: str, *, budget: bool, **views: bool) -> None:
    """Tell what MODEL is made of: an overview, or one part of it.

    \b
    Examples:
      mbuild show kid
      mbuild show kid --modelfile > Modelfile
      mbuild show kid --system
    """
    chosen = [view for view in VIEWS if views[f"view_{view}"]]
    if budget:
        chosen.append("budget")
    if len(chosen) > 1:
        flags = ", ".join(f"--{view}" for view in chosen)
        raise click.UsageError(f"only one of {flags} can be given", ctx)
    models = store(ctx)
    name = models.resolve(Name.parse(model))
    manifest = models.load(name)
    if budget:
        _show_budget(name, manifest, models)
        return
    click.echo(shown(chosen[0] if chosen else "", name, manifest, models), nl=False)


def _show_budget(name: Name, manifest: "Manifest", models: "Store") -> None:
    from contextlib import suppress

    from mbuild.cli.budget import format_budget, measured
    from mbuild.compiler.vocabulary import learn
    from mbuild.runtime.model import open_model
    from mbuild.store.manifest import MediaType
    from mbuild.store.store import NewerStore

    budget = measured(open_model(name.short, manifest, models.blobs))
    click.echo(format_budget(budget, bar=sys.stdout.isatty()), nl=False)
    # The vocabulary is at hand anyway: the next build checks against it.
    with suppress(NewerStore, OSError):  # A store that is only read is none the worse.
        learn(models, manifest.of_type(MediaType.MODEL)[-1].digest)
