"""Fields of JSON that came from outside: each has the type that it must have, or is refused."""

from collections.abc import Mapping

_MAX_INT64 = 2**63 - 1


class BadField(ValueError):
    """A field whose value cannot be what the field is for."""


def text(fields: Mapping[str, object], key: str) -> str:
    """The text at *key*, empty if there is none."""
    # As in Go, null says no more than a field that is not there.
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadField(f"{key} is no text")
    return value if value.isascii() else _without_surrogates(value)


def texts(fields: Mapping[str, object], key: str) -> tuple[str, ...]:
    """The texts in the list at *key*, none if there is no list."""
    value = fields.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise BadField(f"{key} is no list of texts")
    return tuple(_without_surrogates(each) for each in value)


def whole(fields: Mapping[str, object], key: str) -> int:
    """The number at *key*, from 0 up to what 64 bits hold; 0 if there is none."""
    value = fields.get(key)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadField(f"{key} is no whole number")
    if not 0 <= value <= _MAX_INT64:
        raise BadField(f"{key} is out of range")
    return value


def _without_surrogates(text: str) -> str:
    """*text* as Go reads it: half a surrogate pair in an escape becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
