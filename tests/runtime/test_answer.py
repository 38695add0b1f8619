"""Sessions: a model and its engine. The engine here is a parrot."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from gguf_files import tiny_llama
from parrots import build
from shelf import Shelf

from mbuild.runtime.answer import BadContext, Dropped, Event, NothingAsked, Session
from mbuild.runtime.engine import EngineDied, Finished, Load, Parrot, Piece, PromptTooLong, Reason
from mbuild.runtime.jinja import Templates
from mbuild.runtime.message import Message
from mbuild.runtime.model import Model, open_model
from mbuild.runtime.options import BadOption
from mbuild.runtime.prompt import TemplateRefused, Think
from mbuild.runtime.schema import BadSchema
from mbuild.runtime.thinking import NoThinking, Thought
from mbuild.store.config import Config
from mbuild.store.manifest import MediaType
from mbuild.store.name import Name

# Every message on a line; it refuses what begins with an answer, as many models' do.
LINES = (
    "{% if messages[0].role == 'assistant' %}{{ raise_exception('begin with a question') }}"
    "{% endif %}{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}"
)
HI = Message("user", "hi")


@pytest.fixture(scope="module")
def templates() -> Iterator[Templates]:
    made = Templates()
    yield made
    made.close()


class Aviary:
    """Starts parrots, and knows those that it started."""

    def __init__(self, script: str | None = None) -> None:
        self.script = script
        self.parrots: list[Parrot] = []

    def __call__(self, load: Load) -> Parrot:
        self.parrots.append(Parrot(load, self.script))
        return self.parrots[-1]

    @property
    def prompts(self) -> list[str]:
        return [
            "".join(map(chr, request.prompt))
            for parrot in self.parrots
            for request in parrot.requests
        ]


def model(folder: Path, *more: Any, template: str | None = LINES, **options: Any) -> Model:
    weights = tiny_llama(folder / "tiny.gguf", chat_template=template)
    return Shelf(folder / "blobs").model(weights, *more, **options)


def text(events: Iterator[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Piece))


def test_a_chat_is_rendered_by_the_models_own_template(
    tmp_path: Path, templates: Templates
) -> None:
    kid = model(
        tmp_path,
        (MediaType.SYSTEM, "You are a kid."),
        messages=[{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}],
    )
    aviary = Aviary()
    with Session(kid, start=aviary, templates=templates) as session:
        said = text(session.chat([HI]))
        text(session.ask("why?", system="You are a cat."))
    examples = "user:2+2?\nassistant:4\n"
    expected = f"system:You are a kid.\n{examples}user:hi\n"
    assert aviary.prompts == [expected, f"system:You are a cat.\n{examples}user:why?\n"]
    assert said == expected
    assert [parrot.closed for parrot in aviary.parrots] == [True]


def test_without_a_template_it_is_chatml_with_its_stop(
    tmp_path: Path, templates: Templates
) -> None:
    aviary = Aviary("sure<|im_end|>\n<|im_start|>user")
    with Session(model(tmp_path, template=None), start=aviary, templates=templates) as session:
        assert text(session.chat([HI])) == "sure"
    assert aviary.prompts == ["<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"]


def test_options_of_the_request_go_before_those_of_the_model(
    tmp_path: Path, templates: Templates
) -> None:
    kid = model(tmp_path, params={"num_predict": 3, "stop": ["x"], "top_k": 5})
    aviary = Aviary("one two three four")
    with Session(kid, start=aviary, templates=templates) as session:
        assert text(session.chat([HI])) == "one two three"
        assert text(session.chat([HI], {"num_predict": 4, "stop": ["o t"]})) == "one tw"
    first, second = aviary.parrots[0].requests
    assert (first.sampling.top_k, first.stop, second.stop) == (5, ("x",), ("o t",))


def test_the_engine_is_kept_until_an_option_needs_another(
    tmp_path: Path, templates: Templates
) -> None:
    aviary = Aviary()
    with Session(model(tmp_path), start=aviary, templates=templates) as session:
        session.warm()
        text(session.chat([HI], {"temperature": 0}))
        text(session.chat([HI], {"num_ctx": 64}))
    assert [parrot.closed for parrot in aviary.parrots] == [True, True]
    assert [parrot.load.options.num_ctx for parrot in aviary.parrots] == [0, 64]


def test_a_wrong_option_starts_no_engine(tmp_path: Path, templates: Templates) -> None:
    aviary = Aviary()
    session = Session(model(tmp_path, params={"top_k": "x"}), start=aviary, templates=templates)
    with pytest.raises(BadOption, match="top_k"):
        session.warm()
    with pytest.raises(BadOption, match="top_k"):
        text(session.chat([HI]))
    assert aviary.parrots == []


def test_what_is_dropped_is_said_before_the_answer(tmp_path: Path, templates: Templates) -> None:
    turns = [HI, Message("assistant", "hello"), Message("user", "bye")]
    aviary = Aviary()
    with Session(model(tmp_path), start=aviary, templates=templates) as session:
        first, *_ = session.chat(turns, {"num_ctx": 30})
    # Without the question its answer would fit, but the template takes no such conversation.
    assert first == Dropped(tuple(turns[:2]), 30)
    assert aviary.prompts == ["user:bye\n"]


def test_nothing_is_dropped_if_that_is_not_wanted(tmp_path: Path, templates: Templates) -> None:
    turns = [HI, Message("user", "bye")]
    with Session(model(tmp_path), start=Aviary(), templates=templates) as session:
        with pytest.raises(PromptTooLong, match="the prompt has 17 tokens, and the context holds"):
            text(session.chat(turns, {"num_ctx": 10}, truncate=False))
        with pytest.raises(PromptTooLong, match="the prompt has 24 tokens"):
            text(session.chat([Message("user", "x" * 18)], {"num_ctx": 10}))


def test_what_the_template_refuses_is_said_and_nothing_dropped(
    tmp_path: Path, templates: Templates
) -> None:
    turns = [Message("assistant", "hello"), HI]
    with (
        Session(model(tmp_path), start=Aviary(), templates=templates) as session,
        pytest.raises(TemplateRefused, match="begin with a question"),
    ):
        text(session.chat(turns))


def test_an_answer_can_be_cancelled(tmp_path: Path, templates: Templates) -> None:
    with Session(model(tmp_path), start=Aviary("a b c"), templates=templates) as session:
        events = []
        for event in session.chat([HI]):
            events.append(event)
            session.cancel()
    assert isinstance(events[-1], Finished)
    assert (events[0], events[-1].reason, len(events)) == (Piece("a"), Reason.CANCELLED, 2)


def test_times_of_loading_and_in_all_are_measured_outside(
    tmp_path: Path, templates: Templates
) -> None:
    ticks = count(start=100, step=10)
    session = Session(
        model(tmp_path), start=Aviary("a"), templates=templates, clock=lambda: next(ticks)
    )
    *_, finished = session.chat([HI])
    assert isinstance(finished, Finished)
    assert (finished.stats.load_duration, finished.stats.total_duration) == (10, 20)


class Sick(Parrot):
    """Dies at every question."""

    def generate(self, request: Any) -> Any:
        raise EngineDied("killed by SIGKILL")


def test_after_a_death_the_next_question_gets_another_engine(
    tmp_path: Path, templates: Templates
) -> None:
    started: list[Parrot] = []

    def start(load: Load) -> Parrot:
        started.append(Parrot(load, "well") if started else Sick(load))
        return started[-1]

    with Session(model(tmp_path), start=start, templates=templates) as session:
        with pytest.raises(EngineDied):
            text(session.chat([HI]))
        assert text(session.chat([HI])) == "well"
    assert [parrot.closed for parrot in started] == [True, True]


def test_a_model_with_a_template_is_rendered_by_it(tmp_path: Path, templates: Templates) -> None:
    kid = model(
        tmp_path,
        (MediaType.TEMPLATE, "{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}"),
        (MediaType.SYSTEM, "S"),
        messages=[{"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}],
    )
    aviary = Aviary("well<|im_end|>")
    with Session(kid, start=aviary, templates=templates) as session:
        said = text(session.ask("why?"))
        text(session.chat([Message("system", "T"), HI]))
    first = "<system>S<user>U<assistant>A<user>why?"
    # As in the reference, the examples stand before the request's own system message.
    assert aviary.prompts == [first, "<user>U<assistant>A<system>T<user>hi"]
    assert said == "well<|im_end|>"


def test_another_renderer_can_be_asked_for(tmp_path: Path, templates: Templates) -> None:
    kid = model(tmp_path, (MediaType.TEMPLATE, "{{ .Prompt }}"), config=Config(renderer="qwen3"))
    aviary = Aviary()
    with Session(kid, start=aviary, templates=templates, renderer="jinja") as session:
        text(session.ask("hi"))
    with Session(kid, start=aviary, templates=templates, renderer="go") as session:
        text(session.ask("hi"))
    assert aviary.prompts == ["user:hi\n", "hi"]


def test_an_old_turn_of_a_template_is_dropped_as_its_tokens_count(
    tmp_path: Path, templates: Templates
) -> None:
    kid = model(tmp_path, (MediaType.TEMPLATE, "[{{ .Prompt }}]{{ .Response }}"))
    turns = [HI, Message("assistant", "hello"), Message("user", "bye")]
    aviary = Aviary()
    with Session(kid, start=aviary, templates=templates) as session:
        first, *_ = session.chat(turns, {"num_ctx": 13})
    assert first == Dropped(tuple(turns[:1]), 13)
    assert aviary.prompts == ["[]hello[bye]"]


def test_a_template_needs_no_jinja(tmp_path: Path) -> None:
    kid = model(tmp_path, (MediaType.TEMPLATE, "{{ .Prompt }}"))
    templates = Templates()
    with Session(kid, start=Aviary(), templates=templates) as session:
        session.warm()
    assert templates._worker is None


THINKER = (
    "{{ range .Messages }}{{ .Role }}:{{ if .Thinking }}<t>{{ .Thinking }}</t>{{ end }}"
    "{{ .Content }}\n{{ end }}{{ .Think }}"
)


def told_apart(events: Iterator[Event]) -> tuple[str, str]:
    """What was thought, and what was said."""
    seen = list(events)
    thought = "".join(event.text for event in seen if isinstance(event, Thought))
    return thought, text(iter(seen))


@pytest.mark.parametrize(
    ("think", "prompt", "expected"),
    [
        pytest.param(None, "user:hi\ntrue", ("hm hm", "yes </t>"), id="unless told it thinks"),
        pytest.param(True, "user:hi\ntrue", ("hm hm", "yes </t>"), id="told to"),
        pytest.param("low", "user:hi\ntrue", ("hm hm", "yes </t>"), id="told how much"),
        pytest.param(
            False, "user:hi\nfalse", ("", "<t> hm hm</t> yes </t>"), id="told not to, all is said"
        ),
    ],
)
def test_thoughts_come_apart_from_the_answer(
    tmp_path: Path, templates: Templates, think: Think, prompt: str, expected: tuple[str, str]
) -> None:
    aviary = Aviary("<t> hm hm</t> yes </t>")
    kid = model(tmp_path, (MediaType.TEMPLATE, THINKER))
    with Session(kid, start=aviary, templates=templates) as session:
        assert told_apart(session.chat([HI], think=think)) == expected
        assert told_apart(session.ask("hi", think=think)) == expected
    assert aviary.prompts == [prompt, prompt]


def test_the_prompt_may_have_begun_the_thoughts(tmp_path: Path, templates: Templates) -> None:
    jinja = "{{ messages[-1].content }}<think>\n{# </think> #}"
    aviary = Aviary("hm</think>yes")
    with Session(model(tmp_path, template=jinja), start=aviary, templates=templates) as session:
        assert told_apart(session.chat([HI])) == ("hm", "yes")


def test_a_stop_counts_amid_thoughts(tmp_path: Path, templates: Templates) -> None:
    kid = model(tmp_path, (MediaType.TEMPLATE, THINKER))
    with Session(kid, start=Aviary("<t>a b c</t>d"), templates=templates) as session:
        assert told_apart(session.chat([HI], {"stop": [" c"]})) == ("a b", "")


def test_a_model_that_cannot_think_is_not_asked_to(tmp_path: Path, templates: Templates) -> None:
    aviary = Aviary("<think>a</think>b")
    with Session(model(tmp_path), start=aviary, templates=templates) as session:
        for think in (True, "high"):
            with pytest.raises(NoThinking, match='"kid" does not support thinking'):
                session.check(think)
            with pytest.raises(NoThinking):
                text(session.chat([HI], think=think))
        assert (aviary.parrots, session.thinks) == ([], False)
        # Not to think can be asked of any; what looks like thoughts is then part of the answer.
        for wish in (None, False):
            assert told_apart(session.ask("hi", think=wish)) == ("", "<think>a</think>b")


def test_a_model_that_is_said_to_think_may_be_asked_to(
    tmp_path: Path, templates: Templates
) -> None:
    kid = model(tmp_path, config=Config(capabilities=("thinking",)))
    with Session(kid, start=Aviary("a"), templates=templates) as session:
        assert told_apart(session.ask("hi", think=True)) == ("", "a")


ANY_OBJECT = '{"type": "object"}'


@pytest.mark.parametrize(
    ("schema", "form", "allowed"),
    [
        pytest.param(None, None, None, id="free"),
        pytest.param(ANY_OBJECT, None, '{"a": 1}', id="as the model has it"),
        pytest.param(ANY_OBJECT, "", None, id="free if one says so"),
        pytest.param(None, "json", '{"a": 1}', id="JSON"),
        pytest.param(ANY_OBJECT, {"const": 3}, "3", id="a schema goes before the model's"),
        pytest.param(None, {"const": 3}, "3", id="a schema"),
    ],
)
def test_what_answers_look_like(
    tmp_path: Path,
    templates: Templates,
    schema: str | None,
    form: Any,
    allowed: str | None,
) -> None:
    layers = [] if schema is None else [(MediaType.SCHEMA, schema)]
    aviary = Aviary()
    with Session(model(tmp_path, *layers), start=aviary, templates=templates) as session:
        text(session.chat([HI], form=form))
        text(session.ask("hi", form=form))
    grammars = {request.grammar for request in aviary.parrots[0].requests}
    assert len(grammars) == 1
    assert (grammars == {""}) == (allowed is None)
    if allowed == "3":
        assert '"3"' in grammars.pop()


def test_a_schema_that_cannot_be_kept_to_starts_no_engine(
    tmp_path: Path, templates: Templates
) -> None:
    aviary = Aviary()
    broken = model(tmp_path, (MediaType.SCHEMA, '{"type": "float"}'))
    with Session(broken, start=aviary, templates=templates) as session:
        with pytest.raises(BadSchema, match="unknown type 'float'"):
            text(session.chat([HI]))
        assert aviary.parrots == []
        assert text(session.chat([HI], form="")) == "user:hi\n"


class Beginning(Parrot):
    """A parrot whose texts all begin with the token 1."""

    def tokenize(self, text: str) -> tuple[int, ...]:
        return (1, *super().tokenize(text))


@pytest.fixture
def kid(tmp_path: Path) -> Model:
    store = build(tmp_path)
    return open_model("kid", store.load(Name.parse("kid")), store.blobs)


def test_a_context_has_no_token_that_begins_every_text(kid: Model, templates: Templates) -> None:
    with Session(kid, start=Beginning, templates=templates) as session:
        assert session.context("x") == ()
        list(session.complete("hi"))
        assert session.asked == (1, *map(ord, "hi"))
        assert session.context("!") == tuple(map(ord, "hi!"))


def test_a_raw_prompt_goes_to_the_model_as_it_is_and_can_be_cut(
    kid: Model, templates: Templates
) -> None:
    with Session(kid, start=Parrot, templates=templates) as session:
        first, *_ = session.complete("x" * 100, {"num_ctx": 32}, cut=True)
        assert isinstance(first, Dropped)
        assert first.tokens == 100 - len(session.asked)
        with pytest.raises(PromptTooLong):
            list(session.complete("x" * 100, {"num_ctx": 32}))


def test_what_is_asked_must_be_something(kid: Model, templates: Templates) -> None:
    with Session(kid, start=Parrot, templates=templates) as session:
        with pytest.raises(NothingAsked):
            list(session.complete(""))
        with pytest.raises(BadContext, match="from 0 to 1114111"):
            list(session.ask("hi", context=[2**40]))
