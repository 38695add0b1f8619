import pytest

from mbuild.compiler.template.failure import BadTemplate
from mbuild.compiler.template.lexer import Kind, lex
from mbuild.compiler.template.parser import NESTING, parse
from mbuild.compiler.template.reading import FUNCTIONS, read
from mbuild.compiler.template.tree import written


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        pytest.param("", [Kind.END], id="empty"),
        pytest.param("}} {", [Kind.TEXT, Kind.END], id="text that looks like an action"),
        pytest.param(
            "a {{- .x -}} b",
            [Kind.TEXT, Kind.OPEN, Kind.FIELD, Kind.CLOSE, Kind.TEXT, Kind.END],
            id="trimmed",
        ),
        pytest.param("{{/* c */}}", [Kind.END], id="a comment leaves nothing"),
        pytest.param("{{-3}}", [Kind.OPEN, Kind.NUMBER, Kind.CLOSE, Kind.END], id="minus three"),
        pytest.param("{{.", [Kind.OPEN, Kind.NUMBER, Kind.ERROR], id="a dot at the end"),
    ],
)
def test_tokens(text: str, kinds: list[Kind]) -> None:
    assert [token.kind for token in lex(text)] == kinds


@pytest.mark.parametrize(
    ("text", "message", "blamed"),
    [
        pytest.param(
            "a {{ .x | nosuch }}", 'template: :1: function "nosuch" not defined', "nosuch"
        ),
        pytest.param("{{ $x }}", 'template: :1: undefined variable "$x"', "$x"),
        pytest.param("{{ if .x }}", "template: :1: unexpected EOF", ""),
        pytest.param("{{ .x", "template: :1: unclosed action", ""),
        pytest.param('{{ "\\q" }}', "template: :1: invalid syntax", '"\\q"'),
        pytest.param("a\n{{ .x ) }}", "template: :2: unexpected right paren", ")"),
        pytest.param("{{ break }}", "template: :1: {{break}} outside {{range}}", "break"),
        pytest.param(
            "{{ .x\n }\n}}", 'template: :2: unexpected "}" in operand', "}", id="next line"
        ),
        pytest.param(
            "{{ .x\n  *\n 1}}", 'template: :2: unexpected "*" in operand', "*", id="operator"
        ),
        pytest.param("{{9" + "9" * 5000 + "}}", None, "9" * 5001, id="more digits than Python"),
    ],
)
def test_a_fault_has_the_reference_s_message_and_a_place(
    text: str, message: str | None, blamed: str
) -> None:
    with pytest.raises(BadTemplate) as caught:
        parse(text, FUNCTIONS)
    bad = caught.value
    assert message is None or bad.message == message
    assert bad.message.endswith(bad.reason)
    assert text[bad.start : bad.end] == blamed


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{{if 1}}" * 5000 + "{{end}}" * 5000, id="constructs"),
        pytest.param("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", id="parentheses"),
        pytest.param("{{if 0}}" + "{{else if 0}}" * 5000 + "{{end}}", id="else if"),
    ],
)
def test_what_nests_too_deeply_is_refused(text: str) -> None:
    with pytest.raises(BadTemplate, match="nested too deeply"):
        parse(text, FUNCTIONS)


def test_what_may_nest_can_also_be_written_back() -> None:
    text = "{{if 1}}" * NESTING + "x" + "{{end}}" * NESTING
    assert written(parse(text, FUNCTIONS).main) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("{{ .Prompt }}", "{{.Prompt}}{{.Response}}", id="no response: added"),
        pytest.param("x", "x{{.Response}}", id="even to a constant"),
        pytest.param("{{ .response }}", "{{.response}}", id="any case suppresses it"),
        pytest.param("{{ .Messages }}", "{{.Messages}}", id="messages suppress it"),
    ],
)
def test_a_chat_template_gets_the_response_at_its_end(text: str, expected: str) -> None:
    assert written(read(text).main) == expected


def test_a_template_call_without_data_is_refused_where_it_stands() -> None:
    text = 'a {{ define "d" }}{{ template "d" }}{{ end }}'
    with pytest.raises(BadTemplate) as caught:
        read(text)
    assert caught.value.message == "undefined template specified"
    assert text[caught.value.start : caught.value.end] == '"d"'
