"""Messages → the text that the model is sent, through a model's template.

Source: the reference's template package (spec of TEMPLATE, "Execution"). Everything here is a
function of its arguments: the day is one of them, and texts that are
:class:`~mbuild.compiler.template.provenance.Traced` keep their origin through collation and
rendering.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from mbuild.compiler.template.capabilities import (
    Tags,
    has_tool_round_trip,
    thinking_tags,
    tool_call_tag,
    variables,
)
from mbuild.compiler.template.chat import NO_TOOLS, Message, Messages
from mbuild.compiler.template.compile import Program, compile_tree
from mbuild.compiler.template.ending import ending
from mbuild.compiler.template.functions import GO_FUNCTIONS
from mbuild.compiler.template.provenance import joined
from mbuild.compiler.template.reading import read
from mbuild.compiler.template.running import DEFAULT_LIMITS, Limits, Rendering
from mbuild.compiler.template.tree import Tree
from mbuild.compiler.template.value import ABSENT, Slice, Value

_BLANK_LINE = "\n\n"
Think = bool | str | None
"""Is thinking asked for? Not said, yes or no, or how much: ``low`` to ``max``."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be rendered: messages, or a prompt and the suffix that it must lead to."""

    messages: Sequence[Message] = ()
    tools: Slice = NO_TOOLS
    prompt: str = ""
    suffix: str = ""
    think: Think = None
    turn_by_turn: bool = False  # even if the template mentions messages


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """A model's template, compiled; made by :func:`chat_template`."""

    tree: Tree
    variables: tuple[str, ...]
    program: Program = field(repr=False)
    ending: Program = field(repr=False)  # for the last turn of a template that renders turns

    @property
    def renders_messages(self) -> bool:
        """Does the template go through the messages itself?"""
        return "messages" in self.variables

    @property
    def has_tools(self) -> bool:
        """Can the template tell the model of tools?"""
        return "tools" in self.variables

    @property
    def has_tool_round_trip(self) -> bool:
        """Can it also render the model's calls and their results?"""
        return has_tool_round_trip(self.tree, self.variables)

    @property
    def has_insert(self) -> bool:
        """Can the template ask for text before a suffix?"""
        return "suffix" in self.variables

    @property
    def thinking_tags(self) -> Tags | None:
        """What surrounds the model's thinking; None: the template knows of none."""
        return thinking_tags(self.tree)

    @property
    def tool_call_tag(self) -> str:
        """What the model writes in front of a tool call."""
        return tool_call_tag(self.tree)


def chat_template(text: str) -> ChatTemplate:
    """The template *text*, with the response at its end if it mentions no such thing.

    Raises:
        BadTemplate: *text* is no template.
    """
    tree = read(text)
    last = compile_tree(ending(tree), GO_FUNCTIONS, missing=ABSENT)
    return ChatTemplate(tree, variables(tree), compile_tree(tree), last)


def render(
    template: ChatTemplate,
    request: Request,
    *,
    today: date,
    limits: Limits = DEFAULT_LIMITS,
) -> Rendering:
    """What the model is sent for *request*.

    Raises:
        RenderFailed: the template fails on this request, or exceeds *limits*.
    """
    about = told_of_thinking(request.think)
    if request.prompt and request.suffix:
        data = {"Prompt": request.prompt, "Suffix": request.suffix, "Response": "", **about}
        return template.program.render(data, today=today, limits=limits)
    system, messages = collate(request.messages)
    if not template.renders_messages or request.turn_by_turn:
        return _render_turns(template, messages, about, today, limits)
    data = {
        "System": system,
        "Messages": Messages.of(messages),
        "Tools": request.tools,
        "Response": "",
        **about,
    }
    return template.program.render(data, today=today, limits=limits)


def collate(messages: Iterable[Message]) -> tuple[str, tuple[Message, ...]]:
    """All system texts together, and the messages with neighbours of one role merged.

    Of a message that is merged into the one before only the content survives. Messages of
    tools are never merged.
    """
    system: list[str] = []
    collated: list[Message] = []
    run: list[str] = []  # what is to be added to the last message of collated
    role = None
    for message in messages:
        if message.role == "system":
            system.append(message.content)
        if message.role == role != "tool":
            run.append(message.content)
            continue
        if run:
            collated[-1] = _with_contents(collated[-1], run)
            run = []
        role = message.role
        collated.append(message)
    if run:
        collated[-1] = _with_contents(collated[-1], run)
    return joined(system, _BLANK_LINE), tuple(collated)


def _with_contents(message: Message, contents: Sequence[str]) -> Message:
    return replace(message, content=joined((message.content, *contents), _BLANK_LINE))


def told_of_thinking(think: Think) -> dict[str, Value]:
    """What a template is told of *think*."""
    level = think if isinstance(think, str) else "medium" if think else ""
    return {"Think": bool(think), "ThinkLevel": level, "IsThinkSet": think is not None}


def _render_turns(
    template: ChatTemplate,
    messages: Iterable[Message],
    about: dict[str, Value],
    today: date,
    limits: Limits,
) -> Rendering:
    """One rendering for each turn, and one of the template's ending for the last."""
    written: list[str] = []
    *turns, last = _turns(messages)
    for turn in turns:
        rendering = template.program.render(turn | about, today=today, limits=limits)
        written.extend(rendering.written)
        left = limits.output - sum(map(len, rendering.written))
        limits = replace(limits, output=left)
    rendering = template.ending.render(last | about, today=today, limits=limits)
    return Rendering((*written, *rendering.written))


def _turns(messages: Iterable[Message]) -> list[dict[str, Value]]:
    """The turns of a conversation: what was said by whom between two answers."""
    turns = [_turn()]
    for message in messages:
        turn = turns[-1]
        begins = turn["Response"] if message.role == "user" else turn["Prompt"] or turn["Response"]
        if message.role in ("system", "user") and begins:
            turn = _turn()
            turns.append(turn)
        if message.role in _TURN_KEYS:
            turn[_TURN_KEYS[message.role]] = message.content
    return turns


_TURN_KEYS = {"system": "System", "user": "Prompt", "assistant": "Response"}


def _turn() -> dict[str, Value]:
    return {"System": "", "Prompt": "", "Response": ""}


def generation(
    *,
    prompt: str,
    suffix: str = "",
    system: str = "",
    examples: Sequence[Message] = (),
    tools: Slice = NO_TOOLS,
    think: Think = None,
) -> Request:
    """The request for one *prompt*: with a suffix just the two, else as a conversation."""
    if suffix:
        return Request(prompt=prompt, suffix=suffix)
    before = (Message("system", system),) if system else ()
    messages = (*before, *examples, Message("user", prompt))
    return Request(messages=messages, tools=tools, think=think)
