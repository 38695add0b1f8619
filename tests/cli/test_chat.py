"""The chat: what lines do, and what is seen at a terminal. The engine is a parrot."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import parrots
import pexpect
import pytest
from parrots import Aviary, build

from mbuild.cli.answering import Display, Manner
from mbuild.cli.chat import Chat
from mbuild.cli.history import History
from mbuild.runtime.engine import EngineDied
from mbuild.runtime.jinja import Templates
from mbuild.store.contents import Contents, contents
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import Store

KID = "SYSTEM be five\nPARAMETER temperature 1\n"


class Typist:
    """Types *lines*, one after another; an exception stands for a key."""

    def __init__(self, lines: Sequence[str | type[BaseException]]) -> None:
        self._lines = iter(lines)

    def read(self) -> str:
        line = next(self._lines, EOFError)
        if isinstance(line, str):
            return line
        raise line


@pytest.fixture(scope="module")
def templates() -> Iterator[Templates]:
    made = Templates()
    yield made
    made.close()


class Desk:
    """A store, a chat at it, and what was said."""

    def __init__(
        self, folder: Path, templates: Templates, capture: pytest.CaptureFixture[str]
    ) -> None:
        self.folder = folder
        self.aviary = Aviary("ok then")
        self.history = History(str(folder / "history"))
        self.store = Store(folder / "models")
        self._templates = templates
        self._capture = capture
        self.err = ""

    def chat(
        self,
        *lines: str | type[BaseException],
        text: str = KID,
        verbose: bool = False,
        typist: type[Typist] = Typist,
        manner: Manner | None = None,
        thoughts: bool = True,
    ) -> str:
        """What a chat with *lines* writes to stdout."""
        build(self.folder, text)
        opened = self.aviary.opener(self.store, self._templates)
        name = Name.parse("kid")
        Chat(
            name,
            opened(name),
            self.store,
            opened,
            editor=typist(lines),
            history=self.history,
            display=Display(wrap=True, verbose=verbose, thoughts=thoughts),
            manner=manner or Manner(),
        ).run()
        captured = self._capture.readouterr()
        self.err = captured.err
        return captured.out

    def model(self, name: str) -> Contents:
        return contents(self.store.load(Name.parse(name)), self.store.blobs)


@pytest.fixture
def desk(tmp_path: Path, templates: Templates, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(tmp_path, templates, capsys)


def test_each_question_is_asked_with_what_was_said_before(desk: Desk) -> None:
    assert desk.chat("hi", "", "why?") == "ok then\n\n" * 2
    assert desk.aviary.prompts == [
        "system:be five\nuser:hi\n",
        "system:be five\nuser:hi\nassistant:ok then\nuser:why?\n",
    ]


def test_the_engine_ends_with_the_chat(desk: Desk) -> None:
    desk.chat("hi", "/bye", "why?")
    assert [parrot.closed for parrot in desk.aviary.parrots] == [True]
    assert len(desk.aviary.prompts) == 1


def test_the_model_is_loaded_before_the_first_line(desk: Desk) -> None:
    desk.chat()
    assert len(desk.aviary.parrots) == 1


def test_examples_are_shown_and_not_sent_twice(desk: Desk) -> None:
    examples = "MESSAGE user who?\nMESSAGE assistant me\nMESSAGE system be six\n"
    assert desk.chat("hi", text=examples) == ">>> who?\nme\n\nok then\n\n"
    assert desk.aviary.prompts == ["user:who?\nassistant:me\nsystem:be six\nuser:hi\n"]


def test_ctrl_c_at_the_prompt_tells_how_to_leave(desk: Desk) -> None:
    assert desk.chat(KeyboardInterrupt, "hi") == "Use Ctrl + d or /bye to exit.\nok then\n\n"


def test_a_format_holds_for_the_questions_that_follow(desk: Desk) -> None:
    said = desk.chat("/set format json", "hi", "/set noformat", "hi")
    assert said == "Set format to 'json' mode.\nok then\n\nDisabled format.\nok then\n\n"
    first, second = desk.aviary.parrots[0].requests
    assert (bool(first.grammar), second.grammar) == (True, "")


def test_options_go_with_the_questions_that_follow(desk: Desk) -> None:
    said = desk.chat("/set parameter seed 42", "/set parameter stop then x", "hi")
    assert said == ("Set parameter 'seed' to '42'\nSet parameter 'stop' to 'then, x'\nok \n\n")
    (request,) = desk.aviary.parrots[0].requests
    assert (request.sampling.seed, request.sampling.temperature) == (42, 1.0)


def test_another_context_loads_the_model_again(desk: Desk) -> None:
    desk.chat("/set parameter num_ctx 64", "hi")
    assert [parrot.closed for parrot in desk.aviary.parrots] == [True, True]
    assert desk.aviary.parrots[1].load.options.num_ctx == 64


def test_what_no_longer_fits_into_the_context_is_told(desk: Desk) -> None:
    desk.chat("/set parameter num_ctx 64", "x" * 20, "y" * 30)
    assert desk.aviary.prompts[1] == f"system:be five\nuser:{'y' * 30}\n"
    assert desk.err == "(the oldest 2 messages are left out: the context of 64 tokens is full)\n"


def test_a_wrong_option_is_told(desk: Desk) -> None:
    assert desk.chat("/set parameter temprature 1", "/set parameter seed x") == (
        "Couldn't set parameter: \"unknown parameter 'temprature'\"\n"
        'Couldn\'t set parameter: "invalid int value [x]"\n'
    )
    assert desk.err == "  hint: did you mean temperature?\n"


def test_a_system_message_replaces_the_model_s(desk: Desk) -> None:
    said = desk.chat("/set system be a cat", "hi", "/show system", "/clear", "hi")
    assert said == "Set system message.\nok then\n\nbe a cat\nCleared session context\nok then\n\n"
    assert desk.aviary.prompts == ["system:be a cat\nuser:hi\n"] * 2


def test_clearing_forgets_what_was_said(desk: Desk) -> None:
    desk.chat("hi", "/clear", "why?")
    assert desk.aviary.prompts[1] == "system:be five\nuser:why?\n"


def test_parameters_of_both_sides_are_shown(desk: Desk) -> None:
    assert desk.chat("/set parameter stop a b", "/show parameters") == (
        "Set parameter 'stop' to 'a, b'\n"
        "Model defined parameters:\n"
        "  temperature                    1\n"
        "\n"
        "User defined parameters:\n"
        '  stop                           "a" "b"\n'
        "\n"
    )
    assert desk.chat("/show parameters", text="") == (
        "Model defined parameters:\n  No additional parameters were specified for this model.\n\n"
    )


def test_parts_of_the_model_are_shown(desk: Desk) -> None:
    assert desk.chat("/show system", "/show template", text=KID) == f"be five\n{parrots.LINES}\n"
    assert desk.chat("/show license", text="LICENSE free as air\n") == "free as air\n"
    assert "FROM " in desk.chat("/show modelfile")
    assert desk.chat("/show info") == ""
    assert desk.err.startswith("  Model\n    architecture        llama")


def test_parts_that_are_not_there_are_said_to_be_missing(desk: Desk) -> None:
    assert desk.chat("/show system", "/show license", text="") == (
        "No system message was specified for this model.\n"
        "No license was specified for this model.\n"
    )


def test_models_are_listed(desk: Desk) -> None:
    header, row = desk.chat("/list").splitlines()
    assert header.startswith("NAME ")
    assert row.startswith("kid:latest ")


def test_another_model_begins_another_conversation(desk: Desk) -> None:
    build(desk.folder, "SYSTEM be a cat\nMESSAGE assistant miau\n", "cat")
    said = desk.chat("hi", "/set parameter seed 4", "/load cat", "hi")
    assert said.endswith("Loading model 'cat'\nmiau\n\nok then\n\n")
    assert desk.aviary.prompts[1] == "system:be a cat\nassistant:miau\nuser:hi\n"
    assert [parrot.closed for parrot in desk.aviary.parrots] == [True, True]
    assert desk.aviary.parrots[1].requests[0].sampling.seed == 4


@pytest.mark.parametrize("name", ["nosuch", "a/b/c/d/e"])
def test_a_model_that_is_not_there_leaves_the_old_one(desk: Desk, name: str) -> None:
    said = desk.chat("hi", f"/load {name}", "why?")
    assert f"Loading model '{name}'\nCouldn't find model '{name}'\n" in said
    assert desk.aviary.prompts[1] == "system:be five\nuser:hi\nassistant:ok then\nuser:why?\n"


def test_a_model_that_cannot_run_leaves_the_old_one(desk: Desk) -> None:
    build(desk.folder, "RENDERER qwen3-coder\n", "foreign")
    desk.chat("/load foreign", "hi")
    assert desk.err.startswith("error: foreign:latest needs the renderer 'qwen3-coder'")
    assert len(desk.aviary.prompts) == 1


def test_what_is_saved_has_all_that_the_model_had_and_what_was_said(desk: Desk) -> None:
    text = KID + "LICENSE free\nMESSAGE user who?\nMESSAGE assistant me\nPARAMETER stop x\n"
    said = desk.chat("/set parameter seed 4", "hi", "/save new", "/load new", "why?", text=text)
    assert "Created new model 'new'\n" in said
    saved = desk.model("new")
    assert (saved.system, saved.licenses) == ("be five", ("free",))
    assert saved.parameters == {"temperature": 1.0, "seed": 4.0, "stop": ["x"]}
    assert [(turn["role"], turn["content"]) for turn in saved.messages] == [
        ("user", "who?"),
        ("assistant", "me"),
        ("user", "hi"),
        ("assistant", "ok then"),
    ]
    assert saved.weights is not None
    assert saved.weights.origin == "kid:latest"
    assert desk.aviary.prompts[1] == (
        "system:be five\nuser:who?\nassistant:me\nuser:hi\nassistant:ok then\nuser:why?\n"
    )


def test_a_system_message_is_saved_once(desk: Desk) -> None:
    desk.chat("/set system be a cat", "hi", "/save new")
    saved = desk.model("new")
    assert saved.system == "be a cat"
    assert [turn["role"] for turn in saved.messages] == ["user", "assistant"]


def test_a_model_can_be_saved_over_itself(desk: Desk) -> None:
    desk.chat("/set system be a cat", "/save kid", "/show system")
    assert desk.model("kid").system == "be a cat"


def test_a_file_called_like_the_model_is_not_what_is_saved(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.folder / "kid").write_text("no model")
    monkeypatch.chdir(desk.folder)
    assert desk.chat("/save new") == "Created new model 'new'\n"


def test_a_full_disk_ends_no_chat(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Store.save

    def fail(store: Store, name: Name, *rest: Any, **more: Any) -> bool:
        if name.model == "new":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return save(store, name, *rest, **more)

    monkeypatch.setattr(Store, "save", fail)
    assert desk.chat("/save new", "hi") == "ok then\n\n"
    assert desk.err.startswith("error: no space left on device\n")


def test_examples_that_hold_more_than_text_are_not_lost(desk: Desk) -> None:
    build(desk.folder, KID)
    kid = Name.parse("kid")
    stored = desk.store.blobs.put(b'[{"role":"user","content":"hi","images":["aGk="]}]\n')
    manifest = desk.store.load(kid)
    examples = Layer(MediaType.MESSAGES, stored.digest, stored.size)
    desk.store.save(Name.parse("seeing"), Manifest(manifest.config, (*manifest.layers, examples)))
    assert "Created" not in desk.chat("/load seeing", "hi", "/save new")
    assert desk.err == "error: the example messages of seeing:latest hold more than text\n"
    assert "Created" in desk.chat("/load seeing", "/save new")
    assert desk.model("new").messages == desk.model("seeing").messages


def test_a_model_that_is_removed_meanwhile_still_answers(desk: Desk) -> None:
    class Remover(Typist):
        def read(self) -> str:
            line = super().read()
            if line == "/show system":
                desk.store.remove(Name.parse("kid"))
            return line

    assert desk.chat("/show system", "hi", typist=Remover) == "ok then\n\n"
    assert desk.err.startswith("error: no model kid:latest in the store\n")


def test_a_bad_name_is_not_saved(desk: Desk) -> None:
    assert desk.chat("/save a/b/c/d/e") == "error: The model name 'a/b/c/d/e' is invalid\n"


def test_a_question_that_is_too_long_ends_nothing(desk: Desk) -> None:
    said = desk.chat("x" * 5000, "hi")
    assert said == "ok then\n\n"
    assert desk.err.startswith("error: the prompt has ")


def test_what_no_longer_fits_is_refused_with_the_numbers_if_nothing_may_be_left_out(
    desk: Desk,
) -> None:
    lines = ("/set parameter num_ctx 80", "x" * 20, "y" * 30, "z")
    said = desk.chat(*lines, manner=Manner(truncate=False))
    assert said.count("ok then") == 2
    assert desk.err == (
        "error: the prompt has 95 tokens, and the context holds 80: shorten it, or raise num_ctx\n"
    )
    # What was refused was not said.
    talk = f"system:be five\nuser:{'x' * 20}\nassistant:ok then\n"
    assert desk.aviary.prompts[1:] == [f"{talk}user:z\n"]


THINKER = (
    'TEMPLATE """{{ range .Messages }}{{ .Role }}:{{ if .Thinking }}<t>{{ .Thinking }}</t>{{ end }}'
    '{{ .Content }}\n{{ end }}"""\n'
)


def test_thoughts_are_shown_and_kept_apart_from_the_answer(desk: Desk) -> None:
    desk.aviary.script = "<t>hm hm</t> yes"
    answer = "Thinking...\nhm hm\n...done thinking.\n\nyes\n\n"
    assert desk.chat("hi", "why?", text=THINKER) == answer * 2
    assert desk.aviary.prompts[1] == "user:hi\nassistant:<t>hm hm</t>yes\nuser:why?\n"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param("<t>a\n</t>b", "Thinking...\na\n...done thinking.\n\nb\n\n", id="own line"),
        pytest.param("<t>a", "Thinking...\na\n\n", id="cut short"),
        pytest.param("<t> </t>b", "b\n\n", id="no thought"),
    ],
)
def test_thinking_ends_on_a_line_of_its_own(desk: Desk, script: str, expected: str) -> None:
    desk.aviary.script = script
    assert desk.chat("hi", text=THINKER) == expected


def test_thoughts_can_be_hidden_and_are_still_kept(desk: Desk) -> None:
    desk.aviary.script = "<t>hm</t> yes"
    assert desk.chat("hi", "why?", text=THINKER, thoughts=False) == "yes\n\n" * 2
    assert "<t>hm</t>" in desk.aviary.prompts[1]


def test_thinking_can_be_switched(desk: Desk) -> None:
    desk.aviary.script = "<t>hm</t> yes"
    told = THINKER.replace('{{ end }}"""', '{{ end }}{{ .Think }}{{ .ThinkLevel }}"""')
    said = desk.chat("/set nothink", "a", "/clear", "/set think high", "b", text=told)
    assert said == (
        "Set 'nothink' mode.\n<t>hm</t> yes\n\nCleared session context\n"
        "Set 'think' mode to 'high'.\nThinking...\nhm\n...done thinking.\n\nyes\n\n"
    )
    assert desk.aviary.prompts == ["user:a\nfalse", "user:b\ntruehigh"]


def test_a_model_that_cannot_think_says_so_and_the_chat_goes_on(desk: Desk) -> None:
    said = desk.chat("/set think", "hi", "/set nothink", "hi")
    assert said == "Set 'think' mode.\nSet 'nothink' mode.\nok then\n\n"
    warning = 'warning: model "kid:latest" does not support thinking output\n'
    assert desk.err == f'{warning}error: "kid:latest" does not support thinking\n{warning}'


def test_an_engine_that_dies_ends_the_chat(desk: Desk) -> None:
    desk.aviary.script = "doomed"
    with pytest.raises(EngineDied):
        desk.chat("hi")
    assert desk.aviary.parrots[0].closed


def test_timings_are_told_while_they_are_wanted(desk: Desk) -> None:
    desk.chat("/set verbose", "hi")
    assert "prompt eval count:    " in desk.err
    desk.chat("/set quiet", "hi", verbose=True)
    assert desk.err == ""


def test_history_can_be_switched(desk: Desk) -> None:
    desk.chat("/set nohistory")
    assert not desk.history.keeps
    desk.chat("/set history")
    assert desk.history.keeps


def test_help_goes_to_stderr(desk: Desk) -> None:
    assert desk.chat("/?") == ""
    assert "/? shortcuts" in desk.err
    assert desk.chat("/nosuch") == "Unknown command '/nosuch'. Type /? for help\n"


# At a terminal.

Terminal = Callable[..., "pexpect.spawn[str]"]
ENTER, CTRL_C, CTRL_D, CTRL_J, CTRL_U, UP = "\r", "\x03", "\x04", "\n", "\x15", "\x1b[A"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """Starts a chat with a parrot at a terminal of 60 cells."""
    started: list[pexpect.spawn[str]] = []

    def start(script: str = "ok then", text: str = "") -> "pexpect.spawn[str]":
        build(tmp_path, text)
        environment = os.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        child = pexpect.spawn(
            sys.executable,
            [parrots.__file__, str(tmp_path / "models"), "kid", script],
            env=environment,
            encoding="utf-8",
            timeout=30,
            dimensions=(24, 60),
        )
        child.delaybeforesend = None
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def left(child: "pexpect.spawn[str]") -> int | None:
    """The exit status of what has written its last."""
    child.expect(pexpect.EOF)
    child.wait()
    return child.exitstatus


def test_a_chat_of_two_turns(terminal: Terminal) -> None:
    child = terminal("echo")
    child.expect("Send a message")
    child.send("hi" + ENTER)
    child.expect("user:hi\r\n")
    child.send("why?" + ENTER)
    child.expect("user:hi\r\nassistant:user:hi\r\n.*user:why[?]\r\n")
    child.expect("Send a message")
    child.send(CTRL_D)
    assert left(child) == 0


def test_quotes_open_a_message_of_several_lines(terminal: Terminal) -> None:
    child = terminal("echo")
    child.expect(">>> ")
    child.send('"""one' + ENTER)
    child.expect("[.]{3} .*to send")
    child.send('two"""' + ENTER)
    child.expect("user:one\r\ntwo\r\n")


def test_ctrl_j_goes_to_the_next_line(terminal: Terminal) -> None:
    child = terminal("echo")
    child.expect(">>> ")
    child.send("one" + CTRL_J)
    child.expect("[.]{3} .*Press Enter to send")
    child.send("two" + ENTER)
    child.expect("user:one\r\ntwo\r\n")


def test_pasted_lines_wait_for_enter(terminal: Terminal) -> None:
    child = terminal("echo")
    child.expect(">>> ")
    child.send("\x1b[200~/one\rtwo\x1b[201~")
    child.expect("[.]{3} .*two")
    child.send(ENTER)
    child.expect("user:/one\r\ntwo\r\n")


def test_what_is_typed_during_an_answer_is_the_next_line(terminal: Terminal) -> None:
    child = terminal("ok then")
    child.expect(">>> ")
    child.send("hi" + ENTER + "/bye" + ENTER)
    child.expect("ok then")
    assert left(child) == 0


def test_ctrl_c_stops_an_answer_and_keeps_the_question(terminal: Terminal, tmp_path: Path) -> None:
    child = terminal("endless")
    child.expect(">>> ")
    child.send("hi" + ENTER)
    child.expect("well")
    child.send(CTRL_C)
    child.expect(">>> ")
    child.send("/save stopped" + ENTER)
    child.expect("Created new model 'stopped'")
    store = Store(tmp_path / "models")
    saved = contents(store.load(Name.parse("stopped")), store.blobs)
    assert saved.messages == ({"role": "user", "content": "hi"},)


def test_ctrl_c_at_the_prompt_drops_the_line(terminal: Terminal) -> None:
    child = terminal()
    child.expect(">>> ")
    child.send("half" + CTRL_C)
    child.expect("\r\n.*Use Ctrl [+] d or /bye to exit.\r\n")
    child.expect(">>> ")
    child.send(CTRL_D)
    assert left(child) == 0


def test_earlier_lines_come_back(terminal: Terminal, tmp_path: Path) -> None:
    child = terminal("echo")
    child.expect(">>> ")
    child.send("one" + ENTER)
    child.expect("user:one.*>>> ")
    child.send("unfinished" + UP + " more" + ENTER)
    child.expect("user:one more\r\n")
    child.send(CTRL_D)
    assert left(child) == 0
    assert (tmp_path / "models" / "history").read_text() == "one\none more\n"


def test_a_tab_is_eight_blanks_and_completes_commands(terminal: Terminal) -> None:
    child = terminal("echo")
    child.expect(">>> ")
    child.send("a\tb" + ENTER)
    child.expect("user:a {8}b\r\n")
    child.send("/by\t" + ENTER)
    assert left(child) == 0


def test_words_are_not_cut_at_the_edge(terminal: Terminal) -> None:
    child = terminal("dinosaurs " * 8)
    child.expect(">>> ")
    child.send("hi" + ENTER)
    # 55 of the 60 cells are for text: five words, and a half that is taken back.
    child.expect("(dinosaurs ){5}dinos\x1b\\[5D\x1b\\[K\r\ndinosaurs dinosaurs")


def test_thoughts_are_dimmed_and_the_answer_is_not(terminal: Terminal) -> None:
    child = terminal("<t>hm</t> yes", THINKER)
    child.expect(">>> ")
    child.send("hi" + ENTER)
    child.expect_exact("\x1b[2mThinking...\r\nhm\r\n...done thinking.\x1b[0m\r\n\r\nyes\r\n")
    child.expect(">>> ")


def test_ctrl_c_amid_thoughts_leaves_no_dimmed_terminal(terminal: Terminal) -> None:
    child = terminal("brooding", THINKER)
    child.expect(">>> ")
    child.send("hi" + ENTER)
    child.expect_exact("\x1b[2mThinking...\r\nwell")
    child.send(CTRL_C)
    child.expect_exact("\x1b[0m")
    child.expect(">>> ")


def test_an_answer_does_not_act_on_the_terminal(terminal: Terminal) -> None:
    child = terminal("\x1b[2Jboo\r\x9b")
    child.expect(">>> ")
    child.send("hi" + ENTER)
    child.expect("␛\\[2Jboo\ufffd\r\n")


@pytest.mark.parametrize("during", ["prompt", "answer"])
def test_a_chat_that_is_told_to_end_puts_the_terminal_right(
    terminal: Terminal, during: str
) -> None:
    child = terminal("endless")
    child.expect(">>> ")
    if during == "answer":
        child.send("hi" + ENTER)
        child.expect("well")
    assert not child.getecho()
    child.kill(signal.SIGTERM)
    assert left(child) == 128 + signal.SIGTERM
    assert child.getecho()
