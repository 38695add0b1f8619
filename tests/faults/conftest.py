"""Counts what the tests of this folder have put the store through, and tells it at the end.

A disk that is really full takes a file system of its own. Where none may be mounted, as in most
containers, that test is not collected, and the end says so: a CI that forbids skipping could not
pass elsewhere. That each call may find the disk full is tested everywhere (test_faults).
"""

import subprocess
import tempfile
from collections import Counter

import pytest

_TALLY = pytest.StashKey[Counter[str]]()


def _can_mount() -> bool:
    """Whether a file system may be mounted here."""
    with tempfile.TemporaryDirectory() as place:
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place]
        try:
            done = subprocess.run(mount, capture_output=True, check=False)
        except FileNotFoundError:
            return False
        if done.returncode == 0:
            subprocess.run(["umount", place], check=True)
        return done.returncode == 0


collect_ignore = [] if _can_mount() else ["test_full_disk.py"]


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> "Counter[str]":
    """How many stores had a process killed, or a call failed, and have recovered."""
    return pytestconfig.stash.setdefault(_TALLY, Counter())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tally = terminalreporter.config.stash.get(_TALLY, Counter())
    if collect_ignore:
        terminalreporter.write_line("not tried: a file system that is full, none may be mounted")
    if tally:
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.items()))
        terminalreporter.write_line(f"points of failure that the store recovered from: {told}")
