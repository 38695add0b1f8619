"""Frames between this process and the children that it starts.

A frame is a JSON value with its length in front, so a reader knows where it ends and neither
side parses half of one::

    0  4  length of the rest in bytes, big endian
    4  …  the value as JSON, ASCII only (lone surrogates survive as escapes)
"""

import json
import struct
from typing import IO, Any

LONGEST = 256 << 20  # bytes; more is a bug or an attack

_LENGTH = struct.Struct(">I")


class BrokenFrame(Exception):
    """The other side ended inside a frame, or sent what is none."""


def pack(value: Any) -> bytes:
    """The frame that carries *value*."""
    data = json.dumps(value, separators=(",", ":")).encode("ascii")
    assert len(data) <= LONGEST
    return _LENGTH.pack(len(data)) + data


def read(stream: IO[bytes]) -> Any:
    """The next value of *stream*, or ``None`` where it ends; blocks until one is whole.

    Raises:
        BrokenFrame: the stream ended inside a frame, or a frame is too long or no JSON.
    """
    head = stream.read(_LENGTH.size)
    if not head:
        return None
    data = _rest(stream, length(head))
    try:
        return json.loads(data)
    except ValueError:
        raise BrokenFrame("a frame that is no JSON") from None


def length(head: bytes) -> int:
    """The number of bytes that follow the four of *head*.

    Raises:
        BrokenFrame: *head* is short, or says more than `LONGEST`.
    """
    if len(head) < _LENGTH.size:
        raise BrokenFrame("the stream ended inside a frame")
    (count,) = _LENGTH.unpack(head)
    if count > LONGEST:
        raise BrokenFrame(f"a frame of {count} bytes")
    return int(count)


def _rest(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise BrokenFrame("the stream ended inside a frame")
    return data
