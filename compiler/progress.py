"""What a build says while it works."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """One line that is true from now on, in the reference's words."""

    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the step *label* is. The last one of a step has ``done == total``."""

    label: str
    done: int  # bytes
    total: int | None  # bytes, None while unknown


Tell = Callable[[Status | Progress], None]
