"""What is asked of an engine: text to tokens, tokens to an answer.

An engine holds one set of weights. `Engine` is the whole seam: the server, the command line and
the tests know nothing else of llama.cpp. Calls may come from several threads; an engine may
answer several requests at once (`LoadOptions.parallel`), and more than that wait. Values are
checked before they are made (:mod:`mbuild.runtime.options`), so that native code sees no number
that it cannot take.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, Self

from mbuild.runtime.batch import Speech, context_size, most_tokens


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What is fixed when weights are loaded."""

    num_ctx: int = 0  # tokens in one sequence; 0 = automatic
    num_batch: int = 512  # prompt tokens evaluated in one step
    num_gpu: int = -1  # layers on the GPU; -1 = as many as there are
    main_gpu: int | None = None  # use this GPU alone
    use_mmap: bool | None = None  # None = the engine decides
    num_thread: int = 0  # 0 = one for each physical core, but one
    parallel: int = 1  # answers at once, each with num_ctx tokens


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA file, and how strongly it acts."""

    path: str
    scale: float = 1.0  # finite; 0: not at all


@dataclass(frozen=True, slots=True)
class Load:
    """What an engine is started with; two equal loads can share one engine."""

    weights: str  # path of a GGUF file
    adapters: tuple[Adapter, ...] = ()  # what they do adds up
    options: LoadOptions = field(default_factory=LoadOptions)
    vocab_only: bool = False  # it tokenizes and cannot answer; quick, and takes little memory


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn. Defaults are those of the Modelfile language."""

    temperature: float = 0.8  # not above 0: the likeliest token, always
    top_k: int = 40  # not above 0: off
    top_p: float = 0.9  # from 1 on: off
    min_p: float = 0.0  # not above 0: off
    typical_p: float = 1.0  # from 1 on: off
    repeat_penalty: float = 1.0  # 1: off
    repeat_last_n: int = 64  # tokens; -1: the whole context
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int = -1  # -1: another one for each request


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to be generated."""

    prompt: tuple[int, ...]  # tokens, not empty, shorter than the context
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    num_predict: int = -1  # tokens; below 0: ten times the context
    num_keep: int = 4  # tokens kept at the front when the context is full; below 0: the prompt
    shift: bool = True  # whether the oldest tokens make room when the context is full
    grammar: str = ""  # GBNF, from the rule "root": all that may be said; empty: anything
    logprobs: int = -1  # the likeliest tokens told beside each that is drawn; below 0: nothing


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a prompt's author must know of the tokens."""

    size: int  # tokens
    bos: str = ""  # the text of the token that begins a sequence; empty: there is none
    eos: str = ""
    adds_bos: bool = False  # whether tokenizing puts it in front


@dataclass(frozen=True, slots=True)
class Loaded:
    """An engine, as it came to be."""

    num_ctx: int  # tokens in one sequence; 0: it cannot answer
    trained_ctx: int  # tokens that the model was trained for; 0 = it does not say
    vocabulary: Vocabulary
    duration: int = 0  # nanoseconds from the start to ready
    embed_ctx: int = 0  # tokens in an input of `Engine.embed`; 0: it cannot embed


class Reason(StrEnum):
    """Why an answer ended, in the wire's words."""

    STOP = "stop"  # The model ended it, a stop text came, or it repeated itself.
    LENGTH = "length"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Stats:
    """What an answer cost. Durations are in nanoseconds, as in the reference."""

    prompt_eval_count: int = 0  # tokens of the prompt, those in the cache included
    prompt_cached: int = 0  # of these, tokens that were in the cache
    prompt_eval_duration: int = 0
    eval_count: int = 0  # tokens drawn
    eval_duration: int = 0
    load_duration: int = 0
    total_duration: int = 0


@dataclass(frozen=True, slots=True)
class Logprob:
    """How likely the model found a token, before anything was done for the draw."""

    token: int
    data: bytes  # what it stands for
    logprob: float  # natural logarithm, at most about 0
    top: tuple["Logprob", ...] = ()  # the likeliest in its place, the likeliest first


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the answer: whole characters, never a part of a stop text."""

    text: str
    tokens: int = 1  # drawn since the piece before
    logprobs: tuple[Logprob, ...] = ()  # of these, if the request asks for them


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer, always the last that comes."""

    reason: Reason
    stats: Stats = field(default_factory=Stats)


class Generation(Protocol):
    """An answer under way: an iterator that is read to its end, or cancelled."""

    def __iter__(self) -> Iterator[Piece | Finished]: ...

    def __next__(self) -> Piece | Finished: ...

    def cancel(self) -> None:
        """End within one step, from any thread; what is due still comes, then `Finished`."""
        ...


class Engine(Protocol):
    """Loaded weights. Making one loads them; `close` gives everything back."""

    @property
    def loaded(self) -> Loaded: ...

    def tokenize(self, text: str) -> tuple[int, ...]:
        """The tokens of a whole prompt.

        Special tokens written out in *text* become these tokens, whoever wrote them, as in the
        reference. The token that begins a sequence is put in front if the vocabulary wants it,
        but never twice.
        """
        ...

    def pieces(self, tokens: Sequence[int]) -> tuple[bytes, ...]:
        """The bytes of each token, special ones written out."""
        ...

    def generate(self, request: Request) -> Generation:
        """Begin an answer.

        Raises:
            PromptTooLong: the prompt leaves no room in the context.
            BadGrammar: llama.cpp does not take the grammar; it may be told while reading.
            EngineDied: the engine is gone.
        """
        ...

    def embed(self, inputs: Sequence[Sequence[int]]) -> list[list[float]]:
        """The vector of each of *inputs*, as the model pools it, or the mean; not normalised.

        The token that ends a text is added where the vocabulary wants it.

        Raises:
            PromptTooLong: an input has more than `Loaded.embed_ctx` tokens.
            CannotLoad: llama.cpp makes no vectors with this model.
            EngineDied: the engine is gone.
        """
        ...

    def close(self) -> None:
        """End the engine, and with it every answer; it may be called twice."""
        ...


EngineFactory = Callable[[Load], Engine]


class EngineMissing(Exception):
    """A package that answering needs is not installed; *hint* says more on installing it."""

    hint = (
        "this compiles llama.cpp, with a C++ compiler and in some minutes; on a Mac the build has"
        " Metal. Prebuilt wheels: https://llama-cpp-python.readthedocs.io/"
    )

    def __init__(self, package: str) -> None:
        super().__init__(f"{package} is not installed: pip install 'mbuild-modelfile[run]'")
        self.package = package


class CannotLoad(Exception):
    """Weights that the engine does not take."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot load {path}: {reason}")
        self.path = path
        self.reason = reason


class EngineDied(Exception):
    """The engine's process ended when it should not have."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the engine ended: {reason}")
        self.reason = reason


class BadGrammar(Exception):
    """A grammar that llama.cpp does not take, or that this vocabulary cannot follow."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the grammar cannot be followed: {reason}")
        self.reason = reason


class PromptTooLong(Exception):
    """A prompt that does not fit into the context."""

    def __init__(self, tokens: int, num_ctx: int) -> None:
        super().__init__(
            f"the prompt has {tokens} tokens, and the context holds {num_ctx}:"
            " shorten it, or raise num_ctx"
        )
        self.tokens = tokens
        self.num_ctx = num_ctx


class _Recital:
    """An answer of the parrot."""

    def __init__(self, words: Sequence[str], request: Request, limit: int) -> None:
        self._said = self._say(words, request, limit)
        self._cancelled = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Piece | Finished:
        return next(self._said)

    def cancel(self) -> None:
        self._cancelled = True

    def _say(
        self, words: Sequence[str], request: Request, limit: int
    ) -> Iterator[Piece | Finished]:
        speech = Speech(request.stop)
        drawn = 0
        for word in words[:limit]:
            if self._cancelled or speech.over:
                break
            drawn += 1
            if text := speech.hear(word.encode("utf-8", "replace")):
                yield Piece(text)
        if text := speech.rest():
            yield Piece(text)
        cut_short = len(words) > limit and not speech.over
        reason = Reason.LENGTH if cut_short else Reason.STOP
        stats = Stats(prompt_eval_count=len(request.prompt), eval_count=drawn)
        yield Finished(Reason.CANCELLED if self._cancelled else reason, stats)


@dataclass(slots=True)
class Parrot:
    """An engine for tests: it says *script*, or the prompt again, word by word.

    A token of a prompt is a character, a token of an answer a word.
    """

    load: Load = field(default_factory=lambda: Load("parrot.gguf"))
    script: str | None = None
    requests: list[Request] = field(default_factory=list)  # in the order in which they came
    closed: bool = False

    @property
    def loaded(self) -> Loaded:
        num_ctx = context_size(self.load.options.num_ctx, 0)
        return Loaded(num_ctx, num_ctx, Vocabulary(size=0x110000), embed_ctx=num_ctx)

    def tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))

    def pieces(self, tokens: Sequence[int]) -> tuple[bytes, ...]:
        return tuple(chr(token).encode() for token in tokens)

    def generate(self, request: Request) -> Generation:
        num_ctx = self.loaded.num_ctx
        if self.closed:
            raise EngineDied("it was closed")
        if len(request.prompt) >= num_ctx:
            raise PromptTooLong(len(request.prompt), num_ctx)
        self.requests.append(request)
        text = "".join(map(chr, request.prompt)) if self.script is None else self.script
        return _Recital(_words(text), request, most_tokens(request.num_predict, num_ctx))

    def embed(self, inputs: Sequence[Sequence[int]]) -> list[list[float]]:
        """The number of tokens, the first and the last of them."""
        num_ctx = self.loaded.embed_ctx
        if self.closed:
            raise EngineDied("it was closed")
        if longest := max((len(each) for each in inputs if len(each) > num_ctx), default=0):
            raise PromptTooLong(longest, num_ctx)
        return [[float(len(each)), float(each[0]), float(each[-1])] for each in inputs]

    def close(self) -> None:
        self.closed = True


def _words(text: str) -> list[str]:
    """The words of *text*, each with the blank before it; joined they are *text*."""
    return [word if index == 0 else " " + word for index, word in enumerate(text.split(" "))]
