"""The lines that build prints."""

from pathlib import Path

import pytest

from mbuild.cli.project_report import (
    format_cached,
    format_news,
    format_outcome,
    format_plan,
    format_summary,
)
from mbuild.compiler.create import Order
from mbuild.compiler.plan import Unit
from mbuild.compiler.progress import Progress, Status
from mbuild.compiler.project import Node
from mbuild.compiler.schedule import Outcome, State
from mbuild.store.manifest import Manifest
from mbuild.store.name import Name

NAME = Name.parse("kid")
NODE = Node(Unit("kid", (NAME,), None, {}), Order(NAME, "Modelfile", b"", str(Path("/"))), (), None)
MANIFEST = Manifest(None, ()).encode()
REASON = "prompts/kid.md changed"


@pytest.mark.parametrize(
    ("outcome", "columns", "expected"),
    [
        pytest.param(
            Outcome(NODE, State.BUILT, MANIFEST, REASON, 1.239),
            None,
            "kid:latest    built       1.24 s  1a3d3563f2ef  prompts/kid.md changed",
            id="built",
        ),
        pytest.param(
            Outcome(NODE, State.BUILT, MANIFEST, REASON, 1.239),
            65,
            "kid:latest    built       1.24 s  1a3d3563f2ef  prompts/kid.md c…",
            id="cut to the terminal",
        ),
        pytest.param(
            Outcome(NODE, State.BUILT, MANIFEST, REASON, 1.239),
            55,
            "kid:latest    built       1.24 s  1a3d3563f2ef",
            id="no room for a reason",
        ),
        pytest.param(
            Outcome(NODE, State.CACHED, MANIFEST),
            80,
            "kid:latest    cached              1a3d3563f2ef",
            id="cached",
        ),
        pytest.param(
            Outcome(NODE, State.FAILED, None, "new", 0.5),
            80,
            "kid:latest    failed      0.50 s  new",
            id="failed",
        ),
        pytest.param(
            Outcome(NODE, State.SKIPPED, reason="needs base:latest"),
            80,
            "kid:latest    skipped   needs base:latest",
            id="skipped",
        ),
    ],
)
def test_outcomes(outcome: Outcome, columns: int | None, expected: str) -> None:
    assert format_outcome(outcome, names=12, columns=columns) == expected


def test_a_cached_line_is_the_same_on_the_short_way() -> None:
    outcome = Outcome(NODE, State.CACHED, MANIFEST)
    assert format_cached("kid:latest", MANIFEST, names=12) == format_outcome(outcome, names=12)


@pytest.mark.parametrize(
    ("why", "expected"),
    [
        pytest.param("", "kid:latest  cached", id="cached"),
        pytest.param("new", "kid:latest  would build  new", id="stale"),
        pytest.param("if a changes", "kid:latest  may build    if a changes", id="maybe"),
    ],
)
def test_plans(why: str, expected: str) -> None:
    assert format_plan("kid:latest", why, names=10) == expected


@pytest.mark.parametrize(
    ("news", "seconds", "expected"),
    [
        pytest.param(Status("parsing GGUF"), 2, "parsing GGUF", id="status"),
        pytest.param(Progress("copying", 0, 0), 2, "copying", id="of nothing"),
        pytest.param(Progress("copying", 0, 9), 2, "  0%  copying", id="begun"),
        pytest.param(
            Progress("copying m.gguf", 5_000_000, 20_000_000),
            2,
            " 25%    6 s left  2.5 MB/s of 20 MB  copying m.gguf",
            id="under way",
        ),
        pytest.param(
            Progress("copying", 9, 9), 3, "100%    0 s left  3 B/s of 9 B  copying", id="done"
        ),
    ],
)
def test_news(news: Status | Progress, seconds: float, expected: str) -> None:
    assert format_news(news, seconds=seconds) == expected


def test_summaries() -> None:
    assert format_summary(["built"], seconds=0.126) == "1 model: 1 built in 0.13 s"
    states = ["skipped", "failed", "built", "cached", "built"]
    assert format_summary(states, seconds=2, untold=1) == (
        "5 models: 1 cached, 2 built, 1 failed, 1 skipped in 2.00 s;"
        " 1 warning of cached ones, which mbuild lint shows"
    )
