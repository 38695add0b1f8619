"""Whatever a client of the other APIs sends is understood, or refused with a reason."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from mbuild.runtime.api import anthropic, openai, responses
from mbuild.runtime.api.body import BadBody, read
from mbuild.runtime.server import ENDPOINTS

WORDS = st.sampled_from(
    [
        *("text", "type", "role", "content", "name", "function", "arguments", "tool_calls", "id"),
        *("image_url", "url", "source", "data", "base64", "image", "tool_use", "tool_result"),
        *("input", "user", "assistant", "tool", "message", "function_call", "reasoning", "effort"),
        *("schema", "json_schema", "format", "call_id", "output", "input_text", "input_image"),
        *("tools", "namespace", "thinking", "system", "input_schema", "{}", "low", "5m"),
        *("data:;base64,AAAA", "http://a", "input_audio", "float"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**30), 1e300])
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
    | st.text(max_size=4)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=12,
)
CASES = [
    pytest.param(openai.ChatCompletion, openai.chat, id="chat"),
    pytest.param(openai.Completion, openai.completion, id="completion"),
    pytest.param(openai.EmbeddingInput, openai.embed, id="embeddings"),
    pytest.param(responses.Responses, responses.chat, id="responses"),
    pytest.param(anthropic.Messages, anthropic.chat, id="messages"),
    pytest.param(anthropic.Count, anthropic.counted, id="count_tokens"),
]


@pytest.mark.parametrize(("kind", "native"), CASES)
@given(data=st.data())
def test_a_body_is_understood_or_refused(
    kind: type[BaseModel], native: Callable[[Any], BaseModel], data: st.DataObject
) -> None:
    names = st.sampled_from(sorted(kind.model_fields))
    fields = data.draw(st.dictionaries(names, VALUES, max_size=4))
    sound = {"model": "m", "max_tokens": 1, "prompt": "a", "input": "a"}
    turns = {"messages": [{"role": "user", "content": "hi"}]}
    with suppress(BadBody):
        native(read(kind, json.dumps({**sound, **turns, **fields}).encode()))


MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool", "system"]), "content": VALUES},
        optional={"tool_calls": VALUES, "tool_call_id": SCALARS, "name": SCALARS, "type": WORDS},
    ),
    max_size=3,
)


@pytest.mark.parametrize(("kind", "native"), CASES)
@given(messages=MESSAGES)
def test_a_conversation_is_understood_or_refused(
    kind: type[BaseModel], native: Callable[[Any], BaseModel], messages: list[Any]
) -> None:
    body = {"model": "m", "max_tokens": 1, "messages": messages, "input": messages}
    with suppress(BadBody):
        native(read(kind, json.dumps(body).encode()))


def test_every_kind_of_body_has_a_name_of_its_own() -> None:
    # In the OpenAPI document the later of two would stand for both.
    kinds = {each.body for each in ENDPOINTS if each.body is not None}
    assert len({kind.__name__ for kind in kinds}) == len(kinds)
