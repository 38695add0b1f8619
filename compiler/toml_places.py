"""Where in a TOML file each key stands, for findings to point at.

The reader of TOML in the standard library gives values without their places. This scanner finds
the places in a text that it has already accepted, so it checks nothing: it only has to pass over
strings and comments rightly.
"""

import re
from collections.abc import Iterator, Mapping

from mbuild.compiler.diagnostic import Source, Span

Place = tuple[str, ...]

_BLANKS = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_PART = re.compile(r"""[ \t]*(?:"((?:[^"\\\n]|\\.)*)"|'([^'\n]*)'|([A-Za-z0-9_-]+))[ \t]*""")
_STRING = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_PLAIN = re.compile(r"[^\s,\]}#]+")
_TUPLE = re.compile(r"\('[^()]*'\)|\('[^()]*',\)")
_TEXT = re.compile(r"'([^']*)'")
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")


def position(source: Source, message: str) -> tuple[str, Span]:
    """What the reader of TOML says is wrong, and the place that it says."""
    at = _AT.search(message)
    reason = message[: at.start()] if at else message
    # It shows the path of a key as Python does.
    reason = _TUPLE.sub(lambda path: ".".join(_TEXT.findall(path[0])), reason)
    reason = reason[:1].lower() + reason[1:]
    end = len(source.text)
    if at is None or at[1] is None:
        return reason, source.span(end, end)
    # It counts lines by LF alone.
    starts = [0, *(match.end() for match in re.finditer("\n", source.text))]
    start = min(starts[min(int(at[1]), len(starts)) - 1] + int(at[2]) - 1, end)
    return reason, source.span(start, min(start + 1, end))


def places(source: Source) -> Mapping[Place, tuple[Span, Span]]:
    """For each key, and for each table with a header, the spans of the key and of its value.

    A table's value is its header; its key is all of the dotted name, and that of a table around
    it, which may have no header, is its part of that. Of a key that stands several times the
    first place counts.
    """
    found: dict[Place, tuple[Span, Span]] = {}
    for place, key, value in _Scanner(source).statements():
        found.setdefault(place, (key, value))
    return found


_Found = tuple[Place, Span, Span]


class _Scanner:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._text = source.text
        self._at = 0
        self._parts: list[Span] = []  # of the last key

    def statements(self) -> Iterator[_Found]:
        table: Place = ()
        while self._pass_blanks() < len(self._text):
            if self._text[self._at] == "[":
                begin = self._at
                self._at += 2 if self._text.startswith("[[", self._at) else 1
                table, key = self._key()
                inner = list(self._parts)
                self._at = self._source.line_end(self._at)
                header = self._source.span(begin, self._at)
                for count, part in enumerate(inner, 1):
                    yield table[:count], part if count < len(inner) else key, header
            else:
                yield from self._assignment(table)

    def _assignment(self, table: Place) -> Iterator[_Found]:
        names, key = self._key()
        if not names or self._text[self._at : self._at + 1] != "=":
            self._at = self._source.line_end(self._at) + 1  # Nothing that this scanner knows.
            return
        self._at += 1
        self._pass_blanks()
        start = self._at
        place = (*table, *names)
        inner = list(self._value(place))
        yield place, key, self._source.span(start, self._at)
        yield from inner

    def _key(self) -> tuple[Place, Span]:
        """The dotted key that stands here."""
        names: list[str] = []
        self._parts = []
        while part := _PART.match(self._text, self._at):
            quoted, literal, bare = part.groups()
            names.append(_unescaped(quoted) if quoted is not None else literal or bare or "")
            start = part.start() + len(part[0]) - len(part[0].lstrip(" \t"))
            end = part.start() + len(part[0].rstrip(" \t"))
            self._parts.append(self._source.span(start, end))
            self._at = part.end()
            if self._text[self._at : self._at + 1] != ".":
                break
            self._at += 1
        if not names:
            return (), self._source.span(self._at, self._at)
        return tuple(names), self._source.span(self._parts[0].start, self._parts[-1].end)

    def _value(self, place: Place) -> Iterator[_Found]:
        """Pass over the value that stands here; what an inline table says is found, too."""
        opening = self._text[self._at : self._at + 1]
        if opening in ("[", "{") and opening:
            self._at += 1
            closing = "]" if opening == "[" else "}"
            while self._pass_blanks() < len(self._text) and self._text[self._at] != closing:
                before = self._at
                if self._text[self._at] == ",":
                    self._at += 1
                elif opening == "{":
                    yield from self._assignment(place)
                else:
                    list(self._value(place))
                if self._at == before:
                    self._at += 1  # Nothing that this scanner knows.
            self._at = min(self._at + 1, len(self._text))
            return
        token = _STRING.match(self._text, self._at) or _PLAIN.match(self._text, self._at)
        if token:
            self._at = token.end()

    def _pass_blanks(self) -> int:
        blanks = _BLANKS.match(self._text, self._at)
        assert blanks is not None
        self._at = blanks.end()
        return self._at


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    import tomllib

    try:
        return str(tomllib.loads(f'key = "{text}"')["key"])
    except tomllib.TOMLDecodeError:
        return text
