"""An answer, written as it comes."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click

from mbuild.cli.spinner import Spinner
from mbuild.cli.statistics import timings
from mbuild.cli.terminal import Paper
from mbuild.runtime.answer import Dropped, Event
from mbuild.runtime.engine import Finished, Piece, Reason


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer said, and how it ended: None if Ctrl-C ended it."""

    text: str
    finished: Finished | None

    @property
    def whole(self) -> bool:
        """Whether the model ended it, or a bound on its length."""
        return self.finished is not None and self.finished.reason is not Reason.CANCELLED


def write_answer(events: Iterator[Event], *, cancel: Callable[[], None], wrap: bool) -> Said:
    """Write the answer to stdout while it comes, and two line ends behind it.

    Ctrl-C ends it, by *cancel*. Raises whatever reading *events* raises.
    """
    paper = Paper(wrap=wrap)
    parts: list[str] = []
    finished = None
    with Spinner() as spinner:
        try:
            for event in events:
                match event:
                    case Piece(text):
                        spinner.stop()
                        parts.append(text)
                        paper.write(text)
                    case Finished():
                        finished = event
                    case Dropped():
                        spinner.stop()
                        _tell_dropped(event)
        except KeyboardInterrupt:
            cancel()
    if parts or finished:
        sys.stdout.write("\n\n")
    sys.stdout.flush()
    return Said("".join(parts), finished)


def write_timings(said: Said) -> None:
    """Write what the answer cost to stderr."""
    if said.finished is not None:
        click.echo(timings(said.finished.stats), nl=False, err=True)


def _tell_dropped(dropped: Dropped) -> None:
    count = len(dropped.messages)
    what = "message is" if count == 1 else f"{count} messages are"
    text = f"(the oldest {what} left out: the context of {dropped.num_ctx} tokens is full)"
    click.echo(click.style(text, dim=True), err=True)
