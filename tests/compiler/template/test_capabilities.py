import pytest

from mbuild.compiler.template.capabilities import Tags, thinking_tags, tool_call_tag, variables
from mbuild.compiler.template.prompt import chat_template
from mbuild.compiler.template.reading import read


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        pytest.param(
            "{{range .Messages}}{{if .Thinking}}<think>{{.Thinking}}</think>{{end}}{{end}}",
            Tags("<think>", "</think>"),
            id="usual",
        ),
        pytest.param(
            "{{range $i, $m := $.Messages}}<a>{{.Thinking}}</a>{{end}}{{.Messages}}",
            None,
            id="a chain from a variable is no plain field",
        ),
        pytest.param("{{range .Messages}}<a>{{$.Thinking}}</a>{{end}}", None, id="nor is this"),
        pytest.param(
            "{{range .Messages}}{{range .ToolCalls}}<a>{{.Thinking}}</a>{{end}}{{end}}",
            None,
            id="the nearest range counts",
        ),
        pytest.param(
            "{{range .Messages}}<a>{{.Thinking}}</a>{{end}}"
            "{{range .Messages}}<b>{{.Thinking}}</b>{{end}}",
            Tags("<b>", "</b>"),
            id="the last wins",
        ),
        pytest.param("{{range .Messages}}<a>{{.Thinking}}{{end}}", None, id="one tag is none"),
    ],
)
def test_thinking_tags(text: str, tags: Tags | None) -> None:
    assert thinking_tags(read(text)) == tags


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        pytest.param(
            "{{range .Messages}}{{if .ToolCalls}}\n<tool_call>\n{{range .ToolCalls}}{{end}}{{end}}"
            "{{end}}",
            "<tool_call>",
            id="usual",
        ),
        pytest.param('{{if .ToolCalls}}[CALLS] {"n": 1}{{end}}', "[CALLS]", id="cut at the brace"),
        pytest.param('{{if .ToolCalls}}{"name": 1}{{end}}', "{", id="nothing before the brace"),
        pytest.param("{{if .ToolCalls}}{{.x}}<t>{{end}}", "{", id="an action comes first"),
        pytest.param(
            "{{with .x}}{{else}}{{if and .ToolCalls .y}}{{range .z}}<t>{{end}}{{end}}{{end}}",
            "<t>",
            id="nested",
        ),
        pytest.param("{{.Response}}", "{", id="none"),
    ],
)
def test_tool_call_tag(text: str, tag: str) -> None:
    assert tool_call_tag(read(text)) == tag


def test_variables_are_in_lower_case_and_not_looked_for_before_a_field() -> None:
    text = '{{(index .Messages 0).Content}}{{$m := .Tools}}{{$m.Role}}{{define "x"}}{{.Y}}{{end}}'
    assert variables(read(text)) == ("$m", "response", "role", "tools", "y")


def test_what_a_template_can_do() -> None:
    template = chat_template(
        "{{.Suffix}}{{.Tools}}{{range .Messages}}{{range .ToolCalls}}{{.}}{{end}}"
        '{{if eq .Role "tool"}}{{end}}{{end}}'
    )
    assert template.has_tools
    assert template.has_tool_round_trip
    assert template.has_insert
    assert template.thinking_tags is None
    assert not chat_template("{{.Prompt}}").has_tools
