"""One answer under way: what of its prompt is left to read, and what it says.

It knows nothing of contexts and of other answers. Where it reads is told by
:mod:`mbuild.runtime.batching`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mbuild.runtime.batch import Speech
from mbuild.runtime.engine import Finished, Logprob, Piece, Reason, Request, Stats


class Draw(Protocol):
    """Where tokens come from, one after another."""

    def draw(self, place: int) -> int | None:
        """The next token after the one at *place* in the last step; ``None``: there is none.

        Raises:
            BadGrammar: the grammar cannot be followed any further.
        """
        ...

    def logprob(self, token: int, place: int, top: int) -> Logprob:
        """How likely *token* was there, and the *top* likeliest."""
        ...

    def close(self) -> None: ...


@dataclass(slots=True)
class Clock:
    """When what happened; nanoseconds."""

    now: Callable[[], int]
    begun: int = 0
    read: int = 0  # the prompt; 0: not yet

    def stats(self, *, prompt: int, cached: int, drawn: int) -> Stats:
        now = self.now()
        read = self.read or now
        return Stats(
            prompt_eval_count=prompt,
            prompt_cached=cached,
            prompt_eval_duration=read - self.begun,
            eval_count=drawn,
            eval_duration=now - read,
        )


class Voice:
    """An answer that has a slot."""

    def __init__(
        self,
        number: int,
        request: Request,
        draw: Draw,
        *,
        slot: int,
        cached: int,
        limit: int,
        clock: Callable[[], int],
    ) -> None:
        self.number = number
        self.request = request
        self.slot = slot
        self.unread: Sequence[int] = request.prompt[cached:]  # never empty until it ends
        self.served = 0  # the step in which it last read something
        self._draw = draw
        self._cached = cached
        self._limit = limit  # tokens
        self._clock = Clock(clock, clock())
        self._speech = Speech(request.stop)
        self._drawn = 0
        self._unsaid = 0  # tokens drawn since the last piece
        self._likely: list[Logprob] = []  # of these

    @property
    def speaking(self) -> bool:
        """Whether the prompt has been read."""
        return bool(self._clock.read)

    def next(self, place: int, spoken: Callable[[int], bytes | None]) -> Iterator[Piece | Finished]:
        """What is said next; all that is unread has been read, the last of it at *place*.

        *spoken* gives the bytes of a token, ``None`` for one that ends an answer. Afterwards a
        token is unread, unless the answer is `Finished`.
        """
        if not self.speaking:
            self._clock.read = self._clock.now()
        if self._limit == 0:
            yield from self.end(Reason.LENGTH)
            return
        token = self._draw.draw(place)
        if token is None:
            yield from self.end(Reason.STOP)
            return
        self._drawn += 1
        self._unsaid += 1
        data = spoken(token)
        if data is not None and self.request.logprobs >= 0:
            self._likely.append(self._draw.logprob(token, place, self.request.logprobs))
        yield from self._said("" if data is None else self._speech.hear(data))
        if data is None or self._speech.over:
            yield from self.end(Reason.STOP)
        elif self._drawn >= self._limit:
            yield from self.end(Reason.LENGTH)
        else:
            self.unread = (token,)

    def end(self, reason: Reason) -> Iterator[Piece | Finished]:
        """What was held back, and the end."""
        yield from self._said(self._speech.rest())
        # A stop text may have come to light only now.
        reason = Reason.STOP if self._speech.stopped else reason
        prompt = len(self.request.prompt)
        yield Finished(
            reason, self._clock.stats(prompt=prompt, cached=self._cached, drawn=self._drawn)
        )

    def close(self) -> None:
        self._draw.close()

    def _said(self, text: str) -> Iterator[Piece]:
        if text:
            likely, self._likely = tuple(self._likely), []
            count, self._unsaid = self._unsaid, 0
            yield Piece(text, count, likely)
