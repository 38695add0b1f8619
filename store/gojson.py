"""JSON as Go's encoder writes it, to the byte.

Manifests, configs, parameters and messages are named by the digest of their bytes, so mbuild
and the reference must write the same ones. Python's own writer differs in the escapes, in the
numbers, and in the blanks.

Source: the rules of Go's ``encoding/json`` with HTML escaping on, as the reference uses it.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias, assert_never

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

# Lone surrogates stand for bytes that were no UTF-8.
_ESCAPED = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


class BadJson(ValueError):
    """Bytes that are no JSON, or a value that JSON cannot hold."""


def encode(value: Json, *, sort_keys: bool = False) -> str:
    r"""*value* on one line, without a line feed at its end.

    Keys come in the order of the mapping, as Go writes a struct; *sort_keys* puts them, at every
    level, in the order of their bytes, as Go writes a map.

    >>> encode({"stop": ["<s>"], "temperature": 1.0})
    '{"stop":["\\u003cs\\u003e"],"temperature":1}'

    Raises:
        BadJson: a number that is infinite or none.

    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return number(value)
        case str():
            return _string(value)
        case Mapping():
            items = sorted(value.items()) if sort_keys else value.items()
            members = (f"{_string(k)}:{encode(v, sort_keys=sort_keys)}" for k, v in items)
            return "{" + ",".join(members) + "}"
        case Sequence():
            return "[" + ",".join(encode(each, sort_keys=sort_keys) for each in value) + "]"
        case _:
            assert_never(value)


def number(value: float) -> str:
    """A 64-bit float: the shortest digits that read back as it, no dot if it is whole.

    An exponent stands only below 1e-6 and from 1e21.

    >>> [number(each) for each in (1.0, 0.7, 1e20, 1e21, 0.000001, 1e-7, -0.0)]
    ['1', '0.7', '100000000000000000000', '1e+21', '0.000001', '1e-7', '-0']
    """
    if not math.isfinite(value):
        raise BadJson(f"not a finite number: {value}")
    # Python's shortest digits are Go's; only the place where an exponent begins differs.
    mantissa, _, exponent = repr(value).removesuffix(".0").partition("e")
    if not exponent:
        return mantissa
    power = int(exponent)
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.removeprefix("-").partition(".")
    if power < -6 or power >= 21:
        return f"{mantissa}e{power:+d}"
    if power < 0:
        return f"{sign}0.{'0' * (-power - 1)}{whole}{fraction}"
    return f"{sign}{whole}{fraction.ljust(power, '0')}"


def decode(data: bytes) -> Json:
    """The value that *data* holds, every number a 64-bit float, as the reference reads options.

    >>> encode(decode(b'{"num_ctx": 9007199254740993, "low": -0}'))
    '{"num_ctx":9007199254740992,"low":-0}'

    Raises:
        BadJson: *data* is no JSON, is nested too deeply, or has a number out of range.

    """
    text = data.decode("utf-8", "replace")
    try:
        value: Json = json.loads(text, parse_int=_float, parse_float=_float, parse_constant=_float)
    except (json.JSONDecodeError, RecursionError) as error:
        raise BadJson(f"not JSON: {error}") from None
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise BadJson(f"not a 64-bit number: {digits}")
    return value


def through_float(value: Json) -> Json:
    """*value* with every number, at every level, made a 64-bit float: 2**53+1 loses its one.

    Raises:
        BadJson: a whole number that is too large for one.

    """
    match value:
        case None | bool() | str() | float():
            return value
        case int():
            return _whole(value)
        case Mapping():
            return {key: through_float(each) for key, each in value.items()}
        case Sequence():
            return [through_float(each) for each in value]
        case _:
            assert_never(value)


def _whole(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        raise BadJson("not a 64-bit number: a whole number of over 300 digits") from None


def _string(text: str) -> str:
    # Python escapes what JSON must have escaped just as Go does; Go escapes a little more.
    return _ESCAPED.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return r"\ufffd" if code >= 0xD800 else f"\\u{code:04x}"
