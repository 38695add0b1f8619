"""A model as a folder: whole or not there, and building it gives the same layers."""

import os
from pathlib import Path

import pytest
from gguf_files import lora, tiny_llama, write_gguf

from mbuild.compiler.bundle import Occupied, write
from mbuild.compiler.create import Order, create
from mbuild.compiler.dialect import Dialect
from mbuild.compiler.export import Bundle, bundle
from mbuild.compiler.progress import Progress, Status
from mbuild.store.blobs import MissingBlob, WrongDigest
from mbuild.store.digest import Digest
from mbuild.store.manifest import Manifest
from mbuild.store.name import Name
from mbuild.store.store import Store

TEXT = """FROM ./m.gguf
FROM ./p.gguf
ADAPTER ./a.gguf
DRAFT ./d.gguf
SYSTEM <<END
Be kind.
END
TEMPLATE {{ .Prompt }}
LICENSE MIT
LICENSE <<END
é
END
MESSAGE user hi
PARAMETER stop x
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def manifest(tmp_path: Path, store: Store) -> Manifest:
    tiny_llama(tmp_path / "m.gguf")
    tiny_llama(tmp_path / "d.gguf", seed=1)
    write_gguf(tmp_path / "p.gguf", {"general.type": "projector"})
    lora(tmp_path / "a.gguf", "output.weight", 269)
    return make(store, tmp_path, TEXT.encode())


@pytest.fixture
def made(manifest: Manifest, store: Store) -> Bundle:
    return bundle(Name.parse("kid"), manifest, store)


def make(
    store: Store, folder: Path, data: bytes, name: str = "kid", dialect: Dialect = "mbuild"
) -> Manifest:
    order = Order(Name.parse(name), "Modelfile", data, str(folder), dialect)
    made, findings = create(order, store, lambda _: None)
    assert made is not None, findings
    return Manifest.decode(made)


def quiet(_: Status | Progress) -> None:
    """Nobody listens."""


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


NAMES = [
    *("Modelfile", "kid.adapter.gguf", "kid.draft.gguf", "kid.gguf", "kid.projector.gguf"),
    *("prompts/license-1.txt", "prompts/license-2.txt", "prompts/messages.json"),
    *("prompts/system.md", "prompts/template.gotmpl"),
]


@pytest.mark.parametrize(
    "link", [pytest.param(False, id="copied"), pytest.param(True, id="linked")]
)
@pytest.mark.parametrize("dialect", ["mbuild", "ollama"])
def test_the_folder_builds_to_the_same_layers(
    tmp_path: Path, store: Store, manifest: Manifest, made: Bundle, dialect: Dialect, link: bool
) -> None:
    out = tmp_path / "deep" / "out"
    write(made, str(out), store.blobs, tell=quiet, link=link)
    assert listing(out) == NAMES
    assert sorted(path.name for path in out.iterdir()) == [*NAMES[:5], "prompts"]
    elsewhere = Store(tmp_path / "elsewhere")
    again = make(elsewhere, out, (out / "Modelfile").read_bytes(), "again", dialect)
    assert parts(again) == parts(manifest)


def parts(manifest: Manifest) -> set[tuple[str, Digest]]:
    return {(layer.media_type, layer.digest) for layer in manifest.blobs}


def test_what_is_written(tmp_path: Path, store: Store, made: Bundle) -> None:
    write(made, str(tmp_path / "out"), store.blobs, tell=quiet)
    texts = {
        name: (tmp_path / "out" / name).read_text(encoding="utf-8")
        for name in NAMES
        if not name.endswith(".gguf")
    }
    assert texts == {
        "Modelfile": "# kid:latest, as mbuild export wrote it\n\n"
        "FROM ./kid.gguf\nADAPTER ./kid.adapter.gguf\nDRAFT ./kid.draft.gguf\n"
        "FROM ./kid.projector.gguf\nTEMPLATE {{ .Prompt }}\nSYSTEM Be kind.\n"
        "PARAMETER stop x\nLICENSE MIT\nLICENSE é\nMESSAGE user hi\n",
        "prompts/license-1.txt": "MIT",
        "prompts/license-2.txt": "é",
        "prompts/messages.json": '[\n  {\n    "role": "user",\n    "content": "hi"\n  }\n]\n',
        "prompts/system.md": "Be kind.",
        "prompts/template.gotmpl": "{{ .Prompt }}",
    }


def test_writing_to_an_exported_file_does_not_harm_the_store(
    tmp_path: Path, store: Store, made: Bundle
) -> None:
    write(made, str(tmp_path / "out"), store.blobs, tell=quiet)
    (tmp_path / "out" / "kid.gguf").write_bytes(b"changed")
    digest = made.weights["kid.gguf"]
    assert Digest.of(store.blobs.read(digest)) == digest


def test_linked_weights_take_no_room(tmp_path: Path, store: Store, made: Bundle) -> None:
    write(made, str(tmp_path / "out"), store.blobs, tell=quiet, link=True)
    blob = store.blobs.path(made.weights["kid.gguf"])
    assert os.path.samefile(tmp_path / "out" / "kid.gguf", blob)


def test_an_empty_folder_is_filled(tmp_path: Path, store: Store, made: Bundle) -> None:
    (tmp_path / "out").mkdir()
    write(made, str(tmp_path / "out"), store.blobs, tell=quiet)
    assert listing(tmp_path / "out") == NAMES


def test_a_folder_with_something_in_it_is_refused(
    tmp_path: Path, store: Store, made: Bundle
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".hidden").touch()
    with pytest.raises(Occupied, match="out is not empty"):
        write(made, str(out), store.blobs, tell=quiet)
    assert listing(out) == [".hidden"]


def test_the_folder_here_is_a_folder_like_any(
    tmp_path: Path, store: Store, made: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Occupied, match="is not empty"):
        write(made, "", store.blobs, tell=quiet)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    write(made, ".", store.blobs, tell=quiet)
    assert listing(tmp_path / "empty") == NAMES


@pytest.mark.parametrize("target", ["missing", "m.gguf"])
def test_a_file_or_a_broken_link_is_no_folder(
    tmp_path: Path, store: Store, made: Bundle, target: str
) -> None:
    (tmp_path / "out").symlink_to(tmp_path / target)
    with pytest.raises(Occupied, match="out is no folder"):
        write(made, str(tmp_path / "out"), store.blobs, tell=quiet, force=True)


def test_force_replaces_its_own_files_only(tmp_path: Path, store: Store, made: Bundle) -> None:
    out = tmp_path / "out"
    write(made, str(out), store.blobs, tell=quiet)
    (out / "Modelfile").write_text("mine", encoding="utf-8")
    (out / "notes").write_text("kept", encoding="utf-8")
    (out / "prompts" / "notes").write_text("kept too", encoding="utf-8")
    write(made, str(out), store.blobs, tell=quiet, force=True)
    assert (out / "Modelfile").read_text(encoding="utf-8") == made.modelfile
    assert listing(out) == sorted([*NAMES, "notes", "prompts/notes"])


def test_force_replaces_a_link_and_not_what_it_names(
    tmp_path: Path, store: Store, made: Bundle
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    (out / "Modelfile").symlink_to(tmp_path / "mine")
    write(made, str(out), store.blobs, tell=quiet, force=True)
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["Modelfile", "kid.gguf"])
def test_a_folder_in_the_place_of_a_file_is_refused(
    tmp_path: Path, store: Store, made: Bundle, name: str
) -> None:
    (tmp_path / "out" / name).mkdir(parents=True)
    with pytest.raises(Occupied, match=f"{name} is a folder"):
        write(made, str(tmp_path / "out"), store.blobs, tell=quiet, force=True)
    assert listing(tmp_path / "out") == []


def test_nothing_is_written_through_a_link_to_a_folder(
    tmp_path: Path, store: Store, made: Bundle
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "out" / "prompts").symlink_to(tmp_path / "other")
    with pytest.raises(Occupied, match="prompts is no folder"):
        write(made, str(tmp_path / "out"), store.blobs, tell=quiet, force=True)
    assert listing(tmp_path / "other") == []


@pytest.mark.parametrize("exists", [pytest.param(True, id="there"), pytest.param(False, id="new")])
def test_weights_that_are_gone_or_damaged_leave_nothing_behind(
    tmp_path: Path, store: Store, made: Bundle, exists: bool
) -> None:
    out = tmp_path / "new" / "out"
    if exists:
        out.mkdir(parents=True)
    blob = Path(store.blobs.path(made.weights["kid.projector.gguf"]))
    data = blob.read_bytes()
    blob.write_bytes(data[:-1] + b"!")
    with pytest.raises(WrongDigest):
        write(made, str(out), store.blobs, tell=quiet)
    blob.unlink()
    with pytest.raises(MissingBlob):
        write(made, str(out), store.blobs, tell=quiet)
    assert out.exists() == exists
    assert not exists or list(out.iterdir()) == []
    assert exists or not out.parent.exists()


@pytest.mark.parametrize("fails", range(1, len(NAMES) + 1))
def test_a_failing_disk_leaves_nothing_behind(
    tmp_path: Path, store: Store, made: Bundle, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    calls = 0
    replace = os.replace

    def failing(source: str, target: str) -> None:
        nonlocal calls
        calls += 1
        if calls == fails:
            raise OSError("the disk has gone")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="gone"):
        write(made, str(tmp_path / "out"), store.blobs, tell=quiet)
    assert not (tmp_path / "out").exists()


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, store: Store, made: Bundle) -> None:
    def interrupted(_: Status | Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(made, str(tmp_path / "new" / "out"), store.blobs, tell=interrupted)
    assert not (tmp_path / "new").exists()


def test_a_copy_tells_how_far_it_is(tmp_path: Path, store: Store, made: Bundle) -> None:
    told: list[Status | Progress] = []
    write(made, str(tmp_path / "out"), store.blobs, tell=told.append)
    size = (tmp_path / "out" / "kid.gguf").stat().st_size
    assert Progress("copying kid.gguf", size, size) in told
