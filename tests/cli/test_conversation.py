"""What a conversation holds."""

import re

import pytest

from mbuild.cli.conversation import Conversation
from mbuild.runtime.message import Message


def test_a_system_message_that_nothing_followed_is_replaced() -> None:
    talk = Conversation()
    talk.set_system("one")
    talk.set_system("two")
    talk.add("user", "hi")
    talk.set_system("three")
    assert talk.messages == (
        Message("system", "two"),
        Message("user", "hi"),
        Message("system", "three"),
    )


def test_clearing_keeps_the_system_message_and_the_options() -> None:
    talk = Conversation()
    talk.set_system("be kind")
    talk.set_option("seed", ("4",))
    talk.add("user", "hi")
    talk.clear()
    assert talk.messages == (Message("system", "be kind"),)
    assert talk.options == {"seed": 4}


def test_another_model_begins_anew_with_the_same_options() -> None:
    talk = Conversation()
    talk.set_system("be kind")
    talk.set_option("seed", ("4",))
    talk.forget()
    assert (talk.messages, talk.system, talk.options) == ((), "", {"seed": 4})


def test_what_is_saved_has_the_system_message_once() -> None:
    talk = Conversation()
    talk.set_system("be kind")
    talk.add("user", "hi")
    assert talk.to_save() == (Message("user", "hi"),)


@pytest.mark.parametrize(
    ("name", "values", "value"),
    [
        ("seed", ("42",), 42),
        ("temperature", ("0.7",), 0.7),
        ("use_mmap", ("false",), False),
        ("stop", ("a", "b"), ("a", "b")),
        ("num_ctx", ("2048", "junk"), 2048),
    ],
)
def test_options_have_the_types_of_parameters(
    name: str, values: tuple[str, ...], value: object
) -> None:
    talk = Conversation()
    talk.set_option(name, values)
    assert talk.options == {name: value}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("temprature", "1", "unknown parameter 'temprature'"),
        ("mirostat", "1", "unknown parameter 'mirostat'"),
        ("seed", "x", "invalid int value [x]"),
        ("temperature", "hot", "invalid float value [hot]"),
        ("use_mmap", "yes", "invalid bool value [yes]"),
        ("temperature", "nan", 'option "temperature" must be a finite number'),
        ("num_ctx", "-5", 'option "num_ctx" must be from 0 to 2147483647'),
    ],
)
def test_a_wrong_option_is_refused_and_changes_nothing(name: str, value: str, message: str) -> None:
    talk = Conversation()
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        talk.set_option(name, (value,))
    assert talk.options == {}
