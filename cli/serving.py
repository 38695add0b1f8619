"""What ``serve`` starts with: an address that is free, and what the environment decides.

Source: the specification of the native API, section 20: the variables that are honoured.
"""

import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from mbuild.cli.address import Address
from mbuild.cli.peer import whose
from mbuild.runtime.goduration import BadDuration, parse
from mbuild.runtime.pool import FOREVER, Limits

_BACKLOG = 2048
_MOST_PARALLEL = 64
_DEFAULT_PARALLEL = 4  # answers at once of one model

Warn = Callable[[str], None]


class Taken(Exception):
    """An address at which somebody listens already."""

    def __init__(self, address: Address, by: str) -> None:
        super().__init__(f"{address} is taken by {by}")
        self.address = address
        self.by = by


class Environment:
    """The variables of Ollama that this server honours; *warn* is told of those it cannot read."""

    def __init__(self, variables: Mapping[str, str], warn: Warn) -> None:
        self._variables = variables
        self._warn = warn

    @property
    def parallel(self) -> int:
        """OLLAMA_NUM_PARALLEL: answers at once of one model."""
        asked = self._number("OLLAMA_NUM_PARALLEL", 0)
        return min(asked, _MOST_PARALLEL) or _DEFAULT_PARALLEL

    @property
    def num_ctx(self) -> int:
        """OLLAMA_CONTEXT_LENGTH: tokens, for models and requests that do not say."""
        return min(self._number("OLLAMA_CONTEXT_LENGTH", 0), 2**31 - 1)

    @property
    def origins(self) -> tuple[str, ...]:
        """OLLAMA_ORIGINS: of the web pages that may ask."""
        words = self._text("OLLAMA_ORIGINS").split(",")
        return tuple(word.strip() for word in words if word.strip())

    @property
    def limits(self) -> Limits:
        """OLLAMA_KEEP_ALIVE, OLLAMA_MAX_LOADED_MODELS and OLLAMA_MAX_QUEUE."""
        default = Limits()
        return Limits(
            keep_alive=self._keep_alive(default.keep_alive),
            most_loaded=self._number("OLLAMA_MAX_LOADED_MODELS", 0) or default.most_loaded,
            most_waiting=self._number("OLLAMA_MAX_QUEUE", default.most_waiting),
        )

    def _keep_alive(self, default: int) -> int:
        text = self._text("OLLAMA_KEEP_ALIVE")
        if not text:
            return default
        try:
            plain = text.removeprefix("-").isdecimal() and len(text) < 12
            nanoseconds = int(text) * 1_000_000_000 if plain else parse(text)
        except BadDuration as error:
            self._warn(f"OLLAMA_KEEP_ALIVE: {error}; the default is used")
            return default
        return FOREVER if nanoseconds < 0 else nanoseconds

    def _number(self, name: str, default: int) -> int:
        text = self._text(name)
        if not text:
            return default
        if not (text.isascii() and text.isdecimal() and len(text) < 10):
            self._warn(f"{name} is no number: {text!r}; the default is used")
            return default
        return int(text)

    def _text(self, name: str) -> str:
        return self._variables.get(name, "").strip().strip("\"'").strip()


def listen(address: Address) -> socket.socket:
    """A socket that listens at *address*.

    Raises:
        Taken: somebody does already.
        OSError: the address is not one of this machine, or may not be used.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of a server that ended a moment ago do not count as somebody.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address.host, address.port))
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise Taken(address, _by(address)) from None
        raise OSError(error.errno, error.strerror, str(address)) from None
    return made


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the server, and then nothing more: what it holds is given back.

    The server has handlers of its own while it runs, and sends itself the signal again behind them.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: None) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _by(address: Address) -> str:
    """Who listens at *address*: what it says itself, and its process where the system tells."""
    said = whose(address.reachable)
    process = _process(address.port)
    return f"{said} ({process})" if process else said


def _process(port: int) -> str:
    """The process that listens at *port*, if it is ours to look at; Linux only."""
    inodes = _inodes(port)
    for number in filter(str.isdecimal, _names("/proc")):
        for descriptor in _names(f"/proc/{number}/fd"):
            try:
                target = os.readlink(f"/proc/{number}/fd/{descriptor}")
            except OSError:
                continue
            if target.removeprefix("socket:[").removesuffix("]") in inodes:
                return f"process {number}"
    return ""


def _inodes(port: int) -> set[str]:
    """The sockets that listen at *port*, by their inodes."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                rows = [line.split() for line in file][1:]
        except OSError:
            continue
        # The columns: number, local address, remote address, state (0A listens), ..., inode.
        found |= {row[9] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
    return found


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
