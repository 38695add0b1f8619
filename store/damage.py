"""What can be wrong with a store, in words: what it is, whom it hits, what mends it."""

from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """What is damaged."""

    BLOB = "blob"
    MANIFEST = "manifest"
    REVISION = "earlier build"
    SOURCE = "source text"
    RECORD = "record"
    FILE = "file"


class Remedy(StrEnum):
    """What a repair does about it."""

    NONE = ""  # nothing: it takes what the store does not have
    ASIDE = "moved aside"
    RESTORE = "restored from the history"
    DROP = "removed"
    MODE = "made readable"


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is not as it should be."""

    part: Part
    path: str  # from the root of the store
    what: str  # a clause: "holds other bytes than its name says"
    remedy: Remedy = Remedy.NONE
    models: tuple[str, ...] = ()  # the short names of the models that it hits
    lost: str = ""  # what cannot be had any more, if that is so
    advice: str = ""  # what a person can do, beside a repair
    harmless: bool = False  # no model suffers, and nothing is lost: only room, or work


@dataclass(frozen=True, slots=True)
class Inspected:
    """What an inspection has found, and how much it has looked at."""

    damages: tuple[Damage, ...]
    models: int
    revisions: int
    blobs: int
    size: int  # bytes of all blobs, as long as they are
    sources: int
    records: int

    @property
    def sound(self) -> bool:
        """Whether there is no damage but such as harms nobody."""
        return all(damage.harmless for damage in self.damages)


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair has done."""

    mended: tuple[tuple[Damage, str], ...]  # each with what was done
    left: tuple[Damage, ...]
    refused_because: str = ""  # why nothing could be done, if so
