"""Who builds the models of a project: this process one by one, or children several at once.

A child is a fork that builds one model and ends. It is in a process group of its own, so that
Ctrl-C reaches us alone; we pass it on, and wait until all have tidied up. If we are killed, the
end of the pipe that only we hold open tells the children.
"""

import os
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from mbuild.compiler.progress import Progress, Status
from mbuild.compiler.project import Made, Node, make
from mbuild.compiler.schedule import Ended, Failure, News
from mbuild.store.store import Store

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Explain = Callable[[Exception], Failure]
"""What to say of an exception."""


def _result(
    node: Node, store: Store, explain: Explain, tell: Callable[[Status | Progress], None]
) -> tuple[float, Made | Failure]:
    """*node*, built, and how long that took. What is wrong with one model stops no other."""
    start = time.monotonic()
    result: Made | Failure
    try:
        result = make(node, store, tell)
    except Exception as error:  # noqa: BLE001  # The top of a request: it is told with its model.
        result = explain(error)
    return time.monotonic() - start, result


class Alone:
    """Builds in this process, one model after another; *hear* is told the news at once."""

    jobs = 1

    def __init__(self, store: Store, explain: Explain, hear: Callable[[News], None]) -> None:
        self._store = store
        self._explain = explain
        self._hear = hear
        self._ended: deque[Ended] = deque()

    def start(self, node: Node) -> None:
        """Build *node*."""

        def tell(news: Status | Progress) -> None:
            self._hear(News(node, news))

        self._ended.append(Ended(node, *_result(node, self._store, self._explain, tell)))

    def wait(self) -> News | Ended:
        """How the build that was started ended."""
        return self._ended.popleft()


class Team:
    """Builds in up to *jobs* children at once; a context, at whose end none is left."""

    def __init__(self, store: Store, explain: Explain, jobs: int) -> None:
        self.jobs = jobs
        self._store = store
        self._explain = explain
        self._children: dict[Connection, tuple[int, Node]] = {}
        self._lifeline = os.pipe()

    def __enter__(self) -> "Team":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._dismiss(signal.SIGINT)
        except BaseException:
            # Asked twice to stop: they may leave litter, which the next build removes.
            self._dismiss(signal.SIGKILL)
            raise
        finally:
            for descriptor in self._lifeline:
                os.close(descriptor)

    def start(self, node: Node) -> None:
        """Begin to build *node* in a child."""
        # Imported here: it is needed for several models at once only.
        from multiprocessing.connection import Pipe

        ours, theirs = Pipe(duplex=False)
        # What comes now must not come between the fork and our knowing of the child.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        child = os.fork()
        if child == 0:
            self._be_child(node, theirs)
        self._children[ours] = child, node
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def wait(self) -> News | Ended:
        """What a child says next."""
        from select import select

        connection = select(self._children, [], [])[0][0]
        child, node = self._children[connection]
        try:
            said = connection.recv()
        except (EOFError, ConnectionResetError):
            said = None
        if isinstance(said, Status | Progress):
            return News(node, said)
        del self._children[connection]
        connection.close()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return Ended(node, *(said or (0.0, Failure(f"the build ended without a word ({code})"))))

    def _dismiss(self, number: int) -> None:
        for child, _ in self._children.values():
            with suppress(ProcessLookupError):
                os.kill(child, number)
        while self._children:
            connection, (child, _) = next(iter(self._children.items()))
            connection.close()  # A child that is just writing must not wait for us.
            with suppress(ChildProcessError):
                os.waitpid(child, 0)
            self._store.clear_up_after(child)
            del self._children[connection]

    def _be_child(self, node: Node, connection: "Connection") -> NoReturn:
        status = 1
        try:
            os.setpgid(0, 0)
            for number in _ENDS:
                signal.signal(number, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
            for other in self._children:
                other.close()
            os.close(self._lifeline[1])
            _end_with(self._lifeline[0])
            connection.send(_result(node, self._store, self._explain, connection.send))
            status = 0
        except (KeyboardInterrupt, BrokenPipeError):
            pass
        finally:
            # No way out through the parent's own tidying up and buffers.
            os._exit(status)


_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _end_with(lifeline: int) -> None:
    """Interrupt this process when nobody holds the other end of *lifeline* any more."""
    from threading import Thread

    def watch() -> None:
        os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGINT)

    Thread(target=watch, daemon=True).start()
