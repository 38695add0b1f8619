"""The process that holds the weights: frames in on stdin, frames out on stdout.

``python -P -m mbuild.runtime.llama_child``, started by :mod:`mbuild.runtime.llama`. The first
frame loads; each later one has an ``id`` that its answers repeat. One thread only reads, so that
a cancellation arrives while llama.cpp works, and so that the end of stdin (our parent is gone,
however it ended) ends this process at once. Requests are served one after another.

In, after ``{"load": …}``: ``{"id", "tokenize": text}``, ``{"id", "pieces": tokens}``,
``{"id", "generate": request}``, ``{"id", "cancel": true}``. Out: ``{"loaded": …}`` or
``{"refused": reason}``, then ``{"id", "tokens"}``, ``{"id", "pieces"}`` (base64), ``{"id",
"piece", "count"}``, and last of an answer ``{"id", "finished", "stats"}`` or ``{"id",
"bad_grammar": reason}``.
"""

import os
import queue
import signal
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from typing import IO, Any

from mbuild.runtime import batch, wire
from mbuild.runtime.cores import physical_cores
from mbuild.runtime.engine import (
    Adapter,
    BadGrammar,
    Finished,
    Load,
    Loaded,
    LoadOptions,
    Piece,
    Reason,
    Request,
    Sampling,
    Stats,
)
from mbuild.runtime.native import Context, Log, Refused, Weights, supports_gpu
from mbuild.runtime.sampler import Sampler

_Frame = dict[str, Any]


class Cancellations:
    """Which requests are to end: said by the reading thread, obeyed by the working one."""

    def __init__(self) -> None:
        self._interrupt: Callable[[bool], None] = lambda on: None  # noqa: ARG005 - no step yet.
        self._lock = threading.Lock()
        self._running = 0  # 0: none; ids grow from 1.
        self._waiting: set[int] = set()
        self._cancelled = False

    def attach(self, interrupt: Callable[[bool], None]) -> None:
        """Call *interrupt* when the step under way is to end, and when none is any more."""
        self._interrupt = interrupt

    def cancel(self, number: int) -> None:
        """End request *number*, whether it runs or waits."""
        with self._lock:
            if number == self._running:
                self._set(cancelled=True)
            else:
                self._waiting.add(number)

    def begin(self, number: int) -> None:
        """Request *number* runs from now on."""
        with self._lock:
            self._running = number
            self._set(cancelled=number in self._waiting)
            # What was cancelled too late is forgotten with it.
            self._waiting = {other for other in self._waiting if other > number}

    def end(self) -> None:
        """No request runs."""
        with self._lock:
            self._running = 0
            self._set(cancelled=False)

    def __bool__(self) -> bool:
        return self._cancelled

    def _set(self, *, cancelled: bool) -> None:
        self._cancelled = cancelled
        self._interrupt(cancelled)


class Reader:
    """One sequence: what the context has read so far, and how it reads and says more."""

    def __init__(self, weights: Weights, context: Context, num_ctx: int, log: Log) -> None:
        self._log = log
        self._weights = weights
        self._context = context
        self._num_ctx = num_ctx
        self._tokens: list[int] = []  # as they lie in the context

    def answer(self, request: Request, cancelled: Cancellations) -> Iterator[Piece | Finished]:
        """The answer to *request*, piece by piece.

        Raises:
        x
        """
        with closing(self._sampler(request)) as sampler:
            yield from self._answer(request, sampler, cancelled)

    def _answer(
        self, request: Request, sampler: Sampler, cancelled: Cancellations
    ) -> Iterator[Piece | Finished]:
        start = time.perf_counter_ns()
        cached = self._take_prefix(request.prompt)
        reason = self._read(request.prompt[cached:], cancelled)
        read = time.perf_counter_ns()
        voice = _Voice(self, request, sampler) if reason is None else None
        if voice is not None:
            yield from voice.pieces(cancelled)
            reason = voice.reason
        assert reason is not None
        yield Finished(
            reason,
            Stats(
                prompt_eval_count=len(request.prompt),
                prompt_cached=cached,
                prompt_eval_duration=read - start,
                eval_count=voice.drawn if voice else 0,
                eval_duration=time.perf_counter_ns() - read,
            ),
        )

    def _sampler(self, request: Request) -> Sampler:
        """The sampler for *request*, which knows the prompt."""
        seed = request.sampling.seed
        sampler = Sampler(
            request.sampling,
            self._weights,
            num_ctx=self._num_ctx,
            seed=int.from_bytes(os.urandom(4), "little") if seed == -1 else seed,
            grammar=request.grammar,
            log=self._log,
        )
        last = request.sampling.repeat_last_n
        sampler.accept(request.prompt[-last if last > 0 else 0 :] if last else ())
        return sampler

    def draw(self, sampler: Sampler) -> int | None:
        return sampler.draw(self._context)

    def spoken(self, token: int) -> bytes | None:
        """The bytes that *token* adds to an answer; ``None`` if it ends the answer."""
        return None if self._weights.ends(token) else self._weights.spoken(token)

    def append(self, token: int, request: Request) -> Reason | None:
        """Read one *token* more; the reason why that was not possible."""
        if len(self._tokens) >= self._num_ctx:
            if not (request.shift and self._context.can_shift):
                return Reason.LENGTH
            self._make_room(request)
        if not self._context.evaluate((token,), len(self._tokens)):
            self._context.keep(len(self._tokens))
            return Reason.CANCELLED
        self._tokens.append(token)
        return None

    def limit(self, request: Request) -> int:
        return batch.most_tokens(request.num_predict, self._num_ctx)

    def _take_prefix(self, prompt: tuple[int, ...]) -> int:
        """Go back to what the context has in common with *prompt*; the number of its tokens."""
        count = batch.common(self._tokens, prompt)
        if count < len(self._tokens) and not self._context.keep(count):
            count = 0
        del self._tokens[count:]
        return count

    def _read(self, tokens: tuple[int, ...], cancelled: Cancellations) -> Reason | None:
        for start, end in batch.portions(0, len(tokens), self._context.batch_size):
            part = tokens[start:end]
            if cancelled or not self._context.evaluate(part, len(self._tokens)):
                self._forget_part()
                return Reason.CANCELLED
            self._tokens += part
        return None

    def _forget_part(self) -> None:
        if not self._context.keep(len(self._tokens)):
            self._tokens.clear()

    def _make_room(self, request: Request) -> None:
        used = len(self._tokens)
        bos = self._weights.adds_bos
        gone = batch.shift(used, request.num_keep, len(request.prompt), self._num_ctx, bos=bos)
        self._context.discard(gone.keep, gone.discard)
        del self._tokens[gone.keep : gone.keep + gone.discard]


class _Voice:
    """One answer, after its prompt has been read."""

    def __init__(self, reader: Reader, request: Request, sampler: Sampler) -> None:
        self._reader = reader
        self._sampler = sampler
        self._request = request
        self._speech = batch.Speech(request.stop)
        self._unsaid = 0  # tokens drawn since the last piece
        self.drawn = 0  # tokens
        self.reason: Reason | None = None

    def pieces(self, cancelled: Cancellations) -> Iterator[Piece]:
        """The pieces; afterwards `reason` is known."""
        limit = self._reader.limit(self._request)
        self.reason = Reason.LENGTH if limit == 0 else None
        while self.reason is None:
            if cancelled:
                self.reason = Reason.CANCELLED
                break
            token = self._reader.draw(self._sampler)
            if token is None:
                self.reason = Reason.STOP
                break
            yield from self._said(self._hear(token))
            if self.reason is None and self.drawn >= limit:
                self.reason = Reason.LENGTH
            self.reason = self.reason or self._reader.append(token, self._request)
        yield from self._said(self._speech.rest())
        # A stop text may have come to light only now.
        self.reason = Reason.STOP if self._speech.stopped else self.reason

    def _hear(self, token: int) -> str:
        self.drawn += 1
        self._unsaid += 1
        data = self._reader.spoken(token)
        text = "" if data is None else self._speech.hear(data)
        if data is None or self._speech.over:
            self.reason = Reason.STOP
        return text

    def _said(self, text: str) -> Iterator[Piece]:
        if text:
            yield Piece(text, self._unsaid)
            self._unsaid = 0


class Child:
    """The loop: one frame after another, in the order in which they came."""

    def __init__(self, source: IO[bytes], sink: IO[bytes]) -> None:
        self._source = source
        self._sink = sink
        self._inbox: queue.SimpleQueue[_Frame] = queue.SimpleQueue()
        self._cancellations = Cancellations()

    def run(self) -> None:
        """Load, then serve until stdin ends; returns only if the weights were refused."""
        threading.Thread(target=self._listen, daemon=True).start()
        log = Log(_complain)
        try:
            weights, context, loaded = _open(_load(self._inbox.get()["load"]), log)
        except Refused as refused:
            self._send({"refused": str(refused)})
            return
        reader = None
        if context is not None:
            self._cancellations.attach(lambda on: context.interrupt(on=on))
            reader = Reader(weights, context, loaded.num_ctx, log)
        self._send({"loaded": asdict(loaded)})
        while True:
            self._serve(self._inbox.get(), weights, reader)

    def _serve(self, frame: _Frame, weights: Weights, reader: Reader | None) -> None:
        number = frame["id"]
        if "tokenize" in frame:
            self._send({"id": number, "tokens": weights.tokenize(frame["tokenize"])})
        elif "pieces" in frame:
            pieces = [weights.piece(token, special=True) for token in frame["pieces"]]
            self._send({"id": number, "pieces": [b64encode(each).decode() for each in pieces]})
        else:
            assert reader is not None  # Of a vocabulary nobody asks for an answer.
            self._cancellations.begin(number)
            try:
                for event in reader.answer(_request(frame["generate"]), self._cancellations):
                    self._send({"id": number, **_event(event)})
            except BadGrammar as bad:
                self._send({"id": number, "bad_grammar": bad.reason})
            self._cancellations.end()

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
        else:
            self._inbox.put(frame)

    def _send(self, frame: _Frame) -> None:
        self._sink.write(wire.pack(frame))
        self._sink.flush()


def layers_to_try(num_gpu: int, *, gpu: bool) -> tuple[int, ...]:
    """How many layers to offer to the GPU: first, and if that does not load, next."""
    if not gpu:
        return (0,)
    return (-1, 0) if num_gpu < 0 else (num_gpu,)


def _open(load: Load, log: Log) -> tuple[Weights, Context | None, Loaded]:
    if load.vocab_only:
        weights = Weights(load, gpu_layers=0, log=log)
        return weights, None, Loaded(0, 0, weights.vocabulary())
    attempts = layers_to_try(load.options.num_gpu, gpu=supports_gpu())
    for layers in attempts[:-1]:
        try:
            return _open_with(load, layers, log)
        except Refused:
            continue  # All layers may be too many; the processor takes any model.
    return _open_with(load, attempts[-1], log)


def _open_with(load: Load, layers: int, log: Log) -> tuple[Weights, Context, Loaded]:
    weights = Weights(load, gpu_layers=layers, log=log)
    if not weights.generates:
        raise Refused("it is no model that continues a text")
    num_ctx = batch.context_size(load.options.num_ctx, weights.trained_ctx)
    threads = load.options.num_thread or physical_cores()
    context = Context(weights, load, num_ctx=num_ctx, threads=threads, log=log)
    return weights, context, Loaded(num_ctx, weights.trained_ctx, weights.vocabulary())


def _load(value: _Frame) -> Load:
    options = LoadOptions(**value["options"])
    adapters = tuple(Adapter(**each) for each in value["adapters"])
    return Load(value["weights"], adapters, options, value["vocab_only"])


def _request(value: _Frame) -> Request:
    lists = {"prompt": tuple(value["prompt"]), "stop": tuple(value["stop"])}
    return Request(**{**value, **lists, "sampling": Sampling(**value["sampling"])})


def _event(event: Piece | Finished) -> _Frame:
    match event:
        case Piece(text, tokens):
            return {"piece": text, "count": tokens}
        case Finished(reason, stats):
            return {"finished": reason, "stats": asdict(stats)}


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
