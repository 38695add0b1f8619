"""Checks one line of a vector file; tests/conformance.py runs whole files of them."""

import json
import re
from datetime import date
from typing import Any

from mbuild.compiler.template import wire
from mbuild.compiler.template.compile import compile_tree
from mbuild.compiler.template.failure import BadTemplate, RenderFailed
from mbuild.compiler.template.parser import parse
from mbuild.compiler.template.prompt import (
    ChatTemplate,
    Request,
    chat_template,
    generation,
    render,
    told_of_thinking,
)
from mbuild.compiler.template.reading import FUNCTIONS
from mbuild.compiler.template.running import Rendering
from mbuild.compiler.template.tree import written

TODAY = date(2024, 2, 29)
_LONE = re.compile("[\ud800-\udfff]")


def check_gotext(row: dict[str, Any]) -> str | None:
    """What differs from the line's expectation; None if nothing does."""
    expected = row["expected"]
    return _difference(expected, _gotext(row))


def _gotext(row: dict[str, Any]) -> dict[str, Any]:
    text = _readable(row["template"])
    try:
        tree = parse(text, FUNCTIONS)
    except BadTemplate as bad:
        return {"error": bad.message, "stage": "parse"}
    try:
        rendering = compile_tree(tree).render(_readable(row["data"]), today=TODAY)
    except RenderFailed as failed:
        return {"error": failed.message, "stage": "execute"}
    return {"error": None, "output": rendering.text, "tree": written(tree.main)}


def check_template(row: dict[str, Any]) -> str | None:
    """What differs from the line's expectation; None if nothing does."""
    expected = row["expected"]
    got = _template({name: _readable(value) for name, value in row.items()})
    if expected.get("stage") == "panic":  # The reference crashes: whatever we do is better.
        return None
    return _difference(expected, got)


def _template(row: dict[str, Any]) -> dict[str, Any]:
    try:
        template = chat_template(row["template"])
    except BadTemplate as bad:
        return {"error": bad.message, "stage": "parse"}
    got: dict[str, Any] = {"error": None, "mode": row["mode"], "vars": list(template.variables)}
    try:
        got["output"] = _rendered(template, row).text
    except RenderFailed as failed:
        got |= {"error": failed.message, "stage": "execute"}
    return got


def _rendered(template: ChatTemplate, row: dict[str, Any]) -> Rendering:
    if row["mode"] == "raw":
        names = ("System", "Prompt", "Response", "Suffix")
        data = {name: row[name.lower()] for name in names if name.lower() in row}
        data |= told_of_thinking(row.get("think"))
        return template.program.render(data, today=TODAY)
    return render(template, _request(row), today=TODAY)


def _request(row: dict[str, Any]) -> Request:
    messages = wire.messages(row.get("messages", []))
    tools = wire.tools(row.get("tools"))
    prompt, suffix, think = row.get("prompt", ""), row.get("suffix", ""), row.get("think")
    if row["mode"] == "values":
        return Request(messages, tools, prompt, suffix, think, row.get("legacy", False))
    return generation(
        prompt=prompt,
        suffix=suffix,
        system=row.get("system", ""),
        examples=messages,
        tools=tools,
        think=think,
    )


def _readable(value: Any) -> Any:
    """*value* with each lone surrogate replaced, as Go's JSON decoder does."""
    if isinstance(value, str):
        return _LONE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_readable(each) for each in value]
    if isinstance(value, dict):
        return {_readable(key): _readable(each) for key, each in value.items()}
    return value


def _difference(expected: dict[str, Any], got: dict[str, Any]) -> str | None:
    for key in ("stage", "error", "vars", "mode", "output", "tree"):
        if key in expected and expected[key] != got.get(key):
            return f"{key}: wanted {json.dumps(expected[key])}, got {json.dumps(got.get(key))}"
    return None
