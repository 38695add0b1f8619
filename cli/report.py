"""What the commands print, as text: tables, sections, JSON. Nothing here prints.

The layout is the reference's (command-line specification, section 3).
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from mbuild.cli.humanize import age, size
from mbuild.store.entry import Entry

_GAP = "    "

Row = Sequence[str]


def table(header: Row, rows: Sequence[Row]) -> str:
    """Left-aligned columns, four blanks apart, as the reference's tables are laid out."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    top = _GAP.join(cell.ljust(width) for cell, width in zip(header, widths, strict=True))
    return f"{top} \n" + "".join(_line(row, widths) for row in rows)


def _line(row: Row, widths: Sequence[int]) -> str:
    cells = (cell.ljust(width) + _GAP for cell, width in zip(row, widths, strict=True))
    return "".join(cells) + "\n"


def sections(parts: Iterable[tuple[str, Sequence[Row]]]) -> str:
    """Titled blocks of rows; a block without rows is left out."""
    return "".join(_section(title, rows) for title, rows in parts if rows)


def _section(title: str, rows: Sequence[Row]) -> str:
    columns = max(len(row) for row in rows)
    full = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(len(row[column]) for row in full) for column in range(columns)]
    return f"  {title}\n" + "".join(_GAP + _line(row, widths) for row in full) + "\n"


def models_as_table(entries: Iterable[Entry], *, now: float) -> str:
    """The models for ``list``; *now* is in seconds since the epoch."""
    rows = [
        (
            entry.name.short,
            "damaged" if entry.id is None else entry.id.short,
            "-" if entry.size is None else size(entry.size),
            age(now - entry.modified_ns / 1e9),
        )
        for entry in entries
    ]
    return table(("NAME", "ID", "SIZE", "MODIFIED"), rows)


def models_as_json(entries: Iterable[Entry]) -> str:
    """The models for ``list --json``: sizes in bytes, times in seconds since the epoch."""
    rows = [
        {
            "name": entry.name.short,
            "digest": entry.id.hex if entry.id else None,
            "size": entry.size,
            "modified": entry.modified_ns / 1e9,
            "damaged": entry.damaged,
        }
        for entry in entries
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def first_lines(text: str, count: int = 2) -> list[Row]:
    """The first *count* lines that are not blank, and dots if there are more."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rows: list[Row] = [(line,) for line in lines[:count]]
    return [*rows, ("...",)] if len(lines) > count else rows


def go_string(text: str) -> str:
    r"""*text* in double quotes with Go's escapes.

    >>> print(go_string('a"b\n'))
    "a\"b\n"
    """
    return '"' + "".join(map(_go_character, text)) + '"'


_GO_ESCAPES: Mapping[str, str] = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def _go_character(character: str) -> str:
    escaped = _GO_ESCAPES.get(character)
    if escaped is not None:
        return escaped
    if character.isprintable():
        return character
    point = ord(character)
    if point < 0x80:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
