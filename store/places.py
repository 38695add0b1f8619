"""Where everything in a store lies: what its care goes through."""

import os
from dataclasses import dataclass

from mbuild.store.blobs import Blobs
from mbuild.store.catalogue import Catalogue
from mbuild.store.history import History
from mbuild.store.records import Records


@dataclass(frozen=True, slots=True)
class Places:
    """The parts of the store at *root*; *ours* is the folder that only mbuild uses."""

    root: str
    ours: str
    catalogue: Catalogue
    blobs: Blobs
    sources: Blobs
    history: History
    records: Records

    @property
    def lock(self) -> str:
        """What builds share, and whoever removes blobs has alone."""
        return f"{self.ours}/lock"

    @property
    def names_lock(self) -> str:
        """What whoever changes a name has alone."""
        return f"{self.ours}/names.lock"

    @property
    def scratch(self) -> str:
        """Where downloads and conversions lie while they last."""
        return f"{self.ours}/scratch"

    @property
    def damaged(self) -> str:
        """Where a repair puts what it takes out of the way."""
        return f"{self.ours}/damaged"

    def relative(self, path: str) -> str:
        """*path* as a person sees it, from the root of the store."""
        return os.path.relpath(path, self.root)
