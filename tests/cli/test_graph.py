"""``graph`` and ``explain``, as a user types them."""

import json

import pytest
from shell import Shell
from syrupy.assertion import SnapshotAssertion

TEXT = (
    "FROM ./m.gguf AS base\nSYSTEM --file=kid.md\nPARAMETER seed 1\n"
    "FROM base\nSYSTEM --append Be brief.\nTEMPLATE {{ .System }}{{ .Prompt }}\n"
)


@pytest.fixture
def project(shell: Shell) -> Shell:
    shell.write("kid.md", "You are a kid.")
    shell.write("Modelfile", TEXT)
    return shell


@pytest.mark.parametrize("form", ["tree", "dot", "mermaid", "json"])
def test_the_graph_of_a_modelfile(project: Shell, form: str, snapshot: SnapshotAssertion) -> None:
    assert project.ok("graph", "--format", form) == snapshot
    assert not project.store.exists(), "nothing is built"


def test_the_graph_of_a_model(project: Shell, snapshot: SnapshotAssertion) -> None:
    project.ok("create", "kid", "--quiet")
    project.ok("create", "kid", "--quiet")  # By now the file's stamps are trusted.
    assert project.ok("graph", "kid") == snapshot(name="built")
    project.write("kid.md", "You are a pirate.")
    assert project.ok("graph", "kid") == snapshot(name="edited")


def test_a_build_is_explained(project: Shell, snapshot: SnapshotAssertion) -> None:
    project.ok("create", "kid", "--quiet")
    assert project.ok("explain", "kid") == snapshot(name="first")
    project.write("kid.md", "You are a pirate.")
    assert "Built now it would be another model:\n  base: system: it is new\n" in project.ok(
        "explain", "kid"
    )
    project.ok("create", "kid", "--quiet")
    assert project.ok("explain", "kid") == snapshot(name="edited")
    steps = json.loads(project.ok("explain", "kid", "--json"))
    assert [step["name"] for step in steps if step["changed"]] == [
        *("base: system", "base: manifest", "base", "system", "manifest")
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(["graph", "nobody"], "no model nobody:latest in the store", id="no model"),
        pytest.param(["explain", "nobody"], "no model nobody:latest in the store", id="nor this"),
        pytest.param(["graph", "-f", "nofile"], "nofile: no such file", id="no file"),
    ],
)
def test_what_is_not_there_is_named(project: Shell, words: list[str], told: str) -> None:
    ran = project.run(*words)
    assert ran.status == 1
    assert told in ran.err


def test_mistakes_are_shown(project: Shell) -> None:
    project.write("Modelfile", "FORM x\n")
    ran = project.run("graph")
    assert ran.status == 1
    assert "MB004" in ran.err
