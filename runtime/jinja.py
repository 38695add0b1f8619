"""The GGUF's own chat template, filled in a process of its own.

A template comes with the weights, from a stranger, and is a program. One worker process fills
all templates, one after another; it has no environment, little memory, and a few seconds for
each (:mod:`mbuild.runtime.jinja_worker`). A template that exceeds a limit costs the worker its
life, and the next one gets a new worker.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from importlib.util import find_spec
from typing import IO, Any

from mbuild.runtime import wire
from mbuild.runtime.engine import EngineMissing
from mbuild.runtime.message import Message
from mbuild.runtime.prompt import NoPlaceFor, Prompt, TemplateRefused, Think, variables
from mbuild.runtime.thinking import tags_of_jinja

PATIENCE = 5.0  # seconds for one rendering
_START = 20.0  # seconds that a new worker may take to be ready


class TemplateTooBig(Exception):
    """A template that takes too much time or memory, or says too much."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the model's chat template was stopped: {reason}")
        self.reason = reason


class WorkerDied(Exception):
    """The process that fills templates did not start."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the worker for chat templates did not start: {reason}")
        self.reason = reason


class Templates:
    """The worker that fills templates, started when it is first needed.

    Calls may come from several threads; they wait for each other.
    """

    def __init__(
        self, *, patience: float = PATIENCE, now: Callable[[], datetime] = datetime.now
    ) -> None:
        self._patience = patience
        self._now = now
        self._lock = threading.Lock()
        self._worker: _Worker | None = None

    def warm(self) -> None:
        """Start the worker, and do not wait for it.

        Raises:
            EngineMissing: Jinja is not installed.
        """
        with self._lock:
            self._ready()

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """The text of *template*, filled with *values*, which JSON must be able to hold.

        Raises:
            EngineMissing: Jinja is not installed.
            TemplateRefused: the template is wrong, or refuses the values.
            TemplateTooBig: it takes more time or memory than it gets, or says too much.
        """
        frame = {"template": template, "variables": values, "now": self._now().isoformat()}
        with self._lock:
            answer = self._ask(wire.pack(frame))
        if "refused" in answer:
            raise TemplateRefused(answer["refused"])
        if "big" in answer:
            raise TemplateTooBig(answer["big"])
        return str(answer["text"])

    def close(self) -> None:
        """End the worker; it may be called twice, and the next rendering starts another."""
        with self._lock:
            self._drop()

    def _ask(self, frame: bytes) -> dict[str, Any]:
        worker = self._ready()
        try:
            return worker.ask(frame, self._patience)
        except BaseException:
            # Also if it was Ctrl-C: its answer would be taken for that of the next.
            self._drop()
            raise

    def _ready(self) -> "_Worker":
        if self._worker is None:
            if find_spec("jinja2") is None:
                raise EngineMissing("jinja2")
            self._worker = _Worker()
        return self._worker

    def _drop(self) -> None:
        if self._worker is not None:
            self._worker.close()
        self._worker = None


class ChatTemplate:
    """One model's own template: a `Renderer`, of whose text no part is known.

    *bos* and *eos* are the texts of the tokens that begin and end a sequence.
    """

    def __init__(self, templates: Templates, text: str, *, bos: str = "", eos: str = "") -> None:
        self._templates = templates
        self._text = text
        self._bos = bos
        self._eos = eos
        self.thinking_tags = tags_of_jinja(text)

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        think: Think = None,
    ) -> Prompt:
        """The whole prompt; raises what `Templates.render` raises, too.

        A template that knows of thinking is told to think, unless said.
        """
        if tools and "tools" not in self._text and "tool_call" not in self._text:
            raise NoPlaceFor("tools")
        wanted = True if think is None and self.thinking_tags else think
        values = variables(messages, bos=self._bos, eos=self._eos, tools=tools, think=wanted)
        return Prompt((self._templates.render(self._text, values),))

    def warm(self) -> None:
        """Start the worker; raises what `Templates.warm` raises."""
        self._templates.warm()

    def fill_in(self, _: str, _suffix: str, /) -> Prompt:
        """Nothing: there is no such form of template in GGUF files."""
        raise NoPlaceFor("a suffix")


class _Worker:
    """The process. Whoever gets an exception from it must close it."""

    def __init__(self) -> None:
        # Where modules are found is all that it is told of us.
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "mbuild.runtime.jinja_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONPATH": paths},
            process_group=0,
        )
        self._ready = False

    def ask(self, frame: bytes, patience: float) -> dict[str, Any]:
        """The answer to *frame*.

        Raises:
            WorkerDied: it did not even start.
            TemplateTooBig: it does not answer within *patience* seconds, or died of the question.
        """
        if not self._ready and self._exchange(b"", _START) is None:
            raise WorkerDied(self._end(_START))
        self._ready = True
        answer = self._exchange(frame, patience)
        if answer is None:
            raise TemplateTooBig(self._end(patience))
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._stdin.close()
        self._stdout.close()

    def _exchange(self, frame: bytes, patience: float) -> dict[str, Any] | None:
        """Write *frame* and read an answer; ``None`` if the process ends, at the latest by us."""
        timer = threading.Timer(patience, self._process.kill)
        timer.start()
        try:
            self._stdin.write(frame)
            self._stdin.flush()
            answer: dict[str, Any] | None = wire.read(self._stdout)
        except (BrokenPipeError, wire.BrokenFrame):
            return None
        finally:
            timer.cancel()
        return answer

    def _end(self, patience: float) -> str:
        code = -self._process.wait()
        # By us, or by the limit of its processor time.
        if code in (signal.SIGKILL, signal.SIGXCPU):
            return f"it took longer than {patience:g} seconds"
        return "it ended the process that ran it"

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout
