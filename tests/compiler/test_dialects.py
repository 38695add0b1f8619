"""The two dialects agree wherever docs/modelfile.md lists no departure."""

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mbuild.compiler.characters import dropped, is_kept, kept
from mbuild.compiler.check import check
from mbuild.compiler.diagnostic import Code, Source, Span
from mbuild.compiler.dialect import scan
from mbuild.compiler.parser import parse
from mbuild.compiler.recipe import Located, Recipe
from mbuild.compiler.source import decode
from mbuild.compiler.syntax import (
    WORDS,
    Added,
    Comment,
    From,
    Instruction,
    Junk,
    Message,
    Parameter,
    Statement,
    Value,
    stage,
)

DATA = Path(__file__).parent.parent / "data" / "modelfile.jsonl"
VECTORS = [json.loads(line) for line in DATA.read_text(encoding="utf-8").split("\n") if line]

DROPPED = [
    "\0",
    "\x01",
    "\x02",
    "\x03",
    "\x0b",
    "\x0c",
    "\x85",
    "\u00a0",
    "\u200b",
    "\u2028",
    "\ufeff",
]
PIECES = [
    *("FROM ", "from ", "FROM", "SYSTEM ", "sYsTeM\t", "SYSTEM", "TEMPLATE ", "LICENSE "),
    *("PARAMETER ", "PARAMETER  ", "parameter ", "MESSAGE ", "REQUIRES ", "ADAPTER ", "DRAFT "),
    *("num_ctx ", "stop ", "temperature ", "system ", "user ", "message ", "user: ", "bad-name "),
    *("1", "0.5", "x", "1.2.3", "é", "🙂", "\ufffd", "ſystem ", "FRO\u212a ", "_", "-", "'", "\\"),
    *(" ", " ", "\t", "\n", "\n", "\n", "\r\n", "\r", "\n\n", "#", "# ", "//"),
    *('"', '"', '"', '""', '"""', '"""', '""""', '"""""', '""""""', '"\n', '"""\n', '" ', '\n"'),
    *DROPPED,
]
NASTY = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)

TEXTS = st.text(st.sampled_from([*"ab \"'#", *'""', "é", "\t", "🙂"]), max_size=12)
LINES = st.lists(TEXTS, min_size=1, max_size=4)
ENDS = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n"])
BLANKS = st.sampled_from([" ", " ", " ", "\t", "  ", " \u200b"])


@st.composite
def values(draw: st.DrawFn) -> str:
    """A value, bare or quoted, on one line or several, sometimes with text behind a quote."""
    quote = draw(st.sampled_from(["", "", '"', '"""']))
    inside = draw(TEXTS) if not quote else draw(ENDS).join(draw(LINES))
    behind = draw(st.sampled_from(["", "", "", " ", " # c", " x"]))
    return quote + inside + quote + behind


@st.composite
def instructions(draw: st.DrawFn) -> str:
    """One instruction, most often a correct one."""
    word = draw(st.sampled_from(WORDS))
    head = draw(st.sampled_from([word, word.upper(), word.upper(), word.title()]))
    argument = ""
    if word == "parameter":
        argument = draw(
            st.sampled_from([" num_ctx", " temperature", " stop", " use_mmap", " system"])
        )
        number = st.sampled_from(["1", "0.7", "true", "x", "-0", "1e3", '"4"', "nan"])
        value = draw(st.one_of(number, values()))
    elif word == "message":
        argument = draw(st.sampled_from([" user", " system", " assistant", " User", "  user"]))
        value = draw(values())
    elif word == "requires":
        value = draw(st.sampled_from(["1.2.3", "v1", "1.2.3-rc.1+b", "01", "", "1.2-a"]))
    else:
        value = draw(values())
    return head + argument + draw(BLANKS) + value


@st.composite
def files(draw: st.DrawFn) -> str:
    """A file of instructions, comments and now and then some junk."""
    line = st.one_of(instructions(), instructions(), instructions(), st.just("# c"), TEXTS)
    end = draw(ENDS)
    return "FROM a" + end + "".join(each + end for each in draw(st.lists(line, max_size=8)))


@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(NASTY, NASTY.map("FROM x\n{}".format), files()))
@example('FROM x\nSYSTEM "a" b\nPARAMETER stop "x"\n')
@example('FROM x\nSYSTEM "\u200b""a""\u200b"\n')
@example('FROM x\nSYSTEM """""\n"""\n')
@example('FROM x\nSYSTEM "a\nFROM y\nb"')
@example('FROM x\nSYSTEM "\0""a\n"\n')
@example('FROM x\nSYSTEM "a" b\n \u200bFROM y\n"\n')
@example('FROM x\nSYSTEM "a" b\n\u017fystem y\n"\n')
def test_the_dialects_agree_but_for_the_departures(text: str) -> None:
    hold_equal(text)


@pytest.mark.parametrize("group", sorted({row["group"] for row in VECTORS}))
def test_the_dialects_agree_on_the_vectors(group: str) -> None:
    for row in VECTORS:
        if row["group"] == group:
            data = base64.b64decode(row.get("input_b64", "")) or row["input"].encode()
            hold_equal(decode("Modelfile", data).text)


def hold_equal(text: str) -> None:
    """Both dialects read *text* alike, up to the first departure."""
    source = Source("Modelfile", text)
    ours, theirs = parse(source), scan(source)
    assert_whole(source, ours.statements)
    for mine, other in zip(ours.statements, theirs.statements, strict=False):
        if is_an_addition(mine) or departs_for_blanks(mine, other):
            return
        if departs_for_swallowing(mine, other):
            return
        assert isinstance(mine, Junk) == isinstance(other, Junk), (mine, other)
        if isinstance(other, Junk):
            return
        assert as_the_reference_reads(mine) == as_the_reference_reads(other)
    assert len(ours.statements) == len(theirs.statements)
    recipe, _ = check(ours)
    reference, _ = check(theirs, dialect="ollama")
    assert (recipe is None) == (reference is None)
    if recipe and reference and not dropped(text):
        assert without_spans(recipe) == without_spans(reference)


def assert_whole(source: Source, statements: tuple[Statement, ...]) -> None:
    """The statements are in order, and what is between them means nothing."""
    at = 0
    for statement in statements:
        assert kept(source.text[at : statement.span.start]).strip(" \t\r\n") == ""
        assert at <= statement.span.start < statement.span.end
        at = statement.span.end
    assert kept(source.text[at:]).strip(" \t\r\n") == ""


def as_the_reference_reads(node: Statement) -> tuple[object, ...]:
    if isinstance(node, Comment | Junk):
        return type(node), node.span
    argument: tuple[object, ...] = ()
    if isinstance(node, Parameter):
        argument = node.name.text, node.name.span
    if isinstance(node, Message):
        argument = node.role.text, node.role.span
    return (
        type(node),
        kept(node.word.text).upper(),
        *argument,
        node.value.cleaned,
        node.value.quotes,
    )


def is_an_addition(mine: Statement) -> bool:
    """The reference does not have this, so it reads something else, or nothing."""
    if isinstance(mine, Comment | Junk):
        return False
    value = mine.value
    staged = isinstance(mine, From) and stage(value) is not None
    return isinstance(mine, Added) or value.quotes == "<<" or bool(value.flags) or staged


def departs_for_swallowing(mine: Statement, other: Statement) -> bool:
    """The value has text behind a quote on its first line, and then takes in an instruction."""
    departs = isinstance(mine, Junk) and mine.finding.code is Code.TEXT_BEHIND_QUOTE
    if isinstance(other, Instruction):
        assert departs == swallows(other.value)
    elif departs:
        assert isinstance(other, Junk)
        assert other.finding.code is Code.UNCLOSED_QUOTE
    return departs


def swallows(value: Value) -> bool:
    first, *rest = re.split("\r\n|\r|\n", kept(value.span.text))
    if not value.quotes or not rest or first.find(value.quotes, len(value.quotes)) < 0:
        return False
    # One character before the letters is dropped, so a blank may follow it and a word may not.
    lines = re.split("\r\n|\r|\n", value.span.text)[1:]
    begins = re.compile(rf"[ \t]*({'|'.join(WORDS)})[ \t]", re.IGNORECASE | re.ASCII)
    return any(begins.match(without_one_dropped(line)) for line in lines)


def without_one_dropped(line: str) -> str:
    bare = line.lstrip(" \t")
    return bare[1:] if bare and not is_kept(bare[0]) else bare


def departs_for_blanks(mine: Statement, other: Statement) -> bool:
    """PARAMETER and its name are more than one blank apart, and the reference sees no name."""
    if not isinstance(other, Parameter) or other.name.text:
        return False
    assert mine.span.start <= other.span.start
    assert isinstance(mine, Parameter | Junk)
    return True


NOWHERE = Span(Source("", ""), 0, 0)


def without_spans(recipe: Recipe) -> Recipe:
    def bare(located: Located | None) -> Located | None:
        return located and Located(located.text, NOWHERE)

    def all_bare(these: tuple[Located, ...]) -> tuple[Located, ...]:
        return tuple(Located(each.text, NOWHERE) for each in these)

    return replace(
        recipe,
        sources=all_bare(recipe.sources),
        adapters=all_bare(recipe.adapters),
        drafts=all_bare(recipe.drafts),
        template=bare(recipe.template),
        system=bare(recipe.system),
    )
