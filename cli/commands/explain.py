"""``mbuild explain``."""

from typing import TYPE_CHECKING

import click

from mbuild.cli.options import ModelName, debug_option, store, store_option
from mbuild.store.name import Name

if TYPE_CHECKING:
    from mbuild.compiler.account import Change, Explained
    from mbuild.store.store import Store


@click.command("explain", short_help="Tell why each step of a build was done")
@click.argument("model", type=ModelName())
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@store_option
@debug_option
@click.pass_context
def command(ctx: click.Context, /, model: str, *, as_json: bool) -> None:
    """Tell of each step of MODEL's last build whether it was done, and because of what.

    A step is done again if something that it is made of has another digest than in the build
    before. At the end stands what building it now would do.

    \b
    Examples:
      mbuild explain kid
      mbuild explain kid --json
    """
    from mbuild.cli.looking import NotToldHow, accounts
    from mbuild.compiler.account import explain, gone, is_empty

    models = store(ctx)
    name = models.resolve(Name.parse(model))
    models.load(name)
    account, before = accounts(name, models)
    if account is None:
        raise NotToldHow(name)
    steps = tuple(each for each in explain(account, before) if not is_empty(each.step))
    if as_json:
        click.echo(_json(steps), nl=False)
        return
    numbers = [each.number for each in models.revisions(name)]
    click.echo(f"{name.short}, build @{numbers[-1]}" + _compared(numbers, known=before is not None))
    width = max(len(each.step.name) for each in steps)
    for each in steps:
        for line in _lines(each, width, models):
            click.echo(line)
    for step in gone(account, before):
        click.echo(f"  {step.name:<{width}}  {click.style('gone', fg='red')}")
    _tell_now(name, models)


def _compared(numbers: list[int], *, known: bool) -> str:
    if len(numbers) < 2:
        return ", the first"
    return f", against @{numbers[-2]}" if known else f"; nothing tells how @{numbers[-2]} was built"


def _lines(explained: "Explained", width: int, models: "Store") -> list[str]:
    step = explained.step
    name = click.style(f"{step.name:<{width}}", bold=True)
    if explained.before is None:
        return [f"  {name}  {_CACHED if step.cached else _BUILT}  {step.reason}"]
    if not explained.changes:
        return [f"  {name}  {_CACHED}  nothing that it is made of changed"]
    because = [_because(change) for change in explained.changes]
    if explained.is_cached:
        because.append("it came out the same")
    gap = " " * (width + 4)
    lines = [f"  {name}  {_CACHED if explained.is_cached else _BUILT}  {because[0]}"]
    lines += (f"{gap}        {each}" for each in because[1:])
    return lines if explained.is_cached else [*lines, *_text(explained, models, indent=gap)]


_CACHED = click.style("cached", fg="green")
_BUILT = click.style("built ", fg="yellow")


def _because(change: "Change") -> str:
    if change.before is None:
        return f"{change.what} is new"
    if change.after is None:
        return f"{change.what} is gone"
    return f"{change.what} changed: {_short(change.before)} → {_short(change.after)}"


def _short(text: str) -> str:
    return text[7:19] if text.startswith("sha256:") else text


def _text(explained: "Explained", models: "Store", *, indent: str) -> list[str]:
    """How the text of a step changed, if it makes one."""
    from mbuild.cli.worddiff import Change as Word
    from mbuild.cli.worddiff import compare
    from mbuild.store.blobs import MissingBlob
    from mbuild.store.digest import Digest

    before = explained.before
    if before is None or explained.step.operation not in ("text", "system", "parameters"):
        return []
    try:
        old, new = (
            models.blobs.read(Digest.parse(each.output)).decode("utf-8", "replace")
            for each in (before, explained.step)
        )
    except MissingBlob:
        return []
    shown = ""
    for run in compare(old, new):
        match run.change:
            case Word.SAME:
                shown += run.text
            case Word.GONE:
                shown += click.style(f"[-{run.text}-]", fg="red") if run.text else ""
            case Word.NEW:
                shown += click.style(f"{{+{run.text}+}}", fg="green") if run.text else ""
    return [f"{indent}{line}" for line in shown.rstrip("\n").split("\n")]


def _tell_now(name: Name, models: "Store") -> None:
    """What building the model again would do."""
    from mbuild.cli.looking import accounts, again, as_last, looked_ahead
    from mbuild.compiler.foresight import State

    account, _ = accounts(name, models)
    order = None if account is None else again(name, account)
    if order is None or account is None:
        click.echo(
            "\nIts Modelfile is not there any more, so nothing tells whether it is up to date."
        )
        return
    foreseen, findings = looked_ahead(order, models)
    if not foreseen or any(each.severity.value == "error" for each in findings):
        click.echo(f"\n{order.file} has errors now; mbuild lint shows them.")
        return
    stale = [each for each in as_last(foreseen, account) if each.state is not State.CACHED]
    manifest = foreseen[-1].outcome
    made = None if manifest is None else manifest.output.manifest
    if made is not None and made.encode() == models.read(name):
        click.echo("\nIt is up to date.")
        return
    click.echo("\nBuilt now it would be another model:")
    for each in stale or foreseen[-1:]:
        click.echo(f"  {each.step.name}: {each.reason}")


def _json(steps: "tuple[Explained, ...]") -> str:
    import json
    from dataclasses import asdict

    rows = [
        {
            **asdict(each.step),
            "changed": each.before is None or not each.is_cached,
            "because": [asdict(change) for change in each.changes],
        }
        for each in steps
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
