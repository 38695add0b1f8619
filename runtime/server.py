"""The server: paths to what is done for them, on a socket.

Starlette finds the route, uvicorn speaks HTTP. What blocks is done in threads; answers are made
in threads of their own (:mod:`mbuild.runtime.streaming`).
"""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import uvicorn
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from mbuild.runtime.api import anthropic as anthropic_wire
from mbuild.runtime.api import ollama, openapi
from mbuild.runtime.api import openai as openai_wire
from mbuild.runtime.api import responses as responses_wire
from mbuild.runtime.api.body import BadBody, read
from mbuild.runtime.api.openapi import Endpoint
from mbuild.runtime.guard import App, Guard, Rules
from mbuild.runtime.metrics import CONTENT_TYPE
from mbuild.runtime.pool import PoolFull, Ticket
from mbuild.runtime.routes import (
    answers,
    anthropic,
    building,
    models,
    openai,
    ours,
    vectors,
    wires,
)
from mbuild.runtime.routes.failures import explain, is_known
from mbuild.runtime.service import Refused, Service
from mbuild.runtime.streaming import JSON, Job, Made, Opening, Reply, encoded

_BLOBS = "/api/blobs/{digest}"

_Body = TypeVar("_Body", bound=BaseModel)
_Endpoint = Callable[[Request], Awaitable[Any]]

Log = Callable[[str], None]

ENDPOINTS = (
    Endpoint("GET", "/", "A sign of life, as clients of Ollama look for it"),
    Endpoint("GET", "/api/version", "The release of Ollama that this is compatible with"),
    Endpoint("GET", "/api/status", "Whether models may run elsewhere: they may not"),
    Endpoint("GET", "/api/tags", "The models in the store, the newest first"),
    Endpoint("GET", "/api/ps", "The models that are loaded"),
    Endpoint("POST", "/api/generate", "An answer to a prompt", ollama.Generate),
    Endpoint("POST", "/api/chat", "An answer to a conversation", ollama.Chat),
    Endpoint("POST", "/api/embed", "Vectors of texts", ollama.Embed),
    Endpoint("POST", "/api/embeddings", "The vector of one text, as it is", ollama.Embeddings),
    Endpoint("POST", "/api/show", "What a model is made of", ollama.Show),
    Endpoint("POST", "/api/create", "Build a model of what is in the store", ollama.Create),
    Endpoint("POST", "/api/copy", "Give a model a second name", ollama.Copy),
    Endpoint("DELETE", "/api/delete", "Remove a model", ollama.Named),
    Endpoint("POST", "/api/pull", "Not there yet: 501", ollama.Transfer),
    Endpoint("POST", "/api/push", "Not there yet: 501", ollama.Transfer),
    Endpoint("POST", "/api/me", "Who is signed in: nobody"),
    Endpoint("POST", "/api/signout", "Sign out: nobody is signed in"),
    Endpoint("HEAD", _BLOBS, "Whether a blob is in the store"),
    Endpoint("POST", _BLOBS, "Store a blob, whose bytes are the body"),
    Endpoint("POST", "/api/render", "The exact prompt of a conversation", ollama.Render),
    Endpoint("POST", "/api/tokenize", "The tokens of a text", ollama.Tokenize),
    *openai.ENDPOINTS,
    *anthropic.ENDPOINTS,
    Endpoint("GET", "/healthz", "That this is mbuild, and on which store"),
    Endpoint("GET", "/metrics", "Counts, for Prometheus"),
    Endpoint("GET", "/openapi.json", "This, as an OpenAPI document"),
    Endpoint("GET", "/docs", "This, as a page"),
)
"""All that can be asked; `application` has a function for each."""


class Desk:
    """Reads requests, and has them answered by *service*."""

    def __init__(self, service: Service, *, most: int, log: Log) -> None:
        self.service = service
        self._most = most  # answers under way or waiting
        self._under_way = 0
        self._log = log

    def plain(self, handler: Callable[[Service], Any]) -> _Endpoint:
        """An endpoint that asks nothing, and is answered by JSON."""

        async def endpoint(request: Request) -> Response:
            return await self._answered(request, partial(handler, self.service))

        return endpoint

    def named(self, field: str, handler: Callable[[Service, str], Any]) -> _Endpoint:
        """An endpoint about what the *field* of its path names, answered by JSON."""

        async def endpoint(request: Request) -> Response:
            text = request.path_params[field]
            return await self._answered(request, partial(handler, self.service, text))

        return endpoint

    def simple(self, kind: type[_Body], handler: Callable[[Service, _Body], Any]) -> _Endpoint:
        """An endpoint that asks for *kind*, and is answered by JSON, or by nothing for None."""

        async def endpoint(request: Request) -> Response:
            try:
                asked = await self._read(request, kind)
            except (BadBody, Refused) as error:
                return self._failed(request, error)
            return await self._answered(request, partial(handler, self.service, asked))

        return endpoint

    def waiting(
        self, kind: type[_Body], handler: Callable[[Service, _Body, Ticket], Any]
    ) -> _Endpoint:
        """As `simple`, for what waits for an engine."""

        def job(service: Service, asked: _Body) -> Job:
            ticket = Ticket()

            def made() -> Made:
                yield Opening(whole=True)
                yield handler(service, asked, ticket)

            return Job(made(), ticket.cancel)

        return self.streaming(kind, job)

    def streaming(self, kind: type[_Body], maker: Callable[[Service, _Body], Job]) -> _Endpoint:
        """An endpoint that asks for *kind*, and is answered while the answer is made."""

        async def endpoint(request: Request) -> Response | Reply:
            try:
                asked = await self._read(request, kind)
                if request.headers.get("x-mbuild-truncate") == "refuse":
                    asked = asked.model_copy(update={"truncate": False})
                if self._under_way >= self._most:
                    raise PoolFull
                job = await run_in_threadpool(maker, self.service, asked)
            except ClientDisconnect:
                return Response(status_code=499)
            except Exception as error:  # noqa: BLE001 - the top of a request.
                return self._failed(request, error)
            self._under_way += 1
            model = getattr(asked, "model", "")
            worded = partial(self._explain, request, model)
            note, wire = partial(self._note, request), wires.of(request.url.path)
            return Reply(job, worded, note, self._leave, wire)

        return endpoint

    async def root(self, _: Request) -> Response:
        """The sign of life of Ollama."""
        return PlainTextResponse("Ollama is running")

    async def metrics(self, _: Request) -> Response:
        """The counts."""
        text = self.service.metrics.text(self.service.pool.residents())
        return Response(text, media_type=CONTENT_TYPE)

    async def docs(self, _: Request) -> Response:
        """The document, for people."""
        return Response(
            openapi.page(openapi.document(ENDPOINTS, self.service.settings.version)),
            media_type="text/html; charset=utf-8",
        )

    async def blob(self, request: Request) -> Response:
        """Tell of a blob, or store one."""
        text = request.path_params["digest"]
        try:
            if request.method == "HEAD":
                there = await run_in_threadpool(building.has, self.service, text)
                return Response(status_code=200 if there else 404)
            created = await building.put(self.service, text, _chunks(request))
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001 - the top of a request.
            return self._failed(request, error)
        return Response(status_code=201 if created else 200)

    async def _read(self, request: Request, kind: type[_Body]) -> _Body:
        largest = self.service.settings.largest_body
        parts: list[bytes] = []
        length = 0
        async for part in request.stream():
            length += len(part)
            if length > largest:
                raise Refused(413, f"a request body has at most {largest} bytes")
            parts.append(part)
        if length < _QUICK:
            return read(kind, b"".join(parts))
        return await run_in_threadpool(read, kind, b"".join(parts))

    async def _answered(self, request: Request, handler: Callable[[], Any]) -> Response:
        try:
            value = await run_in_threadpool(handler)
        except Exception as error:  # noqa: BLE001 - the top of a request.
            return self._failed(request, error)
        self._note(request, 200, {})
        return Response() if value is None else _json(value)

    def _failed(self, request: Request, error: Exception) -> Response:
        failure = self._explain(request, "", error)
        self._note(request, failure.status, {})
        return _json(wires.of(request.url.path).failure(failure), failure.status)

    def _explain(self, request: Request, model: str, error: Exception) -> ollama.Failure:
        if not is_known(error):
            self._log(f"{request.method} {request.url.path}: {type(error).__name__}: {error}")
        return explain(error, model)

    def _note(self, request: Request, status: int, line: Mapping[str, Any]) -> None:
        path = request.url.path
        # Of what a path may name there is no end.
        for name, value in request.path_params.items():
            path = path.removesuffix(value) + f"{{{name}}}"
        self.service.metrics.request(path, status)
        self.service.metrics.answer(line)

    def _leave(self) -> None:
        self._under_way -= 1


_QUICK = 64 << 10  # bytes of JSON that are read without anybody noticing


def application(service: Service, *, most: int = 512, log: Log = lambda _: None) -> App:
    """The server without its socket. At most *most* answers are under way, or wait."""
    desk = Desk(service, most=most, log=log)
    endpoints: Mapping[str, _Endpoint] = {
        "/": desk.root,
        "/api/version": desk.plain(lambda _: {"version": ollama.VERSION}),
        "/api/status": desk.plain(lambda _: {"cloud": {"disabled": True, "source": "config"}}),
        "/api/tags": desk.plain(models.tags),
        "/api/ps": desk.plain(models.loaded),
        "/api/generate": desk.streaming(ollama.Generate, answers.generate),
        "/api/chat": desk.streaming(ollama.Chat, answers.chat),
        "/api/embed": desk.waiting(ollama.Embed, vectors.embed),
        "/api/embeddings": desk.waiting(ollama.Embeddings, vectors.embedding),
        "/api/show": desk.simple(ollama.Show, models.show),
        "/api/create": desk.streaming(ollama.Create, building.create),
        "/api/copy": desk.simple(ollama.Copy, models.copy),
        "/api/delete": desk.simple(ollama.Named, models.delete),
        "/api/pull": desk.simple(ollama.Transfer, _not_yet),
        "/api/push": desk.simple(ollama.Transfer, _not_yet),
        "/api/me": desk.plain(_nobody),
        "/api/signout": desk.plain(_nobody),
        _BLOBS: desk.blob,
        "/api/render": desk.simple(ollama.Render, ours.render),
        "/api/tokenize": desk.waiting(ollama.Tokenize, ours.tokenize),
        "/v1/chat/completions": desk.streaming(openai_wire.ChatCompletion, openai.chat),
        "/v1/completions": desk.streaming(openai_wire.Completion, openai.completion),
        "/v1/responses": desk.streaming(responses_wire.Responses, openai.respond),
        "/v1/embeddings": desk.waiting(openai_wire.EmbeddingInput, openai.embed),
        "/v1/models": desk.plain(openai.listed),
        "/v1/models/{id}": desk.named("id", openai.model),
        "/v1/messages": desk.streaming(anthropic_wire.Messages, anthropic.messages),
        "/v1/messages/count_tokens": desk.waiting(anthropic_wire.Count, anthropic.count),
        "/healthz": desk.plain(ours.health),
        "/metrics": desk.metrics,
        "/openapi.json": desk.plain(
            lambda service: openapi.document(ENDPOINTS, service.settings.version)
        ),
        "/docs": desk.docs,
    }
    methods = {path: [e.method for e in ENDPOINTS if e.path == path] for path in endpoints}
    routes = [Route(path, each, methods=methods[path]) for path, each in endpoints.items()]
    app = Starlette(routes=routes, exception_handlers={404: _no_page, 405: _no_method})
    app.router.redirect_slashes = False
    settings = service.settings
    return Guard(app, Rules(settings.loopback, settings.origins, settings.api_key))


def run(app: App, sockets: Sequence[socket.socket]) -> None:
    """Serve *app* on *sockets*, until SIGINT or SIGTERM."""
    server(app).run(sockets=list(sockets))


def server(app: App) -> uvicorn.Server:
    """What serves *app*; its ``should_exit`` ends it from any thread."""
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=64 << 10,
    )
    return uvicorn.Server(config)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        yield chunk


def _json(value: object, status: int = 200) -> Response:
    return Response(encoded(value), status, media_type=JSON)


def _not_yet(_: Service, asked: ollama.Transfer) -> None:
    if not asked.asked:
        raise Refused(400, "model is required")
    raise Refused(501, "pulling and pushing models is not there yet")


def _nobody(_: Service) -> None:
    raise Refused(401, "unauthorized")


async def _no_page(request: Request, _: Exception) -> Response:
    path = request.url.path.rstrip("/")
    if path != request.url.path and path in {each.path for each in ENDPOINTS}:
        status = 301 if request.method in ("GET", "HEAD") else 307
        return RedirectResponse(path, status)
    return PlainTextResponse("404 page not found", 404)


async def _no_method(_: Request, __: Exception) -> Response:
    return PlainTextResponse("405 method not allowed", 405)
