from datetime import date
from typing import Any

import pytest

from mbuild.compiler.template.compile import ALL_FUNCTIONS, compile_tree
from mbuild.compiler.template.failure import RenderFailed
from mbuild.compiler.template.functions import SHORT_CIRCUITS
from mbuild.compiler.template.parser import parse
from mbuild.compiler.template.reading import FUNCTIONS
from mbuild.compiler.template.running import Limits
from mbuild.compiler.template.value import ABSENT

TODAY = date(2024, 3, 1)
SMALL = Limits(output=10_000, steps=1_000, depth=50)


def rendered(text: str, data: Any = None, limits: Limits = SMALL) -> str:
    program = compile_tree(parse(text, FUNCTIONS))
    return program.render({} if data is None else data, today=TODAY, limits=limits).text


@pytest.mark.parametrize(
    ("text", "data", "expected"),
    [
        pytest.param("{{currentDate}} {{yesterdayDate}}", {}, "2024-03-01 2024-02-29", id="dates"),
        pytest.param("{{range 3}}{{.}}{{end}}", {}, "012", id="range over a number"),
        pytest.param("{{and false ($x := 1)}}{{1}}", {}, "false1", id="not reached"),
        pytest.param(
            "{{$x := 1}}{{$_ := and false ($x := 2)}}{{$x}}", {}, "1", id="declaration skipped"
        ),
        pytest.param(
            "{{$x := 1}}{{$_ := and true ($x := 2)}}{{$x}}", {}, "2", id="declaration reached"
        ),
        pytest.param(
            "{{$x := 0}}{{if false}}{{$x := 1}}{{else}}{{$x}}{{end}}",
            {},
            "0",
            id="else does not see what the first branch declared",
        ),
        pytest.param("{{range $i, $e := .l}}{{else}}{{len $e}}{{end}}", {"l": []}, "0", id="else"),
        pytest.param(
            "{{range .l}}{{if eq . 2}}{{continue}}{{end}}{{if eq . 4}}{{break}}{{end}}{{.}}{{end}}",
            {"l": [1, 2, 3, 4, 5]},
            "13",
            id="jumps",
        ),
        pytest.param("{{len (slice .l 0 1)}}", {"l": [1, 2]}, "1", id="a part of a list"),
        pytest.param("{{slice (slice .l 0 1) 0 2}}", {"l": [1, 2, 3]}, "[1 2]", id="widened again"),
        pytest.param('{{slice "é" 0 1}}', {}, "\ufffd", id="half a character"),
        pytest.param(
            '{{print (slice "é" 0 1) (slice "é" 1 2)}}', {}, "é", id="two halves are one again"
        ),
        pytest.param(r'{{"\xc3\xa9"}} {{len "\xff"}}', {}, "é 1", id="bytes in a literal"),
        pytest.param('{{printf "%x" (index "é" 1)}}', {}, "a9", id="a byte"),
        pytest.param("{{-0x1E}} {{printf `%T` -0x1E}}", {}, "-30 float64", id="a signed 0x..E"),
        pytest.param(
            "{{printf `%v` 1e20}} {{json 1e20}}", {}, "1e+20 100000000000000000000", id="floats"
        ),
    ],
)
def test_output(text: str, data: Any, expected: str) -> None:
    assert rendered(text, data) == expected


@pytest.mark.parametrize(
    ("text", "data", "message"),
    [
        pytest.param(
            "{{if .a}}{{$x := 1}}{{else}}{{$x}}{{end}}",
            {},
            'template: :1:30: executing "" at <$x>: undefined variable: $x',
            id="declared in the other branch",
        ),
        pytest.param(
            '{{define "t"}}\né{{.a.b}}{{end}}{{template "t" .}}',
            {},
            'template: :2:6: executing "t" at <.a.b>: nil pointer evaluating interface {}.b',
            id="columns are bytes, and the template is named",
        ),
        pytest.param(
            "{{range .l}}{{slice `abc` .}}{{end}}",
            {"l": [1]},
            'template: :1:14: executing "" at <slice `abc` .>: error calling slice: '
            "cannot index slice/array with type interface {}",
            id="slice does not look into interfaces",
        ),
        pytest.param(
            "{{range $i, $e := 3}}{{end}}",
            {},
            'template: :1:18: executing "" at <3>: '
            "can't use 3 to iterate over more than one variable",
            id="two variables over a number",
        ),
    ],
)
def test_failures(text: str, data: Any, message: str) -> None:
    with pytest.raises(RenderFailed) as caught:
        rendered(text, data)
    assert caught.value.message == message
    assert 0 <= caught.value.start < caught.value.end <= len(text)


_RECURSION = '{{define "a"}}{{template "a" .}}{{end}}{{template "a" .}}'
_DOUBLING = "{{$x := `aa`}}{{range 99}}{{$x = print $x $x}}{{end}}"
_EXPLOSION = (
    '{{define "a"}}{{end}}{{define "b"}}{{range 9}}{{template "a" .}}{{end}}{{end}}'
    '{{range 99}}{{template "b" .}}{{end}}'
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(_RECURSION, "exceeded maximum template depth (50)", id="recursion"),
        pytest.param("{{range 9999999999}}{{end}}", "more than 1000 steps", id="turns"),
        pytest.param(_EXPLOSION, "more than 1000 steps", id="calls"),
        pytest.param(
            "{{range 999}}0123456789abcdef{{end}}",
            "more than 10000 characters of output",
            id="output",
        ),
        pytest.param(_DOUBLING, "functions made more than 10000 characters", id="doubling"),
        pytest.param(
            '{{printf "%999999d%999999d" 1 1}}',
            "functions made more than 10000 characters",
            id="width",
        ),
        pytest.param(
            "{{range .l}}{{$.l}}{{end}}",
            "functions made more than 10000 characters",
            id="printing lists",
        ),
    ],
)
def test_a_rendering_is_bounded(text: str, reason: str) -> None:
    with pytest.raises(RenderFailed) as caught:
        rendered(text, {"l": ["0123456789"] * 100})
    assert caught.value.reason == reason


@pytest.mark.parametrize("verb", ["%999999v", "%999999d", "%.999999f", "%-999999s", "%.999999d"])
def test_a_width_does_not_multiply_a_list(verb: str) -> None:
    with pytest.raises(RenderFailed, match="more than 67108864 characters"):
        rendered(f'{{{{printf "{verb}" .l}}}}', {"l": [1.5, 1] * 99}, Limits())


def test_a_width_of_seven_digits_is_none() -> None:
    assert rendered('{{printf "%99999999d" 1}}') == "%!(NOVERB)%!(EXTRA int=1)"


def test_data_deeper_than_the_stack_is_a_failure_like_any_other() -> None:
    data: list[Any] = []
    for _ in range(5_000):
        data = [data]
    with pytest.raises(RenderFailed, match="nest too deeply"):
        rendered("{{.}}", data)


def test_a_missing_key_can_be_nothing_at_all() -> None:
    tree = parse("[{{.a.b}}]{{if .a.b}}x{{end}}", FUNCTIONS)
    program = compile_tree(tree, missing=ABSENT)
    assert program.render({}, today=TODAY).text == "[<no value>]"


def test_the_parser_knows_the_functions_that_there_are() -> None:
    assert {*ALL_FUNCTIONS, *SHORT_CIRCUITS} == FUNCTIONS
