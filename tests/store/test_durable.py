import errno
import os
import stat
from pathlib import Path

import pytest

from mbuild.store import durable


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    durable.write(str(path), b"old")
    with path.open("rb") as reader:
        durable.write(str(path), b"new")
        assert (reader.read(), path.read_bytes()) == (b"old", b"new")


def test_the_steps_are_write_then_sync_then_rename_then_sync_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []

    def noting(name: str) -> None:
        call = getattr(os, name)

        def noted(*arguments: object) -> object:
            if name == "fsync" and stat.S_ISDIR(os.fstat(arguments[0]).st_mode):  # type: ignore[arg-type]  # a descriptor
                steps.append("fsync of the folder")
            else:
                steps.append(name)
            return call(*arguments)

        monkeypatch.setattr(os, name, noted)

    for name in ("write", "fsync", "replace"):
        noting(name)
    durable.write(str(tmp_path / "file"), b"data")
    assert steps == ["write", "fsync", "replace", "fsync of the folder"]


def test_a_new_folder_is_synced_into_the_one_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        found = os.fstat(descriptor)
        synced.extend(
            path.name for path in (tmp_path, tmp_path / "a") if os.path.samestat(found, path.stat())
        )
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    durable.make_folder(str(tmp_path / "a" / "b"))
    assert synced == [tmp_path.name, "a"]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o000])
def test_modes(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        durable.write(str(tmp_path / "a" / "b" / "file"), b"")
    finally:
        os.umask(before)
    # Files are for all to read, as the reference's; folders as the umask will have it.
    assert stat.S_IMODE((tmp_path / "a" / "b" / "file").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o755 & ~mask
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o755 & ~mask


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    durable.write(str(tmp_path / "file"), b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_an_error_without_a_file_gets_the_name_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space") as caught:
        durable.write(str(tmp_path / "file"), b"x")
    assert caught.value.filename == str(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        durable.write(str(tmp_path / "file"), b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_what_is_in_the_way_of_a_folder_is_named(tmp_path: Path, kind: str) -> None:
    way = tmp_path / "way"
    if kind == "file":
        way.write_bytes(b"")
    else:
        way.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match="way") as caught:
        durable.make_folder(str(way / "below"))
    assert str(caught.value.filename).startswith(str(way))


def test_a_folder_that_vanishes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Removing a model elsewhere may take an empty folder away at any moment.
    folder = tmp_path / "model"
    durable.make_folder(str(folder))
    mkdir, vanished = os.mkdir, [True]

    def vanishing(path: str, mode: int) -> None:
        mkdir(path, mode)
        if vanished:
            vanished.pop()
            folder.rmdir()
            # Still there for whoever syncs it into the folder above.

    folder.rmdir()
    monkeypatch.setattr(os, "mkdir", vanishing)
    durable.write(str(folder / "latest"), b"x")
    assert (folder / "latest").read_bytes() == b"x"


def test_temporary_files_are_known_by_their_names(tmp_path: Path) -> None:
    with durable.temporary(str(tmp_path)) as (_, path):
        name = Path(path).name
        Path(path).unlink()
        assert durable.is_temporary(name)
        # Hidden, so in a folder of manifests it is no model; and no digest among the blobs.
        assert name.startswith(".")
    assert not durable.is_temporary("sha256-" + "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_what_an_interrupted_process_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    with durable.temporary(str(tmp_path)) as (_, mine):
        other = tmp_path / f".mbuild-{os.getpid()}0-abc"
        other.touch()
        (tmp_path / "sha256-aa").touch()
        durable.remove_left_by(os.getpid(), str(tmp_path))
        assert not os.path.exists(mine)
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "sha256-aa"]
    durable.remove_left_by(1, str(tmp_path / "missing"))
