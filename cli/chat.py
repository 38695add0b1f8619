"""A chat at the terminal: read a line, do what it says, until it says to leave.

What a line means is decided in :mod:`mbuild.cli.slash`; here it takes effect.
"""

import sys
import time
from collections.abc import Callable
from typing import Protocol

import click

from mbuild.cli import report, slash
from mbuild.cli.answering import Display, Manner, write_answer, write_timings
from mbuild.cli.conversation import Conversation
from mbuild.cli.failure import explain
from mbuild.cli.history import History
from mbuild.cli.saving import Unsaved, save
from mbuild.cli.slash import Mode, Plain, View
from mbuild.cli.spinner import Spinner
from mbuild.cli.terminal import Paper, unread
from mbuild.cli.views import shown
from mbuild.compiler.advice import about_parameter
from mbuild.compiler.decompile import Unsayable
from mbuild.compiler.parameters import OPTIONS
from mbuild.runtime.answer import Session
from mbuild.runtime.engine import BadGrammar, CannotLoad, PromptTooLong
from mbuild.runtime.jinja import TemplateTooBig
from mbuild.runtime.model import Unanswering
from mbuild.runtime.options import BadOption
from mbuild.runtime.prompt import TemplateRefused, Think
from mbuild.runtime.renderers import NoSuchRenderer
from mbuild.runtime.schema import BadSchema
from mbuild.runtime.thinking import NoThinking
from mbuild.store.blobs import MissingBlob
from mbuild.store.config import BadConfig
from mbuild.store.contents import BadLayer
from mbuild.store.name import BadName, Name
from mbuild.store.store import DamagedModel, MissingModel, NewerStore, Store

_LEAVE = "Use Ctrl + d or /bye to exit."
_NOTHING = {
    View.LICENSE: "No license was specified for this model.\n",
    View.TEMPLATE: "No prompt template was specified for this model.\n",
    View.SYSTEM: "No system message was specified for this model.\n",
}

# What is wrong with one question, with one command, or with a model that is not yet loaded.
_PASSING = (
    BadConfig,
    BadGrammar,
    BadLayer,
    BadOption,
    BadSchema,
    CannotLoad,
    DamagedModel,
    MissingBlob,
    MissingModel,
    NewerStore,
    NoSuchRenderer,
    NoThinking,
    PromptTooLong,
    TemplateRefused,
    TemplateTooBig,
    Unanswering,
    Unsaved,
    Unsayable,
)


class Editor(Protocol):
    """Where lines come from."""

    def read(self) -> str:
        """The next line, or lines; KeyboardInterrupt for Ctrl-C, EOFError for the end."""
        ...


class Chat:
    """A chat with the model *name*, by *session*; *open_session* opens others for ``/load``."""

    def __init__(
        self,
        name: Name,
        session: Session,
        store: Store,
        open_session: Callable[[Name], Session],
        *,
        editor: Editor,
        history: History,
        display: Display,
        manner: Manner,
    ) -> None:
        self._store = store
        self._open_session = open_session
        self._editor = editor
        self._history = history
        self._display = display
        self._manner = manner
        self._conversation = Conversation()
        self._name = name
        self._session = session

    def run(self) -> None:
        """Load the model, talk until the user leaves, then end the engine."""
        try:
            with unread():
                self._warm(self._session)
                self._show_examples()
                while self._step():
                    pass
        finally:
            self._session.close()

    def _step(self) -> bool:
        """Do what the next line says: whether there may be another."""
        try:
            line = self._editor.read()
        except EOFError:
            return False
        except KeyboardInterrupt:
            click.echo(_LEAVE)
            return True
        command = slash.parse(line)
        if command is Plain.LEAVE:
            return False
        try:
            self._do(command)
        except KeyboardInterrupt:
            click.echo()
        except _PASSING as error:
            _complain(error)
        return True

    def _do(self, command: slash.Command) -> None:
        match command:
            case slash.Say(text):
                self._answer(text)
            case slash.SetParameter(name, values):
                self._set_parameter(name, values)
            case slash.SetSystem(text):
                self._conversation.set_system(text)
                click.echo("Set system message.")
            case slash.Switch():
                self._switch(command)
            case slash.SetThink(think, told):
                self._set_think(think, told)
            case slash.SetFormat(form, told):
                self._manner.form = form
                click.echo(told, nl=False)
            case slash.Show(view):
                self._show(view)
            case slash.Load(name):
                self._load(name)
            case slash.Save(name):
                self._save(name)
            case slash.Tell(text):
                click.echo(text, nl=False, err=command.help)
            case Plain.CLEAR:
                self._conversation.clear()
                click.echo("Cleared session context")
            case Plain.LIST:
                table = report.models_as_table(self._store.entries(), now=time.time())
                click.echo(table, nl=False)

    def _answer(self, text: str) -> None:
        talk = self._conversation
        talk.add("user", text)
        events = self._session.chat(
            talk.messages,
            talk.options,
            think=self._manner.think,
            form=self._manner.form,
            truncate=self._manner.truncate,
        )
        try:
            said = write_answer(events, cancel=self._session.cancel, display=self._display)
        except _PASSING:
            talk.take_back()  # Else what was refused would be sent, and refused, again.
            raise
        # A stopped answer would mislead the next one; the question stays.
        if said.whole:
            talk.add("assistant", said.text, thinking=said.thinking)
        if self._display.verbose:
            write_timings(said)

    def _set_parameter(self, name: str, values: tuple[str, ...]) -> None:
        try:
            self._conversation.set_option(name, values)
        except ValueError as wrong:
            click.echo(f"Couldn't set parameter: {report.go_string(str(wrong))}")
            hint = None if name in OPTIONS else about_parameter(name)
            if hint is not None:
                click.echo(f"  hint: {hint}", err=True)
        else:
            click.echo(f"Set parameter '{name}' to '{', '.join(values)}'")

    def _switch(self, command: slash.Switch) -> None:
        match command.mode:
            case Mode.HISTORY:
                self._history.keeps = command.on
            case Mode.WORDWRAP:
                self._display.wrap = command.on
            case Mode.VERBOSE:
                self._display.verbose = command.on
        click.echo(command.told, nl=False)

    def _set_think(self, think: Think, told: str) -> None:
        self._manner.think = think
        if not self._session.thinks:
            warning = f'warning: model "{self._name.short}" does not support thinking output'
            click.echo(warning, err=True)
        click.echo(told, nl=False)

    def _show(self, view: View) -> None:
        match view:
            case View.INFO:
                click.echo(self._shown(""), nl=False, err=True)
            case View.PARAMETERS:
                click.echo(self._parameters(), nl=False)
            case View.SYSTEM if self._conversation.system:
                click.echo(self._conversation.system)
            case _:
                text = self._shown(view.value) or _NOTHING.get(view, "")
                click.echo(text, nl=not text.endswith("\n"))

    def _parameters(self) -> str:
        defined = self._shown(View.PARAMETERS.value).splitlines()
        text = "Model defined parameters:\n"
        text += "".join(f"  {line}\n" for line in defined)
        if not defined:
            text += "  No additional parameters were specified for this model.\n"
        options = self._conversation.options
        if options:
            text += "\nUser defined parameters:\n"
            text += "".join(f"  {name:<30} {_value(options[name])}\n" for name in sorted(options))
        return text + "\n"

    def _shown(self, view: str) -> str:
        return shown(view, self._name, self._store.load(self._name), self._store)

    def _load(self, text: str) -> None:
        click.echo(f"Loading model '{text}'")
        try:
            name = self._store.resolve(Name.parse(text))
            session = self._open_session(name)
        except (BadName, MissingModel):
            click.echo(f"Couldn't find model '{text}'")
            return
        self._warm(session)
        self._session.close()
        self._name, self._session = name, session
        self._conversation.forget()
        self._show_examples()

    def _warm(self, session: Session) -> None:
        """Load the weights, with the options that are set."""
        with Spinner():
            session.warm(self._conversation.options)

    def _save(self, text: str) -> None:
        try:
            name = self._store.resolve(Name.parse(text))
        except BadName:
            click.echo(f"error: The model name '{text}' is invalid")
            return
        try:
            save(name, self._name, self._conversation, self._store)
        except OSError as error:
            _complain(error)  # Such as a full disk: what was said must not be lost with it.
        else:
            click.echo(f"Created new model '{text}'")

    def _show_examples(self) -> None:
        """Show the model's example turns as if they had just been said."""
        for message in self._session.model.messages:
            if message.role == "user":
                click.echo(f">>> {message.content}")
            elif message.role == "assistant":
                Paper(wrap=self._display.wrap).write(message.content)
                sys.stdout.write("\n\n")


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(report.go_string, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _complain(error: Exception) -> None:
    failure = explain(error)
    lines = [f"error: {failure.message}", *(f"  hint: {hint}" for hint in failure.hints)]
    click.echo("\n".join(lines), err=True)
