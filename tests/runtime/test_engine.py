"""The parrot, which stands in for an engine."""

import pytest

from mbuild.runtime.engine import (
    EngineDied,
    EngineMissing,
    Finished,
    Load,
    LoadOptions,
    Parrot,
    Piece,
    PromptTooLong,
    Reason,
    Request,
    Stats,
)


def said(parrot: Parrot, text: str, **options: object) -> tuple[str, Finished]:
    request = Request(parrot.tokenize(text), **options)  # type: ignore[arg-type]  # As given.
    *pieces, finished = list(parrot.generate(request))
    assert isinstance(finished, Finished)
    return "".join(piece.text for piece in pieces if isinstance(piece, Piece)), finished


@pytest.mark.parametrize(
    ("options", "text", "reason"),
    [
        pytest.param({}, "one two three", Reason.STOP, id="everything"),
        pytest.param({"num_predict": 2}, "one two", Reason.LENGTH, id="a number of tokens"),
        pytest.param({"num_predict": 3}, "one two three", Reason.STOP, id="just enough"),
        pytest.param({"num_predict": 0}, "", Reason.LENGTH, id="no token"),
        pytest.param({"stop": ("o t",)}, "one tw", Reason.STOP, id="a stop across words"),
    ],
)
def test_the_parrot_says_what_it_hears(
    options: dict[str, object], text: str, reason: Reason
) -> None:
    found, finished = said(Parrot(), "one two three", **options)
    assert (found, finished.reason) == (text, reason)


def test_the_parrot_says_its_script_and_counts() -> None:
    found, finished = said(Parrot(script="a b"), "xyz")
    assert (found, finished.stats) == ("a b", Stats(prompt_eval_count=3, eval_count=2))


def test_a_cancelled_answer_ends_with_what_it_cost() -> None:
    answer = Parrot(script="a b c").generate(Request((1,)))
    first = next(answer)
    answer.cancel()
    assert [first, *answer] == [
        Piece("a"),
        Finished(Reason.CANCELLED, Stats(prompt_eval_count=1, eval_count=1)),
    ]


def test_a_prompt_that_fills_the_context_is_refused_with_the_numbers() -> None:
    parrot = Parrot(Load("x", options=LoadOptions(num_ctx=8)))
    with pytest.raises(PromptTooLong, match="the prompt has 8 tokens, and the context holds 8"):
        said(parrot, "12345678")


def test_a_closed_parrot_is_dead() -> None:
    parrot = Parrot()
    parrot.close()
    with pytest.raises(EngineDied):
        said(parrot, "hi")


def test_what_is_missing_says_what_to_install() -> None:
    assert str(EngineMissing("llama-cpp-python")) == (
        "llama-cpp-python is not installed: pip install 'mbuild-modelfile[run]'"
    )


def test_the_parrot_embeds_by_the_look_of_the_tokens() -> None:
    parrot = Parrot(Load("x", options=LoadOptions(num_ctx=8)))
    assert parrot.embed([[5, 6, 7], [9]]) == [[3.0, 5.0, 7.0], [1.0, 9.0, 9.0]]
    with pytest.raises(PromptTooLong, match="has 9 tokens, and the context holds 8"):
        parrot.embed([[1], [1] * 9])
    parrot.close()
    with pytest.raises(EngineDied):
        parrot.embed([])
