"""A recipe lowered to steps, and their keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.compiler.check import Given, load
from mbuild.compiler.graph import Graph, Operation, Part, Step, key, lower
from mbuild.compiler.recipe import Recipe
from mbuild.store.digest import Digest


def recipe_of(text: str) -> Recipe:
    recipe, findings = load("Modelfile", text.encode(), given=Given())
    assert recipe is not None, findings
    return recipe


def graph_of(text: str, *, base: str | None = None) -> Graph:
    recipe = recipe_of(text)
    parts = [
        Part(
            Operation.IMPORT,
            (("path", each.text), ("as", each.text), ("type", "model")),
            each,
            role,
        )
        for role, these in (("weights", recipe.sources), ("adapter", recipe.adapters))
        for each in these
    ]
    return lower(recipe, parts, prefix="", base=base)


def outline(graph: Graph) -> dict[str, tuple[str, ...]]:
    return {step.name: step.inputs for step in graph}


def test_the_smallest_graph() -> None:
    material = ("weights",)
    assert outline(graph_of("FROM a")) == {
        "weights": (),
        "parameters": material,
        "scales": material,
        "config": material,
        "manifest": ("weights", "parameters", "scales", "config"),
    }


def test_everything_has_its_step() -> None:
    graph = graph_of(
        "FROM a\nFROM b\nADAPTER c\nTEMPLATE t\nSYSTEM s\nLICENSE 1\nLICENSE 2\nMESSAGE user m\n"
        "SCHEMA {}\nQUANTIZE q8_0\n"
    )
    material = ("quantized", "adapter")
    assert graph.material == material
    assert outline(graph) == {
        "weights": (),
        "weights 2": (),
        "adapter": (),
        "quantized": ("weights", "weights 2"),
        "template": (),
        "license": (),
        "license 2": (),
        "messages": (),
        "schema": (),
        "system": (),
        "parameters": material,
        "scales": material,
        "config": material,
        "manifest": (
            *material,
            *("template", "license", "license 2", "messages", "schema"),
            *("system", "parameters", "scales", "config"),
        ),
    }


def test_only_what_is_added_to_a_base_needs_it() -> None:
    own = {step.name: step for step in graph_of("FROM a\nSYSTEM s")}
    added = {step.name: step for step in graph_of("FROM a\nSYSTEM --append s")}
    assert own["system"].inputs == ()
    assert added["system"].inputs == ("weights",)


def test_each_step_stands_behind_its_inputs() -> None:
    graph = graph_of("FROM a\nQUANTIZE f16\nSYSTEM --append x\nADAPTER --scale=1 b", base="before")
    met = {"before"}
    for step in graph:
        assert met.issuperset(step.inputs)
        met.add(step.name)


STEPS = st.builds(
    Step,
    st.text(max_size=3),
    st.sampled_from(Operation),
    st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=3)), max_size=2).map(tuple),
    st.lists(st.sampled_from("xyz"), max_size=2).map(tuple),
    st.binary(max_size=3),
)
OUTPUTS = st.fixed_dictionaries({name: st.binary(max_size=1).map(Digest.of) for name in "xyz"})


@given(STEPS, OUTPUTS, STEPS, OUTPUTS)
def test_keys_are_equal_for_equal_steps_and_only_for_them(
    one: Step, given_one: dict[str, Digest], two: Step, given_two: dict[str, Digest]
) -> None:
    def made_of(step: Step, outputs: dict[str, Digest]) -> object:
        inputs = [outputs[name] for name in step.inputs]
        return step.operation, step.arguments, inputs, step.content

    same = made_of(one, given_one) == made_of(two, given_two)
    assert (key(one, given_one) == key(two, given_two)) == same


@pytest.mark.parametrize("operation", Operation)
def test_a_rule_that_changes_changes_the_keys(operation: Operation) -> None:
    words = [(each.word, each.version) for each in Operation]
    assert len({word for word, _ in words}) == len(words)
    assert operation.version >= 1
