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
from mbuild.runtime.batch import shorten
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
from mbuild.runtime.prompt import Renderer, TemplateRefused, Think
from mbuild.runtime.renderers import Choice, choose, thinks
from mbuild.runtime.thinking import NoThinking, Thought

if TYPE_CHECKING:
    from mbuild.runtime.grammar import Format


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was left out of a conversation that is longer than the context."""

    messages: tuple[Message, ...]
    num_ctx: int  # tokens
    tokens: int = 0  # cut out of the middle of the prompt


class NothingAsked(Exception):
    """A prompt without a single token, to which there is no answer."""

    def __init__(self) -> None:
        super().__init__("the prompt is empty")


class BadContext(Exception):
    """Numbers that are said to be tokens of an earlier answer, and are none of this model's."""

    def __init__(self, size: int) -> None:
        super().__init__(f"context holds a number that is no token, from 0 to {size - 1}")


Event = Dropped | Thought | Piece | Finished


@dataclass(frozen=True, slots=True)
class _Sent:
    """A conversation, as the engine gets it."""

    messages: tuple[Message, ...]
    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Manner:
    """How an answer is wanted."""

    think: Think = None
    form: "Format | None" = None
    stops: tuple[str, ...] = ()
    shift: bool = True
    cut: bool = False
    logprobs: int = -1


_Written = Callable[[Engine], tuple[_Sent, tuple[Message, ...]]]
"""What writes the prompt for an engine: what is sent, and the messages that are left out."""


class Session:
    """A model that answers. One thread at a time may ask; any may `cancel`.

    Its prompts are made by *renderer*, or by the one that `renderers.choose` chooses; raises what
    that raises.
    """

    def __init__(
        self,
        model: Model,
        *,
        start: EngineFactory,
        templates: Templates,
        renderer: Choice | Renderer | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        if renderer is None or isinstance(renderer, str):
            renderer = choose(model, templates, renderer)
        self._renderer: Renderer = renderer
        self.model = model
        self._start = start
        self._clock = clock
        self._engine: Engine | None = None
        self._load: Load | None = None
        self._generation: Generation | None = None
        self.asked: tuple[int, ...] = ()  # the tokens of the last prompt

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
        tools: Sequence[Mapping[str, Any]] = (),
        think: Think = None,
        form: "Format | None" = None,
        truncate: bool = True,
        shift: bool = True,
        cut: bool = False,
        logprobs: int = -1,
    ) -> Generator[Event]:
        """The answer to a conversation, whose last message is mostly the user's.

        *given* are options that go before those of the model. A model that can think does, unless
        *think* is false; its thoughts come apart from the answer. *form* is what the answer looks
        like: a JSON schema, "json" for any JSON object, "" for free text; None: as the model's own
        schema has it, if there is one. Thoughts are free. *tools* are what the template tells
        the model of. With *truncate* the oldest messages make room, with *cut* also the middle of
        a prompt that is still too long, and with *shift* the oldest tokens of an answer under
        way. From 0 on, *logprobs* is how many of the likeliest tokens come beside each. Closing
        the iterator, and any exception raised where it is read, Ctrl-C included, ends the answer.

        Raises:
            NoThinking: see `check`.
            NoPlaceFor: there are tools, and the template knows of none.
            NothingAsked: the template makes no text of it.
            BadSchema: *form*, or the model's own schema, cannot be kept to.
            BadGrammar: nor can what became of it.
            BadOption, EngineMissing, CannotLoad: see `warm`.
            TemplateRefused, TemplateTooBig: the model's template does not take this.
            PromptTooLong: the last message alone is too long, or *truncate* is false.
            EngineDied: the engine ended; the next question starts another.
        """
        turns = prompt.conversation(self.model.system, self.model.messages, messages)
        written = partial(self._prompt, turns=turns, tools=tools, think=think, truncate=truncate)
        manner = _Manner(think, form, self._stops(), shift, cut, logprobs)
        return self._answer(written, given or {}, manner)

    def ask(
        self,
        text: str,
        given: Mapping[str, Any] | None = None,
        *,
        system: str | None = None,
        context: Sequence[int] = (),
        think: Think = None,
        form: "Format | None" = None,
        truncate: bool = True,
        shift: bool = True,
        cut: bool = False,
        logprobs: int = -1,
    ) -> Generator[Event]:
        """The answer to a single question; *system* replaces the model's.

        *context* are the tokens of what was said before, which then stands in the place of the
        model's examples. Raises as `chat`, and BadContext.
        """
        first = self.model.system if system is None else system
        turns = prompt.one_shot(first, () if context else self.model.messages, text)
        written = partial(
            self._prompt, turns=turns, think=think, truncate=truncate, context=context
        )
        manner = _Manner(think, form, self._stops(), shift, cut, logprobs)
        return self._answer(written, given or {}, manner)

    def complete(
        self,
        text: str,
        given: Mapping[str, Any] | None = None,
        *,
        form: "Format | None" = None,
        shift: bool = True,
        cut: bool = False,
        logprobs: int = -1,
    ) -> Generator[Event]:
        """What follows *text*, which goes to the model as it is. Raises as `chat`."""
        return self._answer(
            partial(_verbatim, text), given or {}, _Manner(False, form, (), shift, cut, logprobs)
        )

    def fill_in(
        self,
        before: str,
        behind: str,
        given: Mapping[str, Any] | None = None,
        *,
        form: "Format | None" = None,
        shift: bool = True,
        cut: bool = False,
        logprobs: int = -1,
    ) -> Generator[Event]:
        """What is missing between two texts. Raises as `chat`."""
        text = self._renderer.fill_in(before, behind).text
        return self.complete(text, given, form=form, shift=shift, cut=cut, logprobs=logprobs)

    def written(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        think: Think = None,
    ) -> prompt.Prompt:
        """The whole prompt for a conversation; nothing is left out, and no engine is started.

        Raises:
            NoThinking, NoPlaceFor, TemplateRefused, TemplateTooBig: as `chat`.
        """
        self.check(think)
        turns = prompt.conversation(self.model.system, self.model.messages, messages)
        return self._renderer.render(turns, tools, think)

    def question(
        self, text: str, *, system: str | None = None, think: Think = None
    ) -> prompt.Prompt:
        """The whole prompt for a single question. Raises as `written`."""
        self.check(think)
        first = self.model.system if system is None else system
        return self._renderer.render(prompt.one_shot(first, self.model.messages, text), (), think)

    def context(self, said: str) -> tuple[int, ...]:
        """The tokens of the last prompt and of *said*, without one that begins every text."""
        engine = self._engine
        if engine is None:
            return ()
        front = engine.tokenize("")
        return (*_behind(front, self.asked), *_behind(front, engine.tokenize(said)))

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
        self, written: _Written, given: Mapping[str, Any], manner: _Manner
    ) -> Generator[Event]:
        self.check(manner.think)
        grammar = _grammar(self.model.schema, manner.form)
        begun = self._clock()
        chosen = self._options(given)
        engine = self._ready(chosen.load)
        loaded = self._clock()
        sent, dropped = written(engine)
        self.asked = _cut(sent.tokens, engine, chosen.num_keep) if manner.cut else sent.tokens
        if not self.asked:
            raise NothingAsked
        lost = len(sent.tokens) - len(self.asked)
        if dropped or lost:
            yield Dropped(dropped, engine.loaded.num_ctx, lost)
        request = _request(chosen, self.asked, manner, grammar)
        for event in self._said(engine, request, sent.text, manner.think):
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
        self,
        engine: Engine,
        *,
        turns: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        think: Think,
        truncate: bool,
        context: Sequence[int] = (),
    ) -> tuple[_Sent, tuple[Message, ...]]:
        """What is sent of *turns*, and what is left out of them."""
        counted: list[_Sent] = []
        before = _spoken(engine, context)

        def sent(messages: tuple[Message, ...]) -> _Sent:
            text = before + self._renderer.render(messages, tools, think).text
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


def _verbatim(text: str, engine: Engine) -> tuple[_Sent, tuple[Message, ...]]:
    return _Sent((), text, engine.tokenize(text)), ()


def _spoken(engine: Engine, tokens: Sequence[int]) -> str:
    """The text of *tokens*, which somebody sent."""
    size = engine.loaded.vocabulary.size
    if any(not 0 <= token < size for token in tokens):
        raise BadContext(size)
    return b"".join(engine.pieces(tokens)).decode("utf-8", "replace") if tokens else ""


def _behind(front: tuple[int, ...], tokens: tuple[int, ...]) -> tuple[int, ...]:
    """*tokens* without *front*, if they begin with it."""
    return tokens[len(front) :] if tokens[: len(front)] == front else tokens


def _cut(tokens: tuple[int, ...], engine: Engine, num_keep: int) -> tuple[int, ...]:
    loaded = engine.loaded
    return shorten(tokens, num_keep, loaded.num_ctx, bos=loaded.vocabulary.adds_bos)


def _request(
    chosen: options.Options, tokens: tuple[int, ...], manner: _Manner, grammar: str
) -> Request:
    return Request(
        prompt=tokens,
        sampling=chosen.sampling,
        stop=(*chosen.stop, *manner.stops),
        num_predict=chosen.num_predict,
        num_keep=chosen.num_keep,
        shift=manner.shift,
        logprobs=manner.logprobs,
        grammar=grammar,
    )


def _timed(finished: Finished, load: int, total: int) -> Finished:
    """*finished* with durations (nanoseconds) that the engine cannot know."""
    stats = replace(finished.stats, load_duration=load, total_duration=total)
    return replace(finished, stats=stats)
