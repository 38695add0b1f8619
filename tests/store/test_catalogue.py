import errno
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.store import catalogue as module
from mbuild.store import tree
from mbuild.store.catalogue import Catalogue, DamagedModel, MissingModel
from mbuild.store.digest import Digest
from mbuild.store.entry import Damaged, Model
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name

SECOND = 1_000_000_000  # ns
THEN = 1_700_000_000 * SECOND


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "manifests"


@pytest.fixture
def catalogue(folder: Path) -> Catalogue:
    return Catalogue(str(folder))


def manifest(text: str = "hello") -> Manifest:
    return Manifest(None, (Layer(MediaType.SYSTEM, Digest.of(text.encode()), len(text)),))


def lay(folder: Path, name: str, data: bytes | None = None, *, at: int = THEN) -> Path:
    path = folder / Name.parse(name).path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(manifest().encode() if data is None else data)
    os.utime(path, ns=(at, at))
    return path


def names(catalogue: Catalogue) -> list[str]:
    return [entry.name.short for entry in catalogue.entries()]


def test_no_folder_is_no_model(catalogue: Catalogue, folder: Path) -> None:
    assert (catalogue.entries(), list(catalogue.names())) == ([], [])
    assert catalogue.resolve(Name.parse("Kid")) == Name.parse("Kid")
    assert not folder.exists()


def test_a_model_has_its_id_its_size_and_its_time(catalogue: Catalogue, folder: Path) -> None:
    data = manifest().encode()
    lay(folder, "kid", data, at=THEN + 5)
    entry = Model(Name.parse("kid"), Digest.of(data), 5, THEN + 5)
    assert catalogue.entries() == [entry]
    assert entry.size == 5


def test_the_newest_comes_first_by_whole_seconds_and_then_by_name(
    catalogue: Catalogue, folder: Path
) -> None:
    lay(folder, "old", at=THEN - SECOND)
    lay(folder, "b", at=THEN)
    lay(folder, "c", at=THEN + SECOND - 1)
    lay(folder, "a", at=THEN + 1)
    lay(folder, "new", at=THEN + SECOND)
    assert names(catalogue) == ["new:latest", "a:latest", "b:latest", "c:latest", "old:latest"]


def test_what_does_not_spell_a_name_is_passed_over(catalogue: Catalogue, folder: Path) -> None:
    lay(folder, "hf.co/me/kid:Q4")
    for path in (
        ".DS_Store",
        "file",
        "registry.ollama.ai/file",
        "registry.ollama.ai/library/file",
        "registry.ollama.ai/library/kid/.DS_Store",
        "registry.ollama.ai/library/kid/.mbuild-1-00",
        "registry.ollama.ai/library/kid/a b",
        "registry.ollama.ai/library/kid/latest/deeper",
        "registry.ollama.ai/with.dot/kid/latest",
        "bad host/library/kid/latest",
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"{}")
    assert names(catalogue) == ["hf.co/me/kid:Q4"]
    assert [name.short for name in catalogue.names()] == ["hf.co/me/kid:Q4"]
    with pytest.raises(MissingModel):
        catalogue.load(Name.parse("kid"))


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_circle(path: Path) -> None:
    path.symlink_to(path)


def make_huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda path: path.write_bytes(b""), "it is empty", id="empty"),
        pytest.param(lambda path: path.write_bytes(b"["), "not JSON", id="no JSON"),
        pytest.param(
            lambda path: path.write_bytes(b'{"layers":[{"digest":"sha256:../x"}]}'),
            "layer 1: not a sha256 digest",
            id="no digest",
        ),
        pytest.param(make_fifo, "not a file", id="pipe"),
        pytest.param(make_endless, "not a file", id="endless device"),
        pytest.param(make_huge, "too large", id="huge"),
    ],
)
def test_a_damaged_manifest_is_listed_beside_the_others(
    catalogue: Catalogue, folder: Path, make: object, reason: str
) -> None:
    lay(folder, "good", at=THEN)
    path = folder / Name.parse("bad").path
    path.parent.mkdir(parents=True)
    assert callable(make)
    make(path)
    entries = {entry.name.short: entry for entry in catalogue.entries()}
    assert set(entries) == {"good:latest", "bad:latest"}
    bad = entries["bad:latest"]
    assert isinstance(bad, Damaged)
    assert bad.damaged.startswith(reason)
    with pytest.raises(DamagedModel) as caught:
        catalogue.load(Name.parse("bad"))
    assert caught.value.reason == bad.damaged


def test_links_in_circles_harm_nobody(catalogue: Catalogue, folder: Path) -> None:
    lay(folder, "good")
    for path in (folder / "circle", folder / "registry.ollama.ai" / "library" / "circle"):
        make_circle(path)
    lay(folder, "bad").unlink()
    make_circle(folder / Name.parse("bad").path)
    (folder / "dangling").symlink_to("nowhere")
    assert sorted(names(catalogue)) == ["bad:latest", "good:latest"]
    assert sorted(name.short for name in catalogue.names()) == ["bad:latest", "good:latest"]


def test_a_manifest_that_may_not_be_read_says_so(
    catalogue: Catalogue, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lay(folder, "secret")
    look = os.open

    def refused(target: str, *arguments: int) -> int:
        if str(target) == str(path):
            raise PermissionError(errno.EACCES, "Permission denied", target)
        return look(target, *arguments)

    monkeypatch.setattr(os, "open", refused)
    assert catalogue.entries() == [Damaged(Name.parse("secret"), 0, "permission denied")]


def test_a_model_that_is_removed_meanwhile_is_left_out(
    catalogue: Catalogue, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(folder, "stays")
    lay(folder, "goes")
    read = module._read

    def racing(path: str) -> tuple[bytes | None, os.stat_result]:
        if "goes" in path:
            os.unlink(path)
        return read(path)

    monkeypatch.setattr(module, "_read", racing)
    assert names(catalogue) == ["stays:latest"]


@pytest.mark.parametrize(
    ("there", "asked", "expected"),
    [
        pytest.param(["kid"], "kid", "kid", id="as it is"),
        pytest.param(["Kid"], "kID:LATEST", "Kid:latest", id="in the case that is there"),
        pytest.param(["kid"], "other", "other", id="new"),
        pytest.param(["Me/a:v1", "you/Kid"], "ME/kid:V1", "Me/Kid:v1", id="part by part"),
        pytest.param(["HF.co/u/m"], "hf.CO/New/x", "HF.co/New/x", id="hosts too"),
        pytest.param(["Kid", "kid"], "kid", "kid", id="both there: the one asked for"),
        pytest.param(["Kid:a", "kid:b"], "kid:A", "Kid:a", id="a model that is there goes first"),
        pytest.param(["Kid:a", "kid:b"], "kid:c", "kid:c", id="then a part as it is"),
        pytest.param(["KID:a", "Kid:b"], "kid:c", "KID:c", id="then the first in order"),
    ],
)
def test_the_case_that_is_there_is_kept(
    catalogue: Catalogue, folder: Path, there: list[str], asked: str, expected: str
) -> None:
    for name in there:
        lay(folder, name)
    assert catalogue.resolve(Name.parse(asked)) == Name.parse(expected)


WORDS = st.sampled_from(["a", "A", "b", "B", "c"])
NAMES = st.builds(Name, st.just("h"), WORDS, WORDS, WORDS)


@given(there=st.lists(NAMES, max_size=6), asked=NAMES)
def test_resolving_changes_only_case_and_only_once(there: list[Name], asked: Name) -> None:
    class Listed(Catalogue):
        def names(self):  # type: ignore[no-untyped-def]  # a fake
            return iter(there)

    catalogue = Listed("/nowhere")
    resolved = catalogue.resolve(asked)
    assert str(resolved).lower() == str(asked).lower()
    assert catalogue.resolve(resolved) == resolved
    if str(asked).lower() in {str(name).lower() for name in there}:
        assert resolved in there


def test_ten_thousand_models_are_listed_quickly(catalogue: Catalogue, folder: Path) -> None:
    layers = tuple(
        Layer(media_type, Digest.of(media_type.encode()), 100, origin="base:latest")
        for media_type in (MediaType.MODEL, MediaType.TEMPLATE, MediaType.PARAMS)
    )
    data = Manifest(Layer(MediaType.CONFIG, Digest.of(b""), 1), layers).encode()
    for number in range(1000):
        lay(folder, f"model{number}", data)
    # A tenth of the models in a tenth of a second, and as much again for a busy machine.
    taken = []
    for _ in range(5):
        began = time.process_time()
        assert len(catalogue.entries()) == 1000
        taken.append(time.process_time() - began)
    assert min(taken) < 0.2


class Unreadable:
    """An entry of a folder of which nothing can be told."""

    def __init__(self, code: int) -> None:
        self._code = code

    def is_dir(self) -> bool:
        raise OSError(self._code, os.strerror(self._code))


def test_what_may_be_a_folder_is_not_taken_for_none() -> None:
    assert not tree.is_folder(Unreadable(errno.ELOOP))  # type: ignore[arg-type]  # all that is used of one
    with pytest.raises(OSError, match="Input/output error"):
        tree.is_folder(Unreadable(errno.EIO))  # type: ignore[arg-type]  # all that is used of one
