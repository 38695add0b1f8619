"""The functions of the template language: Go's own, and those that the reference adds.

``and`` and ``or`` are not here: they do not evaluate all of their arguments, so they belong to
:mod:`mbuild.compiler.template.compile`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from mbuild.compiler.template.chat import Property
from mbuild.compiler.template.encoding import json_text
from mbuild.compiler.template.failure import CallFailed
from mbuild.compiler.template.formatting import display, sprint, sprintf, sprintln
from mbuild.compiler.template.octets import octets, size, text_of, whole
from mbuild.compiler.template.value import (
    ABSENT,
    SEQUENCES,
    Byte,
    Map,
    Slice,
    Struct,
    Value,
    Window,
    capacity,
    check_key,
    cut,
    element,
    is_nil,
    is_nothing,
    type_name,
)


@dataclass(frozen=True, slots=True)
class Function:
    """A function, and what Go's reflection would tell of its parameters."""

    call: Callable[..., Value]
    fixed: int = 0  # parameters before the variadic one
    variadic: bool = False
    texts: bool = False  # the first (or each variadic) parameter must be a string
    produces: bool = False  # makes text, which counts towards the limit of a rendering
    dated: bool = False  # gets the day of the rendering in front of its arguments


def _not(value: Value) -> bool:
    return not value


_COUNTED = (dict, *SEQUENCES)
_WHOLE = (list, Slice)


def _length(value: Value) -> int:
    if isinstance(value, _COUNTED):
        return len(value)
    if isinstance(value, str):
        return size(value)
    if value is None:
        raise CallFailed("len of nil pointer")
    if value is ABSENT:
        raise CallFailed("reflect: call of reflect.Value.Type on zero Value")
    raise CallFailed(f"len of type {_pointed(value)}")


def _pointed(value: Value) -> str:
    """The type of *value*, or of what it points to."""
    return type_name(value).removeprefix("*") if isinstance(value, Struct) else type_name(value)


def _index(item: Value, *keys: Value) -> Value:
    if is_nothing(item):
        raise CallFailed("index of untyped nil")
    for key in keys:
        item = _indexed(item, key)
    return item


def _indexed(item: Value, key: Value) -> Value:
    if item is None:
        raise CallFailed("index of nil pointer")
    if isinstance(item, str):
        data = octets(item)
        return Byte(data[_position(key, len(data), "string")])
    if isinstance(item, SEQUENCES):
        return element(item, _position(key, len(item), "slice"))
    if isinstance(item, dict):
        found = check_key(key)
        if found in item:
            return item[found]
        return item.missing() if isinstance(item, Map) else None
    raise CallFailed(f"can't index item of type {_pointed(item)}")


def _position(key: Value, length: int, kind: str) -> int:
    at = _bound(key, length)
    if at == length:
        raise CallFailed(f"reflect: {kind} index out of range")
    return at


def _bound(key: Value, limit: int) -> int:
    if type(key) not in (int, Byte):
        if is_nothing(key):
            raise CallFailed("cannot index slice/array with nil")
        raise CallFailed(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= limit:
        raise CallFailed(f"index out of range: {key}")
    return int(key)


def _slice(item: Value, *bounds: Value) -> Value:
    if len(bounds) == 1 and isinstance(item, _WHOLE) and type(bounds[0]) is int:
        # What templates ask in each turn of a loop, to know which turn is the last.
        length = len(item)
        if 0 <= bounds[0] <= length:
            return Window(item, bounds[0], length, length)
    if is_nothing(item):
        raise CallFailed("slice of untyped nil")
    if len(bounds) > 3:
        raise CallFailed(f"too many slice indexes: {len(bounds)}")
    if isinstance(item, str):
        if len(bounds) == 3:
            raise CallFailed("cannot 3-index slice a string")
        return _cut_text(item, *bounds)
    if not isinstance(item, SEQUENCES):
        raise CallFailed(f"can't slice item of type {type_name(item)}")
    limit = capacity(item)
    start, stop, end = 0, len(item), limit
    if bounds:
        start = _bound(bounds[0], limit)
    if len(bounds) > 1:
        stop = _bound(bounds[1], limit)
    if len(bounds) > 2:
        end = _bound(bounds[2], limit)
    if start > stop:
        raise CallFailed(f"invalid slice index: {start} > {stop}")
    if stop > end:
        raise CallFailed(f"invalid slice index: {stop} > {end}")
    return cut(item, start, stop, end)


def _cut_text(text: str, *bounds: Value) -> str:
    data: str | bytes = text if text.isascii() else octets(text)
    at = [0, len(data)]
    for number, bound in enumerate(bounds):
        at[number] = _bound(bound, len(data))
    if at[0] > at[1]:
        raise CallFailed(f"invalid slice index: {at[0]} > {at[1]}")
    part = data[at[0] : at[1]]
    return part if isinstance(part, str) else text_of(part)


# Comparison.

_KINDS: dict[type, str] = {
    bool: "bool",
    int: "int",
    Byte: "int",  # Signed and unsigned integers compare with each other.
    float: "float",
    complex: "complex",
}


def _kind(value: Value) -> str | None:
    return "string" if isinstance(value, str) else _KINDS.get(type(value))


def equal(left: Value, *rights: Value) -> bool:
    """Is *left* equal to any of *rights*?

    Raises:
        CallFailed: two values are of kinds that cannot be compared.
    """
    if not rights:
        raise CallFailed("missing argument for comparison")
    return any(_equal(left, right) for right in rights)


def _equal(left: Value, right: Value) -> bool:
    kind = _kind(left)
    if kind != _kind(right):
        if is_nothing(left) or is_nothing(right):
            return False
        raise _incompatible(left, right)
    if kind is not None:
        return bool(left == right)
    if is_nil(left) or is_nil(right):
        return is_nil(left) and is_nil(right)
    if _shape(left) != _shape(right):
        shown = sprintf("%s: %T, %T: %v", (left, left, right, right))
        raise CallFailed(f"non-comparable types {shown}")
    if isinstance(right, Struct) and right.pointer:
        return left is right
    raise CallFailed(f"non-comparable type {sprintf('%s: %T', (right, right))}")


def _shape(value: Value) -> str:
    if isinstance(value, Struct):
        return "pointer" if value.pointer else "struct"
    return "map" if isinstance(value, dict) else "slice"


def _incompatible(left: Value, right: Value) -> CallFailed:
    return CallFailed(
        f"incompatible types for comparison: {type_name(left)} and {type_name(right)}"
    )


def _unequal(left: Value, right: Value) -> bool:
    return not equal(left, right)


def _less(left: Value, right: Value) -> bool:
    kinds = _kind(left), _kind(right)
    if None in kinds:
        raise CallFailed("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise _incompatible(left, right)
    if kinds[0] in ("bool", "complex"):
        raise CallFailed("invalid type for comparison")
    return bool(left < right)


def _less_or_equal(left: Value, right: Value) -> bool:
    return _less(left, right) or equal(left, right)


def _greater(left: Value, right: Value) -> bool:
    return not _less_or_equal(left, right)


def _greater_or_equal(left: Value, right: Value) -> bool:
    return not _less(left, right)


# Text.


def _joined(values: tuple[Value, ...]) -> str:
    """The printed form of *values*, as html and its like take it."""
    return sprint([display(value) if _is_reference(value) else value for value in values])


def _is_reference(value: Value) -> bool:
    """Is *value* nothing or a pointer, which these functions look behind?"""
    return is_nothing(value) or (isinstance(value, Struct) and value.pointer)


def _print(*values: Value) -> str:
    return sprint(values)


def _println(*values: Value) -> str:
    return sprintln(values)


def _printf(form: str, *values: Value) -> str:
    return sprintf(form, values)


_HTML = {
    "<": "&lt;",
    ">": "&gt;",
    "&": "&amp;",
    "'": "&#39;",
    '"': "&#34;",
    "\0": "\ufffd",
}
_HTML_TABLE = str.maketrans(_HTML)


def _html(*values: Value) -> str:
    return _joined(values).translate(_HTML_TABLE)


def _js(*values: Value) -> str:
    return "".join([_js_character(c) for c in whole(_joined(values))])


def _js_character(character: str) -> str:
    if character in "\\'\"":
        return "\\" + character
    if character in "<>&=" or character < " ":
        return f"\\u{ord(character):04X}"
    stray = "\udc80" <= character <= "\udcff"
    if character.isascii() or character.isprintable() or stray:
        return character
    return f"\\u{ord(character):04X}"


_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")


def _urlquery(*values: Value) -> str:
    return "".join(
        [
            chr(code) if code in _UNRESERVED else "+" if code == 32 else f"%{code:02X}"
            for code in octets(_joined(values))
        ]
    )


def _call(_value: Value, *_values: Value) -> Value:
    """What is said of a call is worded by the compiler, which knows the callee's text."""
    raise CallFailed("call of nil")


GO_FUNCTIONS: Mapping[str, Function] = {
    "call": Function(_call, fixed=1, variadic=True),
    "html": Function(_html, variadic=True, produces=True),
    "index": Function(_index, fixed=1, variadic=True),
    "slice": Function(_slice, fixed=1, variadic=True),
    "js": Function(_js, variadic=True, produces=True),
    "len": Function(_length, fixed=1),
    "not": Function(_not, fixed=1),
    "print": Function(_print, variadic=True, produces=True),
    "printf": Function(_printf, fixed=1, variadic=True, texts=True, produces=True),
    "println": Function(_println, variadic=True, produces=True),
    "urlquery": Function(_urlquery, variadic=True, produces=True),
    "eq": Function(equal, fixed=1, variadic=True),
    "ge": Function(_greater_or_equal, fixed=2),
    "gt": Function(_greater, fixed=2),
    "le": Function(_less_or_equal, fixed=2),
    "lt": Function(_less, fixed=2),
    "ne": Function(_unequal, fixed=2),
}
"""What Go's template language has, but for ``and`` and ``or``."""


def _today(today: date, *_: str) -> str:
    return today.isoformat()


def _yesterday(today: date, *_: str) -> str:
    return (today - timedelta(days=1)).isoformat()


def _typescript(value: Value) -> str:
    return value.typescript() if isinstance(value, Property) else "any"


ADDED_FUNCTIONS: Mapping[str, Function] = {
    "json": Function(json_text, fixed=1, produces=True),
    "currentDate": Function(_today, variadic=True, texts=True, dated=True),
    "yesterdayDate": Function(_yesterday, variadic=True, texts=True, dated=True),
    "toTypeScriptType": Function(_typescript, fixed=1),
}
"""What the reference adds for chat templates."""

SHORT_CIRCUITS = ("and", "or")
"""Go's functions that need not evaluate all of their arguments."""
