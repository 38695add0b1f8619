"""What is wrong with the user's text, and where.

A finding is a value: a code that never changes, a sentence, and a span of the source. Passes
collect findings; nobody prints or raises them but the command line. `render` is a pure function
of one finding, so a test compares the whole of what the user sees.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, eq=False)
class Source:
    """A text and the name under which the user knows it; equal only to itself."""

    name: str
    text: str
    path: str = ""  # absolute, of a file that the user's own file names

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
    """What a finding does: an error leaves no recipe, the others do. Only `lint` tells notes."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Code(Enum):
    """What is wrong, for machines: a number and a name that keep their meaning for ever.

    MB001 to MB099 are told by a build, too; MB101 onwards by `lint` alone, as what they are about
    builds and runs. A number is never used for a second thing.
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
    ARGUMENT_WITHOUT_VALUE = ("MB030", "argument-without-value", Severity.ERROR)
    BAD_ARGUMENT = ("MB031", "bad-argument", Severity.ERROR)
    LITERAL_ARGUMENT = ("MB032", "literal-argument", Severity.WARNING)
    BAD_INCLUDE = ("MB033", "bad-include", Severity.ERROR)
    OUTSIDE_FOLDER = ("MB034", "outside-folder", Severity.ERROR)
    BAD_TEXT_FILE = ("MB035", "bad-text-file", Severity.ERROR)
    BAD_FLAG = ("MB036", "bad-flag", Severity.ERROR)
    BAD_UNSET = ("MB037", "bad-unset", Severity.ERROR)
    BAD_STAGE = ("MB038", "bad-stage", Severity.ERROR)
    BAD_QUANTIZATION = ("MB039", "bad-quantization", Severity.ERROR)
    BAD_SCHEMA = ("MB040", "bad-schema", Severity.ERROR)
    BAD_SCALE = ("MB041", "bad-scale", Severity.ERROR)
    IDLE_UNSET = ("MB042", "idle-unset", Severity.WARNING)
    NOT_TOML = ("MB043", "not-toml", Severity.ERROR)
    UNKNOWN_PROJECT_KEY = ("MB044", "unknown-project-key", Severity.ERROR)
    BAD_PROJECT_VALUE = ("MB045", "bad-project-value", Severity.ERROR)
    BAD_MODEL_NAME = ("MB046", "bad-model-name", Severity.ERROR)
    REPEATED_MODEL = ("MB047", "repeated-model", Severity.ERROR)
    NO_MODELFILE = ("MB048", "no-modelfile", Severity.ERROR)
    CIRCLE_OF_MODELS = ("MB049", "circle-of-models", Severity.ERROR)
    TRAILING_BLANKS = ("MB101", "trailing-blanks", Severity.NOTE)
    MIXED_LINE_ENDS = ("MB102", "mixed-line-ends", Severity.NOTE)
    NO_LAST_LINE_END = ("MB103", "no-last-line-end", Severity.NOTE)
    TAB_AS_BLANK = ("MB104", "tab-as-blank", Severity.NOTE)
    UTF16_FILE = ("MB105", "utf16-file", Severity.NOTE)
    INVISIBLE_CHARACTER = ("MB106", "invisible-character", Severity.NOTE)
    CONTROL_CHARACTER = ("MB107", "control-character", Severity.WARNING)
    TEXT_DIRECTION = ("MB108", "text-direction", Severity.WARNING)
    CARRIAGE_RETURNS = ("MB109", "carriage-returns", Severity.NOTE)
    WORD_CASE = ("MB110", "word-case", Severity.NOTE)
    FROM_NOT_FIRST = ("MB111", "from-not-first", Severity.NOTE)
    COMMENT_IN_VALUE = ("MB112", "comment-in-value", Severity.WARNING)
    COMMENT_IN_TEXT = ("MB113", "comment-in-text", Severity.NOTE)
    SINGLE_QUOTES = ("MB114", "single-quotes", Severity.WARNING)
    CURLY_QUOTES = ("MB115", "curly-quotes", Severity.WARNING)
    FOREIGN_QUOTES = ("MB116", "foreign-quotes", Severity.WARNING)
    STRAY_QUOTE = ("MB117", "stray-quote", Severity.WARNING)
    ESCAPE_IN_TEXT = ("MB118", "escape-in-text", Severity.WARNING)
    SEVERAL_STOPS = ("MB119", "several-stops", Severity.WARNING)
    CUT_STOP = ("MB120", "cut-stop", Severity.WARNING)
    SHORT_STOP = ("MB121", "short-stop", Severity.NOTE)
    QUOTED_NUMBER = ("MB122", "quoted-number", Severity.NOTE)
    MOVING_TAG = ("MB123", "moving-tag", Severity.NOTE)
    HOME_PATH = ("MB124", "home-path", Severity.NOTE)
    BLOB_PATH = ("MB125", "blob-path", Severity.NOTE)
    BACKSLASH_PATH = ("MB126", "backslash-path", Severity.WARNING)
    WEB_ADDRESS = ("MB127", "web-address", Severity.WARNING)
    MISSING_FILE = ("MB128", "missing-file", Severity.NOTE)
    PLACEHOLDER = ("MB129", "placeholder", Severity.NOTE)
    REPEATED_SOURCE = ("MB130", "repeated-source", Severity.WARNING)
    IDLE_SAMPLER = ("MB131", "idle-sampler", Severity.WARNING)
    OUT_OF_RANGE = ("MB132", "out-of-range", Severity.WARNING)
    UNUSUAL_VALUE = ("MB133", "unusual-value", Severity.NOTE)
    NO_ANSWER = ("MB134", "no-answer", Severity.WARNING)
    TINY_CONTEXT = ("MB135", "tiny-context", Severity.WARNING)
    ODD_CONTEXT = ("MB136", "odd-context", Severity.NOTE)
    IDLE_PENALTY = ("MB137", "idle-penalty", Severity.WARNING)
    IDLE_WINDOW = ("MB138", "idle-window", Severity.NOTE)
    MACHINE_SETTING = ("MB139", "machine-setting", Severity.NOTE)
    LARGE_KEEP = ("MB140", "large-keep", Severity.WARNING)
    IMPRECISE_NUMBER = ("MB141", "imprecise-number", Severity.WARNING)
    NO_STOP = ("MB142", "no-stop", Severity.NOTE)
    EMPTY_TEXT = ("MB143", "empty-text", Severity.WARNING)
    EMPTY_MESSAGE = ("MB144", "empty-message", Severity.WARNING)
    REPEATED_ROLE = ("MB145", "repeated-role", Severity.WARNING)
    ANSWER_FIRST = ("MB146", "answer-first", Severity.NOTE)
    QUESTION_LAST = ("MB147", "question-last", Severity.WARNING)
    TWO_SYSTEM_TEXTS = ("MB148", "two-system-texts", Severity.NOTE)
    REPEATED_MESSAGE = ("MB149", "repeated-message", Severity.NOTE)
    SECRET = ("MB150", "secret", Severity.WARNING)
    LICENSE_MISSING = ("MB151", "license-missing", Severity.NOTE)
    REPEATED_LICENSE = ("MB152", "repeated-license", Severity.NOTE)
    PATH_AS_TEXT = ("MB153", "path-as-text", Severity.WARNING)
    FLAG_AS_TEXT = ("MB154", "flag-as-text", Severity.WARNING)
    LATE_FLAG = ("MB155", "late-flag", Severity.WARNING)
    UNUSED_ARGUMENT = ("MB156", "unused-argument", Severity.WARNING)
    UNDECLARED_ARGUMENT = ("MB157", "undeclared-argument", Severity.NOTE)
    UNUSED_STAGE = ("MB158", "unused-stage", Severity.WARNING)
    SHADOWING_STAGE = ("MB159", "shadowing-stage", Severity.NOTE)
    MARKERS_IN_SYSTEM = ("MB160", "markers-in-system", Severity.NOTE)
    LOW_REQUIREMENT = ("MB161", "low-requirement", Severity.NOTE)
    IDLE_IGNORE = ("MB162", "idle-ignore", Severity.NOTE)
    UNKNOWN_IGNORE = ("MB163", "unknown-ignore", Severity.WARNING)
    IDLE_DRAFT = ("MB164", "idle-draft", Severity.NOTE)
    IDLE_STAGE = ("MB165", "idle-stage", Severity.NOTE)

    def __init__(self, number: str, label: str, severity: Severity) -> None:
        self.number = number
        self.label = label
        self.severity = severity

    def __str__(self) -> str:
        return f"{self.number} {self.label}"


@dataclass(frozen=True, slots=True)
class Label:
    """A second place that a finding is about, and what there is to say of it."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """*text* in place of what *span* covers."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. A hint may have several lines.

    *fix* mends the text where a machine can; its edits do not overlap, and what they leave has
    the finding no more.
    """

    code: Code
    message: str
    span: Span
    hint: str | None = None
    labels: tuple[Label, ...] = ()
    fix: tuple[Edit, ...] = ()

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
    LABEL = "label"
    HINT = "hint"


Paint = Callable[[Part, Severity, str], str]


def plain(_part: Part, _severity: Severity, text: str) -> str:
    """*text* without any colour."""
    return text


def render(
    diagnostic: Diagnostic, *, width: int = 100, wrap: bool = False, paint: Paint = plain
) -> str:
    r"""The finding as the user sees it, without a last line end.

    Source lines are cut around their spans where they are wider than *width* cells. With *wrap*
    sentences are broken at words to fit as well. *paint* may wrap each part in colours.

    >>> source = Source("Modelfile", "FROM base\nPARAMETER top_q 1")
    >>> print(render(Diagnostic(Code.UNKNOWN_PARAMETER, "no parameter top_q", source.span(20, 25))))
    Modelfile:2:11: error: no parameter top_q [MB012 unknown-parameter]
      |
    2 | PARAMETER top_q 1
      |           ^^^^^
    """
    return "\n".join(_Page(diagnostic, width, paint, wrap=wrap).rows())


_Run = tuple[Part, str]
"""A stretch of text that has one colour."""

_PROSE = (Part.MESSAGE, Part.LABEL, Part.HINT)
"""What may be broken between words."""


class _Page:
    """One finding on its way to lines."""

    def __init__(self, diagnostic: Diagnostic, width: int, paint: Paint, *, wrap: bool) -> None:
        self._diagnostic = diagnostic
        self._width = width
        self._paint = paint
        self._wrap = wrap
        places = [diagnostic.span, *(label.span for label in diagnostic.labels)]
        last = max(place.source.position(max(place.start, place.end - 1))[0] for place in places)
        self._margin = len(str(last))
        # What a terminal would break itself has to leave room for the line's number.
        self._room = max(width - self._margin - 3, 10) if wrap else width

    def rows(self) -> Iterator[str]:
        """The lines, from the sentence to the hints."""
        found = self._diagnostic
        yield from self._sentence(
            [
                (Part.PLACE, f"{_place(found.span)}:"),
                (Part.SEVERITY, f"{found.severity.value}:"),
                (Part.MESSAGE, visible(found.message)),
                (Part.CODE, f"[{found.code}]"),
            ],
            hang=4,
        )
        yield from self._excerpts()
        for hint in (found.hint or "").splitlines():
            margin = (Part.GUTTER, f"{' ' * self._margin} =")
            yield from self._sentence(
                [margin, (Part.HINT, f"hint: {visible(hint)}")], hang=self._margin + 9
            )

    def _excerpts(self) -> Iterator[str]:
        """The source lines that the finding and its labels are about, each with its marks."""
        found = self._diagnostic
        source = found.span.source
        yield self._gutter("|")
        here = [label for label in found.labels if label.span.source is source]
        yield from self._lines([Label(found.span, ""), *here])
        for other in dict.fromkeys(each.span.source for each in found.labels):
            if other is not source:
                there = [label for label in found.labels if label.span.source is other]
                place = self._painted(Part.PLACE, _place(there[0].span))
                yield f"{self._gutter(':::')} {place}"
                yield from self._lines(there)

    def _lines(self, labels: list[Label]) -> Iterator[str]:
        """The lines of one source in their order, with a gap between those that are apart."""
        marks = [mark for label in labels for mark in self._marks(label)]
        before = 0
        for line in sorted({mark.line for mark in marks}):
            if before and line > before + 1:
                yield self._gutter("⋮")
            yield from self._line(line, [mark for mark in marks if mark.line == line])
            before = line

    def _marks(self, label: Label) -> "list[_Mark]":
        """Where the span of *label* is underlined: on its first line, and on its last."""
        span = label.span
        primary = span == self._diagnostic.span and not label.text
        source = span.source
        first, _ = source.position(span.start)
        last, _ = source.position(max(span.start, span.end - 1))
        if last == first:
            return [_Mark(first, span, label.text, primary=primary)]
        start = source.line_starts[last - 1]
        text = source.text[start : min(span.end, start + 4 * self._width)]
        # The blanks that a line begins with need no mark.
        start += len(text) - len(text.lstrip(" \t"))
        head = source.span(span.start, source.line_end(span.start))
        foot = source.span(min(start, span.end), span.end)
        return [
            _Mark(first, head, "", primary=primary),
            _Mark(last, foot, label.text, primary=primary),
        ]

    def _line(self, number: int, marks: "list[_Mark]") -> Iterator[str]:
        marks = sorted(marks, key=lambda mark: (not mark.primary, mark.span.start))
        text, places = _excerpt([mark.span for mark in marks], self._room)
        gutter = self._painted(Part.GUTTER, f"{number:>{self._margin}} |")
        yield f"{gutter} {self._painted(Part.SOURCE, text)}".rstrip()
        # The finding's own mark first, and beside it those that do not meet it; each other one,
        # and each that has something to say but the last, gets a row of its own.
        rows: list[list[tuple[int, _Mark, int]]] = []
        for mark, (indent, size) in sorted(
            zip(marks, places, strict=True), key=lambda each: (not each[0].primary, each[1])
        ):
            row = rows[-1] if rows else None
            if row is None or row[-1][1].text or indent <= row[-1][0] + row[-1][2]:
                rows.append([(indent, mark, size)])
            else:
                row.append((indent, mark, size))
        for row in rows:
            yield from self._underline(row)

    def _underline(self, row: "list[tuple[int, _Mark, int]]") -> Iterator[str]:
        bar = self._gutter("|")
        drawn, at = f"{bar} ", 0
        for indent, mark, size in row:
            part, sign = (Part.CARET, "^") if mark.primary else (Part.LABEL, "-")
            drawn += " " * (indent - at) + self._painted(part, sign * size)
            at = indent + size
        text = visible(row[-1][1].text)
        if not text:
            yield drawn
        elif self._wrap and self._margin + 4 + at + _width(text) > self._width:
            yield drawn
            for line in self._sentence([(Part.LABEL, text)], hang=0, before=self._margin + 3):
                yield f"{bar} {line}"
        else:
            yield f"{drawn} {self._painted(Part.LABEL, text)}"

    def _gutter(self, sign: str) -> str:
        return self._painted(Part.GUTTER, f"{' ' * self._margin} {sign}")

    def _painted(self, part: Part, text: str) -> str:
        return self._paint(part, self._diagnostic.severity, text) if text else ""

    def _sentence(self, runs: list[_Run], *, hang: int, before: int = 0) -> Iterator[str]:
        """*runs* with blanks between them, in lines; each but the first begins with *hang* blanks.

        *before* is how many cells stand in front of each line. Lines are broken between words; a
        word that is too long for any line is left whole.
        """
        lines: list[list[_Run]] = [[]]
        used = 0
        for part, text in runs:
            breaks = self._wrap and part in _PROSE
            for word in text.split(" ") if breaks else [text]:
                size = _width(word)
                if self._wrap and lines[-1] and used + 1 + size > self._width - before:
                    lines.append([])
                    used = hang
                used += size + bool(lines[-1])
                if lines[-1] and lines[-1][-1][0] is part:
                    part, words = lines[-1].pop()
                    word = f"{words} {word}"
                lines[-1].append((part, word))
        for number, line in enumerate(lines):
            indent = " " * hang if number else ""
            yield indent + " ".join(self._painted(part, text) for part, text in line)


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is underlined on one line."""

    line: int
    span: Span  # On this line.
    text: str  # What stands beside it.
    primary: bool


def _place(span: Span) -> str:
    line, column = span.source.position(span.start)
    return f"{visible(span.source.name)}:{line}:{column}"


def _width(text: str) -> int:
    """The cells that *text* takes."""
    return len(text) if text.isascii() else sum(size for _, size in _cells(text))


_TAB = 4  # Cells: a tab goes to the next multiple, counted from the first cell shown.


def _excerpt(spans: list[Span], width: int) -> tuple[str, list[tuple[int, int]]]:
    """The line of *spans*, cut around the first of them; of each the cells before it, and its own.

    A mark has at least one cell.
    """
    span = spans[0]
    source = span.source
    _, column = source.position(span.start)
    line_start, line_end = span.start - column + 1, source.line_end(span.start)
    start = _first_shown(source.text, line_start, span.start, width)
    # A line may have millions of characters; no more are looked at than may be shown.
    cells = _cells(source.text[start : min(line_end, start + 4 * width)])
    text = "…" if start > line_start else ""
    places = [(len(text), 0)] * len(spans)
    used = len(text)
    for offset, (shown, size) in enumerate(cells, start):
        if used + size > width - 1:
            text += "…"
            break
        places = [
            _grown(place, size, offset, each) for place, each in zip(places, spans, strict=True)
        ]
        text += shown
        used += size
    # What lies beyond the cut is marked where the line is cut.
    return text, [(min(indent, used), max(size, 1)) for indent, size in places]


def _grown(place: tuple[int, int], size: int, offset: int, span: Span) -> tuple[int, int]:
    """The cells before *span*, and its own, with the *size* cells of the character at *offset*."""
    indent, own = place
    if offset < span.start:
        return indent + size, own
    return (indent, own + size) if offset < span.end else place


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
