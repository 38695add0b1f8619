"""What ``print``, ``println`` and ``printf`` write: Go's ``fmt`` for the values of a template.

Source: the documentation of Go's ``fmt`` package, and its behaviour for misuse (``%!d(string=x)``,
``%!(EXTRA int=2)`` ...), which is part of its contract.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mbuild.compiler.template.failure import CallFailed
from mbuild.compiler.template.floats import format_float
from mbuild.compiler.template.octets import octets, text_of, whole
from mbuild.compiler.template.quote import can_backquote, is_character, quote, quote_character
from mbuild.compiler.template.value import (
    SEQUENCES,
    Absent,
    Byte,
    Slice,
    Struct,
    Value,
    Window,
    boxes_elements,
    elements,
    is_nil,
    is_nothing,
    keys_in_order,
    text_form,
    type_name,
)

_LARGEST_NUMBER = 1_000_000  # for a width or a precision
_BASES = {"b": 2, "o": 8, "O": 8, "d": 10, "v": 10, "x": 16, "X": 16}
_FLOAT_VERBS = frozenset("beEfFgGxX")
_SIXTY_FOUR_BITS = (1 << 64) - 1
LONGEST = 1 << 26
"""How many characters a function may give; a width of a million is a short way to ask for more."""
_POINTER = "0xc000000000"  # Of no use to anyone: in Go it differs from run to run.


class _Meter:
    """How many more characters one call may make."""

    def __init__(self) -> None:
        self.left = LONGEST

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise CallFailed(f"more than {LONGEST} characters")


@dataclass(frozen=True, slots=True)
class _Flags:
    """What stands between a % and its verb."""

    sharp: bool = False
    zero: bool = False
    plus: bool = False
    minus: bool = False
    space: bool = False
    width: int | None = None
    precision: int | None = None
    go_syntax: bool = False  # %#v
    field_names: bool = False  # %+v
    faulty: bool = False  # inside %!verb(...): values show no text form
    meter: _Meter | None = None  # where a width or a precision is given


_PLAIN = _Flags()


def display(value: Value) -> str:
    """*value* as ``{{value}}`` writes it."""
    if isinstance(value, str):
        return value
    if is_nothing(value):
        return "<no value>"
    if isinstance(value, Struct) and value.pointer:
        text = text_form(value)
        return _struct(value, "v", _PLAIN, 0) if text is None else text
    return _argument(value, "v", _PLAIN)


def sprint(values: Sequence[Value]) -> str:
    """*values* one after another, with a blank between two neighbours that are no strings."""
    if len(values) == 1 and isinstance(values[0], str):
        return values[0]
    pieces: list[str] = []
    after_text = True
    for value in values:
        is_text = isinstance(value, str)
        if not is_text and not after_text:
            pieces.append(" ")
        pieces.append(_argument(value, "v", _PLAIN))
        after_text = is_text
    if sum(map(len, pieces)) > LONGEST:
        raise CallFailed(f"more than {LONGEST} characters")
    return whole("".join(pieces))


def sprintln(values: Sequence[Value]) -> str:
    """*values* with blanks between all of them, and a newline."""
    pieces = [_argument(value, "v", _PLAIN) for value in values]
    if sum(map(len, pieces)) > LONGEST:
        raise CallFailed(f"more than {LONGEST} characters")
    return whole(" ".join(pieces) + "\n")


def sprintf(form: str, values: Sequence[Value]) -> str:
    """*values* as the verbs of *form* ask for."""
    return whole(_Printer(form, values).run())


class _Printer:
    """The state of one printf: where it is in the format, and in the arguments."""

    def __init__(self, form: str, values: Sequence[Value]) -> None:
        self.form = form
        self.values = values
        self.at = 0
        self.number = 0  # of the next argument
        self.reordered = False  # an explicit index such as %[2]d was met
        self.index_is_good = True
        self.after_index = False
        self.pieces: list[str] = []
        self.meter = _Meter()
        self.total = _Meter()

    def run(self) -> str:
        end = len(self.form)
        while self.at < end:
            percent = self.form.find("%", self.at)
            if percent < 0:
                self.pieces.append(self.form[self.at :])
                break
            self.pieces.append(self.form[self.at : percent])
            self.at = percent + 1
            self.verb()
            self.total.take(len(self.pieces[-1]))
        if not self.reordered and self.number < len(self.values):
            self.pieces.append(self.extra())
        return "".join(self.pieces)

    def verb(self) -> None:
        self.index_is_good = True
        self.after_index = False
        flags = self.flags()
        self.index()
        flags = self.precision(self.width(flags))
        if not self.after_index:
            self.index()
        if self.at >= len(self.form):
            self.pieces.append("%!(NOVERB)")
            return
        verb = self.form[self.at]
        self.at += 1
        if verb == "%":
            self.pieces.append("%")
        elif not self.index_is_good:
            self.pieces.append(f"%!{verb}(BADINDEX)")
        elif self.number >= len(self.values):
            self.pieces.append(f"%!{verb}(MISSING)")
        else:
            if verb == "v":
                flags = replace(
                    flags, go_syntax=flags.sharp, field_names=flags.plus, sharp=False, plus=False
                )
            self.pieces.append(_argument(self.values[self.number], verb, flags))
            self.number += 1

    def flags(self) -> _Flags:
        begin = self.at
        while self.at < len(self.form) and self.form[self.at] in "#0+- ":
            self.at += 1
        if self.at == begin:
            return _PLAIN
        given = self.form[begin : self.at]
        return _Flags("#" in given, "0" in given, "+" in given, "-" in given, " " in given)

    def width(self, flags: _Flags) -> _Flags:
        if self.here() == "*":
            width = self.number_from_argument()
            self.after_index = False
            if width is None:
                self.pieces.append("%!(BADWIDTH)")
                return flags
            if width < 0:
                return replace(flags, width=-width, minus=True, zero=False, meter=self.meter)
            return replace(flags, width=width, meter=self.meter)
        width = self.digits()
        if width is None:
            return flags
        if self.after_index:
            self.index_is_good = False
        return replace(flags, width=width, meter=self.meter)

    def precision(self, flags: _Flags) -> _Flags:
        if self.here() != ".":
            return flags
        self.at += 1
        if self.after_index:
            self.index_is_good = False
        self.index()
        if self.here() == "*":
            precision = self.number_from_argument()
            self.after_index = False
            if precision is None or precision < 0:
                self.pieces.append("%!(BADPREC)")
                return flags
            return replace(flags, precision=precision, meter=self.meter)
        return replace(flags, precision=self.digits() or 0, meter=self.meter)

    def here(self) -> str:
        return self.form[self.at : self.at + 1]

    def digits(self) -> int | None:
        number, self.at = _digits(self.form, self.at, len(self.form))
        return number

    def number_from_argument(self) -> int | None:
        """The argument that ``*`` takes, if it is a whole number of a decent size."""
        self.at += 1
        if self.number >= len(self.values):
            return None
        value = self.values[self.number]
        self.number += 1
        if type(value) not in (int, Byte) or abs(value) > _LARGEST_NUMBER:
            return None
        return int(value)

    def index(self) -> None:
        """Read ``[3]``, if it is there: it names the next argument."""
        self.after_index = False
        if self.here() != "[":
            return
        self.reordered = True
        closing = self.form.find("]", self.at + 1)
        if closing < 0 or len(self.form) - self.at < 3:
            self.index_is_good = False
            self.at += 1
            return
        number, stopped = _digits(self.form, self.at + 1, closing)
        self.at = closing + 1
        self.after_index = number is not None and stopped == closing
        if self.after_index and number is not None and 0 < number <= len(self.values):
            self.number = number - 1
        else:
            self.index_is_good = False

    def extra(self) -> str:
        shown = [
            "<nil>" if is_nothing(value) else f"{type_name(value)}={_argument(value, 'v', _PLAIN)}"
            for value in self.values[self.number :]
        ]
        return f"%!(EXTRA {', '.join(shown)})"


def _digits(text: str, start: int, end: int) -> tuple[int | None, int]:
    """The number written at *start*, and where it ends; none at all if it is absurdly large."""
    at = start
    number = 0
    while at < end and "0" <= text[at] <= "9":
        if number > _LARGEST_NUMBER:
            return None, end
        number = number * 10 + int(text[at])
        at += 1
    return (number if at > start else None), at


# One value by one verb.


def _argument(value: Value, verb: str, flags: _Flags) -> str:
    if is_nothing(value):
        return _pad("<nil>", flags) if verb in "Tv" else f"%!{verb}(<nil>)"
    if verb == "T":
        return _pad(_truncated(type_name(value), flags), flags)
    if verb == "p":
        return _bad(value, verb, flags)
    return _formatted(value, verb, flags, 0)


def _formatted(value: Value, verb: str, flags: _Flags, depth: int) -> str:
    """*value* by *verb*; *depth* counts the values that it lies in."""
    if isinstance(value, str):
        return _text(value, verb, flags, value)
    if isinstance(value, bool):
        return (
            _pad("true" if value else "false", flags)
            if verb in "tv"
            else (_bad(value, verb, flags))
        )
    if isinstance(value, int):
        return _integer(value, verb, flags)
    if isinstance(value, float):
        return _float(value, verb, flags)
    if isinstance(value, complex):
        return _complex(value, verb, flags)
    text = None if flags.faulty or flags.go_syntax or verb not in "vsxXq" else text_form(value)
    if text is not None:
        return _text(text, verb, flags, value)
    if isinstance(value, Struct):
        if not value.pointer:
            return _struct(value, verb, flags, depth)
        return _POINTER if depth else "&" + _struct(value, verb, flags, depth + 1)
    if isinstance(value, SEQUENCES):
        return _sequence(value, verb, flags, depth)
    if isinstance(value, dict):
        return _map(value, verb, flags, depth)
    assert isinstance(value, Absent)
    return "<nil>"


def _bad(value: Value, verb: str, flags: _Flags) -> str:
    shown = _formatted(value, "v", replace(flags, faulty=True), 0)
    return f"%!{verb}({type_name(value)}={shown})"


def _pad(text: str, flags: _Flags) -> str:
    if flags.meter is not None:
        flags.meter.take(max(flags.width or 0, len(text)))
    if flags.width is None:
        return text
    missing = flags.width - len(whole(text))
    if missing <= 0:
        return text
    if flags.minus:
        return text + " " * missing
    return ("0" if flags.zero else " ") * missing + text


def _truncated(text: str, flags: _Flags) -> str:
    return text if flags.precision is None else text[: flags.precision]


def _text(text: str, verb: str, flags: _Flags, value: Value) -> str:
    if verb == "q" or (verb == "v" and flags.go_syntax):
        text = _truncated(text, flags)
        if flags.sharp and can_backquote(text):
            return _pad(f"`{text}`", flags)
        return _pad(quote(text, ascii_only=flags.plus), flags)
    if verb in "vs":
        return _pad(_truncated(text, flags), flags)
    if verb in "xX":
        return _hexadecimal(octets(text), verb, flags)
    return _bad(value, verb, flags)


def _hexadecimal(data: bytes, verb: str, flags: _Flags) -> str:
    shown = data if flags.precision is None else data[: flags.precision]
    if not shown:
        return _pad("", flags)
    prefix = f"0{verb}" if flags.sharp else ""
    digits = shown.hex() if verb == "x" else shown.hex().upper()
    if not flags.space:
        return _pad(prefix + digits, flags)
    pairs = [prefix + digits[at : at + 2] for at in range(0, len(digits), 2)]
    return _pad(" ".join(pairs), flags)


def _integer(value: int, verb: str, flags: _Flags) -> str:
    if verb == "c":
        return _pad(chr(value) if is_character(value) else "\ufffd", flags)
    if verb == "q":
        return _pad(quote_character(value, ascii_only=flags.plus), flags)
    if verb == "U":
        return _unicode(value, flags)
    if verb not in _BASES:
        return _bad(value, verb, flags)
    if isinstance(value, Byte) and verb == "v" and flags.go_syntax:
        return _based(value, "x", replace(flags, sharp=True))
    return _based(value, verb, flags)


def _based(value: int, verb: str, flags: _Flags) -> str:
    unpadded = replace(flags, zero=False)
    digits = format(abs(value), {2: "b", 8: "o", 10: "d", 16: "x"}[_BASES[verb]])
    if flags.precision is not None:
        if flags.precision == 0 and value == 0:
            return _pad("", unpadded)
        digits = digits.rjust(flags.precision, "0")
    elif flags.zero and not flags.minus and flags.width is not None:
        signed = value < 0 or flags.plus or flags.space
        digits = digits.rjust(flags.width - signed, "0")
    if flags.sharp:
        digits = _prefixed(digits, verb)
    if verb == "O":
        digits = "0o" + digits
    sign = "-" if value < 0 else "+" if flags.plus else " " if flags.space else ""
    return _pad(sign + (digits.upper() if verb == "X" else digits), unpadded)


def _prefixed(digits: str, verb: str) -> str:
    if verb == "b":
        return "0b" + digits
    if verb in "oO":
        return digits if digits.startswith("0") else "0" + digits
    return "0x" + digits if verb in "xX" else digits


def _unicode(value: int, flags: _Flags) -> str:
    code = value & _SIXTY_FOUR_BITS
    text = f"U+{code:0{max(flags.precision or 0, 4)}X}"
    if flags.sharp and is_character(code) and chr(code).isprintable():
        text += f" '{chr(code)}'"
    return _pad(text, replace(flags, zero=False))


def _float(value: float, verb: str, flags: _Flags) -> str:
    if verb == "v":
        return _written_float(value, "g", -1, flags, verb)
    if verb not in _FLOAT_VERBS:
        return _bad(value, verb, flags)
    default = 6 if verb in "eEfF" else -1
    return _written_float(value, "f" if verb == "F" else verb, default, flags, verb)


def _written_float(value: float, style: str, default: int, flags: _Flags, verb: str) -> str:
    precision = default if flags.precision is None else flags.precision
    text = format_float(value, style, precision)
    sign, digits = (text[0], text[1:]) if text[0] in "+-" else ("+", text)
    if flags.space and sign == "+" and not flags.plus:
        sign = " "
    if digits[0] in "IN":
        kept = "" if digits[0] == "N" and not flags.space and not flags.plus else sign
        shown = kept if kept != "+" or flags.plus else ""
        return _pad(shown + digits, replace(flags, zero=False))
    if flags.sharp and verb != "b":
        digits = _with_point(digits, style, precision)
    if not flags.plus and sign == "+":
        return _pad(digits, flags)
    if flags.zero and not flags.minus and flags.width is not None:
        return sign + digits.rjust(flags.width - 1, "0")
    return _pad(sign + digits, flags)


def _with_point(digits: str, style: str, precision: int) -> str:
    """What ``#`` asks for: a decimal point always, and for ``g`` the zeros behind it too."""
    wanted = 0
    if style in "gGx":
        wanted = 6 if precision == -1 else precision
    exponents = "pP" if style in "xX" else "eEpP"
    split = next((at for at, c in enumerate(digits) if c in exponents), len(digits))
    mantissa, tail = digits[:split], digits[split:]
    significant = mantissa.replace(".", "").lstrip("0")
    wanted -= len(significant)
    if "." not in mantissa:
        wanted -= mantissa == "0"
        mantissa += "."
    return mantissa + "0" * max(wanted, 0) + tail


def _complex(value: complex, verb: str, flags: _Flags) -> str:
    if verb != "v" and verb not in _FLOAT_VERBS:
        return _bad(value, verb, flags)
    imaginary = _float(value.imag, verb, replace(flags, plus=True))
    return f"({_float(value.real, verb, flags)}{imaginary}i)"


# Values that hold others.


def _inner(value: Value, verb: str, flags: _Flags, depth: int, *, boxed: bool) -> str:
    if value is None:
        return "interface {}(nil)" if flags.go_syntax and boxed else "<nil>"
    return _formatted(value, verb, flags, depth + 1)


def _sequence(
    value: "list[Value] | Slice | Window | bytes", verb: str, flags: _Flags, depth: int
) -> str:
    if verb in "sqxX" and (data := _bytes(value)) is not None:
        if verb in "xX":
            return _hexadecimal(data, verb, flags)
        return _text(text_of(data), verb, flags, value)
    if flags.go_syntax and is_nil(value):
        return f"{type_name(value)}(nil)"
    boxed = boxes_elements(value)
    inner = [_inner(each, verb, flags, depth, boxed=boxed) for each in elements(value)]
    if flags.go_syntax:
        return f"{type_name(value)}{{{', '.join(inner)}}}"
    return f"[{' '.join(inner)}]"


def _bytes(value: "list[Value] | Slice | Window | bytes") -> bytes | None:
    base = value.base if isinstance(value, Window) else value
    return bytes(value) if isinstance(base, bytes) else None


def _map(value: dict[str, Value], verb: str, flags: _Flags, depth: int) -> str:
    if flags.go_syntax and is_nil(value):
        return f"{type_name(value)}(nil)"
    boxed = boxes_elements(value)
    inner = [
        _text(key, verb, flags, key) + ":" + _inner(value[key], verb, flags, depth, boxed=boxed)
        for key in keys_in_order(value)
    ]
    if flags.go_syntax:
        return f"{type_name(value)}{{{', '.join(inner)}}}"
    return f"map[{' '.join(inner)}]"


def _struct(value: Struct, verb: str, flags: _Flags, depth: int) -> str:
    named = flags.go_syntax or flags.field_names
    inner = [
        (f"{name}:" if named else "")
        + _inner(member, verb, flags, depth, boxed=name in value.boxed)
        for name, member in zip(value.members, value.member_values(), strict=True)
    ]
    if flags.go_syntax:
        return f"{value.go_type}{{{', '.join(inner)}}}"
    return "{" + " ".join(inner) + "}"
