"""A process that works on a store that others work on, too, and writes down what it has done.

    python crowd.py ROOT WEIGHTS SEED SECONDS LOG

It creates, copies, removes, prunes and lists, in an order that depends on SEED. Some names are
its own; at the end LOG has what each of them stands for, and how much was done. The other names
are everybody's, and may vanish at any time.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mbuild.compiler.create import Order, create
from mbuild.store.name import Name
from mbuild.store.prune import Policy
from mbuild.store.store import MissingModel, Store


class Worker:
    """One of the crowd. *own* is what its own names stand for."""

    def __init__(self, store: Store, weights: Path, seed: int) -> None:
        self.own: dict[str, str] = {}
        self.done: dict[str, int] = {}
        self._store = store
        self._weights = weights
        self._choice = random.Random(seed)
        self._own = [f"worker{seed}:{tag}" for tag in "abc"]
        self._shared = [f"shared:{tag}" for tag in "xyz"]
        self._actions: list[Callable[[], None]] = [
            *[self._create] * 4,
            *[self._copy] * 3,
            *[self._remove] * 2,
            self._prune,
            self._list,
        ]

    def work(self, until: float) -> None:
        """Do one thing after the other, until that time of the monotonic clock."""
        while time.monotonic() < until:
            action = self._choice.choice(self._actions)
            missing = _missing(action)
            assert missing not in self.own, f"somebody took {missing}, which is mine"
            word = action.__name__.lstrip("_")
            self.done[word] = self.done.get(word, 0) + 1

    def _create(self) -> None:
        name = self._any()
        text = f"FROM {self._weights}\nSYSTEM {self._choice.randrange(20)}\n"
        order = Order(Name.parse(name), "Modelfile", text.encode(), str(self._weights.parent))
        data, findings = create(order, self._store, lambda _: None)
        assert data is not None, findings
        self._stands_for(name, data)

    def _copy(self) -> None:
        source, target = self._any(), self._any()
        self._store.copy(Name.parse(source), Name.parse(target))
        if target not in self._own or source == target:
            return
        if source in self.own:
            self.own[target] = self.own[source]
        else:
            self._stands_for(target, self._store.read(Name.parse(target)))

    def _remove(self) -> None:
        name = self._any()
        self._store.remove(Name.parse(name))
        self.own.pop(name, None)

    def _prune(self) -> None:
        keep = self._choice.choice([None, 1, 2])
        self._store.prune(Policy(everything=True, revisions=keep), patience=0)

    def _list(self) -> None:
        entries = self._store.entries()
        assert all(entry.damaged is None for entry in entries), entries
        assert {entry.name.short for entry in entries} >= self.own.keys()
        for name, data in self.own.items():
            assert self._store.read(Name.parse(name)).decode() == data

    def _any(self) -> str:
        return self._choice.choice([*self._own, *self._shared])

    def _stands_for(self, name: str, data: bytes) -> None:
        if name in self._own:
            self.own[name] = data.decode()


def _missing(action: Callable[[], None]) -> str:
    """The name that *action* did not find, as another one may have removed it; "" if it did."""
    try:
        action()
    except MissingModel as error:
        return error.name.short
    return ""


if __name__ == "__main__":
    root, weights, seed, seconds, log = sys.argv[1:]
    worker = Worker(Store(root), Path(weights), int(seed))
    worker.work(time.monotonic() + float(seconds))
    Path(log).write_text(json.dumps({"own": worker.own, "done": worker.done}))
