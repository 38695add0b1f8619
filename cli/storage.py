"""What ``df``, ``prune`` and ``fsck`` say, as text and as JSON. Nothing here prints."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict

from click import style

from mbuild.cli.humanize import size
from mbuild.store.damage import Damage, Inspected, Repaired
from mbuild.store.prune import Item, Kind, Pruned
from mbuild.store.room import Room
from mbuild.store.usage import Usage

Paint = Callable[[str, str], str]
"""Gives a text a colour, or makes it "bold"."""

_GAP = "   "
_HOW_MANY_NAMES = 6
_HOW_MANY_NOTES = 5  # are told before the rest is counted


def plain(text: str, _colour: str) -> str:
    """*text* without a colour."""
    return text


def paint(text: str, colour: str) -> str:
    """*text* in that colour, for a terminal."""
    return style(text, bold=True) if colour == "bold" else style(text, fg=colour)


# df.


def usage_as_table(usage: Usage, paint: Paint = plain) -> str:
    """What takes room, one kind a line, and what would give it back."""
    rows: list[tuple[str, int, int | None, int, str]] = [
        ("Models", len(usage.models), None, 0, ""),
        ("  blobs of one model", usage.unique.count, usage.unique.size, 0, ""),
        ("  blobs of several", usage.shared.count, usage.shared.size, 0, ""),
        *_removable("Earlier builds", _both(usage.past, usage.history), "prune --history"),
        *_removable("Loose blobs", usage.loose, "prune"),
        *_removable("Records", usage.records, "prune --all"),
        ("Source texts", usage.sources.count, usage.sources.size, 0, ""),
        *_removable("Unfinished downloads", usage.scratch, "prune"),
        *_removable("Temporary files", usage.temporary, "prune"),
        *_kept("Files of other tools", usage.foreign),
        *_kept("Moved aside by fsck", usage.damaged),
    ]
    cells = [
        (what, f"{count:,}", "" if room is None else size(room), size(back) if back else "", how)
        for what, count, room, back, how in rows
    ]
    total = size(_total(usage))
    cells.append(("Total", "", total, size(sum(row[3] for row in rows)), ""))
    lines = _columns([("", "COUNT", "SIZE", "TO GAIN", "BY MBUILD"), *cells], right=(1, 2, 3))
    lines[0], lines[-1] = paint(lines[0], "bold"), paint(lines[-1], "bold")
    return "\n".join(lines) + "\n" + "".join(_remarks(usage))


def _removable(what: str, room: Room, how: str) -> list[tuple[str, int, int, int, str]]:
    back = room.size - room.linked
    return [(what, room.count, room.size, back, how if room.count else "")]


def _kept(what: str, room: Room) -> list[tuple[str, int, int, int, str]]:
    return [(what, room.count, room.size, 0, "")] if room.count else []


def _both(one: Room, other: Room) -> Room:
    return Room(other.count, one.size + other.size, one.linked)


def _rooms(usage: Usage) -> dict[str, Room]:
    return {
        name: value
        for name in usage.__dataclass_fields__
        if isinstance(value := getattr(usage, name), Room)
    }


def _total(usage: Usage) -> int:
    return sum(room.size for room in _rooms(usage).values())


def _remarks(usage: Usage) -> Iterator[str]:
    linked = sum(room.linked for room in _rooms(usage).values())
    if linked:
        yield (
            f"\n{size(linked)} are in files that have a name outside of the store as well: "
            "removing them here gives nothing back.\n"
        )
    for each in usage.unknown:
        yield f"\n{each}: what it needs is not known, so nothing can be removed.\n"


def models_as_table(usage: Usage, paint: Paint = plain) -> str:
    """The room of each model: all of it, what others need too, and what removing it gives back."""
    rows = [
        (model.name.short, size(model.size), size(model.size - model.unique), size(model.unique))
        for model in usage.models
    ]
    lines = _columns([("NAME", "SIZE", "SHARED", "UNIQUE"), *rows], right=(1, 2, 3))
    return "\n".join([paint(lines[0], "bold"), *lines[1:]]) + "\n"


def usage_as_json(usage: Usage) -> str:
    """``df --json``: bytes on the disk."""
    rooms = {
        name: {"count": room.count, "size": room.size, "linked": room.linked}
        for name, room in _rooms(usage).items()
    }
    models = [
        {"name": each.name.short, "size": each.size, "unique": each.unique} for each in usage.models
    ]
    return _json({"total": _total(usage), **rooms, "models": models, "unknown": usage.unknown})


# prune.

_PLURALS = {
    Kind.REVISION: ("earlier build", "earlier builds"),
    Kind.BLOB: ("blob that nothing needs", "blobs that nothing needs"),
    Kind.SOURCE: ("source text", "source texts"),
    Kind.RECORD: ("record", "records"),
    Kind.SCRATCH: ("unfinished download", "unfinished downloads"),
    Kind.TEMPORARY: ("temporary file", "temporary files"),
}


def pruned_as_text(pruned: Pruned, paint: Paint = plain, *, dry_run: bool, verbose: bool) -> str:
    """What was removed, or would be, and what was not."""
    groups: dict[Kind, list[Item]] = defaultdict(list)
    for item in pruned.items:
        groups[item.kind].append(item)
    verb = "would remove" if dry_run else "removed"
    rows = [
        (verb, str(len(groups[kind])), _PLURALS[kind][len(groups[kind]) != 1], _size(groups[kind]))
        for kind in Kind
        if groups[kind]
    ]
    lines = _columns(rows, right=(1, 3))
    if verbose or dry_run:
        lines += ["", *_listed(pruned.items)] if pruned.items else []
    if not rows:
        lines.append("nothing to remove")
    else:
        done = "would free" if dry_run else "freed"
        lines += ["", paint(f"{done} {size(pruned.freed)}", "green")]
    return "\n".join([*lines, *_spared(pruned, paint)]) + "\n"


def _listed(items: Sequence[Item]) -> list[str]:
    rows = [
        (size(item.size), f"{item.kind} {item.about}" if item.about else _short(item.path))
        for item in items
    ]
    return [f"  {line}" for line in _columns(rows, right=(0,))]


def _spared(pruned: Pruned, paint: Paint) -> Iterator[str]:
    if pruned.kept_because:
        yield paint(f"kept all blobs: {pruned.kept_because}", "yellow")
    if pruned.spared:
        count = len(pruned.spared)
        what = f"{count} loose {'blob' if count == 1 else 'blobs'} ({_size(pruned.spared)})"
        yield f"kept {what}, used within the last hour: see --all"


def _size(items: Iterable[Item]) -> str:
    return size(sum(item.size for item in items))


def pruned_as_json(pruned: Pruned, *, dry_run: bool) -> str:
    """``prune --json``: what was removed, in bytes given back."""
    return _json(
        {
            "dry_run": dry_run,
            "freed": pruned.freed,
            "items": [_item(item) for item in pruned.items],
            "spared": [_item(item) for item in pruned.spared],
            "kept_because": pruned.kept_because or None,
        }
    )


def _item(item: Item) -> dict[str, object]:
    return {
        "kind": item.kind.value,
        "path": item.path,
        "about": item.about or None,
        "size": item.size,
        "used": item.used / 1e9,
    }


# fsck.


def inspected_as_text(found: Inspected, paint: Paint = plain, *, verbose: bool) -> str:
    """What was looked at, every damage, and how many notes there are."""
    parts = [_checked(found)]
    parts += [_damage(damage, paint) for damage in found.damages if not damage.harmless]
    notes = [damage for damage in found.damages if damage.harmless]
    parts += _notes(notes, paint, most=len(notes) if verbose else _HOW_MANY_NOTES)
    return "\n".join([*parts, _verdict(found.damages, paint)]) + "\n"


def _checked(found: Inspected) -> str:
    counts = (
        _count(found.models, "model"),
        _count(found.revisions, "build"),
        f"{_count(found.blobs, 'blob')} ({size(found.size)})",
        _count(found.sources, "source text"),
        _count(found.records, "record"),
    )
    return f"checked {', '.join(counts)}"


def _damage(damage: Damage, paint: Paint) -> str:
    rows = [
        ("hits", _some(damage.models)),
        ("lost", damage.lost),
        ("mend", damage.advice),
    ]
    head = f"\n{paint('damaged', 'red')}  {_short(damage.path)}\n         {damage.what}"
    return head + "".join(f"\n         {paint(key, 'cyan')}  {text}" for key, text in rows if text)


def _notes(notes: Sequence[Damage], paint: Paint, *, most: int) -> list[str]:
    lines = [f"{paint('note', 'yellow')}  {_short(note.path)} {note.what}" for note in notes[:most]]
    if len(notes) > most:
        lines.append(f"{paint('note', 'yellow')}  {len(notes) - most} more; --verbose tells them")
    return ["", *lines] if lines else []


def _verdict(damages: Sequence[Damage], paint: Paint) -> str:
    bad = [damage for damage in damages if not damage.harmless]
    if not bad:
        return f"\n{paint('no damage', 'green')}"
    hit = {model for damage in bad for model in damage.models}
    models = f", {_count(len(hit), 'model')} hit: {_some(sorted(hit))}" if hit else ""
    return f"\n{paint(_count(len(bad), 'damage'), 'red')}{models}"


def repaired_as_text(repaired: Repaired, paint: Paint = plain) -> str:
    """What was mended, and what could not be."""
    lines = [
        f"{paint('mended', 'green')}  {_short(damage.path)}: {done}"
        for damage, done in repaired.mended
    ]
    if repaired.refused_because:
        lines.append(paint(f"nothing was mended: {repaired.refused_because}", "yellow"))
    bad = [damage for damage in repaired.left if not damage.harmless]
    lines += [_damage(damage, paint) for damage in bad]
    lines.append(_verdict(repaired.left, paint) + (" could not be mended" if bad else " is left"))
    return "\n" + "\n".join(lines) + "\n"


def inspected_as_json(found: Inspected, repaired: Repaired | None) -> str:
    """``fsck --json``: with what a repair has mended, and what it has left."""
    counts = {
        key: getattr(found, key)
        for key in ("models", "revisions", "blobs", "size", "sources", "records")
    }
    fields: dict[str, object] = {
        "sound": found.sound,
        "checked": counts,
        "damages": [asdict(damage) for damage in found.damages],
    }
    if repaired is not None:
        fields["mended"] = [
            {"path": damage.path, "what": damage.what, "done": done}
            for damage, done in repaired.mended
        ]
        fields["left"] = [asdict(damage) for damage in repaired.left]
        fields["refused_because"] = repaired.refused_because or None
    return _json(fields)


# All three.


def _short(path: str) -> str:
    """*path* with the digests in it cut to what a person compares.

    >>> _short("blobs/sha256-" + "ab" * 32)
    'blobs/sha256-abababababab…'
    """
    folder, slash, name = path.rpartition("/")
    stem, dash, digits = name.rpartition("-")
    if len(digits) != 64:
        return path if len(name) != 64 else f"{folder}{slash}{name[:12]}…"
    return f"{folder}{slash}{stem}{dash}{digits[:12]}…"


def _some(names: Sequence[str]) -> str:
    """The first few of *names*, and how many more there are."""
    more = len(names) - _HOW_MANY_NAMES
    listed = ", ".join(names[:_HOW_MANY_NAMES])
    return f"{listed} and {more:,} more" if more > 0 else listed


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _columns(rows: Sequence[Sequence[str]], right: tuple[int, ...]) -> list[str]:
    """The rows as lines, the columns in *right* ending in line."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        _GAP.join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _json(fields: dict[str, object]) -> str:
    return json.dumps(fields, indent=2, ensure_ascii=False) + "\n"
