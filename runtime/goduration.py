"""Lengths of time as Go reads them, such as ``5m`` or ``1h30m``.

Source: the documentation of ``time.ParseDuration``, whose messages these are.
"""

import re

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # The micro sign,
    "μs": 1_000,  # and the Greek letter.
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(
    r"(?:(?P<whole>[0-9]+)(?:\.(?P<more>[0-9]*))?|\.(?P<only>[0-9]+))(?P<unit>[^0-9.]*)"
)
_MOST = 2**63 - 1  # ns


class BadDuration(ValueError):
    """A text that is no length of time; in Go's words."""


def parse(text: str) -> int:
    """The nanoseconds that *text* stands for; fractions of one are cut.

    >>> parse("1h30m"), parse("-1.5s"), parse("0")
    (5400000000000, -1500000000, 0)

    Raises:
        BadDuration: *text* is none, or more than 64 bits of nanoseconds.
    """
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    total, at = 0, 0
    while at < len(rest) or not rest:
        part = _PART.match(rest, at)
        if part is None:
            raise BadDuration(f'time: invalid duration "{text}"')
        total, at = total + _nanoseconds(part, text), part.end()
    limit = _MOST + 1 if text[:1] == "-" else _MOST
    if total > limit:
        raise BadDuration(f'time: invalid duration "{text}"')
    return -total if text[:1] == "-" else total


def _nanoseconds(part: re.Match[str], text: str) -> int:
    unit = part["unit"]
    if not unit:
        raise BadDuration(f'time: missing unit in duration "{text}"')
    if unit not in _UNITS:
        raise BadDuration(f'time: unknown unit "{unit}" in duration "{text}"')
    fraction = (part["more"] or part["only"] or "")[:18]
    whole = (part["whole"] or "0")[-4000:]  # Python refuses to read more digits.
    size = _UNITS[unit]
    return int(whole) * size + int(fraction or 0) * size // int(10 ** len(fraction))
