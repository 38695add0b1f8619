"""Prompts in the Go template language, from messages as the runtime holds them."""

from datetime import date

import pytest

from mbuild.compiler.template.provenance import TEMPLATE, Piece
from mbuild.runtime.go_template import GoTemplate
from mbuild.runtime.message import Message
from mbuild.runtime.prompt import (
    NoPlaceFor,
    TemplateRefused,
    Think,
    conversation,
    one_shot,
)

HI = (Message("user", "hi"),)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
EXAMPLES = (Message("user", "2+2?"), Message("assistant", "4"))


def test_pieces_know_their_part() -> None:
    template = GoTemplate("{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}")
    prompt = template.render(conversation("S", EXAMPLES, [*HI, Message("assistant", "A")]))
    assert prompt.pieces == (
        Piece("<system>", TEMPLATE),
        Piece("S", "system"),
        Piece("<user>", TEMPLATE),
        Piece("2+2?", "example"),
        Piece("<assistant>", TEMPLATE),
        Piece("4", "example"),
        Piece("<user>", TEMPLATE),
        Piece("hi", "user"),
        Piece("<assistant>", TEMPLATE),
        Piece("A", "assistant"),
    )
    assert prompt.text == "".join(piece.text for piece in prompt.pieces)


def test_a_text_that_is_there_twice_is_not_mistaken() -> None:
    """Parts are carried through; a search would find the system's text in the template."""
    template = GoTemplate("same {{ .System }} {{ .Prompt }}")
    assert template.render(one_shot("same", (), "same")).pieces == (
        Piece("same ", TEMPLATE),
        Piece("same", "system"),
        Piece(" ", TEMPLATE),
        Piece("same", "user"),
    )


def test_tools_calls_and_results() -> None:
    template = GoTemplate(
        "{{ range .Tools }}{{ .Function.Name }};{{ end }}{{ range .Messages }}"
        "{{ range .ToolCalls }}{{ .Function.Name }}{{ .Function.Arguments }}{{ end }}"
        '{{ if eq .Role "tool" }}{{ .ToolName }}={{ .Content }}{{ end }}{{ end }}'
    )
    call = {"function": {"name": "f", "arguments": {"b": 1, "a": "x"}}}
    turns = (
        *HI,
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "2", tool_name="f"),
    )
    assert template.render(turns, [TOOL]).text == 'f;f{"a":"x","b":1}f=2'


def test_fill_in_the_middle() -> None:
    template = GoTemplate("<p>{{ .Prompt }}<s>{{ .Suffix }}<m>")
    prompt = template.fill_in("a", "b")
    assert prompt.text == "<p>a<s>b<m>"
    assert [piece.part for piece in prompt.pieces] == [TEMPLATE, "user"] * 2 + [TEMPLATE]


def test_what_the_template_has_no_place_for_is_refused() -> None:
    template = GoTemplate("{{ .Prompt }}")
    with pytest.raises(NoPlaceFor, match="no place for tools"):
        template.render(HI, [TOOL])
    with pytest.raises(NoPlaceFor, match="no place for a suffix"):
        template.fill_in("a", "b")


@pytest.mark.parametrize(
    ("think", "expected"),
    [
        # A template that knows of thinking thinks unless it is told not to, as in the reference.
        (None, "true|true"),
        (False, "false|true"),
        ("high", "true|true"),
    ],
)
def test_thinking(think: Think, expected: str) -> None:
    template = GoTemplate(
        "{{ .Think }}|{{ .IsThinkSet }}"
        "{{ range .Messages }}{{ if .Thinking }}<t>{{ .Thinking }}</t>{{ end }}{{ end }}"
    )
    assert template.render(HI, think=think).text == expected


def test_a_template_that_knows_nothing_of_thinking_is_told_nothing() -> None:
    template = GoTemplate("{{ .Think }}|{{ .IsThinkSet }}{{ .Response }}")
    assert template.render(HI).text == "false|false"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "\n{{ index .Messages 99 }}", "line 2 of the TEMPLATE: error calling", id="fails"
        ),
        pytest.param(
            '{{ define "x" }}{{ template "x" . }}{{ end }}{{ template "x" . }}{{ .Messages }}',
            "line 1 of the TEMPLATE",
            id="calls itself",
        ),
        pytest.param(
            "{{ range $a := $.Messages }}" * 9 + "{{ $a.Content }}" + "{{ end }}" * 9,
            "line 1 of the TEMPLATE",
            id="output without end",
        ),
    ],
)
def test_a_template_that_fails_says_where(text: str, message: str) -> None:
    turns = tuple(Message("tool", "x" * 1000) for _ in range(50))
    with pytest.raises(TemplateRefused, match=message):
        GoTemplate(text).render(turns)


def test_the_day_is_asked_for_at_each_rendering() -> None:
    days = iter([date(2024, 2, 29), date(2024, 3, 1)])
    template = GoTemplate(
        "{{ currentDate }}{{ range .Messages }}{{ end }}", today=lambda: next(days)
    )
    assert [template.render(HI).text for _ in range(2)] == ["2024-02-29", "2024-03-01"]
