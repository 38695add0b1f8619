"""A model as a list shows it."""

from dataclasses import dataclass

from mbuild.store.digest import Digest
from mbuild.store.name import Name


@dataclass(frozen=True, slots=True)
class Model:
    """A model as a list shows it."""

    name: Name
    id: Digest
    size: int  # bytes of all that it is made of, as its manifest has them
    modified_ns: int  # since the epoch: when the manifest was written
    damaged: None = None


@dataclass(frozen=True, slots=True)
class Damaged:
    """A model whose manifest cannot be read, as a list shows it."""

    name: Name
    modified_ns: int  # since the epoch
    damaged: str  # why
    id: None = None
    size: None = None


Entry = Model | Damaged
