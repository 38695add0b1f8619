"""The chat's prompt: one message at a time, of one line or several, with prompt-toolkit.

Importing this takes a tenth of a second, so only a chat does.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from prompt_toolkit import PromptSession
from prompt_toolkit import history as toolkit_history
from prompt_toolkit.application.current import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition, is_searching
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style

from mbuild.cli import slash
from mbuild.cli.history import History

_PROMPT = ">>> "
_CONTINUATION = "... "
_EMPTY = "Send a message (/? for help)"
_MORE = "Press Enter to send"
_QUOTED = 'End with """ to send'
_TAB = " " * 8
_STYLE = Style.from_dict({"placeholder": "fg:ansibrightblack"})


class Names(Protocol):
    """Where the names of models to complete come from."""

    def __call__(self) -> Iterable[str]: ...


class LineEditor:
    """The prompt, with its keys and its history; *names* are completed behind ``/load``."""

    def __init__(self, history: History, names: Names) -> None:
        self._session: PromptSession[str] = PromptSession(
            _PROMPT,
            placeholder=_placeholder,
            prompt_continuation=_CONTINUATION,
            multiline=True,
            history=_Kept(history),
            key_bindings=_bindings(),
            input_processors=[_Invitation()],
            completer=_SlashCompleter(names),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            reserve_space_for_menu=0,
            enable_suspend=True,
            style=_STYLE,
            include_default_pygments_style=False,
            color_depth=ColorDepth.DEPTH_4_BIT,
        )

    def read(self) -> str:
        """What is typed next, without its last line end; blocks.

        Raises:
            KeyboardInterrupt: Ctrl-C; what was typed is dropped.
            EOFError: Ctrl-D on an empty line.
        """
        return self._session.prompt()


def _placeholder() -> FormattedText:
    # Gone when the line is done, by Ctrl-C or Ctrl-D: it would stay on the screen.
    return FormattedText([] if get_app().is_done else [("class:placeholder", _EMPTY)])


class _Kept(toolkit_history.History):
    """Our file of entries, as prompt-toolkit asks for one."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._history.entries())

    def append_string(self, string: str) -> None:
        if self._history.keeps:
            super().append_string(string)

    def store_string(self, string: str) -> None:
        self._history.add(string)


class _Invitation(Processor):
    """Behind an empty last line of several: what Enter does there."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        document = transformation_input.document
        fragments = transformation_input.fragments
        last = document.line_count - 1
        if transformation_input.lineno != last or last == 0 or document.lines[last]:
            return Transformation(fragments)
        text = _QUOTED if slash.unfinished(document.text) else _MORE
        return Transformation([*fragments, ("class:placeholder", text)])


class _SlashCompleter(Completer):
    """The words of slash commands."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        *before, word = document.text_before_cursor.split(" ")
        for candidate in self._candidates(before):
            if candidate.startswith(word):
                yield Completion(f"{candidate} ", -len(word), display=candidate)

    def _candidates(self, before: Sequence[str]) -> Iterable[str]:
        if list(before) == ["/load"]:
            return sorted(self._names())
        return slash.words(before)


def _bindings() -> KeyBindings:
    bindings = KeyBindings()
    typing = ~is_searching
    commanding = Condition(lambda: get_app().current_buffer.text.startswith("/"))

    @bindings.add("enter", filter=typing)
    def _(event: KeyPressEvent) -> None:
        if slash.unfinished(event.current_buffer.text):
            event.current_buffer.newline(copy_margin=False)
        else:
            event.current_buffer.validate_and_handle()

    @bindings.add("c-j", filter=typing)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @bindings.add("tab", filter=typing & ~commanding)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(_TAB)

    @bindings.add("c-g", filter=typing)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.open_in_editor()

    return bindings
