"""Laws that hold for any text and any data, however nasty."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbuild.compiler.template.chat import Message
from mbuild.compiler.template.compile import compile_tree
from mbuild.compiler.template.failure import BadTemplate, RenderFailed
from mbuild.compiler.template.floats import format_float
from mbuild.compiler.template.formatting import sprintf
from mbuild.compiler.template.lexer import Kind, lex
from mbuild.compiler.template.parser import parse
from mbuild.compiler.template.prompt import Request, chat_template, render
from mbuild.compiler.template.quote import quote, unquote
from mbuild.compiler.template.reading import FUNCTIONS
from mbuild.compiler.template.running import Limits, Rendering
from mbuild.compiler.template.tree import Text, descendants, written

TODAY = date(2024, 3, 1)
SMALL = Limits(output=20_000, steps=500, depth=60)
WORDS = [
    *("{{", "}}", "{{-", "-}}", " ", "\n", "/*", "*/", "|", "(", ")", ",", "=", ":=", ".", "$"),
    *("if ", "else", "end", "range ", "with ", "define ", "block ", "template ", "break"),
    *("{{else}}", "{{end}}", "{{if .a}}", "{{range .l}}", '{{define "t"}}', '{{template "t" .}}'),
    *("continue", "nil", "true", ".a", ".l", ".a.b", "$x", "$x := ", "$i, $x := ", "1", "-2"),
    *("0x1p4", "1e3", "2i", "9223372036854775808", '"s"', '"%d"', "'c'", "`r`", '"\\xff"', "é"),
    *(f"{name} " for name in sorted(FUNCTIONS)),
    *(
        "{{slice .l 1}}",
        '{{printf "%[2]*.[1]*f" 1 2.5}}',
        "{{.Messages}}",
        "{{.Response}}",
        "\udcff",
    ),
]
TEMPLATES = st.lists(st.sampled_from(WORDS), max_size=25).map("".join) | st.text(max_size=40)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "l", "é"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def attempt(make: Callable[[], Rendering]) -> Rendering | BadTemplate | RenderFailed:
    """A rendering, or the failure that it ends in; no other one is caught."""
    try:
        return make()
    except (BadTemplate, RenderFailed) as failure:
        return failure


@given(TEMPLATES)
def test_any_text_has_tokens(text: str) -> None:
    tokens = lex(text)
    assert tokens[-1].kind in (Kind.END, Kind.ERROR)
    assert all(token.kind is not Kind.ERROR for token in tokens[:-1])
    at = 0
    for token in tokens:
        assert at <= token.start <= token.end <= len(text)
        at = token.end


@given(TEMPLATES, DATA)
@settings(max_examples=400)
def test_a_template_renders_or_says_why_not(text: str, data: Any) -> None:
    outcome = attempt(
        lambda: compile_tree(parse(text, FUNCTIONS)).render(data, today=TODAY, limits=SMALL)
    )
    if isinstance(outcome, Rendering):
        outcome.text.encode()
        assert bool(outcome.pieces) == bool(outcome.text)
    else:
        assert 0 <= outcome.start <= outcome.end <= len(text)
        assert outcome.message.endswith(outcome.reason)


@given(TEMPLATES, st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text())))
def test_a_chat_template_renders_or_says_why_not(text: str, turns: list[tuple[str, str]]) -> None:
    request = Request(tuple(Message(role, content) for role, content in turns))
    outcome = attempt(lambda: render(chat_template(text), request, today=TODAY, limits=SMALL))
    assert isinstance(outcome, Rendering) or outcome.message


@given(TEMPLATES)
def test_a_tree_written_out_reads_as_itself(text: str) -> None:
    try:
        tree = parse(text, FUNCTIONS)
    except BadTemplate:
        return
    texts = [node.text for node in descendants(tree.main) if isinstance(node, Text)]
    # Trimming can leave a brace in front of another, which then reads as something else; what
    # a name was defined as is not in the text of the main template.
    if any(each.endswith("{") for each in texts) or len(tree.templates) > 1:
        return
    again = written(tree.main)
    assert written(parse(again, FUNCTIONS).main) == again


@given(st.text(st.characters(codec="utf-8")))
def test_unquoting_undoes_quoting(text: str) -> None:
    assert unquote(quote(text)) == text
    assert unquote(quote(text, ascii_only=True)) == text


@given(st.text(), DATA)
def test_printf_always_prints(form: str, value: Any) -> None:
    assert isinstance(sprintf(form, (value, value)), str)


@given(st.floats(allow_nan=False, allow_infinity=False))
@pytest.mark.parametrize("verb", ["e", "f", "g"])
def test_the_shortest_digits_read_back(verb: str, value: float) -> None:
    assert float(format_float(value, verb, -1)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_hexadecimal_digits_read_back(value: float) -> None:
    assert float.fromhex(format_float(value, "x", -1)) == value


@given(DATA)
def test_json_is_json(value: Any) -> None:
    text = "{{json .v}}"
    written_json = compile_tree(parse(text, FUNCTIONS)).render({"v": value}, today=TODAY).text
    if written_json:  # Nothing at all where JSON has no such number.
        json.loads(written_json)
