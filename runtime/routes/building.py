"""``/api/create`` and ``/api/blobs``: what changes the store's contents.

Building itself is handed to the server. Only digests and names from a request reach the store,
and both are parsed first.

Source: the specification of the native API, sections 11 and 12.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from typing import Any

from mbuild.runtime.api.ollama import Create
from mbuild.runtime.service import Refused, Service
from mbuild.runtime.streaming import Job, Made, Opening
from mbuild.store.blobs import WrongDigest
from mbuild.store.digest import BadDigest, Digest
from mbuild.store.name import BadName, Name
from mbuild.store.store import MissingModel

_SPARE = 256 << 20  # bytes that stay free on the disk


def create(service: Service, asked: Create) -> Job:
    """A model, built of what is in the store.

    Raises:
        Refused: the request cannot be built; nothing was begun.
    """
    try:
        name = service.store.resolve(Name.parse(asked.asked))
    except BadName:
        raise Refused(400, "invalid model name") from None
    _check(service, asked)
    return Job(_built(service, name, asked), lambda: None)


def has(service: Service, text: str) -> bool:
    """Whether the blob *text* is there.

    Raises:
        Refused: *text* is no digest.
    """
    return _digest(text) in service.store.blobs


async def put(service: Service, text: str, body: AsyncIterator[bytes]) -> bool:
    """Store *body* as the blob *text*: whether it was not there before.

    Raises:
        Refused: *text* is no digest, or not that of *body*, or the disk is too small.
    """
    digest = _digest(text)
    if digest in service.store.blobs:
        return False
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, _take, service, digest, _Incoming(body, loop))
    return True


class _Incoming:
    """The body of a request, read from a thread."""

    def __init__(self, body: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._body = body
        self._loop = loop
        self._held = b""
        self.left = 0  # bytes that may still come

    def read(self, size: int, /) -> bytes:
        """At most *size* bytes more; none at the end."""
        if not self._held:
            self._held = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
        data, self._held = self._held[:size], self._held[size:]
        self.left -= len(data)
        if self.left < 0:
            raise Refused(507, "no room on the disk for this blob")
        return data

    async def _next(self) -> bytes:
        async for chunk in self._body:
            if chunk:
                return chunk
        return b""


def _take(service: Service, digest: Digest, incoming: _Incoming) -> None:
    store = service.store
    try:
        with store.building():
            os.makedirs(store.blobs.folder, exist_ok=True)
            incoming.left = shutil.disk_usage(store.blobs.folder).free - _SPARE
            store.blobs.take_stream(incoming, expected=digest)
    except WrongDigest as wrong:
        message = f'digest mismatch, expected "{wrong.expected}", got "{wrong.found}"'
        raise Refused(400, message) from None


def _digest(text: str) -> Digest:
    try:
        return Digest.parse(text)
    except BadDigest:
        raise Refused(400, "invalid digest format") from None


def _check(service: Service, asked: Create) -> None:
    if not asked.base and not asked.files:
        raise Refused(400, "neither 'from' or 'files' was specified")
    if asked.info:
        raise Refused(501, "info is not supported")
    if len(asked.adapters) > 1:
        raise Refused(400, "only one adapter is currently supported")
    for path, digest in (*asked.files.items(), *asked.adapters.items(), *asked.draft_files.items()):
        if os.path.isabs(path) or ".." in path.split("/"):
            raise Refused(400, "file path must be relative")
        if not has(service, digest):
            raise Refused(400, f"blob {digest} is not in the store")
    if asked.base:
        _check_base(service, asked.base)


def _check_base(service: Service, text: str) -> None:
    try:
        service.store.read(service.store.resolve(Name.parse(text)))
    except BadName:
        raise Refused(400, "invalid model name") from None
    except MissingModel:
        message = f"model '{text}' is not in the store, and pulling is not there yet"
        raise Refused(501, message) from None


def _built(service: Service, name: Name, asked: Create) -> Made:
    yield Opening(whole=not asked.stream)
    last: dict[str, Any] = {}
    for last in service.crafts.build(name, asked):
        if asked.stream:
            yield last
    if not asked.stream:
        yield last
