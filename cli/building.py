"""A build as a person follows it: plain lines, and bars while bytes move on a terminal.

Programs follow it as JSON: one object a line, in the words of the reference's create.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from mbuild.compiler.progress import Progress, Status, Tell

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

Form = Literal["auto", "plain", "json"]

_SHOWN_AFTER = 0.2  # seconds; what is quicker needs no bar


@contextmanager
def narrator(form: Form = "auto") -> Iterator[Tell]:
    """A listener that writes to stderr, and puts the terminal right at the end."""
    if form == "json":
        yield _tell_as_json
        return
    speaker = _Narrator(live=form == "auto" and sys.stderr.isatty())
    try:
        yield speaker.tell
    finally:
        speaker.close()


def _tell_as_json(news: Status | Progress) -> None:
    match news:
        case Status(text):
            value: dict[str, object] = {"status": text}
        case Progress(label, done, total):
            value = {"status": label, "completed": done, "total": total}
    sys.stderr.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stderr.flush()


class _Narrator:
    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._since: dict[str, float] = {}  # when each step was first heard of
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def tell(self, news: Status | Progress) -> None:
        match news:
            case Status(text):
                self._say(text)
            case Progress():
                self._advance(news)

    def close(self) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()
        self._bars = None
        self._tasks.clear()

    def _say(self, text: str) -> None:
        if self._bars is not None and all(task.finished for task in self._bars.tasks):
            self.close()
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
            return
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def _advance(self, news: Progress) -> None:
        if news.label not in self._since:
            self._since[news.label] = time.monotonic()
            if not self._live:
                self._say(news.label)
        young = time.monotonic() - self._since[news.label] < _SHOWN_AFTER
        if not self._live or (news.label not in self._tasks and young):
            return
        if self._bars is None:
            self._bars = _bars()
            self._bars.start()
        if news.label not in self._tasks:
            self._tasks[news.label] = self._bars.add_task(news.label, total=news.total)
        self._bars.update(self._tasks[news.label], completed=news.done, total=news.total)


def _bars() -> "Bars":
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

    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
