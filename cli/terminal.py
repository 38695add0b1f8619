"""The terminal that a person reads and types at: what is written to it, and its modes."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mbuild.cli.wordwrap import Wrapped

# A model's text must not act on the terminal: control characters are shown, not sent. Line ends
# and tabs are meant; a carriage return is dropped, as it comes before a line end.
_SHOWN = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    ord("\r"): None,
    0x7F: "\u2421",
    **dict.fromkeys([*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd"),
}


def harmless(text: str) -> str:
    """*text* with its control characters shown, for a terminal."""
    return text.translate(_SHOWN)


class Paper:
    """Where one answer is written: a terminal, or a pipe, which gets every byte as it is."""

    def __init__(self, *, wrap: bool) -> None:
        self._live = sys.stdout.isatty()
        self._wrapped = Wrapped() if wrap and self._live else None

    def write(self, text: str) -> None:
        """Write a part of the answer at once."""
        if self._live:
            text = harmless(text)
        if self._wrapped is not None:
            text = self._wrapped.feed(text, width())
        sys.stdout.write(text)
        sys.stdout.flush()


def width() -> int:
    """The cells in a line of the terminal, 0 if it does not say."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        return 0


@contextmanager
def unread() -> Iterator[None]:
    """Let what is typed while nobody reads wait, unseen and as typed, for the next who does.

    Else it would be shown amid an answer, and Enter would arrive as Ctrl-J.
    """
    if not sys.stdin.isatty():
        yield
        return
    import termios

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    quiet = termios.tcgetattr(descriptor)
    quiet[0] &= ~termios.ICRNL
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    termios.tcsetattr(descriptor, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        with suppress(termios.error):  # The terminal may have gone.
            termios.tcsetattr(descriptor, termios.TCSANOW, before)
