"""Counts what the tests of this folder have put the store through, and tells it at the end."""

from collections import Counter

import pytest

_TALLY = pytest.StashKey[Counter[str]]()


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> "Counter[str]":
    """How many stores had a process killed, or a call failed, and have recovered."""
    return pytestconfig.stash.setdefault(_TALLY, Counter())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tally = terminalreporter.config.stash.get(_TALLY, Counter())
    if tally:
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.items()))
        terminalreporter.write_line(f"points of failure that the store recovered from: {told}")
