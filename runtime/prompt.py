"""Messages to the text that the model gets.

What stands in front of a conversation, which messages are left out of one that is too long, and
what a model's template says of it. Rendering itself is an argument, a `Renderer`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from mbuild.runtime.message import Message, to_json

IMAGE_TOKENS = 768  # What an image counts for, whatever its size.

CHATML = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- endif -%}
"""
"""The template of a model that has none: chatml, the most common one."""

CHATML_STOP = "<|im_end|>"
"""What ends an answer in `CHATML`, where the vocabulary does not know it as a token."""


class Renderer(Protocol):
    """A template, ready to be filled."""

    def render(self, messages: Sequence[Message]) -> str:
        """The whole prompt, up to where the answer begins."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A conversation, shortened."""

    messages: tuple[Message, ...]
    dropped: tuple[Message, ...] = ()  # in their order


def conversation(
    system: str, examples: Sequence[Message], messages: Sequence[Message]
) -> tuple[Message, ...]:
    """What a chat sends: *system*, unless *messages* begin with another, *examples*, *messages*."""
    own = bool(messages) and messages[0].role == "system"
    first = (Message("system", system),) if system and not own else ()
    return (*first, *examples, *messages)


def one_shot(system: str, examples: Sequence[Message], text: str) -> tuple[Message, ...]:
    """What a single question sends: *system*, *examples*, and *text* as the user, even empty."""
    first = (Message("system", system),) if system else ()
    return (*first, *examples, Message("user", text))


def truncate(
    messages: Sequence[Message], count: Callable[[tuple[Message, ...]], int | None], limit: int
) -> Kept:
    """*messages* without the oldest ones, so that *count* of them is at most *limit* tokens.

    System messages and the last message are never dropped, so the result may still be too long.
    What *count* cannot tell (``None``: the template takes no such conversation) does not fit.
    """
    whole = tuple(messages)
    last = len(whole) - 1
    start = next((at for at in _starts(whole) if _fits(count(_from(whole, at)), limit)), last)
    start = max(0, start)
    dropped = tuple(each for each in whole[:start] if each.role != "system")
    return Kept(_from(whole, start), dropped)


def variables(
    messages: Sequence[Message], *, bos: str, eos: str, tools: Sequence[Any] = ()
) -> dict[str, Any]:
    """What a model's own template may refer to."""
    return {
        "messages": [to_json(message) for message in messages],
        "tools": list(tools) or None,
        "add_generation_prompt": True,
        "bos_token": bos,
        "eos_token": eos,
    }


def _starts(messages: tuple[Message, ...]) -> Iterator[int]:
    """Where what is kept may begin; behind a system message it would be the same again."""
    for start in range(len(messages) - 1):
        if start == 0 or messages[start - 1].role != "system":
            yield start


def _from(messages: tuple[Message, ...], start: int) -> tuple[Message, ...]:
    systems = tuple(each for each in messages[:start] if each.role == "system")
    return (*systems, *messages[start:])


def _fits(count: int | None, limit: int) -> bool:
    return count is not None and count <= limit
