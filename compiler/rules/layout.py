"""Rules about what cannot be seen, or hardly: blanks, line ends, characters, the case of words."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

from mbuild.compiler.characters import dropped
from mbuild.compiler.diagnostic import Code, Diagnostic, Edit, Span
from mbuild.compiler.rules.rule import Mending, Rule, Subject, found
from mbuild.compiler.syntax import Junk

_BLANKS_AT_END = re.compile(r"(?<![ \t])[ \t]+(?=[\r\n]|\Z)")
_TABS = re.compile(r"(?<! )[ ]*+\t[ \t]*")
_LINE_END = re.compile(r"\r\n|\r|\n")
_NAMES = {"\n": "LF", "\r\n": "CRLF", "\r": "CR"}


def _between(subject: Subject) -> Iterator[Span]:
    """The stretches of the text that no value or junk covers, in file order.

    What stands there means nothing, and may be written in another way.
    """
    source, at = subject.source, 0
    for node in subject.tree.statements:
        match node:
            case Junk():
                yield source.span(at, node.span.start)
                at = node.span.end
            case _ if hasattr(node, "value"):
                value = node.value
                # A value that is not there needs the blank before it.
                needed = 1 if value.span.start == value.span.end else 0
                yield source.span(at, value.span.start - needed)
                at = value.span.end
    yield source.span(at, len(source.text))


def _trailing_blanks(subject: Subject) -> Iterator[Diagnostic]:
    # A stop that loses blanks is told of by a rule of its own.
    stops = {node.value.span.end for node in subject.parts.stops if not node.value.quotes}
    for stretch in _between(subject):
        for match in _BLANKS_AT_END.finditer(subject.text, stretch.start, stretch.end):
            if match.end() == stretch.end < len(subject.text) or match.start() in stops:
                continue
            if match.end() == len(subject.text) and match.start() == 0:
                continue
            span = subject.source.span(*match.span())
            yield from found(
                Code.TRAILING_BLANKS,
                "blanks at the end of the line",
                span,
                fix=(Edit(span, ""),),
            )


def _line_ends(subject: Subject) -> Iterator[Diagnostic]:
    text = subject.text
    if "\r" not in text:
        return
    ends = [
        match
        for stretch in _between(subject)
        for match in _LINE_END.finditer(text, stretch.start, stretch.end)
        if match.end() - match.start() == 2 or not _is_half(text, match.start())
    ]
    counts = Counter(match[0] for match in ends)
    if len(counts) < 2:
        return
    usual = counts.most_common(1)[0][0]
    others = [match for match in ends if match[0] != usual]
    first = others[0]
    line, _ = subject.source.position(first.start())
    start = subject.source.line_starts[line - 1]
    told = ", ".join(f"{count} with {_NAMES[end]}" for end, count in counts.most_common())
    yield from found(
        Code.MIXED_LINE_ENDS,
        f"this line ends with {_NAMES[first[0]]}, others do not: {told}",
        subject.source.span(start, max(start, first.start())),
        fix=tuple(Edit(subject.source.span(*match.span()), usual) for match in others),
    )


def _is_half(text: str, at: int) -> bool:
    """Whether the CR or LF at *at* is half of a CRLF, whose other half is no part of a stretch."""
    return text[at : at + 2] == "\r\n" or (at > 0 and text[at - 1 : at + 1] == "\r\n")


def _last_line_end(subject: Subject) -> Iterator[Diagnostic]:
    text, last = subject.text, subject.tree.statements[-1:]
    if not text or text[-1] in "\r\n" or not last or isinstance(last[0], Junk):
        return
    end = _LINE_END.search(text)
    span = subject.source.span(len(text), len(text))
    yield from found(
        Code.NO_LAST_LINE_END,
        "the last line has no end",
        span,
        "what is appended to the file would go on in this line",
        fix=(Edit(span, end[0] if end else "\n"),),
    )


def _tabs(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.parts.instructions:
        start, end = node.word.span.end, node.value.span.start
        if node.value.flags or "\t" not in subject.text[start:end]:
            continue
        for match in _TABS.finditer(subject.text, start, end):
            span = subject.source.span(*match.span())
            yield from found(
                Code.TAB_AS_BLANK,
                "a tab between words",
                span,
                "one space does",
                fix=(Edit(span, " "),),
            )


def _utf16(subject: Subject) -> Iterator[Diagnostic]:
    if subject.data.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield from found(
            Code.UTF16_FILE,
            "the file is UTF-16",
            subject.source.span(0, 0),
            "git and most tools take it for a binary file; save it as UTF-8",
        )


_DIRECTIONS = "\u202a\u202b\u202c\u202d\u202e"
_JOINERS = "\u200c\u200d"
_TAGS = re.compile("[\U000e0020-\U000e007f]")


def _unseen(subject: Subject) -> Iterator[Diagnostic]:
    text = subject.text
    unseen = dropped(text)
    if not unseen:
        return
    pattern = re.compile("[" + re.escape("".join(sorted(unseen))) + "]")
    for node in subject.tree.statements:
        if isinstance(node, Junk) or not hasattr(node, "value"):
            continue
        told: set[Code] = set()
        for match in pattern.finditer(text, node.value.span.start, node.value.span.end):
            code = _kind(match[0], text, match.start())
            if code is None or code in told:
                continue
            told.add(code)
            span = subject.source.span(*match.span())
            yield from found(code, f"{_called(match[0])} {_SAID[code]}", span, _HINTS[code])


_SAID = {
    Code.INVISIBLE_CHARACTER: "cannot be seen here",
    Code.CONTROL_CHARACTER: "is no text",
    Code.TEXT_DIRECTION: "shows the text in another order than the model reads it",
}
_HINTS = {
    Code.INVISIBLE_CHARACTER: "the model gets it, as it is; Ollama drops it",
    Code.CONTROL_CHARACTER: "the model gets it, as it is; Ollama drops it",
    Code.TEXT_DIRECTION: "take it out: the direction follows from the letters themselves",
}


def _kind(character: str, text: str, at: int) -> Code | None:
    """The code that *character*, at *at* in *text*, is told of with."""
    if character in _DIRECTIONS:
        return Code.TEXT_DIRECTION
    category = unicodedata.category(character)
    if category == "Cc":
        return Code.CONTROL_CHARACTER
    if category in ("Co", "Cn", "Cs") or _TAGS.match(character):
        return None  # Symbols of some font, or newer than this Python; flags are made of tags.
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    if character in _JOINERS and not (before + after).isascii():
        return None  # Emoji, and scripts that are written with joiners.
    if character == "\u3000" and not (before + after).isascii():
        return None  # The blank of Chinese and Japanese is as wide as a letter.
    return Code.INVISIBLE_CHARACTER


def _called(character: str) -> str:
    name = unicodedata.name(character, "a control character").lower()
    return f"U+{ord(character):04X} ({name})"


def _carriage_returns(subject: Subject) -> Iterator[Diagnostic]:
    if "\r" not in subject.text:
        return
    for node in subject.parts.instructions:
        at = node.value.text.find("\r") if node.value.quotes else -1
        if at < 0:
            continue
        start = node.value.span.start
        span = subject.source.span(start, start + min(3, len(node.value.quotes)))
        yield from found(
            Code.CARRIAGE_RETURNS,
            f"the lines of this {node.word.text.upper()} end with CR, and the model gets them",
            span,
            "save the file with LF",
        )
        return  # They all do, and one finding tells it.


def _word_case(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.parts.instructions:
        word = node.word
        if word.text != word.text.upper() and word.text.isascii():
            yield from found(
                Code.WORD_CASE,
                f"{word.text} is written {word.text.upper()} elsewhere",
                word.span,
                fix=(Edit(word.span, word.text.upper()),),
            )


def _from_not_first(subject: Subject) -> Iterator[Diagnostic]:
    sources = subject.parts.of("from")
    for node in subject.parts.instructions:
        word = node.word.text.lower()
        if word == "from" or not sources:
            return
        if word not in ("arg", "include"):
            hint = "readers look for it in the first line"
            span = sources[0].word.span
            yield from found(Code.FROM_NOT_FIRST, "FROM is not the first instruction", span, hint)
            return


RULES = (
    Rule(
        Code.TRAILING_BLANKS,
        "A line ends with blanks.",
        "They mean nothing outside quotes, cannot be seen, and turn up in every diff. Within a"
        " quoted value they are part of it, and no finding.",
        "FROM llama3.2:3b\nSYSTEM You are a parrot.  \n",
        "FROM llama3.2:3b\nSYSTEM You are a parrot.\n",
        Mending.SAME_MODEL,
        _trailing_blanks,
    ),
    Rule(
        Code.MIXED_LINE_ENDS,
        "Some lines end with LF and others with CRLF or CR.",
        "Mostly an editor or a merge has mixed them. Within a quoted value they are part of it,"
        " and left as they are.",
        "FROM llama3.2:3b\r\nPARAMETER num_ctx 4096\nSYSTEM You are a parrot.\n",
        "FROM llama3.2:3b\nPARAMETER num_ctx 4096\nSYSTEM You are a parrot.\n",
        Mending.SAME_MODEL,
        _line_ends,
    ),
    Rule(
        Code.NO_LAST_LINE_END,
        "The last line has no line end.",
        "A line that a script appends would become part of the last value.",
        "FROM llama3.2:3b",
        "FROM llama3.2:3b\n",
        Mending.SAME_MODEL,
        _last_line_end,
    ),
    Rule(
        Code.TAB_AS_BLANK,
        "A tab stands between the words of an instruction.",
        "It works, but looks like several spaces, and differently in each editor.",
        "FROM\tllama3.2:3b\n",
        "FROM llama3.2:3b\n",
        Mending.SAME_MODEL,
        _tabs,
    ),
    Rule(
        Code.UTF16_FILE,
        "The file is UTF-16.",
        "mbuild and Ollama read it, as it has a byte-order mark. Git shows no diffs of it, and"
        " grep finds nothing in it.",
        "\ufeffFROM llama3.2:3b\n",
        "FROM llama3.2:3b\n",
        check=_utf16,
        encoding="utf-16-le",
    ),
    Rule(
        Code.INVISIBLE_CHARACTER,
        "A value has a character that cannot be seen.",
        "Such as a zero-width space or a no-break space that came with copied text. The model gets"
        " it, and may take the word for another. Joiners in emoji and in scripts that need them"
        " are no finding.",
        "FROM llama3.2:3b\nSYSTEM You are a par\u200brot.\n",
        "FROM llama3.2:3b\nSYSTEM You are a parrot.\n",
        check=_unseen,
    ),
    Rule(
        Code.CONTROL_CHARACTER,
        "A value has a control character, such as NUL or ESC.",
        "It is no text: it came with output of a terminal, or from a damaged file.",
        "FROM llama3.2:3b\nSYSTEM You are a \x1b[1mparrot\x1b[0m.\n",
        "FROM llama3.2:3b\nSYSTEM You are a parrot.\n",
    ),
    Rule(
        Code.TEXT_DIRECTION,
        "A value has a character that overrides the direction of writing.",
        "What a person reads is then not what the model reads, which has been used to hide"
        " instructions in a text.",
        "FROM llama3.2:3b\nSYSTEM You are a \u202etorrap\u202c.\n",
        "FROM llama3.2:3b\nSYSTEM You are a parrot.\n",
    ),
    Rule(
        Code.CARRIAGE_RETURNS,
        "The lines of a quoted value end with CR.",
        "A quoted value is kept as it is, so the model gets each carriage return, and a model"
        " built from a file with LF is another one.",
        'FROM llama3.2:3b\r\nSYSTEM """\r\nYou are a parrot.\r\n"""\r\n',
        'FROM llama3.2:3b\nSYSTEM """\nYou are a parrot.\n"""\n',
        check=_carriage_returns,
    ),
    Rule(
        Code.WORD_CASE,
        "An instruction is not written in capitals.",
        "Any case is read. Capitals set the instructions apart from their texts.",
        "From llama3.2:3b\n",
        "FROM llama3.2:3b\n",
        Mending.SAME_MODEL,
        _word_case,
    ),
    Rule(
        Code.FROM_NOT_FIRST,
        "Another instruction stands before FROM.",
        "The order means nothing, but a reader wants to know first what all else is about. ARG"
        " and INCLUDE may stand before it.",
        "SYSTEM You are a parrot.\nFROM llama3.2:3b\n",
        "FROM llama3.2:3b\nSYSTEM You are a parrot.\n",
        check=_from_not_first,
    ),
)
