"""--budget and --strict, and the budget's table."""

import subprocess
import sys
from importlib.util import find_spec

import click
import pytest
from shell import Shell
from syrupy.assertion import SnapshotAssertion

from mbuild.cli.budget import format_budget
from mbuild.runtime.budget import Budget

needs_llama = pytest.mark.skipif(
    find_spec("llama_cpp") is None, reason="pip install 'mbuild-modelfile[run]'"
)
LONG = "FROM ./m.gguf\nSYSTEM " + "one " * 60 + "\nMESSAGE user hi\nMESSAGE assistant ho\n"
SHORT = "FROM ./m.gguf\nSYSTEM be kind\nTEMPLATE <s>{{ .System }} {{ .Prompt }}\n"

BUDGETS = [
    pytest.param(Budget(12, 1200, 340, 4096, 131072), id="roomy"),
    pytest.param(Budget(12, 3000, 340, 4096, 4096), id="tight"),
    pytest.param(Budget(12, 5000, 0, 4096, 0), id="too long"),
    pytest.param(Budget(0, 0, 0, 512, 512), id="nothing"),
]


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_table(budget: Budget, snapshot: SnapshotAssertion) -> None:
    assert click.unstyle(format_budget(budget)) == snapshot


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_table_on_a_terminal(budget: Budget, snapshot: SnapshotAssertion) -> None:
    text = format_budget(budget, bar=True)
    assert len(click.unstyle(text).splitlines()[0]) == 40
    assert text == snapshot


@needs_llama
def test_show_counts_the_tokens(shell: Shell, snapshot: SnapshotAssertion) -> None:
    shell.write("Modelfile", SHORT)
    shell.ok("create", "kid")
    assert shell.ok("show", "kid", "--budget") == snapshot
    # Now the vocabulary is known to the next build.
    assert "MB026 double-bos" in shell.run("create", "kid").err


def test_a_budget_is_one_view(shell: Shell) -> None:
    ran = shell.run("show", "kid", "--budget", "--system")
    assert (ran.status, ran.out) == (2, "")
    assert "only one of --system, --budget can be given" in ran.err


@needs_llama
def test_create_counts_the_tokens_and_looks_at_the_vocabulary(
    shell: Shell, snapshot: SnapshotAssertion
) -> None:
    shell.write("Modelfile", SHORT)
    ran = shell.run("create", "kid", "--budget", "--quiet")
    assert ran.status == 0
    assert ran.out == snapshot(name="out")
    assert ran.err == snapshot(name="err")
    assert shell.run("create", "kid", "--budget", "--quiet") == ran


@needs_llama
def test_a_context_that_is_nearly_full_is_a_warning(
    shell: Shell, snapshot: SnapshotAssertion
) -> None:
    shell.write("Modelfile", LONG)
    assert shell.run("create", "kid").err.count("warning") == 0
    ran = shell.run("create", "kid", "--budget", "--quiet")
    assert ran.status == 0
    assert ran.err == snapshot


@needs_llama
def test_with_strict_it_is_an_error(shell: Shell) -> None:
    shell.write("Modelfile", LONG)
    ran = shell.run("create", "kid", "--budget", "--strict")
    assert ran.status == 1
    assert "MB029 tight-context" in ran.err
    assert "nothing was built: with --strict, warnings are errors\n" in ran.err
    assert shell.ok("list", "--quiet") == ""


@needs_llama
def test_the_finding_points_at_num_ctx_where_that_is_set(shell: Shell) -> None:
    shell.write("Modelfile", "FROM ./m.gguf\nPARAMETER num_ctx 20\n")
    ran = shell.run("create", "kid", "--budget", "--quiet")
    assert ran.err.startswith("Modelfile:2:19: warning: ")
    assert "or raise num_ctx" in ran.err


def test_strict_takes_warnings_for_errors(shell: Shell) -> None:
    shell.write("Modelfile", "FROM ./m.gguf\nSYSTEM a\nSYSTEM b\n")
    ran = shell.run("create", "kid", "--strict", "--quiet")
    assert (ran.status, ran.out) == (1, "")
    assert "MB016 replaced" in ran.err
    assert ran.err.endswith("nothing was built: with --strict, warnings are errors\n")
    assert shell.ok("list", "--quiet") == ""
    assert shell.run("create", "kid", "--quiet").status == 0


def test_errors_need_no_word_about_strict(shell: Shell) -> None:
    shell.write("Modelfile", "FROM ./m.gguf\nTEMPLATE {{ x }}\n")
    ran = shell.run("create", "kid", "--strict", "--quiet")
    assert ran.status == 1
    assert "strict" not in ran.err


@pytest.mark.parametrize("command", ["create kid --budget", "show kid --budget"])
def test_without_llama_cpp_it_is_told_how_to_install_it(shell: Shell, command: str) -> None:
    shell.write("Modelfile", SHORT)
    if command.startswith("show"):
        shell.ok("create", "kid")
    script = (
        "import importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'llama_cpp' else found(name, *rest)\n"
        "from mbuild.cli.app import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command.split()],
        cwd=shell.folder,
        env=shell.environment(),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: llama-cpp-python is not installed\n")
    assert ("kid" in shell.ok("list")) == command.startswith("show")
