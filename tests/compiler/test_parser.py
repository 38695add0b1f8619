"""Text to tree, in the default dialect."""

import pytest

from mbuild.compiler.diagnostic import Source
from mbuild.compiler.parser import parse
from mbuild.compiler.syntax import Comment, Junk, Message, Modelfile, Parameter


def tree(text: str) -> Modelfile:
    return parse(Source("Modelfile", text))


def outline(text: str) -> list[tuple[str, ...]]:
    """Each statement's class and texts, or a mistake's code and what it points at."""
    rows: list[tuple[str, ...]] = []
    for node in tree(text).statements:
        match node:
            case Comment():
                rows.append(("Comment", node.span.text))
            case Junk():
                rows.append((node.finding.code.label, node.finding.span.text))
            case Parameter():
                rows.append(("Parameter", node.name.text, node.value.text))
            case Message():
                rows.append(("Message", node.role.text, node.value.text))
            case _:
                rows.append((type(node).__name__, node.value.text))
    return rows


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(" \t\r\n", [], id="blanks"),
        pytest.param("FROM a", [("From", "a")], id="smallest"),
        pytest.param("\t from\ta b \n", [("From", "a b")], id="blanks around"),
        pytest.param("# a\r#b", [("Comment", "# a"), ("Comment", "#b")], id="comments"),
        pytest.param("FROM \n", [("From", "")], id="empty value"),
        pytest.param("PARAMETER \t stop  a\n", [("Parameter", "stop", "a")], id="blanks repeat"),
        pytest.param("MESSAGE user a: b", [("Message", "user", "a: b")], id="message"),
        pytest.param(
            "ADAPTER a\nLICENSE b\nREQUIRES c\nRENDERER d\nPARSER e\nDRAFT f\nTEMPLATE g",
            [
                *[("Adapter", "a"), ("License", "b"), ("Requires", "c"), ("Renderer", "d")],
                *[("Parser", "e"), ("Draft", "f"), ("Template", "g")],
            ],
            id="every other instruction",
        ),
        pytest.param('SYSTEM ""\n', [("System", "")], id="no text in quotes"),
        pytest.param('SYSTEM """"""\n', [("System", "")], id="no text in three quotes"),
        pytest.param('SYSTEM """\n  a\n"""\n', [("System", "\n  a\n")], id="three quotes"),
        pytest.param(
            'SYSTEM """a """\t\nFROM b', [("System", "a "), ("From", "b")], id="blanks behind"
        ),
        pytest.param(
            'SYSTEM """a""" b"""\n', [("System", 'a""" b')], id="closes at the line's end"
        ),
        pytest.param(
            'SYSTEM "a\nFROM b\n"', [("System", "a\nFROM b\n")], id="clean, so it may swallow"
        ),
        pytest.param('SYSTEM "a" b\nc"\n', [("System", 'a" b\nc')], id="swallows no instruction"),
        pytest.param("SYSTEM a\u200db\u00a0\n", [("System", "a\u200db\u00a0")], id="all are kept"),
        pytest.param("SYSTEM \u00a0 a", [("System", "\u00a0 a")], id="kept at the start"),
        pytest.param('SYSTEM "\u3000a"\u200b\n', [("System", "\u3000a")], id="kept in quotes"),
        pytest.param('SYSTEM "\u200b""a"\u200b""', [("System", "a")], id="between quotes"),
        pytest.param("\u200bFROM a", [("From", "a")], id="before a word"),
    ],
)
def test_trees(text: str, expected: list[tuple[str, ...]]) -> None:
    assert outline(text) == expected


FROM = ("From", "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("FORM a", [("unknown-instruction", "FORM")], id="misspelt"),
        pytest.param("SYSTEM\nFROM x", [("missing-value", "SYSTEM"), FROM], id="no value"),
        pytest.param(
            "\u017fystem a", [("unknown-instruction", "\u017fystem")], id="long s is no s"
        ),
        pytest.param(
            'FORM """\na\n"""\nFROM x', [("unknown-instruction", "FORM"), FROM], id="with block"
        ),
        pytest.param(
            "a b\nc d\nFROM x",
            [("unknown-instruction", "a"), ("unknown-instruction", "c"), FROM],
            id="each line",
        ),
        pytest.param('SYSTEM "a" b\nFROM x', [("text-behind-quote", "b"), FROM], id="behind"),
        pytest.param(
            'SYSTEM """a""" # b\nFROM x\n"""',
            [("text-behind-quote", "# b"), FROM, ("unknown-instruction", '"""')],
            id="behind three",
        ),
        pytest.param('SYSTEM "a" b', [("text-behind-quote", "b")], id="behind, to the end"),
        pytest.param('SYSTEM "a\nb\n FROM x', [("unclosed-quote", '"'), FROM], id="unclosed"),
        pytest.param('SYSTEM """a"\n', [("unclosed-quote", '"""')], id="unclosed three"),
        pytest.param('SYSTEM """""\nFROM x', [("unclosed-quote", '"""'), FROM], id="five quotes"),
        pytest.param(
            "PARAMETER \nFROM x", [("missing-parameter", "PARAMETER"), FROM], id="no name"
        ),
        pytest.param(
            "PARAMETER a\nFROM x", [("missing-value", "a"), FROM], id="no parameter value"
        ),
        pytest.param(
            "PARAMETER a-b 1\nFROM x", [("bad-parameter-name", "a-b"), FROM], id="bad name"
        ),
        pytest.param("MESSAGE \nFROM x", [("missing-role", "MESSAGE"), FROM], id="no role"),
        pytest.param("MESSAGE  user a\nFROM x", [("missing-role", "  "), FROM], id="two blanks"),
        pytest.param("MESSAGE tool a\nFROM x", [("unknown-role", "tool"), FROM], id="unknown role"),
        pytest.param(
            'MESSAGE User """\na\n"""\nFROM x',
            [("unknown-role", "User"), FROM],
            id="role with block",
        ),
        pytest.param("MESSAGE user\nFROM x", [("missing-value", "user"), FROM], id="no text"),
    ],
)
def test_mistakes_are_nodes_and_what_follows_is_read(
    text: str, expected: list[tuple[str, ...]]
) -> None:
    assert outline(text) == expected


def test_every_part_knows_where_it_stands() -> None:
    (comment, node) = tree('# c\r\n PARAMETER  stop  "a b" \r\n').statements
    assert isinstance(node, Parameter)
    assert (comment.span.start, comment.span.end) == (0, 3)
    assert node.word.span.text == "PARAMETER"
    assert node.name.span.text == "stop"
    assert node.value.span.text == '"a b"'
    assert node.span.text == 'PARAMETER  stop  "a b"'
    assert (node.value.span.line, node.value.span.column) == (2, 19)
