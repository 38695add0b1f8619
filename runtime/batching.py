"""All answers of one context, a step at a time.

A step reads tokens of several sequences at once and then draws a token for each whose prompt has
been read. Invariant: between steps, the tokens of a slot are those that the context holds of it.
One thread works; others may only cancel (:mod:`mbuild.runtime.cancellations`).
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mbuild.runtime import batch
from mbuild.runtime.cancellations import Cancellations
from mbuild.runtime.engine import BadGrammar, Finished, Piece, Reason, Request, Stats
from mbuild.runtime.slots import Pace, Part, Slot, Want, choose, plan
from mbuild.runtime.voice import Draw, Voice

_SHORT_STEP = 0.2  # seconds that a running answer waits for the prompts of others
_STEP = 1.0  # seconds that a new request waits for the prompts of others
_MORE = 1.5  # times as long, if that reads all of them: a small rest is slow to read


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens of one sequence that a step reads."""

    slot: int
    position: int  # of the first; those before it have been read
    tokens: Sequence[int]
    asks: bool  # whether a token is drawn after the last of them


class Memory(Protocol):
    """What a context has read, in sequences."""

    @property
    def batch_size(self) -> int:
        """Tokens that a step can read."""
        ...

    @property
    def can_shift(self) -> bool: ...

    def evaluate(self, stretches: Sequence[Stretch]) -> bool:
        """Read them; if not all was read, since it was interrupted, a part may have been."""
        ...

    def keep(self, slot: int, count: int) -> bool:
        """Forget all but the first *count* tokens; if that is not possible, all of them."""
        ...

    def discard(self, slot: int, start: int, count: int) -> None:
        """Forget *count* tokens from *start* on, and move the later ones down."""
        ...


class Words(Protocol):
    """What is known of tokens."""

    @property
    def adds_bos(self) -> bool: ...

    def heard(self, token: int) -> bytes | None:
        """The bytes that *token* adds to an answer; ``None`` if it ends the answer."""
        ...


Said = tuple[int, Piece | Finished | BadGrammar]  # with the number of the answer


class Answers:
    """The answers that wait for a slot, and those that have one."""

    def __init__(
        self,
        memory: Memory,
        words: Words,
        draws: Callable[[Request], Draw],
        cancelled: Cancellations,
        *,
        parallel: int,
        num_ctx: int,
        clock: Callable[[], int],
    ) -> None:
        """*num_ctx* is what each of *parallel* slots holds; *draws* may raise `BadGrammar`.

        *clock* counts nanoseconds.
        """
        self._memory = memory
        self._words = words
        self._draws = draws
        self._cancelled = cancelled
        self._num_ctx = num_ctx
        self._clock = clock
        self._slots = [Slot(number) for number in range(parallel)]
        self._waiting: deque[tuple[int, Request]] = deque()
        self._voices: dict[int, Voice] = {}  # by slot
        self._pace = Pace()
        self._begun = 0  # answers
        self._steps = 0
        self._said: list[Said] = []

    @property
    def idle(self) -> bool:
        """Whether a step would do nothing."""
        return not self._waiting and not self._voices

    @property
    def slots(self) -> Sequence[Slot]:
        return self._slots

    def begin(self, number: int, request: Request) -> None:
        """Answer *request* as soon as there is a slot; its number is larger than all before."""
        self._waiting.append((number, request))

    def step(self) -> list[Said]:
        """What is said by the next step, in order; blocks while llama.cpp works."""
        self._obey()
        self._admit()
        for voice in list(self._voices.values()):
            self._make_room(voice)
        if self._voices:
            self._read(self._plan())
        said, self._said = self._said, []
        return said

    def _obey(self) -> None:
        for voice in [each for each in self._voices.values() if each.number in self._cancelled]:
            self._end(voice, Reason.CANCELLED)
        for number, request in [each for each in self._waiting if each[0] in self._cancelled]:
            self._waiting.remove((number, request))
            stats = Stats(prompt_eval_count=len(request.prompt))
            self._tell(number, Finished(Reason.CANCELLED, stats))

    def _admit(self) -> None:
        while self._waiting:
            place = choose(self._slots, self._waiting[0][1].prompt)
            if place is None:
                return
            number, request = self._waiting.popleft()
            try:
                draw = self._draws(request)
            except BadGrammar as bad:
                self._tell(number, bad)
                continue
            slot = self._slots[place.slot]
            self._keep(slot, place.kept)
            self._begun += 1
            slot.busy, slot.used = True, self._begun
            self._voices[slot.number] = Voice(
                number,
                request,
                draw,
                slot=slot.number,
                cached=len(slot.tokens),
                limit=batch.most_tokens(request.num_predict, self._num_ctx),
                clock=self._clock,
            )

    def _plan(self) -> tuple[Part, ...]:
        wants = [
            Want(voice.slot, len(voice.unread), voice.speaking, voice.served)
            for voice in self._voices.values()
        ]
        size = self._memory.batch_size
        if any(want.speaking for want in wants):
            return plan(wants, size, self._pace.tokens(_SHORT_STEP))
        # With a single slot nobody can come in between, and a step can be interrupted.
        alone = len(self._slots) == 1
        everything = sum(want.tokens for want in wants)
        some = self._pace.tokens(_STEP)
        return plan(wants, size, size if alone or everything <= _MORE * some else some)

    def _read(self, parts: Sequence[Part]) -> None:
        stretches = [self._stretch(part) for part in parts]
        voices = [self._voices[part.slot] for part in parts]
        begun = self._clock()
        with self._cancelled.step([voice.number for voice in voices]):
            whole = self._memory.evaluate(stretches)
        if not whole:
            for part in parts:
                slot = self._slots[part.slot]
                self._keep(slot, len(slot.tokens), partly=True)
            return
        self._pace.note(sum(part.tokens for part in parts), (self._clock() - begun) / 1e9)
        self._steps += 1
        place = -1
        for voice, stretch in zip(voices, stretches, strict=True):
            place += len(stretch.tokens)
            self._slots[voice.slot].tokens += stretch.tokens
            voice.served = self._steps
            if stretch.asks:
                self._speak(voice, place)
            else:
                voice.unread = voice.unread[len(stretch.tokens) :]

    def _stretch(self, part: Part) -> Stretch:
        unread = self._voices[part.slot].unread
        position = len(self._slots[part.slot].tokens)
        return Stretch(part.slot, position, unread[: part.tokens], asks=part.tokens == len(unread))

    def _speak(self, voice: Voice, place: int) -> None:
        try:
            for event in voice.next(place, self._words.heard):
                self._tell(voice.number, event)
                if isinstance(event, Finished):
                    self._free(voice)
        except BadGrammar as bad:
            self._tell(voice.number, bad)
            self._free(voice)

    def _end(self, voice: Voice, reason: Reason) -> None:
        for event in voice.end(reason):
            self._tell(voice.number, event)
        self._free(voice)

    def _free(self, voice: Voice) -> None:
        voice.close()
        del self._voices[voice.slot]
        self._slots[voice.slot].busy = False

    def _tell(self, number: int, event: Piece | Finished | BadGrammar) -> None:
        if not isinstance(event, Piece):
            self._cancelled.over(number)
        self._said.append((number, event))

    def _keep(self, slot: Slot, count: int, *, partly: bool = False) -> None:
        """Forget all but *count* tokens; *partly*: the context may hold more than we know."""
        if not partly and count == len(slot.tokens):
            return
        if not self._memory.keep(slot.number, count):
            count = 0
        del slot.tokens[count:]

    def _make_room(self, voice: Voice) -> None:
        tokens = self._slots[voice.slot].tokens
        if len(tokens) < self._num_ctx:
            return
        request = voice.request
        if not (request.shift and self._memory.can_shift):
            self._end(voice, Reason.LENGTH)
            return
        prompt, bos = len(request.prompt), self._words.adds_bos
        gone = batch.shift(len(tokens), request.num_keep, prompt, self._num_ctx, bos=bos)
        self._memory.discard(voice.slot, gone.keep, gone.discard)
        del tokens[gone.keep : gone.keep + gone.discard]
