"""Run test vectors against the code: ``python tests/conformance.py FAMILY FILE.jsonl``.

A line for each vector that fails, its id and what differs; last ``N passed, M failed``. The exit
status is 1 if any failed, 2 if the arguments make no sense.
"""

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mbuild.compiler.check import check
from mbuild.compiler.diagnostic import Diagnostic, Severity
from mbuild.compiler.dialect import commands, scan, written
from mbuild.compiler.recipe import Recipe
from mbuild.compiler.source import decode
from mbuild.store.name import Name, split

Row = dict[str, Any]


def check_modelfile(row: Row) -> str | None:
    """What differs, if anything, when a Modelfile is read as the reference reads it."""
    data = base64.b64decode(row["input_b64"]) if "input_b64" in row else row["input"].encode()
    expected = row["expected"]
    modelfile = scan(decode("Modelfile", data))
    recipe, findings = check(modelfile, dialect="ollama")
    error = _first_error(findings)
    if expected["error"] is not None:
        return _difference("error", expected["error"], error)
    parsed = commands(modelfile)
    listed = [{"name": each.name, "args": each.argument} for each in parsed]
    return (
        _difference("commands", expected["commands"], listed)
        or _difference("string", expected["string"], written(parsed))
        or _check_create(expected, recipe, error)
    )


def _check_create(expected: Row, recipe: Recipe | None, error: str | None) -> str | None:
    if "create_error" in expected:
        return _difference("create_error", expected["create_error"], error)
    if "create" in expected:
        request = _request(recipe) if recipe else None
        return _difference("create", expected["create"], request)
    return None


def _first_error(findings: tuple[Diagnostic, ...]) -> str | None:
    errors = (each.message for each in findings if each.severity is Severity.ERROR)
    return next(errors, None)


def _request(recipe: Recipe) -> Row:
    """What the reference's client would send for *recipe*; parts not given are absent."""
    request = {
        "from": recipe.sources[-1].text,
        "template": recipe.template and recipe.template.text,
        "system": recipe.system and recipe.system.text,
        "license": list(recipe.licenses),
        "messages": [{"role": one.role, "content": one.content} for one in recipe.messages],
        "parameters": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in (recipe.parameters or {}).items()
        },
        "renderer": recipe.renderer,
        "parser": recipe.parser,
        "requires": recipe.requires,
    }
    return {key: value for key, value in request.items() if value}


def check_names(row: Row) -> str | None:
    """What differs, if anything, when a name is taken apart."""
    text, expected = row["input"], row["expected"]
    bare = split(text)
    full = bare.filled()
    actual: Row = {
        "bare": {part: getattr(bare, part) for part in _PARTS},
        **{part: getattr(full, part) for part in _PARTS},
        "valid": full.valid,
        "string": str(full),
        "short": full.short,
    }
    if full.valid:
        actual["filepath"] = Name.parse(text).path
    return next(
        (found for key in expected if (found := _difference(key, expected[key], actual.get(key)))),
        None,
    )


_PARTS = ("host", "namespace", "model", "tag")


def _difference(what: str, expected: object, actual: object) -> str | None:
    # A flag is no number, though Python holds True and 1 equal.
    if _exactly(expected) == _exactly(actual):
        return None
    return f"{what}: expected {_short(expected)}, got {_short(actual)}"


def _exactly(value: object) -> object:
    """*value* such that equal means equal in JSON: 1 and 1.0 are, 1 and true are not."""
    match value:
        case bool():
            return ("flag", value)
        case dict():
            return {key: _exactly(each) for key, each in value.items()}
        case list():
            return [_exactly(each) for each in value]
        case _:
            return value


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else f"{text[:120]}..."


def _template_family(name: str) -> Callable[[Row], str | None]:
    folder = Path(__file__).parent / "compiler"
    sys.path.insert(0, str(folder))
    try:
        import template_vectors
    except ModuleNotFoundError:
        sys.stderr.write(f"{name} vectors need {folder / 'template_vectors.py'}\n")
        sys.exit(2)
    check_row: Callable[[Row], str | None] = getattr(template_vectors, f"check_{name}")
    return check_row


def _family(name: str) -> Callable[[Row], str | None]:
    match name:
        case "modelfile":
            return check_modelfile
        case "names":
            return check_names
        case _:
            # Imported here: the other families run without it.
            return _template_family(name)


def main(arguments: list[str]) -> int:
    """Run the vectors; the exit status."""
    if len(arguments) != 2 or arguments[0] not in ("modelfile", "names", "gotext", "template"):
        sys.stderr.write("usage: conformance.py modelfile|names|gotext|template FILE.jsonl\n")
        return 2
    check_row = _family(arguments[0])
    try:
        lines = Path(arguments[1]).read_text(encoding="utf-8").split("\n")
    except OSError as unreadable:
        sys.stderr.write(f"{unreadable}\n")
        return 2
    passed = failed = 0
    for line in filter(None, lines):
        row = json.loads(line)
        if found := _outcome(check_row, row):
            failed += 1
            sys.stdout.write(f"{row['id']} {found}\n")
        else:
            passed += 1
    sys.stdout.write(f"{passed} passed, {failed} failed\n")
    return 1 if failed else 0


def _outcome(check_row: Callable[[Row], str | None], row: Row) -> str | None:
    try:
        return check_row(row)
    except Exception as crash:  # noqa: BLE001 -- one bad row must not hide the others
        return f"{type(crash).__name__}: {crash}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
