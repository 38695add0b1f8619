"""Go's number literals → values.

A template's number has no type of its own: it is complex if written with ``i``, a float64 if
written with a point or an exponent, else an int; an int too large for 64 bits is refused when
the template is read, one that only fits an unsigned 64-bit integer when it runs.
"""

import re

from mbuild.compiler.template.quote import BadLiteral, quote

_LARGEST = 2**63 - 1
_LARGEST_UNSIGNED = 2**64 - 1
_LONGEST = 64  # digits of a 64-bit number in binary
_INTEGER = re.compile(
    r"([+-]?)(?:0[xX]((?:_?[0-9a-fA-F])+)|0[oO]?((?:_?[0-7])+)|0[bB]((?:_?[01])+)"
    r"|(0|[1-9](?:_?[0-9])*))"
)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEXADECIMAL = re.compile(
    r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+"
)
_BASES = (16, 8, 2, 10)


class Overflow:
    """The value of a literal that fits an unsigned 64-bit integer but not an int."""

    __slots__ = ()


OVERFLOW = Overflow()
Number = int | float | complex | Overflow


def parse_number(text: str) -> Number:
    """The value of a number literal.

    Raises:
        BadLiteral: it is no number, or a whole number out of range.
    """
    if text.endswith("i"):
        imaginary = _float(text[:-1])
        if imaginary is not None:
            return complex(0.0, imaginary)
    whole = _integer(text)
    if whole is not None and -_LARGEST - 1 <= whole <= _LARGEST:
        return float(whole) if _looks_fractional(text) else whole
    if whole is not None and whole <= _LARGEST_UNSIGNED and whole >= 0 and text[0] not in "+-":
        return OVERFLOW
    value = _float(text)
    if value is None:
        raise BadLiteral(f"illegal number syntax: {quote(text)}")
    if not _looks_fractional(text):
        raise BadLiteral(f"integer overflow: {quote(text)}")
    return value


def parse_complex(text: str) -> complex:
    """The value of ``1+2i``.

    Raises:
        BadLiteral: one of the two halves is no number.
    """
    split = max(text.rfind("+", 1, -1), text.rfind("-", 1, -1))
    if text[split - 1] in "eEpP":  # The sign belongs to the exponent of the second half.
        split = max(text.rfind("+", 1, split - 1), text.rfind("-", 1, split - 1))
    real, imaginary = _float(text[:split]), _float(text[split:-1])
    if real is None or imaginary is None:
        raise BadLiteral("syntax error scanning complex number")
    return complex(real, imaginary)


def _looks_fractional(text: str) -> bool:
    """Does the reference take *text* for a float?

    The E of a hexadecimal number is a digit, but only where no sign precedes the ``0x``:
    ``{{0x1E}}`` is an int, ``{{-0x1E}}`` a float64.
    """
    if text[:2] in ("0x", "0X"):
        return any(c in "pP" for c in text)
    return any(c in ".eEpP" for c in text)


def _integer(text: str) -> int | None:
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    digits, base = next((d, b) for d, b in zip(match.groups()[1:], _BASES, strict=True) if d)
    plain = digits.replace("_", "").lstrip("0") or "0"
    # Python refuses to read thousands of digits, and no 64 bits hold so many.
    value = int(plain, base) if len(plain) <= _LONGEST else _LARGEST_UNSIGNED + 1
    return -value if match[1] == "-" else value


def _float(text: str) -> float | None:
    """The float that *text* spells, or None: no number, or too large."""
    plain = _without_underscores(text)
    if plain is None:
        return None
    if _DECIMAL.fullmatch(plain):
        value = float(plain)
    elif _HEXADECIMAL.fullmatch(plain):
        value = _hexadecimal(plain)
    else:
        return None
    return None if value in (float("inf"), float("-inf")) else value


def _hexadecimal(text: str) -> float:
    try:
        return float.fromhex(text)
    except OverflowError:
        return float("inf")


def _without_underscores(text: str) -> str | None:
    """*text* without its underscores, or None where one may not stand.

    Floats allow underscores between digits (and behind a base prefix), and only when the
    literal has a base prefix or is decimal.
    """
    if "_" not in text:
        return text
    body = text.lstrip("+-")
    prefixed = body[:2] in ("0x", "0X")
    rest = body[2:] if prefixed else body
    digit = "[0-9a-fA-F]" if prefixed else "[0-9]"
    between = re.sub(rf"(?<={digit})_(?={digit})", "", rest)
    if prefixed and between.startswith("_"):
        between = between[1:]
    if "_" in between:
        return None
    return text[: len(text) - len(rest)] + between
