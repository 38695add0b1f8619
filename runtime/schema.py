"""A JSON schema, read with distrust: how large it is, what it refers to, what it says at a place.

A schema comes from a model's author or from a request. Places in it are JSON pointers.

Source: JSON Schema 2020-12, RFC 6901.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

DEEPEST = 100  # JSON values inside each other
LARGEST = 1 << 20  # characters
_KINDS = ("object", "array", "string", "number", "integer", "boolean", "null")
# By what a schema without a type says of which kind of value it speaks.
_SPEAKS_OF = {
    "object": {"properties", "required", "additionalProperties", "patternProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "contains", "uniqueItems"},
    "string": {"pattern", "minLength", "maxLength", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}
UNSAYABLE = frozenset(
    {"not", "if", "multipleOf", "uniqueItems", "contains", "propertyNames", "minProperties"}
    | {"maxProperties", "dependentRequired", "dependentSchemas", "dependencies"}
    | {"unevaluatedProperties", "unevaluatedItems"}
)
"""What narrows a schema down and cannot be said in a grammar."""
_ASSERTIONS = frozenset().union(*_SPEAKS_OF.values(), UNSAYABLE) | {
    "type",
    "const",
    "enum",
    "anyOf",
    "oneOf",
    "allOf",
    "$ref",
}
_LARGER = {"minimum", "minLength", "minItems"}  # Of two, the larger counts.
_SMALLER = {"maximum", "maxLength", "maxItems"}


class BadSchema(ValueError):
    """A schema that answers cannot be made to fit; *place* is a JSON pointer into it."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"schema, at {place}: {reason}" if place else f"schema: {reason}")
        self.place = place
        self.reason = reason


class Schema:
    """A whole schema, not too deep and not too large.

    Raises:
        BadSchema: it is, or it is no schema.
    """

    def __init__(self, root: object) -> None:
        if not isinstance(root, Mapping | bool):
            raise BadSchema("", "it is no JSON object")
        _measure(root)
        self.root = root

    def at(self, place: str) -> object:
        """What stands at *place*."""
        found: object = self.root
        for step in place.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and name in found:
                found = found[name]
            elif isinstance(found, list | tuple) and name.isdigit() and int(name) < len(found):
                found = found[int(name)]
            else:
                raise BadSchema(place, "something refers to it, and it is not there")
        return found

    def target(self, schema: Mapping[str, Any], at: str) -> str:
        """The place that the ``$ref`` of *schema* names; what is there does not only refer on."""
        seen = [at]
        while True:
            place = _place(schema["$ref"], seen[-1])
            if place in seen:
                raise BadSchema(at, "it refers to itself")
            seen.append(place)
            found = self.at(place)
            if not isinstance(found, Mapping) or set(found) != {"$ref"}:
                return place
            schema = found

    def flat(self, schema: object, at: str, depth: int = 0) -> dict[str, Any]:
        """What *schema* says, with ``allOf`` and ``$ref`` put in place."""
        if depth > DEEPEST:
            raise BadSchema(at, "allOf or $ref without end")
        if schema is False:
            raise BadSchema(at, "nothing fits false")
        if schema is True:
            return {}
        if not isinstance(schema, Mapping):
            raise BadSchema(at, "it is no schema")
        own = {name: value for name, value in schema.items() if name not in ("allOf", "$ref")}
        parts: list[tuple[object, str]] = []
        if "$ref" in schema:
            place = self.target(schema, at)
            parts.append((self.at(place), place))
        parts += [
            (each, f"{at}/allOf/{index}") for index, each in enumerate(entries(schema, "allOf", at))
        ]
        for part, place in parts:
            own = _merged(own, self.flat(part, place, depth + 1), at)
        return own


def decode(text: str) -> object:
    """The schema that *text* holds.

    Raises:
        BadSchema: it is no JSON, or too large.
    """
    if len(text) > LARGEST:
        raise BadSchema("", f"it is larger than {LARGEST >> 20} MiB")
    try:
        return json.loads(text)
    except RecursionError:
        raise BadSchema("", _TOO_DEEP) from None
    except ValueError as error:
        raise BadSchema("", f"it is no JSON: {error}") from None


def kinds(schema: Mapping[str, Any], at: str) -> tuple[str, ...]:
    """The types that a value may have, of which there is at least one."""
    said = schema.get("type")
    if said is None:
        spoken = (kind for kind, words in _SPEAKS_OF.items() if words & set(schema))
        return tuple(spoken) or tuple(kind for kind in _KINDS if kind != "integer")
    found = tuple(said) if isinstance(said, list | tuple) else (said,)
    if not found:
        raise BadSchema(at, "no type is left")
    for kind in found:
        if kind not in _KINDS:
            raise BadSchema(at, f"unknown type {kind!r}")
    return found


def asserts(schema: Mapping[str, Any]) -> bool:
    """Whether *schema* narrows anything down."""
    return not _ASSERTIONS.isdisjoint(schema)


def entries(schema: Mapping[str, Any], keyword: str, at: str) -> list[Any]:
    """The list at *keyword*; empty where it is not."""
    value = schema.get(keyword, [])
    if not isinstance(value, list | tuple):
        raise BadSchema(at, f"{keyword} is no list")
    return list(value)


def members(schema: Mapping[str, Any], keyword: str, at: str) -> Mapping[str, Any]:
    """The object at *keyword*; empty where it is not."""
    value = schema.get(keyword, {})
    if not isinstance(value, Mapping):
        raise BadSchema(at, f"{keyword} is no object")
    return value


def count(schema: Mapping[str, Any], keyword: str, at: str) -> int | None:
    """The whole number, not below 0, at *keyword*."""
    value = schema.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise BadSchema(at, f"{keyword} is no whole number")
    if value < 0:
        raise BadSchema(at, f"{keyword} is below 0")
    return int(value)


_TOO_DEEP = f"it is nested more than {DEEPEST} deep"


def _measure(root: object) -> None:
    size = 0
    level: list[object] = [root]
    for _ in range(DEEPEST + 1):
        below: list[object] = []
        for value in level:
            if isinstance(value, Mapping):
                if not all(isinstance(name, str) for name in value):
                    raise BadSchema("", "it has a name that is no text")
                size += sum(len(name) + 4 for name in value)
                below += value.values()
            elif isinstance(value, list | tuple):
                below += value
            size += len(value) + 2 if isinstance(value, str) else 2
            if size > LARGEST:
                raise BadSchema("", f"it is larger than {LARGEST >> 20} MiB")
        level = below
        if not level:
            return
    raise BadSchema("", _TOO_DEEP)


def _place(reference: object, at: str) -> str:
    if reference == "#":
        return ""
    if not isinstance(reference, str) or not reference.startswith("#/"):
        raise BadSchema(at, f"$ref {reference} leads out of the schema: only #/… is followed")
    return unquote(reference[1:])


def _merged(one: Mapping[str, Any], other: Mapping[str, Any], at: str) -> dict[str, Any]:
    """A schema that asks for what both do."""
    merged = dict(one)
    for keyword, value in other.items():
        known = keyword in merged and merged[keyword] != value
        merged[keyword] = _both(keyword, merged[keyword], value, at) if known else value
    return merged


def _both(keyword: str, one: Any, other: Any, at: str) -> Any:
    if keyword not in _ASSERTIONS:
        return one  # Such as two descriptions.
    try:
        return _combined(keyword, one, other)
    except (TypeError, NotImplementedError):
        raise BadSchema(at, f"allOf with two different {keyword}") from None


def _combined(keyword: str, one: Any, other: Any) -> Any:
    if keyword == "properties":
        shared = {name: {"allOf": [one[name], other[name]]} for name in one if name in other}
        same = {name: one[name] for name in shared if one[name] == other[name]}
        return {**one, **other, **shared, **same}
    if keyword == "required":
        return [*one, *other]
    if keyword == "type":
        return _types_of_both(one, other)
    if keyword == "enum":
        return [value for value in one if value in other]
    if keyword in _LARGER:
        return max(one, other)
    if keyword in _SMALLER:
        return min(one, other)
    if keyword in ("items", "additionalProperties"):
        return False if one is False or other is False else {"allOf": [one, other]}
    raise NotImplementedError(keyword)


def _types_of_both(one: object, other: object) -> list[str]:
    ones, others = (set(_listed(each)) for each in (one, other))
    for some, more in ((ones, others), (others, ones)):
        if "number" in some and "integer" in more:
            some.add("integer")
    both = ones & others
    return sorted(both - {"integer"} if {"number", "integer"} <= both else both)


def _listed(value: object) -> Iterable[str]:
    return value if isinstance(value, list | tuple) else [str(value)]
