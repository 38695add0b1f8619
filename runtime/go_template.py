"""A model's TEMPLATE, compiled once: prompts in the Go template language."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from mbuild.compiler.template import chat, prompt, wire
from mbuild.compiler.template.chat import NO_TOOLS
from mbuild.compiler.template.failure import BadTemplate, RenderFailed, place
from mbuild.compiler.template.prompt import Request
from mbuild.compiler.template.provenance import TEMPLATE, Traced
from mbuild.runtime.message import Message, to_json
from mbuild.runtime.prompt import USER, NoPlaceFor, Prompt, TemplateRefused, Think


class GoTemplate:
    """One model's TEMPLATE: a `Renderer`.

    Raises:
        TemplateRefused: *text* is no template.
    """

    def __init__(self, text: str, *, today: Callable[[], date] = date.today) -> None:
        try:
            self._template = prompt.chat_template(text)
        except BadTemplate as bad:
            raise _refusal(text, bad) from None
        self._text = text
        self._today = today
        self.thinking_tags = self._template.thinking_tags

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] = (),
        think: Think = None,
    ) -> Prompt:
        """The whole prompt. A template that knows of thinking is told to think, unless said."""
        if tools and not self._template.has_tools:
            raise NoPlaceFor("tools")
        # The name of a role is the template's affair, not a part of what was said.
        roles = {role: Traced.of(role, TEMPLATE) for role in {each.role for each in messages}}
        turns = [_turn(message, roles[message.role]) for message in messages]
        given = wire.tools(list(tools)) if tools else NO_TOOLS
        wanted = True if think is None and self.thinking_tags else think
        return self._render(Request(turns, given, think=wanted))

    def warm(self) -> None:
        """Nothing: it was compiled when it was made."""

    def fill_in(self, before: str, behind: str, /) -> Prompt:
        """The prompt for what is missing between two texts."""
        if not self._template.has_insert:
            raise NoPlaceFor("a suffix")
        texts = Traced.of(before, USER), Traced.of(behind, USER)
        return self._render(Request(prompt=texts[0], suffix=texts[1]))

    def _render(self, request: Request) -> Prompt:
        try:
            rendering = prompt.render(self._template, request, today=self._today())
        except RenderFailed as failed:
            raise _refusal(self._text, failed) from None
        return Prompt(rendering.written)


def _turn(message: Message, role: str) -> chat.Message:
    """*message* as templates see it."""
    if message.images or message.tool_calls:
        (turn,) = wire.messages([to_json(message)])
        return replace(turn, role=role)
    return chat.Message(
        role,
        message.content,
        message.thinking,
        tool_name=message.tool_name,
        tool_call_id=message.tool_call_id,
    )


def _refusal(text: str, error: BadTemplate | RenderFailed) -> TemplateRefused:
    line, _ = place(text, error.start)
    return TemplateRefused(f"line {line} of the TEMPLATE: {error.reason}")
