"""Laws of the server: whatever is sent, an answer comes, and never a bug of ours."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import Running, kid, running

from mbuild.runtime.server import ENDPOINTS

BODIES = {each.path: each.body for each in ENDPOINTS if each.body is not None}
NAMES = st.sampled_from(
    ["kid", "KID:latest", "", "no", "../x", "a/b/c:d", "registry.ollama.ai/kid"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
_TURN = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool", "x", ""])},
    optional={"content": st.text(max_size=20) | _JSON, "tool_calls": _JSON, "thinking": _JSON},
)
_TOOL = st.fixed_dictionaries({"type": st.just("function"), "function": _JSON})
_LIKELY: dict[str, st.SearchStrategy[Any]] = {
    "messages": st.lists(_TURN, max_size=3),
    "prompt": st.text(max_size=20),
    "tools": st.lists(_TOOL, max_size=2),
    "options": st.dictionaries(
        st.sampled_from(["num_ctx", "temperature", "seed", "stop", "num_predict", "num_keep", "x"]),
        st.integers(-5, 600) | _JSON,
        max_size=3,
    ),
    "keep_alive": st.sampled_from([0, -1, "5m", "x", 1e30]),
    "format": st.sampled_from(["json", "", {"type": "object"}, {"type": "nope"}, []]),
    "input": st.lists(st.text(max_size=9), max_size=3) | st.text(max_size=9),
    "stream": st.booleans(),
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(kid(tmp_path_factory.mktemp("laws"))) as found:
        yield found


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A path, and a body that is near to what it takes."""
    path = draw(st.sampled_from([each for each in BODIES if each != "/api/delete"]))
    fields = [field.alias or name for name, field in BODIES[path].model_fields.items()]
    chosen = draw(st.lists(st.sampled_from(fields), unique=True, max_size=6))
    body = {name: draw(_LIKELY.get(name, _JSON) | _JSON) for name in chosen}
    named = {"model": draw(NAMES)} if "model" in fields else {}
    return path, {**body, **named}


@given(requests())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_request_is_answered_and_no_answer_is_a_bug(
    up: Running, sent: tuple[str, dict[str, Any]]
) -> None:
    path, body = sent
    answered = up.post(path, json.dumps(body).encode())
    assert 200 <= answered.status < 600
    assert b"internal error" not in answered.data
    assert up.logged == []
    for line in answered.data.splitlines() if "ndjson" in answered.headers["content-type"] else ():
        json.loads(line)
    assert up.get("/").status == 200
