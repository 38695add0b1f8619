"""Messages to the text that the model gets.

What stands in front of a conversation, which messages are left out of one that is too long, and
what a model's template says of it. Rendering itself is an argument, a `Renderer`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from mbuild.compiler.template.octets import presentable
from mbuild.compiler.template.provenance import Part, Piece, Traced, merged, pieces_of
from mbuild.runtime.message import Message, to_json

if TYPE_CHECKING:
    from mbuild.compiler.template.capabilities import Tags

IMAGE_TOKENS = 768  # What an image counts for, whatever its size.

_MANY = 64  # messages; so few are tried one by one

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


SYSTEM: Part = "system"
EXAMPLE: Part = "example"
USER: Part = "user"

Think = bool | str | None
"""Is thinking asked for? Not said, yes or no, or how much: ``low`` to ``max``."""


class TemplateRefused(Exception):
    """A template that is wrong, or does not take this conversation; in its own words."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the model's chat template: {reason}")
        self.reason = reason


class NoPlaceFor(Exception):
    """A template that cannot tell the model of something that it was given."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the model's template has no place for {what}")
        self.what = what


@dataclass(frozen=True, slots=True)
class Prompt:
    """The exact text that the model gets."""

    written: tuple[str, ...]  # one after another; what is Traced knows where it came from

    @property
    def text(self) -> str:
        """The whole of it."""
        return presentable("".join(self.written))

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The whole of it by origin; of some, or of all, that may not be known."""
        pieces = merged(piece for text in self.written for piece in pieces_of(text))
        return tuple(Piece(presentable(piece.text), piece.part) for piece in pieces)


class Renderer(Protocol):
    """A template, ready to be filled."""

    @property
    def thinking_tags(self) -> "Tags | None":
        """What surrounds the model's thinking; None: the template knows of none."""
        ...

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        think: Think = None,
    ) -> Prompt:
        """The whole prompt, up to where the answer begins.

        Raises:
            TemplateRefused: the template does not take this conversation.
            NoPlaceFor: there are *tools*, and it says nothing of tools.
        """
        ...

    def warm(self) -> None:
        """Begin to get ready, so that the first rendering need not wait."""
        ...

    def fill_in(self, before: str, behind: str, /) -> Prompt:
        """The prompt for what is missing between two texts.

        Raises:
            TemplateRefused: the template does not take them.
            NoPlaceFor: it cannot ask for that.
        """
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
    first = _system("" if own else system)
    return (*first, *traced(examples, EXAMPLE), *traced(messages))


def one_shot(system: str, examples: Sequence[Message], text: str) -> tuple[Message, ...]:
    """What a single question sends: *system*, *examples*, and *text* as the user, even empty."""
    question = Message("user", text)
    return (*_system(system), *traced(examples, EXAMPLE), *traced((question,)))


def traced(messages: Sequence[Message], part: Part = "") -> tuple[Message, ...]:
    """*messages* whose contents know that they are of *part*, or else of their role."""
    return tuple(
        replace(each, content=Traced.of(each.content, part or each.role)) for each in messages
    )


def _system(text: str) -> tuple[Message, ...]:
    return traced((Message("system", text),), SYSTEM) if text else ()


def truncate(
    messages: Sequence[Message], count: Callable[[tuple[Message, ...]], int | None], limit: int
) -> Kept:
    """*messages* without the oldest ones, so that *count* of them is at most *limit* tokens.

    System messages and the last message are never dropped, so the result may still be too long.
    What *count* cannot tell (``None``: the template takes no such conversation) does not fit.
    """
    whole = tuple(messages)
    last = len(whole) - 1
    early = _too_early(whole, count, limit)
    starts = (at for at in _starts(whole) if at >= early)
    start = next((at for at in starts if _fits(count(_from(whole, at)), limit)), last)
    start = max(0, start)
    dropped = tuple(each for each in whole[:start] if each.role != "system")
    return Kept(_from(whole, start), dropped)


def variables(
    messages: Sequence[Message],
    *,
    bos: str,
    eos: str,
    tools: Sequence[Any] = (),
    think: Think = None,
) -> dict[str, Any]:
    """What a model's own template may refer to."""
    thinking = {} if think is None else {"enable_thinking": bool(think)}
    effort = {"reasoning_effort": think} if isinstance(think, str) else {}
    return {
        "messages": [to_json(message) for message in messages],
        "tools": list(tools) or None,
        "add_generation_prompt": True,
        "bos_token": bos,
        "eos_token": eos,
        **thinking,
        **effort,
    }


def _too_early(
    messages: tuple[Message, ...], count: Callable[[tuple[Message, ...]], int | None], limit: int
) -> int:
    """From where on it is worth trying to begin.

    Each try costs as much as it keeps, so of very many messages the last few are tried first,
    then twice as many, and so on: once these are too long, more of them are so all the more.
    """
    if len(messages) <= _MANY or _fits(count(messages), limit):
        return 0
    kept = _MANY
    while kept < len(messages):
        start = len(messages) - kept
        found = count(_from(messages, start))
        if found is not None and found > limit:
            return start + 1
        kept *= 2
    return 1


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
