"""``mbuild run``."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING

import click

from mbuild.cli.options import (
    ModelName,
    answer_form,
    completed,
    debug_option,
    renderer_option,
    store,
    store_option,
    think_level,
)
from mbuild.cli.signals import ends_when_told
from mbuild.store.name import Name

if TYPE_CHECKING:
    from mbuild.cli.answering import Display, Manner
    from mbuild.runtime.answer import Session
    from mbuild.runtime.grammar import Format
    from mbuild.runtime.prompt import Think
    from mbuild.runtime.renderers import Choice
    from mbuild.store.store import Store

_THINK = ("true", "false", "high", "medium", "low", "max")


class _Run(click.Command):
    """``--think`` takes its value behind an equals sign only: ``--think high`` asks "high"."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, completed(args, {"--think": "true"}))


def _check_duration(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    from mbuild.runtime.goduration import BadDuration, parse

    if value is not None:
        try:
            parse(value)
        except BadDuration as error:
            raise click.BadParameter(str(error), ctx, param) from None


def _read_think(ctx: click.Context, _: click.Parameter, value: str | None) -> "Think":
    if value is None:
        return None
    if value not in _THINK:
        message = f'invalid value for --think: "{value}" (must be {_one_of(_THINK)})'
        raise click.UsageError(message, ctx)
    return think_level(value)


def _read_format(ctx: click.Context, param: click.Parameter, value: str | None) -> "Format | None":
    if value is None:
        return None
    from mbuild.runtime.schema import BadSchema

    try:
        return answer_form(value)
    except BadSchema as error:
        raise click.BadParameter(str(error), ctx, param) from None


def _one_of(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])}, or {words[-1]}"


@click.command("run", cls=_Run, short_help="Chat with a model, or ask it one thing")
@click.argument("model", type=ModelName())
@click.argument("prompt", nargs=-1)
@click.option("--verbose", is_flag=True, help="Tell how long each answer took.")
@click.option("--nowordwrap", is_flag=True, help="Let the terminal break lines.")
@click.option(
    "--keepalive",
    metavar="TIME",
    callback=_check_duration,
    expose_value=False,
    help="As in 5m; has no effect without a server.",
)
@click.option(
    "--format",
    "form",
    callback=_read_format,
    metavar="FORMAT",
    help="Answer in json, by a JSON schema, by @FILE with one, or ('') freely.",
)
@click.option(
    "--think",
    callback=_read_think,
    metavar="[=LEVEL]",
    help="Think, or not: true, false, low, medium, high or max.",
)
@click.option("--hidethinking", is_flag=True, help="Do not show what the model thinks.")
@click.option(
    "--no-truncate",
    is_flag=True,
    help="Refuse what is longer than the context, leave nothing out.",
)
@renderer_option
@store_option
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    model: str,
    prompt: tuple[str, ...],
    *,
    verbose: bool,
    nowordwrap: bool,
    form: "Format | None",
    think: "Think",
    hidethinking: bool,
    no_truncate: bool,
    renderer: "Choice | None",
) -> None:
    """Chat with MODEL, or give it one PROMPT and leave.

    What is piped in comes before the PROMPT. An empty PROMPT only loads the model.

    \b
    Examples:
      mbuild run kid
      mbuild run kid "why is the sky blue?"
      mbuild run kid "sum this up:" < letter.txt
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # An answer may hold any character.
    models = store(ctx)
    name = models.resolve(Name.parse(model))
    with ends_when_told(), _opener(models, renderer) as opened:
        session = opened(name)  # Whatever is wrong with it is said before anything is read.
        session.check(think)
        from mbuild.cli.answering import Display, Manner

        words = [*_piped(), *prompt]
        display = Display(wrap=not nowordwrap, verbose=verbose, thoughts=not hidethinking)
        manner = Manner(think, form, truncate=not no_truncate)
        if words or not (sys.stdin.isatty() and sys.stdout.isatty()):
            _ask(session, " ".join(words), display, manner)
        else:
            _chat(name, session, models, opened, display, manner)


def _piped() -> list[str]:
    """All of stdin, if it is no terminal and not empty."""
    if sys.stdin is None or sys.stdin.isatty():
        return []
    text = sys.stdin.buffer.read().decode("utf-8", "replace")
    return [text] if text else []


@contextmanager
def _opener(models: "Store", renderer: "Choice | None") -> Iterator[Callable[[Name], "Session"]]:
    """What opens models of the store, without loading them yet."""
    # Imported here: a command that was typed wrongly needs none of it.
    from mbuild.runtime.answer import Session
    from mbuild.runtime.jinja import Templates
    from mbuild.runtime.llama import Llama
    from mbuild.runtime.model import open_model

    templates = Templates()

    def opened(name: Name) -> Session:
        model = open_model(name.short, models.load(name), models.blobs)
        return Session(model, start=Llama, templates=templates, renderer=renderer)

    try:
        yield opened
    finally:
        templates.close()


def _ask(session: "Session", text: str, display: "Display", manner: "Manner") -> None:
    from mbuild.cli.answering import write_answer, write_timings

    with session:
        if not text:
            session.warm()
            return
        events = session.ask(text, think=manner.think, form=manner.form, truncate=manner.truncate)
        said = write_answer(events, cancel=session.cancel, display=display)
    if display.verbose:
        write_timings(said)


def _chat(
    name: Name,
    session: "Session",
    models: "Store",
    opened: Callable[[Name], "Session"],
    display: "Display",
    manner: "Manner",
) -> None:
    from importlib.util import find_spec

    from mbuild.runtime.engine import EngineMissing

    if find_spec("prompt_toolkit") is None:
        raise EngineMissing("prompt-toolkit")
    # Imported here: prompt-toolkit takes a tenth of a second, and a single answer needs none.
    from mbuild.cli.chat import Chat
    from mbuild.cli.history import History
    from mbuild.cli.line_editor import LineEditor

    keeps = not os.environ.get("MBUILD_NOHISTORY")
    history = History(os.path.expanduser("~/.mbuild/history"), keeps=keeps)
    editor = LineEditor(history, lambda: (each.short for each in models.names()))
    chat = Chat(
        name,
        session,
        models,
        opened,
        editor=editor,
        history=history,
        display=display,
        manner=manner,
    )
    chat.run()
