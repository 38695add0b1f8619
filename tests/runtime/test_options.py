"""Options from JSON."""

import json
from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.compiler import parameters
from mbuild.runtime.engine import LoadOptions, Sampling
from mbuild.runtime.options import BadOption, Options, merge, read


def test_defaults_are_those_of_the_language() -> None:
    found = read({})
    ours = {**asdict(found.load), **asdict(found.sampling), "stop": found.stop}
    ours |= {"num_predict": found.num_predict, "num_keep": found.num_keep}
    del ours["parallel"]  # No option of the language: whoever serves sets it.
    theirs = {name: option.default for name, option in parameters.OPTIONS.items()}
    del theirs["draft_num_predict"]  # There are no draft models yet.
    assert ours == theirs


@pytest.mark.parametrize(
    ("given_options", "expected"),
    [
        pytest.param(
            {"temperature": 1, "seed": 7.0, "stop": ["a", "b"]},
            Options(sampling=Sampling(temperature=1.0, seed=7), stop=("a", "b")),
            id="numbers of either kind",
        ),
        pytest.param({"top_k": 3.9}, Options(sampling=Sampling(top_k=3)), id="fractions are cut"),
        pytest.param({"top_k": -0.5}, Options(sampling=Sampling(top_k=0)), id="towards zero"),
        pytest.param(
            {"num_ctx": None, "stop": None, "use_mmap": None}, Options(), id="null is not given"
        ),
        pytest.param({"tfs_z": 1, "mirostat": "x"}, Options(), id="unknown names"),
        pytest.param(
            {"use_mmap": False, "main_gpu": 1, "num_thread": 2},
            Options(load=LoadOptions(use_mmap=False, main_gpu=1, num_thread=2)),
            id="for loading",
        ),
    ],
)
def test_read(given_options: dict[str, Any], expected: Options) -> None:
    assert read(given_options) == expected


def test_later_options_replace_earlier_ones_by_name() -> None:
    stored = {"stop": ["a", "b"], "top_k": 3}
    assert merge(stored, {"stop": ["c"]}, {"top_k": None}) == {"stop": ["c"], "top_k": 3}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_ctx", "5", 'option "num_ctx" must be of type integer'),
        ("num_ctx", True, 'option "num_ctx" must be of type integer'),
        ("seed", [1], 'option "seed" must be of type integer'),
        ("temperature", "hot", 'option "temperature" must be of type float32'),
        ("temperature", False, 'option "temperature" must be of type float32'),
        ("use_mmap", 1, 'option "use_mmap" must be of type boolean'),
        ("stop", "a", 'option "stop" must be of type array'),
        ("stop", ["a", 1], 'option "stop" must be of an array of strings'),
        ("num_batch", 0, 'option "num_batch" must be from 1 to 65536'),
        ("num_ctx", -1, 'option "num_ctx" must be from 0 to 2147483647'),
        ("num_ctx", 2**31, 'option "num_ctx" must be from 0 to 2147483647'),
        ("num_gpu", -2, 'option "num_gpu" must be from -1 to 65536'),
        ("seed", 10**400, 'option "seed" must be from -9.223372037e+18 to 9.223372037e+18'),
        ("top_k", float("inf"), 'option "top_k" must be a finite number'),
        ("top_p", float("nan"), 'option "top_p" must be a finite number'),
        ("min_p", 10**400, 'option "min_p" must be a finite number'),
        ("temperature", 1e39, 'option "temperature" must be a finite number'),
        # The logits are divided by it.
        ("repeat_penalty", 0, 'option "repeat_penalty" must be from 1.175494351e-38 to'),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object, message: str) -> None:
    with pytest.raises(BadOption) as caught:
        read({name: value})
    assert str(caught.value).startswith(message)
    assert caught.value.name == name


@given(
    st.sampled_from(sorted(parameters.OPTIONS)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3
    ),
)
def test_any_json_is_read_into_the_range_of_32_bits_or_refused(name: str, value: Any) -> None:
    try:
        found = read({name: json.loads(json.dumps(value))})
    except BadOption:
        return
    numbers = [
        getattr(part, field.name)
        for part in (found.load, found.sampling)
        for field in fields(part)
        if field.name != "seed"
    ]
    assert all(abs(number or 0) < 3.41e38 for number in numbers)
