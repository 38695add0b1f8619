"""The process that holds the weights: frames in on stdin, frames out on stdout.

``python -P -m mbuild.runtime.llama_child``, started by :mod:`mbuild.runtime.llama`. The first
frame loads; each later one has an ``id`` that its answers repeat. One thread only reads, so that
a cancellation arrives while llama.cpp works, and so that the end of stdin (our parent is gone,
however it ended) ends this process at once. One answers questions about the vocabulary, which
need not wait for a step. The main one works: answers, as many at once as there are slots, and
between two steps of these the vectors of some texts.

In, after ``{"load": …}``: ``{"id", "tokenize": text}``, ``{"id", "pieces": tokens}``,
``{"id", "embed": inputs}``, ``{"id", "generate": request}``, ``{"id", "cancel": true}``. Out:
``{"loaded": …}`` or ``{"refused": reason}``, then ``{"id", "tokens"}``, ``{"id", "pieces"}``
(base64), ``{"id", "vectors"}`` (base64 of 32-bit floats) or ``{"id", "refused": reason}``,
``{"id", "piece", "count"}`` and perhaps ``"logprobs"``, and last of an answer ``{"id",
"finished", "stats"}`` or ``{"id", "bad_grammar": reason}``.
"""

import os
import queue
import signal
import sys
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import IO, Any, assert_never

from mbuild.runtime import batch, wire
from mbuild.runtime.batching import Answers
from mbuild.runtime.cancellations import Cancellations
from mbuild.runtime.cores import decoding_threads, physical_cores
from mbuild.runtime.engine import (
    Adapter,
    BadGrammar,
    Finished,
    Load,
    Loaded,
    LoadOptions,
    Logprob,
    Piece,
    Request,
    Sampling,
)
from mbuild.runtime.native import (
    Context,
    Embedder,
    Log,
    NoMemory,
    Refused,
    Weights,
    supports_gpu,
)
from mbuild.runtime.sampler import Sampler

_Frame = dict[str, Any]
_Frames = queue.SimpleQueue[_Frame]

_EMBED_ROOM = 2048  # tokens of an input that is embedded, if num_ctx allows; the reference's


@dataclass(frozen=True, slots=True)
class _Opened:
    """What was loaded; without a context it does not answer, without an embedder not embed."""

    loaded: Loaded
    weights: Weights
    context: Context | None = None
    embedder: Callable[[], Embedder] | None = None


class Child:
    """Three threads, and the frames between them."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._source = source
        self._sink = sink
        self._lock = threading.Lock()  # for _sink
        self._inbox: _Frames = queue.SimpleQueue()  # of the working thread
        self._questions: _Frames = queue.SimpleQueue()  # about the vocabulary
        self._cancellations = Cancellations()

    def run(self) -> None:
        """Load, then serve until stdin ends; returns only if the weights were refused."""
        threading.Thread(target=self._listen, daemon=True).start()
        log = Log(_complain)
        try:
            opened = _open(_load(self._inbox.get()["load"]), log)
        except Refused as refused:
            self._send({"refused": str(refused)})
            return
        threading.Thread(target=self._inform, args=(opened.weights,), daemon=True).start()
        self._send({"loaded": asdict(opened.loaded)})
        Work(opened, self._inbox, self._cancellations, self._send, log).run()

    def _inform(self, weights: Weights) -> None:
        while True:
            frame = self._questions.get()
            if "tokenize" in frame:
                answer: _Frame = {"tokens": weights.tokenize(frame["tokenize"])}
            else:
                pieces = [weights.piece(token, special=True) for token in frame["pieces"]]
                answer = {"pieces": [_text(each) for each in pieces]}
            self._send({"id": frame["id"], **answer})

    def _listen(self) -> None:
        try:
            while (frame := wire.read(self._source)) is not None:
                self._take(frame)
        finally:
            # The parent is gone, or wants us gone: nobody waits for what is under way.
            os._exit(0)

    def _take(self, frame: _Frame) -> None:
        if "cancel" in frame:
            self._cancellations.cancel(frame["id"])
        elif "tokenize" in frame or "pieces" in frame:
            self._questions.put(frame)
        else:
            if "generate" in frame:
                self._cancellations.expect(frame["id"])
            self._inbox.put(frame)

    def _send(self, *frames: _Frame) -> None:
        data = b"".join(map(wire.pack, frames))
        with self._lock:
            self._sink.write(data)
            self._sink.flush()


class Work:
    """The working thread: steps for the answers, and vectors between them."""

    def __init__(
        self,
        opened: _Opened,
        inbox: "_Frames",
        cancellations: Cancellations,
        send: Callable[..., None],
        log: Log,
    ) -> None:
        self._inbox = inbox
        self._send = send
        self._make_embedder = opened.embedder
        self._embedder: Embedder | None = None
        self._embedding: deque[Iterator[None]] = deque()  # the first is under way
        self._answers = _answers(opened, cancellations, log)

    def run(self) -> None:
        """Work for ever."""
        while True:
            if self._idle:
                self._take(self._inbox.get())
            while not self._inbox.empty():
                self._take(self._inbox.get())
            self._embed()
            if self._answers is not None and not self._answers.idle:
                self._send(*(_said(number, event) for number, event in self._answers.step()))

    @property
    def _idle(self) -> bool:
        return not self._embedding and (self._answers is None or self._answers.idle)

    def _take(self, frame: _Frame) -> None:
        if "embed" in frame:
            self._embedding.append(self._vectors(frame))
        else:
            assert self._answers is not None  # Nobody asks what cannot answer.
            self._answers.begin(frame["id"], _request(frame["generate"]))

    def _embed(self) -> None:
        while self._embedding:
            try:
                next(self._embedding[0])
            except StopIteration:
                self._embedding.popleft()
            else:
                return

    def _vectors(self, frame: _Frame) -> Iterator[None]:
        """Embed what *frame* holds, and stop after each part of it but the last."""
        assert self._make_embedder is not None
        try:
            self._embedder = self._embedder or self._make_embedder()
        except Refused as refused:
            self._send({"id": frame["id"], "refused": str(refused)})
            return
        found: list[str] = []
        for vectors in self._embedder.embed(frame["embed"]):
            found += map(_text, vectors)
            if len(found) < len(frame["embed"]):
                yield
        self._send({"id": frame["id"], "vectors": found})


def _answers(opened: _Opened, cancellations: Cancellations, log: Log) -> Answers | None:
    context, weights, num_ctx = opened.context, opened.weights, opened.loaded.num_ctx
    if context is None:
        return None

    def draws(request: Request) -> Sampler:
        seed = request.sampling.seed
        sampler = Sampler(
            request.sampling,
            weights,
            context,
            num_ctx=num_ctx,
            seed=int.from_bytes(os.urandom(4), "little") if seed == -1 else seed,
            grammar=request.grammar,
            log=log,
        )
        last = request.sampling.repeat_last_n
        sampler.accept(request.prompt[-last if last > 0 else 0 :] if last else ())
        return sampler

    cancellations.attach(lambda on: context.interrupt(on=on))
    return Answers(
        context,
        weights,
        draws,
        cancellations,
        parallel=context.parallel,
        num_ctx=num_ctx,
        clock=time.perf_counter_ns,
    )


def layers_to_try(num_gpu: int, *, gpu: bool) -> tuple[int, ...]:
    """How many layers to offer to the GPU: first, and if that does not load, next."""
    if not gpu:
        return (0,)
    return (-1, 0) if num_gpu < 0 else (num_gpu,)


def _open(load: Load, log: Log) -> _Opened:
    if load.vocab_only:
        weights = Weights(load, gpu_layers=0, log=log)
        return _Opened(Loaded(0, 0, weights.vocabulary()), weights)
    attempts = layers_to_try(load.options.num_gpu, gpu=supports_gpu())
    for layers in attempts[:-1]:
        try:
            return _open_with(load, layers, log)
        except Refused:
            continue  # All layers may be too many; the processor takes any model.
    return _open_with(load, attempts[-1], log)


def _open_with(load: Load, layers: int, log: Log) -> _Opened:
    weights = Weights(load, gpu_layers=layers, log=log)
    if not weights.generates:
        raise Refused("it is no model that continues a text")
    trained = weights.trained_ctx
    num_ctx = batch.context_size(load.options.num_ctx, trained)
    room = min(num_ctx, max(_EMBED_ROOM, load.options.num_batch))
    threads = load.options.num_thread or decoding_threads(physical_cores())
    embedder = partial(Embedder, weights, load, room=room, threads=threads, log=log)
    # What ends a text is added to an input.
    loaded = Loaded(num_ctx, trained, weights.vocabulary(), embed_ctx=room - weights.closes)
    try:
        context = Context(weights, load, num_ctx=num_ctx, threads=threads, log=log)
    except NoMemory:
        return _Opened(replace(loaded, num_ctx=0), weights, embedder=embedder)
    return _Opened(loaded, weights, context, embedder)


def _load(value: _Frame) -> Load:
    options = LoadOptions(**value["options"])
    adapters = tuple(Adapter(**each) for each in value["adapters"])
    return Load(value["weights"], adapters, options, value["vocab_only"])


def _request(value: _Frame) -> Request:
    lists = {"prompt": tuple(value["prompt"]), "stop": tuple(value["stop"])}
    return Request(**{**value, **lists, "sampling": Sampling(**value["sampling"])})


def _said(number: int, event: Piece | Finished | BadGrammar) -> _Frame:
    match event:
        case Piece(text, tokens, ()):
            return {"id": number, "piece": text, "count": tokens}
        case Piece(text, tokens, likely):
            told = [_likely(each) for each in likely]
            return {"id": number, "piece": text, "count": tokens, "logprobs": told}
        case Finished(reason, stats):
            return {"id": number, "finished": reason, "stats": asdict(stats)}
        case BadGrammar(reason=reason):
            return {"id": number, "bad_grammar": reason}
        case _:
            assert_never(event)


def _likely(given: Logprob) -> list[Any]:
    return [given.token, _text(given.data), given.logprob, [_likely(each) for each in given.top]]


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _complain(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def main() -> None:
    """Serve the process on the other end of stdin and stdout."""
    # Ctrl-C in the terminal is the parent's affair; it tells us what to cancel.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # An assertion of ggml would start a debugger to print its stack.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    # Native code may print to stdout; only frames belong there.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        Child(sys.stdin.buffer, sink).run()
    finally:
        # Neither the interpreter's end, which would wait for the reading thread, nor that of
        # the native libraries; a traceback is said first.
        _leave(sys.exc_info()[1])


def _leave(error: BaseException | None) -> None:
    if error is not None:
        sys.excepthook(type(error), error, error.__traceback__)
    sys.stderr.flush()
    os._exit(0 if error is None else 1)


if __name__ == "__main__":
    main()
