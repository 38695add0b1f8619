"""A build as a person follows it: plain lines, and a bar while bytes move on a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mbuild.compiler.progress import Progress, Status, Tell

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_SHOWN_AFTER = 0.2  # seconds; what is quicker needs no bar


@contextmanager
def narrator() -> Iterator[Tell]:
    """A listener that writes to stderr, and puts the terminal right at the end."""
    speaker = _Narrator(live=sys.stderr.isatty())
    try:
        yield speaker.tell
    finally:
        speaker.close()


class _Narrator:
    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._label = ""
        self._since = 0.0

    def tell(self, news: Status | Progress) -> None:
        match news:
            case Status(text):
                self.close()
                sys.stderr.write(text + "\n")
                sys.stderr.flush()
            case Progress():
                self._advance(news)

    def close(self) -> None:
        """Take the bar away."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = None
        self._label = ""

    def _advance(self, news: Progress) -> None:
        if news.label != self._label:
            self.close()
            self._label, self._since = news.label, time.monotonic()
            if not self._live:
                sys.stderr.write(news.label + "\n")
        if not self._live or (self._bars is None and time.monotonic() - self._since < _SHOWN_AFTER):
            return
        if self._bars is None:
            self._begin(news)
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=news.done, total=news.total)

    def _begin(self, news: Progress) -> None:
        # Imported here: rich takes a tenth of a second, and a warm build shows no bar.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bars.add_task(news.label, total=news.total)
        self._bars.start()
