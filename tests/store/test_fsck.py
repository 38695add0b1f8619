"""Looking for damage: every single one that we make is named, and mended as far as can be."""

import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbuild.store.damage import Damage, Part
from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import Store

KID, DAD, GRANDPA = (Name.parse(name) for name in ("kid", "me/dad:v1", "hf.co/u/grandpa:Q4"))
SHARED, KIDS, DADS = b"weights" * 100, b"you are a child", b"you are a father"


def build(store: Store, name: Name, *layers: tuple[MediaType, bytes]) -> None:
    with store.building():
        stored = [(kind, store.blobs.put(text)) for kind, text in layers]
        made = tuple(Layer(kind, each.digest, each.size) for kind, each in stored)
        store.save(name, Manifest(None, made), sources={"Modelfile": name.short.encode()})


def make_store(root: str | Path) -> Store:
    """Two models of one set of weights, and an earlier build of one."""
    store = Store(root)
    build(store, KID, (MediaType.MODEL, SHARED), (MediaType.SYSTEM, b"earlier"))
    build(store, KID, (MediaType.MODEL, SHARED), (MediaType.SYSTEM, KIDS))
    build(store, DAD, (MediaType.MODEL, SHARED), (MediaType.SYSTEM, DADS))
    store.record(Digest.of(b"key"), b"value")
    return store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "models")


def blob(store: Store, data: bytes) -> Path:
    return Path(store.blobs.place(Digest.of(data)))


def manifest(store: Store, name: Name) -> Path:
    return Path(store.root) / "manifests" / name.path


def revision(store: Store, name: Name, number: int) -> Path:
    return Path(store.root) / "mbuild" / "history" / name.path / f"{number:06}.json"


def source(store: Store, name: Name) -> Path:
    digest = Digest.of(name.short.encode())
    return Path(store.root) / "mbuild" / "sources" / digest.filename


def record(store: Store) -> Path:
    return next((Path(store.root) / "mbuild" / "records").rglob("*/*"))


def rot(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def misstate(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"size":700', b'"size":701'))


@dataclass(frozen=True, slots=True)
class Case:
    """A damage that is made, and how it is to be told."""

    make: Callable[[Store], object]
    part: Part
    where: Callable[[Store], Path]
    models: tuple[str, ...] = ()
    what: str = ""
    harmless: bool = False
    mends: bool = True  # a repair leaves nothing of it
    quick: bool = True  # found without reading blobs


BOTH = ("kid:latest", "me/dad:v1")
CASES = {
    "a bit of the weights has turned": Case(
        lambda s: rot(blob(s, SHARED)),
        Part.BLOB,
        lambda s: blob(s, SHARED),
        BOTH,
        "holds other bytes",
        mends=False,
        quick=False,
    ),
    "the weights are cut off": Case(
        lambda s: cut(blob(s, SHARED)), Part.BLOB, lambda s: blob(s, SHARED), BOTH, mends=False
    ),
    "a text is empty": Case(
        lambda s: empty(blob(s, KIDS)),
        Part.BLOB,
        lambda s: blob(s, KIDS),
        ("kid:latest",),
        mends=False,
    ),
    "a blob is missing": Case(
        lambda s: blob(s, DADS).unlink(),
        Part.BLOB,
        lambda s: blob(s, DADS),
        ("me/dad:v1",),
        "is missing",
        mends=False,
    ),
    "a blob is a folder": Case(
        lambda s: replace(blob(s, DADS), Path.mkdir),
        Part.BLOB,
        lambda s: blob(s, DADS),
        ("me/dad:v1",),
        "is no file",
        mends=False,
    ),
    "a blob is a pipe": Case(
        lambda s: replace(blob(s, DADS), os.mkfifo),
        Part.BLOB,
        lambda s: blob(s, DADS),
        ("me/dad:v1",),
        "is no file",
        mends=False,
    ),
    "a blob is a link to nowhere": Case(
        lambda s: replace(blob(s, DADS), lambda path: path.symlink_to("nowhere")),
        Part.BLOB,
        lambda s: blob(s, DADS),
        ("me/dad:v1",),
        "is a link to a file that is not there",
        mends=False,
    ),
    "a loose blob has turned": Case(
        lambda s: rot(Path(s.blobs.place(s.blobs.put(b"loose").digest))),
        Part.BLOB,
        lambda s: blob(s, b"loose"),
        quick=False,
    ),
    "a blob cannot be read": Case(
        lambda s: blob(s, KIDS).chmod(0),
        Part.BLOB,
        lambda s: blob(s, KIDS),
        ("kid:latest",),
        "has the mode 0000",
    ),
    "a blob can be written by all": Case(
        lambda s: blob(s, KIDS).chmod(0o666),
        Part.BLOB,
        lambda s: blob(s, KIDS),
        ("kid:latest",),
        "everybody can write",
        harmless=True,
    ),
    "a manifest is empty": Case(
        lambda s: empty(manifest(s, KID)),
        Part.MANIFEST,
        lambda s: manifest(s, KID),
        ("kid:latest",),
        "is empty",
    ),
    "a manifest is no JSON": Case(
        lambda s: cut(manifest(s, DAD)) or rot(manifest(s, DAD)) or cut(manifest(s, DAD)),
        Part.MANIFEST,
        lambda s: manifest(s, DAD),
        ("me/dad:v1",),
        "is no manifest: not JSON",
    ),
    "a manifest names a path": Case(
        lambda s: manifest(s, KID).write_bytes(b'{"layers":[{"digest":"sha256:../../x"}]}'),
        Part.MANIFEST,
        lambda s: manifest(s, KID),
        ("kid:latest",),
        "not a sha256 digest",
    ),
    "a manifest is a pipe": Case(
        lambda s: replace(manifest(s, KID), os.mkfifo),
        Part.MANIFEST,
        lambda s: manifest(s, KID),
        ("kid:latest",),
    ),
    "a manifest says another size": Case(
        lambda s: misstate(manifest(s, KID)),
        Part.MANIFEST,
        lambda s: manifest(s, KID),
        ("kid:latest",),
    ),
    "a manifest cannot be read": Case(
        lambda s: manifest(s, KID).chmod(0),
        Part.MANIFEST,
        lambda s: manifest(s, KID),
        ("kid:latest",),
        "has the mode 0000",
    ),
    "a manifest lies where no name leads": Case(
        lambda s: (manifest(s, KID).parent / "a b").write_bytes(b"{}"),
        Part.FILE,
        lambda s: manifest(s, KID).parent / "a b",
        what="spells no name",
        harmless=True,
        mends=False,
    ),
    "an earlier build is torn": Case(
        lambda s: cut(revision(s, KID, 1)), Part.REVISION, lambda s: revision(s, KID, 1)
    ),
    "the record of the present build is empty": Case(
        lambda s: empty(revision(s, DAD, 1)), Part.REVISION, lambda s: revision(s, DAD, 1)
    ),
    "an earlier build has lost a blob": Case(
        lambda s: blob(s, b"earlier").unlink(),
        Part.REVISION,
        lambda s: revision(s, KID, 1),
        what="@1 of kid:latest cannot be brought back",
        harmless=True,
        mends=False,
    ),
    "a source has turned": Case(
        lambda s: rot(source(s, KID)), Part.SOURCE, lambda s: source(s, KID), mends=False
    ),
    "a source is missing": Case(
        lambda s: source(s, DAD).unlink(),
        Part.SOURCE,
        lambda s: source(s, DAD),
        what="Modelfile of build @1 of me/dad:v1",
        harmless=True,
        mends=False,
    ),
    "a record is torn": Case(
        lambda s: cut(record(s)), Part.RECORD, record, what="is torn", harmless=True
    ),
    "a killed import has left a file": Case(
        lambda s: (Path(s.blobs.folder) / ".mbuild-1-00").write_bytes(b"half"),
        Part.FILE,
        lambda s: Path(s.blobs.folder) / ".mbuild-1-00",
        harmless=True,
    ),
    "a killed save has left a file": Case(
        lambda s: (manifest(s, KID).parent / ".mbuild-1-00").write_bytes(b"half"),
        Part.FILE,
        lambda s: manifest(s, KID).parent / ".mbuild-1-00",
        harmless=True,
    ),
    "another tool has not finished a download": Case(
        lambda s: Path(f"{blob(s, b'x')}-partial").write_bytes(b"half"),
        Part.FILE,
        lambda s: Path(f"{blob(s, b'x')}-partial"),
        what="another tool",
        harmless=True,
        mends=False,
    ),
}
EVERY = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def told(store: Store, case: Case, damages: tuple[Damage, ...]) -> list[Damage]:
    """Those of *damages* that tell of the case."""
    where = os.path.relpath(case.where(store), store.root)
    return [
        each
        for each in damages
        if (each.part, each.path, each.models, each.harmless)
        == (case.part, where, case.models, case.harmless)
        and case.what in each.what
    ]


def content(root: str) -> list[bytes]:
    """The bytes of all files, in order."""
    files = [path for path in Path(root).rglob("*") if path.is_file() and "lock" not in path.name]
    return sorted(path.read_bytes() for path in files)


def test_a_whole_store_has_no_damage(store: Store) -> None:
    before = content(store.root)
    seen: list[tuple[str, int, int]] = []
    found = store.inspect(progress=lambda *news: seen.append(news))
    assert (found.damages, found.sound) == ((), True)
    size = len(SHARED) + len(KIDS) + len(DADS) + len(b"earlier")
    assert (found.models, found.revisions, found.blobs, found.size) == (2, 3, 4, size)
    assert (found.sources, found.records) == (2, 1)
    assert seen[-1] == ("reading blobs", size, size)
    assert content(store.root) == before


def test_a_store_that_is_not_there_has_no_damage(tmp_path: Path) -> None:
    assert Store(tmp_path / "nowhere").inspect().sound
    assert not (tmp_path / "nowhere").exists()


@EVERY
def test_every_single_damage_that_is_made_is_named(store: Store, case: Case) -> None:
    case.make(store)
    before = content(store.root) if os.geteuid() == 0 else None
    damages = store.inspect().damages
    assert len(told(store, case, damages)) == 1, damages
    # Only what follows from it is told beside it: a note on what lacks it now.
    assert all(each.harmless for each in damages if each not in told(store, case, damages))
    if before is not None:
        assert content(store.root) == before


@EVERY
def test_a_quick_look_finds_all_that_needs_no_reading(store: Store, case: Case) -> None:
    case.make(store)
    assert bool(told(store, case, store.inspect(quick=True).damages)) is case.quick


@EVERY
def test_a_repair_mends_what_it_can_and_deletes_nothing(store: Store, case: Case) -> None:
    case.make(store)
    before = content(store.root)
    repaired = store.repair(store.inspect())
    again = store.inspect()
    assert again.damages == repaired.left
    if case.mends:
        assert again.damages == ()
        assert repaired.mended
    elif not case.harmless and case.models:
        # It takes what the store does not have: the models that it hits are told again.
        assert {model for each in again.damages for model in each.models} == set(case.models)
    # Nothing is deleted but what was never whole: a torn record, a temporary file.
    if case.part not in (Part.RECORD, Part.FILE):
        after = content(store.root)
        assert all(after.count(each) >= before.count(each) for each in before)
    assert store.repair(again).left == again.damages


@pytest.mark.parametrize("how", ["empty", "gone from JSON"])
def test_a_manifest_comes_back_from_its_history(store: Store, how: str) -> None:
    data, time = store.read(KID), store.revisions(KID)[-1].time
    manifest(store, KID).write_bytes(b"" if how == "empty" else b"{")
    (repaired, what), *_ = store.repair(store.inspect()).mended
    assert repaired.part is Part.MANIFEST
    assert what == "put back as it was in build @2"
    assert store.read(KID) == data
    assert manifest(store, KID).stat().st_mtime_ns == time
    assert [each.number for each in store.revisions(KID)] == [1, 2]


def test_a_manifest_comes_back_only_with_its_blobs(store: Store) -> None:
    earlier = store.revisions(KID)[0].manifest
    empty(manifest(store, KID))
    blob(store, KIDS).unlink()
    repaired = store.repair(store.inspect())
    assert [what for _, what in repaired.mended] == ["put back as it was in build @1"]
    assert store.read(KID) == earlier
    # It is the newest build again, and the one that was lost is still known.
    assert [each.number for each in store.revisions(KID)] == [1, 2, 3]
    assert store.revisions(KID)[-1].manifest == earlier


def test_a_manifest_without_a_whole_build_is_left(store: Store) -> None:
    empty(manifest(store, KID))
    blob(store, SHARED).unlink()
    repaired = store.repair(store.inspect())
    assert repaired.mended == ()
    (damage,) = [each for each in repaired.left if each.part is Part.MANIFEST]
    assert "no whole build" in damage.lost


def test_building_again_mends_a_model_whose_blob_was_damaged(store: Store) -> None:
    rot(blob(store, SHARED))
    rotten = blob(store, SHARED).read_bytes()
    store.repair(store.inspect())
    assert store.entries()[0].damaged == "1 of its 2 blobs is missing"
    aside = Path(store.root) / "mbuild" / "damaged" / "blobs" / Digest.of(SHARED).filename
    assert aside.read_bytes() == rotten
    build(store, KID, (MediaType.MODEL, SHARED), (MediaType.SYSTEM, KIDS))
    assert store.inspect().damages == ()
    # The same once more: what was moved aside first stays.
    rot(blob(store, SHARED))
    store.repair(store.inspect())
    assert aside.read_bytes() == rotten
    assert aside.with_name(f"{aside.name}.2").read_bytes() == rotten


def test_what_was_mended_meanwhile_is_left_alone(store: Store) -> None:
    rot(blob(store, KIDS))
    empty(manifest(store, DAD))
    found = store.inspect()
    blob(store, KIDS).write_bytes(KIDS)
    build(store, DAD, (MediaType.SYSTEM, DADS))
    repaired = store.repair(found)
    assert {what for _, what in repaired.mended} == {"not so any more"}
    assert all(each.harmless for each in repaired.left)
    assert not (Path(store.root) / "mbuild" / "damaged").exists()


def test_while_a_build_goes_on_nothing_is_mended(store: Store) -> None:
    rot(blob(store, SHARED))
    found = store.inspect()
    with Store(store.root).building():
        repaired = store.repair(found, patience=0)
    assert repaired.refused_because == "a build is going on"
    assert (repaired.mended, repaired.left) == ((), found.damages)
    assert blob(store, SHARED).exists()


def test_a_link_that_changed_is_moved_aside_and_the_file_stays(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"linked")
    stored = store.take(path, link="always")
    store.save(GRANDPA, Manifest(None, (Layer(MediaType.MODEL, stored.digest, stored.size),)))
    assert store.inspect().damages == ()
    path.write_bytes(b"LINKED")
    for quick in (False, True):
        (damage,) = store.inspect(quick=quick).damages
        assert damage.what == f"is a link to {path}, which has changed since"
        assert damage.models == (GRANDPA.short,)
        assert damage.lost == "the weights"
    store.repair(store.inspect())
    assert path.read_bytes() == b"LINKED"
    assert not store.blobs.is_link(stored.digest)


def test_after_a_repair_the_rest_of_the_store_can_be_cleaned_again(store: Store) -> None:
    cut(revision(store, DAD, 1))
    assert store.remove(KID).kept_because
    store.repair(store.inspect())
    assert store.remove(DAD).kept_because == ""


def test_a_model_that_is_removed_while_we_look_is_no_damage(
    store: Store,
) -> None:
    seen: list[int] = []

    def remove(what: str, done: int, total: int) -> None:
        if not seen:
            Store(store.root).remove(KID)
        seen.append(done)

    assert store.inspect(progress=remove).damages == ()


def test_the_newest_mode_is_that_of_any_blob(store: Store) -> None:
    blob(store, KIDS).chmod(0)
    store.repair(store.inspect())
    assert stat.S_IMODE(blob(store, KIDS).stat().st_mode) == 0o644


INDEPENDENT = [
    "a bit of the weights has turned",
    "a blob is missing",
    "a loose blob has turned",
    "a manifest is empty",
    "a manifest lies where no name leads",
    "an earlier build is torn",
    "a source has turned",
    "a record is torn",
    "a killed import has left a file",
    "another tool has not finished a download",
]


@settings(max_examples=100 if os.environ.get("MBUILD_SOAK") == "1" else 20, deadline=None)
@given(made=st.sets(st.sampled_from(INDEPENDENT)))
def test_damages_together_are_each_named_and_mended(made: set[str]) -> None:
    folder = tempfile.mkdtemp()
    try:
        store = make_store(folder)
        for name in made:
            CASES[name].make(store)
        found = store.inspect()
        for name in made:
            case = CASES[name]
            where = os.path.relpath(case.where(store), folder)
            assert any(each.part is case.part and each.path == where for each in found.damages)
        left = store.repair(found).left
        again = store.inspect()
        assert again.damages == left
        assert store.repair(again).left == left
        if all(CASES[name].mends for name in made):
            assert again.damages == ()
    finally:
        shutil.rmtree(folder)
