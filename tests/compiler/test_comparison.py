"""How one model differs from another: what is told, and that nothing is left out."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.compiler.comparison import (
    Adapters,
    Difference,
    Licenses,
    Messages,
    Parameter,
    Projectors,
    Scaled,
    Setting,
    Text,
    Unknown,
    Weights,
    compare,
    moves,
)
from mbuild.store.config import Config, Draft
from mbuild.store.contents import Contents
from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, MediaType


def _layer(text: str, media_type: str = MediaType.MODEL, origin: str = "") -> Layer:
    return Layer(media_type, Digest.of(text.encode()), len(text), origin)


PLAIN = Contents(
    config=Config(file_type="F16"),
    weights=_layer("weights"),
    projectors=(),
    adapters=(_layer("one", MediaType.ADAPTER), _layer("two", MediaType.ADAPTER)),
    scales=(1.0, 0.5),
    draft=None,
    template="{{ .Prompt }}",
    system="You are a kid.",
    parameters={"temperature": 0.7, "stop": ["a"]},
    messages=({"role": "user", "content": "hi"},),
    licenses=("MIT", "Apache"),
    schema=None,
    unknown=(),
)
ONE, TWO = (_layer(each, MediaType.ADAPTER) for each in ("one", "two"))
EXTRA = _layer("extra", "application/x-extra")
OTHER = _layer("other")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param(
            {"parameters": {"temperature": 0.5, "top_p": 0.9}},
            [
                Parameter("stop", ["a"], None),
                Parameter("temperature", 0.7, 0.5),
                Parameter("top_p", None, 0.9),
            ],
            id="parameters, by name",
        ),
        pytest.param(
            {"system": "You are old.", "template": None, "schema": "{}"},
            [
                Text("template", "{{ .Prompt }}", None),
                Text("system", "You are a kid.", "You are old."),
                Text("schema", None, "{}"),
            ],
            id="texts",
        ),
        pytest.param({"weights": OTHER}, [Weights("weights", PLAIN.weights, OTHER)], id="weights"),
        # The same bytes, but the manifest has another name for where they came from.
        pytest.param(
            {"weights": _layer("weights", origin="b.gguf")},
            [Weights("weights", PLAIN.weights, _layer("weights", origin="b.gguf"))],
            id="weights from elsewhere",
        ),
        pytest.param({"draft": OTHER}, [Weights("draft", None, OTHER)], id="draft"),
        pytest.param(
            {"scales": (1.0, 0.7)},
            [Adapters((Scaled(ONE, 1.0), Scaled(TWO, 0.5)), (Scaled(ONE, 1.0), Scaled(TWO, 0.7)))],
            id="a scale",
        ),
        pytest.param(
            {"adapters": (TWO,), "scales": (0.5,)},
            [Adapters((Scaled(ONE, 1.0), Scaled(TWO, 0.5)), (Scaled(TWO, 0.5),))],
            id="an adapter less",
        ),
        pytest.param({"projectors": (OTHER,)}, [Projectors((), (OTHER,))], id="a projector"),
        pytest.param(
            {"config": Config(file_type="Q8_0", renderer="x", capabilities=("vision",))},
            [
                Setting("file_type", "F16", "Q8_0"),
                Setting("renderer", "", "x"),
                Setting("capabilities", [], ["vision"]),
            ],
            id="configuration",
        ),
        pytest.param(
            {"config": Config(file_type="F16", draft=Draft("gguf"))},
            [
                Setting(
                    "draft",
                    None,
                    {
                        "model_format": "gguf",
                        "architecture": "",
                        "tensor_prefix": "",
                        "config": "",
                    },
                )
            ],
            id="what is said of a draft",
        ),
        pytest.param(
            {"messages": ({"content": "hi", "role": "user"},)}, [], id="order of fields is none"
        ),
        pytest.param(
            {"messages": ()},
            [Messages(((("content", "hi"), ("role", "user")),), ())],
            id="messages",
        ),
        # The reference shows them in order, so the order counts.
        pytest.param(
            {"licenses": ("Apache", "MIT")},
            [Licenses(("MIT", "Apache"), ("Apache", "MIT"))],
            id="licences in another order",
        ),
        pytest.param({"unknown": (EXTRA,)}, [Unknown((), (EXTRA,))], id="a layer of no known type"),
    ],
)
def test_differences(changed: dict[str, Any], expected: list[Difference]) -> None:
    assert list(compare(PLAIN, replace(PLAIN, **changed))) == expected


layers = st.builds(_layer, st.sampled_from("abc"), origin=st.sampled_from(["", "m.gguf"]))
texts = st.sampled_from([None, "", "a", "b"])
models = st.builds(
    Contents,
    config=st.builds(
        Config,
        file_type=st.sampled_from(["", "F16"]),
        requires=st.sampled_from(["", "1"]),
        model_families=st.sampled_from([(), ("llama",)]),
        context_length=st.sampled_from([0, 1]),
    ),
    weights=st.none() | layers,
    projectors=st.lists(layers, max_size=2).map(tuple),
    adapters=st.lists(layers, min_size=2, max_size=2).map(tuple),
    scales=st.tuples(*[st.sampled_from([0.5, 1.0])] * 2),
    draft=st.none() | layers,
    template=texts,
    system=texts,
    parameters=st.dictionaries(st.sampled_from("ab"), st.sampled_from([1.0, "x", True, ["y"]])),
    messages=st.lists(
        st.fixed_dictionaries({"role": st.just("user"), "content": st.sampled_from("ab")}),
        max_size=2,
    ).map(tuple),
    licenses=st.lists(st.sampled_from("ab"), max_size=2).map(tuple),
    schema=texts,
    unknown=st.lists(layers, max_size=1).map(tuple),
)


@given(models, models)
def test_no_difference_means_the_same(old: Contents, new: Contents) -> None:
    assert (compare(old, new) == ()) == (old == new)


@given(models, models)
def test_the_way_back_tells_the_same_turned_round(old: Contents, new: Contents) -> None:
    there = [(type(each), each.old, each.new) for each in compare(old, new)]
    back = [(type(each), each.new, each.old) for each in compare(new, old)]
    assert there == back


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_moves_make_the_new_one_of_the_old_one(old: list[str], new: list[str]) -> None:
    made = moves(old, new)
    gone = {move.index for move in made if not move.came}
    came = {move.index for move in made if move.came}
    left = [each for index, each in enumerate(old) if index not in gone]
    assert left == [each for index, each in enumerate(new) if index not in came]
