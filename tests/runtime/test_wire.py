"""Frames."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.runtime import wire

# Lone surrogates among them: what a terminal gives for bytes that are no UTF-8.
TEXTS = st.text(alphabet=st.characters())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(st.lists(JSON.filter(lambda value: value is not None)))
def test_what_is_packed_is_read_again(values: list[object]) -> None:
    stream = io.BytesIO(b"".join(map(wire.pack, values)))
    assert [wire.read(stream) for _ in values] == values
    assert wire.read(stream) is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\0\0", id="ends in the length"),
        pytest.param(b"\0\0\0\5[1", id="ends in the value"),
        pytest.param(b"\0\0\0\2xx", id="no JSON"),
        pytest.param(struct.pack(">I", wire.LONGEST + 1), id="claims too much"),
    ],
)
def test_a_broken_frame_is_an_error(data: bytes) -> None:
    with pytest.raises(wire.BrokenFrame):
        wire.read(io.BytesIO(data))
