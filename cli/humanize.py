"""Sizes and times as people say them, in the reference's words.

Source: the reference's formatting of bytes, ages and durations.
"""

_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "KB"))

_SECOND = 1_000_000_000  # ns
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE

# Hours from which on, the hours in one, and what they are called.
_CALENDAR = (
    (2 * 365 * 24, 365 * 24, "years"),
    (2 * 30 * 24, 30 * 24, "months"),
    (14 * 24, 7 * 24, "weeks"),
    (48, 24, "days"),
)


def size(count: int) -> str:
    """*count* bytes in decimal units: whole from ten up, else one digit unless it is exact.

    >>> [size(4920753328), size(12345678901), size(2000000000), size(9999), size(12)]
    ['4.9 GB', '12 GB', '2 GB', '10.0 KB', '12 B']
    """
    for unit, name in _UNITS:
        if count >= unit:
            whole = count >= 10 * unit or count % unit == 0
            return f"{count // unit} {name}" if whole else f"{count / unit:.1f} {name}"
    return f"{count} B"


def age(seconds: float) -> str:
    """How long ago something was; negative seconds lie ahead.

    >>> [age(0.5), age(90), age(3 * 86400), age(-7200)]
    ['Less than a second ago', 'About a minute ago', '3 days ago', '2 hours from now']
    """
    if seconds >= 0:
        return f"{_span(seconds)} ago"
    if int(-seconds / 3600) // 24 // 365 > 20:
        return "Forever"
    return f"{_span(-seconds)} from now"


def duration(nanoseconds: int) -> str:
    """A length of time as Go writes one: the largest units that it needs, no digit too many.

    >>> [duration(each) for each in (62_500_000_000, 26_239_000, 831, 0)]
    ['1m2.5s', '26.239ms', '831ns', '0s']
    """
    if nanoseconds < 0:
        return f"-{duration(-nanoseconds)}"
    if nanoseconds == 0:
        return "0s"
    for unit, name in ((1, "ns"), (1_000, "µs"), (1_000_000, "ms")):
        if nanoseconds < 1_000 * unit:
            return f"{_decimal(nanoseconds, unit)}{name}"
    minutes, rest = divmod(nanoseconds, _MINUTE)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, _SECOND)}s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _span(seconds: float) -> str:
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return "1 second" if seconds < 2 else f"{int(seconds)} seconds"
    if seconds < 3600:
        return "About a minute" if seconds < 120 else f"{int(seconds / 60)} minutes"
    return _hours(int(seconds / 3600 + 0.5), int(seconds / 3600))


def _hours(rounded: int, whole: int) -> str:
    if rounded == 1:
        return "About an hour"
    for least, unit, name in _CALENDAR:
        if rounded >= least:
            return f"{(whole if name == 'years' else rounded) // unit} {name}"
    return f"{rounded} hours"


def _decimal(count: int, unit: int) -> str:
    """*count* / *unit*, exactly; *unit* is a power of ten."""
    whole, rest = divmod(count, unit)
    fraction = f"{rest:0{len(str(unit)) - 1}}".rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)
