"""Several answers in one context, which is a fake that remembers what it was told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mbuild.runtime.batching import Answers, Stretch
from mbuild.runtime.cancellations import Cancellations
from mbuild.runtime.engine import BadGrammar, Finished, Logprob, Piece, Reason, Request

END = 0  # The token that ends an answer; "a" is 1, and so on to 26, which begins again.


@dataclass
class Memory:
    """What a context holds of each sequence, and the step that was read last."""

    batch_size: int = 8
    can_shift: bool = True
    whole_only: bool = False  # It can forget only all of a sequence.
    held: dict[int, list[int]] = field(default_factory=dict)
    step: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    during: Callable[[], bool] = lambda: (
        True
    )  # Called in each step; whether it was not interrupted.

    def evaluate(self, stretches: Sequence[Stretch]) -> bool:
        self.step = [token for stretch in stretches for token in stretch.tokens]
        self.sizes.append(len(self.step))
        whole = self.during()
        for stretch in stretches:
            tokens = self.held.setdefault(stretch.slot, [])
            assert stretch.position == len(tokens)
            assert stretch.tokens
            tokens += stretch.tokens if whole else stretch.tokens[:1]
        return whole

    def keep(self, slot: int, count: int) -> bool:
        if self.whole_only and count != len(self.held.get(slot, [])):
            self.held[slot] = []
            return False
        del self.held.setdefault(slot, [])[count:]
        return True

    def discard(self, slot: int, start: int, count: int) -> None:
        del self.held[slot][start : start + count]


class Words:
    adds_bos = False

    def heard(self, token: int) -> bytes | None:
        return bytes([96 + token]) if token else None


class Alphabet:
    """Draws the letter behind the one that was read last."""

    def __init__(self, memory: Memory, request: Request) -> None:
        self._memory = memory
        self._until = request.sampling.top_k  # This letter ends the answer.
        self.closed = False

    def draw(self, place: int) -> int | None:
        assert not self.closed
        token = self._memory.step[place]
        if self._until == -7:
            raise BadGrammar("stuck")
        return END if token == self._until else token % 26 + 1

    def logprob(self, token: int, place: int, top: int) -> Logprob:
        return Logprob(token, b"", -1.0)

    def close(self) -> None:
        self.closed = True


class Scene:
    """Answers in a fake context."""

    def __init__(self, memory: Memory | None = None, *, parallel: int = 2, num_ctx: int = 16):
        self.memory = memory or Memory()
        self.draws: list[Alphabet] = []
        self.cancelled = Cancellations()
        ticks = count()
        self.answers = Answers(
            self.memory,
            Words(),
            self._draw,
            self.cancelled,
            parallel=parallel,
            num_ctx=num_ctx,
            clock=lambda: next(ticks),
        )
        self.said: dict[int, str] = {}
        self.ends: dict[int, Finished | BadGrammar] = {}

    def _draw(self, request: Request) -> Alphabet:
        if request.grammar:
            raise BadGrammar("none")
        self.draws.append(Alphabet(self.memory, request))
        return self.draws[-1]

    def ask(self, number: int, text: str, **options: object) -> None:
        tokens = tuple(ord(letter) - 96 for letter in text)
        self.cancelled.expect(number)
        request = Request(tokens, **options)  # type: ignore[arg-type]  # As given.
        self.answers.begin(number, request)

    def step(self) -> None:
        for number, event in self.answers.step():
            assert number not in self.ends
            if isinstance(event, Piece):
                self.said[number] = self.said.get(number, "") + event.text
            else:
                self.ends[number] = event

    def run(self) -> None:
        while not self.answers.idle:
            self.step()

    def stats(self, number: int) -> tuple[Reason, int, int, int]:
        end = self.ends[number]
        assert isinstance(end, Finished)
        stats = end.stats
        return end.reason, stats.prompt_eval_count, stats.prompt_cached, stats.eval_count


def test_answers_go_on_side_by_side() -> None:
    scene = Scene()
    scene.ask(1, "abc", num_predict=4)
    scene.ask(2, "x", num_predict=3)
    scene.step()
    assert scene.said == {1: "d", 2: "y"}
    scene.run()
    assert scene.said == {1: "defg", 2: "yza"}
    assert scene.memory.sizes == [4, 2, 2, 1]
    assert scene.stats(1) == (Reason.LENGTH, 3, 0, 4)


def test_a_long_prompt_does_not_stop_an_answer() -> None:
    scene = Scene(Memory(batch_size=4), num_ctx=64)
    scene.ask(1, "a", num_predict=20)
    scene.step()
    scene.ask(2, "b" * 30, num_predict=1)
    for letters in range(2, 12):
        scene.step()
        assert len(scene.said[1]) == letters
    assert scene.said[2] == "c"


def test_a_request_waits_for_a_slot_and_gets_it_in_its_turn() -> None:
    scene = Scene(parallel=1)
    for number in (1, 2, 3):
        scene.ask(number, "a", num_predict=2)
    scene.run()
    assert list(scene.ends) == [1, 2, 3]
    assert scene.said == dict.fromkeys((1, 2, 3), "bc")


def test_two_conversations_in_turns_keep_what_they_have_read() -> None:
    scene = Scene(num_ctx=64)
    scene.ask(1, "aaaaaa", num_predict=2)
    scene.ask(2, "aaaabbbbbb", num_predict=2)
    scene.run()
    scene.ask(3, "aaaaaabbb", num_predict=1)
    scene.run()
    scene.ask(4, "aaaabbbbbbccc", num_predict=1)
    scene.run()
    # The last token that was drawn has not been read.
    assert scene.stats(3)[1:3] == (9, 7)
    assert scene.stats(4)[1:3] == (13, 11)


def test_a_cancelled_answer_frees_its_slot_at_the_next_step() -> None:
    scene = Scene(parallel=1)
    scene.ask(1, "a")
    scene.ask(2, "x", num_predict=1)
    scene.step()
    scene.cancelled.cancel(1)
    scene.step()
    assert scene.stats(1)[0] is Reason.CANCELLED
    assert scene.said[2] == "y"


def test_what_waits_can_be_cancelled() -> None:
    scene = Scene(parallel=1)
    scene.ask(1, "a", num_predict=5)
    scene.ask(2, "abc")
    scene.step()
    scene.cancelled.cancel(2)
    scene.step()
    assert scene.stats(2) == (Reason.CANCELLED, 3, 0, 0)


@pytest.mark.parametrize("whole_only", [False, True], ids=["tokens", "states"])
def test_an_interrupted_step_leaves_nothing_behind(whole_only: bool) -> None:
    memory = Memory(whole_only=whole_only)
    scene = Scene(memory)
    scene.ask(1, "abc")

    def during() -> bool:
        scene.cancelled.cancel(1)
        return False

    memory.during = during
    scene.step()
    memory.during = lambda: True
    scene.step()
    assert scene.stats(1) == (Reason.CANCELLED, 3, 0, 0)
    assert memory.held[0] == scene.answers.slots[0].tokens == []
    scene.ask(2, "abc", num_predict=1)
    scene.run()
    assert scene.said == {2: "d"}


def test_a_memory_of_states_reads_everything_again() -> None:
    scene = Scene(Memory(whole_only=True), parallel=1)
    scene.ask(1, "abcdef", num_predict=1)
    scene.run()
    scene.ask(2, "abcdxx", num_predict=1)
    scene.run()
    assert (scene.said[2], scene.stats(2)[2]) == ("y", 0)


@pytest.mark.parametrize(
    ("shift", "can", "reason", "drawn"),
    [
        pytest.param(True, True, Reason.LENGTH, 30, id="room is made"),
        pytest.param(False, True, Reason.LENGTH, 14, id="not wanted"),
        pytest.param(True, False, Reason.LENGTH, 14, id="not possible"),
    ],
)
def test_a_full_slot(shift: bool, can: bool, reason: Reason, drawn: int) -> None:
    scene = Scene(Memory(can_shift=can))
    scene.ask(1, "abc", shift=shift, num_predict=30)
    scene.run()
    assert scene.stats(1) == (reason, 3, 0, drawn)
    assert scene.said[1] == ("defghijklmnopqrstuvwxyz" + "abcdefgh")[:drawn]


def test_a_grammar_that_is_none_ends_only_its_own_answer() -> None:
    scene = Scene()
    scene.ask(1, "a", num_predict=2)
    scene.ask(2, "a", grammar="x")
    scene.run()
    assert isinstance(scene.ends[2], BadGrammar)
    assert scene.said == {1: "bc"}


def test_every_draw_is_closed() -> None:
    scene = Scene()
    scene.ask(1, "a", num_predict=2)
    scene.ask(2, "a")
    scene.step()
    scene.cancelled.cancel(2)
    scene.run()
    assert [draw.closed for draw in scene.draws] == [True, True]


TEXTS = st.text(alphabet="abc", min_size=1, max_size=15)


@given(
    st.lists(st.tuples(TEXTS, st.integers(0, 25)), min_size=1, max_size=8),
    st.integers(1, 4),
    st.integers(1, 9),
)
def test_everyone_gets_the_answer_that_he_would_get_alone(
    asked: list[tuple[str, int]], parallel: int, batch_size: int
) -> None:
    def answers(parallel: int) -> dict[int, str]:
        scene = Scene(Memory(batch_size=batch_size), parallel=parallel)
        for number, (text, most) in enumerate(asked):
            scene.ask(number, text, num_predict=most)
        scene.run()
        assert all(size <= batch_size for size in scene.memory.sizes)
        assert len(scene.ends) == len(asked)
        return scene.said

    assert answers(parallel) == answers(1)


class Crowd(RuleBasedStateMachine):
    """Requests come and are cancelled at any time, also during a step."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene(Memory(batch_size=5), parallel=3)
        self.asked = 0

    @rule(text=TEXTS, most=st.integers(-1, 12), shift=st.booleans())
    def ask(self, text: str, most: int, shift: bool) -> None:
        self.asked += 1
        self.scene.ask(self.asked, text, num_predict=most, shift=shift)

    @precondition(lambda self: self.asked)
    @rule(back=st.integers(0, 4))
    def cancel(self, back: int) -> None:
        self.scene.cancelled.cancel(self.asked - back)

    @rule(interrupted=st.booleans())
    def step(self, interrupted: bool) -> None:
        self.scene.memory.during = lambda: not interrupted
        self.scene.step()

    @invariant()
    def a_slot_knows_what_the_context_holds(self) -> None:
        memory, slots = self.scene.memory, self.scene.answers.slots
        for slot in slots:
            assert slot.tokens == memory.held.get(slot.number, [])
            assert len(slot.tokens) <= 16

    @invariant()
    def no_step_is_too_large(self) -> None:
        assert all(size <= 5 for size in self.scene.memory.sizes)

    def teardown(self) -> None:
        self.scene.memory.during = lambda: True
        for number in range(1, self.asked + 1):
            self.scene.cancelled.cancel(number)
        self.scene.run()
        assert sorted(self.scene.ends) == list(range(1, self.asked + 1))


TestCrowd = Crowd.TestCase
