"""Builds, copies, rollbacks, repairs and other tools' damage, against a plain dictionary."""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from gguf_files import write_gguf
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mbuild.compiler.create import Order, create
from mbuild.store.digest import Digest
from mbuild.store.manifest import BadManifest, Manifest
from mbuild.store.name import Name
from mbuild.store.prune import Policy
from mbuild.store.store import DamagedModel, MissingModel, Store

NAMES = st.sampled_from([Name.parse(text) for text in ("kid", "kid:v2", "me/kid", "hf.co/u/dad")])
TEXTS = st.sampled_from(["", "SYSTEM one", "SYSTEM two", "PARAMETER stop x"])
RUBBISH = st.sampled_from([b"", b"{", b"[]", b'{"layers": [{"digest": "sha256:"}]}'])


@dataclass
class Expected:
    """What is to be said of a name."""

    now: bytes
    past: list[bytes] = field(default_factory=list)  # all builds that are kept, oldest first

    def becomes(self, data: bytes) -> None:
        """Another manifest takes the place of what is there, which is kept as well."""
        if self.now == data:
            return
        if self.past[-1:] != [self.now]:
            self.past.append(self.now)  # Another tool had written it.
        self.now = data
        self.past.append(data)


def is_manifest(data: bytes) -> bool:
    try:
        Manifest.decode(data)
    except BadManifest:
        return False
    return True


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        write_gguf(self.folder / "m.gguf", {"general.architecture": "llama"})
        self.store = Store(self.folder / "models")
        self.expected: dict[Name, Expected] = {}
        self.built: dict[str, bytes] = {}  # what each text has been built to

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @property
    def damaged(self) -> set[Name]:
        return {name for name, each in self.expected.items() if not is_manifest(each.now)}

    def becomes(self, name: Name, data: bytes) -> None:
        if name in self.expected:
            self.expected[name].becomes(data)
        else:
            self.expected[name] = Expected(data, [data])

    @rule(name=NAMES, text=TEXTS, fresh=st.booleans())
    def create(self, name: Name, text: str, fresh: bool) -> None:
        modelfile = f"FROM ./m.gguf\n{text}\n".encode()
        order = Order(name, "Modelfile", modelfile, str(self.folder), fresh=fresh)
        data, findings = create(order, self.store, lambda _: None)
        assert data is not None, findings
        assert self.built.setdefault(text, data) == data
        self.becomes(name, data)

    @rule(source=NAMES, name=NAMES)
    def copy(self, source: Name, name: Name) -> None:
        if self._fails(source, lambda: self.store.copy(source, name)):
            return
        if source != name:
            self.becomes(name, self.expected[source].now)

    @rule(name=NAMES)
    def remove(self, name: Name) -> None:
        if name not in self.expected:
            with pytest.raises(MissingModel):
                self.store.remove(name)
            return
        del self.expected[name]
        assert bool(self.store.remove(name).kept_because) == bool(self.damaged)

    @precondition(lambda self: any(each.past for each in self.expected.values()))
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        names = [name for name, each in self.expected.items() if each.past]
        name = data.draw(st.sampled_from(sorted(names, key=str)))
        earlier = data.draw(st.sampled_from(self.expected[name].past))
        if is_manifest(earlier):
            self.store.save(name, earlier)
            self.becomes(name, earlier)

    @rule(keep=st.none() | st.integers(1, 2))
    def prune(self, keep: int | None) -> None:
        pruned = self.store.prune(Policy(everything=True, revisions=keep))
        assert bool(pruned.kept_because) == bool(self.damaged)
        if keep is not None:
            for each in self.expected.values():
                each.past = each.past[-keep:]
        if not self.damaged:
            files = set(os.listdir(self.store.blobs.folder)) if self.expected else set()
            assert files == {digest.filename for digest in self._needed()}

    @rule(name=NAMES, rubbish=RUBBISH)
    def another_tool_damages(self, name: Name, rubbish: bytes) -> None:
        self._write(name, rubbish)

    @precondition(lambda self: len(self.expected) > len(self.damaged))
    @rule(name=NAMES, data=st.data())
    def another_tool_copies(self, name: Name, data: st.DataObject) -> None:
        source = data.draw(st.sampled_from(sorted(self.expected.keys() - self.damaged, key=str)))
        self._write(name, self.expected[source].now)

    @rule()
    def repair(self) -> None:
        found = self.store.inspect()
        assert found.sound is not bool(self.damaged)
        self.store.repair(found)
        for name in self.damaged:
            each = self.expected[name]
            whole = [data for data in each.past if is_manifest(data)]
            if whole:
                each.now = whole[-1]
                if each.past[-1] != each.now:
                    each.past.append(each.now)

    @invariant()
    def names_stand_for_what_they_should(self) -> None:
        assert {name: self.store.read(name) for name in self.store.names()} == {
            name: each.now for name, each in self.expected.items()
        }

    @invariant()
    def the_list_tells_which_are_damaged(self) -> None:
        entries = self.store.entries()
        assert {entry.name for entry in entries} == self.expected.keys()
        assert {entry.name for entry in entries if entry.damaged is not None} == self.damaged

    @invariant()
    def nothing_that_was_built_is_lost(self) -> None:
        for name, each in self.expected.items():
            assert [revision.manifest for revision in self.store.revisions(name)] == each.past
        for digest in self._needed():
            assert Digest.of(self.store.blobs.read(digest)) == digest

    @invariant()
    def only_what_is_damaged_is_found_damaged(self) -> None:
        found = self.store.inspect()
        hit = {name for damage in found.damages if not damage.harmless for name in damage.models}
        assert hit == {name.short for name in self.damaged}

    def _fails(self, source: Name, copy: Callable[[], object]) -> bool:
        if source not in self.expected:
            with pytest.raises(MissingModel):
                copy()
        elif source in self.damaged:
            with pytest.raises(DamagedModel):
                copy()
        else:
            copy()
            return False
        return True

    def _write(self, name: Name, data: bytes) -> None:
        path = Path(self.store.root, "manifests", name.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if name in self.expected:
            self.expected[name].now = data
        else:
            self.expected[name] = Expected(data)

    def _needed(self) -> set[Digest]:
        manifests = [data for each in self.expected.values() for data in (each.now, *each.past)]
        return {
            layer.digest
            for data in filter(is_manifest, manifests)
            for layer in Manifest.decode(data).blobs
        }


Machine.TestCase.settings = settings(
    max_examples=200 if os.environ.get("MBUILD_SOAK") == "1" else 8,
    stateful_step_count=25,
    deadline=None,
)
test_the_store_is_a_dictionary_whatever_is_done_to_it = Machine.TestCase
