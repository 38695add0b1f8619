"""Which parameters exist, what type and default each has, and how its text becomes a value.

The texts are read as the reference reads them, by the rules of Go's ``strconv``: what Python's
own `int` and `float` accept is something else. Sources: modelfile.md, section 6; api/types.go
of the reference; the documentation of Go's strconv.
"""

import math
import re
import struct
from dataclasses import dataclass
from enum import Enum

from mbuild.compiler.recipe import ParameterValue


class Type(Enum):
    """What a parameter holds; the value is the reference's word for it in messages."""

    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    TEXTS = "string"


@dataclass(frozen=True, slots=True)
class Option:
    """A parameter that PARAMETER may set.

    The default is what holds at run time when neither the model nor the request says anything;
    ``None`` means that the runtime decides. It is never written into a model.
    """

    name: str
    type: Type
    default: ParameterValue | None
    meaning: str


OPTIONS: dict[str, Option] = {
    option.name: option
    for option in (
        Option("num_ctx", Type.INT, 0, "tokens of context; 0: as many as the memory allows"),
        Option("num_batch", Type.INT, 512, "tokens of a prompt that are evaluated at once"),
        Option("num_gpu", Type.INT, -1, "layers on the GPU; -1: as many as fit"),
        Option("main_gpu", Type.INT, None, "the one GPU to use, counted from 0"),
        Option("use_mmap", Type.BOOL, None, "whether the weights are mapped, not read"),
        Option("num_thread", Type.INT, 0, "threads; 0: as the machine allows"),
        Option("draft_num_predict", Type.INT, 4, "tokens that the draft model guesses ahead"),
        Option("num_keep", Type.INT, 4, "first tokens that stay when the context is full"),
        Option("seed", Type.INT, -1, "start of the random numbers; -1: another each time"),
        Option("num_predict", Type.INT, -1, "most tokens of an answer; -1: until it ends"),
        Option("top_k", Type.INT, 40, "choose among that many of the likeliest tokens"),
        Option("top_p", Type.FLOAT, 0.9, "choose among the likeliest that sum to this share"),
        Option("min_p", Type.FLOAT, 0.0, "drop tokens below this share of the likeliest one"),
        Option("typical_p", Type.FLOAT, 1.0, "prefer tokens about as surprising as expected"),
        Option("repeat_last_n", Type.INT, 64, "tokens looked back on for repetitions"),
        Option("temperature", Type.FLOAT, 0.8, "0: always the likeliest; higher: more varied"),
        Option("repeat_penalty", Type.FLOAT, 1.0, "how much a repeated token is held back"),
        Option("presence_penalty", Type.FLOAT, 0.0, "taken off any token that has occurred"),
        Option("frequency_penalty", Type.FLOAT, 0.0, "taken off a token for each occurrence"),
        Option("stop", Type.TEXTS, (), "ends the answer where it appears; may repeat"),
    )
}
"""The parameters that exist, by name; names are case-sensitive."""

DEPRECATED: dict[str, str] = {
    "penalize_newline": "drop the line",
    "low_vram": "set num_gpu instead",
    "f16_kv": "drop the line",
    "logits_all": "drop the line",
    "vocab_only": "drop the line",
    "use_mlock": "drop the line",
    "mirostat": "use temperature, top_p or min_p instead",
    "mirostat_tau": "use temperature, top_p or min_p instead",
    "mirostat_eta": "use temperature, top_p or min_p instead",
}
"""Parameters that are still accepted and do nothing, and what to do instead."""

REMOVED: dict[str, str] = {
    "numa": "it was removed: drop the line",
    "num_gqa": "it was removed: the GGUF file says it",
    "tfs_z": "it was removed: use min_p or typical_p",
    "rope_frequency_base": "it was removed: the GGUF file says it",
    "rope_frequency_scale": "it was removed: the GGUF file says it",
    "embedding_only": "it was removed: the GGUF file says it",
}
"""Parameters that older versions knew and that are errors now."""


def convert(name: str, text: str) -> ParameterValue:
    """The value that *text* stands for, for the parameter called *name*.

    A number with a fraction is rounded to 32 bits and given as the shortest decimal that stands
    for it. Infinities and NaN are read, though no JSON can hold them.

    >>> convert("temperature", "0.123456789"), convert("stop", "a b")
    (0.12345679, ('a b',))

    Raises:
        KeyError: there is no such parameter.
        ValueError: *text* is none of its values; the message is the reference's.
    """
    match OPTIONS[name].type:
        case Type.INT:
            value: ParameterValue | None = _int(text)
        case Type.FLOAT:
            value = _float(text)
        case Type.BOOL:
            value = _BOOLS.get(text)
        case Type.TEXTS:
            value = (text,)
    if value is None:
        raise ValueError(f"invalid {OPTIONS[name].type.value} value [{text}]")
    return value


_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_INT = re.compile(r"([+-]?)0*([0-9]{1,19})")


def _int(text: str) -> int | None:
    """A whole number of 64 bits."""
    match = _INT.fullmatch(text)
    # Only the digits that count, for Python refuses to read thousands.
    number = int(match[1] + match[2]) if match else 2**63
    return number if -(2**63) <= number < 2**63 else None


# An underscore stands between two digits, or between the 0x and a digit. The groups that
# repeat are possessive, so that a long number is read once.
_DIGITS = r"[0-9](?:_?[0-9])*+"
_HEX_DIGITS = r"[0-9a-f](?:_?[0-9a-f])*+"
_DECIMAL = re.compile(
    rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:e[+-]?{_DIGITS})?",
    re.IGNORECASE | re.ASCII,
)
_HEXADECIMAL = re.compile(
    rf"[+-]?0x(?:_?{_HEX_DIGITS}(?:\.(?:{_HEX_DIGITS})?)?|\.{_HEX_DIGITS})p[+-]?{_DIGITS}",
    re.IGNORECASE | re.ASCII,
)
_NOT_FINITE = re.compile(r"[+-]?inf(?:inity)?|nan", re.IGNORECASE | re.ASCII)


def _float(text: str) -> float | None:
    """A number of 32 bits, as the 64-bit number that has its shortest decimal."""
    if _NOT_FINITE.fullmatch(text):
        return float(text)
    single = _single(text)
    return None if single is None else _shortest(single)


def _single(text: str) -> float | None:
    """The 32-bit number nearest to *text*; ``None`` if that is no number or too large a one."""
    digits = text.replace("_", "")
    if _DECIMAL.fullmatch(text):
        nearest_double = float(digits)
    elif _HEXADECIMAL.fullmatch(text):
        nearest_double = _from_hexadecimal(digits)
    else:
        return None
    magnitude = _nearest_single(abs(nearest_double), digits)
    return None if magnitude is None else math.copysign(magnitude, nearest_double)


def _from_hexadecimal(digits: str) -> float:
    try:
        return float.fromhex(digits)
    except OverflowError:
        return math.inf


_LARGEST = (2 - 2**-23) * 2.0**127
_TOO_LARGE = (2 - 2**-24) * 2.0**127  # Half-way to the next, which does not exist.


def _nearest_single(double: float, digits: str) -> float | None:
    """The 32-bit number nearest to *digits*, of which *double* is the nearest 64-bit one.

    Rounding twice goes wrong where the first rounding ends half-way between two 32-bit numbers;
    there the digits themselves decide.
    """
    if double >= _TOO_LARGE:
        return _LARGEST if double == _TOO_LARGE and _side(digits, double) < 0 else None
    rounded: float = struct.unpack("<f", struct.pack("<f", double))[0]
    if rounded == double:
        return rounded
    lower = rounded if rounded < double else _step(rounded, -1)
    upper = _step(lower, 1)
    if double != (lower + upper) / 2:
        return rounded
    side = _side(digits, double)
    # On neither side: the even one, as `struct` has chosen.
    return lower if side < 0 else upper if side > 0 else rounded


def _step(single: float, by: int) -> float:
    """The 32-bit number that is *by* places away from *single*, which is not negative."""
    bits: int = struct.unpack("<I", struct.pack("<f", single))[0]
    stepped: float = struct.unpack("<f", struct.pack("<I", bits + by))[0]
    return stepped


def _side(digits: str, double: float) -> int:
    """-1, 0 or 1: whether the magnitude of *digits* is below, at or above *double*."""
    # Imported here: one number in millions needs them.
    from decimal import Decimal
    from fractions import Fraction

    exact: Decimal | Fraction
    if _DECIMAL.fullmatch(digits):
        exact = Decimal(digits).copy_abs()  # Unlike abs(), it rounds nothing.
    else:
        mantissa, _, exponent = digits.lower().lstrip("+-")[2:].partition("p")
        whole, _, fraction = mantissa.partition(".")
        exact = int(whole + fraction, 16) * Fraction(2) ** (int(exponent) - 4 * len(fraction))
    return (exact > double) - (exact < double)


def _shortest(single: float) -> float:
    """The shortest decimal that only *single*, of all 32-bit numbers, is nearest to.

    >>> _shortest(struct.unpack("<f", struct.pack("<f", 0.1))[0])
    0.1
    """
    magnitude = abs(single)
    for precision in range(9):
        digits, _, exponent = f"{magnitude:.{precision}e}".partition("e")
        last = int(digits.replace(".", ""))
        # The next ones too: below a power of two the numbers stand closer than above it, so
        # that the nearest decimal may belong to a neighbour and the second nearest not.
        decimals = [
            f"{number}e{int(exponent) - precision}" for number in (last, last - 1, last + 1)
        ]
        fitting = [float(decimal) for decimal in decimals if _single(decimal) == magnitude]
        if fitting:
            nearest_one = min(fitting, key=lambda decimal: abs(decimal - magnitude))
            return math.copysign(nearest_one, single)
    raise AssertionError("nine digits tell any two 32-bit numbers apart")
