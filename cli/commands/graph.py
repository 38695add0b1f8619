"""``mbuild graph``."""

import os
from typing import TYPE_CHECKING

import click

from mbuild.cli.options import debug_option, store, store_option

if TYPE_CHECKING:
    from mbuild.cli.graphing import Node

_STYLES = {"cached": "green", "stale": "yellow", "waiting": "bright_black"}


@click.command("graph", short_help="Show the steps that build a model")
@click.argument("model", required=False)
@click.option("-f", "--file", metavar="FILE", help="A Modelfile, built or not.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["tree", "dot", "mermaid", "json"]),
    default="tree",
    show_default=True,
)
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, /, model: str | None, file: str | None, *, form: str) -> None:
    """Show the steps that build MODEL, and which are done already.

    Without MODEL: the models of the project (mbuild.toml) here, or the steps of ./Modelfile.
    Nothing is built. A step is cached if its output is in the store, stale if it would be done,
    and waiting if only another step tells.

    \b
    Examples:
      mbuild graph
      mbuild graph kid
      mbuild graph kid --format dot | dot -Tsvg > kid.svg
    """
    from mbuild.cli import graphing
    from mbuild.cli.looking import of_file, of_model, of_project
    from mbuild.compiler.project import find

    if model is not None and file is not None:
        raise click.UsageError("MODEL and --file cannot both be given", ctx)
    models = store(ctx)
    if model is not None:
        title, nodes, findings = of_model(model, models)
    elif file is None and (project := find(os.getcwd())) is not None:
        title, nodes, findings = of_project(project, models)
    else:
        title, nodes, findings = of_file(file or "Modelfile", models)
    for finding in findings:
        from mbuild.cli.findings import paint

        click.echo(paint(finding), err=True)
    match form:
        case "dot":
            click.echo(graphing.as_dot(title, nodes), nl=False)
        case "mermaid":
            click.echo(graphing.as_mermaid(nodes), nl=False)
        case "json":
            click.echo(graphing.as_json(title, nodes), nl=False)
        case _:
            for lead, node in graphing.as_tree(title, nodes):
                click.echo(lead + ("" if node is None else _line(node)))
    if any(each.severity.value == "error" for each in findings):
        ctx.exit(1)


def _line(node: "Node") -> str:
    parts = [click.style(node.name, bold=True)]
    if node.about:
        parts.append(node.about)
    if node.state:
        parts.append(click.style(node.state, fg=_STYLES[node.state]))
    if node.state in ("stale", "waiting"):
        parts.append(click.style(f"({node.reason})", dim=True))
    return "  ".join(parts)
