"""``mbuild run`` as a user types it: processes, pipes, signals, and llama.cpp itself."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pexpect
import pytest
from gguf_files import tiny_llama
from shell import Shell

needs_llama = pytest.mark.skipif(
    find_spec("llama_cpp") is None, reason="pip install 'mbuild-modelfile[run]'"
)
COUNTING = "one two three four five six seven eight"
GREEDY = "FROM ./m.gguf\nPARAMETER temperature 0\n"


@contextmanager
def talking(shell: Shell) -> Iterator["subprocess.Popen[bytes]"]:
    """A process whose model has begun a long answer; it is gone at the end."""
    tiny_llama(
        shell.folder / "m.gguf",
        vocab=["on", " and"],
        follows={"<0x0A>": "on", "on": " and", " and": "on"},
        context_length=32768,
    )
    shell.write("Modelfile", GREEDY + "PARAMETER num_ctx 32768\n")
    shell.ok("create", "kid")
    process = subprocess.Popen(
        [sys.executable, "-m", "mbuild", "run", "kid", "go"],
        env=shell.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(2) == b"on"
            yield process
        finally:
            process.kill()


def descendants(process: int) -> list[int]:
    """The processes that *process* has started."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(word) for word in listed.split()]


def wait_for(end: int) -> None:
    """Wait until the process behind the descriptor *end* has ended."""
    ready, _, _ = select.select([end], [], [], 60)
    os.close(end)
    assert ready


@pytest.fixture
def counting(shell: Shell) -> Shell:
    """A shell with a model that counts to eight, whatever it is asked."""
    shell.write("Modelfile", GREEDY)
    shell.ok("create", "kid")
    return shell


@pytest.fixture
def refusing(shell: Shell) -> Shell:
    """A shell with a model that tells, as an error, what it was asked."""
    template = "{{ raise_exception('<' ~ messages[-1].content | tojson ~ '>') }}"
    tiny_llama(shell.folder / "m.gguf", chat_template=template)
    shell.write("Modelfile", GREEDY)
    shell.ok("create", "kid")
    return shell


@needs_llama
def test_an_answer_is_written_and_then_two_line_ends(counting: Shell) -> None:
    ran = counting.run("run", "kid", "count")
    assert (ran.status, ran.out, ran.err) == (0, COUNTING + "\n\n", "")


@needs_llama
def test_options_may_stand_anywhere(counting: Shell) -> None:
    words = ("run", "--nowordwrap", "kid", "--keepalive", "5m", "count")
    assert counting.ok(*words) == COUNTING + "\n\n"


@needs_llama
def test_parameters_of_the_modelfile_take_effect(shell: Shell) -> None:
    shell.write("Modelfile", GREEDY + 'PARAMETER num_predict 3\nPARAMETER stop " six"\n')
    shell.ok("create", "kid")
    assert shell.ok("run", "kid", "count") == "one two three\n\n"
    shell.write("Modelfile", GREEDY + "PARAMETER stop six\n")
    shell.ok("create", "kid")
    assert shell.ok("run", "kid", "count") == "one two three four five \n\n"


@needs_llama
def test_timings_go_to_stderr(counting: Shell) -> None:
    ran = counting.run("run", "--verbose", "kid", "count")
    assert ran.out == COUNTING + "\n\n"
    labels = [re.split(r": +", line)[0] for line in ran.err.splitlines()]
    assert labels == [
        "total duration",
        "load duration",
        "prompt eval count",
        "prompt eval duration",
        "prompt eval rate",
        "eval count",
        "eval duration",
        "eval rate",
    ]
    assert all(line[21] == " " != line[22] for line in ran.err.splitlines())


@needs_llama
@pytest.mark.parametrize(
    ("stdin", "words", "prompt"),
    [
        pytest.param("", ["why"], "why", id="nothing piped"),
        pytest.param("", ["why", "is", "it?"], "why is it?", id="several words"),
        pytest.param("a letter\n", ["sum up"], "a letter\n sum up", id="piped comes first"),
        pytest.param("a letter\n", [], "a letter\n", id="piped alone"),
        pytest.param("", ["--", "--verbose"], "--verbose", id="behind two dashes"),
        pytest.param("ü\udcff", ["x"], "ü\ufffd x", id="no utf-8"),
    ],
)
def test_the_prompt_is_what_was_piped_and_then_the_words(
    refusing: Shell, stdin: str, words: list[str], prompt: str
) -> None:
    ran = refusing.run("run", "kid", *words, stdin=stdin.encode("utf-8", "surrogateescape"))
    assert ran.status == 1
    assert f"<{json.dumps(prompt, ensure_ascii=False)}>" in ran.err


@needs_llama
@pytest.mark.parametrize("words", [[""], []])
def test_an_empty_prompt_only_loads_the_model(refusing: Shell, words: list[str]) -> None:
    ran = refusing.run("run", "kid", *words)
    assert (ran.status, ran.out, ran.err) == (0, "", "")


@needs_llama
def test_an_answer_is_streamed_and_ctrl_c_ends_it(shell: Shell) -> None:
    with talking(shell) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert out.endswith(b"\n\n")


@needs_llama
def test_a_reader_that_leaves_is_no_error_to_shout_about(shell: Shell) -> None:
    with talking(shell) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.wait(60)


@needs_llama
@pytest.mark.skipif(sys.platform != "linux", reason="processes are watched by Linux's means")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_child_stays_behind(shell: Shell, number: signal.Signals) -> None:
    with talking(shell) as process:
        children = descendants(process.pid)
        assert children
        ends = [os.pidfd_open(child) for child in children]
        process.send_signal(number)
        process.communicate(timeout=60)
    for end in ends:
        wait_for(end)
    expected = -number if number == signal.SIGKILL else 128 + number
    assert process.returncode == expected


def test_an_unknown_model(shell: Shell) -> None:
    ran = shell.run("run", "nosuch", "hi")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("Error: no model nosuch:latest in the store\n")


def test_a_bad_name(shell: Shell) -> None:
    ran = shell.run("run", "a/b/c/d/e", "hi")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("Error: 'a/b/c/d/e' is no model's name\n")


@needs_llama
def test_a_template_makes_the_prompt(shell: Shell) -> None:
    shell.write("Modelfile", GREEDY + "TEMPLATE {{ .Prompt }} two\n")
    shell.ok("create", "kid")
    assert shell.ok("run", "kid", "one") == " three four five six seven eight\n\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "xml"], "schema: it is no JSON: "),
        (["--format", "[]"], "schema: it is no JSON object"),
        (["--format", '{"type": "float"}'], "schema: unknown type 'float'"),
        (
            ["--think=much"],
            'invalid value for --think: "much" (must be true, false, high, medium, low, or max)',
        ),
        (["--keepalive", "10"], 'time: missing unit in duration "10"'),
    ],
)
def test_what_is_typed_wrongly(shell: Shell, words: list[str], message: str) -> None:
    ran = shell.run("run", "kid", *words)
    assert (ran.status, ran.out) == (2, "")
    assert message in ran.err


@pytest.fixture
def thinking(shell: Shell) -> Shell:
    """A shell with a model that thinks before it counts, and may be told not to."""
    tiny_llama(
        shell.folder / "m.gguf",
        vocab=["<think>", "hm ", "hm", "</think>", " one", " two"],
        follows={
            "<0x61>": "<think>",
            "<think>": "hm ",
            "hm ": "hm",
            "hm": "</think>",
            "</think>": " one",
            "<0x62>": " one",
            " one": " two",
            " two": "</s>",
        },
    )
    shell.write(
        "Modelfile",
        GREEDY + 'TEMPLATE """{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>'
        '{{ end }}{{ .Content }}{{ end }}{{ if .Think }}a{{ else }}b{{ end }}"""\n',
    )
    shell.ok("create", "kid")
    return shell


THOUGHTS = "Thinking...\nhm hm\n...done thinking.\n\n"


@needs_llama
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param([], THOUGHTS + "one two\n\n", id="unless told"),
        pytest.param(["--think"], THOUGHTS + "one two\n\n", id="told to"),
        pytest.param(["--think=high"], THOUGHTS + "one two\n\n", id="told how much"),
        pytest.param(["--think=false"], " one two\n\n", id="told not to"),
        pytest.param(["--hidethinking"], "one two\n\n", id="hidden"),
        pytest.param(["--hidethinking", "--think"], "one two\n\n", id="told to, hidden"),
    ],
)
def test_thoughts_come_before_the_answer(thinking: Shell, words: list[str], expected: str) -> None:
    ran = thinking.run("run", "kid", "go", *words)
    assert (ran.status, ran.out, ran.err) == (0, expected, "")


@needs_llama
def test_think_takes_no_word_that_follows(thinking: Shell) -> None:
    assert thinking.ok("run", "kid", "--think", "much") == THOUGHTS + "one two\n\n"


def test_a_model_that_cannot_think_is_refused(counting: Shell) -> None:
    ran = counting.run("run", "kid", "--think", "count")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == 'Error: "kid:latest" does not support thinking\n'


@pytest.fixture
def cramped(shell: Shell) -> Shell:
    """A shell with a model whose examples alone fill its context."""
    shell.write("Modelfile", GREEDY + "PARAMETER num_ctx 64\n" + "MESSAGE user one two\n" * 8)
    shell.ok("create", "kid")
    return shell


@needs_llama
def test_what_does_not_fit_is_left_out_and_that_is_said(cramped: Shell) -> None:
    ran = cramped.run("run", "kid", "one")
    assert ran.status == 0
    assert "messages are left out: the context of 64 tokens is full)" in ran.err


@needs_llama
def test_what_does_not_fit_is_refused_with_the_numbers_if_nothing_may_be_left_out(
    cramped: Shell,
) -> None:
    ran = cramped.run("run", "kid", "one", "--no-truncate")
    assert (ran.status, ran.out) == (1, "")
    assert re.fullmatch(
        r"Error: the prompt has \d{3} tokens, and the context holds 64:"
        r" shorten it, or raise num_ctx\n",
        ran.err,
    )
    assert cramped.run("run", "kid", "", "--no-truncate").status == 0


@needs_llama
def test_in_a_chat_the_refusal_is_shown_and_the_chat_goes_on(counting: Shell) -> None:
    counting.write("Modelfile", GREEDY + "PARAMETER num_ctx 128\n")
    counting.ok("create", "kid")
    child = at_terminal(counting, {}, "--no-truncate")
    child.expect(">>> ")
    child.send("x" * 300 + "\r")
    child.expect(r"error: the prompt has \d+ tokens, and the\s+context holds 128")
    child.expect(">>> ")
    child.send("count\r")
    child.expect(COUNTING + ".*>>> ")
    child.send("\x04")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@needs_llama
def test_a_missing_package_is_told_with_how_to_install_it(counting: Shell) -> None:
    (counting.folder / "hidden").mkdir()
    script = (
        "import importlib.util as u, sys; found = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'llama_cpp' else found(name, *rest)\n"
        "from mbuild.cli.app import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "run", "kid", "hi"],
        env=counting.environment(),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: llama-cpp-python is not installed\n")
    assert "pip install 'mbuild-modelfile[run]'" in done.stderr


@needs_llama
def test_characters_that_a_terminal_does_not_know_end_nothing(shell: Shell) -> None:
    tiny_llama(shell.folder / "m.gguf", vocab=["caf", "é", " noir"])
    shell.write("Modelfile", GREEDY)
    shell.ok("create", "kid")
    ran = shell.run("run", "kid", "hi", env={"PYTHONIOENCODING": "ascii"})
    assert (ran.status, ran.out, ran.err) == (0, "caf? noir\n\n", "")


@needs_llama
def test_a_chat_keeps_its_lines_unless_it_is_told_not_to(counting: Shell) -> None:
    history = counting.folder / ".mbuild" / "history"
    talk_to(counting, {"MBUILD_NOHISTORY": "1"})
    assert not history.exists()
    talk_to(counting, {})
    assert history.read_text() == "hi\n"
    assert history.stat().st_mode & 0o777 == 0o600


def talk_to(shell: Shell, environment: dict[str, str]) -> None:
    """Say hi to the model that counts, at a terminal, and leave."""
    child = at_terminal(shell, environment)
    child.expect(">>> .*Send a message")
    child.send("hi\r")
    child.expect(f"{COUNTING}\r\n\r\n.*>>> ")
    child.send("\x04")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def at_terminal(shell: Shell, environment: dict[str, str], *words: str) -> "pexpect.spawn[str]":
    """``mbuild run kid`` at a terminal."""
    child = pexpect.spawn(
        sys.executable,
        ["-m", "mbuild", "run", "kid", *words],
        env=shell.environment({"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **environment}),
        cwd=str(shell.folder),
        encoding="utf-8",
        timeout=120,
    )
    child.delaybeforesend = None
    return child


@needs_llama
def test_an_answer_imports_nothing_that_only_chats_or_engines_need(counting: Shell) -> None:
    script = (
        "import atexit, sys; from mbuild.cli.app import main\n"
        "heavy = {'prompt_toolkit', 'llama_cpp', 'numpy', 'lark', 'rich', 'jinja2'}\n"
        "atexit.register(lambda: print(sorted(heavy & set(sys.modules)), file=sys.stderr))\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "run", "kid", "hi"],
        env=counting.environment(),
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    assert (done.stdout, done.stderr) == (COUNTING + "\n\n", "[]\n")


@needs_llama
def test_a_terminal_gets_wrapped_words_and_a_pipe_does_not(shell: Shell) -> None:
    tiny_llama(shell.folder / "m.gguf", vocab=["dinosaurs", *(f" dinosaur{n}" for n in range(9))])
    shell.write("Modelfile", GREEDY)
    shell.ok("create", "kid")
    plain = shell.ok("run", "kid", "hi")
    assert plain.count("\n") == 2
    wrapped, _ = pexpect.run(
        f"{sys.executable} -m mbuild run kid hi",
        env=shell.environment({"TERM": "xterm"}),
        cwd=str(shell.folder),
        encoding="utf-8",
        withexitstatus=True,
        timeout=60,
    )
    assert wrapped.count("\r\n") > 2


@needs_llama
@pytest.mark.model
def test_a_real_model_answers_and_chats(shell: Shell, smollm2: Path) -> None:
    shell.write(
        "Modelfile",
        f"FROM {smollm2}\nPARAMETER temperature 0\nPARAMETER num_predict 40\n"
        "SYSTEM You answer in one short sentence.\n",
    )
    shell.ok("create", "kid")
    answer = shell.ok("run", "kid", "What is the capital of France?")
    assert "Paris" in answer
    child = at_terminal(shell, {})
    child.expect(">>> .*Send a message")
    child.send("What is the capital of France?\r")
    child.expect("Paris.*>>> ")
    child.send("Repeat that.\r")
    # Only what was said before tells it.
    child.expect("\r\n.*(Paris|France).*>>> ")
    child.send("\x04")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert (shell.folder / ".mbuild" / "history").read_text().splitlines() == [
        "What is the capital of France?",
        "Repeat that.",
    ]


PERSON = (
    '{"type":"object","properties":{"name":{"type":"string","maxLength":9}},"required":["name"]}'
)


@pytest.fixture
def random(shell: Shell) -> Shell:
    """A shell with a model that says anything, each time the same."""
    tiny_llama(shell.folder / "m.gguf", certainty=0.0)
    shell.write("schema.json", PERSON)
    shell.write("Modelfile", "FROM ./m.gguf\nPARAMETER seed 3\nPARAMETER top_k 0\n")
    shell.ok("create", "kid")
    return shell


@needs_llama
@pytest.mark.parametrize(
    "form", [PERSON, "@schema.json", "@" + os.curdir + "/schema.json"], ids=["text", "file", "path"]
)
def test_an_answer_by_a_schema(random: Shell, form: str) -> None:
    said = json.loads(random.ok("run", "kid", "one", "--format", form))
    assert list(said) == ["name"]
    assert len(said["name"]) <= 9


@needs_llama
def test_an_answer_in_json(random: Shell) -> None:
    # What is random seldom ends by itself.
    random.write("Modelfile", "FROM kid\nPARAMETER num_predict 400\nPARAMETER top_k 1\n")
    random.ok("create", "other")
    assert random.ok("run", "other", "one", "--format", "json").startswith("{")


@needs_llama
def test_the_models_own_schema_holds_unless_another_is_asked_for(random: Shell) -> None:
    random.write("Modelfile", "FROM kid\nSCHEMA --file=schema.json\nPARAMETER num_predict 100\n")
    random.ok("create", "strict")
    assert list(json.loads(random.ok("run", "strict", "one"))) == ["name"]
    assert random.ok("run", "strict", "one", "--format", '{"const": 7}') == "7\n\n"
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(random.ok("run", "strict", "one", "--format", ""))


def test_a_file_without_a_schema_is_named(shell: Shell) -> None:
    ran = shell.run("run", "kid", "--format", "@no.json")
    assert (ran.status, ran.out) == (1, "")
    assert "no.json: no such file" in ran.err


@needs_llama
def test_thoughts_are_free_of_the_schema(thinking: Shell) -> None:
    ran = thinking.run("run", "kid", "go", "--format", '{"const": 7}')
    assert (ran.status, ran.out, ran.err) == (0, THOUGHTS + "7\n\n", "")
