"""A tree back to text, in one style: what the author wrote stays, and how it is laid out does not.

Words are in upper case, one blank stands between the parts of an instruction, and nothing stands
before or behind it. Values, flags and comments are as they were written, quotes, line ends and
invisible characters included, so that the text has the same tree in both dialects. Formatting
what is formatted changes nothing.
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterator

from mbuild.compiler.diagnostic import Code, Diagnostic, Source
from mbuild.compiler.parser import parse
from mbuild.compiler.source import decode, doubts
from mbuild.compiler.syntax import BLANKS, Comment, Junk, Message, Modelfile, Parameter, Statement

_LINE_END = re.compile(r"\r\n|\r|\n")


def reformat(name: str, data: bytes) -> tuple[bytes | None, tuple[Diagnostic, ...]]:
    """The file *data* in the one style, its encoding kept; or nothing, and why it is left alone.

    *name* is what findings call the file.
    """
    source = decode(name, data)
    findings = doubts(source, data) or _damage(source, data)
    if findings:
        return None, findings
    tree = parse(source)
    if tree.findings:
        return None, tree.findings
    result = _encoded(formatted(tree), data)
    if doubts(decode(name, result), result):
        # A few bytes with a NUL among them would be taken for UTF-16 once they stand first.
        return data, ()
    return result, ()


def _damage(source: Source, data: bytes) -> tuple[Diagnostic, ...]:
    """A finding if *data* is UTF-16 with halves of characters, which the text does not have."""
    if _encoded(source.text, data) == data:
        return ()
    at = source.text.index("\ufffd")
    message = "half a UTF-16 character becomes U+FFFD"
    return (Diagnostic(Code.NOT_UTF8, message, source.span(at, at + 1), "save the file as UTF-8"),)


def _encoded(text: str, like: bytes) -> bytes:
    """*text* in the encoding of the file *like*, with its byte-order mark."""
    for mark, encoding in (
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF8, "utf-8"),
    ):
        if like.startswith(mark):
            return mark + text.encode(encoding)
    return text.encode()


def formatted(tree: Modelfile) -> str:
    r"""The text of *tree*, which has no junk, in the one style.

    At most one empty line stands between two statements, none at the top, and one line end at
    the end. Between statements lines end as most of them did; in values as they are.

    >>> formatted(parse(Source("Modelfile", "from  a\n\n\n  system \"b\"  ")))
    'FROM a\n\nSYSTEM "b"\n'
    """
    end = _usual_end(tree)
    parts: list[str] = []
    for statement, gap in zip(tree.statements, _gaps(tree), strict=True):
        if parts and len(_LINE_END.findall(gap)) > 1:
            parts.append(end)
        parts += (_statement(statement), end)
    return "".join(parts)


def _gaps(tree: Modelfile) -> Iterator[str]:
    """What stands before each statement."""
    at = 0
    for statement in tree.statements:
        yield tree.source.text[at : statement.span.start]
        at = statement.span.end


def _usual_end(tree: Modelfile) -> str:
    """How most lines between statements end; if there are none, most lines in values."""
    text = tree.source.text
    last = tree.statements[-1].span.end if tree.statements else 0
    between = Counter(_LINE_END.findall("".join((*_gaps(tree), text[last:]))))
    ends = between or Counter(_LINE_END.findall(text))
    return max(("\n", "\r\n", "\r"), key=lambda end: ends[end])


def _statement(node: Statement) -> str:
    match node:
        case Comment():
            return node.span.text.rstrip(BLANKS)
        case Junk():
            raise AssertionError("what could not be read is not formatted")
    value = node.value
    words = [node.word.text.upper()]
    if isinstance(node, Parameter):
        words.append(node.name.text)
    words += (flag.span.text for flag in value.flags)
    if isinstance(node, Message):
        words.append(node.role.text)
    # An empty value stands behind the one blank that must be there, but if flags are all.
    if value.span.text or not value.flags:
        words.append(value.span.text)
    return " ".join(words)
