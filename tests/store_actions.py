"""What can be done to a store, each by one function, and a process that dies while it does it.

    python store_actions.py ROOT ACTION CHANGES

does ACTION in the store at ROOT, and dies as by ``kill -9`` after that many changes of the disk.
Imports nothing of the tests' tools, since it is started many times.
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.prune import Policy
from mbuild.store.store import Store

KID, DAD = Name.parse("kid"), Name.parse("me/dad:v1")

# All calls by which the store changes a disk.
CHANGING = (
    "write",
    "pwrite",
    "copy_file_range",
    "fsync",
    "replace",
    "rename",
    "mkdir",
    "rmdir",
    "unlink",
    "utime",
    "fchmod",
    "ftruncate",
    "link",
    "chmod",
)


def build(store: Store, name: Name, text: bytes) -> None:
    with store.building():
        stored = store.blobs.put(text)
        manifest = Manifest(None, (Layer(MediaType.SYSTEM, stored.digest, stored.size),))
        store.save(name, manifest, sources={"Modelfile": b"SYSTEM " + text})


def save(store: Store) -> None:
    build(store, KID, b"new")


def create(store: Store) -> None:
    build(store, Name.parse("first/of:its-kind"), b"new")


def copy(store: Store) -> None:
    store.copy(KID, DAD)


def remove(store: Store) -> None:
    store.remove(KID)


def prune(store: Store) -> None:
    store.prune(Policy(everything=True, revisions=1))


def repair(store: Store) -> None:
    store.repair(store.inspect())


# What changes what a name stands for, and what must not.
ACTIONS: dict[str, Callable[[Store], None]] = {
    action.__name__: action for action in (save, create, copy, remove)
}
CARE: dict[str, Callable[[Store], None]] = {action.__name__: action for action in (prune, repair)}


def _die_after(changes: int) -> None:
    left = itertools.count(changes, -1)

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if next(left) == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return wrapped

    for name in filter(os.__dict__.__contains__, CHANGING):
        setattr(os, name, dying(getattr(os, name)))


if __name__ == "__main__":
    _die_after(int(sys.argv[3]))
    (ACTIONS | CARE)[sys.argv[2]](Store(sys.argv[1]))
