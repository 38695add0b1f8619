"""Why a part of a Modelfile is no instruction: the findings of the parser, and their hints."""

import re
import unicodedata

from mbuild.compiler.advice import OWN_LINE, about_role, about_word, nearest_parameter, short
from mbuild.compiler.automaton import Token
from mbuild.compiler.characters import is_kept, kept
from mbuild.compiler.diagnostic import Code, Diagnostic, Source, Span
from mbuild.compiler.marks import DROPPED, INSTRUCTION_FOLLOWS, OPENING
from mbuild.compiler.parameters import OPTIONS
from mbuild.compiler.syntax import ALL_WORDS, BLANKS, ROLES, WORDS

_WORD = re.compile(r"[^ \t\r\n]*")
_LETTERS = re.compile(r"[A-Za-z]*")
_NAME = re.compile(r"[A-Za-z0-9_]+")


def explain(source: Source, text: str, tokens: tuple[Token, ...]) -> Diagnostic:
    """What is wrong with *tokens* of *text*, which is *source* marked."""
    last = tokens[-1]
    match last.terminal:
        case "BEHIND":
            return _behind(source, text, last)
        case "UNCLOSED":
            return _unclosed(source, text, last)
        case _ if tokens[0].terminal == "PARAMETER":
            return _parameter(source, tokens[0], last)
        case _ if tokens[0].terminal == "MESSAGE":
            return _message(source, tokens[0], last)
        case _:
            return _unknown(source, last)


def _unknown(source: Source, token: Token) -> Diagnostic:
    word = _WORD.match(source.text, token.start)
    letters = _LETTERS.match(source.text, token.start)
    assert word is not None, "it matches the empty text"
    assert letters is not None, "it matches the empty text"
    span = source.span(token.start, word.end())
    known = letters[0].upper()
    if known.lower() not in ALL_WORDS:
        return _unknown_word(source, span)
    if letters.end() == word.end():
        return _nothing_follows(known, span)
    after = source.text[letters.end()]
    message = f"{known} is followed by {_name(after)} instead of a space"
    span = source.span(letters.end(), letters.end() + 1)
    return Diagnostic(Code.UNKNOWN_INSTRUCTION, message, span, f"write a space behind {known}")


def _unknown_word(source: Source, span: Span) -> Diagnostic:
    unseen = next((each for each in span.text if not is_kept(each)), None)
    if unseen:
        hint: str | None = f"it has {_name(unseen)} in it, which cannot be seen"
    else:
        hint = about_word(span.text, follows=_follows_text(source, span.start))
    message = f"unknown instruction {short(kept(span.text))}"
    return Diagnostic(Code.UNKNOWN_INSTRUCTION, message, span, hint)


def _nothing_follows(word: str, span: Span) -> Diagnostic:
    match word:
        case "PARAMETER":
            hint = "write a name and a value, as in PARAMETER temperature 0.7"
            return Diagnostic(Code.MISSING_PARAMETER, "PARAMETER has no name", span, hint)
        case "MESSAGE":
            hint = "write a role and a text, as in MESSAGE user why is the sky blue?"
            return Diagnostic(Code.MISSING_ROLE, "MESSAGE has no role", span, hint)
        case _:
            return Diagnostic(Code.MISSING_VALUE, f"{word} has no value", span, _SAME_LINE)


_SAME_LINE = 'the value begins on the same line; one of several lines stands between """'


_TEXTS = ("system", "template", "license", "message")  # Instructions whose value is prose.


_FAR = 20  # lines


def _follows_text(source: Source, start: int) -> bool:
    """Whether the lines directly above begin with a text, so that this one may belong to it."""
    end = start
    for _ in range(_FAR):
        end = _line_before(source.text, end)
        begin = _line_start(source.text, end)
        word = source.text[begin : min(end, begin + 100)].split(maxsplit=1)[:1] or [""]
        if word[0].lower() in WORDS or not word[0]:
            return word[0].lower() in _TEXTS
        end = begin
    return False


def _line_before(text: str, start: int) -> int:
    """Where the line before the one that holds *start* ends."""
    end = _line_start(text, start)
    end -= text.endswith("\n", 0, end)
    return end - text.endswith("\r", 0, end)


def _line_start(text: str, offset: int) -> int:
    """Where the line of *offset* begins, or a thousand characters before."""
    first = max(offset - 1000, 0)
    found = max(text.rfind("\n", first, offset), text.rfind("\r", first, offset))
    return found + 1 if found >= 0 else first


def _parameter(source: Source, head: Token, rest: Token) -> Diagnostic:
    start = _after_blanks(source, rest)
    word = _word_at(source, start)
    span = source.span(start, start + len(word))
    if not word:
        return _nothing_follows("PARAMETER", source.span(head.start, head.end))
    if _NAME.fullmatch(word):
        return Diagnostic(Code.MISSING_VALUE, f"parameter {word} has no value", span, _SAME_LINE)
    name = _NAME.match(word)
    if name and name[0] in OPTIONS:
        at = start + name.end()
        message = f"{name[0]} is followed by {_name(source.text[at])} instead of a space"
        hint = f"write a space between {name[0]} and its value"
        return Diagnostic(Code.BAD_PARAMETER_NAME, message, source.span(at, at + 1), hint)
    meant = nearest_parameter(word)
    hint = f"did you mean {meant}?" if meant else "a name has letters, digits and _ only"
    return Diagnostic(Code.BAD_PARAMETER_NAME, f"no parameter name: {short(word)}", span, hint)


def _message(source: Source, head: Token, rest: Token) -> Diagnostic:
    if rest.terminal == "FLAGS_ALONE":
        return _nothing_follows("MESSAGE", source.span(head.start, rest.end))
    start = _after_blanks(source, rest)
    role = _word_at(source, start)
    span = source.span(start, start + len(role))
    if not role:
        return _nothing_follows("MESSAGE", source.span(head.start, head.end))
    if role not in ROLES:
        message = f"unknown role {short(role)}"
        return Diagnostic(Code.UNKNOWN_ROLE, message, span, about_role(role))
    if start - rest.start > 1:
        message = "more than one blank between MESSAGE and the role"
        span, hint = source.span(rest.start, start), f"write MESSAGE {role}"
        return Diagnostic(Code.MISSING_ROLE, message, span, hint)
    return Diagnostic(Code.MISSING_VALUE, f"MESSAGE {role} has no text", span, _SAME_LINE)


def _after_blanks(source: Source, token: Token) -> int:
    start = token.start
    while start < token.end and source.text[start] in BLANKS:
        start += 1
    return start


def _word_at(source: Source, start: int) -> str:
    word = _WORD.match(source.text, start)
    assert word is not None, "it matches the empty text"
    return word[0]


def _behind(source: Source, text: str, token: Token) -> Diagnostic:
    opening = OPENING.match(text, token.start)
    assert opening is not None, "the grammar says so"
    three = len(opening[1]) > 1
    quote = _NEXT_THREE if three else _NEXT_ONE
    second = quote.search(text, opening.end())
    assert second is not None, "the grammar says so"
    start = second.end()
    while start < token.end - 1 and text[start] in BLANKS + DROPPED:
        start += 1
    hints = [_swallowed(source, text, token.end)]
    if source.text[start] == "#":
        hints.append(OWN_LINE)
    elif not three:
        hints.append('a text with " in it stands between """')
    message = "text behind the closing quote, so that it closes nothing"
    span = source.span(start, token.end)
    return Diagnostic(Code.TEXT_BEHIND_QUOTE, message, span, "\n".join(hints))


_NEXT_ONE = re.compile('["\1\2]')
_NEXT_THREE = re.compile('["\1\2]\0*["\1\2]\0*["\1\2]')


def _swallowed(source: Source, text: str, end: int) -> str:
    """What the value would take in if its quote were not taken to close it."""
    line_end = text.find(INSTRUCTION_FOLLOWS, end)
    if line_end < 0:
        return "the value would go on to the end of the file"
    line, _ = source.position(line_end + 1)
    word = source.text[line_end + 1 : line_end + 1000].split(maxsplit=1)[0].upper()
    return f"the value would go on, and swallow the {word} of line {line}"


def _unclosed(source: Source, text: str, token: Token) -> Diagnostic:
    opening = OPENING.match(text, token.start)
    assert opening is not None, "the grammar says so"
    quotes = '"""' if len(opening[1]) > 1 else '"'
    hint = f"a value that opens with {quotes} closes with {quotes} at the end of a line"
    span = source.span(*opening.span(1))
    return Diagnostic(Code.UNCLOSED_QUOTE, "quote that is never closed", span, hint)


def _name(character: str) -> str:
    """The character itself, or what it is called if it cannot be seen."""
    if is_kept(character) and not character.isspace():
        return character
    name = unicodedata.name(character, "a control character").lower()
    return f"U+{ord(character):04X} ({name})"
