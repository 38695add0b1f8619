"""``/v1``, as OpenAI has it: questions become native ones, and native answers its own.

Source: the specification of the OpenAI API, sections 2 to 5.
"""

import secrets
from datetime import datetime
from functools import partial
from typing import Any

from mbuild.runtime.api import openai, openai_answers, responses, responses_answers
from mbuild.runtime.api.openapi import Endpoint
from mbuild.runtime.pool import Ticket
from mbuild.runtime.routes import answers, models, translation, vectors
from mbuild.runtime.service import Refused, Service
from mbuild.runtime.streaming import Job
from mbuild.store.name import Name

_SECOND = 1_000_000_000  # ns

ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/chat/completions",
        "OpenAI: an answer to a conversation",
        openai.ChatCompletion,
    ),
    Endpoint("POST", "/v1/completions", "OpenAI: an answer to a prompt", openai.Completion),
    Endpoint("POST", "/v1/responses", "OpenAI: an answer, in items", responses.Responses),
    Endpoint("POST", "/v1/embeddings", "OpenAI: vectors of texts", openai.EmbeddingInput),
    Endpoint("GET", "/v1/models", "OpenAI: the models in the store, the newest first"),
    Endpoint("GET", "/v1/models/{id}", "OpenAI: one model"),
)


def chat(service: Service, asked: openai.ChatCompletion) -> Job:
    """The answer to a conversation.

    Raises:
        BadBody, Refused: something is missing.
    """
    job = answers.chat(service, openai.chat(asked))
    head = _head(service, "chatcmpl", asked.model)
    note = service.metrics.answer
    if not asked.stream:
        return translation.whole(job, partial(openai_answers.chat, head=head), note)
    chunks = partial(openai_answers.chat_chunks, head=head, with_usage=asked.usage)
    return translation.streamed(job, chunks, note)


def completion(service: Service, asked: openai.Completion) -> Job:
    """The answer to a prompt."""
    job = answers.generate(service, openai.completion(asked))
    head = _head(service, "cmpl", asked.model)
    note = service.metrics.answer
    if not asked.stream:
        return translation.whole(job, partial(openai_answers.completion, head=head), note)
    chunks = partial(openai_answers.completion_chunks, head=head, with_usage=asked.usage)
    return translation.streamed(job, chunks, note)


def respond(service: Service, asked: responses.Responses) -> Job:
    """The answer to a question of the newer API.

    Raises:
        BadBody, Refused: something is missing.
    """
    job = answers.chat(service, responses.chat(asked))
    created, number = service.clock() // _SECOND, secrets.randbelow(1_000_000)
    head = responses_answers.Head(number, created, asked.model, responses.echo(asked))
    note = service.metrics.answer
    if not asked.stream:
        return translation.whole(job, partial(responses_answers.response, head=head), note)
    return translation.streamed(job, partial(responses_answers.events, head=head), note)


def embed(service: Service, asked: openai.EmbeddingInput, ticket: Ticket) -> dict[str, Any]:
    """The vectors of texts.

    Raises:
        BadBody, Refused: there is nothing to embed, or no such model.
        CannotEmbed: the engine makes no vectors.
    """
    found = vectors.embed(service, openai.embed(asked), ticket)
    return openai_answers.embeddings(found, base64=asked.encoding_format == "base64")


def listed(service: Service) -> dict[str, Any]:
    """The models in the store."""
    found = (
        openai_answers.model(each["name"], _seconds(each["modified_at"]), _owner(each["name"]))
        for each in models.tags(service)["models"]
    )
    return {"object": "list", "data": list(found)}


def model(service: Service, text: str) -> dict[str, Any]:
    """The model that is called *text*.

    Raises:
        Refused: there is none.
    """
    name, _ = service.read(text, missing=f"model '{text}' not found")
    modified = next(
        (each.modified_ns for each in service.store.entries() if each.name == name), None
    )
    if modified is None:
        raise Refused(404, f"model '{text}' not found")
    return openai_answers.model(text, modified // _SECOND, name.namespace)


def _head(service: Service, kind: str, model: str) -> openai_answers.Head:
    number = secrets.randbelow(999)
    return openai_answers.Head(f"{kind}-{number}", service.clock() // _SECOND, model)


def _seconds(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp())


def _owner(name: str) -> str:
    return Name.parse(name).namespace
