"""What lint sees around a Modelfile, and that it leaves all of it as it was."""

import os
from pathlib import Path

import pytest
from gguf_files import tiny_llama, write_gguf

from mbuild.compiler.create import Order, create
from mbuild.compiler.diagnostic import Code
from mbuild.compiler.lint import lint
from mbuild.compiler.rules import Base
from mbuild.compiler.surroundings import Onlooker, Surroundings
from mbuild.store.digest import Digest
from mbuild.store.name import Name
from mbuild.store.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    tiny_llama(tmp_path / "work" / "m.gguf")
    return tmp_path / "work"


@pytest.fixture
def store(tmp_path: Path, folder: Path) -> Onlooker:
    text = b"FROM ./m.gguf\nLICENSE MIT\nSYSTEM hi\nTEMPLATE {{ .Prompt }}{{ .System }}\n"
    text += b"PARAMETER stop x:\nPARAMETER repeat_penalty 1.1\n"
    root = tmp_path / "store"
    data, _ = create(
        Order(Name.parse("base"), "Modelfile", text, str(folder)), Store(root), lambda _: None
    )
    assert data is not None
    return Onlooker(str(root))


def world(folder: Path, store: Onlooker) -> Surroundings:
    return Surroundings(str(folder), "Modelfile", store)


def codes(text: str, folder: Path, store: Onlooker) -> list[Code]:
    return [each.code for each in lint("Modelfile", text.encode(), world(folder, store))]


def listing(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(root.rglob("*"))}


def test_what_a_model_of_the_store_brings(folder: Path, store: Onlooker) -> None:
    assert world(folder, store).base("base") == Base(license=True, stops=True, penalty=True)


@pytest.mark.parametrize("source", ["unknown", "./none.gguf", "", "a b", "x\0y", "~nobody/x", "."])
def test_what_is_not_there_brings_nothing_known(folder: Path, store: Onlooker, source: str) -> None:
    assert world(folder, store).base(source) is None


def test_weights_say_their_license(folder: Path, store: Onlooker) -> None:
    write_gguf(folder / "l.gguf", {"general.architecture": "llama", "general.license": "mit"})
    assert codes("FROM ./l.gguf\n", folder, store) == [Code.LICENSE_MISSING]
    assert codes("FROM ./l.gguf\nLICENSE MIT\n", folder, store) == []


def test_a_license_that_is_kept_is_not_missed(folder: Path, store: Onlooker) -> None:
    assert codes("FROM base:latest\nSYSTEM a\n", folder, store) == [Code.MOVING_TAG]
    assert Code.LICENSE_MISSING in codes("FROM base:latest\nUNSET LICENSE\n", folder, store)


def test_a_template_of_the_base_is_looked_at(folder: Path, store: Onlooker) -> None:
    text = "FROM base:latest\nTEMPLATE {{ .Prompt }}\n"
    assert Code.SYSTEM_IGNORED in codes(text, folder, store)


def test_weights_that_were_built_from_are_known(folder: Path, store: Onlooker) -> None:
    text = "FROM base:latest\nPARAMETER num_ctx 1048576\n"
    assert Code.UNTRAINED_CONTEXT in codes(text, folder, store)


def test_nothing_is_written(tmp_path: Path, folder: Path, store: Onlooker) -> None:
    before = listing(tmp_path)
    codes("FROM base\nTEMPLATE {{ .Prompt }}\nPARAMETER num_ctx 8192\n", folder, store)
    codes("FROM ./m.gguf\nTEMPLATE {{ .Prompt }}\nPARAMETER num_ctx 8192\n", folder, store)
    assert listing(tmp_path) == before


def test_no_store_is_needed_and_none_is_made(tmp_path: Path, folder: Path) -> None:
    store = Onlooker(str(tmp_path / "none"))
    assert codes("FROM base:1\nTEMPLATE {{ .Prompt }}\n", folder, store) == []
    assert not (tmp_path / "none").exists()


def test_a_note_is_remembered_for_the_next_file(tmp_path: Path) -> None:
    store = Onlooker(str(tmp_path / "none"))
    key = Digest.of(b"key")
    assert store.recall(key) is None
    store.record(key, b"data")
    assert store.recall(key) == b"data"


def test_damage_in_the_store_is_no_finding(folder: Path, store: Onlooker) -> None:
    for blob in Path(store.root, "blobs").iterdir():
        os.unlink(blob)
    text = "FROM base:latest\nTEMPLATE {{ .Prompt }}\nPARAMETER num_ctx 8192\n"
    assert codes(text, folder, store)[0] is Code.MOVING_TAG
