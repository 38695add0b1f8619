"""From a thread to a socket: an answer that is made in one, and sent while it comes.

Engines block, and a server must not. Each answer is made by an iterator in a thread of its own;
when the client goes away the iterator is told to end, and ends by itself.
"""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Generator, Mapping, MutableMapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

from mbuild.runtime.api.ollama import Failure

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

JSON = "application/json; charset=utf-8"
LINES = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Opening:
    """What comes before an answer: always the first thing that its maker yields."""

    headers: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False  # One JSON object follows, and not a line for each stretch.


Made = Generator[Opening | dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """An answer to be made, and how to stop that from any thread."""

    made: Made
    cancel: Callable[[], None]


def _own(failed: Failure) -> dict[str, Any]:
    return failed.body


def _whole_line(value: object) -> bytes:
    return encoded(value) + b"\n"


@dataclass(frozen=True, slots=True)
class Wire:
    """How an answer is put into bytes; as it stands, that of the native API."""

    content_type: str = LINES  # of a stream
    frame: Callable[[Any], bytes] = _whole_line  # a part of a stream
    failure: Callable[[Failure], dict[str, Any]] = _own
    end: bytes = b""  # behind a stream without failures


NATIVE = Wire()


class _End:
    """No more comes."""


class _Gone:
    """The client went away."""


_Item = Opening | dict[str, Any] | Exception | type[_End] | type[_Gone]


class Reply:
    """Answers a request by *job*; an ASGI application for one request.

    *explain* words an exception; *note* is told the status, once it is known, and the last
    line; *ended* is called at the end, however it came.
    """

    def __init__(
        self,
        job: Job,
        explain: Callable[[Exception], Failure],
        note: Callable[[int, Mapping[str, Any]], None],
        ended: Callable[[], None],
        wire: Wire = NATIVE,
    ) -> None:
        self._job = job
        self._explain = explain
        self._note = note
        self._ended = ended
        self._wire = wire
        self._items: asyncio.Queue[_Item] = asyncio.Queue()

    async def __call__(self, _: object, receive: Receive, send: Send) -> None:
        """Make the answer, and send it."""
        loop = asyncio.get_running_loop()

        def put(item: _Item) -> None:
            with suppress(RuntimeError):  # The server has ended.
                loop.call_soon_threadsafe(self._items.put_nowait, item)

        threading.Thread(target=_make, args=(self._job.made, put), daemon=True).start()
        watch = asyncio.create_task(self._watch(receive))
        try:
            await self._send(send)
        finally:
            watch.cancel()
            self._job.cancel()
            self._ended()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._job.cancel()
        self._items.put_nowait(_Gone)

    async def _send(self, send: Send) -> None:
        opening = await self._items.get()
        first = await self._items.get() if isinstance(opening, Opening) else opening
        if isinstance(first, Exception):
            failure = self._explain(first)
            self._note(failure.status, failure.body)
            await answer(send, failure.status, self._wire.failure(failure))
        elif isinstance(first, dict) and isinstance(opening, Opening):
            if opening.whole:
                self._note(200, first)
                await answer(send, 200, first, opening.headers)
            else:
                await self._stream(send, first, opening)
        else:
            self._note(499, {})

    async def _stream(self, send: Send, first: dict[str, Any], opening: Opening) -> None:
        wire = self._wire
        last = wire.end
        await send(_start(200, {"content-type": wire.content_type, **opening.headers}))
        item: _Item = first
        line: dict[str, Any] = {}
        while not isinstance(item, type):
            if isinstance(item, Exception):
                line, last = wire.failure(self._explain(item)), b""
            else:
                line = _line(item)
            body = wire.frame(line)
            await send({"type": "http.response.body", "body": body, "more_body": True})
            item = _End if isinstance(item, Exception) else await self._items.get()
        self._note(499 if item is _Gone else 200, line)
        await send({"type": "http.response.body", "body": last, "more_body": False})


async def answer(
    send: Send, status: int, body: object, headers: Mapping[str, str] | None = None
) -> None:
    """Send *body*, as JSON, and nothing more."""
    data = encoded(body)
    await send(
        _start(status, {"content-type": JSON, "content-length": str(len(data)), **(headers or {})})
    )
    await send({"type": "http.response.body", "body": data, "more_body": False})


def encoded(value: object) -> bytes:
    """*value* as compact JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _line(item: Opening | dict[str, Any]) -> dict[str, Any]:
    assert isinstance(item, dict), "the opening comes first"
    return item


def _start(status: int, headers: Mapping[str, str]) -> MutableMapping[str, Any]:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}


def _make(made: Made, put: Callable[[_Item], None]) -> None:
    try:
        with closing(made):
            for item in made:
                put(item)
    except Exception as error:  # noqa: BLE001 (the top of a request: the client is told)
        put(error)
    else:
        put(_End)
