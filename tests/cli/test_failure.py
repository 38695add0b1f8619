"""What a person is told of the world."""

import pytest

from mbuild.cli.failure import Failure, explain
from mbuild.compiler.quantization import CannotQuantize
from mbuild.runtime.engine import BadGrammar
from mbuild.runtime.schema import BadSchema

FREELY = ("--format '' asks for free text",)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            BadSchema("/properties/a", "unknown type 'x'"),
            Failure("schema, at /properties/a: unknown type 'x'", FREELY),
            id="schema",
        ),
        pytest.param(
            BadGrammar("left recursion"),
            Failure("the grammar cannot be followed: left recursion", FREELY),
            id="grammar",
        ),
        pytest.param(
            CannotQuantize("m.gguf", "unknown model architecture: 'x'"),
            Failure("cannot quantize m.gguf: unknown model architecture: 'x'"),
            id="quantize",
        ),
    ],
)
def test_what_is_said_of(error: Exception, expected: Failure) -> None:
    assert explain(error) == expected
