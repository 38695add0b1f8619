"""What fails or is killed at any point leaves each name as it was, or as it was to be."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import store_actions
from failing_disk import FailingDisk
from store_actions import ACTIONS, DAD, KID, build

from mbuild.store.digest import Digest
from mbuild.store.manifest import Manifest
from mbuild.store.name import Name
from mbuild.store.store import Store

Standing = dict[Name, bytes]


def standing(store: Store) -> Standing:
    """What each name stands for."""
    assert all(entry.damaged is None for entry in store.entries())
    return {name: store.read(name) for name in store.names()}


def assert_whole(store: Store) -> None:
    """Nothing that can be seen is wrong or half there."""
    found = store.inspect()
    assert found.sound, found.damages
    for name, data in standing(store).items():
        assert store.revisions(name)[-1].manifest == data
        for revision in store.revisions(name):
            layers = Manifest.decode(revision.manifest).blobs
            assert all(Digest.of(store.blobs.read(each.digest)) == each.digest for each in layers)
            for digest in revision.sources.values():
                assert Digest.of(store.source(digest)) == digest
    for file in os.listdir(store.blobs.folder):
        if not file.startswith("."):
            digest = Digest.parse(file)
            assert Digest.of(store.blobs.read(digest)) == digest


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[[str], Store]:
    """Makes stores in which two models are."""
    template = tmp_path / "template"
    build(Store(template), KID, b"old")
    build(Store(template), DAD, b"dad")

    def prepare(folder: str) -> Store:
        shutil.copytree(template, tmp_path / folder)
        return Store(tmp_path / folder)

    return prepare


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_whatever_fails_the_store_is_as_it_was_or_as_it_was_to_be(
    prepared: Callable[[str], Store], disk: FailingDisk, action: Callable[[Store], None]
) -> None:
    store = prepared("done")
    before = standing(store)
    action(store)
    after = standing(store)
    assert before != after

    for changes in range(200):
        store = prepared(str(changes))
        attempt = disk.attempt(lambda store=store: action(store), changes, errno.ENOSPC)
        if not attempt.failed:
            break
        now = standing(store)
        assert now in (before, after)
        assert now == after or attempt.error is not None
        if attempt.error is not None:
            assert str(attempt.error.filename).startswith(store.root)
        assert_whole(store)
        # What failed can be done again, and ends as if nothing had happened.
        if now == before:
            action(store)
        assert standing(store) == after
        assert_whole(store)
    assert changes >= 5


def test_a_save_that_fails_leaves_no_revision(
    prepared: Callable[[str], Store], disk: FailingDisk
) -> None:
    store = prepared("store")
    old = store.read(KID)
    for attempt in disk.attempts(lambda: store_actions.save(store)):
        manifests = [revision.manifest for revision in store.revisions(KID)]
        if store.read(KID) != old:
            assert manifests == [old, store.read(KID)], attempt.failed
            return
        assert manifests == [old], attempt.failed
    pytest.fail("the last changes come after the manifest is in place")


def killed(store: Store, action: str, changes: int) -> bool:
    """Whether a process that does *action* was killed after that many changes of the disk."""
    command = [sys.executable, store_actions.__file__, store.root, action, str(changes)]
    result = subprocess.run(command, check=False, timeout=60)
    assert result.returncode in (0, -9)
    return result.returncode == -9


@pytest.mark.parametrize("action", ACTIONS)
def test_a_killed_process_leaves_the_store_as_it_was_or_as_it_was_to_be(
    prepared: Callable[[str], Store], action: str, soak: int
) -> None:
    store = prepared("done")
    before = standing(store)
    ACTIONS[action](store)
    after = standing(store)
    step = 1 if soak > 1 else 7
    changes = 1
    while True:
        store = prepared(str(changes))
        if not killed(store, action, changes):
            break
        assert standing(store) in (before, after)
        assert_whole(store)
        if standing(store) == before:
            ACTIONS[action](store)
        assert standing(store) == after
        assert_whole(store)
        changes += step
    assert changes > step


def test_a_prune_that_is_killed_has_removed_nothing_that_is_needed(
    prepared: Callable[[str], Store], soak: int
) -> None:
    for changes in range(0, 100, 1 if soak > 1 else 3):
        store = prepared(str(changes))
        build(store, KID, b"new")
        store.blobs.put(b"loose")
        before = standing(store)
        if not killed(store, "prune", changes):
            break
        assert standing(store) == before
        assert_whole(store)
        store_actions.prune(store)
        assert_whole(store)
    assert changes >= 3
    assert [each.manifest for each in store.revisions(KID)] == [store.read(KID)]


def test_a_repair_that_is_killed_has_lost_nothing_and_is_done_the_next_time(
    prepared: Callable[[str], Store], soak: int
) -> None:
    for changes in range(0, 100, 1 if soak > 1 else 3):
        store = prepared(str(changes))
        before = standing(store)
        loose = store.blobs.place(store.blobs.put(b"loose").digest)
        Path(loose).write_bytes(b"LOOSE")
        Path(f"{store.root}/manifests/{KID.path}").write_bytes(b"torn")
        done = not killed(store, "repair", changes)
        store_actions.repair(store)
        assert standing(store) == before
        assert_whole(store)
        aside = Path(f"{store.root}/mbuild/damaged")
        kept = {path.read_bytes() for path in aside.rglob("*") if path.is_file()}
        assert kept == {b"LOOSE", b"torn"}
        if done:
            break
    assert changes >= 3


def test_a_process_killed_while_it_imports_leaves_no_blob(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from mbuild.store.blobs import Blobs\n"
        "def kill(done, total):\n"
        "    if done > total // 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Blobs(sys.argv[1]).take(sys.argv[2], progress=kill)\n"
    )
    weights = tmp_path / "weights"
    weights.write_bytes(os.urandom(4 << 20))
    store = Store(tmp_path / "models")
    command = [sys.executable, "-c", script, store.blobs.folder, str(weights)]
    assert subprocess.run(command, check=False, timeout=60).returncode == -9
    assert [file for file in os.listdir(store.blobs.folder) if not file.startswith(".")] == []
    stored = store.take(weights)
    assert stored.created
    assert Digest.of(weights.read_bytes()) == stored.digest
