"""build, typed into a shell."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from gguf_files import write_gguf
from shell import Shell
from syrupy.assertion import SnapshotAssertion

PROJECT = {
    "mbuild.toml": "[models.base]\n[models.kid]\n"
    '[models.kid.matrix]\nTONE = ["Kind", "strict"]\n[models.other]\n',
    "base/Modelfile": "FROM ../m.gguf\nSYSTEM You are small.\n",
    "kid/Modelfile": "ARG TONE\nFROM base\nSYSTEM --append Be ${TONE}.\n",
    "other/Modelfile": "FROM ../m.gguf\nSYSTEM You are another.\n",
}


def write(shell: Shell, files: dict[str, str]) -> None:
    for name, text in files.items():
        (shell.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shell.write(name, text)


def masked(text: str) -> str:
    """*text* without what differs from run to run: digests of the tester's paths are no such."""
    return re.sub(r"[0-9a-f]{12}\b", "(digest)", re.sub(r" {0,3}\d+\.\d\d s", " (time)", text))


def states(out: str) -> dict[str, str]:
    lines = [line.split() for line in out.splitlines()]
    return {line[0]: line[1] for line in lines if len(line) > 1 and ":" in line[0][:-1]}


def test_a_project_is_built_and_then_is_not(shell: Shell, snapshot: SnapshotAssertion) -> None:
    write(shell, PROJECT)
    first, second = shell.run("build", "-j1"), shell.run("build")
    assert (first.status, first.err, second.status, second.err) == (0, "", 0, "")
    assert masked(first.out + second.out) == snapshot
    assert shell.ok("show", "kid:kind", "--system") == "You are small.\nBe Kind."


def test_an_edit_builds_what_needs_it(shell: Shell) -> None:
    write(shell, PROJECT)
    shell.ok("build")
    shell.write("base/Modelfile", "FROM ../m.gguf\nSYSTEM You are tiny.\n")
    out = shell.ok("build")
    assert states(out) == {
        "base:latest": "built",
        "other:latest": "cached",
        "kid:kind": "built",
        "kid:strict": "built",
    }
    assert "base/Modelfile changed" in out
    assert "base:latest changed" in out
    assert shell.ok("show", "kid:strict", "--system") == "You are tiny.\nBe strict."


def test_a_base_that_was_built_by_hand_is_a_base_that_moved(shell: Shell) -> None:
    write(shell, PROJECT)
    shell.write("by-hand", "FROM ./m.gguf\nSYSTEM You are huge.\n")
    shell.ok("create", "hand", "-f", "by-hand")
    shell.write("other/Modelfile", "FROM hand\n")
    shell.ok("build")
    shell.write("by-hand", "FROM ./m.gguf\nSYSTEM You are vast.\n")
    shell.ok("create", "hand", "-f", "by-hand")
    out = shell.ok("build", "other")
    assert "hand:latest changed" in out
    assert shell.ok("show", "other", "--system") == "You are vast."


def test_targets(shell: Shell) -> None:
    write(shell, PROJECT)
    assert states(shell.ok("build", "kid:strict")) == {
        "base:latest": "built",
        "kid:strict": "built",
    }
    assert list(states(shell.ok("build", "-n", "k*", "other"))) == [
        "base:latest",
        "kid:kind",
        "kid:strict",
        "other:latest",
    ]


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["kit"], id="near"),
        pytest.param(["zzz"], id="far"),
        pytest.param(["--no-cache=kit"], id="without the cache of"),
        pytest.param(["-C", "/"], id="no project"),
        pytest.param(["--project", "gone.toml"], id="no such file"),
        pytest.param(["-j", "0"], id="no jobs"),
    ],
)
def test_what_is_typed_wrongly(shell: Shell, words: list[str], snapshot: SnapshotAssertion) -> None:
    write(shell, PROJECT)
    ran = shell.run("build", *words)
    assert ran.out == ""
    assert (ran.status, ran.err.replace(str(shell.folder), "HERE")) == snapshot


def test_a_project_is_found_from_below_and_said(shell: Shell) -> None:
    write(shell, PROJECT)
    (shell.folder / "kid" / "notes").mkdir()
    out = shell.ok("build", "-C", "kid/notes", "base")
    assert out.splitlines()[0] == "project mbuild.toml"
    assert "project" not in shell.ok("build", "-C", ".", "base")
    shell.write("two.toml", '[models.two]\nmodelfile = "other/Modelfile"\n')
    assert states(shell.ok("build", "--project", "two.toml")) == {"two:latest": "built"}


def test_what_would_be_built_is_told_and_not_built(
    shell: Shell, snapshot: SnapshotAssertion
) -> None:
    write(shell, PROJECT)
    new = shell.ok("build", "--dry-run")
    assert not shell.store.exists()
    shell.ok("build")
    shell.write("base/Modelfile", "FROM ../m.gguf\n")
    assert new + shell.ok("build", "-n") == snapshot


def test_no_cache_is_for_all_or_for_one(shell: Shell) -> None:
    write(shell, PROJECT)
    shell.ok("build")
    assert set(states(shell.ok("build", "--no-cache")).values()) == {"built"}
    # No equals sign, so other is a target.
    assert states(shell.ok("build", "--no-cache", "other")) == {"other:latest": "built"}
    fresh = states(shell.ok("build", "--no-cache=other"))
    assert [label for label, state in fresh.items() if state == "built"] == ["other:latest"]


def test_no_cache_may_be_for_one_step_of_all(shell: Shell) -> None:
    write(shell, PROJECT)
    shell.ok("build")
    fresh = states(shell.ok("build", "--no-cache=weights"))
    assert "built" in fresh.values()


BROKEN = {
    "base/Modelfile": "FROM ../m.gguf\nPARAMETER top_q 1\nSYSTM x\n",
    "other/Modelfile": "FROM ../m.gguf\nSYSTEM a\nSYSTEM b\n",
}


@pytest.mark.parametrize("words", [["-j1"], ["-j1", "--keep-going"], ["-j4", "--keep-going"]])
def test_failures_are_told_at_the_end(
    shell: Shell, words: list[str], snapshot: SnapshotAssertion
) -> None:
    write(shell, {**PROJECT, **BROKEN})
    ran = shell.run("build", *words)
    assert ran.status == 1
    # Of several at once any may be the first to end.
    lines = "\n".join(sorted(masked(ran.out).splitlines()))
    assert lines + "\n\n" + ran.err == snapshot


def test_warnings_are_told_once_and_are_errors_if_asked(shell: Shell) -> None:
    write(shell, {**PROJECT, "other/Modelfile": BROKEN["other/Modelfile"]})
    assert "MB016" in shell.run("build", "other").err
    again = shell.run("build", "other")
    assert again.err == ""
    assert "1 warning of cached ones, which mbuild lint shows" in again.out
    strict = shell.run("build", "other", "--strict")
    assert (strict.status, states(strict.out)) == (1, {"other:latest": "failed"})
    assert "MB016" in strict.err


def test_quiet_says_nothing_of_what_went_well(shell: Shell) -> None:
    write(shell, {**PROJECT, "other/Modelfile": BROKEN["other/Modelfile"]})
    ran = shell.run("build", "--quiet")
    assert (ran.status, ran.out) == (0, "")
    assert ran.err.startswith("other/Modelfile:")
    ran = shell.run("build", "--quiet")
    assert (ran.status, ran.out, ran.err) == (0, "", "")


def test_json(shell: Shell) -> None:
    write(shell, {**PROJECT, **BROKEN})
    ran = shell.run("build", "--json", "--keep-going", "-j1")
    document = json.loads(ran.out)
    assert (ran.status, ran.err) == (1, "")
    assert document["project"] == str(shell.folder / "mbuild.toml")
    found = {model["name"]: model for model in document["models"]}
    assert {name: model["state"] for name, model in found.items()} == {
        "base:latest": "failed",
        "kid:kind": "skipped",
        "kid:strict": "skipped",
        "other:latest": "built",
    }
    assert [each["code"] for each in found["base:latest"]["findings"]] == ["MB012", "MB004"]
    assert found["kid:kind"]["reason"] == "needs base:latest"
    listed = json.loads(shell.ok("list", "--json"))
    assert [each["digest"] for each in listed] == [found["other:latest"]["digest"]]
    assert [
        model["state"] for model in json.loads(shell.ok("build", "--json", "-n"))["models"]
    ] == [
        "stale",
        "stale",
        "stale",
        "cached",
    ]


def test_mistakes_in_the_project_are_findings(shell: Shell) -> None:
    shell.write("mbuild.toml", "[models.kid]\nmodelfil = 3\n[models.x]\ntags = 1\n")
    ran = shell.run("build")
    assert (ran.status, ran.out) == (1, "")
    assert re.findall(r"^mbuild.toml:(\d+):.*\[(MB\d+)", ran.err, re.MULTILINE) == [
        ("2", "MB044"),
        ("4", "MB045"),
    ]
    ran = shell.run("build", "--json")
    assert [each["line"] for each in json.loads(ran.out)["findings"]] == [2, 4]


def test_a_circle_is_named(shell: Shell) -> None:
    write(shell, {**PROJECT, "base/Modelfile": "FROM kid:kind\n"})
    ran = shell.run("build")
    assert (ran.status, ran.out) == (1, "")
    assert "2 models are FROM one another: base:latest → kid:kind → base:latest [MB049" in ran.err


def test_what_is_wrong_with_the_world_is_told_with_its_model(shell: Shell) -> None:
    write(shell, PROJECT)
    shell.write("other/Modelfile", "FROM ../m.gguf\n")
    shell.ok("build")
    (shell.store / "mbuild" / "version").write_text("99\n")
    shell.write("other/Modelfile", "FROM ../m.gguf\nSYSTEM x\n")
    ran = shell.run("build")
    assert ran.status == 1
    assert "Error: other:latest: the store was written by a newer mbuild (layout 99)" in ran.err


def test_nothing_changed_needs_no_parser_and_no_drawing(shell: Shell) -> None:
    write(shell, PROJECT)
    shell.ok("build")
    script = (
        "import sys\nfrom mbuild.cli.app import cli\n"
        "try:\n    cli(['build'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('loaded', [name for name in sys.modules if name in {\n"
        "    'rich', 'lark', 'multiprocessing', 'mbuild.compiler.parser',\n"
        "    'mbuild.compiler.build', 'mbuild.compiler.crew', 'mbuild.compiler.toml_places',\n"
        "    'mbuild.store.changes', 'subprocess', 'asyncio'}])\n"
    )
    assert shell.python(script).splitlines()[-1] == "loaded []"


def test_nothing_changed_needs_no_store_that_can_be_written(shell: Shell) -> None:
    write(shell, PROJECT)
    shell.ok("build")
    before = {path: path.stat().st_mtime_ns for path in shell.store.rglob("*")}
    shell.ok("build")
    assert {path: path.stat().st_mtime_ns for path in shell.store.rglob("*")} == before


# A build that is broken off.

LARGE = 60 << 30  # bytes of a hole: long enough for everybody to be slower


def large(shell: Shell) -> None:
    for name in ("one", "two"):
        write_gguf(shell.folder / f"{name}.gguf", {"general.architecture": "llama"})
        os.truncate(shell.folder / f"{name}.gguf", LARGE)
    write(
        shell,
        {
            "mbuild.toml": "[models.one]\n[models.two]\n",
            "one/Modelfile": "FROM ../one.gguf\n",
            "two/Modelfile": "FROM ../two.gguf\n",
        },
    )


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    if not path.exists():
        pytest.skip("this system has no list of children")
    return [int(each) for each in path.read_text().split()]


def ended(descriptors: list[int]) -> bool:
    """Whether all of the processes end within a minute."""
    for descriptor in descriptors:
        if not select.select([descriptor], [], [], 60)[0]:
            return False
        os.close(descriptor)
    return True


def leftovers(shell: Shell) -> list[str]:
    return [
        path.name for path in shell.store.rglob("*") if path.name.startswith((".mbuild-", "sha"))
    ]


def typed(shell: Shell, *words: str) -> "pexpect.spawn[bytes]":
    environment = {k: v for k, v in shell.environment().items() if k != "NO_COLOR"}
    return pexpect.spawn(
        sys.executable,
        ["-m", "mbuild", "build", *words],
        cwd=str(shell.folder),
        env={**environment, "TERM": "xterm"},
        dimensions=(24, 80),
        timeout=60,
    )


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_leaves_nothing_half_done_and_nobody_behind(shell: Shell, jobs: str) -> None:
    large(shell)
    child = typed(shell, "-j", jobs)
    child.expect(r"one:latest.*building.*\d+%")
    workers = [os.pidfd_open(each) for each in children(child.pid)]
    assert len(workers) == (0 if jobs == "1" else 2)
    child.sendcontrol("c")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert ended(workers)
    assert leftovers(shell) == []


@pytest.mark.parametrize(
    ("number", "status"),
    [pytest.param(signal.SIGTERM, 143, id="TERM"), pytest.param(signal.SIGKILL, -9, id="KILL")],
)
def test_who_builds_ends_with_us(shell: Shell, number: int, status: int) -> None:
    large(shell)
    with subprocess.Popen(
        [sys.executable, "-m", "mbuild", "build", "-j2"],
        cwd=shell.folder,
        env=shell.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        while not leftovers(shell):  # Until they are at work.
            assert process.poll() is None, process.communicate()
        workers = [os.pidfd_open(each) for each in children(process.pid)]
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode == status
    assert ended(workers)
    assert leftovers(shell) == []


def test_on_a_terminal_it_is_seen_what_is_built(shell: Shell) -> None:
    write(shell, PROJECT)
    child = typed(shell)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    shown = child.before.decode()
    assert "building" in shown
    assert "\x1b[32m built \x1b[0m" in shown
    assert "4 models: 4 built in " in shown


def test_what_create_refuses_build_refuses(shell: Shell) -> None:
    write(shell, PROJECT)
    shell.write("other/Modelfile", 'FROM ../m.gguf\nSCHEMA {"type": "nothing"}\n')
    by_hand = shell.run("create", "other", "-f", "other/Modelfile", "--quiet")
    ran = shell.run("build", "other", "--quiet")
    assert (ran.status, ran.err) == (1, by_hand.err)
    assert "MB040" in ran.err
