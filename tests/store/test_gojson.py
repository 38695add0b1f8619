import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.store.digest import Digest
from mbuild.store.gojson import BadJson, Json, decode, encode, number, through_float

TEXTS = st.text()
WHOLE = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | WHOLE | FLOATS | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", '""', id="empty"),
        pytest.param('say "\\"', r'"say \"\\\""', id="quotes and backslash"),
        pytest.param("\b\f\n\r\t", r'"\b\f\n\r\t"', id="controls with a letter"),
        pytest.param("\0\x01\x1f", r'"\u0000\u0001\u001f"', id="other controls"),
        pytest.param("\x7f\x80", '"\x7f\x80"', id="DEL and above are verbatim"),
        pytest.param("<|im_end|>&", r'"\u003c|im_end|\u003e\u0026"', id="html"),
        pytest.param("a\u2028b\u2029", r'"a\u2028b\u2029"', id="line separators"),
        pytest.param("é–🙂/", '"é–🙂/"', id="others and the slash are verbatim"),
        pytest.param("\udcff\ud800", r'"\ufffd\ufffd"', id="what was no UTF-8"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    assert encode(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(0.0, "0", id="zero"),
        pytest.param(-0.0, "-0", id="minus zero"),
        pytest.param(1.0, "1", id="whole"),
        pytest.param(0.7, "0.7", id="shortest digits"),
        pytest.param(0.699999988079071, "0.699999988079071", id="what 32 bits make of 0.7"),
        pytest.param(1e15, "1000000000000000", id="where python still has no exponent"),
        pytest.param(1e16, "10000000000000000", id="where python begins an exponent"),
        pytest.param(1.5e16, "15000000000000000", id="with a fraction"),
        pytest.param(123456789012345680000.0, "123456789012345680000", id="many digits"),
        pytest.param(999999999999999868928.0, "999999999999999900000", id="the last without"),
        pytest.param(1e21, "1e+21", id="the first with an exponent"),
        pytest.param(-2.5e300, "-2.5e+300", id="three digits of exponent"),
        pytest.param(0.0001, "0.0001", id="where python still has no exponent below one"),
        pytest.param(0.0000125, "0.0000125", id="where python begins one below one"),
        pytest.param(-0.000001, "-0.000001", id="the least without"),
        pytest.param(9.5e-7, "9.5e-7", id="one digit of exponent, no zero before it"),
        pytest.param(1e-10, "1e-10", id="two digits of exponent"),
        pytest.param(5e-324, "5e-324", id="the least of all"),
    ],
)
def test_numbers(value: float, expected: str) -> None:
    assert number(value) == encode(value) == expected


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_an_error(value: float) -> None:
    with pytest.raises(BadJson):
        encode({"temperature": [value]})


@pytest.mark.parametrize(
    ("value", "digest"),
    [
        pytest.param(
            {"stop": ["USER:", "ASSISTANT:"], "temperature": 1, "top_k": 10},
            "1d0ad71299d48c2fb7ae2b98e683643e771f8a5b72be34942af90d97a91c1e37",
            id="whole numbers",
        ),
        pytest.param(
            {"top_p": 0.7, "top_k": 10, "temperature": 0.6, "stop": ["USER:", "ASSISTANT:"]},
            "e29a7b3c47287a2489c895d21fe413c20f859a85d20e749492f52a838e36e1ba",
            id="keys in another order",
        ),
        pytest.param(
            {"stop": ["<|endoftext|>"], "temperature": 0.6, "top_k": 10, "top_p": 0.7},
            "12f58bb75cb3042d69a7e013ab87fb3c3c7088f50ddc62f0c77bd332f0d44d35",
            id="escapes",
        ),
        pytest.param(
            {"stop": ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]},
            "56bb8bd477a519ffa694fc449c2413c6f0e1d3b1c88fa7e3c9d88d3ae49d4dcb",
            id="a list only",
        ),
    ],
)
def test_parameters_have_the_digest_that_the_reference_gives_them(value: Json, digest: str) -> None:
    line = encode(through_float(value), sort_keys=True) + "\n"
    assert Digest.of(line.encode()).hex == digest


def test_messages_keep_the_order_of_their_keys() -> None:
    messages: Json = [
        {"role": "assistant", "content": "What is my purpose?"},
        {"role": "user", "content": "You run tests."},
        {"role": "assistant", "content": "Oh, my god."},
    ]
    assert (
        Digest.of(f"{encode(messages)}\n".encode()).hex
        == "298baeaf6928a60cf666d88d64a1ba606feb43a2865687c39e40652e407bffc4"
    )


def test_sorted_keys_are_in_the_order_of_their_bytes_at_every_level() -> None:
    value: Json = {"b": {"é": 1, "z": 2}, "B": 3, "\U0001f600": 4, "\uffee": 5}
    assert encode(value, sort_keys=True) == '{"B":3,"b":{"z":2,"é":1},"\uffee":5,"\U0001f600":4}'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(2**53 + 1, "9007199254740992", id="one too many"),
        pytest.param(2**63, "9223372036854776000", id="digits that 64 bits do not tell apart"),
        pytest.param([1, {"a": True, "b": None}], '[1,{"a":true,"b":null}]', id="inside"),
    ],
)
def test_numbers_of_parameters_go_through_64_bits(value: Json, expected: str) -> None:
    assert encode(through_float(value)) == expected
    assert encode(value) == expected or value in (2**53 + 1, 2**63)


def test_a_whole_number_beyond_all_floats_is_an_error() -> None:
    with pytest.raises(BadJson):
        through_float([10**400])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b'{"a":-0,"b":[1e2,"x"]}', {"a": -0.0, "b": [100.0, "x"]}, id="floats"),
        pytest.param(b' {"a":1,"a":2}\n', {"a": 2.0}, id="the last of two equal keys"),
        pytest.param(b'"\xff"', "\ufffd", id="bytes that are no UTF-8"),
    ],
)
def test_reading_parameters(data: bytes, expected: Json) -> None:
    assert repr(decode(data)) == repr(expected)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"a":1', id="cut off"),
        pytest.param(b"{} {}", id="two values"),
        pytest.param(b'{"a":NaN}', id="no number"),
        pytest.param(b"-Infinity", id="infinity"),
        pytest.param(b'{"a":1e999}', id="a number out of range"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="a whole number out of range"),
        pytest.param(b"[" * 100_000, id="too deep"),
        pytest.param("\ufeff{}".encode(), id="byte order mark"),
    ],
)
def test_what_is_no_json_is_an_error(data: bytes) -> None:
    with pytest.raises(BadJson):
        decode(data)


@given(VALUES)
def test_what_is_written_is_read_back(value: Json) -> None:
    assert decode(encode(value).encode()) == through_float(value)
    assert decode(encode(value, sort_keys=True).encode()) == through_float(value)


@given(WHOLE)
def test_a_whole_number_keeps_all_its_digits(value: int) -> None:
    assert json.loads(encode(value)) == value


@given(FLOATS)
def test_a_number_survives_to_the_bit(value: float) -> None:
    written = number(value)
    assert float(written).hex() == value.hex()
    mantissa = written.partition("e")[0]
    assert "." not in mantissa or not mantissa.endswith("0")
    assert len(written) <= 25
