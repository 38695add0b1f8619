"""What takes room: counted on the disk, each byte once, and for whom."""

import os
from pathlib import Path

import pytest

from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.prune import Policy
from mbuild.store.room import Room, size_below
from mbuild.store.store import Store

KID, DAD = Name.parse("kid"), Name.parse("me/dad:v1")
BLOCK = 4096  # bytes; what the smallest file takes where these tests run


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def build(store: Store, name: Name, *texts: str) -> None:
    stored = [store.blobs.put(text.encode()) for text in texts]
    layers = tuple(Layer(MediaType.SYSTEM, each.digest, each.size) for each in stored)
    store.save(name, Manifest(None, layers), sources={"Modelfile": b"FROM x"})


def on_disk(path: str | Path) -> int:
    return os.stat(path).st_blocks * 512


def test_a_store_that_is_not_there_takes_no_room(store: Store) -> None:
    usage = store.usage()
    assert (usage.models, usage.unknown) == ((), ())
    assert usage.unique == usage.loose == usage.records == Room()
    assert not os.path.exists(store.root)


def test_every_blob_is_counted_once_where_it_belongs(store: Store) -> None:
    build(store, KID, "earlier")
    build(store, KID, "shared", "kid", "kid")
    build(store, DAD, "shared", "dad", "more")
    store.blobs.put(b"loose")
    store.record(Digest.of(b"key"), b"value")
    root = Path(store.root)
    (root / "blobs" / ".mbuild-1-00").write_bytes(b"half")
    (root / "blobs" / f"sha256-{'0' * 64}-partial").write_bytes(b"half")
    (root / "mbuild" / "scratch" / "1-00").mkdir(parents=True)
    (root / "mbuild" / "scratch" / "1-00" / "wheel").write_bytes(b"half")
    (root / "mbuild" / "damaged").mkdir()
    (root / "mbuild" / "damaged" / "rotten").write_bytes(b"x")
    usage = store.usage()
    counts = {
        "unique": usage.unique.count,
        "shared": usage.shared.count,
        "past": usage.past.count,
        "loose": usage.loose.count,
        "history": usage.history.count,
        "sources": usage.sources.count,
        "records": usage.records.count,
        "scratch": usage.scratch.count,
        "temporary": usage.temporary.count,
        "foreign": usage.foreign.count,
        "damaged": usage.damaged.count,
    }
    assert counts == {
        "unique": 3,
        "shared": 1,
        "past": 1,
        "loose": 1,
        "history": 3,
        "sources": 1,
        "records": 1,
        "scratch": 1,
        "temporary": 1,
        "foreign": 1,
        "damaged": 1,
    }
    sizes = {each.name: (each.size, each.unique) for each in usage.models}
    unit = on_disk(store.blobs.place(Digest.of(b"shared")))
    assert sizes == {KID: (2 * unit, unit), DAD: (3 * unit, 2 * unit)}
    # What a prune gives back is what was said to be there for it.
    assert store.prune(Policy(everything=True, revisions=1)).freed == sum(
        room.size for room in (usage.past, usage.loose, usage.records, usage.scratch)
    ) + usage.temporary.size + on_disk_of_one_revision(usage.history)


def on_disk_of_one_revision(history: Room) -> int:
    assert history.count == 3
    return history.size // 3


def test_a_hole_takes_no_room(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.write_bytes(b"GGUF")
    os.truncate(path, 64 << 20)
    if path.stat().st_blocks * 512 > 1 << 20:
        pytest.skip("mount a file system with holes on /tmp")
    stored = store.take(path)
    assert stored.size == 64 << 20
    assert store.usage().loose.size < 1 << 20


def test_a_file_with_two_names_is_counted_once(store: Store, tmp_path: Path) -> None:
    digest = store.blobs.put(b"x" * 100_000).digest
    one = on_disk(store.blobs.place(digest))
    os.link(store.blobs.place(digest), store.blobs.place(Digest.of(b"another")))
    usage = store.usage()
    assert (usage.loose.count, usage.loose.size) == (2, one)


def test_a_linked_file_gives_nothing_back(store: Store, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"x" * 100_000)
    store.take(tmp_path / "weights", link="always")
    usage = store.usage()
    assert usage.loose.linked == usage.loose.size == on_disk(tmp_path / "weights")
    assert store.prune(Policy(everything=True), dry_run=True).freed < usage.loose.size
    (tmp_path / "weights").unlink()
    assert store.usage().loose.linked == 0


def test_what_cannot_be_read_is_told(store: Store) -> None:
    build(store, KID, "kid")
    build(store, DAD, "dad")
    (Path(store.root) / "manifests" / DAD.path).write_bytes(b"")
    for path in Path(store.root).glob("mbuild/history/*/me/dad/*/*.json"):
        path.write_bytes(b"")
    usage = store.usage()
    assert [each.name for each in usage.models] == [KID]
    assert len(usage.unknown) == 2
    assert usage.loose.count == 1


def test_the_size_of_a_file_and_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "folder" / "below" / "file").write_bytes(b"x" * 10_000)
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    one = on_disk(tmp_path / "folder" / "below" / "file")
    assert size_below(str(tmp_path / "folder" / "below" / "file")) == one
    assert size_below(str(tmp_path / "folder")) == one
    assert size_below(str(tmp_path / "link")) == os.lstat(tmp_path / "link").st_blocks * 512
