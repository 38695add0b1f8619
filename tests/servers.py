"""A server on a real socket, whose engines are parrots unless said otherwise."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parrots import Aviary, build

from mbuild.cli.address import Address
from mbuild.cli.crafting import crafts
from mbuild.cli.serving import listen
from mbuild.runtime.engine import EngineFactory
from mbuild.runtime.jinja import Templates
from mbuild.runtime.pool import Limits, Pool
from mbuild.runtime.quantize import quantize
from mbuild.runtime.server import application, server
from mbuild.runtime.service import Service, Settings
from mbuild.store.store import Store

PATIENCE = 60.0  # seconds

# A model that thinks, is told of tools, and fills in.
ABLE = '''TEMPLATE """{{ if .Suffix }}<pre>{{ .Prompt }}<suf>{{ .Suffix }}<mid>{{ else }}\
{{ range .Tools }}{{ . }}{{ end }}\
{{ range .Messages }}{{ .Role }}:{{ if .Thinking }}<t>{{ .Thinking }}</t>{{ end }}{{ .Content }}\
{{ if .ToolCalls }}<call>{{ range .ToolCalls }}{{ .Function.Name }}{{ end }}{{ end }}
{{ end }}{{ end }}"""
'''


@dataclass(frozen=True)
class Answered:
    """An answer, whole."""

    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.data.splitlines()]

    @property
    def error(self) -> str:
        """The one error that the answer is."""
        value = self.json
        assert isinstance(value, dict)
        text = value["error"]
        assert isinstance(text, str)
        return text


@dataclass
class Running:
    """A server that runs, and what it consists of."""

    port: int
    store: Store
    pool: Pool
    service: Service
    aviary: Aviary
    logged: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """Send JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        with closing(self.connect()) as connection:
            connection.request(method, path, data, dict(headers or {}))
            response = connection.getresponse()
            found = {key.lower(): value for key, value in response.getheaders()}
            return Answered(response.status, found, response.read())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answered:
        return self.send("GET", path, None, headers)

    def post(self, path: str, body: object, headers: Mapping[str, str] | None = None) -> Answered:
        return self.send("POST", path, body, headers)


@contextmanager
def running(
    store: Store,
    *,
    start: EngineFactory | None = None,
    script: str | None = "Because the sky is blue",
    limits: Limits | None = None,
    settings: Settings | None = None,
    most: int = 512,
) -> Iterator[Running]:
    """A server of *store* on a free port."""
    aviary = Aviary(script)
    with closing(listen(Address(port=0))) as listening, closing(Templates()) as templates:
        pool = Pool(start or aviary, limits or Limits(), clock=time.time_ns)
        made = crafts(store, quantize)
        service = Service(store, pool, templates, made, settings or Settings(), clock=time.time_ns)
        logged: list[str] = []
        uvicorn = server(application(service, most=most, log=logged.append))
        thread = threading.Thread(target=uvicorn.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Running(listening.getsockname()[1], store, pool, service, aviary, logged)
        finally:
            pool.close()
            uvicorn.should_exit = True
            thread.join(PATIENCE)


def kid(folder: Path, text: str = "SYSTEM You are a kid.\nPARAMETER num_ctx 512\n") -> Store:
    """A store with the model ``kid``."""
    return build(folder, text)


def until(condition: Callable[[], bool]) -> None:
    """Wait for *condition*, but not for ever."""
    event = threading.Event()
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came true"
        event.wait(0.01)
