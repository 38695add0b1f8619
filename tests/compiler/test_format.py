"""Formatting changes how a Modelfile is laid out, and nothing of what it says."""

import base64
import codecs
import json
import re
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from modelfile_texts import files, nasty, plain_files

from mbuild.compiler.check import load
from mbuild.compiler.diagnostic import Code, Source
from mbuild.compiler.dialect import commands, scan
from mbuild.compiler.format import formatted, reformat
from mbuild.compiler.parser import parse
from mbuild.compiler.source import decode
from mbuild.compiler.syntax import Comment, Junk, Message, Parameter, Statement

DATA = Path(__file__).parent.parent / "data" / "modelfile.jsonl"
VECTORS = [json.loads(line) for line in DATA.read_text(encoding="utf-8").split("\n") if line]

many = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


def says(node: Statement) -> tuple[object, ...]:
    """All that a statement says, without where it says it."""
    match node:
        case Comment():
            return "#", node.span.text.rstrip(" \t")
        case Junk():
            return "junk", node.span.text
    value = node.value
    flags = [(flag.name, flag.span.text, flag.value and flag.value.text) for flag in value.flags]
    name = node.name.text if isinstance(node, Parameter) else ""
    role = node.role.text if isinstance(node, Message) else ""
    texts = value.text, value.quotes, value.span.text
    return type(node), node.word.text.upper(), name, role, flags, texts


def everything(text: str) -> list[tuple[object, ...]]:
    return [says(node) for node in parse(Source("Modelfile", text)).statements]


def format_text(text: str) -> str | None:
    """*text* formatted, unless it has mistakes."""
    # One at the beginning of a file would be a byte-order mark, which is no text.
    assume(not text.startswith("\ufeff"))
    data, findings = reformat("Modelfile", text.encode())
    assert (data is None) == bool(findings)
    return None if data is None else data.decode()


@many
@given(st.one_of(files, files, nasty, nasty.map("FROM x\n{}".format)))
@example("SYSTEM <<END\r\na\r\rEND\r\nFROM x")
@example("SYSTEM \u200b \nFROM x")
@example('SYSTEM "a"\u200b\nFROM x\n')
@example("SYSTEM --append\nMESSAGE --file=a user\t\nFROM x")
def test_the_tree_stays(text: str) -> None:
    after = format_text(text)
    if after is not None:
        assert everything(after) == everything(text)


@many
@given(st.one_of(files, nasty))
@example('SYSTEM "a\r\nb"')
@example("FROM a\rSYSTEM b\r\n\r\n")
def test_formatting_twice_is_formatting_once(text: str) -> None:
    after = format_text(text)
    if after is not None:
        assert format_text(after) == after


@pytest.mark.parametrize("group", sorted({row["group"] for row in VECTORS}))
def test_the_vectors_stay(group: str) -> None:
    for row in VECTORS:
        data = base64.b64decode(row.get("input_b64", "")) or row["input"].encode()
        after, _ = reformat("Modelfile", data)
        if row["group"] == group and after is not None:
            before = decode("Modelfile", data).text
            assert everything(decode("Modelfile", after).text) == everything(before)
            assert reformat("Modelfile", after) == (after, ())


@many
@given(plain_files)
def test_the_reference_reads_the_same(text: str) -> None:
    after = format_text(text)
    before = scan(Source("Modelfile", text))
    nameless = any(isinstance(each, Parameter) and not each.name.text for each in before.statements)
    # More than one blank before a parameter's name is a departure: the reference sees no name.
    if after is None or before.findings or nameless:
        return
    assert commands(scan(Source("Modelfile", after))) == commands(before)


@many
@given(plain_files)
def test_the_recipe_stays(text: str) -> None:
    after = format_text(text)
    if after is not None:
        first, _ = load("Modelfile", text.encode())
        second, _ = load("Modelfile", after.encode())
        assert bare(first) == bare(second)


def bare(recipe: object) -> str:
    """*recipe* without its places."""
    return re.sub(r"span=Span\(.*?start=\d+, end=\d+\)", "", repr(recipe), flags=re.DOTALL)


@many
@given(st.one_of(files, nasty))
def test_lines_are_laid_out_in_one_way(text: str) -> None:
    after = format_text(text)
    if after is None:
        return
    tree = parse(Source("Modelfile", after))
    gaps, at = [], 0
    for node in tree.statements:
        gaps.append(after[at : node.span.start])
        at = node.span.end
    end = after[at:]
    assert end in (["\n", "\r\n", "\r"] if tree.statements else [""])
    assert gaps[:1] in ([], [""])
    assert set(gaps[1:]) <= {end, end * 2}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param(" \n\t\n", "", id="blanks"),
        pytest.param("from a", "FROM a\n", id="a word"),
        pytest.param("  \tFROM\t a b  \t", "FROM a b\n", id="blanks around"),
        pytest.param("\n\nFROM a\n\n\n", "FROM a\n", id="empty lines at both ends"),
        pytest.param(
            "FROM a\n\n\n \n# b\n# c\n\nSYSTEM d",
            "FROM a\n\n# b\n# c\n\nSYSTEM d\n",
            id="empty lines between",
        ),
        pytest.param("#a  \n  # b\t", "#a\n# b\n", id="comments"),
        pytest.param("Parameter   stop  \t x", "PARAMETER stop x\n", id="a parameter"),
        # The blank behind the word is what makes it an instruction with an empty value.
        pytest.param("FROM \nPARAMETER stop \t", "FROM \nPARAMETER stop \n", id="no value"),
        pytest.param('SYSTEM  "  a  "  ', 'SYSTEM "  a  "\n', id="quotes"),
        pytest.param('SYSTEM "a\n\n\n b"', 'SYSTEM "a\n\n\n b"\n', id="lines in quotes"),
        pytest.param("SYSTEM  a  \t b", "SYSTEM a  \t b\n", id="blanks within"),
        pytest.param("SYSTEM <<END\n\n\n a \nEND", "SYSTEM <<END\n\n\n a \nEND\n", id="heredoc"),
        pytest.param(
            "adapter   --scale=0.7\t ./a  b\nmessage  --file=x   user ",
            "ADAPTER --scale=0.7 ./a  b\nMESSAGE --file=x user\n",
            id="flags",
        ),
        pytest.param("from a  as  b", "FROM a  as  b\n", id="a stage, which is in the value"),
        pytest.param("\u200bFROM a\u200b", "FROM a\u200b\n", id="an invisible character"),
        pytest.param('SYSTEM "a\u200b"\u200b', 'SYSTEM "a\u200b"\n', id="one behind a quote"),
        pytest.param(
            'FROM a\r\nSYSTEM "b\nc"\nLICENSE d\r\n',
            'FROM a\r\nSYSTEM "b\nc"\r\nLICENSE d\r\n',
            id="mostly CRLF",
        ),
        pytest.param("FROM a\rSYSTEM b\r", "FROM a\rSYSTEM b\r", id="CR"),
        pytest.param("FROM a\r\nSYSTEM b\n", "FROM a\nSYSTEM b\n", id="as many of each"),
        pytest.param('SYSTEM "a\r\nb"', 'SYSTEM "a\r\nb"\r\n', id="only in a value"),
    ],
)
def test_layout(text: str, expected: str) -> None:
    assert formatted(parse(Source("Modelfile", text))) == expected


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"JUNK\nFROM a", Code.UNKNOWN_INSTRUCTION, id="a mistake"),
        pytest.param(b"FROM \xff", Code.NOT_UTF8, id="bytes that are not UTF-8"),
        pytest.param("FROM a".encode("utf-16-le"), Code.UTF16_WITHOUT_MARK, id="no mark"),
        pytest.param(
            codecs.BOM_UTF16_LE + b"F\0\0\xd8a\0", Code.NOT_UTF8, id="half a pair in UTF-16"
        ),
        pytest.param(codecs.BOM_UTF16_LE + b"F\0 ", Code.NOT_UTF8, id="half a unit in UTF-16"),
    ],
)
def test_what_would_lose_something_is_left_alone(data: bytes, code: Code) -> None:
    text, findings = reformat("Modelfile", data)
    assert text is None
    assert [finding.code for finding in findings] == [code]


def test_all_mistakes_are_told() -> None:
    _, findings = reformat("Modelfile", b"ONE\nFROM a\nTWO\n")
    assert [finding.span.line for finding in findings] == [1, 3]


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        pytest.param(b"", "utf-8", id="UTF-8"),
        pytest.param(codecs.BOM_UTF8, "utf-8", id="UTF-8 with a mark"),
        pytest.param(codecs.BOM_UTF16_LE, "utf-16-le", id="UTF-16, little end first"),
        pytest.param(codecs.BOM_UTF16_BE, "utf-16-be", id="UTF-16, big end first"),
    ],
)
def test_the_encoding_stays(mark: bytes, encoding: str) -> None:
    data, _ = reformat("Modelfile", mark + "from é🙂".encode(encoding))
    assert data == mark + "FROM é🙂\n".encode(encoding)


def test_a_replacement_character_of_the_authors_own_is_kept() -> None:
    data, _ = reformat("Modelfile", "SYSTEM \ufffd".encode())
    assert data == "SYSTEM \ufffd\n".encode()


def test_the_example_in_the_documentation_is_formatted_so() -> None:
    path = Path(__file__).parents[2] / "docs" / "modelfile.md"
    section = path.read_text(encoding="utf-8").partition("\n## Formatting\n")[2]
    before, after = re.findall(r"(?:^ {4}.*\n|\n(?= {4}| *\n))+", section, re.MULTILINE)[:2]
    tree = parse(Source("Modelfile", dedent(before).strip()))
    assert formatted(tree) == dedent(after).strip() + "\n"


@pytest.mark.parametrize("data", [b"\n #\0", b"\r#\0\3"])
def test_a_file_that_would_look_like_another_encoding_is_left_as_it_is(data: bytes) -> None:
    assert reformat("Modelfile", data) == (data, ())
