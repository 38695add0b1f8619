"""Answers of a given form from models that think. The engine is a parrot with several scripts."""

from collections.abc import Generator, Sequence

import pytest

from mbuild.compiler.template.capabilities import Tags
from mbuild.runtime.constrained import Talk, answer
from mbuild.runtime.engine import Finished, Load, LoadOptions, Parrot, Piece, Reason, Request, Stats
from mbuild.runtime.thinking import Thought

TAGS = Tags("<t>", "</t>")


class Speaker:
    """Says one script after another, and remembers what it was asked."""

    def __init__(self, *scripts: str, num_ctx: int = 4096) -> None:
        self._scripts = list(scripts)
        self._parrot = Parrot(Load("x", options=LoadOptions(num_ctx=num_ctx)))
        self.closed = 0

    @property
    def asked(self) -> list[tuple[str, str, tuple[str, ...], int]]:
        """Prompt, grammar, stop texts and most tokens of each request."""
        return [
            ("".join(map(chr, each.prompt)), each.grammar, each.stop, each.num_predict)
            for each in self._parrot.requests
        ]

    def generate(self, request: Request) -> Generator[Piece | Finished]:
        self._parrot.script = self._scripts.pop(0)
        try:
            yield from self._parrot.generate(request)
        finally:
            self.closed += 1

    def answer(self, prompt: str, num_predict: int = -1) -> tuple[str, str, Finished]:
        """What it thinks, what it says, and the end."""
        request = Request(
            self._parrot.tokenize(prompt), stop=("X",), num_predict=num_predict, grammar="G"
        )
        *events, finished = answer(
            request, prompt, TAGS, Talk(self._parrot.tokenize, self.generate)
        )
        assert isinstance(finished, Finished)
        return _joined(events, Thought), _joined(events, Piece), finished


def _joined(events: Sequence[object], kind: type[Thought] | type[Piece]) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


@pytest.mark.parametrize(
    ("prompt", "thoughts", "told"),
    [
        pytest.param("hi ", "<t> so be it</t> {}", "hi <t> so be it</t>\n\n", id="the model opens"),
        pytest.param(
            "hi <t>", " so be it</t> {}", "hi <t> so be it</t>\n\n", id="the prompt opens"
        ),
        # It ended amid its thoughts, so they are over.
        pytest.param("hi ", "<t> so be it", "hi <t> so be it</t>\n\n", id="without end"),
    ],
)
def test_thoughts_are_free_and_the_answer_is_not(prompt: str, thoughts: str, told: str) -> None:
    speaker = Speaker(thoughts, '{"a": 1}')
    assert speaker.answer(prompt)[:2] == ("so be it", '{"a": 1}')
    assert speaker.asked == [
        (prompt, "", ("X", "</t>"), -1),
        (told, "G", ("X",), -1),
    ]
    assert speaker.closed == 2


@pytest.mark.parametrize(
    "first", ["well, no", "", " ", "<d>"], ids=["text", "nothing", "a blank", "another tag"]
)
def test_a_model_that_does_not_think_answers_by_the_grammar_at_once(first: str) -> None:
    speaker = Speaker(first, "{}")
    assert speaker.answer("hi ")[:2] == ("", "{}")
    assert [(prompt, grammar) for prompt, grammar, _, _ in speaker.asked] == [
        ("hi ", ""),
        ("hi ", "G"),
    ]
    assert speaker.closed == 2


def test_thoughts_that_are_cut_short_are_all_that_comes() -> None:
    speaker = Speaker("<t>one two three</t> {}", "{}")
    thought, said, finished = speaker.answer("hi ", num_predict=2)
    assert (thought, said, finished.reason) == ("one two", "", Reason.LENGTH)
    assert len(speaker.asked) == 1


def test_thoughts_count_among_the_tokens_that_may_be_said() -> None:
    speaker = Speaker("<t>one two</t>", "a b c d e f g h i j k")
    said, finished = speaker.answer("hi ", num_predict=6)[1:]
    assert (said, finished.reason) == ("a b c d", Reason.LENGTH)
    assert finished.stats == Stats(prompt_eval_count=3, eval_count=6)


def test_thoughts_that_fill_the_context_leave_no_answer() -> None:
    speaker = Speaker("<t>one two three four five</t>", "{}", num_ctx=20)
    thought, said, finished = speaker.answer("hi ")
    assert (thought, said, finished.reason) == ("one two three four five", "", Reason.LENGTH)
