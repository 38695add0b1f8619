"""A model and its engine, answering: what `run` talks to.

A `Session` keeps the engine between the turns of a chat, so that each turn evaluates only what
is new, and starts another when options ask for it or the engine died.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from mbuild.runtime import options, prompt
from mbuild.runtime.engine import (
    Engine,
    EngineDied,
    EngineFactory,
    Finished,
    Generation,
    Load,
    LoadOptions,
    Piece,
    Request,
)
from mbuild.runtime.jinja import Templates
from mbuild.runtime.message import Message
from mbuild.runtime.model import Model
from mbuild.runtime.prompt import TemplateRefused
from mbuild.runtime.renderers import Choice, choose


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was left out of a conversation that is longer than the context."""

    messages: tuple[Message, ...]
    num_ctx: int  # tokens


Event = Dropped | Piece | Finished


class Session:
    """A model that answers. One thread at a time may ask; any may `cancel`.

    Its prompts are made by the renderer that `renderers.choose` chooses, or by *renderer*; raises
    what that raises.
    """

    def __init__(
        self,
        model: Model,
        *,
        start: EngineFactory,
        templates: Templates,
        renderer: Choice | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        self._renderer = choose(model, templates, renderer)
        self.model = model
        self._start = start
        self._clock = clock
        self._engine: Engine | None = None
        self._load: Load | None = None
        self._generation: Generation | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def warm(self, given: Mapping[str, Any] | None = None) -> None:
        """Load the weights, and have the template ready, before anyone asks.

        Raises:
            BadOption: an option of the model or of *given* is wrong.
            EngineMissing, CannotLoad: there is no engine, or it does not take the weights.
        """
        self._renderer.warm()
        self._ready(self._options(given).load)

    def chat(
        self,
        messages: Sequence[Message],
        given: Mapping[str, Any] | None = None,
        *,
        truncate: bool = True,
    ) -> Iterator[Event]:
        """The answer to a conversation, whose last message is mostly the user's.

        *given* are options that go before those of the model. Closing the iterator, and any
        exception raised where it is read, Ctrl-C included, ends the answer.

        Raises:
            BadOption, EngineMissing, CannotLoad: see `warm`.
            TemplateRefused, TemplateTooBig: the model's template does not take this.
            PromptTooLong: the last message alone is too long, or *truncate* is false.
            EngineDied: the engine ended; the next question starts another.
        """
        turns = prompt.conversation(self.model.system, self.model.messages, messages)
        return self._answer(turns, given or {}, truncate=truncate)

    def ask(
        self,
        text: str,
        given: Mapping[str, Any] | None = None,
        *,
        system: str | None = None,
        truncate: bool = True,
    ) -> Iterator[Event]:
        """The answer to a single question; *system* replaces the model's. Raises as `chat`."""
        first = self.model.system if system is None else system
        turns = prompt.one_shot(first, self.model.messages, text)
        return self._answer(turns, given or {}, truncate=truncate)

    def cancel(self) -> None:
        """End the answer under way, from any thread; its `Finished` still comes."""
        generation = self._generation
        if generation is not None:
            generation.cancel()

    def close(self) -> None:
        """End the engine. The templates' worker belongs to whoever made it."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    def _answer(
        self, turns: Sequence[Message], given: Mapping[str, Any], *, truncate: bool
    ) -> Iterator[Event]:
        begun = self._clock()
        chosen = self._options(given)
        engine = self._ready(chosen.load)
        loaded = self._clock()
        kept, tokens = self._prompt(engine, turns, truncate=truncate)
        if kept.dropped:
            yield Dropped(kept.dropped, engine.loaded.num_ctx)
        for event in self._generate(engine, _request(chosen, tokens, self._stops())):
            match event:
                case Finished():
                    yield _timed(event, loaded - begun, self._clock() - begun)
                case Piece():
                    yield event

    def _generate(self, engine: Engine, request: Request) -> Iterator[Piece | Finished]:
        # An answer that nobody reads any more, and nobody closed, would be finished first.
        self.cancel()
        try:
            self._generation = generation = engine.generate(request)
            yield from generation
        except EngineDied:
            self.close()
            raise
        finally:
            self.cancel()
            self._generation = None

    def _options(self, given: Mapping[str, Any] | None) -> options.Options:
        return options.read(options.merge(self.model.options, given or {}))

    def _ready(self, wanted: LoadOptions) -> Engine:
        load = Load(self.model.weights, self.model.adapters, wanted)
        if self._engine is not None and self._load != load:
            self.close()
        if self._engine is None:
            self._engine = self._start(load)
            self._load = load
        return self._engine

    def _prompt(
        self, engine: Engine, turns: Sequence[Message], *, truncate: bool
    ) -> tuple[prompt.Kept, tuple[int, ...]]:
        counted: list[tuple[Sequence[Message], tuple[int, ...]]] = []

        def tokens(messages: Sequence[Message]) -> tuple[int, ...]:
            return engine.tokenize(self._renderer.render(messages).text)

        def count(messages: tuple[Message, ...]) -> int | None:
            try:
                counted.append((messages, tokens(messages)))
            except TemplateRefused:
                if len(messages) == len(turns):
                    raise
                return None  # Such as a conversation that begins with an answer.
            return len(counted[-1][1])

        if not truncate:
            return prompt.Kept(tuple(turns)), tokens(turns)
        kept = prompt.truncate(turns, count, engine.loaded.num_ctx)
        last, found = counted[-1] if counted else ((), ())
        return kept, found if last == kept.messages else tokens(kept.messages)

    def _stops(self) -> tuple[str, ...]:
        templates = (self.model.template, self.model.chat_template)
        return () if any(text is not None for text in templates) else (prompt.CHATML_STOP,)


def _request(chosen: options.Options, tokens: tuple[int, ...], more: tuple[str, ...]) -> Request:
    return Request(
        prompt=tokens,
        sampling=chosen.sampling,
        stop=(*chosen.stop, *more),
        num_predict=chosen.num_predict,
        num_keep=chosen.num_keep,
    )


def _timed(finished: Finished, load: int, total: int) -> Finished:
    """*finished* with durations (nanoseconds) that the engine cannot know."""
    stats = replace(finished.stats, load_duration=load, total_duration=total)
    return replace(finished, stats=stats)
