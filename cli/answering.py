"""An answer, written as it comes."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from mbuild.cli.spinner import Spinner
from mbuild.cli.statistics import timings
from mbuild.cli.terminal import Paper
from mbuild.runtime.answer import Dropped, Event
from mbuild.runtime.engine import Finished, Piece, Reason
from mbuild.runtime.prompt import Think
from mbuild.runtime.thinking import Thought

if TYPE_CHECKING:
    from mbuild.runtime.grammar import Format


@dataclass(slots=True)
class Display:
    """How answers are shown."""

    wrap: bool
    verbose: bool
    thoughts: bool = True  # whether what the model thinks is shown


@dataclass(slots=True)
class Manner:
    """How questions are put."""

    think: Think = None
    form: "Format | None" = None  # None: as the model's own schema has it
    truncate: bool = True  # whether the oldest messages make room for new ones


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer said, and how it ended: None if Ctrl-C ended it."""

    text: str
    finished: Finished | None
    thinking: str = ""

    @property
    def whole(self) -> bool:
        """Whether the model ended it, or a bound on its length."""
        return self.finished is not None and self.finished.reason is not Reason.CANCELLED


def write_answer(events: Iterator[Event], *, cancel: Callable[[], None], display: Display) -> Said:
    """Write the answer to stdout while it comes, and two line ends behind it.

    Ctrl-C ends it, by *cancel*. Raises whatever reading *events* raises.
    """
    sheet = _Sheet(display)
    finished = None
    with Spinner() as spinner:
        try:
            for event in events:
                match event:
                    case Thought(text):
                        if display.thoughts:
                            spinner.stop()
                        sheet.think(text)
                    case Piece(text):
                        spinner.stop()
                        sheet.answer(text)
                    case Finished():
                        finished = event
                    case Dropped():
                        spinner.stop()
                        _tell_dropped(event)
        except KeyboardInterrupt:
            cancel()
        finally:
            sheet.close()
    if sheet.written or finished:
        sys.stdout.write("\n\n")
    sys.stdout.flush()
    return Said("".join(sheet.answered), finished, "".join(sheet.thought))


def write_timings(said: Said) -> None:
    """Write what the answer cost to stderr."""
    if said.finished is not None:
        click.echo(timings(said.finished.stats), nl=False, err=True)


class _Sheet:
    """What one answer is written on: first what was thought, dimmed, then what was said."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._paper = Paper(wrap=display.wrap)
        self._dimmed = False
        self.thought: list[str] = []
        self.answered: list[str] = []

    @property
    def written(self) -> bool:
        """Whether anything was."""
        return bool(self.answered) or (self._display.thoughts and bool(self.thought))

    def think(self, text: str) -> None:
        """Write a part of what the model thinks, if that is shown."""
        if self._display.thoughts:
            if not self._dimmed:
                self._dimmed = True
                click.echo(click.style("Thinking...\n", dim=True, reset=False), nl=False)
            self._paper.write(text)
        self.thought.append(text)

    def answer(self, text: str) -> None:
        """Write a part of the answer, and before the first one that the thinking is over."""
        if self._dimmed:
            end = "" if self.thought[-1].endswith("\n") else "\n"
            click.echo(f"{end}...done thinking.", nl=False)
            self.close()
            click.echo("\n")
            self._paper = Paper(wrap=self._display.wrap)
        self.answered.append(text)
        self._paper.write(text)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._dimmed:
            self._dimmed = False
            click.echo(click.style("", reset=True), nl=False)


def _tell_dropped(dropped: Dropped) -> None:
    count = len(dropped.messages)
    what = "message is" if count == 1 else f"{count} messages are"
    text = f"(the oldest {what} left out: the context of {dropped.num_ctx} tokens is full)"
    click.echo(click.style(text, dim=True), err=True)
