"""A real model, answering."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from mbuild.compiler import gguf
from mbuild.runtime.answer import Dropped, Event, Session
from mbuild.runtime.engine import (
    Finished,
    Load,
    LoadOptions,
    Piece,
    PromptTooLong,
    Reason,
    Request,
    Sampling,
    Stats,
)
from mbuild.runtime.jinja import Templates
from mbuild.runtime.llama import Llama
from mbuild.runtime.message import Message
from mbuild.runtime.model import Model
from mbuild.runtime.prompt import conversation
from mbuild.runtime.renderers import choose
from mbuild.runtime.tokens import attribute
from mbuild.store.config import Config

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        find_spec("llama_cpp") is None, reason="pip install 'mbuild-modelfile[run]'"
    ),
]

FRANCE = "What is the capital of France?"
KID = "You are a 5-year old kid."
USERS = (Message("user", FRANCE),)


@pytest.fixture(scope="module")
def session(smollm2: Path) -> Iterator[Session]:
    path = str(smollm2)
    kid = Model("kid", Config(), path, (), (), None, KID, (), {"num_ctx": 512}, (), gguf.read(path))
    templates = Templates()
    with Session(kid, start=Llama, templates=templates) as made:
        yield made
    templates.close()


def heard(events: Iterator[Event]) -> tuple[str, Finished]:
    *pieces, finished = events
    assert isinstance(finished, Finished)
    return "".join(piece.text for piece in pieces if isinstance(piece, Piece)), finished


def ask(session: Session, text: str, **options: Any) -> tuple[str, Finished]:
    return heard(session.chat([Message("user", text)], {"temperature": 0, **options}))


def test_a_plain_question_gets_the_same_sensible_answer_twice(session: Session) -> None:
    first, finished = ask(session, FRANCE)
    second, _ = ask(session, FRANCE)
    assert "Paris" in first
    assert first == second
    assert finished.reason is Reason.STOP
    assert "<|im_end|>" not in first


CHATML = """\
{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""


def test_a_chatml_template_makes_the_prompt_and_tokens_of_the_models_own(smollm2: Path) -> None:
    path = str(smollm2)
    header = gguf.read(path)
    kid = Model("kid", Config(), path, (), (), CHATML, KID, (), {}, (), header)
    turns = conversation(KID, (), [Message("user", "hi"), Message("assistant", "é"), *USERS])
    with closing(Templates()) as templates, closing(Llama(Load(path, vocab_only=True))) as engine:
        own = choose(kid, templates, "jinja").render(turns).text
        prompt = choose(kid, templates).render(turns)
        assert prompt.text == own
        ids = engine.tokenize(own)
        tokens = attribute(prompt, ids, engine.pieces(ids), bos=engine.loaded.vocabulary.bos)
    parts: dict[str, list[bytes]] = {
        part: [] for part in ("template", "system", "user", "assistant")
    }
    for token in tokens:
        parts[str(token.part)].append(token.data)
    assert b"".join(parts["system"]).decode() == KID
    assert b"".join(parts["user"]).decode() == "hi" + FRANCE
    assert b"".join(parts["assistant"]).decode() == "é"


def test_the_prompt_is_what_the_models_own_template_makes_of_it(session: Session) -> None:
    session.warm()
    assert session._engine is not None
    turns = [Message("system", KID), Message("user", "hi")]
    sent, _ = session._prompt(session._engine, turns=turns, think=None, truncate=True)
    assert b"".join(session._engine.pieces(sent.tokens)).decode() == (
        f"<|im_start|>system\n{KID}<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_the_same_seed_gives_the_same_answer(session: Session) -> None:
    creative = {"temperature": 1.2, "num_predict": 24}
    story = "Tell me a story."
    first = ask(session, story, seed=1, **creative)[0]
    # The second time the prompt is in the cache, so that it is read in another way.
    again = [ask(session, story, seed=1, **creative)[0] for _ in range(2)]
    other = ask(session, story, seed=2, **creative)[0]
    assert again[0] == again[1]
    assert other not in (first, again[0])


def test_the_only_choice_is_as_good_as_greedy(session: Session) -> None:
    greedy = ask(session, FRANCE)[0]
    assert ask(session, FRANCE, temperature=2.0, top_k=1, seed=5)[0] == greedy


def test_a_stop_text_ends_the_answer_before_it(session: Session) -> None:
    whole = ask(session, FRANCE)[0]
    cut, finished = ask(session, FRANCE, stop=["Paris"])
    assert cut == whole[: whole.index("Paris")]
    assert finished.reason is Reason.STOP


def test_an_answer_has_at_most_num_predict_tokens(session: Session) -> None:
    _, finished = ask(session, "Count to one hundred.", num_predict=5)
    assert (finished.reason, finished.stats.eval_count) == (Reason.LENGTH, 5)


def test_the_second_turn_reads_only_what_is_new(session: Session) -> None:
    turns = [Message("user", "My name is Anna. Who are you?")]
    answer, first = heard(session.chat(turns, {"temperature": 0, "num_predict": 40}))
    turns += [Message("assistant", answer), Message("user", "What is my name?")]
    _, second = heard(session.chat(turns, {"temperature": 0, "num_predict": 5}))
    new = second.stats.prompt_eval_count - second.stats.prompt_cached
    # What is new: the end of the answer's turn and the question.
    assert second.stats.prompt_cached >= first.stats.prompt_eval_count + first.stats.eval_count - 2
    assert new < 25


def test_an_answer_after_another_is_that_of_a_fresh_engine(session: Session) -> None:
    ask(session, "Why is the sky blue?", num_predict=20)
    after = ask(session, FRANCE)[0]
    session.close()
    assert ask(session, FRANCE)[0] == after


def test_what_does_not_fit_is_dropped_and_said(session: Session) -> None:
    long = Message("user", "word" + " word" * 399)
    turns = [long, Message("assistant", "ok"), long, Message("user", FRANCE)]
    first, *rest = session.chat(turns, {"temperature": 0})
    assert first == Dropped((long,), 512)
    assert isinstance(rest[-1], Finished)


def test_a_single_message_that_does_not_fit_is_an_error_with_numbers(session: Session) -> None:
    with pytest.raises(PromptTooLong) as caught:
        ask(session, "word " * 600)
    assert caught.value.num_ctx == 512
    assert caught.value.tokens > 600


def test_an_answer_goes_on_when_the_context_is_full(session: Session) -> None:
    text, finished = ask(
        session, "Tell me a long story.", num_ctx=64, num_predict=100, repeat_penalty=1.3
    )
    assert (finished.reason, finished.stats.eval_count) == (Reason.LENGTH, 100)
    assert len(text) > 100


def test_emojis_come_whole(session: Session) -> None:
    assert session._engine is not None
    turn = "<|im_start|>user\nRepeat: 😀🎉é漢<|im_end|>\n<|im_start|>assistant\n😀🎉é漢 😀🎉é漢 😀"
    tokens = session._engine.tokenize(turn)
    request = Request(tokens, Sampling(temperature=0), num_predict=30)
    pieces = [event.text for event in session._engine.generate(request) if isinstance(event, Piece)]
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(pieces)
    assert any(ord(letter) > 0x1F000 for letter in "".join(pieces))


def test_reading_a_long_prompt_can_be_cancelled_in_the_middle(smollm2: Path) -> None:
    """One step reads all of the prompt here, and would take ten seconds or more."""
    engine = Llama(Load(str(smollm2), options=LoadOptions(num_ctx=4096, num_batch=4096)))
    tokens = engine.tokenize("word " * 4000)[:3000]
    generation = engine.generate(Request(tokens))
    threading.Timer(0.3, generation.cancel).start()
    (finished,) = generation
    assert isinstance(finished, Finished)
    assert finished.reason is Reason.CANCELLED
    assert finished.stats.prompt_eval_duration < 5_000_000_000
    # Nothing of it is left behind.
    prompt = engine.tokenize("The capital of France is")
    piece, _ = engine.generate(Request(prompt, Sampling(temperature=0), num_predict=1))
    engine.close()
    assert piece == Piece(" Paris")


def test_times_add_up(session: Session) -> None:
    stats: Stats = ask(session, "Hello!", num_predict=10)[1].stats
    parts = stats.load_duration + stats.prompt_eval_duration + stats.eval_duration
    assert 0 < parts <= stats.total_duration


CITY: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 40},
        "continent": {"enum": ["Africa", "America", "Asia", "Europe", "Oceania"]},
        "people": {"type": "integer", "minimum": 1, "maximum": 40_000_000},
        "rivers": {"type": "array", "items": {"type": "string", "maxLength": 20}, "maxItems": 3},
    },
    "required": ["name", "continent", "people"],
}


def test_answers_by_a_schema_fit_it_whatever_the_seed(session: Session) -> None:
    found = []
    for seed in range(6):
        options = {"temperature": 1.5, "seed": seed, "num_predict": 300}
        said, finished = heard(session.chat(USERS, options, form=CITY))
        assert finished.reason is Reason.STOP
        city = json.loads(said)
        assert list(city)[:3] == ["name", "continent", "people"]
        assert city["continent"] in CITY["properties"]["continent"]["enum"]
        assert 1 <= city["people"] <= 40_000_000
        assert len(city.get("rivers", [])) <= 3
        found.append(said)
    assert len(set(found)) > 1


def test_a_schema_does_not_make_a_sensible_answer_senseless(session: Session) -> None:
    form = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    said, _ = heard(session.chat(USERS, {"temperature": 0, "num_predict": 200}, form=form))
    assert "Paris" in json.loads(said)["answer"]


def test_without_a_schema_it_is_text(session: Session) -> None:
    said, _ = ask(session, FRANCE, num_predict=20)
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(said)


@pytest.fixture(scope="module")
def busy(smollm2: Path) -> Iterator[Llama]:
    """An engine with three slots."""
    engine = Llama(Load(str(smollm2), options=LoadOptions(num_ctx=1024, parallel=3)))
    yield engine
    engine.close()


def chatml(engine: Llama, text: str) -> tuple[int, ...]:
    return engine.tokenize(f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n")


def test_several_questions_at_once_get_sensible_answers(busy: Llama) -> None:
    questions = {
        FRANCE: "Paris",
        "What is the capital of Italy?": "Rome",
        "What is the capital of Japan?": "Tokyo",
        "What is the capital of Germany?": "Berlin",
    }
    under_way = [
        (busy.generate(Request(chatml(busy, text), Sampling(temperature=0), num_predict=16)), word)
        for text, word in questions.items()
    ]
    for generation, word in under_way:
        assert word in "".join(each.text for each in generation if isinstance(each, Piece))


def test_a_long_prompt_lets_an_answer_go_on(busy: Llama) -> None:
    greedy = Sampling(temperature=0)
    story = busy.generate(Request(chatml(busy, "Tell me a story."), greedy, num_predict=400))
    next(story)
    long = busy.generate(Request(chatml(busy, "word " * 300), greedy, num_predict=1))
    reading = threading.Thread(target=lambda: list(long))
    reading.start()
    pieces = 0
    while reading.is_alive():
        pieces += isinstance(next(story), Piece)
    story.cancel()
    list(story)
    # It was read in more than a few steps, and each of them went on with the story.
    assert pieces >= 5


def test_like_means_like(busy: Llama) -> None:
    texts = ["A cat sat on the mat.", "A kitten lay on the rug.", "Taxes rose by two per cent."]
    cat, kitten, taxes = busy.embed([busy.tokenize(text) for text in texts])

    def alike(one: list[float], two: list[float]) -> float:
        return sum(a * b for a, b in zip(one, two, strict=True))

    lengths = [alike(each, each) ** 0.5 for each in (cat, kitten, taxes)]
    assert alike(cat, kitten) / lengths[1] > alike(cat, taxes) / lengths[2]
