"""A process that runs ``mbuild`` commands in children of its own, on a disk that goes wrong.

    python arena.py < orders > outcomes

Both are JSON, one object a line. All of mbuild is imported once, and each child is a fork, so a
command costs a few milliseconds. `Arena` is what tests hold of it.
"""

import gc
import json
import os
import pkgutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import NoReturn

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))

from faults.faulty import KILL, Disk, Fault

NEVER = Fault(KILL, 1 << 30)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command."""

    status: int  # -9 if it was killed
    hit: str  # the call that went wrong, one for each process; "" if none did
    calls: tuple[str, ...]  # that could have gone wrong, of a process that came to its end
    said: str  # on stdout and stderr


class Arena:
    """The process, seen from outside."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, folder: Path, store: Path, *words: str, fault: Fault = NEVER) -> Outcome:
        """Run ``mbuild`` with *words* in *folder* on *store*; *fault* happens to it."""
        order = {"folder": str(folder), "store": str(store), "words": words, **asdict(fault)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Outcome(**json.loads(self._process.stdout.readline()))


@contextmanager
def opened() -> Iterator[Arena]:
    """An arena, for as long as it is needed."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MBUILD_", "OLLAMA_"))}
    with subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**kept, "NO_COLOR": "1", "COLUMNS": "80"},
    ) as process:
        yield Arena(process)
        assert process.stdin is not None
        process.stdin.close()


def _serve() -> None:
    import mbuild

    for module in pkgutil.walk_packages(mbuild.__path__, "mbuild."):
        if not module.name.startswith("mbuild.runtime") and not module.name.endswith("__main__"):
            import_module(module.name)
    gc.freeze()  # What is never collected is never copied into a child.
    for line in sys.stdin:
        order = json.loads(line)
        outcome = _outcome(order, Fault(order["kind"], order["at"]))
        sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
        sys.stdout.flush()


def _outcome(order: dict[str, object], fault: Fault) -> Outcome:
    said, speak = os.pipe()
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        os.close(said)
        os.close(told)
        _die_as_mbuild(order, fault, speak, tell)
    os.close(speak)
    os.close(tell)
    with os.fdopen(said, errors="replace") as file:
        text = file.read()
    with os.fdopen(told) as file:
        told_of = [line.split() for line in file]
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    hit = [word for kind, word in told_of if kind == "hit"]
    calls = [tuple(filter(None, word.split(","))) for kind, word in told_of if kind == "calls"]
    return Outcome(status, ", ".join(hit), max(calls, key=len, default=()), text)


def _die_as_mbuild(order: dict[str, object], fault: Fault, speak: int, tell: int) -> NoReturn:
    """Be ``mbuild`` until the end."""
    from mbuild.cli.app import main

    os.chdir(str(order["folder"]))
    os.environ["MBUILD_MODELS"] = str(order["store"])
    words = order["words"]
    assert isinstance(words, list)
    sys.argv = ["mbuild", *words]
    null = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((null, 0), (speak, 1), (speak, 2)):
        os.dup2(old, new)
    write, leave = os.write, os._exit
    disk = Disk(fault, lambda name: write(tell, f"hit {name}\n".encode()))

    def exit_with(status: int) -> NoReturn:
        write(tell, f"calls {','.join(disk.calls)},\n".encode())
        leave(status)

    os._exit = exit_with  # type: ignore[assignment]  # How main() mostly ends, and workers.
    disk.install()
    try:
        main()
    except SystemExit as leaving:
        status = leaving.code
    exit_with(status if isinstance(status, int) else 1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests.
    _serve()
