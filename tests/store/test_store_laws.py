"""The store against a dictionary: whatever is done in whatever order, they agree."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.prune import Policy
from mbuild.store.store import MissingModel, Store

NAMES = st.sampled_from([Name.parse(text) for text in ("kid", "kid:v2", "me/kid", "hf.co/u/dad")])
TEXTS = st.lists(st.sampled_from([b"", b"one", b"two", b"three"]), max_size=3)


class StoreMachine(RuleBasedStateMachine):
    """What each name has stood for, the present last, beside the store."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.now = 0
        self.store = Store(Path(self.folder) / "models", clock=lambda: self.now)
        self.model: dict[Name, list[bytes]] = {}
        self.times: dict[Name, int] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def stands_for(self, name: Name, data: bytes) -> None:
        past = self.model.setdefault(name, [])
        if not past or past[-1] != data:
            past.append(data)
        self.times[name] = self.now

    @rule(name=NAMES, texts=TEXTS, wait=st.integers(0, 3))
    def create(self, name: Name, texts: list[bytes], wait: int) -> None:
        self.now += wait * 1_000_000_000
        with self.store.building():
            stored = [self.store.blobs.put(text) for text in texts]
            layers = tuple(Layer(MediaType.SYSTEM, each.digest, each.size) for each in stored)
            data = Manifest(None, layers).encode()
            known = name in self.model and self.model[name][-1] == data
            assert self.store.save(name, data, sources={"Modelfile": data}) is not known
        self.stands_for(name, data)

    @rule(source=NAMES, destination=NAMES)
    def copy(self, source: Name, destination: Name) -> None:
        if source not in self.model:
            with pytest.raises(MissingModel):
                self.store.copy(source, destination)
            return
        self.store.copy(source, destination)
        if source != destination:
            self.stands_for(destination, self.model[source][-1])

    @rule(name=NAMES)
    def remove(self, name: Name) -> None:
        if name not in self.model:
            with pytest.raises(MissingModel):
                self.store.remove(name)
            return
        assert self.store.remove(name).kept_because == ""
        del self.model[name], self.times[name]

    @rule(keep=st.none() | st.integers(1, 3), everything=st.booleans())
    def prune(self, keep: int | None, everything: bool) -> None:
        self.store.prune(Policy(everything=everything, revisions=keep))
        if keep is not None:
            self.model = {name: past[-keep:] for name, past in self.model.items()}
            self.store.prune(Policy(everything=True))

    @rule()
    def repair(self) -> None:
        assert self.store.repair(self.store.inspect()).mended == ()

    @rule()
    def another_process_looks(self) -> None:
        self.store = Store(self.store.root, clock=lambda: self.now)

    @invariant()
    def names_stand_for_what_they_should(self) -> None:
        assert {name: self.store.read(name) for name in self.store.names()} == {
            name: past[-1] for name, past in self.model.items()
        }

    @invariant()
    def the_list_is_in_order(self) -> None:
        expected = sorted(self.times, key=lambda name: (-(self.times[name] // 10**9), name.path))
        assert [entry.name for entry in self.store.entries()] == expected

    @invariant()
    def nothing_that_a_name_stood_for_is_lost(self) -> None:
        for name, past in self.model.items():
            assert [revision.manifest for revision in self.store.revisions(name)] == past

    @invariant()
    def nothing_is_damaged(self) -> None:
        assert self.store.inspect().damages == ()

    @invariant()
    def the_blobs_are_just_those_in_use(self) -> None:
        used = {
            layer.digest
            for past in self.model.values()
            for data in past
            for layer in Manifest.decode(data).blobs
        }
        folder = Path(self.store.blobs.folder)
        found = {Digest.parse(path.name) for path in folder.iterdir()} if folder.exists() else set()
        assert found == used


StoreMachine.TestCase.settings = settings(
    max_examples=200 if os.environ.get("MBUILD_SOAK") == "1" else 10,
    stateful_step_count=15,
    deadline=None,
)
test_the_store_is_a_dictionary_that_forgets_nothing = StoreMachine.TestCase
