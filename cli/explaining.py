"""What ``lint --explain`` prints: a rule, why it is one, and examples. Pure, as text."""

from collections.abc import Callable
from textwrap import wrap

from mbuild.compiler.diagnostic import Severity, visible
from mbuild.compiler.rules import RULES, Mending, Rule

Paint = Callable[[str, Severity | None], str]
"""Colours a heading, or the name of a severity."""


def plain(text: str, _severity: Severity | None) -> str:
    """*text* without any colour."""
    return text


def format_rule(rule: Rule, *, width: int = 80, paint: Paint = plain) -> str:
    """The whole page of *rule*, broken to *width* cells."""
    severity = rule.code.severity
    return (
        "\n".join(
            [
                f"{paint(str(rule.code), severity)} ({paint(severity.value, severity)})",
                "",
                *wrap(rule.summary, width),
                "",
                *wrap(rule.cause, width),
                "",
                paint("Wrong:", None),
                *_indented(rule.wrong),
                "",
                paint("Right:", None),
                *_indented(rule.right),
                "",
                *wrap(_about_mending(rule), width),
                *wrap(
                    f"To leave it untold for one instruction: # mbuild: ignore={rule.code.number}",
                    width,
                ),
            ]
        )
        + "\n"
    )


def _indented(example: str) -> list[str]:
    return [f"    {visible(line)}".rstrip() for line in example.split("\n")[:-1] or [example]]


def _about_mending(rule: Rule) -> str:
    match rule.mending:
        case Mending.BY_HAND:
            return "Only a person can mend it."
        case Mending.SAME_MODEL:
            return "mbuild lint --fix mends it; the model stays the same."
        case Mending.OTHER_VALUE:
            return "mbuild lint --fix mends it where that is plain; the value changes."


def format_table() -> str:
    """All rules, one in a line."""
    longest = max(len(str(code)) for code in RULES)
    return "".join(
        f"{code!s:{longest}}  {code.severity.value:7}  {rule.summary}\n"
        for code, rule in RULES.items()
    )


_HEAD = """# The rules

What `mbuild lint` tells, by code. `mbuild lint --explain MB012` prints one of them. Codes up to
MB099 are told by `mbuild create`, too; from MB101 on they are about what builds and runs all the
same. An error means that nothing can be built, a warning that something surely does not do what
it says, a note that it may be meant or is a matter of taste.

`# mbuild: ignore=MB012`, or `ignore=unknown-parameter`, in a line of its own above an instruction
leaves that untold for this instruction; several are divided by commas.

This file is made by `python -m mbuild.cli.explaining > docs/rules.md`.

"""


def format_document() -> str:
    """The text of docs/rules.md."""
    rows = ["| code | name | severity | `--fix` | |", "|---|---|---|---|---|"]
    rows += [
        f"| [{code.number}](#{code.number.lower()}-{code.label}) | `{code.label}` |"
        f" {code.severity.value} | {rule.mending.value} | {rule.summary} |"
        for code, rule in RULES.items()
    ]
    sections = [_section(rule) for rule in RULES.values()]
    return _HEAD + "\n".join(rows) + "\n\n" + "\n".join(sections)


def _section(rule: Rule) -> str:
    lines = [f"## {rule.code}", "", *wrap(rule.summary, 98), "", *wrap(rule.cause, 98), ""]
    for name, example in (("Wrong", rule.wrong), ("Right", rule.right)):
        lines += [f"{name}:", "", *_indented(example), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    import click

    click.echo(format_document(), nl=False)
