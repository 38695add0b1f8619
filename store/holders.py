"""Which files of a folder some process has open or mapped, such as the weights of a loaded model.

Known on Linux, of the processes that this user may look at. Elsewhere nothing is known, and a
file that is removed lives on for whoever has it open.
"""

import os
from collections.abc import Iterator
from contextlib import suppress


def held(folder: str, processes: str = "/proc") -> set[str]:
    """The names of files in *folder* that a process holds."""
    inside = os.path.realpath(folder) + "/"
    try:
        numbers = [each for each in os.listdir(processes) if each.isdecimal()]
    except FileNotFoundError:
        return set()
    paths = (path for number in numbers for path in _paths(f"{processes}/{number}", inside))
    return {path.removeprefix(inside).removesuffix(" (deleted)") for path in paths}


def _paths(process: str, inside: str) -> Iterator[str]:
    # It may end at any moment, or be another user's.
    with suppress(OSError):
        with open(f"{process}/maps", encoding="utf-8", errors="surrogateescape") as file:
            maps = file.read()
        if inside in maps:
            yield from (
                inside + line.partition(inside)[2] for line in maps.splitlines() if inside in line
            )
    with suppress(OSError):
        for number in os.listdir(f"{process}/fd"):
            with suppress(OSError):
                path = os.readlink(f"{process}/fd/{number}")
                if path.startswith(inside):
                    yield path
