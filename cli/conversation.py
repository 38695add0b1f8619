"""A conversation at the prompt: what was said, and what was set for it.

What belongs to the model itself (its system message, examples and parameters) is not in it.
"""

from collections.abc import Mapping
from typing import Any

from mbuild.compiler.parameters import OPTIONS, Type, convert
from mbuild.compiler.recipe import ParameterValue
from mbuild.runtime.message import Message
from mbuild.runtime.options import BadOption, read


class Conversation:
    """The turns so far, the options and the system message set at the prompt."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._options: dict[str, ParameterValue] = {}
        self.system = ""

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(self._messages)

    @property
    def options(self) -> Mapping[str, Any]:
        return self._options

    def add(self, role: str, content: str, *, thinking: str = "") -> None:
        """Add what one side said, and what it thought before."""
        self._messages.append(Message(role, content, thinking))

    def take_back(self) -> None:
        """Forget what was said last."""
        self._messages.pop()

    def set_system(self, text: str) -> None:
        """Add a system message; one that nothing has been said after is replaced."""
        if self._messages and self._messages[-1].role == "system":
            self._messages.pop()
        self.system = text
        self.add("system", text)

    def clear(self) -> None:
        """Forget what was said; the system message and the options stay."""
        self._messages = [Message("system", self.system)] if self.system else []

    def forget(self) -> None:
        """Begin anew with another model; the options stay."""
        self.system = ""
        self.clear()

    def set_option(self, name: str, values: tuple[str, ...]) -> None:
        """Set the option *name*; only ``stop`` takes more than the first of *values*.

        Raises:
            ValueError: there is no such option, or it takes no such value.
        """
        self._options[name] = _option(name, values)

    def to_save(self) -> tuple[Message, ...]:
        """What was said, without the system message, which is saved by itself."""
        current = Message("system", self.system)
        return tuple(message for message in self._messages if message != current)


def _option(name: str, values: tuple[str, ...]) -> ParameterValue:
    known = OPTIONS.get(name)
    if known is None:
        raise ValueError(f"unknown parameter '{name}'")
    if known.type is Type.TEXTS:
        return values
    value = convert(name, values[0])
    try:
        read({name: value})
    except BadOption as wrong:
        raise ValueError(str(wrong)) from None
    return value
