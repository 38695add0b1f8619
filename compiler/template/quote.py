"""Go's string and character literals, read and written.

Source: Go's language specification ("Rune literals", "String literals") and the behaviour of
its ``strconv`` package.
"""

from mbuild.compiler.template.octets import text_of

_LETTER_ESCAPES = {
    "a": 7,
    "b": 8,
    "f": 12,
    "n": 10,
    "r": 13,
    "t": 9,
    "v": 11,
    "\\": 92,
}
_WRITTEN = {code: "\\" + letter for letter, code in _LETTER_ESCAPES.items()}
_DIGITS_AFTER = {"x": 2, "u": 4, "U": 8}
_HEX = frozenset("0123456789abcdefABCDEF")
_OCTAL = frozenset("01234567")
_LAST_CHARACTER = 0x10FFFF


class BadLiteral(Exception):
    """A literal that breaks Go's rules."""


def is_character(code: int) -> bool:
    """Is *code* a Unicode scalar value? (Surrogates are none.)"""
    return 0 <= code <= _LAST_CHARACTER and not 0xD800 <= code <= 0xDFFF


def unquote(literal: str) -> str:
    """The text that a quoted or raw string literal stands for.

    Raises:
        BadLiteral: an escape is unknown, too short or stands for no character.
    """
    body = literal[1:-1]
    if literal[0] == "`":
        return body.replace("\r", "")
    if "\\" not in body:
        return body
    parts: list[bytes] = []
    at = 0
    while at < len(body):
        code, is_byte, at = _unquote_one(body, at, '"')
        parts.append(bytes((code,)) if is_byte else chr(code).encode("utf-8", "surrogatepass"))
    return text_of(b"".join(parts))


def unquote_character(literal: str) -> int:
    """The code point that a character literal such as ``'a'`` stands for.

    Raises:
        BadLiteral: the literal is ill-formed or holds more than one character.
    """
    code, _, end = _unquote_one(literal, 1, "'")
    if literal[end:] != "'":
        raise BadLiteral(f"malformed character constant: {literal}")
    return code


def _unquote_one(text: str, at: int, quote: str) -> tuple[int, bool, int]:
    """The code that starts at *at*, whether it is a bare byte, and where it ends."""
    first = text[at]
    if first == quote:
        raise BadLiteral("invalid syntax")
    if first != "\\":
        return ord(first), False, at + 1
    if at + 1 >= len(text):
        raise BadLiteral("invalid syntax")
    letter = text[at + 1]
    if letter == quote:
        return ord(letter), False, at + 2
    if letter in _LETTER_ESCAPES:
        return _LETTER_ESCAPES[letter], False, at + 2
    if letter in _DIGITS_AFTER:
        return _hexadecimal(text, at + 2, letter)
    if letter in _OCTAL:
        return _octal(text, at + 1)
    raise BadLiteral("invalid syntax")


def _hexadecimal(text: str, at: int, letter: str) -> tuple[int, bool, int]:
    end = at + _DIGITS_AFTER[letter]
    digits = text[at:end]
    if len(digits) < end - at or not _HEX.issuperset(digits):
        raise BadLiteral("invalid syntax")
    code = int(digits, 16)
    if letter != "x" and not is_character(code):
        raise BadLiteral("invalid syntax")
    return code, letter == "x", end


def _octal(text: str, at: int) -> tuple[int, bool, int]:
    digits = text[at : at + 3]
    if len(digits) < 3 or not _OCTAL.issuperset(digits) or int(digits, 8) > 255:
        raise BadLiteral("invalid syntax")
    return int(digits, 8), True, at + 3


def quote(text: str, *, ascii_only: bool = False) -> str:
    """*text* as a double-quoted Go literal."""
    return '"' + "".join([_written(ord(c), '"', ascii_only) for c in text]) + '"'


def quote_character(code: int, *, ascii_only: bool = False) -> str:
    """The character with *code* as a single-quoted Go literal; U+FFFD if there is none."""
    return "'" + _written(code if is_character(code) else 0xFFFD, "'", ascii_only) + "'"


def _written(code: int, quote_mark: str, ascii_only: bool) -> str:
    character = chr(code)
    if character in (quote_mark, "\\"):
        return "\\" + character
    if character.isprintable() and (code < 0x80 or not ascii_only):
        return character
    if code in _WRITTEN:
        return _WRITTEN[code]
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:  # A byte that is no UTF-8, see octets.
        return f"\\x{code - 0xDC00:02x}"
    if not is_character(code):
        return "\\ufffd"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def can_backquote(text: str) -> bool:
    """Can *text* be written as a raw literal on one line?"""
    return not any(
        c in "`\ufeff\x7f" or (c < " " and c != "\t") or "\ud800" <= c <= "\udfff" for c in text
    )
