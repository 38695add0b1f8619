"""How Go writes a float64 (the formats of its ``strconv.FormatFloat``)."""

import math
import struct

_MANTISSA_BITS = 52
_BIAS = 1023
_LONGEST_PLAIN = 6  # digits before the point


def shortest(value: float) -> tuple[str, int]:
    """The fewest digits that give *value* back, and the power of ten of the first one.

    *value* is finite and not negative; zero is ``("0", 0)``.
    """
    mantissa, _, exponent = f"{value!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "0", 0
    power = int(exponent or 0) + len(whole) - 1
    if whole == "0":
        power = int(exponent or 0) - 1 - (len(fraction) - len(fraction.lstrip("0")))
    return digits.rstrip("0") or "0", power


def format_float(value: float, verb: str, precision: int) -> str:
    """*value* by *verb* (one of b e E f g G x X); precision -1 means as short as is exact."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    return sign + _format(abs(value), verb, precision)


def _format(value: float, verb: str, precision: int) -> str:
    if verb == "b":
        return _binary(value)
    if verb in "xX":
        written = _hexadecimal(value, precision)
        return written.upper() if verb == "X" else written
    if precision >= 0:
        return f"{value:.{precision}{verb}}"
    digits, power = shortest(value)
    if verb in "eE" or (verb in "gG" and not -4 <= power < _LONGEST_PLAIN):
        return _exponential(digits, power, "E" if verb in "EG" else "e")
    return _positional(digits, power)


def _exponential(digits: str, power: int, letter: str) -> str:
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}{letter}{'-' if power < 0 else '+'}{abs(power):02d}"


def _positional(digits: str, power: int) -> str:
    if power < 0:
        return "0." + "0" * (-power - 1) + digits
    whole = digits[: power + 1].ljust(power + 1, "0")
    fraction = digits[power + 1 :]
    return f"{whole}.{fraction}" if fraction else whole


def _parts(value: float) -> tuple[int, int]:
    """The mantissa as an integer of at most 53 bits, and its binary exponent."""
    (bits,) = struct.unpack(">Q", struct.pack(">d", value))
    exponent = bits >> _MANTISSA_BITS & 0x7FF
    mantissa = bits & (1 << _MANTISSA_BITS) - 1
    if exponent:
        mantissa |= 1 << _MANTISSA_BITS
    else:
        exponent = 1
    return mantissa, exponent - _BIAS


def _binary(value: float) -> str:
    mantissa, exponent = _parts(value)
    return f"{mantissa}p{exponent - _MANTISSA_BITS:+d}"


def _hexadecimal(value: float, precision: int) -> str:
    mantissa, exponent = _parts(value)
    if not mantissa:
        exponent = 0
    while mantissa and not mantissa >> _MANTISSA_BITS:
        mantissa <<= 1
        exponent -= 1
    if 0 <= precision < 13:
        mantissa, exponent = _rounded(mantissa, exponent, precision)
    digits = f"{mantissa & (1 << _MANTISSA_BITS) - 1:013x}"
    digits = digits.rstrip("0") if precision < 0 else digits[:precision].ljust(precision, "0")
    fraction = "." + digits if digits else ""
    lead = mantissa >> _MANTISSA_BITS
    return f"0x{lead}{fraction}p{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _rounded(mantissa: int, exponent: int, precision: int) -> tuple[int, int]:
    """The mantissa rounded, half to even, to *precision* hexadecimal digits."""
    dropped = _MANTISSA_BITS - 4 * precision
    half = 1 << dropped - 1
    rest = mantissa & (1 << dropped) - 1
    mantissa >>= dropped
    if rest > half or (rest == half and mantissa & 1):
        mantissa += 1
    mantissa <<= dropped
    if mantissa >> _MANTISSA_BITS + 1:
        return mantissa >> 1, exponent + 1
    return mantissa, exponent
