"""Text to tree, in the default dialect: every text has a tree, and mistakes are nodes in it.

The language is defined by modelfile.lark, whose automaton `mbuild.compiler.automaton` runs. What
it reads is the text with marks in it; spans and texts are those of the file.
"""

import re
from dataclasses import replace

from mbuild.compiler.automaton import Token, phrases
from mbuild.compiler.diagnostic import Source
from mbuild.compiler.marks import DROPPED, OPENING, marked
from mbuild.compiler.syntax import (
    ADDED,
    BLANKS,
    SIMPLE,
    Comment,
    Flag,
    Junk,
    Message,
    Modelfile,
    Parameter,
    Statement,
    Value,
    Word,
)


def parse(source: Source) -> Modelfile:
    """The tree of *source*, in time that grows with its length and no faster."""
    text = marked(source.text)
    return Modelfile(source, tuple(_statement(source, text, *each) for each in phrases(text)))


def _statement(source: Source, text: str, rule: str, tokens: tuple[Token, ...]) -> Statement:
    if rule == "comment":
        return Comment(source.span(tokens[0].start, tokens[0].end))
    if rule == "junk":
        # Imported here: most files have none.
        from mbuild.compiler.mistakes import explain

        return Junk(source.span(tokens[0].start, tokens[-1].end), explain(source, text, tokens))
    word, value = _word(source, text, tokens[0]), _said(source, text, tokens)
    span = source.span(tokens[0].start, value.span.end)
    if rule == "parameter":
        return Parameter(span, word, value, _word(source, text, tokens[1]))
    if rule == "message":
        role = tokens[2 if tokens[1].terminal == "FLAGS" else 1]
        return Message(span, word, value, _word(source, text, role))
    return (SIMPLE.get(rule) or ADDED[rule])(span, word, value)


def _word(source: Source, text: str, token: Token) -> Word:
    """A word without what may stand before it: a dropped character, or blanks."""
    start = token.start
    while text[start] in _NOTHING:
        start += 1
    span = source.span(start, token.end)
    return Word(span.text, span)


def _said(source: Source, text: str, tokens: tuple[Token, ...]) -> Value:
    """The value, and the flags before it; it is empty if there are only flags."""
    last = tokens[-1]
    if last.terminal in ("FLAGS_ALONE", "LAST_ROLE"):
        value = Value("", source.span(last.end, last.end), "")
    elif last.terminal == "HERE":
        value = _lines(source, last)
    else:
        value = _value(source, text, last)
    flags = tokens[1] if len(tokens) > 1 else last
    if not flags.terminal.startswith("FLAGS"):
        return value
    return replace(value, flags=_flags(source, flags))


_FLAG = re.compile(r'--(?P<name>[a-z]+)(?:=(?P<value>"[^"]*"|[^ \t]*))?')


def _flags(source: Source, token: Token) -> tuple[Flag, ...]:
    text = source.text[token.start : token.end]
    return tuple(_flag(source, token.start, match) for match in _FLAG.finditer(text))


def _flag(source: Source, base: int, match: re.Match[str]) -> Flag:
    span = source.span(base + match.start(), base + match.end())
    written = match["value"]
    if written is None:
        return Flag(match["name"], None, span)
    quoted = written.startswith('"')
    place = source.span(base + match.start("value"), base + match.end("value"))
    value = Value(written[1:-1] if quoted else written, place, '"' if quoted else "")
    return Flag(match["name"], value, span)


_LINE_END = re.compile(r"\r\n|\r|\n")


def _lines(source: Source, token: Token) -> Value:
    """The lines between ``<<WORD`` and WORD, joined as they are in the file."""
    text = source.text
    start = text.index("<<", token.start)
    opened = _LINE_END.search(text, start)
    assert opened is not None, "the grammar says so"
    end = max(text.rfind("\n", 0, token.end), text.rfind("\r", 0, token.end))
    if text[end - 1 : end + 1] == "\r\n":
        end -= 1
    inside = text[opened.end() : end] if end > opened.start() else ""
    return Value(inside, source.span(start, token.end), "<<")


def _value(source: Source, text: str, token: Token) -> Value:
    opening = OPENING.match(text, token.start)
    if token.terminal == "PLAIN" or opening is None:
        return _plain(source, token.start + 1, token.end)
    three = opening.end() - opening.start(1) > 1
    end = token.end
    while text[end - 1] in _NOTHING:
        end -= 1
    closing = end
    for _ in range(3 if three else 1):
        while text[closing - 1] == DROPPED:
            closing -= 1
        closing -= 1
    inside = source.text[opening.end() : closing]
    return Value(inside, source.span(opening.start(1), end), '"""' if three else '"')


def _plain(source: Source, start: int, end: int) -> Value:
    text = source.text[start:end].lstrip(BLANKS)
    # An empty value stands behind the one blank that must be there.
    first = end - len(text) if text else start
    text = text.rstrip(BLANKS)
    return Value(text, source.span(first, first + len(text)), "")


_NOTHING = BLANKS + DROPPED
