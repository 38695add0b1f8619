"""Blobs that are hard links: what becomes one, and what becomes of one that changes."""

import errno
import fcntl
import os
import time
from pathlib import Path

import pytest
from failing_disk import FailingDisk

from mbuild.store import intake
from mbuild.store.blobs import MissingBlob, Stored, WrongDigest
from mbuild.store.digest import Digest
from mbuild.store.linking import CannotLink, Wanted
from mbuild.store.links import DamagedBlob
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import Store

WEIGHTS = b"weights" * 1000
DIGEST = Digest.of(WEIGHTS)
SECOND = 1_000_000_000  # ns
LONG_AGO = 1_000_000_000_000_000_000  # ns since the epoch
HUB = "hub/models--me--kid/blobs"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    # Files that the tests have just made are old enough to be trusted.
    return Store(tmp_path / "models", clock=lambda: time.time_ns() + 10 * SECOND)


def lay(path: Path, data: bytes = WEIGHTS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return path


@pytest.fixture
def author(tmp_path: Path) -> Path:
    return lay(tmp_path / "author" / "weights.gguf")


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    return lay(tmp_path / HUB / DIGEST.hex)


def model(store: Store, text: str, stored: Stored) -> None:
    layer = Layer(MediaType.MODEL, stored.digest, stored.size)
    store.save(Name.parse(text), Manifest(None, (layer,)))


def same_inode(store: Store, path: Path) -> bool:
    return os.stat(store.blobs.place(DIGEST)).st_ino == path.stat().st_ino


def test_a_file_is_linked_by_its_owners_wish(store: Store, author: Path) -> None:
    before = author.stat()
    stored = store.take(author, link="always")
    assert stored == Stored(DIGEST, len(WEIGHTS), created=True, linked=True)
    assert same_inode(store, author)
    assert store.blobs.read(DIGEST) == WEIGHTS
    after = author.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert sorted(os.listdir(store.blobs.folder)) == [DIGEST.filename]


def test_a_linked_file_is_read_once(
    store: Store, author: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.take(author, link="always")
    monkeypatch.setattr(intake, "hash_file", None)
    assert store.take(author, link="always") == Stored(DIGEST, len(WEIGHTS), created=False)
    assert store.blobs.read(DIGEST) == WEIGHTS


@pytest.mark.parametrize("form", ["{}", "sha256-{}"], ids=["a hub's", "another store's"])
def test_files_of_a_cache_named_by_their_digests_are_linked(
    store: Store, tmp_path: Path, form: str
) -> None:
    path = lay(tmp_path / HUB / form.format(DIGEST.hex))
    (tmp_path / "snapshot.gguf").symlink_to(path)
    assert store.take(tmp_path / "snapshot.gguf").linked
    assert same_inode(store, path)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        pytest.param("author/weights.gguf", "auto", id="a file of a name"),
        pytest.param(f"elsewhere/{DIGEST.hex}", "auto", id="not in a cache's folder"),
        pytest.param(f"{HUB}/{'0' * 64}", "auto", id="not what its name says"),
        pytest.param(f"{HUB}/{DIGEST.hex}", "never", id="never"),
    ],
)
def test_all_else_is_copied(store: Store, tmp_path: Path, path: str, wanted: Wanted) -> None:
    source = lay(tmp_path / path)
    assert store.take(source, link=wanted) == Stored(DIGEST, len(WEIGHTS), created=True)
    assert not same_inode(store, source)
    assert not store.blobs.is_link(DIGEST)


def test_a_clone_is_better_than_a_link(
    store: Store, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clone(target: int, _request: int, source: int) -> int:
        with open(target, "wb", closefd=False) as file:
            file.write(os.pread(source, 1 << 20, 0))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", clone)
    assert not store.take(cached).linked
    assert not same_inode(store, cached)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        pytest.param(errno.EXDEV, "another file system", id="another file system"),
        pytest.param(errno.EPERM, "its owner", id="another owner"),
        pytest.param(errno.EMLINK, "as many links", id="too many links"),
        pytest.param(errno.EIO, "input/output error", id="a broken disk"),
    ],
)
def test_what_cannot_be_linked_is_copied_or_refused_before_it_is_read(
    store: Store, cached: Path, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refused)
    seen: list[int] = []
    with pytest.raises(CannotLink, match=reason) as caught:
        store.take(cached, link="always", progress=lambda done, _: seen.append(done))
    assert (caught.value.path, seen) == (str(cached), [])
    assert not os.listdir(store.blobs.folder)
    assert store.take(cached, link="auto") == Stored(DIGEST, len(WEIGHTS), created=True)


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="mount a tmpfs on /dev/shm")
def test_another_file_system_is_told_as_such(store: Store, author: Path) -> None:
    other = Store(f"/dev/shm/mbuild-test-{os.getpid()}")
    if os.stat("/dev/shm").st_dev == author.stat().st_dev:
        pytest.skip("mount a tmpfs on /dev/shm")
    try:
        with pytest.raises(CannotLink, match="another file system than the store"):
            other.take(author, link="always")
        assert not other.take(author, link="auto").linked
    finally:
        import shutil

        shutil.rmtree(other.root)


def test_an_expected_digest_is_checked(store: Store, author: Path) -> None:
    with pytest.raises(WrongDigest):
        store.blobs.take(author, link="always", expected=Digest.of(b"other"))
    assert not os.listdir(store.blobs.folder)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"WEIGHTS")


def rewrite_unseen(path: Path) -> None:
    before = path.stat()
    rewrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(path: Path) -> None:
    os.truncate(path, 7)


@pytest.mark.parametrize("change", [rewrite, rewrite_unseen, cut])
def test_a_linked_file_that_changes_is_named_and_not_served(
    store: Store, author: Path, change: object
) -> None:
    stored = store.take(author, link="always")
    model(store, "kid", stored)
    model(store, "me/dad:v1", stored)
    assert callable(change)
    change(author)
    for use in (store.blobs.path, store.blobs.open, store.blobs.read):
        with pytest.raises(DamagedBlob) as caught:
            use(DIGEST)
        assert caught.value.source == str(author)
        assert caught.value.models == ("kid:latest", "me/dad:v1")
        assert "kid:latest, me/dad:v1" in str(caught.value)


def test_a_link_that_is_only_touched_or_linked_again_is_served(
    store: Store, author: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.take(author, link="always")
    os.utime(author, ns=(LONG_AGO + 5, LONG_AGO + 5))
    os.link(author, author.with_name("third"))
    assert store.blobs.read(DIGEST) == WEIGHTS
    # It was read for that, and need not be again.
    monkeypatch.setattr(intake, "hash_file", None)
    assert store.blobs.read(DIGEST) == WEIGHTS


def test_the_author_may_remove_or_replace_the_file(store: Store, author: Path) -> None:
    store.take(author, link="always")
    author.with_name("new").write_bytes(b"something else")
    author.with_name("new").replace(author)
    assert store.blobs.read(DIGEST) == WEIGHTS


@pytest.mark.parametrize("note", [b"", b"[]", b'{"source":1}', b'{"source":"x","stamp":["y"]}'])
def test_a_torn_note_makes_the_link_be_read_again(store: Store, author: Path, note: bytes) -> None:
    store.take(author, link="always")
    (Path(store.root) / "mbuild" / "links" / DIGEST.hex).write_bytes(note)
    assert store.blobs.read(DIGEST) == WEIGHTS
    rewrite(author)
    (Path(store.root) / "mbuild" / "links" / DIGEST.hex).write_bytes(note)
    with pytest.raises(DamagedBlob):
        store.blobs.read(DIGEST)


def test_a_file_as_young_as_its_link_is_not_trusted(store: Store, author: Path) -> None:
    os.utime(author)
    store.take(author, link="always")
    assert store.blobs.links.read(DIGEST).stamp == ()
    assert store.blobs.read(DIGEST) == WEIGHTS


def test_building_again_mends_a_link_that_has_changed(store: Store, author: Path) -> None:
    store.take(author, link="always")
    rewrite(author)
    assert store.blobs.put(WEIGHTS) == Stored(DIGEST, len(WEIGHTS), created=True)
    assert store.blobs.read(DIGEST) == WEIGHTS
    assert not store.blobs.is_link(DIGEST)
    assert author.read_bytes().startswith(b"WEIGHTS")


def test_what_a_changed_file_holds_now_is_another_blob(store: Store, author: Path) -> None:
    store.take(author, link="always")
    rewrite(author)
    stored = store.take(author, link="always")
    assert stored.digest == Digest.of(author.read_bytes())
    assert store.blobs.read(stored.digest) == author.read_bytes()


def test_using_a_link_does_not_change_the_times_of_its_file(store: Store, author: Path) -> None:
    store.take(author, link="always")
    note = Path(store.root) / "mbuild" / "links" / DIGEST.hex
    os.utime(note, ns=(1, 1))
    store.blobs.touch(DIGEST)
    assert author.stat().st_mtime_ns == LONG_AGO
    assert store.blobs.links.used(DIGEST) == note.stat().st_mtime_ns > 1


def test_removing_a_linked_blob_leaves_the_file(store: Store, author: Path) -> None:
    store.take(author, link="always")
    store.blobs.remove(DIGEST)
    assert author.read_bytes() == WEIGHTS
    assert not store.blobs.is_link(DIGEST)
    with pytest.raises(MissingBlob):
        store.blobs.touch(DIGEST)


def test_whatever_fails_no_link_is_without_its_note(
    store: Store, author: Path, disk: FailingDisk
) -> None:
    failed = []
    for attempt in disk.attempts(lambda: store.blobs.take(author, link="always"), errno.EIO):
        failed.append(attempt.failed)
        assert author.read_bytes() == WEIGHTS
        if DIGEST in store.blobs:
            assert store.blobs.is_link(DIGEST)
            assert store.blobs.read(DIGEST) == WEIGHTS
            store.blobs.remove(DIGEST)
        left = os.listdir(store.blobs.folder) if os.path.exists(store.blobs.folder) else []
        # What could not be taken away again is litter, which a sweep knows.
        assert all(name.startswith(".mbuild-") for name in left)
    assert {"fsync", "replace"} <= set(failed)
