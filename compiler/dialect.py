"""What the reference makes of a text, its quirks and the wording of its errors included.

The reference reads one character at a time, drops what is not printable, decides at each line
end whether a value is complete, and stops at the first mistake. `scan` does the same and yields
the tree that the default dialect yields, so that the same checks follow. Its last statement is
`Junk` if there was a mistake.

Sources: modelfile.md, sections 2, 3 and 7; parser/parser.go of the reference.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from mbuild.compiler.characters import is_kept, kept
from mbuild.compiler.diagnostic import Code, Diagnostic, Source
from mbuild.compiler.syntax import (
    BLANKS,
    ROLES,
    SIMPLE,
    WORDS,
    Comment,
    From,
    Instruction,
    Junk,
    Message,
    Modelfile,
    Parameter,
    Statement,
    Value,
    Word,
)

Dialect = Literal["mbuild", "ollama"]
"""How a Modelfile is read: with care for what its author wrote, or as the reference does."""

UNKNOWN_INSTRUCTION = (
    'command must be one of "from", "license", "template", "system", "adapter", "draft", '
    '"renderer", "parser", "parameter", "message", or "requires"'
)
UNKNOWN_ROLE = 'message role must be one of "system", "user", or "assistant"'
UNEXPECTED_END = "unexpected EOF"
NO_FROM = "no FROM line"
NOT_A_VERSION = "requires must be a valid semver (e.g. 0.14.0)"

_BETWEEN = re.compile(r"[ \t\r\n]*")
_LINE = re.compile(r"[^\r\n]*")
_LETTERS = re.compile(r"[A-Za-z]*")
_NAME = re.compile(r"[A-Za-z0-9_]*")


def scan(source: Source) -> Modelfile:
    """The tree of *source*, up to the first mistake that the reference finds."""
    statements: list[Statement] = []
    scanner = _Scanner(source)
    for statement in scanner.statements():
        statements.append(statement)
        if isinstance(statement, Junk):
            break
    return Modelfile(source, tuple(statements))


class _Scanner:
    """A place in a text; each method reads one mode of the reference's state machine."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = source.text
        self._at = 0
        self._start = 0  # Of the statement that is being read.

    def statements(self) -> Iterator[Statement]:
        while True:
            self._start = start = self._skip(_BETWEEN)
            if start == len(self._text):
                return
            if self._text[start] == "#":
                yield Comment(self._source.span(start, self._skip(_LINE)))
            else:
                yield self._instruction(start)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        """Go behind what matches here, and say where that is."""
        match = pattern.match(self._text, self._at)
        assert match is not None, "these patterns match the empty text"
        self._at = match.end()
        return self._at

    def _instruction(self, start: int) -> Statement:
        # The first character is taken whatever it is; the reference checks it with the word.
        self._at = start + 1
        end = self._skip(_LETTERS)
        word = Word(kept(self._text[start:end]), self._source.span(start, end))
        name = word.text.lower()
        if self._is_at_end():
            return self._unexpected_end(Code.MISSING_VALUE, start)
        if not self._is_at_blank() or name not in WORDS:
            return self._mistake(Code.UNKNOWN_INSTRUCTION, UNKNOWN_INSTRUCTION, start)
        self._at += 1
        if name == "parameter":
            return self._parameter(word)
        if name == "message":
            return self._message(word)
        value = self._value()
        if isinstance(value, Junk):
            return value
        return SIMPLE[name](self._source.span(start, value.span.end), word, value)

    def _parameter(self, word: Word) -> Statement:
        name = self._argument(_NAME, Code.BAD_PARAMETER_NAME)
        if isinstance(name, Junk):
            return name
        value = self._value()
        if isinstance(value, Junk):
            return value
        span = self._source.span(self._start, value.span.end)
        return Parameter(span, word, value, name)

    def _message(self, word: Word) -> Statement:
        role = self._argument(_LETTERS, Code.UNKNOWN_ROLE)
        if isinstance(role, Junk):
            return role
        if role.text not in ROLES:
            self._at = role.span.end
            return self._mistake(Code.UNKNOWN_ROLE, UNKNOWN_ROLE, role.span.start)
        value = self._value()
        if isinstance(value, Junk):
            return value
        return Message(self._source.span(self._start, value.span.end), word, value, role)

    def _argument(self, pattern: re.Pattern[str], code: Code) -> Word | Junk:
        """A name or role, which may be empty, and the one blank behind it."""
        start = self._at
        end = self._skip(pattern)
        if self._is_at_end():
            return self._unexpected_end(Code.MISSING_VALUE, start)
        text = self._text[start:end]
        if not self._is_at_blank():
            return self._junk(code, f"{UNEXPECTED_END}: {text}", start, end + 1)
        self._at = end + 1
        return Word(text, self._source.span(start, end))

    def _value(self) -> Value | Junk:
        """The value, which closes at the first line end at which it is complete."""
        start = self._at
        end = self._skip(_LINE)
        first = kept(self._text[start:end]).strip(BLANKS)
        quotes = _opening(first)
        closed = len(first) >= 2 * len(quotes) and first.endswith(quotes)
        while not closed and not self._is_at_end():
            self._at += 1  # The line end, which belongs to the value.
            line = self._at
            end = self._skip(_LINE)
            closed = kept(self._text[line:end]).strip(BLANKS).endswith(quotes)
        if not closed:
            return self._unexpected_end(Code.UNCLOSED_QUOTE, start)
        text = kept(self._text[start:end]).strip(BLANKS)
        inside = text[len(quotes) : len(text) - len(quotes)]
        return Value(inside, self._source.span(*self._trimmed(start, end)), quotes)

    def _trimmed(self, start: int, end: int) -> tuple[int, int]:
        """Those offsets without the blanks and dropped characters at both ends."""
        first, last = start, end
        while first < last and self._is_nothing(first):
            first += 1
        while last > first and self._is_nothing(last - 1):
            last -= 1
        # An empty value stands behind the one blank that must be there.
        return (first, last) if first < last else (start, start)

    def _is_nothing(self, offset: int) -> bool:
        return self._text[offset] in BLANKS or not is_kept(self._text[offset])

    def _is_at_end(self) -> bool:
        return self._at == len(self._text)

    def _is_at_blank(self) -> bool:
        return self._text[self._at] in BLANKS

    def _mistake(self, code: Code, message: str, start: int) -> Junk:
        """A mistake found at the character here, whose line the reference tells."""
        # It counts each CR and each LF, that character included, so CRLF counts twice.
        before = self._text[: self._at + 1]
        line = 1 + before.count("\r") + before.count("\n")
        return self._junk(code, f"(line {line}): {message}", start, self._at)

    def _unexpected_end(self, code: Code, start: int) -> Junk:
        return self._junk(code, UNEXPECTED_END, start, len(self._text))

    def _junk(self, code: Code, message: str, start: int, end: int) -> Junk:
        finding = Diagnostic(code, message, self._source.span(start, end))
        # Nothing behind a mistake is read.
        return Junk(self._source.span(self._start, len(self._text)), finding)


def _opening(value: str) -> str:
    """The quotes with which *value* opens, if it does."""
    if value.startswith('"""'):
        return '"""'
    return '"' if value.startswith('"') else ""


@dataclass(frozen=True, slots=True)
class Command:
    """An instruction as the reference keeps it: PARAMETER *name* becomes one called *name*."""

    name: str
    argument: str


def commands(modelfile: Modelfile) -> tuple[Command, ...]:
    """The instructions as the reference keeps them, in file order."""
    return tuple(
        command(node) for node in modelfile.statements if not isinstance(node, Comment | Junk)
    )


def command(instruction: Instruction) -> Command:
    """One instruction as the reference keeps it."""
    text = instruction.value.text
    match instruction:
        case From():
            return Command("model", text)
        case Parameter(name=name):
            return Command(name.text, text)
        case Message(role=role):
            return Command("message", f"{role.text}: {text}")
        case _:
            return Command(type(instruction).__name__.lower(), text)


def written(these: tuple[Command, ...]) -> str:
    """Those commands as the reference writes them back, which does not always read back."""
    return "".join(f"{_written(one)}\n" for one in these)


def _written(one: Command) -> str:
    if one.name == "model":
        return f"FROM {one.argument}"
    if one.name == "message":
        role, _, text = one.argument.partition(": ")
        return f"MESSAGE {role} {_quoted(text)}"
    if one.name in SIMPLE and one.name != "from":
        return f"{one.name.upper()} {_quoted(one.argument)}"
    return f"PARAMETER {one.name} {_quoted(one.argument)}"


def _quoted(text: str) -> str:
    if "\n" not in text and not text.startswith(" ") and not text.endswith(" "):
        return text
    quotes = '"""' if '"' in text else '"'
    return f"{quotes}{text}{quotes}"
