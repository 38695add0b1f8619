"""A build done again: from what was kept, or from where it was, or not at all."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from gguf_files import lora, tiny_llama

from mbuild.compiler.create import Order, create
from mbuild.compiler.diagnostic import render
from mbuild.compiler.reproduction import Rebuilt, rebuild
from mbuild.store.history import Revision
from mbuild.store.name import Name
from mbuild.store.store import Store

KID = Name.parse("kid")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "work").mkdir()
    return Store(tmp_path / "store")


def _built(store: Store, work: Path, text: str, name: Name = KID) -> Revision:
    order = Order(name, "kid.mf", text.encode(), str(work))
    data, findings = create(order, store, lambda _: None)
    assert data is not None, [render(each) for each in findings]
    return store.revisions(name)[-1]


def _with_sources(store: Store, revision: Revision, sources: Mapping[str, str]) -> Revision:
    kept = store._changes().sources
    digests = {name: kept.put(text.encode()).digest for name, text in sources.items()}
    return replace(revision, sources=digests)


def _again(store: Store, revision: Revision, tmp_path: Path) -> Rebuilt:
    folder = tmp_path / "again"
    shutil.rmtree(folder, ignore_errors=True)
    return rebuild(revision, store, str(folder), tell=lambda _: None)


def test_a_text_may_have_the_name_of_the_modelfile(store: Store, tmp_path: Path) -> None:
    work = tmp_path / "work"
    tiny_llama(work / "m.gguf")
    (work / "Modelfile").write_text("SYSTEM included\n")
    main = "FROM ./m.gguf\nINCLUDE Modelfile\n"
    revision = _built(store, work, main)
    sources = {"Modelfile": main, "./Modelfile": "SYSTEM included\n"}
    shutil.rmtree(work)
    rebuilt = _again(store, _with_sources(store, revision, sources), tmp_path)
    assert rebuilt.manifest == revision.manifest


def test_files_of_one_name_are_told_apart(store: Store, tmp_path: Path) -> None:
    work = tmp_path / "work"
    (work / "adapter").mkdir()
    tiny_llama(work / "m.gguf")
    lora(work / "adapter/m.gguf", "output.weight", 269)
    revision = _built(store, work, "FROM ./m.gguf\nADAPTER --scale=0.5 ./adapter/m.gguf\n")
    shutil.rmtree(work)
    assert _again(store, revision, tmp_path).manifest == revision.manifest


def test_a_file_without_a_blob_is_taken_from_where_it_was(store: Store, tmp_path: Path) -> None:
    work = tmp_path / "work"
    tiny_llama(work / "m.gguf")
    revision = _built(store, work, "FROM ./m.gguf\n")
    other = _with_digest_of_nothing(revision)
    assert _again(store, other, tmp_path).manifest == revision.manifest


def _with_digest_of_nothing(revision: Revision) -> Revision:
    """*revision*, as if its weights had been made of a file whose blob was swept."""
    account = json.loads(revision.account)
    for step in account["steps"]:
        if step["operation"] == "import":
            step["output"] = f"sha256:{'0' * 64}"
    return replace(revision, account=json.dumps(account))


def test_what_cannot_be_built_says_why(store: Store, tmp_path: Path) -> None:
    work = tmp_path / "work"
    tiny_llama(work / "m.gguf")
    (work / "rules.txt").write_text("Be brief.")
    revision = _built(store, work, "FROM ./m.gguf\nSYSTEM --file=rules.txt\n")
    sources = {"Modelfile": revision.sources["Modelfile"]}
    rebuilt = _again(store, replace(revision, sources=sources), tmp_path)
    assert rebuilt.manifest is None
    assert [each.message for each in rebuilt.findings] == ["the text rules.txt was not kept"]


def test_a_base_that_is_gone_is_named(store: Store, tmp_path: Path) -> None:
    work = tmp_path / "work"
    tiny_llama(work / "m.gguf")
    base = Name.parse("base")
    _built(store, work, "FROM ./m.gguf\n", base)
    revision = _built(store, work, "FROM base\nSYSTEM more\n")
    store.remove(base)
    rebuilt = _again(store, revision, tmp_path)
    assert rebuilt.manifest is None
    assert [each.message for each in rebuilt.findings] == ["no model base:latest in the store"]
