"""What is wrong with the user's text, and where.

A finding is a value: a code that never changes, a sentence, and a span of the source. Passes
collect findings; nobody prints or raises them but the command line. `render` is a pure function
of one finding, so a test compares the whole of what the user sees.
"""

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, eq=False)
class Source:
    """A text and the name under which the user knows it; equal only to itself."""

    name: str
    text: str

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        """The offset of each line's first character; a line ends with CRLF, CR or LF."""
        return 0, *(end.end() for end in _LINE_END.finditer(self.text))

    def position(self, offset: int) -> tuple[int, int]:
        r"""Line and column of the character at *offset*, both counted from 1.

        >>> Source("Modelfile", "FROM a\r\nSYSTEM b").position(8)
        (2, 1)
        """
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line_end(self, offset: int) -> int:
        """The offset at which the line of *offset* ends, before its CR or LF."""
        end = _LINE_END.search(self.text, offset)
        return end.start() if end else len(self.text)

    def span(self, start: int, end: int) -> "Span":
        """The characters from *start* up to, not including, *end*."""
        return Span(self, start, end)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a source: offsets in characters, half-open; may be empty."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters of the source that the span covers."""
        return self.source.text[self.start : self.end]

    @property
    def line(self) -> int:
        """The line of its first character, from 1."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """The column of its first character, from 1."""
        return self.source.position(self.start)[1]


class Severity(Enum):
    """What a finding does: an error leaves no recipe, a warning does."""

    ERROR = "error"
    WARNING = "warning"


class Code(Enum):
    """What is wrong, for machines: a number and a name that keep their meaning for ever.

    MB001 to MB099 are about reading and checking a Modelfile, MB101 onwards about style. A
    number is never used for a second thing.
    """

    UTF16_WITHOUT_MARK = ("MB001", "utf16-without-mark", Severity.ERROR)
    NOT_UTF8 = ("MB002", "not-utf8", Severity.WARNING)
    NO_FROM = ("MB003", "no-from", Severity.ERROR)
    UNKNOWN_INSTRUCTION = ("MB004", "unknown-instruction", Severity.ERROR)
    MISSING_VALUE = ("MB005", "missing-value", Severity.ERROR)
    UNCLOSED_QUOTE = ("MB006", "unclosed-quote", Severity.ERROR)
    TEXT_BEHIND_QUOTE = ("MB007", "text-behind-quote", Severity.ERROR)
    UNKNOWN_ROLE = ("MB008", "unknown-role", Severity.ERROR)
    MISSING_ROLE = ("MB009", "missing-role", Severity.ERROR)
    MISSING_PARAMETER = ("MB010", "missing-parameter", Severity.ERROR)
    BAD_PARAMETER_NAME = ("MB011", "bad-parameter-name", Severity.ERROR)
    UNKNOWN_PARAMETER = ("MB012", "unknown-parameter", Severity.ERROR)
    WRONG_TYPE = ("MB013", "wrong-type", Severity.ERROR)
    NOT_A_VERSION = ("MB014", "not-a-version", Severity.ERROR)
    DEPRECATED_PARAMETER = ("MB015", "deprecated-parameter", Severity.WARNING)
    REPLACED = ("MB016", "replaced", Severity.WARNING)
    DISGUISED_INSTRUCTION = ("MB017", "disguised-instruction", Severity.WARNING)
    BAD_SOURCE = ("MB018", "bad-source", Severity.ERROR)
    UNUSED_SOURCE = ("MB019", "unused-source", Severity.WARNING)
    UNPINNED_SOURCE = ("MB020", "unpinned-source", Severity.WARNING)
    TEMPLATE_ERROR = ("MB021", "template-error", Severity.ERROR)
    SYSTEM_IGNORED = ("MB022", "system-ignored", Severity.WARNING)
    NO_USER_MESSAGE = ("MB023", "no-user-message", Severity.WARNING)
    UNKNOWN_VARIABLE = ("MB024", "unknown-variable", Severity.WARNING)
    UNTRAINED_CONTEXT = ("MB025", "untrained-context", Severity.WARNING)
    DOUBLE_BOS = ("MB026", "double-bos", Severity.WARNING)
    IDLE_STOP = ("MB027", "idle-stop", Severity.WARNING)
    STOP_IS_NO_TOKEN = ("MB028", "stop-is-no-token", Severity.WARNING)
    TIGHT_CONTEXT = ("MB029", "tight-context", Severity.WARNING)

    def __init__(self, number: str, label: str, severity: Severity) -> None:
        self.number = number
        self.label = label
        self.severity = severity

    def __str__(self) -> str:
        return f"{self.number} {self.label}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. A hint may have several lines."""

    code: Code
    message: str
    span: Span
    hint: str | None = None

    @property
    def severity(self) -> Severity:
        """Given by the code, so that the same mistake weighs the same everywhere."""
        return self.code.severity


class Part(Enum):
    """A part of a rendered finding, for who wants to colour it."""

    PLACE = "place"
    SEVERITY = "severity"
    MESSAGE = "message"
    CODE = "code"
    GUTTER = "gutter"
    SOURCE = "source"
    CARET = "caret"
    HINT = "hint"


Paint = Callable[[Part, Severity, str], str]


def plain(_part: Part, _severity: Severity, text: str) -> str:
    """*text* without any colour."""
    return text


def render(diagnostic: Diagnostic, *, width: int = 100, paint: Paint = plain) -> str:
    r"""The finding as the user sees it, without a last line end.

    The source line is cut around the span where it is wider than *width* cells, and *paint* may
    wrap each part in colours.

    >>> source = Source("Modelfile", "FROM base\nPARAMETER top_q 1")
    >>> print(render(Diagnostic(Code.UNKNOWN_PARAMETER, "no parameter top_q", source.span(20, 25))))
    Modelfile:2:11: error: no parameter top_q [MB012 unknown-parameter]
      |
    2 | PARAMETER top_q 1
      |           ^^^^^
    """
    severity = diagnostic.severity

    def painted(part: Part, text: str) -> str:
        return paint(part, severity, text) if text else ""

    line, column = diagnostic.span.source.position(diagnostic.span.start)
    margin = " " * len(str(line))
    bar = painted(Part.GUTTER, f"{margin} |")
    text, indent, carets = _excerpt(diagnostic.span, width)
    place = painted(Part.PLACE, f"{visible(diagnostic.span.source.name)}:{line}:{column}:")
    label = painted(Part.SEVERITY, f"{severity.value}:")
    message = painted(Part.MESSAGE, visible(diagnostic.message))
    code = painted(Part.CODE, f"[{diagnostic.code}]")
    rows = [
        f"{place} {label} {message} {code}",
        bar,
        f"{painted(Part.GUTTER, f'{line} |')} {painted(Part.SOURCE, text)}".rstrip(),
        f"{bar} {' ' * indent}{painted(Part.CARET, '^' * carets)}",
    ]
    for hint in (diagnostic.hint or "").splitlines():
        equals = painted(Part.GUTTER, f"{margin} =")
        rows.append(f"{equals} {painted(Part.HINT, f'hint: {visible(hint)}')}")
    return "\n".join(rows)


_TAB = 4  # Cells: a tab goes to the next multiple, counted from the first cell shown.


def _excerpt(span: Span, width: int) -> tuple[str, int, int]:
    """The line of *span*, the cells before the carets, and how many carets."""
    source = span.source
    _, column = source.position(span.start)
    line_start, line_end = span.start - column + 1, source.line_end(span.start)
    start = _first_shown(source.text, line_start, span.start, width)
    # A line may have millions of characters; no more are looked at than may be shown.
    cells = _cells(source.text[start : min(line_end, start + 4 * width)])
    text = "…" if start > line_start else ""
    indent, carets, used = len(text), 0, len(text)
    for offset, (shown, size) in enumerate(cells, start):
        if used + size > width - 1:
            text += "…"
            break
        if offset < span.start:
            indent += size
        elif offset < span.end:
            carets += size
        text += shown
        used += size
    return text, indent, max(carets, 1)


def _first_shown(text: str, line_start: int, start: int, width: int) -> int:
    """The offset in the line from which on it is shown, so that the span at *start* is seen."""
    first = max(line_start, start - width)
    sizes = [size for _, size in _cells(text[first:start])]
    if first == line_start and sum(sizes) <= width * 4 // 5:
        return line_start
    room = width // 2
    for offset in range(start - 1, first, -1):
        room -= sizes[offset - first]
        if room < 0:
            return offset + 1
    return first


def _cells(text: str) -> list[tuple[str, int]]:
    """For each character what to show and how many cells that takes.

    A terminal shows a combining mark, or what a zero-width joiner joins, in the cells of the
    character before it.
    """
    cells: list[tuple[str, int]] = []
    at, before = 0, ""
    for character in text:
        shown, size = _cell(character, before)
        if character == "\t":
            size = _TAB - at % _TAB
            shown = " " * size
        cells.append((shown, size))
        at += size
        before = character
    return cells


_JOINER = "\u200d"
_EMOJI_STYLE = "\ufe0f"


def _cell(character: str, before: str) -> tuple[str, int]:
    """What to show for *character*, which stands behind *before*, and its cells."""
    if "\x20" <= character < "\x7f":
        return character, 1
    # Imported here: it is a shared library, and most findings are about plain ASCII.
    import unicodedata

    if character == _JOINER:
        return character, 0
    if character == _EMOJI_STYLE:
        # It makes a narrow symbol an emoji, which is wide.
        narrow = before != "" and unicodedata.east_asian_width(before) not in "WF"
        return character, int(narrow and unicodedata.category(before) == "So")
    if before == _JOINER or "\U0001f3fb" <= character <= "\U0001f3ff":
        return character, 0
    category = unicodedata.category(character)
    if category in ("Mn", "Me") or "\u1160" <= character <= "\u11ff":
        return character, 0
    if unicodedata.east_asian_width(character) in "WF":
        return visible(character), 2
    return visible(character), 1


def visible(text: str) -> str:
    r"""*text* without what would act on a terminal instead of being shown.

    >>> visible("\x1b[2J")
    '␛[2J'
    """
    return text if text.isprintable() else text.translate(_PICTURES)


_PICTURES = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "\u2421",
    **dict.fromkeys(
        # C1 controls, marks and overrides of direction, line ends that are none, surrogates.
        [
            *range(0x80, 0xA0),
            0x061C,
            *range(0x200E, 0x2010),
            *range(0x2028, 0x202F),
            *range(0x2066, 0x206A),
            *range(0xD800, 0xE000),
        ],
        "\ufffd",
    ),
}
