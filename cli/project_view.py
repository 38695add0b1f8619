"""A project's build as a person follows it: plain lines, and what is going on on a terminal."""

import shutil
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mbuild.cli.project_report import format_news, format_outcome
from mbuild.cli.terminal import harmless
from mbuild.compiler.progress import Progress, Status
from mbuild.compiler.project import Node
from mbuild.compiler.schedule import News, Outcome, State

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

_PAUSE = 0.1  # seconds between two looks of the same builds

_COLORS = {State.BUILT: "green", State.FAILED: "red", State.SKIPPED: "yellow"}


@dataclass(slots=True)
class _Building:
    """A model that is being built, since when (seconds), and what was heard of it last."""

    since: float
    step_since: float
    news: Status | Progress

    def hear(self, news: Status | Progress, now: float) -> None:
        """Take note of *news*."""
        if isinstance(news, Progress) and _label(news) != _label(self.news):
            self.step_since = now
        self.news = news


def _label(news: Status | Progress) -> str | None:
    return news.label if isinstance(news, Progress) else None


class Silence:
    """Shows nothing."""

    def __enter__(self) -> "Silence":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def began(self, node: Node, why: str) -> None:
        """Nothing."""

    def heard(self, news: News) -> None:
        """Nothing."""

    def ended(self, outcome: Outcome) -> None:
        """Nothing."""


class Lines(Silence):
    """A line for each model when it is done; *names* are the cells for its name."""

    def __init__(self, names: int) -> None:
        self._names = names

    def ended(self, outcome: Outcome) -> None:
        """Print what became of a model."""
        sys.stdout.write(format_outcome(outcome, names=self._names) + "\n")
        sys.stdout.flush()


class Screen(Silence):
    """The same lines on a terminal, and below them what is being built just now."""

    def __init__(self, names: int) -> None:
        self._names = names
        self._building: dict[Node, _Building] = {}
        self._drawn = 0.0
        self._live: Live | None = None

    def __enter__(self) -> "Screen":
        # Imported here: it takes a tenth of a second, and nobody else draws.
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(highlight=False), auto_refresh=False, transient=True)
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._live is not None
        self._live.__exit__(None, None, None)

    def began(self, node: Node, why: str) -> None:
        """Show a model among those that are being built."""
        now = time.monotonic()
        self._building[node] = _Building(now, now, Status(""))
        self._draw()

    def heard(self, news: News) -> None:
        """Show how far it is."""
        now = time.monotonic()
        self._building[news.node].hear(news.news, now)
        if now - self._drawn > _PAUSE:
            self._draw()

    def ended(self, outcome: Outcome) -> None:
        """Leave its line above, for good."""
        assert self._live is not None
        self._building.pop(outcome.node, None)
        columns = self._live.console.width
        line = format_outcome(outcome, names=self._names, columns=columns - 1)
        self._live.console.print(_colored(line, outcome.state), soft_wrap=True)
        self._draw()

    def _draw(self) -> None:
        from rich.text import Text

        assert self._live is not None
        self._drawn = time.monotonic()
        room = max(shutil.get_terminal_size().lines - 2, 1)
        rows = [self._row(node) for node in self._building][:room]
        self._live.update(Text("\n").join(rows), refresh=True)

    def _row(self, node: Node) -> "Text":
        from rich.text import Text

        assert self._live is not None
        building = self._building[node]
        seconds = f"{self._drawn - building.since:.1f} s"
        told = harmless(format_news(building.news, seconds=self._drawn - building.step_since))
        line = f"{node.unit.label.ljust(self._names)}  building  {seconds:>8}  {told}"
        row = Text(line, style="dim", no_wrap=True, overflow="ellipsis")
        # Room for the ^C that a terminal writes when somebody has had enough.
        row.truncate(self._live.console.width - 3, overflow="ellipsis")
        return row


def _colored(line: str, state: State) -> "Text":
    from rich.text import Text

    text = Text(line)
    color = _COLORS.get(state)
    if color is not None:
        text.highlight_words([f" {state.value} "], style=color)
    return text


def watching(names: int, *, quiet: bool) -> Silence:
    """Who shows the build."""
    if quiet:
        return Silence()
    return Screen(names) if sys.stdout.isatty() else Lines(names)
