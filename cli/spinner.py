"""Something that turns on stderr while nothing can be said yet."""

import sys
import threading
from types import TracebackType
from typing import Self

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAME = 0.1  # seconds
_HIDE_CURSOR, _SHOW_CURSOR, _CLEAR_LINE = "\x1b[?25l", "\x1b[?25h", "\r\x1b[K"


class Spinner:
    """Turns from entering to leaving, or to `stop`; on what is no terminal it shows nothing."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._turn, daemon=True)
        self._live = sys.stderr.isatty()

    def __enter__(self) -> Self:
        if self._live:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take it away, and return only when it is gone; it may be called twice."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _turn(self) -> None:
        at = 0
        # What is quicker than one frame needs none.
        while not self._over.wait(_FRAME):
            sys.stderr.write(f"{_HIDE_CURSOR}\r{_FRAMES[at % len(_FRAMES)]} ")
            sys.stderr.flush()
            at += 1
        if at:
            sys.stderr.write(_CLEAR_LINE + _SHOW_CURSOR)
            sys.stderr.flush()
