"""What stands in a prompt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.runtime.message import Message
from mbuild.runtime.prompt import Kept, conversation, one_shot, truncate

EXAMPLES = (Message("user", "2+2?"), Message("assistant", "4"))
HI = Message("user", "hi")
KID = Message("system", "You are a kid.")
OWN = Message("system", "You are a cat.")


@pytest.mark.parametrize(
    ("system", "messages", "expected"),
    [
        pytest.param("You are a kid.", [HI], (KID, *EXAMPLES, HI), id="system, examples, question"),
        pytest.param("", [HI], (*EXAMPLES, HI), id="no system"),
        # As in the reference, the examples stand before the request's own system message.
        pytest.param("You are a kid.", [OWN, HI], (*EXAMPLES, OWN, HI), id="own system"),
        pytest.param("You are a kid.", [HI, OWN], (KID, *EXAMPLES, HI, OWN), id="later system"),
        pytest.param("You are a kid.", [], (KID, *EXAMPLES), id="nothing said"),
    ],
)
def test_conversation(system: str, messages: list[Message], expected: tuple[Message, ...]) -> None:
    assert conversation(system, EXAMPLES, messages) == expected


def test_a_single_question_follows_the_examples_even_if_it_is_empty() -> None:
    assert one_shot("You are a kid.", EXAMPLES, "hi") == (KID, *EXAMPLES, HI)
    assert one_shot("", (), "") == (Message("user", ""),)


def size(messages: tuple[Message, ...]) -> int:
    return sum(len(each.content) for each in messages)


def said(text: str) -> tuple[Message, ...]:
    """A message for each word: those in capitals are the system's."""
    return tuple(Message("system" if word.isupper() else "user", word) for word in text.split())


@pytest.mark.parametrize(
    ("text", "limit", "kept", "dropped"),
    [
        pytest.param("aa bb cc", 6, "aa bb cc", "", id="fits"),
        pytest.param("aa bb cc", 5, "bb cc", "aa", id="the oldest goes"),
        pytest.param("S aa bb cc", 5, "S bb cc", "aa", id="the system stays"),
        pytest.param("aa S bb T cc", 4, "S T cc", "aa bb", id="systems stay in order"),
        pytest.param("S aa bb cc", 1, "S cc", "aa bb", id="the last stays though it is too long"),
        pytest.param("aa S", 0, "S", "aa", id="the last is a system message"),
        pytest.param("", 0, "", "", id="nothing at all"),
    ],
)
def test_truncate(text: str, limit: int, kept: str, dropped: str) -> None:
    assert truncate(said(text), size, limit) == Kept(said(kept), said(dropped))


def test_a_conversation_that_the_template_does_not_take_is_not_kept() -> None:
    turns = (HI, Message("assistant", "hello"), Message("user", "bye"))

    def count(messages: tuple[Message, ...]) -> int | None:
        return size(messages) if messages[0].role == "user" else None

    assert truncate(turns, count, 9) == Kept(turns[2:], turns[:2])


@given(st.lists(st.sampled_from(["S", "T", "a", "bb", "ccc"])), st.integers(0, 12))
def test_truncating_loses_no_message_and_drops_no_more_than_needed(
    words: list[str], limit: int
) -> None:
    turns = said(" ".join(words))
    found = truncate(turns, size, limit)
    assert len(found.messages) + len(found.dropped) == len(turns)
    assert not any(each.role == "system" for each in found.dropped)
    assert found.messages[-1:] == turns[-1:]
    if found.dropped:
        assert size(found.messages) + len(found.dropped[-1].content) > limit


@given(st.lists(st.sampled_from(["S", "a", "bb"]), min_size=65, max_size=400), st.integers(0, 300))
def test_of_very_many_messages_as_many_stay_as_of_few(words: list[str], limit: int) -> None:
    turns = said(" ".join(words))
    found = truncate(turns, size, limit)
    starts = range(len(turns))
    kept = ((*(t for t in turns[:at] if t.role == "system"), *turns[at:]) for at in starts)
    fitting = (each for each in kept if size(each) <= limit)
    last = (*(t for t in turns[:-1] if t.role == "system"), turns[-1])
    assert found.messages == next(fitting, last)
