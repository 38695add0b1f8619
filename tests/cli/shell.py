"""The command line as a user types it: a process, its words, and what it leaves."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest


def need(program: str, package: str) -> str:
    """The path of *program*; without it the test is skipped, naming its Debian *package*."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program}: apt-get install {package}")
    return path


@dataclass(frozen=True)
class Ran:
    """A finished command."""

    status: int
    out: str
    err: str


@dataclass
class Shell:
    """A folder to work in, and a store."""

    folder: Path
    store: Path

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What the commands see: nothing of the tester's own settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MBUILD_", "OLLAMA_"))}
        return {
            **kept,
            "HOME": str(self.folder),
            "MBUILD_MODELS": str(self.store),
            "NO_COLOR": "1",
            "COLUMNS": "80",
            **(more or {}),
        }

    def run(
        self,
        *words: str,
        stdin: str | bytes = b"",
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> Ran:
        """Run ``mbuild`` with *words*."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "mbuild", *words],
            cwd=self.folder,
            env=self.environment(env),
            input=data,
            capture_output=True,
            timeout=120,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *words: str, stdin: str = "") -> str:
        """What a command that must work prints."""
        ran = self.run(*words, stdin=stdin)
        assert ran.status == 0, ran.err
        return ran.out

    def python(self, script: str) -> str:
        """What a Python program that must work prints, in this folder and with this store."""
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def write(self, name: str, text: str) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8", newline="")
        return path
