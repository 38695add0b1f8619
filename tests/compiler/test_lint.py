"""Linting a file as a whole: all findings at once, remarks, and mending."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent / "rules"))

from worlds import FakeWorld

from mbuild.compiler.check import Given, load
from mbuild.compiler.diagnostic import Code, Diagnostic, render
from mbuild.compiler.dialect import Dialect
from mbuild.compiler.lint import encoded, lint, mend
from mbuild.compiler.recipe import Recipe
from mbuild.compiler.rules import RULES, Mending
from mbuild.compiler.rules.secrets import hidden

WORLD = FakeWorld({"kid.md": "You are a kid.\n", "part.mf": "PARAMETER top_q 1\n"})
KEY = "hf_" + "qWcRtZyPlKmNbVxSdFgHjQwErTuIoPaLzK"


def codes(text: str, *, dialect: Dialect = "mbuild") -> list[Code]:
    return [each.code for each in lint("Modelfile", text.encode(), WORLD, dialect=dialect)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("FROM a:1\n", [], id="nothing"),
        pytest.param("", [Code.NO_FROM], id="empty"),
        # One run tells them all: a template's mistakes are not held back by a parameter's.
        pytest.param(
            "FROM a:1\nPARAMETER top_q 1\nTEMPLATE {{ if }}\nPARAMETER stop a\nPARAMETER stop a\n",
            [
                Code.UNKNOWN_PARAMETER,
                Code.TEMPLATE_ERROR,
                Code.SHORT_STOP,
                Code.IDLE_STOP,
                Code.SHORT_STOP,
            ],
            id="all",
        ),
        pytest.param("from a:1\nINCLUDE part.mf\n", None, id="in an included file"),
        pytest.param(
            "FROM a:1\nPARAMETER model b:1\n",
            [Code.DISGUISED_INSTRUCTION],
            id="disguised",
        ),
        pytest.param("FROM a:1\nSYSTEM --file=kid.md\n", [], id="text of a file"),
        pytest.param("ARG X\nFROM a:${X}\n", [], id="argument without value"),
        pytest.param(
            "FROM a:1\nMESSAGE User hi\nMESSAGE assistant b\n",
            [Code.UNKNOWN_ROLE],
            id="no order of turns that could not be read",
        ),
    ],
)
def test_findings(text: str, expected: list[Code] | None) -> None:
    if expected is None:
        expected = [Code.WORD_CASE, Code.UNKNOWN_PARAMETER]
    assert codes(text) == expected


def test_the_references_dialect_has_its_one_error_and_our_notes() -> None:
    text = "from a:1\nPARAMETER top_q 1\nPARAMETER top_z 1\n"
    assert codes(text, dialect="ollama") == [Code.WORD_CASE, Code.UNKNOWN_PARAMETER]


def test_an_argument_is_no_name_in_the_references_dialect() -> None:
    assert Code.UNKNOWN_INSTRUCTION in codes("ARG X=1\nFROM a:1\n", dialect="ollama")


def test_flags_are_texts_in_the_references_dialect() -> None:
    assert codes("FROM a:1\nSYSTEM --fil=x\n", dialect="ollama") == []
    assert codes("FROM a:1\nSYSTEM --fil=x\n") == [Code.FLAG_AS_TEXT]


# Remarks.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("# mbuild: ignore=MB123\nFROM a\n", [], id="by number"),
        pytest.param("# mbuild: ignore=moving-tag\nFROM a\n", [], id="by name"),
        pytest.param("#mbuild:ignore = mb123\nFROM a\n", [], id="written otherwise"),
        pytest.param("# mbuild: ignore=MB123,MB110\nfrom a\n", [], id="two"),
        pytest.param("# mbuild: ignore=MB123 as it is a test\nFROM a\n", [], id="with a reason"),
        pytest.param("# mbuild: ignore=MB123\n# why\n\nFROM a\n", [], id="comments between"),
        pytest.param(
            "# mbuild: ignore=MB123\nFROM a\nFROM b\n",
            [Code.UNUSED_SOURCE, Code.MOVING_TAG],
            id="for one instruction",
        ),
        pytest.param("# mbuild: ignore=MB012\nFROM a:1\n", [Code.IDLE_IGNORE], id="idle"),
        pytest.param("FROM a:1\n# mbuild: ignore=MB012\n", [Code.IDLE_IGNORE], id="about nothing"),
        pytest.param("# mbuild: ignore=MB0\nFROM a:1\n", [Code.UNKNOWN_IGNORE], id="unknown"),
        pytest.param("# mbuild: ignore=\nFROM a:1\n", [Code.UNKNOWN_IGNORE], id="none"),
        pytest.param("# mbuild: hello\nFROM a:1\n", [Code.UNKNOWN_IGNORE], id="another remark"),
        pytest.param("# mbuild is nice\nFROM a:1\n", [], id="no remark"),
        pytest.param(
            'FROM a:1\n# mbuild: ignore=MB106\nSYSTEM """\na\u200bb\n"""\n', [], id="several lines"
        ),
        pytest.param("# mbuild: ignore=MB004\nFORM a\n", [], id="an error, which is asked for"),
        pytest.param("# mbuild: ignore=MB101\nFROM a:1  \n", [], id="behind the value"),
    ],
)
def test_remarks(text: str, expected: list[Code]) -> None:
    assert codes(text) == expected


# Mending.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("FROM a:1 \n", "FROM a:1\n", id="blanks"),
        pytest.param("FROM a:1 # b\n", "# b\nFROM a:1\n", id="comment"),
        pytest.param("FROM a:1 # b\r\n", "# b\r\nFROM a:1\r\n", id="comment and CRLF"),
        pytest.param("  FROM a:1 # b\n", "  # b\n  FROM a:1\n", id="indented comment"),
        pytest.param(
            "FROM a:1\nPARAMETER seed 1 # b\n",
            "FROM a:1\n# b\nPARAMETER seed 1\n",
            id="comment behind a number",
        ),
        pytest.param(
            'FROM a:1\nSYSTEM "b" # c\nPARAMETER seed 1\n',
            'FROM a:1\n# c\nSYSTEM "b"\nPARAMETER seed 1\n',
            id="comment behind a quote",
        ),
        pytest.param("from\ta:1 # b", "# b\nFROM a:1\n", id="several at once"),
        pytest.param(
            "FROM a:1\nPARAMETER temperature = 1\n",
            "FROM a:1\nPARAMETER temperature 1\n",
            id="equals sign",
        ),
        pytest.param(
            "FROM a:1\nPARAMETER num_ctx=4096\n",
            "FROM a:1\nPARAMETER num_ctx 4096\n",
            id="equals sign without blanks",
        ),
        pytest.param("FROM: a:1\n", "FROM a:1\n", id="colon"),
        pytest.param("// b\nFROM a:1\n", "# b\nFROM a:1\n", id="other comment"),
        pytest.param(
            "FROM a:1\nseed 1\n", "FROM a:1\nPARAMETER seed 1\n", id="without its PARAMETER"
        ),
        pytest.param("FROM a:1\r\n\nFROM b:1\r\n", "FROM a:1\r\n\r\nFROM b:1\r\n", id="line ends"),
        pytest.param(
            'FROM a:1\r\nSYSTEM "b\nc"\r\n', 'FROM a:1\r\nSYSTEM "b\nc"\r\n', id="not in a value"
        ),
        pytest.param("FROM a:1\nSYSTEM \n", "FROM a:1\nSYSTEM \n", id="a blank that is needed"),
        pytest.param(
            "FROM a:1\nPARAMETER stop b \n",
            "FROM a:1\nPARAMETER stop b \n",
            id="a blank that may be meant",
        ),
        pytest.param(
            "FROM a:1\nPARAMETER mirostat 1\nPARAMETER low_vram true\n",
            "FROM a:1\n",
            id="deprecated",
        ),
        pytest.param(
            "FROM a:1\nSYSTEM 'say \"b\" now'\n",
            'FROM a:1\nSYSTEM """say "b" now"""\n',
            id="quotes in quotes",
        ),
        pytest.param(
            "FROM a:1\nSYSTEM a\nSYSTEM b\n", "FROM a:1\nSYSTEM a\nSYSTEM b\n", id="a text is kept"
        ),
        pytest.param(
            "FROM a:1\nPARAMETER top_q 1\n", "FROM a:1\nPARAMETER top_q 1\n", id="only guessed"
        ),
        pytest.param("ARG A=1 \nFROM a:${A}\n", "ARG A=1\nFROM a:${A}\n", id="with ARG"),
        pytest.param(
            "# mbuild: ignore=MB101\nFROM a:1 \n", "# mbuild: ignore=MB101\nFROM a:1 \n", id="asked"
        ),
    ],
)
def test_mended(text: str, expected: str) -> None:
    assert mend("Modelfile", text.encode(), WORLD).data.decode() == expected


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        pytest.param(b"\xff\xfe", "utf-16-le", id="little"),
        pytest.param(b"\xfe\xff", "utf-16-be", id="big"),
        pytest.param(b"\xef\xbb\xbf", "utf-8", id="UTF-8 with a mark"),
        pytest.param(b"", "utf-8", id="UTF-8"),
    ],
)
def test_the_encoding_stays(mark: bytes, encoding: str) -> None:
    before = mark + "FROM a:1 \nSYSTEM 🦜é\n".encode(encoding)
    assert mend("Modelfile", before, WORLD).data == mark + "FROM a:1\nSYSTEM 🦜é\n".encode(encoding)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"FROM a:1 \nSYSTEM caf\xe9\n", id="no UTF-8"),
        pytest.param(b"\xff\xfeF\x00R\x00 ", id="half a character"),
        pytest.param("FROM a:1 \n".encode("utf-16-le"), id="no mark"),
    ],
)
def test_what_is_not_wholly_text_is_left_alone(data: bytes) -> None:
    assert mend("Modelfile", data, WORLD).data == data


WORDS = [
    *("FROM a:1", "from b:2", "FROM\ta:1", "PARAMETER temperature 0.5", "PARAMETER num_ctx 4k"),
    *("PARAMETER mirostat 1", "PARAMETER top_k 20", 'PARAMETER seed "7"', "PARAMETER Seed 7"),
    *("PARAMETER stop 'a'", 'PARAMETER stop ["a", "b"]', "PARAMETER stop ab", "PARAMETER stop ab "),
    *("PARAMETER system hi", "SYSTEM a # b", "SYSTEM 'a'", "SYSTEM “a”", 'SYSTEM "a" # b'),
    *('SYSTEM """a\n  b\r\n"""', "TEMPLATE {{ .Prompt }}", "MESSAGE user hi", "MESSAGE User: hi"),
    *("MESSAGE  user hi", "LICENSE MIT", "REQUIRES 1.2 # c", "ADAPTER ./x # y", "seed 1"),
    *("# c", "#", "// d", "junk", "", "  ", "SYSTEM ", "INCLUDE part.mf", "ARG A=1", "PARAMETER"),
    *("SYSTEM --file=kid.md", "FROM a:1 AS b", "SYSTEM <<END\nx \nEND", "UNSET SYSTEM", "sYsTeM x"),
]
ENDS = st.sampled_from(["\n", "\n", "\r\n", "\r", " \n", "\t\r\n", "\n\n"])
FILES = st.lists(st.tuples(st.sampled_from(WORDS), ENDS).map("".join), max_size=10).map("".join)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FILES)
def test_what_is_mended_stays_mended(text: str) -> None:
    once = mend("Modelfile", text.encode(), WORLD)
    assert mend("Modelfile", once.data, WORLD) == replace(once, findings=())


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(FILES)
def test_mending_changes_no_value_unless_the_rule_is_about_it(text: str) -> None:
    mended = mend("Modelfile", text.encode(), WORLD)
    if any(RULES[each.code].mending is Mending.OTHER_VALUE for each in mended.findings):
        return
    before, after = (
        load("Modelfile", data, given=Given(WORLD))[0] for data in (text.encode(), mended.data)
    )
    # Of a file with mistakes elsewhere, some may be gone with a line that did nothing.
    if before is not None:
        assert after is not None
        assert said(before) == said(after)


def said(recipe: Recipe) -> object:
    """What a build would take from a file, wherever in it that stands."""

    def texts(*located: object) -> list[object]:
        return [getattr(each, "text", None) for each in located]

    return (
        said(recipe.base) if recipe.base else None,
        texts(*recipe.sources, None, *recipe.adapters, None, *recipe.drafts, None),
        texts(recipe.template, recipe.system, recipe.schema, recipe.quantize, *recipe.appended),
        (recipe.licenses, recipe.messages, recipe.renderer, recipe.parser, recipe.requires),
        {
            name: tuple(dict.fromkeys(value)) if isinstance(value, tuple) else value
            for name, value in (recipe.parameters or {}).items()
        },
        recipe.unset,
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(FILES, st.text(max_size=80)))
def test_every_finding_lies_in_its_source_and_can_be_shown(text: str) -> None:
    for finding in lint("Modelfile", text.encode("utf-8", "surrogatepass"), WORLD):
        assert 0 <= finding.span.start <= finding.span.end <= len(finding.span.source.text)
        assert render(finding)
        for edit in finding.fix:
            assert edit.span.end <= len(edit.span.source.text)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_can_be_looked_at_and_mended(data: bytes) -> None:
    lint("Modelfile", data, WORLD)
    lint("Modelfile", data, WORLD, dialect="ollama")
    mend("Modelfile", data, WORLD)


@given(st.text(st.characters(codec="utf-8")))
def test_encoding_is_the_inverse_of_reading(text: str) -> None:
    assert encoded(text, b"") == text.encode()


# Secrets.


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param(KEY, id="Hugging Face"),
        pytest.param("sk-ant-api03-" + "aB3dE5fG7hJ9kL1mN3pQ5rS7", id="Anthropic"),
        pytest.param("sk-proj-" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY", id="OpenAI"),
        pytest.param("ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5", id="GitHub"),
        pytest.param("AKIA" + "Q3EGRWZ7KPLM2NVT", id="AWS"),
        pytest.param("postgres://ann:q8Zr-kitten7@db.local/x", id="password in an address"),
    ],
)
def test_a_secret_is_told_of_and_never_shown(secret: str) -> None:
    # A second finding about the line, and one whose message repeats it.
    text = f"FROM a:1\nSYSTEM {secret} # no\n{secret} x\nARG A\nREQUIRES {secret}\n"
    findings = hidden(lint("Modelfile", text.encode(), WORLD))
    assert Code.SECRET in {finding.code for finding in findings}
    core = secret.partition("ann:")[2].partition("@")[0] or secret
    shown = "\n".join(render(finding, width=200) + repr(finding) for finding in findings)
    assert core not in shown


def test_a_secret_is_shown_by_its_first_characters() -> None:
    findings = hidden(lint("Modelfile", f"FROM a:1\nSYSTEM {KEY}\n".encode(), WORLD))
    (secret,) = [each for each in findings if each.code is Code.SECRET]
    assert render(secret).splitlines()[2] == "2 | SYSTEM hf_q" + "•" * (len(KEY) - 4)


def test_what_is_no_secret_is_shown_as_it_is() -> None:
    findings: tuple[Diagnostic, ...] = lint("Modelfile", b"from a:1\n", WORLD)
    assert hidden(findings) == findings
