"""``mbuild prune``."""

import re

import click

from mbuild.cli.options import debug_option, store, store_option

_SIZES = {
    **dict.fromkeys(["", "b"], 1),
    **{f"{unit}{b}": 1000**power for power, unit in enumerate("kmgt", 1) for b in ("", "b")},
    **{f"{unit}ib": 1024**power for power, unit in enumerate("kmgt", 1)},
}
_HOUR = 3_600_000_000_000  # ns
_AGES = {"h": _HOUR, "d": 24 * _HOUR, "w": 7 * 24 * _HOUR}


_AMOUNT = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([a-z]*)")


class _Amount(click.ParamType[int]):
    """A number and a unit, in the smallest unit: ``20GB`` is 20,000,000,000."""

    def __init__(self, name: str, units: dict[str, int], example: str) -> None:
        self.name = name
        self._units = units
        self._example = example

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        found = _AMOUNT.fullmatch(str(value).strip().lower())
        if found is None or found[2] not in self._units:
            self.fail(f"{value!r} is no {self.name}, such as {self._example}", param, ctx)
        return int(float(found[1]) * self._units[found[2]])


@click.command("prune", short_help="Remove what no model needs")
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option("-a", "--all", "everything", is_flag=True, help="Also what is young, and records.")
@click.option("--history", is_flag=True, help="Also earlier builds, which rollback needs.")
@click.option(
    "--keep", type=click.IntRange(min=1), metavar="N", help="With --history: keep N of each name."
)
@click.option(
    "--older-than",
    type=_Amount("age", _AGES, "12h, 30d or 8w"),
    metavar="AGE",
    help="With --history: only builds older than that.",
)
@click.option(
    "--keep-storage",
    type=_Amount("size", _SIZES, "500MB or 20GB"),
    metavar="SIZE",
    help="Keep that much of what could go, used last.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show every file.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@store_option
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    *,
    dry_run: bool,
    everything: bool,
    history: bool,
    keep: int | None,
    older_than: int | None,
    keep_storage: int | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """Remove blobs that no model and no earlier build needs, and what was left unfinished.

    What a build that goes on or a loaded model needs is never removed. A blob that was used
    within the last hour stays too, since another program may be about to need it; with --all
    it goes.

    \b
    Examples:
      mbuild prune --dry-run
      mbuild prune --history --keep 5
      mbuild prune --keep-storage 20GB
    """
    from mbuild.cli import storage
    from mbuild.store.prune import Policy

    if (keep is not None or older_than is not None) and not history:
        raise click.UsageError("--keep and --older-than go with --history", ctx)
    policy = Policy(
        everything=everything,
        revisions=(keep or 1) if history else None,
        older_than=older_than or 0,
        keep=keep_storage,
    )
    pruned = store(ctx).prune(policy, dry_run=dry_run)
    if as_json:
        click.echo(storage.pruned_as_json(pruned, dry_run=dry_run), nl=False)
        return
    text = storage.pruned_as_text(pruned, storage.paint, dry_run=dry_run, verbose=verbose)
    click.echo(text, nl=False)
