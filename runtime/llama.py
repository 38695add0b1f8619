"""llama.cpp as an engine: a child process, and this side of the pipes to it.

Native code that crashes ends the child, not us; what it said last is the reason that
`EngineDied` gives. Three threads serve the three pipes: one writes, one hands arriving frames
to whoever waits for them, one keeps the last lines of stderr. The child ends when its stdin
does, so it cannot outlive us.
"""

import signal
import subprocess
import sys
import threading
import time
from array import array
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from importlib.util import find_spec
from itertools import count
from queue import SimpleQueue
from typing import IO, Any, Self

from mbuild.runtime import wire
from mbuild.runtime.engine import (
    BadGrammar,
    CannotLoad,
    EngineDied,
    EngineMissing,
    Finished,
    Load,
    Loaded,
    Logprob,
    Piece,
    PromptTooLong,
    Reason,
    Request,
    Stats,
    Vocabulary,
)

_PATIENCE = 2.0  # seconds that a child gets to end by itself
_LINES = 50  # of stderr, kept for the reason of a crash

_Frame = dict[str, Any]
_Answers = SimpleQueue[_Frame | None]  # None: nothing more will come.


class Llama:
    """Weights in a child process.

    Making one starts the child and waits until the weights are loaded. *log* gets each line
    that the child says on stderr, from another thread.

    Raises:
        EngineMissing: the bindings are not installed.
        CannotLoad: llama.cpp does not take the weights, or crashed on them.
    """

    def __init__(self, load: Load, *, log: Callable[[str], None] | None = None) -> None:
        if find_spec("llama_cpp") is None:
            raise EngineMissing("llama-cpp-python")
        begun = time.perf_counter_ns()
        self._path = load.weights
        self._child = _Process(log)
        try:
            loaded = self._load(load)
        except BaseException:
            # Ctrl-C among them: nobody else can close what was never returned.
            self.close()
            raise
        self._loaded = replace(loaded, duration=time.perf_counter_ns() - begun)

    @property
    def loaded(self) -> Loaded:
        return self._loaded

    @property
    def process(self) -> int:
        """The child's process id."""
        return self._child.number

    def tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(self._ask("tokenize", text)["tokens"])

    def pieces(self, tokens: Sequence[int]) -> tuple[bytes, ...]:
        self._check([0, *tokens])
        return tuple(map(b64decode, self._ask("pieces", list(tokens))["pieces"]))

    def generate(self, request: Request) -> "Answer":
        if not self._loaded.num_ctx:
            raise ValueError(f"it cannot answer: {self._incapable()}")
        if len(request.prompt) >= self._loaded.num_ctx:
            raise PromptTooLong(len(request.prompt), self._loaded.num_ctx)
        self._check(request.prompt)
        return Answer(self._child, asdict(request))

    def embed(self, inputs: Sequence[Sequence[int]]) -> list[list[float]]:
        room = self._loaded.embed_ctx
        if not room:
            raise ValueError(f"it cannot embed: {self._incapable()}")
        for each in inputs:
            self._check(each)
            if len(each) > room:
                raise PromptTooLong(len(each), room)
        frame = self._ask("embed", [list(each) for each in inputs])
        if "refused" in frame:
            raise CannotLoad(self._path, frame["refused"])
        return [array("f", b64decode(each)).tolist() for each in frame["vectors"]]

    def close(self) -> None:
        self._child.close()

    def _check(self, tokens: Sequence[int]) -> None:
        size = self._loaded.vocabulary.size
        if not tokens:
            raise ValueError("what the model is to read has no tokens")
        if min(tokens) < 0 or max(tokens) >= size:
            raise ValueError(f"tokens are numbers from 0 to {size - 1}")

    def _incapable(self) -> str:
        embeds = self._loaded.embed_ctx
        return "the model only embeds" if embeds else "only the vocabulary is loaded"

    def _load(self, load: Load) -> Loaded:
        answers = self._child.listen(0)
        self._child.send({"load": asdict(load)})
        try:
            frame = self._child.wait(answers)
        except EngineDied as died:
            raise CannotLoad(load.weights, died.reason) from None
        if "refused" in frame:
            raise CannotLoad(load.weights, frame["refused"])
        value = frame["loaded"]
        return Loaded(**{**value, "vocabulary": Vocabulary(**value["vocabulary"])})

    def _ask(self, question: str, value: object) -> _Frame:
        number = self._child.next_number()
        answers = self._child.listen(number)
        self._child.send({"id": number, question: value})
        return self._child.wait(answers)


class Answer:
    """An answer under way in the child."""

    def __init__(self, child: "_Process", request: _Frame) -> None:
        self._child = child
        self._number = child.next_number()
        self._answers = child.listen(self._number)
        self._ended = False
        child.send({"id": self._number, "generate": request})

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Piece | Finished:
        if self._ended:
            raise StopIteration
        frame = self._child.wait(self._answers)
        if "piece" in frame:
            likely = tuple(_logprob(each) for each in frame.get("logprobs", ()))
            return Piece(frame["piece"], frame["count"], likely)
        self._ended = True
        if "bad_grammar" in frame:
            raise BadGrammar(frame["bad_grammar"])
        return Finished(Reason(frame["finished"]), Stats(**frame["stats"]))

    def cancel(self) -> None:
        if not self._ended:
            self._child.send({"id": self._number, "cancel": True})


def _logprob(value: Sequence[Any]) -> Logprob:
    token, data, logprob, top = value
    return Logprob(token, b64decode(data), logprob, tuple(_logprob(each) for each in top))


class _Process:
    """The child process: frames to it, frames from it by their number, and its end."""

    def __init__(self, log: Callable[[str], None] | None) -> None:
        self._log = log
        self._numbers = count(1)
        self._lock = threading.Lock()  # for _waiting and _over
        self._waiting: dict[int, _Answers] = {}
        self._over = False
        self._lines: deque[str] = deque(maxlen=_LINES)
        # Written by a thread: Ctrl-C in the middle of a write would leave half a frame.
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._process = subprocess.Popen(
            # -P: a json.py in the user's folder is not our json.
            [sys.executable, "-P", "-m", "mbuild.runtime.llama_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # A group of its own: Ctrl-C in the terminal reaches only us.
            process_group=0,
        )
        tasks = (self._hear, self._hand_out, self._write)
        self._threads = [threading.Thread(target=task, daemon=True) for task in tasks]
        for thread in self._threads:
            thread.start()

    @property
    def number(self) -> int:
        return self._process.pid

    def next_number(self) -> int:
        """A number for a question, larger than all before."""
        return next(self._numbers)

    def listen(self, number: int) -> _Answers:
        """Where the answers to question *number* will arrive."""
        answers: _Answers = SimpleQueue()
        with self._lock:
            self._waiting[number] = answers
            if self._over:
                answers.put(None)
        return answers

    def wait(self, answers: _Answers) -> _Frame:
        """The next of *answers*; blocks.

        Raises:
            EngineDied: the child ended first.
        """
        frame = answers.get()
        if frame is None:
            answers.put(None)
            raise EngineDied(self._epitaph())
        return frame

    def send(self, frame: _Frame) -> None:
        """Have *frame* written; if the child has ended, whoever waits is told that."""
        self._outbox.put(wire.pack(frame))

    def close(self) -> None:
        """End the child, at the latest by force, and the threads with it."""
        self._outbox.put(None)
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        with suppress(BrokenPipeError), _stream(self._process.stdin) as stream:
            while (data := self._outbox.get()) is not None:
                stream.write(data)
                stream.flush()

    def _hand_out(self) -> None:
        with _stream(self._process.stdout) as stream:
            while (frame := _next_frame(stream)) is not None:
                self._deliver(frame)
        with self._lock:
            self._over = True
            for answers in self._waiting.values():
                answers.put(None)

    def _deliver(self, frame: _Frame) -> None:
        number = frame.get("id", 0)
        with self._lock:
            # Only pieces are followed by more.
            waiting = self._waiting
            answers = waiting[number] if "piece" in frame else waiting.pop(number)
        answers.put(frame)

    def _hear(self) -> None:
        with _stream(self._process.stderr) as stream:
            for line in stream:
                text = line.decode("utf-8", "replace").rstrip()
                self._lines.append(text)
                if self._log is not None:
                    self._log(text)

    def _epitaph(self) -> str:
        """Why the child ended, in one line."""
        code = self._process.wait()
        self._threads[0].join()
        return epitaph(code, list(self._lines))


def epitaph(code: int, lines: Sequence[str]) -> str:
    """Why a process ended: by its exit *code*, and the last *lines* that it said."""
    if -code == signal.SIGKILL:
        return "killed by SIGKILL, as happens when memory runs out"
    how = f"killed by {_signal_name(-code)}" if code < 0 else f"exit code {code}"
    asserted = [line for line in lines if "GGML_ASSERT" in line]
    said = (asserted or [line for line in lines if line.strip()])[-1:]
    return f"{how}: {_without_folder(said[0].strip())}" if said else how


def _without_folder(line: str) -> str:
    """*line* without the folder of the source that an assertion stands in."""
    place, asserted, rest = line.partition("GGML_ASSERT")
    return f"{place.rpartition('/')[2]}{asserted}{rest}" if asserted else line


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _next_frame(stream: IO[bytes]) -> Any:
    try:
        return wire.read(stream)
    except wire.BrokenFrame:
        return None  # It was killed while it wrote.


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
