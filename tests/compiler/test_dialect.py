"""The reference's reading of a Modelfile, its quirks included."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.compiler.check import load
from mbuild.compiler.diagnostic import Severity, Source
from mbuild.compiler.dialect import (
    NO_FROM,
    UNKNOWN_INSTRUCTION,
    UNKNOWN_ROLE,
    commands,
    scan,
    written,
)


def read(text: str) -> list[tuple[str, str]]:
    return [(each.name, each.argument) for each in commands(scan(Source("Modelfile", text)))]


def error(text: str) -> str | None:
    recipe, findings = load("Modelfile", text.encode(), dialect="ollama")
    errors = [each.message for each in findings if each.severity is Severity.ERROR]
    assert len(errors) <= 1, "the reference stops at the first mistake"
    assert (recipe is None) == bool(errors)
    return errors[0] if errors else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("FROM foo\n", [("model", "foo")], id="smallest"),
        pytest.param("sYsTeM hi", [("system", "hi")], id="any case"),
        pytest.param("FROM   foo  bar  \n", [("model", "foo  bar")], id="blanks within stay"),
        pytest.param("FROM foo # x\n", [("model", "foo # x")], id="no comment behind a value"),
        pytest.param("SYSTEM \nPARAMETER seed 1", [("system", ""), ("seed", "1")], id="empty"),
        pytest.param("PARAMETER  seed 1\n", [("", "seed 1")], id="two blanks make an empty name"),
        pytest.param("PARAMETER system hi\n", [("system", "hi")], id="one name for both"),
        pytest.param("MESSAGE user a: b\n", [("message", "user: a: b")], id="message"),
        pytest.param('SYSTEM "a\nb"\n', [("system", "a\nb")], id="one quote over lines"),
        pytest.param('SYSTEM "a\r\nb"\r\n', [("system", "a\r\nb")], id="CRLF stays"),
        pytest.param('SYSTEM """a""""\n', [("system", 'a"')], id="four quotes at the end"),
        pytest.param('SYSTEM "a" "b"\n', [("system", 'a" "b')], id="quotes within"),
        pytest.param("SYSTEM 'a'\n", [("system", "'a'")], id="an apostrophe is no quote"),
        pytest.param(
            'SYSTEM "a" b\nPARAMETER stop "x"\n',
            [("system", 'a" b\nPARAMETER stop "x')],
            id="text behind a quote swallows",
        ),
        pytest.param("SYSTEM a\u00a0b\u200dc\td", [("system", "abc\td")], id="dropped"),
        pytest.param('SYSTEM \u200b"a"\u200b\n', [("system", "a")], id="dropped around quotes"),
        pytest.param('SYSTEM "\u200b""a"""\n', [("system", "a")], id="dropped between quotes"),
        pytest.param("\ufeffFROM x", [("model", "x")], id="dropped before a word"),
    ],
)
def test_values(text: str, expected: list[tuple[str, str]]) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", NO_FROM, id="empty"),
        pytest.param("# only", NO_FROM, id="comment"),
        pytest.param("FROM\nfoo\n", f"(line 2): {UNKNOWN_INSTRUCTION}", id="counts the line end"),
        pytest.param("1FROM foo\n", f"(line 1): {UNKNOWN_INSTRUCTION}", id="digit"),
        pytest.param("FROM a\nBAD\n", f"(line 3): {UNKNOWN_INSTRUCTION}", id="one line too far"),
        pytest.param("FROM a\r\nSYSTEM a\r\nBAD x", f"(line 5): {UNKNOWN_INSTRUCTION}", id="CRLF"),
        pytest.param("FROM foo\nSYSTEM", "unexpected EOF", id="word at the end"),
        pytest.param("FROM foo\nPARAMETER num_ctx\n", "unexpected EOF: num_ctx", id="no value"),
        pytest.param("FROM foo\nPARAMETER num-ctx 1", "unexpected EOF: num", id="dash"),
        pytest.param("FROM foo\nMESSAGE user: hi", "unexpected EOF: user", id="colon"),
        pytest.param("FROM foo\nMESSAGE User hi", f"(line 2): {UNKNOWN_ROLE}", id="capital"),
        pytest.param('FROM foo\nSYSTEM """a""" # c\nSYSTEM z', "unexpected EOF", id="unclosed"),
        pytest.param(
            "FROM foo\nREQUIRES 01", "requires must be a valid semver (e.g. 0.14.0)", id="semver"
        ),
        pytest.param("FROM a\nPARAMETER x 1", "unknown parameter 'x'", id="unknown parameter"),
        pytest.param(
            "FROM a\nPARAMETER seed x\nPARAMETER y 1", "invalid int value [x]", id="first"
        ),
        # The names are written in order, so top_p comes after min_p.
        pytest.param(
            "FROM a\nPARAMETER top_p nan\nPARAMETER min_p -inf",
            "json: unsupported value: -Inf",
            id="not finite",
        ),
        pytest.param("FROM a\nPARAMETER top_p nan\nPARAMETER top_p 1", None, id="replaced in time"),
    ],
)
def test_errors(text: str, expected: str | None) -> None:
    assert error(text) == expected


def test_a_deprecated_parameter_is_only_warned_of() -> None:
    recipe, findings = load("Modelfile", b"FROM a\nPARAMETER mirostat x", dialect="ollama")
    assert recipe is not None
    assert recipe.parameters is None
    assert [each.message for each in findings] == ["parameter mirostat is deprecated"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("from a b", "FROM a b\n", id="FROM is never quoted"),
        pytest.param('SYSTEM " a"', 'SYSTEM " a"\n', id="leading blank"),
        pytest.param('SYSTEM "a\nb"', 'SYSTEM "a\nb"\n', id="two lines"),
        pytest.param('SYSTEM """a\n"b" """', 'SYSTEM """a\n"b" """\n', id="with quotes"),
        pytest.param(
            'PARAMETER from """"x""""', 'PARAMETER from "x"\n', id="raw, though it reads otherwise"
        ),
        pytest.param("PARAMETER message a", "MESSAGE a \n", id="message without role"),
    ],
)
def test_written_back(text: str, expected: str) -> None:
    assert written(commands(scan(Source("Modelfile", text)))) == expected


PIECES = st.sampled_from([*'FROMfrom system\t\n\r"#x\0é', "PARAMETER ", "MESSAGE ", '"""'])


@given(st.lists(PIECES).map("".join))
def test_every_text_is_read_to_its_end_or_to_one_mistake(text: str) -> None:
    statements = scan(Source("Modelfile", text)).statements
    assert all(one.span.end <= two.span.start for one, two in pairwise(statements))
