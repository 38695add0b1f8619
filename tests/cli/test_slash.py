"""What lines at the prompt mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.cli import slash
from mbuild.cli.slash import (
    HELP,
    PARAMETER_HELP,
    SET_HELP,
    SHORTCUTS,
    SHOW_HELP,
    Command,
    Load,
    Mode,
    Plain,
    Save,
    Say,
    SetFormat,
    SetParameter,
    SetSystem,
    SetThink,
    Show,
    Switch,
    Tell,
    View,
    parse,
    unfinished,
)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("why?", Say("why?")),
        ("  /bye", Say("  /bye")),
        ("", Plain.NOTHING),
        (" \n ", Plain.NOTHING),
        ('"""a\nb"""', Say("a\nb")),
        ('"""\na\n"""', Say("\na\n")),
        ('"""a"""', Say("a")),
        ('""""""', Plain.NOTHING),
        ('say """a"""', Say('say """a"""')),
        # Pasted lines that begin with a slash are no command.
        ("/etc/hosts\n/bye", Say("/etc/hosts\n/bye")),
        ("/bye", Plain.LEAVE),
        ("/exit", Plain.LEAVE),
        ("/byebye", Plain.LEAVE),
        ("/clear", Plain.CLEAR),
        ("/list", Plain.LIST),
        ("/load kid", Load("kid")),
        ("/load", Tell("Usage:\n  /load <modelname>\n")),
        ("/load a b", Tell("Usage:\n  /load <modelname>\n")),
        ("/save me/kid:v2", Save("me/kid:v2")),
        ("/save", Tell("Usage:\n  /save <modelname>\n")),
        ("/set parameter seed 4", SetParameter("seed", ("4",))),
        ("/set  parameter stop a b", SetParameter("stop", ("a", "b"))),
        ("/setfoo parameter seed 4", SetParameter("seed", ("4",))),
        ("/set parameter seed", Tell(PARAMETER_HELP, help=True)),
        ("/set parameter", Tell(PARAMETER_HELP, help=True)),
        ("/set", Tell(SET_HELP, help=True)),
        ("/set system You are  a pirate.", SetSystem("You are  a pirate.")),
        ('/set system """a\nb"""', SetSystem("a\nb")),
        ('/set system "a"', SetSystem('"a"')),
        ("/set system", Tell(SET_HELP, help=True)),
        ("/set history", Switch(Mode.HISTORY, on=True)),
        ("/set nohistory", Switch(Mode.HISTORY, on=False)),
        ("/set wordwrap", Switch(Mode.WORDWRAP, on=True, told="Set 'wordwrap' mode.\n")),
        ("/set nowordwrap", Switch(Mode.WORDWRAP, on=False, told="Set 'nowordwrap' mode.\n")),
        ("/set verbose", Switch(Mode.VERBOSE, on=True, told="Set 'verbose' mode.\n")),
        ("/set quiet", Switch(Mode.VERBOSE, on=False, told="Set 'quiet' mode.\n")),
        ("/set think", SetThink(think=True, told="Set 'think' mode.\n")),
        ("/set think high", SetThink(think="high", told="Set 'think' mode to 'high'.\n")),
        ("/set nothink", SetThink(think=False, told="Set 'nothink' mode.\n")),
        (
            "/set think much",
            Tell("There is no such level 'much': it is one of low, medium, high, max\n"),
        ),
        ("/set noformat", SetFormat("", "Disabled format.\n")),
        ("/set format json", SetFormat("json", "Set format to 'json' mode.\n")),
        (
            "/set format xml",
            Tell("Invalid or missing format. For 'json' mode use '/set format json'\n"),
        ),
        (
            "/set format",
            Tell("Invalid or missing format. For 'json' mode use '/set format json'\n"),
        ),
        ("/set x", Tell("Unknown command '/set x'. Type /? for help\n")),
        ("/show", Tell(SHOW_HELP, help=True)),
        ("/show info", Show(View.INFO)),
        ("/show system", Show(View.SYSTEM)),
        ("/show x", Tell("Unknown command '/show x'. Type /? for help\n")),
        ("/?", Tell(HELP, help=True)),
        ("/help", Tell(HELP, help=True)),
        ("/? set", Tell(SET_HELP, help=True)),
        ("/help /show", Tell(SHOW_HELP, help=True)),
        ("/? shortcuts", Tell(SHORTCUTS, help=True)),
        ("/x y", Tell("Unknown command '/x'. Type /? for help\n")),
        ("/", Tell("Unknown command '/'. Type /? for help\n")),
    ],
)
def test_a_line_asks_for(line: str, command: Command) -> None:
    assert parse(line) == command


@pytest.mark.parametrize(
    ("text", "open_"),
    [
        ('"""', True),
        ('"""a', True),
        ('"""a\nb', True),
        ('"""a\n""" b', True),
        ('"""a\nb"""', False),
        ('""""', True),
        ('""""""', False),
        ('/set system """a', True),
        ('/set system """a"""', False),
        ('/set parameter stop """', False),
        ('a """', False),
        ("", False),
    ],
)
def test_a_message_goes_on_until_its_quotes_close(text: str, open_: bool) -> None:
    assert unfinished(text) is open_


@given(st.text())
def test_every_text_is_something(text: str) -> None:
    parse(text)


@given(st.text(st.characters(exclude_characters="\r")).filter(str.strip))
def test_a_quoted_text_arrives_as_it_is(text: str) -> None:
    quoted = f'"""{text}"""'
    assert not unfinished(quoted)
    assert parse(quoted) == Say(text)


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ([], ("/set", "/?")),
        (["/set"], ("parameter", "verbose")),
        (["/set", "parameter"], ("temperature", "num_ctx")),
        (["/show"], ("info", "modelfile")),
        (["/?"], ("shortcuts",)),
    ],
)
def test_words_complete(before: list[str], words: tuple[str, ...]) -> None:
    assert set(words) <= set(slash.words(before))


def test_a_message_is_not_completed() -> None:
    assert slash.words(["why"]) == ()
