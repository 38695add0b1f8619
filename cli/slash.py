r"""What a line at the chat's prompt asks for: a message, or one of the slash commands.

Source: the command-line specification, section 5.4: commands are recognised by how the line
begins, so ``/setfoo`` is ``/set``.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from mbuild.compiler.parameters import OPTIONS
from mbuild.runtime.prompt import Think
from mbuild.runtime.thinking import LEVELS


@dataclass(frozen=True, slots=True)
class Say:
    """A message for the model; never blank."""

    text: str


@dataclass(frozen=True, slots=True)
class SetParameter:
    """``/set parameter NAME VALUE…``."""

    name: str
    values: tuple[str, ...]  # at least one


@dataclass(frozen=True, slots=True)
class SetSystem:
    """``/set system TEXT``."""

    text: str


class Mode(Enum):
    """What can be switched on and off."""

    HISTORY = "history"
    WORDWRAP = "wordwrap"
    VERBOSE = "verbose"


@dataclass(frozen=True, slots=True)
class Switch:
    """``/set wordwrap`` and its like; *told* is what is said of it, if anything."""

    mode: Mode
    on: bool
    told: str = ""


@dataclass(frozen=True, slots=True)
class SetThink:
    """``/set think``, ``/set nothink``; *told* is what is said of it."""

    think: Think
    told: str


@dataclass(frozen=True, slots=True)
class SetFormat:
    """``/set format json`` and ``/set noformat``, with what is said of it."""

    form: Literal["json", ""]
    told: str


class View(Enum):
    """A part of the model that ``/show`` shows."""

    INFO = "info"
    LICENSE = "license"
    MODELFILE = "modelfile"
    PARAMETERS = "parameters"
    SYSTEM = "system"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class Show:
    """``/show PART``."""

    view: View


@dataclass(frozen=True, slots=True)
class Load:
    """``/load NAME``."""

    name: str


@dataclass(frozen=True, slots=True)
class Save:
    """``/save NAME``."""

    name: str


class Plain(Enum):
    """Commands that need nothing else, and a line that asks for nothing."""

    CLEAR = "clear"
    LIST = "list"
    LEAVE = "leave"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Tell:
    """Only something to say to the user; help goes to stderr."""

    text: str  # with its line ends
    help: bool = False


Command = (
    Say
    | SetParameter
    | SetSystem
    | Switch
    | SetThink
    | SetFormat
    | Show
    | Load
    | Save
    | Plain
    | Tell
)

_QUOTE = '"""'
_OPENING = re.compile(r'(?:/set\S*\s+system\s+)?"""')


def unfinished(text: str) -> bool:
    r'''Whether *text* opens a message of several lines, by """, and does not close it yet.

    >>> unfinished('"""'), unfinished('"""a\nb"""'), unfinished('a"""')
    (True, False, False)
    '''
    opening = _OPENING.match(text)
    return opening is not None and not text[opening.end() :].endswith(_QUOTE)


def parse(text: str) -> Command:
    """What *text*, as it was typed or pasted, asks for. Every text is something."""
    if _OPENING.match(text) and not text.startswith("/"):
        return _message(_unquoted(text))
    # Pasted text of several lines may well begin with a slash.
    if not text.startswith("/") or ("\n" in text and not _OPENING.match(text)):
        return _message(text)
    for beginning, read in _READERS:
        if text.startswith(beginning):
            return read(text)
    return _unknown(text.split()[0])


def _message(text: str) -> Command:
    return Say(text) if text.strip() else Plain.NOTHING


def _unquoted(text: str) -> str:
    return text.removeprefix(_QUOTE).removesuffix(_QUOTE) if text.startswith(_QUOTE) else text


def _unknown(command: str) -> Tell:
    return Tell(f"Unknown command '{command}'. Type /? for help\n")


def _set(text: str) -> Command:
    _, *words = text.split()
    match words:
        case []:
            return Tell(SET_HELP, help=True)
        case ["parameter", name, value, *more]:
            return SetParameter(name, (value, *more))
        case ["parameter", *_]:
            return Tell(PARAMETER_HELP, help=True)
        case ["system", *_]:
            return _set_system(text.split(maxsplit=2)[2:])
        case ["format", *_] | ["noformat"]:
            return _format(words)
        case ["think", level, *_]:
            return _set_think(level)
        case ["think"]:
            return SetThink(think=True, told="Set 'think' mode.\n")
        case ["nothink", *_]:
            return SetThink(think=False, told="Set 'nothink' mode.\n")
    return _SWITCHES.get(words[0]) or _unknown(f"/set {words[0]}")


def _set_system(rest: list[str]) -> Command:
    return SetSystem(_unquoted(rest[0])) if rest else Tell(SET_HELP, help=True)


def _set_think(level: str) -> Command:
    if level in LEVELS:
        return SetThink(think=level, told=f"Set 'think' mode to '{level}'.\n")
    return Tell(f"There is no such level '{level}': it is one of {', '.join(LEVELS)}\n")


def _format(words: list[str]) -> Command:
    match words:
        case ["noformat"]:
            return SetFormat("", "Disabled format.\n")
        case ["format", "json"]:
            return SetFormat("json", "Set format to 'json' mode.\n")
    return Tell("Invalid or missing format. For 'json' mode use '/set format json'\n")


_SWITCHES = {
    "history": Switch(Mode.HISTORY, on=True),
    "nohistory": Switch(Mode.HISTORY, on=False),
    "wordwrap": Switch(Mode.WORDWRAP, on=True, told="Set 'wordwrap' mode.\n"),
    "nowordwrap": Switch(Mode.WORDWRAP, on=False, told="Set 'nowordwrap' mode.\n"),
    "verbose": Switch(Mode.VERBOSE, on=True, told="Set 'verbose' mode.\n"),
    "quiet": Switch(Mode.VERBOSE, on=False, told="Set 'quiet' mode.\n"),
}
_VIEWS = {view.value: view for view in View}


def _show(text: str) -> Command:
    _, *words = text.split()
    if not words:
        return Tell(SHOW_HELP, help=True)
    view = _VIEWS.get(words[0])
    return _unknown(f"/show {words[0]}") if view is None else Show(view)


def _load(text: str) -> Command:
    words = text.split()
    return Load(words[1]) if len(words) == 2 else Tell("Usage:\n  /load <modelname>\n")


def _save(text: str) -> Command:
    words = text.split()
    return Save(words[1]) if len(words) == 2 else Tell("Usage:\n  /save <modelname>\n")


def _help(text: str) -> Tell:
    _, *words = text.split()
    topics = {"set": SET_HELP, "/set": SET_HELP, "show": SHOW_HELP, "/show": SHOW_HELP}
    topics |= {"shortcuts": SHORTCUTS, "shortcut": SHORTCUTS}
    return Tell(topics.get(words[0], HELP) if words else HELP, help=True)


_READERS: tuple[tuple[str, Callable[[str], Command]], ...] = (
    ("/list", lambda _: Plain.LIST),
    ("/load", _load),
    ("/save", _save),
    ("/clear", lambda _: Plain.CLEAR),
    ("/set", _set),
    ("/show", _show),
    ("/help", _help),
    ("/?", _help),
    ("/exit", lambda _: Plain.LEAVE),
    ("/bye", lambda _: Plain.LEAVE),
)


def words(before: Sequence[str]) -> tuple[str, ...]:
    """The words that a command may have behind the words *before*, for completion.

    >>> words(["/set", "format"])
    ('json',)
    """
    match list(before):
        case []:
            return tuple(beginning for beginning, _ in _READERS)
        case ["/set"]:
            return ("parameter", "system", "format", "noformat", "think", "nothink", *_SWITCHES)
        case ["/set", "parameter"]:
            return tuple(OPTIONS)
        case ["/set", "format"]:
            return ("json",)
        case ["/set", "think"]:
            return LEVELS
        case ["/show"]:
            return tuple(_VIEWS)
        case ["/?" | "/help"]:
            return ("set", "show", "shortcuts")
    return ()


HELP = '''\
Commands:
  /set            Change parameters, the system message and the display
  /show           Tell about the model
  /load NAME      Go on with another model, in a new conversation
  /save NAME      Make a model of this one and this conversation
  /clear          Forget the conversation
  /bye            Leave
  /?, /help       This overview; /? set and /? show tell more
  /? shortcuts    The keys

A message of several lines begins and ends with """.

'''
SET_HELP = """\
Commands:
  /set parameter NAME VALUE   Set a parameter
  /set system TEXT            Set the system message
  /set history                Keep what is typed
  /set nohistory              Do not
  /set wordwrap               Break lines between words
  /set nowordwrap             Do not
  /set format json            Have answers in JSON
  /set noformat               Have answers in any form
  /set verbose                Tell how long each answer took
  /set quiet                  Do not
  /set think [LEVEL]          Have the model think first: low, medium, high, max
  /set nothink                Do not

"""
SHOW_HELP = """\
Commands:
  /show info          The model at a glance
  /show license       Its licences
  /show modelfile     A Modelfile that builds it
  /show parameters    Its parameters, and those set here
  /show system        The system message
  /show template      The template of prompts

"""
PARAMETER_HELP = """\
Parameters:
  /set parameter seed N              Start of the random numbers
  /set parameter num_predict N       Most tokens of an answer; -1: no bound
  /set parameter top_k N             Choose among that many of the likeliest tokens
  /set parameter top_p P             Choose among the likeliest that sum to this share
  /set parameter min_p P             Drop tokens below this share of the likeliest one
  /set parameter num_ctx N           Tokens of context
  /set parameter temperature T       0: always the likeliest; higher: more varied
  /set parameter repeat_penalty P    How much a repeated token is held back
  /set parameter repeat_last_n N     Tokens looked back on for repetitions
  /set parameter num_gpu N           Layers on the GPU
  /set parameter stop TEXT ...       Texts that end an answer

"""
SHORTCUTS = """\
Keys:
  Ctrl-A, Home          Start of the line
  Ctrl-E, End           End of the line
  Alt-B, Alt-F          A word back, a word on
  Ctrl-K, Ctrl-U        Delete to the end, to the start
  Ctrl-W                Delete the word before the cursor
  Up, Down              Earlier and later messages
  Ctrl-R                Search the earlier messages
  Ctrl-J                A new line in the message
  Ctrl-G                Write the message in an editor (VISUAL, EDITOR)
  Ctrl-L                Clear the screen
  Ctrl-Z                Stop mbuild, until fg
  Ctrl-C                Drop the line; stop an answer
  Ctrl-D                Leave, on an empty line

"""
