"""JSON schemas as grammars, judged by llama.cpp."""

import json
from collections.abc import Iterator
from decimal import Decimal
from importlib.util import find_spec
from typing import Any

import pytest
from gbnf import Judge
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mbuild.runtime.grammar import grammar, of_schema, of_text
from mbuild.runtime.grammar_numbers import Bounds, NoNumber, integers, numbers
from mbuild.runtime.schema import DEEPEST, LARGEST, BadSchema

pytestmark = pytest.mark.skipif(
    find_spec("llama_cpp") is None, reason="pip install 'mbuild-modelfile[run]'"
)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    found = Judge(tmp_path_factory.mktemp("judge"))
    yield found
    found.close()


def obj(required: list[str] | None = None, /, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or []}


INT, TEXT = {"type": "integer"}, {"type": "string"}
PERSON = obj(["name"], name=TEXT, age=INT, mail=TEXT)
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": obj(["v"], v=INT, next={"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]})
    },
}


@pytest.mark.parametrize(
    ("schema", "fitting", "unfitting"),
    [
        pytest.param(
            PERSON,
            ['{"name":"Bo"}', '{"name": "Bo", "age": 3}', '{"name":"","mail":""}']
            + ['{\n  "name": "Bo",\n  "age": -3,\n  "mail": "é😀\\n\\u00e9"\n}'],
            ["{}", '{"age":3}', '{"age":3,"name":"Bo"}', '{"name":"Bo","x":1}', '{"name":"Bo",}']
            + ['{"name":"Bo" "age":3}', '{"name":3}', '{"name":"a\nb"}', "[]", '{"name":"Bo"} '],
            id="required and optional, in order",
        ),
        pytest.param(
            obj(a=INT, b=INT, c=INT),
            ["{}", '{"a":1}', '{"b":1}', '{"c":1}', '{"a":1,"c":1}', '{"a":1,"b":1,"c":1}'],
            ['{"b":1,"a":1}', "{,}", '{,"a":1}'],
            id="all optional",
        ),
        pytest.param(
            obj(["b", "d"], a=INT, b=INT, c=INT, d=INT),
            ['{"b":1,"d":1}', '{"a":1,"b":1,"d":1}', '{"b":1,"c":1,"d":1}'],
            ['{"b":1}', '{"a":1,"d":1}', "{}"],
            id="optional between required",
        ),
        pytest.param(
            {"type": "string", "enum": ["red", 'a"b', "a\\b", "é", "😀", "a\nb", "[x]-^"]},
            [json.dumps(each, ensure_ascii=False) for each in ("red", 'a"b', "a\\b", "é", "😀")]
            + ['"a\\nb"', '"[x]-^"'],
            ['"green"', "red", '""', '"a"b"'],
            id="enum",
        ),
        pytest.param(
            {"enum": [1, None, "a", True]}, ["1", "null", '"a"', "true"], ["2"], id="mixed"
        ),
        pytest.param(
            {"type": ["integer", "string"], "enum": [1, None, "a", 1.5, True, [], {}]},
            ["1", '"a"'],
            ["null", "1.5", "true", "[]", "{}"],
            id="enum and type",
        ),
        pytest.param({"const": {"a": [1]}}, ['{"a": [1]}'], ["{}", '{"a": [2]}'], id="const"),
        pytest.param({"const": 3, "type": "integer"}, ["3"], ["4", "33"], id="a constant number"),
        pytest.param(
            {"type": "array", "items": INT}, ["[]", "[1]", "[1, 2,3]"], ["[a]", "[1,]"], id="array"
        ),
        pytest.param(
            {"type": "array", "items": INT, "minItems": 2, "maxItems": 3},
            ["[1,2]", "[1,2,3]"],
            ["[]", "[1]", "[1,2,3,4]"],
            id="2 to 3 items",
        ),
        pytest.param(
            {"type": "array", "items": INT, "minItems": 1}, ["[1]"], ["[]"], id="not empty"
        ),
        pytest.param({"type": "array", "items": INT, "maxItems": 0}, ["[]"], ["[1]"], id="no item"),
        pytest.param(
            {"type": "array", "items": INT, "maxItems": 1}, ["[]", "[1]"], ["[1,2]"], id="one item"
        ),
        pytest.param({"type": "array"}, ["[]", '[1, {"a": null}]'], ["{}"], id="any items"),
        pytest.param(
            {"type": "array", "prefixItems": [INT, TEXT]},
            ['[1,"a"]'],
            ["[1]", '["a",1]', '[1,"a",2]'],
            id="tuple",
        ),
        pytest.param(
            {"prefixItems": [INT], "items": TEXT, "minItems": 2},
            ['[1,"a"]', '[1,"a","b"]'],
            ["[1]", "[1,2]"],
            id="tuple and more",
        ),
        pytest.param({"items": [INT, INT]}, ["[1,2]"], ["[1]"], id="tuple of older drafts"),
        pytest.param(
            obj(["a"], a=obj(["b"], b={"type": "array", "items": obj(["c"], c=INT)})),
            ['{"a":{"b":[]}}', '{"a": {"b": [{"c": 1}, {"c": 2}]}}'],
            ['{"a":{}}', '{"a":{"b":[{}]}}'],
            id="nested",
        ),
        pytest.param({"anyOf": [INT, TEXT]}, ["1", '"a"'], ["null", "1.5"], id="anyOf"),
        pytest.param({"oneOf": [INT, {"type": "null"}]}, ["1", "null"], ['"a"'], id="oneOf"),
        pytest.param({"type": ["integer", "null"], "minimum": 5}, ["5", "null"], ["4"], id="types"),
        pytest.param(
            {"type": "object", "properties": {"k": TEXT}, "anyOf": [{"required": ["k"]}]},
            ['{"k":"a"}'],
            ["{}"],
            id="anyOf beside properties",
        ),
        pytest.param(
            TREE,
            ['{"v":1}', '{"v":1,"next":null}', '{"v":1,"next":{"v":2,"next":{"v":3}}}'],
            ['{"next":null}', '{"v":1,"next":{}}'],
            id="$ref to itself",
        ),
        pytest.param(
            {"type": "array", "items": {"$ref": "#"}},
            ["[]", "[[],[[]]]"],
            ["[1]"],
            id="$ref to all",
        ),
        pytest.param(
            {
                "definitions": {"a/b": INT, "c": {"$ref": "#/definitions/a~1b"}},
                "properties": {"x": {"$ref": "#/definitions/c", "description": "hm"}},
                "required": ["x"],
            },
            ['{"x":1}'],
            ['{"x":"a"}'],
            id="$ref through another, with an escape and a sibling",
        ),
        pytest.param(
            {"properties": {"string": INT, "number": TEXT, "root": {"$ref": "#/$defs/string"}}}
            | {"$defs": {"string": {"const": 1}}, "required": ["string", "number", "root"]},
            ['{"string":1,"number":"a","root":1}'],
            ['{"string":"a","number":1,"root":1}'],
            id="names that rules have",
        ),
        pytest.param(
            {
                "allOf": [
                    obj(["a"], a=INT),
                    obj(["b"], b=TEXT),
                    {"properties": {"a": {"minimum": 3}}},
                ]
            },
            ['{"a":3,"b":""}'],
            ['{"a":3}', '{"a":2,"b":""}'],
            id="allOf",
        ),
        pytest.param(
            obj(["a"], a=INT) | {"additionalProperties": TEXT},
            ['{"a":1}', '{"a":1,"x":"y"}', '{"a":1,"ab":"y","":"z","b":"é"}'],
            ['{"a":1,"x":1}', '{"a":1,"a":"y"}', '{"x":"y"}', '{"a":1,"\\u0061":"y"}'],
            id="other properties",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": INT},
            ["{}", '{"x":1,"y":2}'],
            ['{"x":"a"}'],
            id="a map",
        ),
        pytest.param(
            {"type": "object", "patternProperties": {"^x": INT}, "additionalProperties": False},
            ["{}", '{"x":1,"xy":2}'],
            ['{"y":1}', '{"x":"a"}'],
            id="names by a pattern",
        ),
        pytest.param(obj() | {"additionalProperties": False}, ["{}"], ['{"a":1}'], id="empty"),
        pytest.param(
            {"type": "object", "required": ["a"]},
            ['{"a":1}', '{"a":1,"b":[]}'],
            ["{}"],
            id="unnamed",
        ),
        pytest.param(
            {}, ["1", "null", '{"a":[true]}', '"x"', "-0.5e3"], ["", "nul", "01"], id="any"
        ),
        pytest.param(True, ["1"], ["x"], id="true"),
        pytest.param({"type": "boolean"}, ["true", "false"], ["True", "1", "null"], id="boolean"),
        pytest.param(
            {"type": "number"},
            ["0", "-1", "1.5", "1e5", "2.5E-3"],
            [".5", "1.", "01", "+1"],
            id="number",
        ),
        pytest.param(INT, ["0", "-12", "1000000"], ["1.0", "-", "00", "1e3"], id="integer"),
        pytest.param(
            {"type": "integer", "minimum": 3, "maximum": 120},
            ["3", "9", "10", "99", "100", "120"],
            ["2", "121", "0", "-3", "03", "1200"],
            id="integer bounds",
        ),
        pytest.param(
            {"type": "integer", "exclusiveMinimum": -3, "exclusiveMaximum": 2},
            ["-2", "-1", "0", "1"],
            ["-3", "2", "-0", "10"],
            id="exclusive bounds",
        ),
        pytest.param(
            {"type": "number", "minimum": 0, "maximum": 1},
            ["0", "1", "0.5", "1.0", "0.0"],
            ["1.01", "-0.5", "2", "1e3"],
            id="a share",
        ),
        pytest.param(
            {"type": "number", "minimum": 0, "exclusiveMinimum": True},
            ["1", "0.001", "123.5"],
            ["0", "0.0", "-1"],
            id="exclusive as in draft 4",
        ),
        pytest.param(
            {"type": "string", "minLength": 2, "maxLength": 3},
            ['"ab"', '"é😀"', '"\\n\\n\\n"'],
            ['""', '"a"', '"abcd"'],
            id="length",
        ),
        pytest.param(
            {"type": "string", "minLength": 1500, "maxLength": 4321},
            ['"' + "a" * 1500 + '"', '"' + "a" * 4321 + '"', '"' + "a" * 3000 + '"'],
            ['"' + "a" * 1499 + '"', '"' + "a" * 4322 + '"'],
            id="more repetitions than llama.cpp takes",
        ),
        pytest.param(
            {"type": "string", "pattern": r"^\d{3}-[A-Z_]+(?:x|\.y)?$"},
            ['"123-A"', '"123-A_Bx"', '"123-A.y"'],
            ['"12-A"', '"123-a"', '"123-Axy"', '"123-A"x'],
            id="pattern",
        ),
        pytest.param(
            {"pattern": "b+"}, ['"b"', '"abbc"', '"\\n\\"b"'], ['"a"', '""', "b"], id="anywhere"
        ),
        pytest.param(
            {"pattern": "^a|b$"}, ['"ax"', '"xb"', '"a"'], ['"xa"', '"bx"'], id="an anchor each"
        ),
        pytest.param(
            {"pattern": r'^[^a-z"]["\\\]\n][\s]\u00e9.$'},
            ['"A\\"  é😀"'.replace("  ", " "), '"A\\\\\\té\\""'],
            ['"a\\" éx"', '"A" éx"', '"A\\" é\n"'],
            id="what JSON escapes",
        ),
        pytest.param(
            {"pattern": "^a{2}b{1,}c{0,1}{$"}, ['"aabc{"', '"aabb{"'], ['"ab{"'], id="braces"
        ),
        pytest.param({"format": "date"}, ['"2024-02-29"'], ['"2024-13-01"', '"x"'], id="date"),
        pytest.param(
            {"format": "date-time"}, ['"2024-02-29T10:00:00Z"'], ['"2024-02-29"'], id="date-time"
        ),
        pytest.param(
            {"type": "string", "format": "uuid"},
            ['"12345678-1234-abcd-ABCD-123456789012"'],
            ['"123"'],
            id="uuid",
        ),
        pytest.param({"format": "ipv4"}, ['"10.0.255.1"'], ['"10.0.256.1"', '"1.2.3"'], id="ipv4"),
        pytest.param(
            {"title": "T", "description": "d", "$schema": "s", "default": 1, "type": "null"},
            ["null"],
            ["1"],
            id="what asks for nothing",
        ),
    ],
)
def test_what_fits_a_schema(
    judge: Judge, schema: Any, fitting: list[str], unfitting: list[str]
) -> None:
    text = of_schema(schema).text
    found = judge.fits(text, *fitting, *unfitting)
    assert found is not None, text
    wrong = [each for each, fits in zip(fitting, found, strict=False) if not fits]
    wrong += [each for each, fits in zip(unfitting, found[len(fitting) :], strict=True) if fits]
    assert not wrong, text


def test_json_is_any_object(judge: Judge) -> None:
    texts = ('{"a": [1, {"b": null}]}', "{}", "[]", "1", "")
    assert judge.fits(grammar("json"), *texts) == [True, True, False, False, False]


def test_no_format_is_no_grammar() -> None:
    assert grammar("") == ""


def test_equal_schemas_give_equal_grammars() -> None:
    assert of_schema(PERSON) == of_text(json.dumps(PERSON))


BOUND = st.decimals(-2000, 2000, places=2) | st.integers(-300, 300).map(Decimal)


@settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.none() | BOUND, st.none() | BOUND, st.booleans(), st.booleans(), st.data())
def test_a_number_fits_if_it_lies_within_the_bounds(
    judge: Judge,
    low: Decimal | None,
    high: Decimal | None,
    over: bool,
    under: bool,
    data: st.DataObject,
) -> None:
    bounds = Bounds(low, high, over and low is not None, under and high is not None)
    near = [bound + step for bound in (low, high) if bound is not None for step in _STEPS]
    tried = [Decimal(each) for each in data.draw(st.lists(BOUND, max_size=8))] + near
    for make, whole in ((integers, True), (numbers, False)):
        values = [each for each in tried if not whole or each == each // 1]
        texts = [f"{each.to_integral_value() if whole else each:f}" for each in values]
        texts = ["0" if not each.strip("-0.") else each for each in texts]
        expected = [_within(each, bounds) for each in values]
        try:
            expression = make(bounds)
        except NoNumber:
            assert not any(expected)
            continue
        assert judge.fits(f"root ::= {expression}\n", *texts) == expected, (bounds, texts, make)


_STEPS = [Decimal(text) for text in ("0", "0.01", "-0.01", "1", "-1", "0.005", "-0.005", "10")]


def _within(value: Decimal, bounds: Bounds) -> bool:
    if bounds.low is not None and (value < bounds.low or (bounds.over and value == bounds.low)):
        return False
    return not (
        bounds.high is not None and (value > bounds.high or (bounds.under and value == bounds.high))
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=100, suppress_health_check=list(HealthCheck), deadline=None)
@given(JSON, JSON)
def test_a_value_fits_its_constant_and_nothing_else_does(
    judge: Judge, value: Any, other: Any
) -> None:
    texts = [json.dumps(each, ensure_ascii=False) for each in (value, other)]
    found = judge.fits(of_schema({"const": value}).text, *texts)
    assert found == [True, texts[0] == texts[1]]


@settings(max_examples=100, suppress_health_check=list(HealthCheck), deadline=None)
@given(JSON)
def test_any_json_fits_a_schema_that_asks_for_nothing(judge: Judge, value: Any) -> None:
    assert judge.fits(of_schema({}).text, json.dumps(value), json.dumps(value, indent=2)) == [
        True,
        True,
    ]


@settings(max_examples=200, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    st.text(alphabet='ab^$.|()[]{}*+?\\-,1d"é', max_size=8), st.text(alphabet='ab"é\n', max_size=4)
)
def test_a_pattern_means_what_it_means_elsewhere(judge: Judge, pattern: str, text: str) -> None:
    import re

    try:
        text_of = of_schema({"type": "string", "pattern": pattern}).text
    except BadSchema:
        assume(False)
    try:
        expected = re.search(pattern.replace("$", r"\Z"), text) is not None
    except re.error:
        return  # Python is stricter in places; that llama.cpp takes it is what matters then.
    found = judge.fits(text_of, json.dumps(text, ensure_ascii=False))
    assert found == [expected], text_of


def deep(count: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(count):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        pytest.param([], "schema: it is no JSON object", id="a list"),
        pytest.param("x", "schema: it is no JSON object", id="a text"),
        pytest.param({1: 2}, "schema: it has a name that is no text", id="a number as name"),
        pytest.param(False, "schema: nothing fits false", id="false"),
        pytest.param({"type": "float"}, "schema: unknown type 'float'", id="type"),
        pytest.param(obj(a={"type": "strin"}), "at /properties/a: unknown type", id="a place"),
        pytest.param(obj(a=3), "at /properties/a: it is no schema", id="no schema"),
        pytest.param({"properties": []}, "properties is no object", id="properties"),
        pytest.param({"required": "a"}, "required is no list", id="required"),
        pytest.param({"minLength": "3"}, "minLength is no whole number", id="count"),
        pytest.param({"minItems": -1}, "minItems is below 0", id="below 0"),
        pytest.param({"maximum": "3"}, "maximum is no number", id="bound"),
        pytest.param({"maximum": float("nan")}, "maximum is no number", id="NaN"),
        pytest.param({"minimum": 10**5000}, "minimum is too large", id="a large bound"),
        pytest.param(
            {"type": "integer", "minimum": 10**50}, "no number fits", id="too many digits"
        ),
        pytest.param({"minimum": 3, "maximum": 2}, "no number fits the bounds", id="no number"),
        pytest.param(
            {"type": "integer", "minimum": 0.2, "maximum": 0.8}, "no number fits", id="no integer"
        ),
        pytest.param({"minLength": 3, "maxLength": 2}, "no text has 3 to 2", id="no text"),
        pytest.param({"minLength": 10**9}, "no text has 1000000000", id="a long text"),
        pytest.param({"minItems": 3, "maxItems": 2}, "no array has 3 to 2 items", id="no array"),
        pytest.param(
            {"items": False, "minItems": 1}, "there are no 1 items that fit", id="no item"
        ),
        pytest.param({"$ref": "#"}, "it refers to itself", id="a circle of one"),
        pytest.param(
            {
                "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
                "$ref": "#/$defs/a",
            },
            "it refers to itself",
            id="a circle of two",
        ),
        pytest.param(
            {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"},
            "without end",
            id="allOf in a circle",
        ),
        pytest.param(
            {"$ref": "#/$defs/no"}, "at /$defs/no: something refers to it", id="no target"
        ),
        pytest.param({"$ref": "https://x/y"}, "leads out of the schema", id="another file"),
        pytest.param({"pattern": "(?=a)"}, "pattern: (?=a looks around", id="lookahead"),
        pytest.param({"pattern": r"(a)\1"}, r"pattern: \1 cannot be said", id="back reference"),
        pytest.param({"pattern": "^(a|b$)c"}, "$ where the text may go on", id="an inner end"),
        pytest.param({"pattern": "a^b"}, "^ where the text has begun", id="an inner start"),
        pytest.param({"pattern": "a(b"}, "a group without end", id="group"),
        pytest.param({"pattern": "a)"}, "unbalanced )", id="parenthesis"),
        pytest.param({"pattern": "[b-a]"}, "ends before it begins", id="range"),
        pytest.param({"pattern": "*"}, "nothing to repeat", id="nothing to repeat"),
        pytest.param({"pattern": "(" * 99 + ")" * 99}, "nested too deep", id="deep groups"),
        pytest.param({"pattern": 3}, "a pattern that is no text", id="no pattern"),
        pytest.param(
            obj(["a"], b=INT) | {"additionalProperties": False}, "a is required, and", id="required"
        ),
        pytest.param({"anyOf": [False]}, "nothing fits anyOf", id="no branch"),
        pytest.param({"enum": []}, "none of its values fits", id="no value"),
        pytest.param({"const": 1, "type": "string"}, "none of its values fits", id="another type"),
        pytest.param({"allOf": [INT, TEXT]}, "no type is left", id="two types"),
        pytest.param(
            {"allOf": [{"pattern": "a"}, {"pattern": "b"}]},
            "two different pattern",
            id="two patterns",
        ),
        pytest.param(deep(DEEPEST + 1), "nested more than 100 deep", id="deep"),
        pytest.param({"const": "x" * LARGEST}, "larger than 1 MiB", id="large"),
        pytest.param(
            {"$defs": {str(n): {"const": str(n)} for n in range(30_000)}}
            | {"anyOf": [{"$ref": f"#/$defs/{n}"} for n in range(30_000)]},
            "larger than 1 MiB",
            id="many",
        ),
        pytest.param(
            {"anyOf": [{"const": n} for n in range(25_000)]},
            "a grammar that is too large",
            id="rules",
        ),
    ],
)
def test_a_schema_that_makes_no_sense_is_refused_with_its_place(schema: Any, reason: str) -> None:
    with pytest.raises(BadSchema) as caught:
        of_schema(schema)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("{", "it is no JSON: ", id="no JSON"),
        pytest.param("[" * 100_000, "nested more than 100 deep", id="deep"),
        pytest.param(" " * (LARGEST + 1), "larger than 1 MiB", id="large"),
    ],
)
def test_a_text_that_holds_no_schema_is_refused(text: str, reason: str) -> None:
    with pytest.raises(BadSchema, match=reason):
        of_text(text)


def test_what_a_grammar_cannot_say_is_told() -> None:
    schema = obj(
        a={"type": "array", "uniqueItems": True},
        b={"type": "string", "format": "email", "maxLength": 9},
        c={"type": "string", "pattern": "a", "maxLength": 9},
        d={"type": "integer", "multipleOf": 5},
    )
    assert of_schema(schema).unenforced == (
        "/properties/a: uniqueItems",
        "/properties/b: format email",
        "/properties/c: minLength and maxLength beside a pattern or format",
        "/properties/d: multipleOf",
    )


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(deep(DEEPEST - 1), id="as deep as may be"),
        pytest.param(obj(**{f"p{n}": INT for n in range(2500)}), id="many optional properties"),
        pytest.param({"enum": [f"{n}" for n in range(5000)]}, id="many values"),
        pytest.param({"type": "string", "maxLength": 100_000}, id="a long text"),
        pytest.param(
            {
                "$defs": {f"d{n}": {"items": {"$ref": f"#/$defs/d{n + 1}"}} for n in range(5000)}
                | {"d5000": INT},
                "$ref": "#/$defs/d0",
            },
            id="a chain of references",
        ),
        pytest.param(
            {
                "$defs": {
                    f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, INT]} for n in range(4000)
                }
                | {"d4000": INT},
                "$ref": "#/$defs/d0",
            },
            id="a chain of alternatives",
        ),
    ],
)
def test_large_schemas_do_not_crash_llama_cpp(judge: Judge, schema: Any) -> None:
    assert judge.fits(of_schema(schema).text, "~") == [False]


def test_a_schema_whose_alternatives_are_themselves_is_refused_by_llama_cpp(judge: Judge) -> None:
    text = of_schema({"anyOf": [{"$ref": "#"}, INT]}).text
    assert judge.fits(text, "1") is None
