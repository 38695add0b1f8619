"""What the server works with: models opened by name, and sessions whose engines are shared.

A name is looked up at each request, so a new build is served by the next one. What is made of
it is kept as long as the manifest is the same.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from mbuild.runtime import options
from mbuild.runtime.answer import Session
from mbuild.runtime.api.ollama import Create, Failure
from mbuild.runtime.engine import Engine, Load
from mbuild.runtime.jinja import Templates
from mbuild.runtime.metrics import Metrics
from mbuild.runtime.model import Model, open_model
from mbuild.runtime.pool import Borrowed, Pool, Ticket
from mbuild.runtime.prompt import Renderer
from mbuild.runtime.renderers import choose
from mbuild.store.contents import contents
from mbuild.store.manifest import Manifest
from mbuild.store.name import BadName, Name
from mbuild.store.store import MissingModel, Store

_KEPT = 64  # models whose templates and headers are kept


class Refused(Exception):
    """A request that gets an error; which one is known."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.failure = Failure(status, message, more)


@dataclass(frozen=True, slots=True)
class Settings:
    """What whoever starts the server decides."""

    version: str = "0"  # mbuild's own
    parallel: int = 1  # answers at once of one model
    num_ctx: int = 0  # tokens, for models and requests that do not say; 0: automatic
    api_key: str = ""  # empty: everybody may
    origins: tuple[str, ...] = ()  # of web pages that may ask, beside the local ones
    loopback: bool = True  # whether nobody else can reach it
    largest_body: int = 64 << 20  # bytes of JSON


@dataclass(frozen=True, slots=True)
class Crafts:
    """What the server can do only with the compiler, which is handed to it."""

    build: "Callable[[Name, Create], Iterator[dict[str, Any]]]"
    modelfile: Callable[[Name], str]


@dataclass(frozen=True, slots=True)
class Opened:
    """A model, and what makes its prompts."""

    model: Model
    renderer: Renderer


class Service:
    """Opens models of *store* for requests. Any thread may call."""

    def __init__(
        self,
        store: Store,
        pool: Pool,
        templates: Templates,
        crafts: Crafts,
        settings: Settings,
        *,
        clock: Callable[[], int],
    ) -> None:
        self.store = store
        self.pool = pool
        self.crafts = crafts
        self.settings = settings
        self.clock = clock  # ns since the epoch
        self.metrics = Metrics()
        self._templates = templates
        self._lock = Lock()
        self._opened: OrderedDict[tuple[str, bytes], Opened] = OrderedDict()

    def name(self, text: str) -> Name:
        """The name that *text* is, in the case in which it is in the store.

        Raises:
            Refused: it is none.
        """
        try:
            return self.store.resolve(Name.parse(text.removesuffix(":local")))
        except BadName:
            raise Refused(400, "invalid model name") from None

    def read(self, text: str, *, missing: str) -> tuple[Name, bytes]:
        """The name *text*, and the bytes of its manifest.

        Raises:
            Refused: there is no such model; *missing* says so.
            DamagedModel: its manifest is no file.
        """
        if not text:
            raise Refused(404, missing)
        name = self.name(text)
        try:
            return name, self.store.read(name)
        except MissingModel:
            raise Refused(404, missing) from None

    def open(self, text: str) -> Opened:
        """The model that is called *text*.

        Raises:
            Refused: there is no such model.
            as `open_model` and `choose`.
        """
        name, data = self.read(text, missing=f"model '{text}' not found")
        with self._lock:
            found = self._opened.get((name.path, data))
        if found is not None:
            return found
        model = open_model(name.short, Manifest.decode(data), self.store.blobs)
        opened = Opened(model, choose(model, self._templates))
        with self._lock:
            self._opened[name.path, data] = opened
            while len(self._opened) > _KEPT:
                self._opened.popitem(last=False)
        return opened

    def renderer(self, model: Model) -> Renderer:
        """What makes the prompts of a model that was changed for one request."""
        return choose(model, self._templates)

    def session(self, opened: Opened, keep_alive: int | None, ticket: Ticket) -> Session:
        """A session for one request, whose engine comes from the pool."""

        def start(load: Load) -> Engine:
            return self.borrow(opened.model.name, load, keep_alive, ticket)

        return Session(
            opened.model, start=start, templates=self._templates, renderer=opened.renderer
        )

    def borrow(self, name: str, load: Load, keep_alive: int | None, ticket: Ticket) -> Borrowed:
        """An engine for *load*, with what the settings say where it says nothing."""
        chosen = load.options
        if not chosen.num_ctx and self.settings.num_ctx:
            chosen = replace(chosen, num_ctx=self.settings.num_ctx)
        wanted = replace(load, options=replace(chosen, parallel=self.settings.parallel))
        return self.pool.borrow(name, wanted, keep_alive=keep_alive, ticket=ticket)

    def load_of(self, text: str, given: Mapping[str, Any], *, missing: str) -> tuple[Name, Load]:
        """What the engine of a model is started with, also of one that only embeds.

        Raises:
            Refused: there is no such model, or it has no weights.
            BadOption, BadConfig, BadLayer, MissingBlob: as its parts are.
        """
        name, data = self.read(text, missing=missing)
        held = contents(Manifest.decode(data), self.store.blobs)
        if held.weights is None:
            raise Refused(400, f"{name.short} has no weights")
        chosen = options.read(options.merge(held.parameters, given)).load
        return name, Load(self.store.blobs.path(held.weights.digest), options=chosen)
