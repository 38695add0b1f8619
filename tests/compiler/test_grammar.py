"""modelfile.lark, its automaton, and lark."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lark import Token as LarkToken
from lark import Tree

from mbuild.compiler import grammar
from mbuild.compiler import modelfile_tables as made
from mbuild.compiler.automaton import phrases
from mbuild.compiler.check import load
from mbuild.compiler.marks import marked

PIECES = [
    *("FROM ", "from\t", "SYSTEM ", "TEMPLATE\n", "PARAMETER ", "num_ctx ", "MESSAGE ", "user "),
    *(" ", "\t", "\n", "\r\n", "\r", "#", "x", "é", "-", "_1", "\0", "\u200b", "\ufeff"),
    *('"', '""', '"""', '"\n', '"""\n', 'x" y\n', "FORM "),
    *("<<", "<<END\n", "END\n", "\nEND", "--append ", " --file=", '--scale="', "ARG ", "unset "),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
LARK = grammar.lark()


def test_the_tables_are_what_lark_makes_of_the_grammar() -> None:
    committed = Path(made.__file__).read_text(encoding="utf-8")
    assert grammar.tables() == committed, "run: python -m mbuild.compiler.grammar"


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TEXTS)
def test_the_automaton_finds_the_phrases_that_lark_finds(text: str) -> None:
    text = marked(text)
    assert list(phrases(text)) == [_phrase(tree) for tree in _trees(LARK.parse(text))]


def _trees(start: Tree[LarkToken]) -> list[Tree[LarkToken]]:
    return [child for child in start.children if isinstance(child, Tree)]


def _phrase(tree: Tree[LarkToken]) -> tuple[str, tuple[tuple[str, int | None, int | None], ...]]:
    tokens = (child for child in tree.children if isinstance(child, LarkToken))
    return str(tree.data), tuple((each.type, each.start_pos, each.end_pos) for each in tokens)


@settings(max_examples=500, deadline=None)
@given(st.text())
def test_every_text_is_a_sentence(text: str) -> None:
    at = 0
    for _, tokens in phrases(marked(text)):
        for token in tokens:
            assert at <= token.start < token.end
            at = token.end
    assert at <= len(text)


@pytest.mark.parametrize("dialect", ["mbuild", "ollama"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("SYSTEM " + "a" * 3_000_000, id="one long line"),
        pytest.param('SYSTEM """' + "line\n" * 400_000 + '"""', id="one long value"),
        pytest.param("SYSTEM " + '"' * 1_000_000 + "x", id="a line of quotes"),
        pytest.param("SYSTEM " + '" ' * 500_000 + "x", id="a line of quotes and blanks"),
        pytest.param("SYSTEM " + '"\u200b' * 500_000 + "x", id="quotes with nothing between"),
        pytest.param("SYSTEM" + " " * 1_000_000 + "x" + " " * 1_000_000, id="blanks"),
        pytest.param("PARAMETER stop x\n" * 100_000, id="many instructions"),
        pytest.param('SYSTEM "a\n' * 20_000, id="no quote closes"),
        pytest.param('SYSTEM """a\n' * 20_000 + '"', id="no three quotes close"),
        pytest.param('SYSTEM "a" b\n' * 20_000 + '"', id="each swallows the next"),
        pytest.param('SYSTEM """a""" b\n' * 20_000 + '"""', id="each of three swallows the next"),
        pytest.param('x "a" b\n' * 20_000 + 'SYSTEM "a"', id="quotes behind unknown words"),
        pytest.param('x """a\n' * 20_000 + '"""', id="three quotes behind unknown words"),
        pytest.param("You are a kid.\n" * 50_000, id="no instructions"),
        pytest.param("SYSTEM <<END\n" * 50_000, id="lines that never end"),
        pytest.param("SYSTEM <<END\n" * 50_000 + "END", id="lines that end once"),
        pytest.param("".join(f"SYSTEM <<E{n}\n" for n in range(50_000)) + "E0\n", id="many words"),
        pytest.param("SYSTEM" + " --append" * 100_000 + " x", id="many flags"),
        pytest.param("SYSTEM --file=" + "a" * 1_000_000 + '"', id="a long flag"),
        pytest.param("FROM x" + " as" * 500_000, id="many names of a stage"),
        pytest.param("FROM x" + " " * 1_000_000 + "as", id="far from its name"),
        pytest.param("SYSTEM " + "${" * 500_000, id="many uses of arguments"),
        pytest.param("ARG A=x\nSYSTEM " + "$" * 1_000_000, id="many dollars"),
        pytest.param("REQUIRES 1.2.3-" + "a" * 1_000_000 + "!", id="a long version"),
        pytest.param("PARAMETER top_p " + "1_" * 500_000 + "x", id="a long number"),
    ],
)
def test_the_time_grows_with_the_text_and_no_faster(text: str, dialect: str) -> None:
    start = time.perf_counter()
    load("Modelfile", f"FROM x\n{text}\n".encode(), dialect=dialect)
    # Each takes a second at most; what grows with the square takes minutes.
    assert time.perf_counter() - start < 20
