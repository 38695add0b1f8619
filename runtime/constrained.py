"""An answer of a given form, from a model that thinks first: its thoughts are free.

A grammar that held from the start would forbid them. So the model thinks freely, up to the tag
that ends its thoughts; with these as the end of its prompt it then answers by the grammar. What
it has read and said is still in the engine's memory, so nothing is read twice.

Source: the runtime specification, section 11.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mbuild.runtime.engine import Finished, Piece, PromptTooLong, Reason, Request, Stats
from mbuild.runtime.thinking import Split, Splitter, Thought, splitter

if TYPE_CHECKING:
    from mbuild.compiler.template.capabilities import Tags

Said = Iterator[Thought | Piece | Finished]


@dataclass(frozen=True, slots=True)
class Talk:
    """An engine, as far as it is needed here."""

    tokenize: Callable[[str], tuple[int, ...]]
    generate: Callable[[Request], Generator[Piece | Finished]]


def answer(request: Request, text: str, tags: "Tags", talk: Talk) -> Said:
    """The answer to *request*, whose prompt is *text*; its grammar holds behind the thoughts."""
    thoughts = _Thoughts(text, tags)
    yield from thoughts.come(request, talk)
    thought = thoughts.finished
    if thought is None:
        yield from talk.generate(request)
        return
    if thought.reason is not Reason.STOP:
        yield thought
        return
    # Most models leave a line empty behind the tag, and the grammar would not let them.
    told = f"{text}{thoughts.text}{tags.closing}\n\n"
    rest = replace(request, prompt=talk.tokenize(told), num_predict=_left(request, thought))
    try:
        for event in talk.generate(rest):
            yield _added(thought, event) if isinstance(event, Finished) else event
    except PromptTooLong:
        yield replace(thought, reason=Reason.LENGTH)


class _Thoughts:
    """What a model thinks; `finished` is None if it does not."""

    def __init__(self, prompt: str, tags: "Tags") -> None:
        self._tags = tags
        self._by: Splitter = splitter(tags, prompt)
        self._begun = prompt.rstrip().endswith(tags.opening)
        self._drawn = 0
        self.text = ""
        self.finished: Finished | None = None

    def come(self, request: Request, talk: Talk) -> Iterator[Thought]:
        free = replace(request, grammar="", stop=(*request.stop, self._tags.closing))
        with closing(talk.generate(free)) as events:
            for event in events:
                parts = self._heard(event)
                if parts.answer:
                    return  # It answers at once, so it may as well do so by the grammar.
                if parts.thinking:
                    yield Thought(parts.thinking, self._drawn)
                    self._drawn = 0
                if isinstance(event, Finished) and self._thinks:
                    self.finished = event

    def _heard(self, event: Piece | Finished) -> Split:
        if isinstance(event, Finished):
            if event.reason is not Reason.STOP:
                self._begun = True  # There is nothing more to come, whatever it was.
            return self._by.end() if self._thinks else Split()
        self._drawn += event.tokens
        self.text += event.text
        return self._by.feed(event.text)

    @property
    def _thinks(self) -> bool:
        return self._begun or self._tags.opening in self.text


def _left(request: Request, thought: Finished) -> int:
    """How many tokens may still be said."""
    if request.num_predict < 0:
        return request.num_predict
    return max(0, request.num_predict - thought.stats.eval_count)


def _added(thought: Finished, finished: Finished) -> Finished:
    """*finished*, with what the thoughts before it cost; the prompt is the one before these."""
    first, second = thought.stats, finished.stats
    stats = Stats(
        prompt_eval_count=first.prompt_eval_count,
        prompt_cached=first.prompt_cached,
        prompt_eval_duration=first.prompt_eval_duration + second.prompt_eval_duration,
        eval_count=first.eval_count + second.eval_count,
        eval_duration=first.eval_duration + second.eval_duration,
    )
    return replace(finished, stats=stats)
