"""What only mbuild has: a sign of life, the exact prompt, tokens."""

from contextlib import closing
from typing import Any

from mbuild.runtime.api.ollama import Render, Tokenize
from mbuild.runtime.pool import Ticket
from mbuild.runtime.routes.identity import identity
from mbuild.runtime.service import Refused, Service


def health(service: Service) -> dict[str, Any]:
    """That this is mbuild, and on which store; its path is told only on this machine."""
    settings = service.settings
    where = {"store": service.store.root} if settings.loopback else {}
    found = identity(service.store.root)
    return {"status": "ok", "mbuild": settings.version, "store_id": found, **where}


def render(service: Service, asked: Render) -> dict[str, Any]:
    """The exact prompt of a conversation; nothing is loaded, and nothing left out."""
    if not asked.model:
        raise Refused(400, "model is required")
    opened = service.open(asked.model)
    with service.session(opened, None, Ticket()) as session:
        prompt = session.written(asked.messages, tools=asked.tools, think=asked.think)
    pieces = [{"text": each.text, "part": each.part} for each in prompt.pieces]
    return {"model": asked.model, "prompt": prompt.text, "pieces": pieces}


def tokenize(service: Service, asked: Tokenize, ticket: Ticket) -> dict[str, Any]:
    """The tokens of a text, and what each stands for."""
    if not asked.model:
        raise Refused(400, "model is required")
    missing = f"model '{asked.model}' not found"
    name, load = service.load_of(asked.model, asked.options, missing=missing)
    with closing(service.borrow(name.short, load, asked.keep_alive, ticket)) as engine:
        tokens = engine.tokenize(asked.text)
        pieces = [each.decode("utf-8", "replace") for each in engine.pieces(tokens)]
    return {"model": asked.model, "tokens": list(tokens), "pieces": pieces}
