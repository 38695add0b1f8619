"""A server that runs already, as other commands talk to it.

Only ``ps`` and ``stop`` do, and only to an mbuild server on the same store, or to the one that
MBUILD_HOST names.
"""

import http.client
import json
import os
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from mbuild.cli.address import Address, parse
from mbuild.runtime.routes.identity import identity

_USUAL = Address()
_PATIENCE = 10.0  # seconds
_LARGEST = 16 << 20  # bytes of an answer


class NoServer(Exception):
    """No server that a command may talk to; *hints* say what would help."""

    def __init__(self, message: str, *hints: str) -> None:
        super().__init__(message)
        self.hints = hints


class Unwilling(Exception):
    """A server that did not do what it was asked; in its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def ask(address: Address, method: str, path: str, value: Mapping[str, Any] | None = None) -> Any:
    """What the server at *address* answers, as JSON.

    Raises:
        Unwilling: it answers with an error.
        OSError: nobody is there, or not in HTTP.
    """
    body = None if value is None else json.dumps(value)
    key = os.environ.get("MBUILD_API_KEY", "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with closing(_connection(address)) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            data = response.read(_LARGEST)
    except http.client.HTTPException as error:
        raise OSError(f"{address} does not speak HTTP: {type(error).__name__}") from None
    return _answer(response.status, data)


def ours(root: str, *, named: str, usual: Address = _USUAL) -> Address:
    """Where the server is that commands for the store at *root* may talk to.

    It is the one that is *named*, or else an mbuild on this store at the *usual* address.

    Raises:
        NoServer: there is none, or it is another one.
    """
    address = parse(named).reachable if named else usual
    try:
        health = ask(address, "GET", "/healthz")
    except (OSError, Unwilling):
        health = None
    if not isinstance(health, dict) or "mbuild" not in health:
        what = "no mbuild server" if health is None else "another server than mbuild"
        raise NoServer(f"{what} at {address}", "mbuild serve starts one")
    if not named and health.get("store_id") != identity(root):
        where = health.get("store", "another store")
        hints = ("choose its store by --models-dir", f"or name it: MBUILD_HOST={address}")
        raise NoServer(f"the server at {address} is on {where}, not on {root}", *hints)
    return address


def whose(address: Address) -> str:
    """Who listens at *address*, as far as it says so itself."""
    for path, told in (("/healthz", _as_mbuild), ("/", _as_ollama)):
        try:
            found = told(ask(address, "GET", path))
        except (OSError, Unwilling):
            continue
        if found:
            return found
    return "another program"


def _as_mbuild(value: Any) -> str:
    if not isinstance(value, dict) or "mbuild" not in value:
        return ""
    return f"mbuild {value['mbuild']} on {value.get('store', 'some store')}"


def _as_ollama(value: Any) -> str:
    return "Ollama" if value == "Ollama is running" else ""


def _connection(address: Address) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(address.host, address.port, timeout=_PATIENCE)


def _answer(status: int, data: bytes) -> Any:
    text = data.decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if status < 400:
        return value
    said = value.get("error") if isinstance(value, dict) else None
    raise Unwilling(status, str(said or f"the server answers {status}"))
