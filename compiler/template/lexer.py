"""Template text → tokens.

Total: any text gives a list of tokens that ends with END or ERROR, tokens do not overlap, and
an ERROR's value says what is wrong. Text around ``{{- `` and `` -}}`` comes out trimmed;
comments do not come out at all. Source: the text/template documentation, and its behaviour.
"""

from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from mbuild.compiler.template.octets import octets
from mbuild.compiler.template.quote import quote


class Kind(Enum):
    """What a token is."""

    ERROR = auto()
    END = auto()
    TEXT = auto()
    OPEN = auto()  # {{
    CLOSE = auto()  # }}
    SPACE = auto()
    BOOL = auto()
    CHARACTER = auto()  # 'a'
    COMPLEX = auto()  # 1+2i
    NUMBER = auto()
    STRING = auto()
    RAW_STRING = auto()
    FIELD = auto()  # .Name
    IDENTIFIER = auto()
    VARIABLE = auto()  # $name
    ASSIGN = auto()  # =
    DECLARE = auto()  # :=
    PIPE = auto()
    LEFT_PARENTHESIS = auto()
    RIGHT_PARENTHESIS = auto()
    SIGN = auto()  # any other printable ASCII character
    DOT = auto()
    NIL = auto()
    BLOCK = auto()
    BREAK = auto()
    CONTINUE = auto()
    DEFINE = auto()
    ELSE = auto()
    END_WORD = auto()
    IF = auto()
    RANGE = auto()
    TEMPLATE = auto()
    WITH = auto()


_KEYWORDS = {
    "nil": Kind.NIL,
    "block": Kind.BLOCK,
    "break": Kind.BREAK,
    "continue": Kind.CONTINUE,
    "define": Kind.DEFINE,
    "else": Kind.ELSE,
    "end": Kind.END_WORD,
    "if": Kind.IF,
    "range": Kind.RANGE,
    "template": Kind.TEMPLATE,
    "with": Kind.WITH,
}
_NAMED = frozenset((*_KEYWORDS.values(), Kind.DOT))
_SPACES = frozenset(" \t\r\n")
_ENDS = frozenset(("", *_SPACES, *".,|:()"))  # what may stand behind a name
_PLAIN = {
    "=": Kind.ASSIGN,
    "|": Kind.PIPE,
}
_SHOWN = 10  # bytes of a token that an error message quotes


@dataclass(frozen=True, slots=True)
class Token:
    """A token at ``text[start:end]``; *value* is that text (trimmed) or an error's message."""

    kind: Kind
    start: int
    end: int
    value: str
    line: int  # of its start, from 1

    def __str__(self) -> str:
        """The token as the reference's messages show it."""
        if self.kind is Kind.END:
            return "EOF"
        if self.kind is Kind.ERROR:
            return self.value
        if self.kind in _NAMED:
            return f"<{self.value}>"
        if len(octets(self.value)) > _SHOWN:
            return quote(self.value[:_SHOWN]) + "..."
        return quote(self.value)


class _Stopped(Exception):
    """The text cannot be read on; the ERROR token has been made."""


def lex(text: str) -> list[Token]:
    """The tokens of *text*, the last of which is END or ERROR."""
    scanner = _Scanner(text)
    with suppress(_Stopped):
        scanner.run()
    return scanner.tokens


def is_name_character(character: str) -> bool:
    """May *character* stand in a name?"""
    return character == "_" or character.isalpha() or character.isdecimal()


def describe(character: str) -> str:
    """A character as messages show it: ``U+002D '-'``."""
    shown = f" '{character}'" if character.isprintable() else ""
    return f"U+{ord(character):04X}{shown}"


class _Scanner:
    """The state of one reading: ``text[start:at]`` is the token being made."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.start = 0
        self.at = 0
        self.depth = 0  # of parentheses, inside an action
        self.tokens: list[Token] = []
        self._line = 1
        self._counted = 0  # newlines before this offset are in _line

    def run(self) -> None:
        while True:
            opening = self.text.find("{{", self.at)
            if opening < 0:
                break
            self._text_until(opening)
            self._opening(opening)
        self._text_until(len(self.text))
        self._emit(Kind.END)

    # Tokens.

    def _line_at(self, offset: int) -> int:
        self._line += self.text.count("\n", self._counted, offset)
        self._counted = offset
        return self._line

    def _emit(self, kind: Kind) -> None:
        value = self.text[self.start : self.at]
        self.tokens.append(Token(kind, self.start, self.at, value, self._line_at(self.start)))
        self.start = self.at

    def _fail(self, message: str) -> _Stopped:
        line = self._line_at(self.start)
        self.tokens.append(Token(Kind.ERROR, self.start, self.at, message, line))
        return _Stopped()

    # Outside actions.

    def _text_until(self, end: int) -> None:
        trimmed = end
        if self._trims_left(end + 2):
            while trimmed > self.start and self.text[trimmed - 1] in _SPACES:
                trimmed -= 1
        self.at = trimmed
        if self.at > self.start:
            self._emit(Kind.TEXT)
        self.start = self.at = end

    def _trims_left(self, at: int) -> bool:
        return self.text[at : at + 1] == "-" and self.text[at + 1 : at + 2] in _SPACES

    def _opening(self, at: int) -> None:
        inside = at + 2 + (2 if self._trims_left(at + 2) else 0)
        if self.text.startswith("/*", inside):
            self._comment(inside)
            return
        self.at = at + 2
        self._emit(Kind.OPEN)
        self.start = self.at = inside
        self.depth = 0
        while self._inside():
            pass

    def _comment(self, at: int) -> None:
        self.start = self.at = at
        end = self.text.find("*/", at + 2)
        if end < 0:
            self.at = len(self.text)
            raise self._fail("unclosed comment")
        self.at = end + 2
        width = self._closing_width()
        if not width:
            raise self._fail("comment ends before closing delimiter")
        self._leave(width)

    def _closing_width(self) -> int:
        """How long the closing delimiter at this place is: 4 with a trim marker, 0 for none."""
        if self.text.startswith("}}", self.at):
            return 2
        spaced = self.text[self.at : self.at + 1] in _SPACES
        return 4 if spaced and self.text.startswith("-}}", self.at + 1) else 0

    def _leave(self, width: int) -> None:
        self.at += width
        if width == 4:
            while self.at < len(self.text) and self.text[self.at] in _SPACES:
                self.at += 1
        self.start = self.at

    # Inside an action.

    def _inside(self) -> bool:
        """Make one token; false when it was the closing delimiter."""
        width = self._closing_width()
        if width:
            self._closing(width)
            return False
        character = self.text[self.at : self.at + 1]
        if not character:
            raise self._fail("unclosed action")
        self.at += 1
        if character in _SPACES:
            self._space()
        elif character in _PLAIN:
            self._emit(_PLAIN[character])
        elif character == ":":
            self._declaration()
        elif character in "\"'":
            self._quoted(character)
        elif character == "`":
            self._raw_quoted()
        elif character == "$":
            self._variable()
        elif character == "." and not self._digit_follows():
            self._field()
        elif character in "+-." or "0" <= character <= "9":
            self.at -= 1
            self._number()
        elif is_name_character(character):
            self._identifier()
        elif character in "()":
            self._parenthesis(character)
        elif character.isascii() and character.isprintable():
            self._emit(Kind.SIGN)
        else:
            raise self._fail(f"unrecognized character in action: {describe(character)}")
        return True

    def _closing(self, width: int) -> None:
        if self.depth:
            raise self._fail("unclosed left paren")
        trimmed = width == 4
        if trimmed:
            self.at += 2
            self.start = self.at
        self.at += 2
        self._emit(Kind.CLOSE)
        self.at -= width
        self._leave(width)

    def _space(self) -> None:
        while self.text[self.at : self.at + 1] in _SPACES:
            self.at += 1
        if self.text.startswith("-}}", self.at):
            self.at -= 1  # The last blank belongs to the delimiter.
        if self.at > self.start:
            self._emit(Kind.SPACE)

    def _declaration(self) -> None:
        self.at += 1
        if self.text[self.at - 1 : self.at] != "=":
            self.at = min(self.at, len(self.text))
            raise self._fail("expected :=")
        self._emit(Kind.DECLARE)

    def _quoted(self, mark: str) -> None:
        name = "quoted string" if mark == '"' else "character constant"
        while True:
            character = self.text[self.at : self.at + 1]
            self.at += 1
            if character == "\\":
                character = self.text[self.at : self.at + 1]
                self.at += 1
                if character not in ("", "\n"):
                    continue
            if character in ("", "\n"):
                self.at = min(self.at, len(self.text))
                raise self._fail(f"unterminated {name}")
            if character == mark:
                break
        self._emit(Kind.STRING if mark == '"' else Kind.CHARACTER)

    def _raw_quoted(self) -> None:
        end = self.text.find("`", self.at)
        if end < 0:
            self.at = len(self.text)
            raise self._fail("unterminated raw quoted string")
        self.at = end + 1
        self._emit(Kind.RAW_STRING)

    def _digit_follows(self) -> bool:
        following = self.text[self.at : self.at + 1]
        return "0" <= following <= "9" or not following

    def _variable(self) -> None:
        self._name()
        self._emit(Kind.VARIABLE)

    def _field(self) -> None:
        self._name()
        self._emit(Kind.DOT if self.at == self.start + 1 else Kind.FIELD)

    def _name(self) -> None:
        """Go to the end of a name, which must be followed by something that may end one."""
        while self.at < len(self.text) and is_name_character(self.text[self.at]):
            self.at += 1
        following = self.text[self.at : self.at + 1]
        if following not in _ENDS and not self.text.startswith("}}", self.at):
            raise self._fail(f"bad character {describe(following)}")

    def _identifier(self) -> None:
        self._name()
        word = self.text[self.start : self.at]
        kind = Kind.BOOL if word in ("true", "false") else Kind.IDENTIFIER
        self._emit(_KEYWORDS.get(word, kind))

    def _parenthesis(self, character: str) -> None:
        self.depth += 1 if character == "(" else -1
        if self.depth < 0:
            raise self._fail("unexpected right paren")
        self._emit(Kind.LEFT_PARENTHESIS if character == "(" else Kind.RIGHT_PARENTHESIS)

    # Numbers: not a perfect scan, what it lets through is checked when the number is read.

    def _number(self) -> None:
        kind = Kind.NUMBER
        well = self._scan_number()
        if well and self.text[self.at : self.at + 1] in ("+", "-"):
            kind = Kind.COMPLEX
            well = self._scan_number() and self.text[self.at - 1] == "i"
        if not well:
            shown = quote(self.text[self.start : self.at])
            raise self._fail(f"bad number syntax: {shown}")
        self._emit(kind)

    def _scan_number(self) -> bool:
        self._accept("+-")
        digits = "0123456789_"
        exponent = "eE"
        if self._accept("0"):
            if self._accept("xX"):
                digits, exponent = "0123456789abcdefABCDEF_", "pP"
            elif self._accept("oO"):
                digits, exponent = "01234567_", ""
            elif self._accept("bB"):
                digits, exponent = "01_", ""
        self._accept_run(digits)
        if self._accept("."):
            self._accept_run(digits)
        if self._accept(exponent):
            self._accept("+-")
            self._accept_run("0123456789_")
        self._accept("i")
        following = self.text[self.at : self.at + 1]
        if following and is_name_character(following):
            self.at += 1
            return False
        return True

    def _accept(self, characters: str) -> bool:
        if self.at < len(self.text) and self.text[self.at] in characters:
            self.at += 1
            return True
        return False

    def _accept_run(self, characters: str) -> None:
        while self._accept(characters):
            pass
