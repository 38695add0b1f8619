"""What is read of an account, and that nothing in one leads astray."""

import json
from typing import Any

import pytest

from mbuild.compiler.recorded import Import, Ordered, imports, ordered
from mbuild.store.digest import Digest
from mbuild.store.history import Revision
from mbuild.store.manifest import Layer, Manifest, MediaType

A, B = Digest.of(b"a"), Digest.of(b"b")


def _step(operation: str, output: str, **arguments: str) -> dict[str, Any]:
    rest = {"name": "n", "content": "c", "inputs": {}, "key": "k", "cached": False, "reason": ""}
    names = {name.rstrip("_"): value for name, value in arguments.items()}
    return {**rest, "operation": operation, "arguments": names, "output": output}


def _revision(account: Any, *layers: Layer) -> Revision:
    text = account if isinstance(account, str) else json.dumps(account)
    return Revision(1, 0, Manifest(None, layers).encode(), {}, text)


@pytest.mark.parametrize(
    "account",
    [
        pytest.param("", id="none"),
        pytest.param("{", id="no JSON"),
        pytest.param([], id="no object"),
        pytest.param({"order": "kid", "steps": []}, id="no order"),
        pytest.param({"order": {"folder": 3}, "steps": []}, id="no folder"),
        pytest.param({"order": {}, "steps": 3}, id="no steps"),
        pytest.param({"order": {}, "steps": [3]}, id="a step that is none"),
        pytest.param({"order": {}, "steps": [_step("import", str(A))]}, id="a step without a file"),
    ],
)
def test_an_account_that_says_nothing_is_none(account: Any) -> None:
    assert ordered(_revision(account)) == Ordered()
    assert imports(_revision(account)) == ()


def test_an_order_is_read() -> None:
    order = {
        "file": "/w/Modelfile",
        "folder": "/w",
        "dialect": "ollama",
        "arguments": {"TONE": "mild"},
        "target": "last",
        "quantize": "Q8_0",
        "requantize": True,
    }
    expected = Ordered(known=True, **order)  # type: ignore[arg-type]  # As JSON has no types.
    assert ordered(_revision({"order": order, "steps": []})) == expected


def test_files_are_read_from_the_account_and_from_the_manifest() -> None:
    steps = [
        _step("import", str(A), path="/w/m.gguf", as_="m.gguf", type="t"),
        _step("fetch", str(B), package="pypi://llm@1/data/n.gguf"),
        _step("text", str(A), type="system"),
    ]
    layers = [
        Layer(MediaType.MODEL, B, 1, "n.gguf"),
        Layer(MediaType.MODEL, A, 1, "kid:latest"),  # From a model, so no file.
        Layer(MediaType.MODEL, A, 1),
        Layer(MediaType.SYSTEM, A, 1, "text"),
    ]
    assert imports(_revision({"order": {}, "steps": steps}, *layers)) == (
        Import("/w/m.gguf", "m.gguf", A),
        Import("pypi://llm@1/data/n.gguf", "n.gguf", B),
        Import("", "n.gguf", B),
    )


@pytest.mark.parametrize("name", ["../m.gguf", "/etc/passwd", "a/../../m", ".", "..", "a/.."])
def test_a_name_that_climbs_is_left_out(name: str) -> None:
    assert imports(_revision("", Layer(MediaType.MODEL, A, 1, name))) == ()
    step = _step("import", str(A), path="/w/m.gguf", as_=name)
    assert imports(_revision({"order": {}, "steps": [step]})) == ()


def test_a_digest_that_is_none_is_left_out() -> None:
    step = _step("import", "sha256:x", path="/m", as_="m")
    assert imports(_revision({"order": {}, "steps": [step]})) == ()
