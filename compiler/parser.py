"""Text to tree, in the default dialect: every text has a tree, and mistakes are nodes in it.

The language is defined by modelfile.lark, whose automaton `mbuild.compiler.automaton` runs. What
it reads is the text with marks in it; spans and texts are those of the file.
"""

from mbuild.compiler.automaton import Token, phrases
from mbuild.compiler.diagnostic import Source
from mbuild.compiler.marks import DROPPED, OPENING, marked
from mbuild.compiler.syntax import (
    BLANKS,
    SIMPLE,
    Comment,
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
    word, value = _word(source, text, tokens[0]), _value(source, text, tokens[-1])
    span = source.span(tokens[0].start, value.span.end)
    if rule == "parameter":
        return Parameter(span, word, value, _word(source, text, tokens[1]))
    if rule == "message":
        return Message(span, word, value, _word(source, text, tokens[1]))
    return SIMPLE[rule](span, word, value)


def _word(source: Source, text: str, token: Token) -> Word:
    """A word without what may stand before it: a dropped character, or blanks."""
    start = token.start
    while text[start] in _NOTHING:
        start += 1
    span = source.span(start, token.end)
    return Word(span.text, span)


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
