"""Go's strings are bytes, Python's are characters; this is the bridge.

A byte that is no part of a UTF-8 sequence (``slice`` can cut a character in two, ``"\\xff"``
makes one) is held as a lone surrogate U+DC80..U+DCFF, as in PEP 383. Whatever leaves a
rendering has none: there each such byte is U+FFFD, which is what the reference's JSON makes
of it on the way to the engine.
"""

import re

_SURROGATE = re.compile("[\ud800-\udfff]")


def octets(text: str) -> bytes:
    """The bytes of *text* as Go holds it."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # A surrogate that stands for no byte.
        return _SURROGATE.sub(_escaped_or_replaced, text).encode("utf-8", "surrogateescape")


def _escaped_or_replaced(match: re.Match[str]) -> str:
    return match[0] if "\udc80" <= match[0] <= "\udcff" else "\ufffd"


def text_of(data: bytes) -> str:
    """The text that stands for *data*."""
    return data.decode("utf-8", "surrogateescape")


def size(text: str) -> int:
    """How many bytes *text* has in Go."""
    return len(text) if text.isascii() else len(octets(text))


def whole(text: str) -> str:
    """*text* with characters that were glued together from stray bytes made whole."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text_of(octets(text))


def presentable(text: str) -> str:
    """*text* with every stray byte replaced by U+FFFD."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return _SURROGATE.sub("\ufffd", whole(text))
