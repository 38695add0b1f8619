"""A model and its engine, answering: what `run` talks to.

A `Session` keeps the engine between the turns of a chat, so that each turn evaluates only what
is new, and starts another when options ask for it or the engine died.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from mbuild.runtime import constrained, options, prompt, thinking
from mbuild.runtime.constrained import Talk
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
from mbuild.runtime.prompt import TemplateRefused, Think
from mbuild.runtime.renderers import Choice, choose, thinks
from mbuild.runtime.thinking import NoThinking, Thought

if TYPE_CHECKING:
    from mbuild.runtime.grammar import Format


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was left out of a conversation that is longer than the context."""

    messages: tuple[Message, ...]
    num_ctx: int  # tokens


Event = Dropped | Thought | Piece | Finished


@dataclass(frozen=True, slots=True)
class _Sent:
    """A conversation, as the engine gets it."""

    messages: tuple[Message, ...]
    text: str
    tokens: tuple[int, ...]


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

    @property
    def thinks(self) -> bool:
        """Whether the model can be asked to think."""
        return thinks(self.model, self._renderer)

    def check(self, think: Think) -> None:
        """Do nothing if the model can be asked that.

        Raises:
            NoThinking: it is to think, and cannot.
        """
        if think and not self.thinks:
            raise NoThinking(self.model.name)

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
        think: Think = None,
        form: "Format | None" = None,
        truncate: bool = True,
    ) -> Iterator[Event]:
        """The answer to a conversation, whose last message is mostly the user's.

        *given* are options that go before those of the model. A model that can think does, unless
        *think* is false; its thoughts come apart from the answer. *form* is what the answer looks
        like: a JSON schema, "json" for any JSON object, "" for free text; None: as the model's own
        schema has it, if there is one. Thoughts are free. Closing the iterator, and any
        exception raised where it is read, Ctrl-C included, ends the answer.

        Raises:
            NoThinking: see `check`.
            BadSchema: *form*, or the model's own schema, cannot be kept to.
            BadGrammar: nor can what became of it.
            BadOption, EngineMissing, CannotLoad: see `warm`.
            TemplateRefused, TemplateTooBig: the model's template does not take this.
            PromptTooLong: the last message alone is too long, or *truncate* is false.
            EngineDied: the engine ended; the next question starts another.
        """
        turns = prompt.conversation(self.model.system, self.model.messages, messages)
        return self._answer(turns, given or {}, think, form, truncate=truncate)

    def ask(
        self,
        text: str,
        given: Mapping[str, Any] | None = None,
        *,
        system: str | None = None,
        think: Think = None,
        form: "Format | None" = None,
        truncate: bool = True,
    ) -> Iterator[Event]:
        """The answer to a single question; *system* replaces the model's. Raises as `chat`."""
        first = self.model.system if system is None else system
        turns = prompt.one_shot(first, self.model.messages, text)
        return self._answer(turns, given or {}, think, form, truncate=truncate)

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
        self,
        turns: Sequence[Message],
        given: Mapping[str, Any],
        think: Think,
        form: "Format | None",
        *,
        truncate: bool,
    ) -> Iterator[Event]:
        self.check(think)
        grammar = _grammar(self.model.schema, form)
        begun = self._clock()
        chosen = self._options(given)
        engine = self._ready(chosen.load)
        loaded = self._clock()
        sent, dropped = self._prompt(engine, turns, think, truncate=truncate)
        if dropped:
            yield Dropped(dropped, engine.loaded.num_ctx)
        request = _request(chosen, sent.tokens, self._stops(), grammar)
        for event in self._said(engine, request, sent.text, think):
            match event:
                case Finished():
                    yield _timed(event, loaded - begun, self._clock() - begun)
                case _:
                    yield event

    def _said(
        self, engine: Engine, request: Request, text: str, think: Think
    ) -> Iterator[Thought | Piece | Finished]:
        """What is said to the prompt *text*, its thoughts told apart where there may be any."""
        tags = self._renderer.thinking_tags
        if tags is None or think is False:
            return self._generate(engine, request)
        if request.grammar:
            talk = Talk(engine.tokenize, partial(self._generate, engine))
            return constrained.answer(request, text, tags, talk)
        said = self._generate(engine, request)
        return thinking.split(said, thinking.splitter(tags, text))

    def _generate(self, engine: Engine, request: Request) -> Generator[Piece | Finished]:
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
        self, engine: Engine, turns: Sequence[Message], think: Think, *, truncate: bool
    ) -> tuple[_Sent, tuple[Message, ...]]:
        """What is sent of *turns*, and what is left out of them."""
        counted: list[_Sent] = []

        def sent(messages: tuple[Message, ...]) -> _Sent:
            text = self._renderer.render(messages, think=think).text
            return _Sent(messages, text, engine.tokenize(text))

        def count(messages: tuple[Message, ...]) -> int | None:
            try:
                counted.append(sent(messages))
            except TemplateRefused:
                if len(messages) == len(turns):
                    raise
                return None  # Such as a conversation that begins with an answer.
            return len(counted[-1].tokens)

        if not truncate:
            return sent(tuple(turns)), ()
        kept = prompt.truncate(turns, count, engine.loaded.num_ctx)
        if counted and counted[-1].messages == kept.messages:
            return counted[-1], kept.dropped
        return sent(kept.messages), kept.dropped

    def _stops(self) -> tuple[str, ...]:
        templates = (self.model.template, self.model.chat_template)
        return () if any(text is not None for text in templates) else (prompt.CHATML_STOP,)


def _grammar(schema: str | None, form: "Format | None") -> str:
    if form == "" or (form is None and schema is None):
        return ""
    # Imported here: most answers are free.
    from mbuild.runtime.grammar import grammar, of_text

    return of_text(schema).text if form is None and schema is not None else grammar(form or "")


def _request(
    chosen: options.Options, tokens: tuple[int, ...], more: tuple[str, ...], grammar: str
) -> Request:
    return Request(
        prompt=tokens,
        sampling=chosen.sampling,
        stop=(*chosen.stop, *more),
        num_predict=chosen.num_predict,
        num_keep=chosen.num_keep,
        grammar=grammar,
    )


def _timed(finished: Finished, load: int, total: int) -> Finished:
    """*finished* with durations (nanoseconds) that the engine cannot know."""
    stats = replace(finished.stats, load_duration=load, total_duration=total)
    return replace(finished, stats=stats)
