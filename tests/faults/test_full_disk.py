"""A disk that is really full: a file system in memory that has so much room and no more."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults import arena
from faults.evidence import Evidence
from faults.world import Action, World, damages

_PAGE = 4096  # bytes; so much at least takes each file and folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    subprocess.run(mount, check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(path: Path, *, left: int) -> None:
    """Make a file that leaves only so many bytes on the disk."""
    found = os.statvfs(path.parent)
    path.write_bytes(bytes(max(found.f_bavail * found.f_frsize - left, 0)))


def test_a_full_disk_costs_nothing_that_was_there(small_disk: Path, soak: int) -> None:
    folder = small_disk / "work"
    folder.mkdir()
    action = Action(("create", "kid", "-f", "Modelfile"))
    with arena.opened() as opened:
        world = World(folder, opened)
        with world.store(action) as store:
            before = Evidence(store).models()
            after = world.do(store, action.words)
            expected = world.build(store)
        failed = 0
        for pages in range(0, 150, 2 if soak > 1 else 37):
            with world.store(action) as store:
                fill(small_disk / "filler", left=pages * _PAGE)
                outcome = world.run(store, action.words)
                (small_disk / "filler").unlink()
                failed += outcome.status
                assert outcome.status == 0 or "no space left on device" in outcome.said.lower()
                assert Evidence(store).models() in (before, after)
                assert Evidence(store).lost() == []
                inspected = world.run(store, ("fsck", "--json"))
                assert inspected.status == 0, damages(inspected)
                assert world.do(store, action.words) == after
                assert world.build(store) == expected
        assert failed
