"""A store with a past, the files that its models are built from, and what is done to it."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gguf_files import lora, tiny_llama

from faults.arena import NEVER, Arena, Outcome
from faults.evidence import Evidence, Standing
from faults.faulty import Fault

_FULL = """\
FROM ./new.gguf
ADAPTER ./a.gguf
INCLUDE ./part.Modelfile
SYSTEM --file=system.txt
TEMPLATE {{ .System }} {{ .Prompt }}
MESSAGE user hi
MESSAGE assistant hello
LICENSE MIT
"""
_PROJECT = "[models.one]\n[models.two]\n"


@dataclass(frozen=True, slots=True)
class Action:
    """A command, and what may be said of it."""

    words: tuple[str, ...]
    forgets: bool = False  # revisions may go
    prepare: Callable[[Path], None] = lambda _: None  # what the store has gone through before


def _empty(store: Path) -> None:
    shutil.rmtree(store)


def _damage(store: Path) -> None:
    """What a repair can put right: an empty manifest, a rotten blob, a torn record, litter."""
    (store / "manifests/registry.ollama.ai/library/kid/latest").write_bytes(b"")
    (store / f"blobs/sha256-{'0' * 64}").write_bytes(b"rotten")
    (store / "blobs/.mbuild-1-0123456789abcdef").write_bytes(b"left over")
    record = next((store / "mbuild/records").rglob("*/*"))
    record.write_bytes(record.read_bytes()[:-1])


def _loosen(store: Path) -> None:
    """Blobs and sources that nobody needs, and an import that was cut off."""
    (store / "blobs" / f"sha256-{hashlib.sha256(b'loose').hexdigest()}").write_bytes(b"loose")
    left = store / "blobs/.mbuild-1-0123456789abcdef"
    left.write_bytes(b"left over")
    os.utime(left, (1, 1))


ACTIONS = {
    "create, the store's first": Action(("create", "kid", "-f", "Modelfile"), prepare=_empty),
    "create": Action(("create", "kid", "-f", "Modelfile")),
    "create, a prompt edited": Action(("create", "kid", "-f", "Edited")),
    "create, nothing changed": Action(("create", "kid", "-f", "Second")),
    "build": Action(("build", "-C", "project")),
    "cp": Action(("cp", "dad", "kid")),
    "rm": Action(("rm", "kid"), forgets=True),
    "prune": Action(("prune", "--all", "--history"), forgets=True, prepare=_loosen),
    "fsck --repair": Action(("fsck", "--repair"), prepare=_damage),
    "rollback": Action(("rollback", "kid", "@1")),
}


class World:
    """A folder with everything in it."""

    def __init__(self, folder: Path, arena: Arena) -> None:
        self.folder = folder
        self._arena = arena
        self._template = folder / "template"
        self._write()
        for words in (
            ("create", "kid", "-f", "First"),
            ("create", "kid", "-f", "Second"),
            ("create", "dad", "-f", "Dad"),
            ("create", "me/twin:v1", "-f", "Second"),
        ):
            self.do(self._template, words)

    @contextmanager
    def store(self, action: Action) -> Iterator[Path]:
        """A store as it is before *action*."""
        place = self.folder / "store"
        shutil.copytree(self._template, place)
        action.prepare(place)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def run(self, store: Path, words: tuple[str, ...], fault: Fault = NEVER) -> Outcome:
        """Run a command on *store*."""
        return self._arena.run(self.folder, store, *words, fault=fault)

    def do(self, store: Path, words: tuple[str, ...]) -> Standing:
        """Run a command that must work: what each name stands for then."""
        outcome = self.run(store, words)
        assert outcome.status == 0, (words, outcome.said)
        return Evidence(store).models()

    def build(self, store: Path) -> bytes:
        """The manifest that the next build makes."""
        words = ("create", "next", "-f", "Modelfile")
        return self.do(store, words)["registry.ollama.ai/library/next/latest"]

    def _write(self) -> None:
        tiny_llama(self.folder / "m.gguf")
        tiny_llama(self.folder / "new.gguf", seed=1)
        lora(self.folder / "a.gguf", "output.weight", 269)
        texts = {
            "First": "FROM ./m.gguf\nSYSTEM first\n",
            "Second": "FROM ./m.gguf\nSYSTEM second\nPARAMETER temperature 1\n",
            "Edited": "FROM ./m.gguf\nSYSTEM edited\nPARAMETER temperature 1\n",
            "Dad": "FROM ./m.gguf\nSYSTEM dad\n",
            "Modelfile": _FULL,
            "part.Modelfile": "PARAMETER temperature 0.5\nPARAMETER stop </s>\n",
            "system.txt": "You are a parrot.\n",
            "project/mbuild.toml": _PROJECT,
            "project/one/Modelfile": "FROM ../../m.gguf\nSYSTEM one\n",
            "project/two/Modelfile": "FROM one\nSYSTEM two\n",
        }
        for name, text in texts.items():
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def damages(outcome: Outcome) -> list[object]:
    """What an inspection has found that is not harmless."""
    found = json.loads(outcome.said)["damages"]
    return [each for each in found if not each["harmless"]]
