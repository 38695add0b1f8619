"""Who may ask: the address a request was sent to, the page it comes from, and the key.

A page in a browser may have its own name resolved to this machine (DNS rebinding), so where only
this machine can reach the server, the name in Host must be one of this machine's. Pages of
others are refused by their Origin, and a key, if there is one, is asked for everything but a
sign of life.

Source: the specification of the native API, section 19; what a browser sends: the Fetch standard.
"""

import hmac
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from mbuild.runtime.api.ollama import Failure
from mbuild.runtime.routes import wires
from mbuild.runtime.streaming import Receive, Send, answer

_LOCAL = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104 - a name in a header, no address.
_ALWAYS = (
    *(
        f"{scheme}://{host}{port}"
        for scheme in ("http", "https")
        for host in _LOCAL
        for port in ("", ":*")
    ),
    *("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*"),
)
_ENDINGS = (".localhost", ".local", ".internal")
_OPEN = ("/", "/healthz")
_METHODS = "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
_HEADERS = "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,OpenAI-Beta,"
_HEADERS += "X-Api-Key,Anthropic-Version,Anthropic-Beta," + ",".join(
    f"x-stainless-{each}"
    for each in (
        *("lang", "package-version", "os", "arch", "retry-count", "runtime", "runtime-version"),
        *("async", "helper-method", "poll-helper", "custom-poll-interval", "timeout"),
    )
)
_TWELVE_HOURS = "43200"  # seconds

App = Callable[[Any, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may ask."""

    loopback: bool  # whether the server is bound to an address of this machine alone
    origins: Sequence[str] = ()  # with * for anything; beside those that are always allowed
    api_key: str = ""  # empty: nobody needs one

    def host(self, header: str) -> bool:
        """Whether a request with this Host may come in."""
        if not self.loopback or not header:
            return True
        name = _hostname(header).lower().rstrip(".")
        try:
            address = ip_address(name)
        except ValueError:
            own = ("localhost", socket.gethostname().lower())
            return name in own or name.endswith(_ENDINGS)
        return address.is_loopback or address.is_private or address.is_unspecified

    def origin(self, origin: str) -> bool:
        """Whether a page from *origin* may ask."""
        return any(_matches(origin, each) for each in (*_ALWAYS, *self.origins))

    def key(self, headers: Mapping[str, str]) -> bool:
        """Whether the request brings the key, if one is needed."""
        given = headers.get("x-api-key", "")
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            given = token.strip()
        expected = self.api_key.encode()
        return not expected or hmac.compare_digest(given.encode(), expected)


class Guard:
    """Lets requests through to *app*, or not; an ASGI application."""

    def __init__(self, app: App, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer a request that may not pass; give any other on."""
        if scope["type"] != "http":
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        origin, host = headers.get("origin", ""), headers.get("host", "")
        foreign = bool(origin) and origin.partition("://")[2] != host
        if not self._rules.host(host) or (foreign and not self._rules.origin(origin)):
            await _bare(send, 403)
            return
        allowed = {} if not foreign else self._allowed(origin)
        if foreign and scope["method"] == "OPTIONS":
            await _bare(send, 204, {**allowed, **_preflight()})
            return
        if scope["path"] not in _OPEN and not self._rules.key(headers):
            failed = Failure(401, "unauthorized: the server needs its API key")
            body = wires.of(scope["path"]).failure(failed)
            await answer(send, failed.status, body, {**allowed, "www-authenticate": "Bearer"})
            return
        await self._app(scope, receive, _adding(send, allowed))

    def _allowed(self, origin: str) -> dict[str, str]:
        every = "*" in self._rules.origins
        return {"access-control-allow-origin": "*" if every else origin, "vary": "Origin"}


def _preflight() -> dict[str, str]:
    return {
        "access-control-allow-methods": _METHODS,
        "access-control-allow-headers": _HEADERS,
        "access-control-max-age": _TWELVE_HOURS,
    }


def _hostname(header: str) -> str:
    """The name in a Host header, without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0] if header.count(":") == 1 else header


def _matches(origin: str, pattern: str) -> bool:
    parts = map(re.escape, pattern.lower().split("*"))
    return re.fullmatch("[^\\s]*".join(parts), origin.lower()) is not None


def _adding(send: Send, headers: Mapping[str, str]) -> Send:
    if not headers:
        return send
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]

    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *pairs]}
        await send(message)

    return sent


async def _bare(send: Send, status: int, headers: Mapping[str, str] | None = None) -> None:
    pairs = [(k.encode(), v.encode("latin-1")) for k, v in (headers or {}).items()]
    length = [] if status == 204 else [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": [*length, *pairs]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
