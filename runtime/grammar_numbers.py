"""Numbers between bounds, as rules of a grammar.

A number is written in digits, so a bound is a rule for each of its digits: what is larger there
may go on as it likes, what is equal must go on comparing.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

_DIGITS = 15  # that follow where nothing bounds them: what a 64-bit float can tell apart
_ANY = f"[0-9]{{0,{_DIGITS}}}"
_ZEROS = f'"0"{{0,{_DIGITS}}}'
_FRACTION = f'("." [0-9]{{1,{_DIGITS}}})?'
_LONGEST = 40  # digits of a bound

INTEGER = f'"-"? ("0" | [1-9] [0-9]{{0,{_DIGITS}}})'
NUMBER = f"{INTEGER} {_FRACTION} ([eE] [-+]? [0-9]{{1,2}})?"


class NoNumber(Exception):
    """Bounds between which there is nothing, or nothing that is short enough."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """*low* to *high*, each inclusive unless it is *over* or *under*; None: no bound."""

    low: Decimal | None = None
    high: Decimal | None = None
    over: bool = False
    under: bool = False

    @property
    def empty(self) -> bool:
        if self.low is None or self.high is None:
            return False
        return self.low > self.high or (self.low == self.high and (self.over or self.under))


def integers(bounds: Bounds) -> str:
    """The expression for a whole number within *bounds*.

    Raises:
        NoNumber: there is none.
    """
    low, high = _whole(bounds)
    if low is None and high is None:
        return INTEGER
    if low is not None and high is not None and low > high:
        raise NoNumber
    found = []
    if low is None or low < 0:
        least = max(1, -high) if high is not None else 1
        found += [f'"-" {each}' for each in _digits(least, None if low is None else -low)]
    if high is None or high >= 0:
        found += _digits(max(0, low or 0), high)
    return _union(found)


def numbers(bounds: Bounds) -> str:
    """The expression for a number within *bounds*, written without an exponent if there are any.

    Raises:
        NoNumber: there is none.
    """
    low, high = bounds.low, bounds.high
    if low is None and high is None:
        return NUMBER
    if bounds.empty:
        raise NoNumber
    zero = Decimal(0)
    found = []
    if low is None or low < 0:
        within = high is not None and high < 0
        least = -high if within and high is not None else zero
        over = bounds.under if within else True
        most = None if low is None else -low
        found += [f'"-" {each}' for each in _decimals(Bounds(least, most, over, bounds.over))]
    if high is None or high >= 0:
        least = zero if low is None else max(zero, low)
        over = bounds.over and low is not None and low >= 0
        found += _decimals(Bounds(least, high, over, bounds.under))
    return _union(found)


def _union(found: list[str]) -> str:
    if not found:
        raise NoNumber
    return f"({' | '.join(found)})"


def _whole(bounds: Bounds) -> tuple[int | None, int | None]:
    low = high = None
    if bounds.low is not None:
        low = int(bounds.low.to_integral_value(ROUND_CEILING))
        low += bounds.over and low == bounds.low
    if bounds.high is not None:
        high = int(bounds.high.to_integral_value(ROUND_FLOOR))
        high -= bounds.under and high == bounds.high
    return low, high


def _digits(low: int, high: int | None) -> list[str]:
    """Whole numbers from *low* (at least 0) to *high*, in digits."""
    if len(str(low)) > _LONGEST:
        raise NoNumber
    if high is not None and len(str(high)) > _LONGEST:
        high = None
    if high is None:
        length = len(str(low))
        longer = f"[1-9] [0-9]{{{length},{max(length, _DIGITS)}}}"
        return [*_digits(low, 10**length - 1), longer]
    found = []
    for length in range(len(str(low)), len(str(high)) + 1):
        shortest = 10 ** (length - 1) if length > 1 else 0
        least, most = max(low, shortest), min(high, 10**length - 1)
        if least <= most:
            found.append(_between(str(least), str(most)))
    return found


def _between(low: str, high: str) -> str:
    """Digits from *low* to *high*, which are equally long."""
    if low == high:
        return f'"{low}"'
    if set(low) == {"0"} and set(high) == {"9"}:
        return f"[0-9]{{{len(low)}}}"
    if low[0] == high[0]:
        return f'"{low[0]}" {_between(low[1:], high[1:])}'
    if len(low) == 1:
        return f"[{low}-{high}]"
    rest = len(low) - 1
    found = [f'"{low[0]}" {_between(low[1:], "9" * rest)}']
    if int(high[0]) - int(low[0]) > 1:
        found.append(f"[{int(low[0]) + 1}-{int(high[0]) - 1}] [0-9]{{{rest}}}")
    found.append(f'"{high[0]}" {_between("0" * rest, high[1:])}')
    return f"({' | '.join(found)})"


def _decimals(bounds: Bounds) -> list[str]:
    """Numbers within *bounds*, whose low one is at least 0, in digits."""
    if bounds.empty:
        return []
    assert bounds.low is not None
    first, behind = _split(bounds.low)
    if bounds.high is None:
        found = [f"{each} {_FRACTION}" for each in _digits(first + 1, None)]
        return [*_with(first, _at_least(behind, strict=bounds.over)), *found]
    last, end = _split(bounds.high)
    if first == last:
        return _with(first, _fraction_between(behind, end, bounds))
    found = _with(first, _at_least(behind, strict=bounds.over))
    if last - first > 1:
        found += [f"{each} {_FRACTION}" for each in _digits(first + 1, last - 1)]
    return found + _with(last, _at_most(end, strict=bounds.under))


def _split(number: Decimal) -> tuple[int, str]:
    """The whole part, and the digits behind the point."""
    text = f"{number:f}"
    whole, _, behind = text.partition(".")
    if len(whole) > _LONGEST:
        raise NoNumber
    return int(whole), behind.rstrip("0")[:_LONGEST]


def _with(whole: int, fraction: str | None) -> list[str]:
    return [] if fraction is None else [f'"{whole}" {fraction}']


def _at_least(digits: str, *, strict: bool) -> str:
    """What may follow a whole part: point and fraction, at least *digits*."""
    if digits:
        return f'"." {_rising(digits, strict=strict)}'
    return f'"." {_positive()}' if strict else _FRACTION


def _at_most(digits: str, *, strict: bool) -> str | None:
    if digits:
        return f'("." {_falling(digits, strict=strict)})?'
    return None if strict else f'("." "0"{{1,{_DIGITS}}})?'


def _positive() -> str:
    """Digits that are not all zero."""
    return f"{_ZEROS} [1-9] {_ANY}"


def _rising(digits: str, *, strict: bool) -> str:
    """Digits behind the point that are at least *digits*."""
    if not digits:
        return _positive() if strict else _ANY
    more = f'"{digits[0]}" {_rising(digits[1:], strict=strict)}'
    if digits[0] == "9":
        return more
    return f"([{int(digits[0]) + 1}-9] {_ANY} | {more})"


def _falling(digits: str, *, strict: bool) -> str:
    """Digits behind the point that are at most *digits*, at least one."""
    found = [] if digits[0] == "0" else [f"[0-{int(digits[0]) - 1}] {_ANY}"]
    if digits[1:]:
        found.append(f'"{digits[0]}" ({_falling(digits[1:], strict=strict)})?')
    elif not strict:
        found.append(f'"{digits[0]}" {_ZEROS}')
    return f"({' | '.join(found)})"


def _fraction_between(low: str, high: str, bounds: Bounds) -> str | None:
    """Point and fraction from *low* to *high*, where the whole parts are equal."""
    if not high:
        return _at_most("", strict=bounds.under)
    width = max(len(low), len(high))
    digits = f'"." {_same(low.ljust(width, "0"), high.ljust(width, "0"), bounds)}'
    return digits if low or bounds.over else f"({digits})?"


def _same(low: str, high: str, bounds: Bounds) -> str:
    """Digits from *low* to *high*, which are equally long, and more where these are not equal."""
    if not low:
        return _ZEROS
    if low[0] == high[0]:
        return f'"{low[0]}" {_same(low[1:], high[1:], bounds)}'
    found = [f'"{low[0]}" {_rising(low[1:].rstrip("0"), strict=bounds.over)}']
    if int(high[0]) - int(low[0]) > 1:
        found.append(f"[{int(low[0]) + 1}-{int(high[0]) - 1}] {_ANY}")
    end = high[1:].rstrip("0")
    if end:
        found.append(f'"{high[0]}" ({_falling(end, strict=bounds.under)})?')
    elif not bounds.under:
        found.append(f'"{high[0]}" {_ZEROS}')
    return f"({' | '.join(found)})"
