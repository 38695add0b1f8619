"""A store with a model in it, and sessions whose engine is a parrot.

Run as a program it is a chat: ``python parrots.py STORE NAME SCRIPT``. With ``endless`` as the
script an answer goes on until it is stopped, with ``brooding`` the thoughts before it, and with
``echo`` it is the prompt.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from gguf_files import tiny_llama

from mbuild.compiler.create import Order, create
from mbuild.runtime.answer import Session
from mbuild.runtime.engine import (
    Engine,
    EngineDied,
    Finished,
    Generation,
    Load,
    Parrot,
    Piece,
    Reason,
    Request,
)
from mbuild.runtime.jinja import Templates
from mbuild.runtime.model import open_model
from mbuild.store.name import Name
from mbuild.store.store import Store

# Every message on a line, so that a prompt can be read in a test.
LINES = "{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}"


@cache
def _weights() -> bytes:
    with TemporaryDirectory() as folder:
        return tiny_llama(Path(folder) / "tiny.gguf", chat_template=LINES).read_bytes()


def build(folder: Path, text: str = "", name: str = "kid") -> Store:
    """The store in *folder*, with one more model of the Modelfile ``FROM ./tiny.gguf`` *text*."""
    store = Store(folder / "models")
    (folder / "tiny.gguf").write_bytes(_weights())
    data = f"FROM ./tiny.gguf\n{text}".encode()
    manifest, findings = create(
        Order(Name.parse(name), "Modelfile", data, str(folder)), store, lambda _: None
    )
    assert manifest is not None, findings
    return store


class Endless(Parrot):
    """A parrot that says one word and then nothing, until it is told to stop."""

    def generate(self, request: Request) -> "_Silence":
        self.requests.append(request)
        return _Silence()


class Brooding(Parrot):
    """A parrot that thinks, between ``<t>`` and ``</t>``, until it is told to stop."""

    def generate(self, request: Request) -> "_Silence":
        self.requests.append(request)
        return _Silence("<t>well")


class _Silence:
    def __init__(self, first: str = "well") -> None:
        self._first = first
        self._told = threading.Event()
        self._said = self._say()

    def __iter__(self) -> Iterator[Piece | Finished]:
        return self

    def __next__(self) -> Piece | Finished:
        return next(self._said)

    def cancel(self) -> None:
        self._told.set()

    def _say(self) -> Iterator[Piece | Finished]:
        yield Piece(self._first)
        self._told.wait(60)
        yield Finished(Reason.CANCELLED)


class Doomed(Parrot):
    """A parrot that dies of the first question."""

    def generate(self, request: Request) -> Generation:
        raise EngineDied("it fell over")


class Mortal(Parrot):
    """A parrot that says one word, and dies."""

    def generate(self, request: Request) -> Generation:
        self.requests.append(request)
        return _LastWord()


class _LastWord(_Silence):
    def _say(self) -> Iterator[Piece | Finished]:
        yield Piece("well")
        raise EngineDied("it fell over")


_KINDS = {"brooding": Brooding, "endless": Endless, "doomed": Doomed, "mortal": Mortal}


class Aviary:
    """Starts parrots, and knows those that it started."""

    def __init__(self, script: str | None) -> None:
        self.script = script
        self.parrots: list[Parrot] = []

    def __call__(self, load: Load) -> Engine:
        kind = _KINDS.get(self.script or "", Parrot)
        self.parrots.append(kind(load, self.script))
        return self.parrots[-1]

    @property
    def prompts(self) -> list[str]:
        return [
            "".join(map(chr, request.prompt))
            for parrot in self.parrots
            for request in parrot.requests
        ]

    def opener(self, store: Store, templates: Templates) -> Callable[[Name], Session]:
        """What opens models of *store* for a chat."""

        def opened(name: Name) -> Session:
            model = open_model(name.short, store.load(name), store.blobs)
            return Session(model, start=self, templates=templates)

        return opened


def main() -> None:
    from mbuild.cli.answering import Display, Manner
    from mbuild.cli.chat import Chat
    from mbuild.cli.history import History
    from mbuild.cli.line_editor import LineEditor
    from mbuild.cli.signals import ends_when_told

    root, text, script = sys.argv[1:]
    store, name, templates = Store(root), Name.parse(text), Templates()
    opened = Aviary(None if script == "echo" else script).opener(store, templates)
    history = History(f"{root}/history")
    editor = LineEditor(history, lambda: (each.short for each in store.names()))
    display = Display(wrap=True, verbose=False)
    chat = Chat(
        name,
        opened(name),
        store,
        opened,
        editor=editor,
        history=history,
        display=display,
        manner=Manner(),
    )
    with ends_when_told(), closing(templates):
        chat.run()


if __name__ == "__main__":
    main()
