"""The additions to the language, as a user asks for them."""

import json
import os
import subprocess
import sys

import pytest
from gguf_files import wide_llama
from shell import Shell, need
from syrupy.assertion import SnapshotAssertion

STAGES = (
    "ARG TONE=kind\nFROM ./m.gguf AS base\nSYSTEM You are ${TONE}.\n"
    "FROM base AS loud\nSYSTEM --append Shout.\nFROM base\nSYSTEM --append Whisper.\n"
)


def test_arguments_and_targets(shell: Shell) -> None:
    shell.write("Modelfile", STAGES)
    shell.ok("create", "kid")
    assert shell.ok("show", "kid", "--system") == "You are kind.\nWhisper."
    shell.ok("create", "kid", "--build-arg", "TONE=strict", "--target", "loud")
    assert shell.ok("show", "kid", "--system") == "You are strict.\nShout."


def test_an_argument_may_come_from_the_environment(shell: Shell) -> None:
    shell.write("Modelfile", STAGES)
    done = shell.run("create", "kid", "--build-arg", "TONE", env={"TONE": "a=b"})
    assert done.status == 0
    assert shell.ok("show", "kid", "--system") == "You are a=b.\nWhisper."
    ran = shell.run("create", "kid", "--build-arg", "TONE")
    assert ran.status == 2
    assert "'TONE' is not NAME=VALUE, and the environment has no such name" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--build-arg", "TON=x"], id="no such argument"),
        pytest.param(["--target", "lout"], id="no such stage"),
        pytest.param(["-q", "q4km"], id="no such type"),
        pytest.param(["-f", "outside"], id="a text outside"),
    ],
)
def test_what_is_refused(shell: Shell, words: list[str], snapshot: SnapshotAssertion) -> None:
    shell.write("Modelfile", STAGES)
    shell.write("outside", "FROM ./m.gguf\nSYSTEM --file=../secret\n")
    (shell.folder.parent / "secret").write_text("hush")
    ran = shell.run("create", "kid", *words)
    assert ran.status != 0
    here = os.path.realpath(shell.folder)
    assert ran.err.replace(here, "HERE").replace(os.path.dirname(here), "ABOVE") == snapshot
    assert shell.run("show", "kid").status == 1


def test_outside_may_be_allowed(shell: Shell) -> None:
    shell.write("Modelfile", "FROM ./m.gguf\nSYSTEM --file=../secret\n")
    (shell.folder.parent / "secret").write_text("hush")
    shell.ok("create", "kid", "--allow-outside")
    assert shell.ok("show", "kid", "--system") == "hush"


def test_a_schema_is_shown(shell: Shell) -> None:
    shell.write("Modelfile", 'FROM ./m.gguf\nSCHEMA {"type": "object"}\n')
    shell.ok("create", "kid")
    assert shell.ok("show", "kid", "--schema") == '{"type": "object"}'
    assert '{"type": "object"}' in shell.ok("show", "kid")


def test_a_schema_that_no_answer_can_follow_is_refused(shell: Shell) -> None:
    shell.write("Modelfile", 'FROM ./m.gguf\nSCHEMA {"items": {"type": "nope"}}\n')
    ran = shell.run("create", "kid")
    assert ran.status == 1
    assert "Modelfile:2:8: error: unknown type 'nope', at /items [MB040 bad-schema]" in ran.err


@pytest.mark.parametrize("instruction", ["QUANTIZE q4_k_m\n", ""])
def test_weights_are_made_smaller(shell: Shell, instruction: str) -> None:
    wide_llama(shell.folder / "wide.gguf")
    shell.write("Modelfile", f"FROM ./wide.gguf\n{instruction}")
    words = [] if instruction else ["-q", "Q4_K_M"]
    ran = shell.run("create", "small", *words)
    assert ran.status == 0
    assert "quantizing F16 model to Q4_K_M" in ran.err
    assert "Q4_K_M" in shell.ok("show", "small")
    again = shell.run("create", "other", *words, "--no-cache")
    assert again.status == 0
    assert shell.ok("show", "small", "--layers") == shell.ok("show", "other", "--layers")


def test_a_fifo_into_which_nobody_writes_is_not_waited_for(shell: Shell) -> None:
    os.mkfifo(shell.folder / "pipe")
    ran = shell.run("create", "kid", "-f", "pipe")
    assert ran.status == 1
    assert ran.err == "Error: pipe: a FIFO into which nobody writes\n"


def test_a_shell_may_hand_over_a_pipe(shell: Shell) -> None:
    bash = need("bash", "bash")
    model = shell.folder / "m.gguf"
    script = f"exec {sys.executable} -m mbuild create kid -f <(sleep 0.2; echo FROM {model})"
    done = subprocess.run(
        [bash, "-c", script], env=shell.environment(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_step_to_be_done_again_is_named(shell: Shell) -> None:
    shell.write("Modelfile", "FROM ./m.gguf\n")
    shell.ok("create", "--no-cache", "kid")
    shell.ok("create", "--no-cache=weights", "--link", "kid")
    ran = shell.run("create", "--no-cache=weight", "kid")
    assert ran.status == 1
    assert ran.err.endswith(
        "Error: no step is called weight\n"
        "  hint: the steps are weights, parameters, scales, config, manifest\n"
    )


def test_programs_can_follow_a_build(shell: Shell) -> None:
    shell.write("Modelfile", "FROM ./m.gguf\n")
    lines = shell.run("create", "kid", "--progress", "json").err.splitlines()
    told = [json.loads(line) for line in lines]
    size = (shell.folder / "m.gguf").stat().st_size
    assert {"status": "copying file m.gguf", "completed": size, "total": size} in told
    assert told[-1] == {"status": "success"}
