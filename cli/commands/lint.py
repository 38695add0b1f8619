"""``mbuild lint``."""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from mbuild.cli.options import debug_option, store, store_option
from mbuild.compiler.create import Dialect

if TYPE_CHECKING:
    from mbuild.cli.linting import Looked
    from mbuild.compiler.diagnostic import Diagnostic, Severity

_MOST = 200  # findings of one file that are shown to a person
_ALL = "all"


@click.command("lint", short_help="Look for mistakes in Modelfiles")
@click.argument("paths", nargs=-1)
@click.option("--fix", is_flag=True, help="Mend what a machine can mend, and tell the rest.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="For a person, a program, a code host, a GitHub workflow.",
)
@click.option("--strict", is_flag=True, help="Take warnings for errors.")
@click.option("--explain", metavar="CODE", help="Tell of a rule, by number or name; all: of all.")
@click.option(
    "--dialect",
    type=click.Choice(["mbuild", "ollama"]),
    default="mbuild",
    show_default=True,
    help="ollama: read the Modelfiles exactly as Ollama does.",
)
@click.option("--allow-outside", is_flag=True, help="Follow INCLUDE and --file= out of the folder.")
@store_option
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[str, ...],
    *,
    fix: bool,
    form: str,
    strict: bool,
    explain: str | None,
    dialect: Dialect,
    allow_outside: bool,
) -> None:
    """Look for mistakes in Modelfiles, without building anything.

    A folder is searched for Modelfile, Modelfile.* and *.Modelfile; - is standard input; without
    PATHS it is ./Modelfile. `# mbuild: ignore=MB012` in the line above an instruction leaves a
    finding about it untold. The exit status is 1 if there are errors.

    \b
    Examples:
      mbuild lint
      mbuild lint models/ --fix
      mbuild lint --explain MB012
      mbuild lint . --format sarif > findings.sarif
    """
    if explain is not None:
        _explain(ctx, explain)
        return
    # Imported here: rules are many, and no other command needs them.
    from mbuild.cli.linting import STDIN, look, together
    from mbuild.cli.modelfiles import modelfiles
    from mbuild.compiler.surroundings import Onlooker

    onlooker = Onlooker(store(ctx).root)
    looked = together(
        look(path, onlooker, dialect=dialect, fix=fix, allow_outside=allow_outside)
        for path in modelfiles(paths)
    )
    passes_on = fix and "-" in paths  # Standard output is for the text itself then.
    for each in looked:
        if form == "text":
            _print(each, to_stderr=passes_on)
        if each.refusal is not None:
            click.echo(f"{each.name}: {_red('error:')} {each.refusal}", err=True)
        if passes_on and each.name == STDIN and each.refusal is None:
            sys.stdout.buffer.write(each.data)
    if form == "text":
        click.echo(_summary(looked), err=passes_on)
    elif not passes_on:
        click.echo(_formatted(form, [one for each in looked for one in each.findings]), nl=False)
    if _is_bad(looked, strict=strict):
        ctx.exit(1)


def _print(looked: "Looked", *, to_stderr: bool) -> None:
    from mbuild.cli.findings import paint

    for finding in looked.findings[:_MOST]:
        click.echo(paint(finding, to_stdout=not to_stderr), err=to_stderr)
    more = len(looked.findings) - _MOST
    if more > 0:
        click.echo(f"{looked.name}: and {more:,} more; --format json has all\n", err=to_stderr)
    if looked.mended:
        click.echo(f"{click.style(looked.name, bold=True)}: mended", err=to_stderr)
        counts = Counter(str(finding.code) for finding in looked.mended)
        for code, count in sorted(counts.items()):
            click.echo(f"  {code} ({count:,})", err=to_stderr)
        click.echo(err=to_stderr)


def _summary(looked: "Sequence[Looked]") -> str:
    """How many files there were, and how many findings."""
    from mbuild.compiler.diagnostic import Severity

    findings = [finding for each in looked for finding in each.findings]
    counts = Counter(finding.severity for finding in findings)
    parts = [_counted(len(looked), "file")]
    unread = sum(each.refusal is not None for each in looked)
    if unread:
        parts.append(_red(f"{unread:,} not read"))
    mended = sum(len(each.mended) for each in looked)
    if mended:
        parts.append(f"{mended:,} mended")
    parts += [_painted(severity, counts[severity]) for severity in Severity if counts[severity]]
    if not counts:
        parts.append("no findings")
    fixable = sum(bool(finding.fix) for finding in findings)
    tail = f"; --fix mends {fixable:,}" if fixable and not mended else ""
    return ", ".join(parts) + tail


def _red(text: str) -> str:
    from mbuild.cli.findings import RED

    return click.style(text, fg=RED, bold=True)


def _painted(severity: "Severity", count: int) -> str:
    from mbuild.cli.findings import SEVERITIES

    return click.style(_counted(count, severity.value), fg=SEVERITIES[severity], bold=True)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _formatted(form: str, findings: "Iterable[Diagnostic]") -> str:
    # Imported here, each for itself: one run writes one format.
    if form == "json":
        from mbuild.cli.listing import format_json

        return format_json(findings)
    if form == "github":
        from mbuild.cli.annotations import format_github

        return format_github(findings)
    from importlib.metadata import version

    from mbuild.cli.sarif import format_sarif

    return format_sarif(findings, version=version("mbuild-modelfile"))


def _is_bad(looked: "Iterable[Looked]", *, strict: bool) -> bool:
    bad = {"error", "warning"} if strict else {"error"}
    return any(
        each.refusal is not None or any(one.severity.value in bad for one in each.findings)
        for each in looked
    )


def _explain(ctx: click.Context, text: str) -> None:
    from mbuild.cli.explaining import format_rule, format_table
    from mbuild.cli.findings import SEVERITIES
    from mbuild.compiler.rules import RULES
    from mbuild.compiler.rules.remarks import named

    if text == _ALL:
        click.echo(format_table(), nl=False)
        return
    code = named(text)
    if code is None:
        _refuse_code(ctx, text)

    def paint(shown: str, severity: "Severity | None") -> str:
        return click.style(shown, fg=None if severity is None else SEVERITIES[severity], bold=True)

    from mbuild.cli.terminal import width

    columns = min(width() or 80, 100)
    click.echo(format_rule(RULES[code], width=columns, paint=paint), nl=False)


def _refuse_code(ctx: click.Context, text: str) -> NoReturn:
    from difflib import get_close_matches

    from mbuild.compiler.rules import RULES

    known = [name for code in RULES for name in (code.number, code.label)]
    near = get_close_matches(text.upper(), known, n=1) or get_close_matches(
        text.lower(), known, n=1
    )
    hint = f"; did you mean {near[0]}?" if near else "; --explain all lists the rules"
    raise click.UsageError(f"--explain: no rule is called {text}{hint}", ctx)
