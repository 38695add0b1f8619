import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mbuild.store import manifest as manifest_module
from mbuild.store import stamps
from mbuild.store.blobs import MissingBlob, Stored
from mbuild.store.changes import Removed
from mbuild.store.digest import Digest
from mbuild.store.entry import Damaged
from mbuild.store.history import Revision
from mbuild.store.manifest import BadManifest, Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import DamagedModel, MissingModel, NewerStore, Store

KID, DAD, GRANDPA = (Name.parse(name) for name in ("kid", "me/dad:v1", "hf.co/u/grandpa:Q4"))
SECOND = 1_000_000_000  # ns
MANIFESTS = "manifests/registry.ollama.ai/library"


class Clock:
    """A clock that stands, until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND + 1

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Store:
    return Store(tmp_path / "models", clock=clock)


def made_of(store: Store, *texts: str) -> Manifest:
    """A manifest of these texts, which are put into the store."""
    stored = [store.blobs.put(text.encode()) for text in texts]
    return Manifest(None, tuple(Layer(MediaType.SYSTEM, each.digest, each.size) for each in stored))


def save(store: Store, name: Name, *texts: str, **sources: bytes) -> Manifest:
    manifest = made_of(store, *texts)
    store.save(name, manifest, sources=sources)
    return manifest


def texts(store: Store) -> set[str]:
    """What all blobs hold."""
    try:
        files = os.listdir(store.blobs.folder)
    except FileNotFoundError:
        return set()
    return {store.blobs.read(Digest.parse(file)).decode() for file in files}


def everything(store: Store) -> dict[str, bytes]:
    """All files of the store, but the locks."""
    return {
        str(path.relative_to(store.root)): path.read_bytes()
        for path in Path(store.root).rglob("*")
        if path.is_file() and "lock" not in path.name
    }


# Reading.


def test_a_store_that_is_not_there_is_empty_and_stays_away(store: Store) -> None:
    assert store.entries() == []
    assert list(store.names()) == []
    assert store.resolve(KID) == KID
    assert store.recall(Digest.of(b"")) is None
    assert store.remembered("/nowhere") is None
    assert store.revisions(KID) == ()
    for use in (store.load, store.read, store.remove, lambda name: store.copy(name, DAD)):
        with pytest.raises(MissingModel) as caught:
            use(KID)
        assert caught.value.name == KID
    assert not os.path.exists(store.root)


def test_reading_waits_for_no_lock(store: Store) -> None:
    manifest = save(store, KID, "hello")
    script = (
        "import sys; from mbuild.store import locks\n"
        "with locks.alone(sys.argv[1]), locks.alone(sys.argv[2]):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    paths = [f"{store.root}/mbuild/lock", f"{store.root}/mbuild/names.lock"]
    with subprocess.Popen(
        [sys.executable, "-c", script, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert store.load(KID) == manifest
        assert len(store.entries()) == len(list(store.names())) == 1
        assert store.resolve(Name.parse("KID")) == KID
        assert len(store.revisions(KID)) == 1
        holder.communicate()


# Saving.


def test_what_is_saved_lies_where_ollama_looks_for_it(store: Store, clock: Clock) -> None:
    manifest = save(store, KID, "hello")
    path = Path(store.root) / MANIFESTS / "kid" / "latest"
    assert path.read_bytes() == manifest.encode() == store.read(KID)
    assert path.stat().st_mtime_ns == clock.now
    assert store.load(KID) == manifest
    assert set(os.listdir(store.root)) == {"blobs", "manifests", "mbuild"}


def test_a_manifest_is_saved_only_with_all_its_blobs(store: Store) -> None:
    manifest = made_of(store, "hello", "world")
    store.blobs.remove(Digest.of(b"world"))
    with pytest.raises(MissingBlob) as caught:
        store.save(KID, manifest)
    assert caught.value.digest == Digest.of(b"world")
    assert store.entries() == []


def test_bytes_that_are_no_manifest_are_not_saved(store: Store) -> None:
    with pytest.raises(BadManifest):
        store.save(KID, b"[]")
    assert store.entries() == []


def test_bytes_are_saved_as_they_are(store: Store) -> None:
    data = b' {"layers" : [], "annotations": {}} '
    assert store.save(KID, data)
    assert store.read(KID) == data


def test_saving_the_same_again_only_renews_the_time(store: Store, clock: Clock) -> None:
    manifest = save(store, KID, "hello", Modelfile=b"FROM x")
    before = everything(store)
    clock.now += 5 * SECOND
    assert store.save(KID, manifest, sources={"Modelfile": b"FROM x"}) is False
    assert everything(store) == before
    assert store.entries()[0].modified_ns == clock.now


def test_saving_over_a_name_keeps_what_it_was(store: Store, clock: Clock) -> None:
    first = save(store, KID, "one", Modelfile=b"SYSTEM one")
    began = clock.now
    clock.now += SECOND
    second = save(store, KID, "two", Modelfile=b"SYSTEM two", other=b"")
    assert store.load(KID) == second
    one, two = store.revisions(KID)
    sources = {"Modelfile": Digest.of(b"SYSTEM one")}
    assert one == Revision(1, began, first.encode(), sources)
    assert (two.number, two.time, two.manifest) == (2, clock.now, second.encode())
    assert {file: store.source(digest) for file, digest in two.sources.items()} == {
        "Modelfile": b"SYSTEM two",
        "other": b"",
    }
    assert store.source(one.sources["Modelfile"]) == b"SYSTEM one"
    assert texts(store) == {"one", "two"}


def test_what_another_tool_saved_is_kept_as_well(store: Store, clock: Clock) -> None:
    first = save(store, KID, "one")
    theirs = made_of(store, "theirs").encode().replace(b"{", b"{ ", 1)
    path = Path(store.root) / MANIFESTS / "kid" / "latest"
    path.write_bytes(theirs)
    os.utime(path, ns=(7, 7))
    clock.now += SECOND
    second = save(store, KID, "two")
    assert [(each.manifest, each.time) for each in store.revisions(KID)] == [
        (first.encode(), clock.now - SECOND),
        (theirs, 7),
        (second.encode(), clock.now),
    ]


def test_going_back_to_an_earlier_manifest_is_a_revision_of_its_own(store: Store) -> None:
    for text in ("one", "two", "one"):
        save(store, KID, text)
    manifests = [made_of(store, text).encode() for text in ("one", "two", "one")]
    assert [revision.manifest for revision in store.revisions(KID)] == manifests


def test_saving_mends_a_damaged_model(store: Store) -> None:
    save(store, KID, "one")
    path = Path(store.root) / MANIFESTS / "kid" / "latest"
    path.write_bytes(b"damaged")
    assert isinstance(store.entries()[0], Damaged)
    manifest = save(store, KID, "two")
    assert store.load(KID) == manifest
    # Its bytes are kept, and do not keep blobs from ever being removed.
    assert b"damaged" in [revision.manifest for revision in store.revisions(KID)]
    save(store, DAD, "dad")
    assert store.remove(DAD).kept_because == ""


def test_saving_is_not_hindered_by_a_damaged_history(store: Store) -> None:
    save(store, KID, "one")
    for path in Path(store.root).glob("mbuild/history/*/*/*/*/*.json"):
        path.write_bytes(b"")
    manifest = save(store, KID, "two")
    assert store.load(KID) == manifest


# Copying.


def test_a_copy_has_the_same_bytes_and_sources(store: Store) -> None:
    data = made_of(store, "hello").encode() + b" "
    store.save(KID, data, sources={"Modelfile": b"FROM x"})
    assert store.copy(KID, DAD) is True
    assert store.read(DAD) == data
    assert [revision.sources for revision in store.revisions(DAD)] == [
        {"Modelfile": Digest.of(b"FROM x")}
    ]
    assert texts(store) == {"hello"}


def test_a_copy_of_what_another_tool_saved_has_no_sources(store: Store) -> None:
    save(store, KID, "one", Modelfile=b"FROM x")
    (Path(store.root) / MANIFESTS / "kid" / "latest").write_bytes(made_of(store, "new").encode())
    store.copy(KID, DAD)
    assert [revision.sources for revision in store.revisions(DAD)] == [{}]


def test_a_copy_over_a_name_keeps_what_it_was(store: Store) -> None:
    old, new = save(store, DAD, "old"), save(store, KID, "new")
    store.copy(KID, DAD)
    assert [revision.manifest for revision in store.revisions(DAD)] == [old.encode(), new.encode()]


def test_a_copy_onto_itself_does_nothing(store: Store, clock: Clock) -> None:
    save(store, KID, "hello")
    clock.now += SECOND
    assert store.copy(KID, KID) is False
    assert store.entries()[0].modified_ns == clock.now - SECOND


def test_what_is_missing_or_damaged_is_not_copied(store: Store) -> None:
    save(store, DAD, "dad")
    with pytest.raises(MissingModel):
        store.copy(KID, DAD)
    (Path(store.root) / MANIFESTS / "kid").mkdir(parents=True)
    (Path(store.root) / MANIFESTS / "kid" / "latest").write_bytes(b"")
    with pytest.raises(DamagedModel):
        store.copy(KID, DAD)
    assert store.load(DAD) == made_of(store, "dad")


# Removing.


def test_removing_takes_what_nobody_else_needs(store: Store) -> None:
    save(store, KID, "own", "shared", Modelfile=b"kid")
    save(store, DAD, "shared", "dad's", Modelfile=b"dad")
    assert store.remove(KID) == Removed(len("own") + len("kid"))
    assert [entry.name for entry in store.entries()] == [DAD]
    assert texts(store) == {"shared", "dad's"}
    assert store.revisions(KID) == ()
    assert store.remove(DAD) == Removed(len("shared") + len("dad's") + len("dad"))
    files = {str(path.relative_to(store.root)) for path in Path(store.root).rglob("*")}
    assert files == {
        "blobs",
        "mbuild",
        "mbuild/lock",
        "mbuild/names.lock",
        "mbuild/sources",
        "mbuild/version",
    }


def test_removing_takes_the_history_too(store: Store) -> None:
    for text in ("one", "two"):
        save(store, KID, text, Modelfile=text.encode())
    assert store.remove(KID) == Removed(2 * (len("one") + len("two")))
    assert texts(store) == set()


def test_the_history_of_others_keeps_its_blobs(store: Store) -> None:
    save(store, KID, "one")
    save(store, DAD, "one")
    save(store, DAD, "two")
    assert store.remove(KID).freed == 0
    assert texts(store) == {"one", "two"}


def test_removing_leaves_what_nobody_referred_to(store: Store) -> None:
    # Another tool may be about to refer to it; it is for a sweep that looks at the age.
    save(store, KID, "own")
    store.blobs.put(b"uploaded")
    store.remove(KID)
    assert texts(store) == {"uploaded"}


@pytest.mark.parametrize("where", ["a manifest", "a revision"])
def test_nothing_is_freed_while_something_is_damaged(store: Store, where: str) -> None:
    save(store, KID, "own")
    save(store, DAD, "other")
    pattern = "manifests/*/me/dad/*" if where == "a manifest" else "mbuild/history/*/me/dad/*/*"
    for path in Path(store.root).glob(pattern):
        path.write_bytes(b"damaged")
    removed = store.remove(KID)
    assert removed.freed == 0
    assert "dad" in removed.kept_because
    assert texts(store) == {"own", "other"}
    with pytest.raises(MissingModel):
        store.load(KID)


def test_a_damaged_model_can_be_removed(store: Store) -> None:
    save(store, KID, "own")
    (Path(store.root) / MANIFESTS / "kid" / "latest").write_bytes(b"damaged")
    # What it needed is known from its history.
    assert store.remove(KID) == Removed(len("own"))
    assert store.entries() == []


def test_a_manifest_that_is_a_pipe_can_be_removed(store: Store) -> None:
    path = Path(store.root) / MANIFESTS / "kid" / "latest"
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    assert store.remove(KID) == Removed(0)
    assert not path.parent.exists()


def test_blobs_stay_while_a_build_is_going_on(store: Store) -> None:
    save(store, KID, "own")
    with store.building():
        assert store.remove(KID).kept_because == "a build is going on, which may need the layers"
        # The build had counted on it.
        manifest = made_of(store, "new")
        store.save(DAD, Manifest(None, (*manifest.layers, *made_of(store, "own").layers)))
    assert texts(store) == {"own", "new"}
    assert store.remove(DAD).freed == len("own") + len("new")


def test_several_builds_go_on_at_once(store: Store) -> None:
    with store.building(), Store(store.root).building():
        save(store, KID, "hello")
    assert [entry.name for entry in store.entries()] == [KID]


def test_litter_of_a_killed_save_does_not_outlive_the_model(store: Store) -> None:
    save(store, KID, "own")
    folder = Path(store.root) / MANIFESTS / "kid"
    (folder / ".mbuild-1-00").write_bytes(b"half")
    store.remove(KID)
    assert not folder.exists()


def test_litter_of_a_killed_import_is_removed_an_hour_later(
    store: Store, clock: Clock, tmp_path: Path
) -> None:
    save(store, KID, "own")
    left = Path(store.blobs.folder) / ".mbuild-1-00"
    left.write_bytes(b"half")
    (tmp_path / "file").write_bytes(b"weights")
    clock.now = left.stat().st_mtime_ns + 3_599 * SECOND
    store.take(tmp_path / "file")
    assert left.exists()
    clock.now += 2 * SECOND
    store.take(tmp_path / "file", fresh=True)
    assert not left.exists()
    left.write_bytes(b"half")
    os.utime(left, ns=(0, 0))
    assert store.remove(KID).freed == len("own") + len("half")


# Files that need not be read again.


@pytest.fixture
def weights(tmp_path: Path, clock: Clock) -> Path:
    path = tmp_path / "weights.gguf"
    path.write_bytes(b"weights")
    clock.now = path.stat().st_ctime_ns + SECOND
    return path


WEIGHTS = Digest.of(b"weights")


def test_a_file_is_read_once(
    store: Store, weights: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.take(weights) == Stored(WEIGHTS, 7, created=True)
    assert store.remembered(weights) == store.remembered(str(weights)) == WEIGHTS
    monkeypatch.chdir(weights.parent)
    assert store.remembered(weights.name) == WEIGHTS
    os.utime(store.blobs.path(WEIGHTS), ns=(1, 1))
    monkeypatch.setattr(type(store.blobs), "take", None)
    assert store.take(weights) == Stored(WEIGHTS, 7, created=False)
    assert os.stat(store.blobs.path(WEIGHTS)).st_mtime_ns > 1


def test_a_file_is_read_again_when_asked_to(store: Store, weights: Path) -> None:
    store.take(weights)
    seen: list[int] = []
    store.take(weights, fresh=True, progress=lambda done, _: seen.append(done))
    assert seen == [7]


def test_a_file_that_has_just_changed_is_not_remembered(
    store: Store, weights: Path, clock: Clock
) -> None:
    clock.now = weights.stat().st_ctime_ns + SECOND // 100
    store.take(weights)
    assert store.remembered(weights) is None


def test_a_changed_file_is_not_the_one_that_was_read(store: Store, weights: Path) -> None:
    store.take(weights)
    weights.write_bytes(b"WEIGHTS")
    assert store.remembered(weights) is None
    assert store.take(weights).digest == Digest.of(b"WEIGHTS")


def test_a_file_that_was_exchanged_after_it_was_read_is_not_remembered(
    store: Store, weights: Path, clock: Clock
) -> None:
    found = weights.stat()
    weights.with_suffix(".new").write_bytes(b"others!")
    weights.with_suffix(".new").replace(weights)
    store.remember(weights, found, WEIGHTS, began=clock.now)
    assert store.recall(stamps.key(str(weights), found)) is None


def test_a_file_whose_blob_is_gone_is_read_again(store: Store, weights: Path) -> None:
    store.take(weights)
    store.blobs.remove(WEIGHTS)
    assert store.remembered(weights) is None
    assert store.take(weights) == Stored(WEIGHTS, 7, created=True)


def test_what_is_gone_or_no_file_is_not_remembered(store: Store, tmp_path: Path) -> None:
    assert store.remembered(tmp_path / "nowhere") is None
    assert store.remembered(tmp_path) is None
    assert store.remembered(tmp_path / "nowhere" / "below") is None


@pytest.mark.parametrize("blobs", [1, 2])
def test_a_model_without_its_blobs_is_listed_as_damaged(store: Store, blobs: int) -> None:
    save(store, KID, "one", "two", "three")
    save(store, DAD, "dad")
    for text in ("one", "two")[:blobs]:
        store.blobs.remove(Digest.of(text.encode()))
    entries = {entry.name: entry for entry in store.entries()}
    kid, dad = entries[KID], entries[DAD]
    verb = "is" if blobs == 1 else "are"
    assert isinstance(kid, Damaged)
    assert kid.damaged == f"{blobs} of its 3 blobs {verb} missing"
    assert (dad.name, dad.damaged) == (DAD, None)


def test_a_model_that_is_saved_or_removed_while_we_list_is_not_damaged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, KID, "kid")
    save(store, DAD, "dad")
    look = os.listdir

    def racing(path: str) -> list[str]:
        files = look(path)
        monkeypatch.setattr(os, "listdir", look)
        save(store, KID, "other")
        return files

    monkeypatch.setattr(os, "listdir", racing)
    assert [entry.damaged for entry in store.entries()] == [None, None]
    parse = manifest_module.parse

    def removing(data: bytes) -> tuple[Manifest, Digest]:
        monkeypatch.setattr(manifest_module, "parse", parse)
        for name in list(store.names()):
            store.remove(name)
        return parse(data)

    # Saved after the blobs were listed, and removed before they are looked for again.
    monkeypatch.setattr(os, "listdir", racing)
    monkeypatch.setattr(manifest_module, "parse", removing)
    assert all(entry.damaged is None for entry in store.entries())


# Records.


def test_what_is_recorded_is_recalled(store: Store) -> None:
    key = Digest.of(b"step")
    store.record(key, b"output")
    assert store.recall(key) == b"output"


# Stores that cannot be written to.


@pytest.mark.parametrize("version", ["2", "999", "x", ""])
def test_a_store_of_a_newer_mbuild_is_only_read(store: Store, version: str, weights: Path) -> None:
    manifest = save(store, KID, "hello")
    (Path(store.root) / "mbuild" / "version").write_text(version)
    before = everything(store)
    assert store.load(KID) == manifest
    assert len(store.entries()) == 1
    writes = (
        lambda: store.save(KID, manifest),
        lambda: store.copy(KID, DAD),
        lambda: store.remove(KID),
        lambda: store.take(weights),
        lambda: store.building().__enter__(),
    )
    for write in writes:
        with pytest.raises(NewerStore) as caught:
            write()
        assert caught.value.version == version
    store.record(Digest.of(b""), b"")  # Which reading does by the way.
    assert everything(store) == before


def test_a_store_that_may_only_be_read_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = save(store, KID, "hello")
    look = os.open

    def read_only(path: str, flags: int, *mode: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return look(path, flags, *mode)

    monkeypatch.setattr(os, "open", read_only)
    assert store.load(KID) == manifest
    assert [entry.name for entry in store.entries()] == [KID]
    writes = (
        lambda: store.blobs.put(b"new"),
        lambda: store.save(KID, manifest),
        lambda: store.copy(KID, DAD),
        lambda: store.remove(KID),
    )
    for write in writes:
        with pytest.raises(OSError, match="Read-only") as caught:
            write()
        assert str(caught.value.filename).startswith(store.root)
    assert store.load(KID) == manifest


# Many at once.


def test_threads_that_save_one_name_lose_nothing(store: Store) -> None:
    manifests = [made_of(store, str(number)) for number in range(8)]
    threads = [threading.Thread(target=store.save, args=(KID, each)) for each in manifests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    revisions = store.revisions(KID)
    assert [revision.number for revision in revisions] == list(range(1, 9))
    assert {revision.manifest for revision in revisions} == {each.encode() for each in manifests}
    assert revisions[-1].manifest == store.read(KID)


def test_processes_that_build_and_remove_leave_no_model_without_its_blobs(
    store: Store, soak: int
) -> None:
    script = """
import random, sys
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import MissingModel, Store
store, chance = Store(sys.argv[1]), random.Random(int(sys.argv[2]))
for _ in range(int(sys.argv[3])):
    name = Name.parse(chance.choice("abc"))
    if chance.random() < 0.4:
        try:
            store.remove(name)
        except MissingModel:
            pass
        continue
    with store.building():
        stored = [store.blobs.put(b"%d" % chance.randrange(5)) for _ in range(3)]
        layers = tuple(Layer(MediaType.SYSTEM, each.digest, each.size) for each in stored)
        store.save(name, Manifest(None, layers), sources={"Modelfile": b"%d" % len(stored)})
"""
    children = [
        subprocess.Popen([sys.executable, "-c", script, store.root, str(seed), str(25 * soak)])
        for seed in range(4)
    ]
    assert [child.wait(timeout=60 * soak) for child in children] == [0] * 4
    for name in store.names():
        assert all(layer.digest in store.blobs for layer in store.load(name).blobs)
        assert store.revisions(name)[-1].manifest == store.read(name)
        for revision in store.revisions(name):
            assert all(
                layer.digest in store.blobs for layer in Manifest.decode(revision.manifest).blobs
            )
            assert all(store.source(digest) for digest in revision.sources.values())
    for name in list(store.names()):
        assert store.remove(name).kept_because == ""
    assert not list(Path(store.root).rglob(".mbuild-*"))


# Confirming that a name stands for what it should.


def test_confirming_marks_the_model_as_built_now(store: Store, clock: Clock) -> None:
    manifest = save(store, KID, "hello")
    clock.now += 5 * SECOND
    assert store.confirm(KID, manifest.encode())
    assert [entry.modified_ns for entry in store.entries()] == [clock.now]
    assert len(store.revisions(KID)) == 1


def test_nothing_else_is_confirmed(store: Store, clock: Clock) -> None:
    manifest = save(store, KID, "hello")
    before = everything(store)
    other = made_of(store, "other")
    assert not store.confirm(KID, other.encode())
    assert not store.confirm(DAD, manifest.encode())
    assert store.load(KID) == manifest
    assert {path: data for path, data in everything(store).items() if path in before} == before


# The store's own blobs as files.


def test_a_blob_of_the_store_is_taken_without_being_read(store: Store) -> None:
    stored = store.blobs.put(b"weights")
    # Bytes of the same length tell whether anybody looks.
    Path(store.blobs.path(stored.digest)).write_bytes(b"WEIGHTS")
    assert store.take(store.blobs.path(stored.digest)) == Stored(stored.digest, 7, created=False)
    assert store.remembered(store.blobs.path(stored.digest)) == stored.digest
    assert store.take(store.blobs.path(stored.digest), fresh=True).digest == Digest.of(b"WEIGHTS")
