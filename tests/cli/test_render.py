"""``mbuild render`` as a user types it."""

import json
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pexpect
import pytest
from gguf_files import tiny_llama
from shell import Shell
from syrupy.assertion import SnapshotAssertion

needs_llama = pytest.mark.skipif(
    find_spec("llama_cpp") is None, reason="pip install 'mbuild-modelfile[run]'"
)
TEMPLATE = '''TEMPLATE """{{ range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
'''
KID = f"FROM ./m.gguf\n{TEMPLATE}SYSTEM You are a kid.\nMESSAGE user one?\nMESSAGE assistant two!\n"
PROMPT = (
    "<|im_start|>system\nYou are a kid.<|im_end|>\n<|im_start|>user\none?<|im_end|>\n"
    "<|im_start|>assistant\ntwo!<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
    "<|im_start|>assistant\n"
)
WITH_TOOLS = 'TEMPLATE """{{ .Tools }}{{ range .Messages }}{{ .Role }}:{{ .Content }}{{ end }}"""\n'
TOOLS = '[{"type": "function", "function": {"name": "f"}}]'


@pytest.fixture
def kid(shell: Shell) -> Shell:
    """A shell with a model of a TEMPLATE, a SYSTEM and an example."""
    shell.write("Modelfile", KID)
    shell.ok("create", "kid")
    return shell


def create(shell: Shell, text: str, name: str = "other") -> None:
    shell.ok("create", name, "-f", "-", stdin=f"FROM ./m.gguf\n{text}")


def test_the_prompt_is_printed_byte_for_byte(kid: Shell) -> None:
    ran = kid.run("render", "kid", "hi")
    assert (ran.status, ran.out, ran.err) == (0, PROMPT, "")


def test_words_of_the_prompt_are_joined_by_blanks(kid: Shell) -> None:
    assert "user\nhi there<|im_end|>" in kid.ok("render", "kid", "hi", "there")


def test_a_system_text_takes_the_place_of_the_models(kid: Shell) -> None:
    out = kid.ok("render", "kid", "hi", "--system", "You are a cat.")
    assert out == PROMPT.replace("a kid", "a cat")


def test_the_weights_own_template_makes_the_same_prompt(kid: Shell) -> None:
    assert kid.ok("render", "kid", "hi", "--renderer", "jinja") == PROMPT


def test_bos_and_eos_come_from_the_header(shell: Shell) -> None:
    jinja = "{{ bos_token }}{{ messages[-1].content }}{{ eos_token }}"
    tiny_llama(shell.folder / "m.gguf", chat_template=jinja)
    create(shell, "")
    assert shell.ok("render", "other", "hi") == "<s>hi</s>"


def test_a_conversation_comes_from_a_file(kid: Shell) -> None:
    turns = [{"role": "User", "content": "1"}, {"role": "assistant", "content": "ü"}]
    kid.write("talk.json", json.dumps(turns))
    out = kid.ok("render", "kid", "--messages", "talk.json")
    assert out.endswith(
        "user\n1<|im_end|>\n<|im_start|>assistant\nü<|im_end|>\n<|im_start|>assistant\n"
    )
    assert "user\nhi<|im_end|>" in kid.ok("render", "kid", "hi", "--messages", "talk.json")


def test_tools_come_from_a_file(shell: Shell) -> None:
    create(shell, WITH_TOOLS)
    shell.write("tools.json", TOOLS)
    assert shell.ok("render", "other", "hi", "--tools", "tools.json") == (
        '[{"type":"function","function":{"name":"f","description":"",'
        '"parameters":{"type":"","properties":null}}}]user:hi'
    )


def test_fill_in_the_middle(shell: Shell) -> None:
    create(shell, "TEMPLATE <p>{{ .Prompt }}<s>{{ .Suffix }}<m>\n")
    assert shell.ok("render", "other", "a", "--suffix", "b") == "<p>a<s>b<m>"


def test_thinking(shell: Shell) -> None:
    create(shell, "TEMPLATE {{ .Think }}|{{ .ThinkLevel }}|{{ .Response }}\n")
    assert shell.ok("render", "other", "hi") == "false||"
    assert shell.ok("render", "other", "hi", "--think", "high") == "true|high|"
    assert shell.ok("render", "other", "hi", "--think", "true") == "true|medium|"


def test_a_model_that_cannot_think_is_told_of_thinking_with_a_warning(shell: Shell) -> None:
    create(shell, "TEMPLATE {{ .Think }}|{{ .Response }}\n")
    ran = shell.run("render", "other", "hi", "--think", "true")
    assert (ran.status, ran.out) == (0, "true|")
    assert ran.err == 'warning: model "other:latest" does not support thinking\n'
    assert shell.run("render", "other", "hi", "--think", "false").err == ""


def test_json(kid: Shell) -> None:
    told = json.loads(kid.ok("render", "kid", "hi", "--json"))
    assert (told["model"], told["text"], "tokens" in told) == ("kid:latest", PROMPT, False)
    assert "".join(piece["text"] for piece in told["pieces"]) == PROMPT
    parts = [piece["part"] for piece in told["pieces"]]
    assert parts[1::2] == ["system", "example", "example", "user"]
    assert set(parts[::2]) == {"template"}


def test_of_the_weights_own_template_no_part_is_known(kid: Shell) -> None:
    told = json.loads(kid.ok("render", "kid", "hi", "--json", "--renderer=jinja"))
    assert told["pieces"] == [{"part": None, "text": PROMPT}]


@needs_llama
def test_tokens(shell: Shell, snapshot: SnapshotAssertion) -> None:
    create(shell, TEMPLATE + "SYSTEM one two\nMESSAGE user three\n")
    out = shell.ok("render", "other", "é four", "--tokens")
    assert out == snapshot
    told = json.loads(shell.ok("render", "other", "é four", "--tokens", "--json"))
    rows = [line.split() for line in out.splitlines()[1:-2]]
    assert [each["id"] for each in told["tokens"]] == [int(row[0]) for row in rows]
    assert [each["part"] for each in told["tokens"]] == [row[-1] for row in rows]
    assert told["tokens"][0] == {"id": 1, "text": "<s>", "part": "vocabulary"}


@needs_llama
def test_what_tokens_were_shown_of_is_known_to_the_next_build(shell: Shell) -> None:
    text = TEMPLATE + "PARAMETER stop <|im_ende|>\n"
    shell.write("Modelfile", f"FROM ./m.gguf\n{text}")
    finding = "warning: stop <|im_ende|> looks like a token"
    shell.ok("create", "other")
    shell.ok("render", "other", "hi")
    assert finding not in shell.run("create", "other").err
    shell.ok("render", "other", "hi", "--tokens")
    assert finding in shell.run("create", "other").err


@needs_llama
def test_where_no_part_is_known_none_is_shown(shell: Shell) -> None:
    create(shell, "SYSTEM one\n")
    out = shell.ok("render", "other", "é four", "--tokens")
    header, *_, counted = out.splitlines()
    assert header == "ID     TOKEN"
    assert re.fullmatch(r"\d+ tokens \(of a Jinja template the parts are not known\)", counted)
    assert not [line for line in out.splitlines() if line != line.rstrip()]


@needs_llama
def test_tokens_are_shown_from_a_store_that_may_not_be_written(shell: Shell) -> None:
    create(shell, TEMPLATE)
    out = shell.ok("render", "other", "hi", "--tokens")
    (shell.store / "mbuild" / "version").write_text("99\n")
    ran = shell.run("render", "other", "hi", "--tokens")
    assert (ran.status, ran.out, ran.err) == (0, out, "")


def test_tokens_without_llama_cpp_say_what_to_install(kid: Shell) -> None:
    # As if it were not installed.
    hidden = kid.folder / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda name: None if name == 'llama_cpp' else found(name)\n"
    )
    paths = {"PYTHONPATH": str(hidden)}
    assert kid.run("render", "kid", "hi", env=paths).out == PROMPT
    ran = kid.run("render", "kid", "hi", "--tokens", env=paths)
    assert ran.status == 1
    assert (
        "llama-cpp-python is not installed\n  hint: pip install 'mbuild-modelfile[run]'" in ran.err
    )


def test_the_difference_with_another_model(kid: Shell, snapshot: SnapshotAssertion) -> None:
    create(kid, TEMPLATE + "SYSTEM You are an old cat.\n", "kid:v2")
    shown = kid.ok("render", "kid", "hi", "--diff", "kid:v2")
    assert shown == snapshot
    for tag in ("v2", ":v2"):
        assert kid.ok("render", "kid", "hi", "--diff", tag) == shown


def test_the_difference_with_a_modelfile(kid: Shell, snapshot: SnapshotAssertion) -> None:
    kid.write("Modelfile", KID.replace("a kid", "a cat"))
    assert kid.ok("render", "kid", "hi", "--diff", "./Modelfile") == snapshot
    # It was only looked at.
    assert kid.ok("list", "--quiet") == "kid:latest\n"
    kid.write("Modelfile", "FROM ./m.gguf\nTEMPLATE {{ if }}\n")
    ran = kid.run("render", "kid", "hi", "--diff", "Modelfile")
    assert (ran.status, ran.out) == (1, "")
    assert "Modelfile:2:" in ran.err


def test_the_difference_between_the_two_renderers(kid: Shell) -> None:
    out = kid.ok("render", "kid", "hi", "--renderer=jinja", "--diff", "kid")
    assert out == "kid:latest (jinja) and kid:latest give the same prompt\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        pytest.param("messages", "[", "f.json: line 1, column 2: expecting value", id="no JSON"),
        pytest.param("messages", "{}", "f.json: messages: not a list", id="no list"),
        pytest.param("messages", "[3]", "f.json: messages[0]: not an object", id="no object"),
        pytest.param(
            "messages", '[{"content": "x"}]', "f.json: messages[0].role: missing", id="no role"
        ),
        pytest.param(
            "messages",
            '[{"role": "user", "content": [1]}]',
            "f.json: messages[0].content: not a text",
            id="content",
        ),
        pytest.param(
            "messages", "[" * 200 + "]" * 200, "nests more than 100 levels deep", id="deep"
        ),
        pytest.param("messages", "[" * 99999, "nests too deeply", id="too deep to read"),
        pytest.param("messages", b"\xff\xfe\xfa", "f.json: ", id="no text"),
        pytest.param("tools", "[3]", "f.json: tools[0]: not an object", id="a tool"),
        pytest.param(
            "tools",
            '[{"function": {"parameters": {"$defs": 1' + "0" * 400 + "}}}]",
            "a number is too large",
            id="number",
        ),
    ],
)
def test_a_file_of_the_wrong_shape_is_told_where(
    kid: Shell, name: str, text: str | bytes, message: str
) -> None:
    (kid.folder / "f.json").write_bytes(text.encode() if isinstance(text, str) else text)
    ran = kid.run("render", "kid", "hi", f"--{name}", "f.json")
    assert (ran.status, ran.out) == (1, "")
    assert message in ran.err
    assert "mistake of mbuild" not in ran.err


@pytest.mark.parametrize(
    ("template", "words", "message"),
    [
        pytest.param("{{ .Prompt }}", ["--tools", "t.json"], "no place for tools", id="tools"),
        pytest.param("{{ .Prompt }}", ["--suffix", "x"], "no place for a suffix", id="suffix"),
        pytest.param(
            "{{ index .Messages 9 }}", [], "line 1 of the TEMPLATE: error calling index", id="fails"
        ),
        pytest.param(
            '{{ define "x" }}{{ template "x" . }}{{ end }}{{ .Messages }}{{ template "x" . }}',
            [],
            "line 1 of the TEMPLATE: ",
            id="recursion",
        ),
        pytest.param(
            "{{ range 100000000 }}x{{ end }}{{ .Messages }}",
            [],
            "line 1 of the TEMPLATE: ",
            id="a bomb",
        ),
    ],
)
def test_what_a_template_does_not_take_is_told(
    shell: Shell, template: str, words: list[str], message: str
) -> None:
    shell.write("t.json", TOOLS)
    create(shell, f"TEMPLATE {template}\n")
    ran = shell.run("render", "other", "hi", *words)
    assert (ran.status, ran.out) == (1, "")
    assert message in ran.err
    assert "mistake of mbuild" not in ran.err


def test_a_renderer_that_is_not_there_is_refused_by_name(shell: Shell) -> None:
    create(shell, "RENDERER qwen3-coder\n")
    for command in ("render", "run"):
        ran = shell.run(command, "other", "hi")
        assert (ran.status, ran.out, ran.err) == (
            1,
            "",
            "Error: other:latest needs the renderer 'qwen3-coder', which mbuild does not have\n"
            "  hint: --renderer=jinja uses the chat template in the weights, which may differ\n",
        )
    assert "hi" in shell.ok("render", "other", "hi", "--renderer=jinja")
    ran = shell.run("render", "other", "hi", "--renderer=go")
    assert (ran.status, ran.err) == (1, "Error: other:latest has no TEMPLATE\n")


@pytest.mark.parametrize(
    "words",
    [
        ["--diff", "nope"],
        ["--diff", "kid", "--json"],
        ["--diff", "kid", "--tokens"],
        ["--suffix", "x", "--messages", "f"],
        ["--think", "perhaps"],
        ["--renderer", "mine"],
    ],
    ids=" ".join,
)
def test_what_does_not_go_together_is_a_usage_error(kid: Shell, words: list[str]) -> None:
    assert kid.run("render", "kid", "hi", *words).status == 2


def test_a_suffix_needs_a_prompt(kid: Shell) -> None:
    assert kid.run("render", "kid", "--suffix", "x").status == 2


def test_on_a_terminal_the_parts_have_colours(kid: Shell) -> None:
    kid.write("talk.json", json.dumps([{"role": "user", "content": "\x1b[2J"}]))
    words = ["-m", "mbuild", "render", "kid", "--messages", "talk.json"]
    environment = {k: v for k, v in kid.environment().items() if k != "NO_COLOR"}
    shown = pexpect.run(
        f"{sys.executable} {' '.join(words)}", env=environment, cwd=os.fspath(kid.folder)
    ).decode()
    assert "\x1b[35mYou are a kid.\x1b[0m" in shown
    assert "\x1b[36mone?\x1b[0m" in shown
    # A text cannot act on the terminal.
    assert "\x1b[32m\u241b[2J\x1b[0m" in shown


def test_help(shell: Shell, snapshot: SnapshotAssertion) -> None:
    assert shell.ok("render", "--help") == snapshot


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ .Prompt }}", ["completion"]),
        (
            "{{ if .Suffix }}{{ .Suffix }}{{ end }}{{ .Tools }}"
            "{{ range .Messages }}{{ if .Thinking }}<t>{{ .Thinking }}</t>{{ end }}{{ end }}",
            ["completion", "tools", "insert", "thinking"],
        ),
    ],
    ids=["nothing", "all"],
)
def test_show_tells_what_a_template_can_do(
    shell: Shell, template: str, expected: list[str]
) -> None:
    create(shell, f"TEMPLATE {template}\n")
    assert json.loads(shell.ok("show", "other", "--json"))["capabilities"] == expected


@needs_llama
def test_a_model_with_a_template_runs(shell: Shell, tmp_path: Path) -> None:
    create(shell, TEMPLATE + "PARAMETER temperature 0\n")
    assert shell.ok("run", "other", "count").startswith("one two three")
