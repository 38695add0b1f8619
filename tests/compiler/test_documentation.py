"""docs/modelfile.md says what the code does."""

import re
import textwrap
from pathlib import Path

import pytest

from mbuild.compiler.check import Given, load
from mbuild.compiler.expand import Text
from mbuild.compiler.parameters import DEPRECATED, OPTIONS, Option, Type
from mbuild.compiler.syntax import ADDED, WORDS

TEXT = (Path(__file__).parents[2] / "docs" / "modelfile.md").read_text(encoding="utf-8")
KINDS = {
    Type.INT: "whole number",
    Type.FLOAT: "number",
    Type.BOOL: "flag",
    Type.TEXTS: "texts",
}


def row(option: Option) -> str:
    match option.default:
        case None:
            default = "the runtime decides"
        case ():
            default = "none"
        case value:
            default = f"{value:g}"
    return f"| `{option.name}` | {KINDS[option.type]} | {default} | {option.meaning} |"


def test_the_table_of_parameters_is_the_codes() -> None:
    header = "| name | type | default | meaning |\n|---|---|---|---|\n"
    assert header + "\n".join(map(row, OPTIONS.values())) + "\n\n" in TEXT


def test_all_deprecated_parameters_are_listed() -> None:
    assert ", ".join(f"`{name}`" for name in DEPRECATED) in TEXT.replace("\n", " ")


def test_all_instructions_are_listed() -> None:
    listed = re.findall(r"^\| `([A-Z]+)`", TEXT, re.MULTILINE)
    assert sorted(listed) == sorted(word.upper() for word in WORDS)


ADDITIONS = TEXT.partition("## Additions")[2].partition("## Findings")[0]
ADDED_EXAMPLES = [
    example
    for example in re.findall(r"(?:^ {4}.*\n|\n(?= {4}))+", ADDITIONS, re.MULTILINE)
    if "mbuild " not in example
]


class Everywhere:
    """Every file is there."""

    def read(self, path: str, folder: str | None) -> Text:
        text = "{}" if path.endswith(".json") else "# a text\n"
        return Text(path, f"/{path}", folder or "/", text.encode())


@pytest.mark.parametrize("example", ADDED_EXAMPLES)
def test_the_additions_are_as_they_are_told(example: str) -> None:
    text = textwrap.dedent(example).lstrip("\n")
    source = "" if "FROM" in text else "FROM x\n"
    recipe, findings = load("Modelfile", (source + text).encode(), given=Given(Everywhere()))
    assert recipe is not None, findings


def test_each_addition_has_an_example() -> None:
    shown = "".join(ADDED_EXAMPLES)
    for word in ("--file=", "--append", "--scale=", "<<END", " AS "):
        assert word in shown
    for word in ADDED:
        assert f"    {word.upper()} " in shown


EXAMPLES = re.findall(r"^\| `(SYSTEM [^|]*)` \| (.*) \|$", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("written", "value"), EXAMPLES)
def test_quotes_close_where_the_table_says(written: str, value: str) -> None:
    recipe, _ = load("Modelfile", f"FROM x\n{written}\n".encode())
    assert recipe is not None
    text = recipe.system.text if recipe.system else None
    assert text == (None if value == "nothing" else value.strip("`"))


def test_there_are_examples_of_quotes() -> None:
    assert len(EXAMPLES) == 5
