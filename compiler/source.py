"""From the bytes of a file to its text.

The encoding is told by a byte-order mark alone; without one it is UTF-8, and what is not UTF-8
becomes U+FFFD, one for each sequence that cannot begin or go on (modelfile.md, section 1).
"""

import codecs
import re

from mbuild.compiler.diagnostic import Code, Diagnostic, Source

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def decode(name: str, data: bytes, *, path: str = "") -> Source:
    """The text of *data*, which stands at *path* if it is another file. Never fails."""
    if data.startswith(codecs.BOM_UTF16_BE):
        return Source(name, _utf16(data[2:], "utf-16-be"), path)
    if data.startswith(codecs.BOM_UTF16_LE):
        return Source(name, _utf16(data[2:], "utf-16-le"), path)
    return Source(name, data.removeprefix(codecs.BOM_UTF8).decode(errors="replace"), path)


def doubts(source: Source, data: bytes) -> tuple[Diagnostic, ...]:
    """What is doubtful about *source*, which is *data* decoded."""
    if data.startswith((codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)):
        return ()
    if _looks_like_utf16(data):
        return (_utf16_without_mark(source),)
    return _not_utf8(source, data.removeprefix(codecs.BOM_UTF8))


def _utf16(data: bytes, encoding: str) -> str:
    """Its text; half a pair becomes U+FFFD, and so does half a unit at the end."""
    even = len(data) - len(data) % 2
    text = data[:even].decode(encoding, "surrogatepass")
    return _LONE_SURROGATE.sub("\ufffd", text) + "\ufffd" * (len(data) - even)


def _looks_like_utf16(data: bytes) -> bool:
    """Whether NUL stands often in one byte of each two, in the first two too, never in the other.

    Instruction words are ASCII, so this holds for a Modelfile in any language.
    """
    sample = data[:256]
    first, second = sample[::2], sample[1::2]
    if 0 in first and 0 in second:
        return False
    nuls = first if 0 in first else second
    return nuls.startswith(b"\0") and nuls.count(0) * 8 >= len(sample)


def _utf16_without_mark(source: Source) -> Diagnostic:
    return Diagnostic(
        Code.UTF16_WITHOUT_MARK,
        "the file is UTF-16 without a byte-order mark",
        source.span(0, 1),
        "save it as UTF-8, or as UTF-16 with a byte-order mark",
    )


def _not_utf8(source: Source, data: bytes) -> tuple[Diagnostic, ...]:
    """A finding about the first byte that is not UTF-8, if any."""
    if "\ufffd" not in source.text:
        return ()
    try:
        data.decode()
    except UnicodeDecodeError as bad:
        offset = len(data[: bad.start].decode())
        message = f"byte 0x{data[bad.start]:02x} is not UTF-8 and becomes U+FFFD"
        span = source.span(offset, offset + 1)
        return (Diagnostic(Code.NOT_UTF8, message, span, "save the file as UTF-8"),)
    return ()
