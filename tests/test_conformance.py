"""The recorded answers of the reference, through the script that runs any such file."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("conformance.py")
DATA = Path(__file__).with_name("data")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("family", "count"), [("modelfile", 1458), ("names", 376)])
def test_every_vector_passes(family: str, count: int) -> None:
    done = run(family, str(DATA / f"{family}.jsonl"))
    assert done.stdout == f"{count} passed, 0 failed\n"
    assert done.returncode == 0


def test_a_failure_is_told_by_its_id(tmp_path: Path) -> None:
    expected = {"commands": [], "error": "nothing", "string": None}
    good = {"commands": [{"name": "model", "args": "x"}], "error": None, "string": "FROM x\n"}
    rows = [
        {"id": "mf-1", "input": "FROM x", "expected": expected},
        {"id": "mf-2", "input": "FROM x", "expected": good},
        {"id": "mf-3", "input": "FROM x", "expected": good | {"create": {"from": "y"}}},
        {"id": "mf-4", "input": "FROM x", "expected": good | {"create_error": "no"}},
        {"id": "mf-5", "expected": good},
    ]
    file = tmp_path / "some.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    done = run("modelfile", str(file))
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ["mf-1", "mf-3", "mf-4", "mf-5"]
    assert lines[0] == 'mf-1 error: expected "nothing", got null'
    assert lines[-1] == "1 passed, 4 failed"
    assert done.returncode == 1


def test_a_flag_is_no_number(tmp_path: Path) -> None:
    create = {"from": "x", "parameters": {"use_mmap": 1}}
    row = {
        "id": "mf-1",
        "input": "FROM x\nPARAMETER use_mmap 1",
        "expected": {
            "commands": [{"name": "model", "args": "x"}, {"name": "use_mmap", "args": "1"}],
            "error": None,
            "string": "FROM x\nPARAMETER use_mmap 1\n",
            "create": create,
        },
    }
    file = tmp_path / "some.jsonl"
    file.write_text(json.dumps(row))
    assert run("modelfile", str(file)).stdout.endswith("0 passed, 1 failed\n")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="nothing"),
        pytest.param(["recipes", "some.jsonl"], id="unknown family"),
        pytest.param(["names", "no such file"], id="no file"),
    ],
)
def test_senseless_arguments_are_a_usage_error(arguments: list[str]) -> None:
    assert run(*arguments).returncode == 2
