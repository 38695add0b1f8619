"""``/v1/messages``, as Anthropic has it: questions become native ones, and answers its own.

Source: the specification of the OpenAI and Anthropic APIs, section 8.
"""

import secrets
from contextlib import closing
from functools import partial
from typing import Any

from mbuild.runtime import options
from mbuild.runtime.api import anthropic, anthropic_answers
from mbuild.runtime.api.ollama import Chat
from mbuild.runtime.api.openapi import Endpoint
from mbuild.runtime.engine import Load
from mbuild.runtime.pool import Ticket
from mbuild.runtime.renderers import thinks
from mbuild.runtime.routes import answers, translation
from mbuild.runtime.service import Service
from mbuild.runtime.streaming import Job

ENDPOINTS = (
    Endpoint("POST", "/v1/messages", "Anthropic: an answer to a conversation", anthropic.Messages),
    Endpoint(
        "POST",
        "/v1/messages/count_tokens",
        "Anthropic: how many tokens a conversation has",
        anthropic.Count,
    ),
)


def messages(service: Service, asked: anthropic.Messages) -> Job:
    """The answer to a conversation.

    Raises:
        BadBody, Refused: something is missing.
        as `Service.open`.
    """
    job = answers.chat(service, _thinkable(service, anthropic.chat(asked)))
    head = anthropic_answers.Head(f"msg_{secrets.token_hex(12)}", asked.model)
    note = service.metrics.answer
    if not asked.stream:
        return translation.whole(job, partial(anthropic_answers.message, head=head), note)
    estimate = anthropic.estimate(asked)
    events = partial(anthropic_answers.events, head=head, estimate=estimate)
    return translation.streamed(job, events, note)


def count(service: Service, asked: anthropic.Count, ticket: Ticket) -> dict[str, Any]:
    """How many tokens the whole prompt of a conversation has.

    Raises:
        BadBody, Refused: something is missing.
        as `Service.open`, `Session.written` and `Service.borrow`.
    """
    native = _thinkable(service, anthropic.counted(asked))
    opened = service.open(native.model)
    with service.session(opened, None, ticket) as session:
        prompt = session.written(native.messages, tools=native.tools, think=native.think)
    model = opened.model
    load = Load(model.weights, model.adapters, options.read(model.options).load)
    with closing(service.borrow(model.name, load, None, ticket)) as engine:
        return {"input_tokens": len(engine.tokenize(prompt.text))}


def _thinkable(service: Service, asked: Chat) -> Chat:
    """*asked*, without the wish to think if the model cannot: here that is no error."""
    if not asked.think:
        return asked
    opened = service.open(asked.model)
    if thinks(opened.model, opened.renderer):
        return asked
    return asked.model_copy(update={"think": None})
