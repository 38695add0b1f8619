"""The models that a server has loaded, as a table.

Source: the command-line specification, section 3 (``ps``).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from mbuild.cli.humanize import age, size
from mbuild.cli.report import table


def loaded_as_table(models: Sequence[Mapping[str, Any]], *, now: float) -> str:
    """The table; *now* is in seconds since the epoch."""
    rows = [
        (
            str(each["name"]),
            str(each["digest"])[:12],
            size(int(each["size"])),
            _processor(int(each["size"]), int(each["size_vram"])),
            str(each.get("context_length", "")),
            _until(str(each["expires_at"]), now),
        )
        for each in models
    ]
    return table(("NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"), rows)


def _processor(whole: int, graphics: int) -> str:
    """What computes: the share of the memory that is the GPU's."""
    if graphics == 0:
        return "100% CPU"
    if whole == 0 or graphics > whole:
        return "Unknown"
    if graphics == whole:
        return "100% GPU"
    share = round((whole - graphics) / whole * 100)
    return f"{share}%/{100 - share}% CPU/GPU"


def _until(moment: str, now: float) -> str:
    left = datetime.fromisoformat(moment).timestamp() - now
    return "Stopping..." if left < 0 else age(-left)
