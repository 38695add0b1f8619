"""Bodies of requests: bytes to checked values."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.runtime.api.body import DEEPEST, BadBody, read
from mbuild.runtime.api.ollama import Chat, Create, Generate, Named


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"", "missing request body", id="nothing"),
        pytest.param(b" \n", "missing request body", id="blanks"),
        pytest.param(b"[]", "the request body is no JSON object", id="a list"),
        pytest.param(b'{"model": 1}', "model: input should be a valid string", id="a number"),
        pytest.param(b'{"stream": "yes"}', "stream: input should be a valid boolean", id="a text"),
        pytest.param(b'{"context": [1.5]}', "context.0: input should be a valid", id="a fraction"),
        pytest.param(b'{"top_logprobs": 21}', "top_logprobs must be between 0 and 20", id="many"),
        pytest.param(b'{"keep_alive": "10"}', 'time: missing unit in duration "10"', id="unit"),
        pytest.param(b'{"keep_alive": true}', "keep_alive is a number of seconds", id="a flag"),
        pytest.param(b'{"think": "very"}', 'invalid think value: "very" (must be', id="think"),
        pytest.param(b'{"options": {"a": NaN}}', "invalid JSON: NaN is no number", id="NaN"),
        pytest.param(b"{" * 9, "invalid JSON: Expecting property name", id="no JSON"),
    ],
)
def test_a_bad_body_is_refused_with_a_reason(data: bytes, said: str) -> None:
    with pytest.raises(BadBody) as caught:
        read(Generate, data)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("depth", [DEEPEST + 2, 100_000])
def test_deep_json_is_refused(depth: int) -> None:
    data = b'{"options": {"a": ' + b"[" * depth + b"]" * depth + b"}}"
    with pytest.raises(BadBody, match="deeper than"):
        read(Generate, data)


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(BadBody, match="invalid JSON"):
        read(Generate, b'{"context": [' + b"9" * 5000 + b"]}")


def test_names_of_fields_are_found_whatever_their_case() -> None:
    assert read(Generate, b'{"Model": "a", "PROMPT": "b"}').prompt == "b"


def test_null_and_unknown_fields_count_as_nothing() -> None:
    data = b'{"model": null, "options": null, "format": null, "keep_alive": null, "x": 1}'
    assert read(Generate, data) == Generate()


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    assert read(Generate, rb'{"prompt": "a\ud800b"}').prompt == "a\ufffdb"


def test_a_message_may_lack_content_and_keeps_its_calls() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}}
    data = json.dumps({"messages": [{"role": "Assistant", "tool_calls": [call]}]}).encode()
    (message,) = read(Chat, data).messages
    assert (message.role, message.content, message.tool_calls) == ("assistant", "", (call,))


def test_a_licence_may_be_one_text_or_several() -> None:
    assert read(Create, b'{"license": "MIT"}').license == ["MIT"]
    assert read(Create, b'{"license": ["a", "b"]}').license == ["a", "b"]


def test_from_and_the_debug_flag_have_names_that_python_has_not() -> None:
    assert read(Create, b'{"from": "kid"}').base == "kid"
    assert read(Generate, b'{"_debug_render_only": true}').debug


def test_an_empty_model_leaves_the_name() -> None:
    assert read(Named, b'{"model": "", "name": "kid"}').asked == "kid"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
_FIELDS = st.sampled_from([*Chat.model_fields, *Generate.model_fields, *Create.model_fields])


@given(st.dictionaries(_FIELDS | st.text(), _VALUES), st.sampled_from([Chat, Generate, Create]))
def test_any_json_is_read_or_refused(
    value: dict[str, object], kind: type[Chat] | type[Generate] | type[Create]
) -> None:
    with suppress(BadBody):
        assert isinstance(read(kind, json.dumps(value).encode()), kind)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(BadBody):
        read(Chat, data)
