"""What is said of a TEMPLATE, and where it points."""

import json
import re
from pathlib import Path

import pytest
from chat_templates import SPECIAL, STYLES
from hypothesis import given
from hypothesis import strategies as st

from mbuild.compiler.check import load
from mbuild.compiler.diagnostic import Code, Diagnostic, Source, render
from mbuild.compiler.dialect import Dialect
from mbuild.compiler.recipe import Located
from mbuild.compiler.template_rules import (
    Facts,
    Fault,
    decode,
    double_bos,
    encode,
    examine,
    fault,
    ignored_system,
    place,
    warnings,
)


def template_of(text: str, dialect: Dialect = "mbuild") -> Located:
    recipe, findings = load("Modelfile", text.encode(), dialect=dialect)
    assert recipe is not None, findings
    assert recipe.template is not None
    return recipe.template


def facts_of(text: str) -> Facts:
    facts = examine(text)
    assert isinstance(facts, Facts), facts
    return facts


def fault_in(text: str, dialect: Dialect = "mbuild") -> Diagnostic:
    located = template_of(text, dialect)
    found = examine(located.text)
    assert isinstance(found, Fault), found
    return fault(located, found, teach=dialect == "mbuild")


def told(template: str) -> list[tuple[Code, str, str | None]]:
    located = Located(template, Source("Modelfile", template).span(0, len(template)))
    found = warnings(located, facts_of(template))
    return [(each.code, each.span.text, each.hint) for each in found]


def test_an_error_points_into_the_file() -> None:
    text = 'FROM a\nSYSTEM b\nTEMPLATE """hi\n{{ if .System }}{{ .System }}{{ ende }}\n"""\n'
    assert render(fault_in(text)) == (
        'Modelfile:4:33: error: template error: function "ende" not defined'
        " [MB021 template-error]\n"
        "  |\n"
        "4 | {{ if .System }}{{ .System }}{{ ende }}\n"
        "  |                                 ^^^^\n"
        "  = hint: a variable begins with a dot, as in .Prompt"
    )


def test_in_the_references_dialect_the_words_are_its_own() -> None:
    text = 'FROM a\nTEMPLATE """hi\n{{ .Prompt }}{{ foo }}"""\n'
    finding = fault_in(text, "ollama")
    assert finding.message == 'template error: template: :2: function "foo" not defined'
    assert (finding.span.line, finding.span.column, finding.hint) == (3, 17, None)


@pytest.mark.parametrize(
    ("template", "blamed", "hint"),
    [
        pytest.param("{{ .Prompt", "{{", "an action ends with }}", id="unclosed action"),
        pytest.param("{{ if .System }}", "", "needs its {{ end }}", id="unclosed if"),
        pytest.param("{{ .Prompt }}{{ end }}", "end", "no if, range or with", id="one end more"),
        pytest.param("{{ Prompt }}", "Prompt", "did you mean .Prompt?", id="no dot"),
        pytest.param("{{ user }}", "user", "did you mean .Prompt?", id="another name"),
        pytest.param("{{ eq .Role 'user' }}", "'user'", "double quotes", id="single quotes"),
        pytest.param("{{ if .A == 1 }}", "=", "no operators", id="operator"),
        pytest.param('{{ template "x" }}', '"x"', "{{ template", id="no data"),
        pytest.param("{{}}", "}}", "something to write", id="empty"),
        pytest.param("{{ $x }}", "$x", ":=", id="undeclared"),
    ],
)
def test_errors_teach(template: str, blamed: str, hint: str) -> None:
    finding = fault_in(f'FROM a\nTEMPLATE """\n{template}"""\nSYSTEM b\n')
    assert finding.code is Code.TEMPLATE_ERROR
    assert finding.span.text == blamed
    assert hint in (finding.hint or "")


@pytest.mark.parametrize(
    ("file", "dialect", "expected"),
    [
        pytest.param("TEMPLATE a{{ x }}\nFROM a", "mbuild", "x", id="plain"),
        pytest.param("TEMPLATE   a{{ x }}  \nFROM a", "mbuild", "x", id="blanks around"),
        pytest.param('TEMPLATE "a{{ x }}"\nFROM a', "mbuild", "x", id="one quote"),
        pytest.param('TEMPLATE """"a"{{ x }}"""\nFROM a', "mbuild", "x", id="quotes inside"),
        pytest.param("\ufeffTEMPLATE a{{ x }}\nFROM a", "mbuild", "x", id="byte-order mark"),
        pytest.param('TEMPLATE """é\u200b{{ x }}"""\nFROM a', "mbuild", "x", id="kept character"),
        pytest.param('TEMPLATE """é\u200b{{ x }}"""\nFROM a', "ollama", "x", id="dropped one"),
        pytest.param("TEMPLATE \u200b{{ x }}\u200b\nFROM a", "ollama", "x", id="dropped around"),
        pytest.param('TEMPLATE "\u200b""a{{ x }}"""\nFROM a', "mbuild", "x", id="among quotes"),
    ],
)
def test_the_place_is_found_in_every_kind_of_value(
    file: str, dialect: Dialect, expected: str
) -> None:
    assert fault_in(file, dialect).span.text == expected


@given(
    st.text(alphabet='ab"\u200b\n {}.', max_size=30),
    st.sampled_from(["{}", '"{}"', '"""{}"""']),
    st.sampled_from(["mbuild", "ollama"]),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_a_place_never_leaves_the_value(
    text: str, quotes: str, dialect: Dialect, start: int, length: int
) -> None:
    file = f"FROM a\nTEMPLATE {quotes.format(text)}\n"
    recipe, _ = load("Modelfile", file.encode(), dialect=dialect)
    if recipe is None or recipe.template is None:
        return
    located = recipe.template
    size = len(located.text)
    first = min(start, size)
    last = min(first + length, size)
    span = place(located, first, last)
    assert located.span.start <= span.start <= span.end <= located.span.end
    if dialect == "mbuild" and last > first:
        assert span.text == located.text[first:last]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param("{{ .Promt }}", [".Promt"], id="misspelt"),
        pytest.param("{{ .prompt }}", [".prompt"], id="lower case"),
        pytest.param("{{ .Prompt }}{{ $.Sytem }}", [".Sytem"], id="of the root"),
        pytest.param("{{ if .Foo.Bar }}{{ .Prompt }}{{ end }}", [".Foo"], id="first of a chain"),
        pytest.param("{{ range .Messages }}{{ .Text }}{{ end }}", [".Text"], id="of a message"),
        pytest.param(
            "{{ range .Messages }}{{ .System }}{{ end }}", [".System"], id="root's, inside"
        ),
        pytest.param("{{ range .Messages }}{{ else }}{{ .Foo }}{{ end }}", [".Foo"], id="else"),
        pytest.param("{{ .Prompt }}{{ with .Tools }}{{ .Foo }}{{ end }}", [], id="another dot"),
        pytest.param('{{ .Prompt }}{{ define "a" }}{{ .Foo }}{{ end }}', [], id="a define"),
        pytest.param("{{ $a := .Prompt }}{{ $a.Foo }}", [], id="a variable"),
    ],
)
def test_unknown_variables(template: str, expected: list[str]) -> None:
    found = [text for code, text, _ in told(template) if code is Code.UNKNOWN_VARIABLE]
    assert found == expected


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        pytest.param("{{ .Promt }}{{ .Prompt }}", "did you mean .Prompt?", id="misspelt"),
        pytest.param("{{ .Input }}{{ .Prompt }}", "did you mean .Prompt?", id="another tool's"),
        pytest.param("{{ .Prompt }}{{ .system_prompt }}", "did you mean .System?", id="underscore"),
        pytest.param(
            "{{ range .Messages }}{{ .System }}{{ end }}",
            "inside the range over .Messages write $.System",
            id="not a message's",
        ),
        pytest.param(
            "{{ .Prompt }}{{ .Content }}",
            "it is a message's: {{ range .Messages }}{{ .Content }}{{ end }}",
            id="a message's",
        ),
        pytest.param(
            "{{ .Prompt }}{{ .Zyx }}",
            "there are .System, .Messages, .Tools, .Prompt, .Suffix, .Response, .Think,"
            " .ThinkLevel, .IsThinkSet",
            id="nothing near",
        ),
    ],
)
def test_hints_for_unknown_variables(template: str, hint: str) -> None:
    assert [each for _, _, each in told(template)] == [hint]


@pytest.mark.parametrize(
    ("template", "codes"),
    [
        pytest.param("hello", [Code.NO_USER_MESSAGE], id="constant"),
        pytest.param("{{ .System }}", [Code.NO_USER_MESSAGE], id="system only"),
        pytest.param("{{ .Prompt }}", [], id="prompt"),
        pytest.param("{{ range .Messages }}{{ .Content }}{{ end }}", [], id="messages"),
        pytest.param("{{ (index .Messages 0).Content }}", [], id="in parentheses"),
        pytest.param('{{ template "a" . }}{{ define "a" }}{{ .Prompt }}{{ end }}', [], id="define"),
    ],
)
def test_what_the_user_says_needs_a_place(template: str, codes: list[Code]) -> None:
    assert [code for code, _, _ in told(template)] == codes


def test_jinja_is_recognised() -> None:
    ((_, _, hint),) = told("{% for m in messages %}x{% endfor %}")
    assert hint is not None
    assert hint.startswith("this is Jinja")


@pytest.mark.parametrize(
    ("template", "ignored"),
    [
        pytest.param("{{ .Prompt }}", True, id="prompt alone"),
        pytest.param("{{ .System }}{{ .Prompt }}", False, id="has it"),
        pytest.param("{{ range .Messages }}{{ .Content }}{{ end }}", False, id="messages"),
    ],
)
def test_a_system_text_needs_a_place(template: str, *, ignored: bool) -> None:
    span = Source("Modelfile", "SYSTEM hi").span(7, 9)
    found = ignored_system(facts_of(template), span, inherited=False)
    assert [each.code for each in found] == [Code.SYSTEM_IGNORED] * ignored


@pytest.mark.parametrize(
    ("template", "count"),
    [
        pytest.param("<s>[INST] {{ .Prompt }}", 1, id="at the start"),
        pytest.param("{{ if .System }}<s>{{ .System }}{{ end }}<s>{{ .Prompt }}", 2, id="two ways"),
        pytest.param("{{- $x := 1 }}<s>{{ .Prompt }}", 1, id="behind a declaration"),
        pytest.param("{{ range .Messages }}<s>{{ .Content }}{{ end }}", 1, id="each message"),
        pytest.param("{{ .Prompt }}<s>", 0, id="later"),
        pytest.param(" <s>{{ .Prompt }}", 0, id="behind a blank"),
        # Only the first message has none in front of it.
        pytest.param(
            "{{ range $i, $m := .Messages }}{{ if $i }}<s>{{ end }}{{ .Content }}{{ end }}",
            0,
            id="between messages",
        ),
    ],
)
def test_bos_is_not_written_twice(template: str, count: int) -> None:
    located = Located(template, Source("Modelfile", template).span(0, len(template)))
    found = double_bos(located, facts_of(template), "<s>")
    assert [(each.code, each.span.text) for each in found] == [(Code.DOUBLE_BOS, "<s>")] * count


@pytest.mark.parametrize("style", STYLES)
def test_the_usual_templates_are_not_doubted(style: str) -> None:
    template, _ = STYLES[style]
    located = Located(template, Source("Modelfile", template).span(0, len(template)))
    facts = facts_of(template)
    assert told(template) == []
    assert ignored_system(facts, located.span, inherited=False) == ()
    assert double_bos(located, facts, SPECIAL[style][0]) == ()


@pytest.mark.parametrize("style", STYLES)
def test_facts_survive_being_recorded(style: str) -> None:
    facts = facts_of(STYLES[style][0] + "{{ .Foo }}<s>")
    assert decode(json.loads(json.dumps(encode(facts)))) == facts


def test_the_document_lists_what_is_checked() -> None:
    text = (Path(__file__).parents[2] / "docs" / "template.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (MB\d+ [a-z-]+) \|", text, re.MULTILINE)
    checked = [str(code) for code in Code if "MB022" <= code.number <= "MB029"]
    assert listed == checked
