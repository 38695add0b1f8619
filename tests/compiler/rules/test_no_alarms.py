"""What looks like a mistake and is none is not told of."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from worlds import FakeWorld

from mbuild.compiler.diagnostic import Code, Severity
from mbuild.compiler.lint import lint
from mbuild.compiler.rules import Base

HASH = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("line", "code"),
    [
        pytest.param("SYSTEM Use # for headings.", Code.COMMENT_IN_VALUE, id="hash in prose"),
        pytest.param("SYSTEM Use # for headings.", Code.COMMENT_IN_TEXT, id="talked about"),
        pytest.param("SYSTEM Answer in C # only.", Code.COMMENT_IN_TEXT, id="language with a gap"),
        pytest.param("SYSTEM Learn C# and F#.", Code.COMMENT_IN_TEXT, id="names of languages"),
        pytest.param("SYSTEM Rank #1 wins.", Code.COMMENT_IN_TEXT, id="a rank"),
        pytest.param("PARAMETER stop ### User:", Code.COMMENT_IN_VALUE, id="stop with hashes"),
        pytest.param("PARAMETER stop #", Code.COMMENT_IN_VALUE, id="stop that is a hash"),
        pytest.param("SYSTEM 'a' or 'b'", Code.SINGLE_QUOTES, id="two words in quotes"),
        pytest.param("SYSTEM You're a bot", Code.SINGLE_QUOTES, id="apostrophe"),
        pytest.param("SYSTEM 'Tis the parrots'", Code.FOREIGN_QUOTES, id="apostrophes at ends"),
        pytest.param("SYSTEM “a” and “b”", Code.CURLY_QUOTES, id="two in curly quotes"),
        pytest.param('SYSTEM Say "hi"', Code.STRAY_QUOTE, id="quoted word at the end"),
        pytest.param('PARAMETER stop "User: "', Code.CUT_STOP, id="quoted blank"),
        pytest.param("SYSTEM Write \\n for a line end", Code.ESCAPE_IN_TEXT, id="talked about"),
        pytest.param("SYSTEM Read C:\\new\\table", Code.ESCAPE_IN_TEXT, id="path of Windows"),
        pytest.param('SYSTEM End with "\\n".', Code.ESCAPE_IN_TEXT, id="quoted escape"),
        pytest.param(
            'TEMPLATE {{ .Prompt }}{{ "\\n" }}', Code.ESCAPE_IN_TEXT, id="escape in an action"
        ),
        pytest.param("PARAMETER stop \\n", Code.ESCAPE_IN_TEXT, id="told as an idle stop"),
        pytest.param("PARAMETER stop 1.", Code.SHORT_STOP, id="two characters"),
        pytest.param("PARAMETER stop 。", Code.SHORT_STOP, id="full stop of Chinese"),
        pytest.param("SYSTEM 👩\u200d👧", Code.INVISIBLE_CHARACTER, id="joined emoji"),
        pytest.param("SYSTEM می\u200cخواهم", Code.INVISIBLE_CHARACTER, id="Persian non-joiner"),
        pytest.param("SYSTEM 你好\u3000世界", Code.INVISIBLE_CHARACTER, id="wide blank"),
        pytest.param("SYSTEM ❤\ufe0f", Code.INVISIBLE_CHARACTER, id="style of an emoji"),
        pytest.param("SYSTEM a\tb", Code.CONTROL_CHARACTER, id="tab in a text"),
        pytest.param("SYSTEM a\tb", Code.TAB_AS_BLANK, id="tab within a value"),
        pytest.param('SYSTEM """a  \nb"""', Code.TRAILING_BLANKS, id="blanks within quotes"),
        pytest.param("PARAMETER top_k 0", Code.OUT_OF_RANGE, id="top_k off"),
        pytest.param("PARAMETER seed -1", Code.OUT_OF_RANGE, id="any seed"),
        pytest.param("PARAMETER num_predict -2", Code.NO_ANSWER, id="fill the context"),
        pytest.param("PARAMETER num_ctx 0", Code.TINY_CONTEXT, id="as memory allows"),
        pytest.param("PARAMETER num_ctx 131072", Code.ODD_CONTEXT, id="power of two"),
        pytest.param(
            "PARAMETER temperature 0\nPARAMETER seed 42", Code.IDLE_SAMPLER, id="seed with greedy"
        ),
        pytest.param(
            "PARAMETER temperature 0\nPARAMETER top_p 1", Code.IDLE_SAMPLER, id="top_p off"
        ),
        pytest.param(
            "PARAMETER temperature 0.7\nPARAMETER min_p 0.05\nPARAMETER top_p 1",
            Code.IDLE_SAMPLER,
            id="min_p alone",
        ),
        pytest.param("SYSTEM -- be short", Code.FLAG_AS_TEXT, id="dashes"),
        pytest.param("SYSTEM --verbose is a flag", Code.FLAG_AS_TEXT, id="another flag"),
        pytest.param("LICENSE MIT", Code.PATH_AS_TEXT, id="name of a license"),
        pytest.param("SYSTEM Read notes.md first", Code.PATH_AS_TEXT, id="a path in a text"),
        pytest.param("SYSTEM Use ${NAME} there", Code.UNDECLARED_ARGUMENT, id="no ARG at all"),
        pytest.param("MESSAGE system x", Code.QUESTION_LAST, id="system message"),
        pytest.param("SYSTEM [/b] is a tag", Code.MARKERS_IN_SYSTEM, id="brackets"),
        pytest.param(f"SYSTEM {HASH}", Code.SECRET, id="a digest"),
        pytest.param(
            "SYSTEM sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", Code.SECRET, id="crossed out"
        ),
        pytest.param("SYSTEM sk-your-api-key-goes-here-please-now-ok", Code.SECRET, id="a gap"),
        pytest.param("SYSTEM see https://a.org:8080/b", Code.SECRET, id="port"),
        pytest.param("SYSTEM task-ant-aBcDeFgHiJkLmNoPqRsTuVwXyZ0", Code.SECRET, id="in a word"),
    ],
)
def test_is_not_told_of(line: str, code: Code) -> None:
    text = f"FROM llama3.2:3b\n{line}\n"
    assert code not in {finding.code for finding in lint("Modelfile", text.encode(), FakeWorld())}


@pytest.mark.parametrize(
    ("source", "code"),
    [
        pytest.param("llama3.2:3b", Code.MOVING_TAG, id="tag"),
        pytest.param("hf.co/ann/parrot-GGUF:Q4_K_M", Code.WEB_ADDRESS, id="hub"),
        pytest.param("https://registry.example.com/team/bot", Code.WEB_ADDRESS, id="registry"),
        pytest.param("registry.example.com:5000/team/bot:v2", Code.MOVING_TAG, id="port and tag"),
        pytest.param("./there.gguf", Code.MISSING_FILE, id="file"),
        pytest.param("there", Code.MOVING_TAG, id="folder of that name"),
        pytest.param("${BASE}", Code.PLACEHOLDER, id="argument"),
        pytest.param("pypi://parrot@1/a.gguf", Code.MISSING_FILE, id="package"),
    ],
)
def test_a_source_is_not_told_of(source: str, code: Code) -> None:
    world = FakeWorld({"there.gguf": "", "there": ""})
    findings = lint("Modelfile", f"FROM {source}\n".encode(), world)
    assert code not in {finding.code for finding in findings}


def test_a_usual_modelfile_has_no_finding() -> None:
    text = '''# A parrot.
FROM llama3.2:3b
PARAMETER temperature 0.7
PARAMETER num_ctx 8192
PARAMETER stop "<|im_end|>"
SYSTEM """
You are a parrot.

- Repeat what you hear.
- "Never" say more.
"""
MESSAGE user hi
MESSAGE assistant hi
LICENSE MIT
'''
    assert lint("Modelfile", text.encode(), FakeWorld()) == ()


def test_stages_are_looked_at_one_by_one() -> None:
    text = (
        "FROM llama3.2:3b AS cold\nPARAMETER temperature 0\nMESSAGE user hi\nMESSAGE assistant a\n"
        "FROM cold\nPARAMETER temperature 1\nPARAMETER top_p 0.5\nMESSAGE user hi\n"
        "MESSAGE assistant b\n"
    )
    assert lint("Modelfile", text.encode(), FakeWorld()) == ()


def test_a_base_with_stops_needs_none_here() -> None:
    text = "FROM parrot:1b\nTEMPLATE {{ .Prompt }}<|im_end|>\n"
    assert lint("Modelfile", text.encode(), FakeWorld(brings=Base(stops=True))) == ()
    notes = lint("Modelfile", text.encode(), FakeWorld(brings=Base()))
    assert [each.code for each in notes] == [Code.NO_STOP]


def test_the_projects_own_examples_have_no_warning() -> None:
    examples = Path(__file__).parents[3] / "examples"
    files = sorted(examples.rglob("Modelfile*"))
    assert files
    for file in files:
        findings = lint(str(file), file.read_bytes(), FakeWorld({"prompt.md": ""}))
        assert {finding.severity for finding in findings} <= {Severity.NOTE}
