"""Pruning: what goes, what stays whatever happens, and what it is told as."""

import errno
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from failing_disk import FailingDisk
from hypothesis import given, settings
from hypothesis import strategies as st

from mbuild.store import locks
from mbuild.store.blobs import MissingBlob
from mbuild.store.digest import Digest
from mbuild.store.holders import held
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.prune import Kind, Policy, Pruned
from mbuild.store.store import Store

SECOND = 1_000_000_000  # ns
HOUR = 3600 * SECOND
DAY = 24 * HOUR
KID, DAD = Name.parse("kid"), Name.parse("me/dad:v1")


class Later:
    """A clock that runs ahead of the machine's, so that what a test makes is as old as it says."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.time_ns() + self.ahead


@pytest.fixture
def clock() -> Later:
    return Later()


@pytest.fixture
def store(tmp_path: Path, clock: Later) -> Store:
    return Store(tmp_path / "models", clock=clock)


def build(store: Store, name: Name, *texts: str) -> None:
    with store.building():
        stored = [store.blobs.put(text.encode()) for text in texts]
        layers = tuple(Layer(MediaType.SYSTEM, each.digest, each.size) for each in stored)
        store.save(name, Manifest(None, layers), sources={"Modelfile": " ".join(texts).encode()})


def texts(store: Store) -> set[str]:
    files = [name for name in os.listdir(store.blobs.folder) if name.startswith("sha256-")]
    return {store.blobs.read(Digest.parse(file)).decode() for file in files}


def everything(store: Store) -> set[str]:
    return {str(path.relative_to(store.root)) for path in Path(store.root).rglob("*")}


def kinds(pruned: Pruned) -> list[Kind]:
    return sorted(item.kind for item in pruned.items)


# Blobs.


def test_blobs_that_nothing_needs_go_an_hour_after_their_last_use(
    store: Store, clock: Later
) -> None:
    build(store, KID, "kid")
    store.blobs.put(b"loose")
    pruned = store.prune(Policy())
    assert (pruned.items, [item.kind for item in pruned.spared]) == ((), [Kind.BLOB])
    clock.ahead = HOUR + SECOND
    pruned = store.prune(Policy())
    assert kinds(pruned) == [Kind.BLOB]
    assert pruned.freed == pruned.items[0].size > 0
    assert texts(store) == {"kid"}


def test_all_takes_young_blobs_too(store: Store) -> None:
    build(store, KID, "kid")
    store.blobs.put(b"loose")
    store.prune(Policy(everything=True))
    assert texts(store) == {"kid"}


def test_an_empty_blob_is_a_blob(store: Store) -> None:
    store.blobs.put(b"")
    assert len(store.prune(Policy(everything=True)).items) == 1
    assert texts(store) == set()


def test_a_clock_that_was_set_back_spares_blobs_and_keeps_revisions_in_order(
    store: Store, clock: Later
) -> None:
    clock.ahead = 9 * DAY
    build(store, KID, "one")
    clock.ahead = -9 * DAY
    build(store, KID, "two")
    store.blobs.put(b"loose")
    assert store.prune(Policy()).items == ()
    one, two = store.revisions(KID)
    assert (one.number, two.number) == (1, 2)
    assert one.time > two.time
    assert store.prune(Policy(revisions=1)).items[0].about == "kid:latest @1"
    assert [each.number for each in store.revisions(KID)] == [2]


def test_while_a_build_goes_on_all_blobs_stay(store: Store) -> None:
    store.blobs.put(b"loose")
    with Store(store.root).building():
        pruned = store.prune(Policy(everything=True), patience=0)
        assert pruned.kept_because.startswith("a build is going on")
        assert pruned.items == ()
    assert texts(store) == {"loose"}


def test_what_is_damaged_may_need_anything(store: Store, clock: Later) -> None:
    build(store, KID, "kid")
    build(store, DAD, "dad")
    store.blobs.put(b"loose")
    store.record(Digest.of(b"key"), b"0" * 64)
    for path in Path(store.root).glob("manifests/*/me/dad/*"):
        path.write_bytes(b"")
    pruned = store.prune(Policy(everything=True))
    assert "dad" in pruned.kept_because
    assert kinds(pruned) == [Kind.RECORD]
    assert texts(store) == {"kid", "dad", "loose"}


HOLD = """
import mmap, sys
file = open(sys.argv[1], "rb")
if sys.argv[2] == "mapped":
    held = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    file.close()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["open", "mapped"])
def holder(request: pytest.FixtureRequest, store: Store) -> Iterator[Digest]:
    """A blob that another process holds, as an engine does its weights."""
    digest = store.blobs.put(b"weights").digest
    command = [sys.executable, "-c", HOLD, store.blobs.place(digest), request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield digest
        process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what processes hold")
def test_what_a_loaded_model_needs_stays(store: Store, holder: Digest) -> None:
    store.blobs.put(b"loose")
    assert held(store.blobs.folder) == {holder.filename}
    pruned = store.prune(Policy(everything=True))
    assert [Path(item.path).name for item in pruned.spared] == [holder.filename]
    assert texts(store) == {"weights"}


def test_without_a_list_of_processes_nothing_is_known(tmp_path: Path) -> None:
    assert held(str(tmp_path), str(tmp_path / "nowhere")) == set()


# The cache.


def test_as_much_is_kept_as_fits_of_what_was_used_last(store: Store) -> None:
    build(store, KID, "kid")
    sizes = []
    for age, letter in enumerate(("newest", "middle", "oldest"), 2):
        stored = store.blobs.put(letter.encode() * 10_000)
        sizes.append(os.stat(store.blobs.place(stored.digest)).st_blocks * 512)
        then = time.time_ns() - age * HOUR
        os.utime(store.blobs.place(stored.digest), ns=(then, then))
    kept = {text[:6] for text in texts(store)}
    assert kept == {"kid", "newest", "middle", "oldest"}
    everything_fits = store.prune(Policy(keep=sum(sizes)))
    assert everything_fits.items == ()
    store.prune(Policy(keep=sum(sizes) - 1))
    assert {text[:6] for text in texts(store)} == {"kid", "newest", "middle"}
    store.prune(Policy(keep=sizes[0]))
    assert {text[:6] for text in texts(store)} == {"kid", "newest"}
    store.prune(Policy(keep=0))
    assert texts(store) == {"kid"}


RECORDED = Digest.of(b"kept")


@pytest.mark.parametrize(
    ("data", "stays"),
    [
        pytest.param(b"anything", True, id="of what only its maker knows"),
        pytest.param(RECORDED.hex.encode(), True, id="of a blob that is there"),
        pytest.param(str(RECORDED).encode(), True, id="written out"),
        pytest.param(b"0" * 64, False, id="of a blob that is gone"),
        pytest.param(b'{"blobs": ["%s"]}' % str(RECORDED).encode(), True, id="listing a blob"),
        pytest.param(b'{"blobs": ["sha256:%s"]}' % (b"0" * 64), False, id="listing one gone"),
        pytest.param(b'{"digest": "sha256:%s"}' % (b"0" * 64), False, id="with a digest that is"),
        pytest.param(b'{"blobs": 7}', True, id="of another form"),
        pytest.param(b'{"blobs": [7]}', True, id="listing no digests"),
    ],
)
def test_a_record_goes_with_what_it_is_about(store: Store, data: bytes, *, stays: bool) -> None:
    build(store, KID, "kept")
    key = Digest.of(b"key")
    store.record(key, data)
    pruned = store.prune(Policy())
    assert kinds(pruned) == ([] if stays else [Kind.RECORD])
    assert store.recall(key) == (data if stays else None)
    store.prune(Policy(everything=True))
    assert store.recall(key) is None


def test_records_that_are_torn_or_long_unused_go(store: Store, clock: Later) -> None:
    store.record(Digest.of(b"a"), b"torn")
    store.record(Digest.of(b"b"), b"old")
    torn = next(path for path in Path(store.root).rglob(Digest.of(b"a").hex))
    torn.write_bytes(b"half")
    assert [Path(item.path).name for item in store.prune(Policy()).items] == [torn.name]
    clock.ahead = 31 * DAY
    assert kinds(store.prune(Policy())) == [Kind.RECORD]


def test_a_record_of_a_blob_that_goes_goes_with_it(store: Store, clock: Later) -> None:
    digest = store.blobs.put(b"loose").digest
    store.record(Digest.of(b"a"), digest.hex.encode())
    clock.ahead = 2 * HOUR
    assert kinds(store.prune(Policy())) == [Kind.BLOB, Kind.RECORD]


# What was left unfinished.


def test_what_killed_processes_left_goes(store: Store, clock: Later) -> None:
    build(store, KID, "kid")
    root = Path(store.root)
    left = [
        root / "blobs" / ".mbuild-1-00",
        root / "manifests" / "registry.ollama.ai" / "library" / "kid" / ".mbuild-1-00",
        root / "mbuild" / "history" / KID.path / ".mbuild-1-00",
        root / "mbuild" / "sources" / ".mbuild-1-00",
        root / "mbuild" / ".mbuild-1-00",
    ]
    for path in left:
        path.write_bytes(b"half")
    (root / "mbuild" / "scratch" / "1-00").mkdir(parents=True)
    (root / "mbuild" / "scratch" / "1-00" / "x.whl").write_bytes(b"half" * 5000)
    (root / "mbuild" / "scratch" / "quantized").write_bytes(b"half")
    theirs = root / "blobs" / f"sha256-{'0' * 64}-partial-3"
    theirs.write_bytes(b"half")
    before = everything(store)
    pruned = store.prune(Policy())
    # Nobody downloads while no build goes on; but somebody may be writing a file.
    assert kinds(pruned) == [Kind.SCRATCH, Kind.SCRATCH]
    assert pruned.freed > 20_000
    clock.ahead = 2 * HOUR
    assert kinds(store.prune(Policy())) == [Kind.TEMPORARY] * 5
    assert not any(path.exists() for path in left)
    gone = before - everything(store)
    assert {path for path in gone if ".mbuild-" not in path and "scratch" not in path} == set()
    assert theirs.exists()


def test_a_build_that_never_came_about_is_forgotten(store: Store) -> None:
    build(store, KID, "kid")
    store.blobs.put(b"new")
    places = store._places()
    manifest = Manifest(None, (Layer(MediaType.SYSTEM, Digest.of(b"new"), 3),))
    places.history.announce(KID, 1, manifest.encode(), {})
    pruned = store.prune(Policy(everything=True))
    assert [item.about for item in pruned.items if item.about] == ["kid:latest, unfinished"]
    assert texts(store) == {"kid"}


def test_a_build_that_did_come_about_is_not_forgotten(store: Store) -> None:
    build(store, KID, "old")
    places = store._places()
    build(store, DAD, "new")
    places.history.announce(KID, 2, store.read(DAD), {})
    Path(places.catalogue.path(KID)).write_bytes(store.read(DAD))  # Killed before it was settled.
    store.prune(Policy(everything=True))
    assert [each.manifest for each in store.revisions(KID)][-1] == store.read(DAD)


def test_notes_about_links_go_with_them(store: Store, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"weights")
    digest = store.take(tmp_path / "weights", link="always").digest
    pruned = store.prune(Policy(everything=True))
    assert (Kind.BLOB, 0) in [(item.kind, item.size) for item in pruned.items]
    assert not store.blobs.is_link(digest)
    assert (tmp_path / "weights").read_bytes() == b"weights"


def test_a_note_about_a_link_that_another_tool_removed_goes(store: Store, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"weights")
    digest = store.take(tmp_path / "weights", link="always").digest
    os.unlink(store.blobs.place(digest))
    store.prune(Policy())
    assert not store.blobs.is_link(digest)


def test_a_linked_blob_is_as_old_as_its_last_use_here(store: Store, tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"weights")
    os.utime(tmp_path / "weights", ns=(1, 1))
    store.take(tmp_path / "weights", link="always")
    assert [item.kind for item in store.prune(Policy()).spared] == [Kind.BLOB]


# History.


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        pytest.param(Policy(), [1, 2, 3, 4], id="not asked for"),
        pytest.param(Policy(revisions=3), [2, 3, 4], id="so many of each name"),
        pytest.param(Policy(revisions=1), [4], id="the present one"),
        pytest.param(Policy(revisions=0), [4], id="never the present one"),
        pytest.param(Policy(revisions=1, older_than=27 * HOUR), [3, 4], id="the old ones"),
        pytest.param(Policy(revisions=9), [1, 2, 3, 4], id="more than there are"),
    ],
)
def test_earlier_builds_go_when_asked(
    store: Store, clock: Later, policy: Policy, left: list[int]
) -> None:
    for number in range(1, 5):
        clock.ahead = (number - 4) * DAY
        build(store, KID, str(number))
    clock.ahead = 2 * HOUR
    build(store, DAD, "dad")
    store.prune(policy)
    assert [revision.number for revision in store.revisions(KID)] == left
    assert texts(store) == {"dad", *map(str, left)}
    assert len(os.listdir(f"{store.root}/mbuild/sources")) == len(left) + 1
    build(store, KID, "next")
    assert store.revisions(KID)[-1].number == 5


def test_a_dry_run_needs_no_lock_and_removes_nothing(store: Store, clock: Later) -> None:
    build(store, KID, "one")
    build(store, KID, "two")
    clock.ahead = 2 * HOUR
    before = everything(store)
    with locks.alone(f"{store.root}/mbuild/lock"):
        planned = store.prune(Policy(revisions=1), dry_run=True)
    assert everything(store) == before
    assert store.prune(Policy(revisions=1)) == planned
    assert kinds(planned) == [Kind.BLOB, Kind.REVISION, Kind.SOURCE]


def test_a_store_that_is_not_there_stays_away(store: Store) -> None:
    assert store.prune(Policy(everything=True, revisions=1)) == Pruned(())
    assert not os.path.exists(store.root)


# Laws.

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["build", "copy", "remove", "loose", "record"]),
        st.sampled_from([KID, DAD, Name.parse("kid:v2")]),
        st.sampled_from([KID, DAD]),
        st.sets(st.sampled_from("abcd"), max_size=3),
    ),
    max_size=8,
)
POLICIES = st.builds(
    Policy,
    everything=st.booleans(),
    revisions=st.none() | st.integers(0, 3),
    older_than=st.sampled_from([0, HOUR]),
    keep=st.none() | st.integers(0, 20_000),
)


def do(store: Store, step: tuple[str, Name, Name, set[str]]) -> None:
    action, name, other, words = step
    match action:
        case "build":
            build(store, name, *sorted(words))
        case "copy" if name in set(store.names()):
            store.copy(name, other)
        case "remove" if name in set(store.names()):
            store.remove(name)
        case "loose":
            for word in words:
                store.blobs.put(word.encode() * 3)
        case "record":
            for word in words:
                store.record(Digest.of(word.encode()), Digest.of(word.encode()).hex.encode())


def reachable(store: Store) -> dict[Name, tuple[bytes, list[bytes]]]:
    return {
        name: (
            store.read(name),
            [
                store.blobs.read(layer.digest)
                for revision in store.revisions(name)
                for layer in Manifest.decode(revision.manifest).blobs
            ]
            + [store.source(d) for r in store.revisions(name) for d in r.sources.values()],
        )
        for name in store.names()
    }


@settings(max_examples=150 if os.environ.get("MBUILD_SOAK") == "1" else 30, deadline=None)
@given(steps=STEPS, policy=POLICIES, ahead=st.sampled_from([0, 2 * HOUR, -DAY]))
def test_a_prune_removes_nothing_reachable(
    steps: list[tuple[str, Name, Name, set[str]]], policy: Policy, ahead: int
) -> None:
    folder = tempfile.mkdtemp()
    try:
        store = Store(folder, clock=lambda: time.time_ns() + ahead)
        for step in steps:
            do(store, step)
        before = reachable(store)
        planned = store.prune(policy, dry_run=True)
        assert reachable(store) == before
        done = store.prune(policy)
        # What it says is what it does, and it does it once.
        assert [item.path for item in done.items] == [item.path for item in planned.items]
        assert not any(os.path.lexists(f"{folder}/{item.path}") for item in done.items)
        assert store.prune(policy).items == ()
        after = reachable(store)  # Raises for a revision that lacks anything.
        assert {name: data for name, (data, _) in after.items()} == {
            name: data for name, (data, _) in before.items()
        }
        if policy.revisions is None:
            assert after == before
        assert store.inspect().damages == ()
    finally:
        shutil.rmtree(folder)


def test_a_prune_that_fails_on_the_way_has_removed_nothing_reachable(
    tmp_path: Path, disk: FailingDisk
) -> None:
    for changes in itertools.count():
        store = Store(tmp_path / str(changes))
        for text in ("one", "two"):
            build(store, KID, text)
        store.blobs.put(b"loose")
        policy = Policy(everything=True, revisions=1)
        attempt = disk.attempt(lambda: store.prune(policy), changes, errno.EIO)  # noqa: B023  # at once
        reachable(store)
        assert store.inspect().damages == ()
        if not attempt.failed:
            break
        assert attempt.error is not None
    assert changes >= 4
    assert texts(store) == {"two"}


def test_processes_that_build_copy_remove_and_prune_lose_nothing(store: Store, soak: int) -> None:
    script = """
import random, sys
from mbuild.store.blobs import MissingBlob
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.prune import Policy
from mbuild.store.store import MissingModel, Store
store, chance = Store(sys.argv[1]), random.Random(int(sys.argv[2]))
for _ in range(int(sys.argv[3])):
    name, dice = Name.parse(chance.choice("abc")), chance.random()
    try:
        if dice < 0.2:
            store.remove(name)
        elif dice < 0.4:
            store.copy(name, Name.parse(chance.choice("abc")))
        elif dice < 0.6:
            keep = chance.choice([None, 1, 2])
            store.prune(Policy(everything=True, revisions=keep))
        else:
            with store.building():
                stored = [store.blobs.put(b"%d" % chance.randrange(5)) for _ in range(3)]
                layers = tuple(Layer(MediaType.SYSTEM, each.digest, each.size) for each in stored)
                store.save(name, Manifest(None, layers), sources={"Modelfile": b"%d" % len(stored)})
    except MissingModel:
        pass
"""
    children = [
        subprocess.Popen([sys.executable, "-c", script, store.root, str(seed), str(15 * soak)])
        for seed in range(8)
    ]
    assert [child.wait(timeout=120 * soak) for child in children] == [0] * 8
    reachable(store)
    found = store.inspect()
    assert found.sound, found.damages
    pruned = store.prune(Policy(everything=True, revisions=1))
    assert pruned.kept_because == ""
    used = {layer.digest.filename for name in store.names() for layer in store.load(name).blobs}
    assert set(os.listdir(store.blobs.folder)) == used


def test_a_blob_that_another_process_has_removed_is_not_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.blobs.put(b"loose")

    def gone(digest: Digest) -> None:
        raise MissingBlob(digest)

    monkeypatch.setattr(store.blobs, "remove", gone)
    assert store.prune(Policy(everything=True)).items == ()
