"""Chat templates of well-known families: as a TEMPLATE and as Jinja they give one prompt."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from mbuild.runtime.go_template import GoTemplate
from mbuild.runtime.jinja import ChatTemplate, Templates
from mbuild.runtime.message import Message
from mbuild.runtime.prompt import conversation

TALK = conversation(
    "S", (), (Message("user", "U1"), Message("assistant", "A1"), Message("user", "U2"))
)
CALL = {"function": {"name": "sum", "arguments": {"a": 1, "b": 2}}}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "sum",
        "description": "Adds.",
        "parameters": {
            "type": "object",
            "required": ["a", "b"],
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
        },
    },
}
USED = conversation(
    "S",
    (),
    (
        Message("user", "1+2?"),
        Message("assistant", "", tool_calls=(CALL,)),
        Message("tool", "3", tool_name="sum"),
    ),
)


@dataclass(frozen=True, slots=True)
class Family:
    """A chat template in both languages, and what it makes of a conversation."""

    go: str
    jinja: str
    expected: str
    talk: tuple[Message, ...] = TALK
    tools: tuple[dict[str, Any], ...] = ()


LLAMA2 = Family(
    go="""\
{{- $system := "" }}{{ $count := 0 }}
{{- range .Messages }}
{{- if eq .Role "system" }}{{ $system = .Content }}
{{- else if eq .Role "user" }}{{ if $count }}<s>{{ end }}[INST] <<SYS>>
{{- if $system }}
{{ $system }}
{{ $system = "" }}{{ end }}<</SYS>>

{{ .Content }} [/INST]{{ $count = 1 }}
{{- else }} {{ .Content }}</s>{{ end }}
{{- end }}""",
    jinja="""\
{%- set ns = namespace(system='', count=0) -%}
{%- for m in messages -%}
{%- if m.role == 'system' -%}{%- set ns.system = m.content -%}
{%- elif m.role == 'user' -%}
{{- ('<s>' if ns.count else '') + '[INST] <<SYS>>' -}}
{{- '\\n' + ns.system + '\\n' if ns.system else '' -}}
{{- '<</SYS>>\\n\\n' + m.content + ' [/INST]' -}}
{%- set ns.system = '' -%}{%- set ns.count = 1 -%}
{%- else -%}{{- ' ' + m.content + '</s>' -}}
{%- endif -%}{%- endfor -%}""",
    expected="[INST] <<SYS>>\nS\n<</SYS>>\n\nU1 [/INST] A1</s><s>[INST] <<SYS>><</SYS>>\n\n"
    "U2 [/INST]",
)
LLAMA3 = Family(
    go="""\
{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>

{{ .Content }}<|eot_id|>
{{- end }}<|start_header_id|>assistant<|end_header_id|>

""",
    jinja="""\
{%- for m in messages -%}
{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\\n\\n' + m.content + '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
{%- endif -%}""",
    expected="<|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nU1<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nA1<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nU2<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
)
CHATML = Family(
    go="""\
{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
""",
    jinja="""\
{% for m in messages %}
{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}""",
    expected="<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU1<|im_end|>\n"
    "<|im_start|>assistant\nA1<|im_end|>\n<|im_start|>user\nU2<|im_end|>\n"
    "<|im_start|>assistant\n",
)
GEMMA = Family(
    go="""\
{{- $system := "" }}
{{- range .Messages }}
{{- if eq .Role "system" }}{{ $system = .Content }}{{ continue }}{{ end -}}
<start_of_turn>{{ if eq .Role "assistant" }}model{{ else }}{{ .Role }}{{ end }}
{{ if and $system (eq .Role "user") }}{{ $system }}
{{ $system = "" }}{{ end }}{{ .Content }}<end_of_turn>
{{ end }}<start_of_turn>model
""",
    jinja="""\
{%- set ns = namespace(system='') -%}
{%- for m in messages -%}
{%- if m.role == 'system' -%}{%- set ns.system = m.content -%}{%- continue -%}{%- endif -%}
{{- '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\\n' -}}
{%- if ns.system and m.role == 'user' -%}
{{- ns.system + '\\n' -}}{%- set ns.system = '' -%}
{%- endif -%}
{{- m.content | trim + '<end_of_turn>\\n' -}}
{%- endfor -%}
{{- '<start_of_turn>model\\n' if add_generation_prompt -}}""",
    expected="<start_of_turn>user\nS\nU1<end_of_turn>\n<start_of_turn>model\nA1<end_of_turn>\n"
    "<start_of_turn>user\nU2<end_of_turn>\n<start_of_turn>model\n",
)
TOOLS = Family(
    go="""\
{{- if .Tools }}<tools>
{{- range .Tools }}
{{ json .Function.Name }}: {{ .Function.Description }} {{ json .Function.Parameters.Required }}
{{- end }}
</tools>
{{ end }}
{{- range .Messages }}<|{{ .Role }}|>{{ .Content }}
{{- range .ToolCalls }}<call>{"name": {{ json .Function.Name }}, "a": {{ .Function.Arguments.a }}}</call>
{{- end }}
{{- if eq .Role "tool" }} (from {{ .ToolName }}){{ end }}
{{ end }}<|assistant|>""",  # noqa: E501 - a line of a template is a line of its text.
    jinja="""\
{%- if tools -%}
{{- '<tools>' -}}
{%- for tool in tools -%}
{{- '\\n' + tool.function.name | tojson + ': ' + tool.function.description + ' ' -}}
{{- tool.function.parameters.required | tojson(separators=(',', ':')) -}}
{%- endfor -%}
{{- '\\n</tools>\\n' -}}
{%- endif -%}
{%- for m in messages -%}
{{- '<|' + m.role + '|>' + m.content -}}
{%- for call in m.tool_calls -%}
{{- '<call>{"name": ' + call.function.name | tojson + ', "a": ' -}}
{{- call.function.arguments.a | string + '}</call>' -}}
{%- endfor -%}
{{- ' (from ' + m.tool_name + ')' if m.role == 'tool' -}}
{{- '\\n' -}}
{%- endfor -%}
{{- '<|assistant|>' -}}""",
    expected='<tools>\n"sum": Adds. ["a","b"]\n</tools>\n<|system|>S\n<|user|>1+2?\n'
    '<|assistant|><call>{"name": "sum", "a": 1}</call>\n<|tool|>3 (from sum)\n<|assistant|>',
    talk=USED,
    tools=(TOOL,),
)
FAMILIES = [
    pytest.param(LLAMA2, id="llama2"),
    pytest.param(LLAMA3, id="llama3"),
    pytest.param(CHATML, id="chatml"),
    pytest.param(GEMMA, id="gemma"),
    pytest.param(TOOLS, id="tools"),
]


@pytest.fixture(scope="module")
def templates() -> Iterator[Templates]:
    made = Templates()
    yield made
    made.close()


@pytest.mark.parametrize("family", FAMILIES)
def test_as_a_go_template(family: Family) -> None:
    assert GoTemplate(family.go).render(family.talk, family.tools).text == family.expected


@pytest.mark.parametrize("family", FAMILIES)
def test_as_jinja(family: Family, templates: Templates) -> None:
    renderer = ChatTemplate(templates, family.jinja)
    assert renderer.render(family.talk, family.tools).text == family.expected
