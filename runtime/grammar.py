"""A JSON schema as a grammar: what may be said, so that the answer fits the schema.

Objects keep the order of their schema, and have no other members than it names unless it says
so. What a grammar cannot say, such as ``uniqueItems``, is left out and told (`Grammar.unenforced`);
what makes no sense is refused with its place. Nothing of a schema reaches llama.cpp unescaped,
and a schema that is too deep or too large does not reach it at all.

Sources: JSON Schema 2020-12, and of older drafts what is still written (``definitions``, tuples
in ``items``, a boolean ``exclusiveMinimum``); the reference's rules for ``format`` in a request.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from mbuild.runtime.grammar_numbers import Bounds, NoNumber, integers, numbers
from mbuild.runtime.grammar_patterns import PLAIN, BadPattern, pattern
from mbuild.runtime.grammar_rules import MOST, Rules, TooLarge, literal, none_of
from mbuild.runtime.schema import (
    DEEPEST,
    UNSAYABLE,
    BadSchema,
    Schema,
    asserts,
    count,
    decode,
    entries,
    kinds,
    members,
)

Format = Mapping[str, Any] | Literal["json", ""]
"""How an answer looks: a schema, any JSON object, or as it likes."""

_WS = '"" | " " | "\\n" [ \\t]{0,20}'
_HEX = "[0-9a-fA-F]"
# What is no character alone comes in pairs.
_CHARACTER = (
    f'{PLAIN} | "\\\\" (["\\\\/bfnrt] | "u" ([0-9a-ce-fA-CE-F] {_HEX}{{3}} | [dD] [0-7] {_HEX}{{2}}'
    f' | [dD] [89abAB] {_HEX}{{2}} "\\\\u" [dD] [c-fC-F] {_HEX}{{2}}))'
)
_DATE = '[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] [0-9] | "3" [01])'
_HOUR = '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]'
_TIME = f'{_HOUR} ":" [0-5] [0-9] ("." [0-9]{{1,6}})? ("Z" | [+-] {_HOUR})'
_BYTE = '("25" [0-5] | "2" [0-4] [0-9] | "1" [0-9]{2} | [1-9] [0-9] | [0-9])'
_FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f'{_DATE} "T" {_TIME}',
    "uuid": ' "-" '.join(f"{_HEX}{{{count}}}" for count in (8, 4, 4, 4, 12)),
    "ipv4": f'({_BYTE} "."){{3}} {_BYTE}',
}
_LONGEST_KEY = 100  # characters of a key by which others are told from it


@dataclass(frozen=True, slots=True)
class Grammar:
    """What may be said, in llama.cpp's language, from the rule "root"."""

    text: str
    unenforced: tuple[str, ...] = ()  # "place: keyword", of what a grammar cannot say


def grammar(wanted: Format) -> str:
    """The grammar of answers of a format; empty: they are free.

    Raises:
        BadSchema: it is a schema that no grammar can be made of.
    """
    if wanted == "":
        return ""
    return of_schema({"type": "object"} if wanted == "json" else wanted).text


def of_text(text: str) -> Grammar:
    """The grammar of the JSON schema in *text*. Raises as `of_schema`."""
    return of_schema(decode(text))


def of_schema(schema: object) -> Grammar:
    """The grammar of what fits *schema*.

    Raises:
        BadSchema: it is no schema, or nothing fits it, or it is too deep or too large, or it
            says what cannot be left out and what a grammar cannot say.
    """
    converter = _Converter(schema)
    try:
        text = converter.whole()
    except TooLarge as error:
        raise BadSchema("", str(error)) from None
    return Grammar(text, tuple(dict.fromkeys(converter.unenforced)))


class _Converter:
    """One schema, on its way to a grammar; *at* is a place in it: a JSON pointer."""

    def __init__(self, root: object) -> None:
        self._schema = Schema(root)
        self._rules = Rules()
        self._ws = self._rules.add("ws", _WS)
        self._character = self._rules.add("char", _CHARACTER)
        self._string = self._rules.add("string", f'"\\"" {self._character}* "\\""')
        self._references: dict[str, str] = {}
        self._pending: list[tuple[str, str]] = []
        self._any: str | None = None
        self._depth = 0
        self.unenforced: list[str] = []

    def whole(self) -> str:
        root = self._value(self._schema.root, "")
        # One after another, however deep they refer to each other.
        while self._pending:
            place, name = self._pending.pop()
            self._rules.define(name, self._value(self._schema.at(place), place))
        return self._rules.text(root)

    def _value(self, schema: object, at: str) -> str:
        """The expression for a value that fits *schema*."""
        self._depth += 1
        # More than a schema is deep: it may refer to itself in ways that multiply.
        if self._depth > DEEPEST + 10:
            raise BadSchema(at, "schemas in each other without end")
        found = self._fitting(schema, at)
        self._depth -= 1
        return found

    def _fitting(self, schema: object, at: str) -> str:
        if isinstance(schema, Mapping) and set(schema) == {"$ref"}:
            return self._referred(schema, at)
        if schema is True or schema == {}:
            return self._anything()
        found = self._schema.flat(schema, at)
        self._note(found, at)
        for keyword in ("anyOf", "oneOf"):
            if keyword in found:
                return self._union(found, keyword, at)
        if "const" in found or "enum" in found:
            values = [found["const"]] if "const" in found else entries(found, "enum", at)
            return self._one_of(values, found, at)
        types = kinds(found, at)
        return self._rules.union("value", [self._of_type(each, found, at) for each in types])

    def _referred(self, schema: Mapping[str, Any], at: str) -> str:
        place = self._schema.target(schema, at)
        if place not in self._references:
            self._references[place] = name = self._rules.reserve(place.rpartition("/")[2])
            self._pending.append((place, name))
        return self._references[place]

    def _note(self, found: Mapping[str, Any], at: str) -> None:
        self.unenforced += [f"{at or '/'}: {each}" for each in found if each in UNSAYABLE]

    def _union(self, found: Mapping[str, Any], keyword: str, at: str) -> str:
        rest = {name: value for name, value in found.items() if name != keyword}
        branches = []
        for index, branch in enumerate(entries(found, keyword, at)):
            place = f"{at}/{keyword}/{index}"
            if branch is False:
                continue
            whole = {"allOf": [rest, branch]} if asserts(rest) else branch
            branches.append(self._value(whole, place))
        if not branches:
            raise BadSchema(at, f"nothing fits {keyword}")
        return self._rules.union("any", branches)

    def _of_type(self, kind: str, found: Mapping[str, Any], at: str) -> str:
        make: Mapping[str, Callable[[Mapping[str, Any], str], str]] = {
            "object": self._object,
            "array": self._array,
            "string": self._text,
            "number": self._number,
            "integer": self._integer,
        }
        if kind in make:
            return self._rules.add(kind, make[kind](found, at))
        return {"null": '"null"', "boolean": self._rules.add("boolean", '"true" | "false"')}[kind]

    def _one_of(self, values: Iterable[object], found: Mapping[str, Any], at: str) -> str:
        types = kinds(found, at) if "type" in found else None
        fitting = [value for value in values if types is None or _is_of(value, types)]
        if not fitting:
            raise BadSchema(at, "none of its values fits")
        return self._rules.union("enum", [self._constant(value, at) for value in fitting])

    def _constant(self, value: object, at: str) -> str:
        try:
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError):
            raise BadSchema(at, "a value that is no JSON") from None
        return self._rules.add("constant", literal(_without_surrogates(text)))

    def _anything(self) -> str:
        if self._any is None:
            # Reserved first, since it holds itself.
            self._any = self._rules.reserve("anything")
            kinds_ = ("object", "array", "string", "number", "boolean", "null")
            found = [self._of_type(kind, {}, "") for kind in kinds_]
            self._rules.define(self._any, " | ".join(found))
        return self._any

    def _object(self, found: Mapping[str, Any], at: str) -> str:
        named = self._members(found, at)
        extra = self._extra(found, at, [name for name, _, _ in named])
        ws = self._ws
        tail = start = '""'
        if extra is not None:
            tail = self._rules.add("more", f'("," {ws} {extra})*')
            start = self._rules.add("some", f'({extra} ("," {ws} {extra})*)?')
        for name, value, needed in reversed(named):
            item = self._rules.add(name, f'{self._key(name)} {ws} ":" {ws} {value} {ws}')
            behind = f'"," {ws} {item}'
            start = f"{item} {tail}" if needed else f"{item} {tail} | {start}"
            start = self._rules.add("start", start)
            tail = self._rules.add("rest", f"{behind} {tail}" if needed else f"({behind})? {tail}")
        return f'"{{" {ws} {start} "}}"'

    def _members(self, found: Mapping[str, Any], at: str) -> list[tuple[str, str, bool]]:
        """Name, value and whether it is required, of each member that has a name."""
        properties = members(found, "properties", at)
        required = [str(name) for name in entries(found, "required", at)]
        named = []
        for name, schema in properties.items():
            place = f"{at}/properties/{name}"
            if schema is not False:
                named.append((name, self._value(schema, place), name in required))
            elif name in required:
                raise BadSchema(place, "required, and nothing fits it")
        for name in dict.fromkeys(required):
            if name not in properties:
                other = found.get("additionalProperties", True)
                if other is False:
                    raise BadSchema(at, f"{name} is required, and there is no such property")
                place = f"{at}/additionalProperties"
                named.append((name, self._value(other, place), True))
        return named

    def _extra(self, found: Mapping[str, Any], at: str, names: Sequence[str]) -> str | None:
        """A member whose name is none of *names*; None: there may be none."""
        patterns = members(found, "patternProperties", at)
        extras = [
            self._member(self._matching(text, at), schema, f"{at}/patternProperties/{text}")
            for text, schema in patterns.items()
            if schema is not False
        ]
        default = not patterns and not found.get("properties")
        schema = found.get("additionalProperties", default)
        if schema is not False and not patterns:
            place = f"{at}/additionalProperties"
            extras.append(self._member(self._other_key(names), schema, place))
        return self._rules.union("extra", extras) if extras else None

    def _member(self, key: str, schema: object, at: str) -> str:
        ws = self._ws
        return self._rules.add("member", f'{key} {ws} ":" {ws} {self._value(schema, at)} {ws}')

    def _key(self, name: str) -> str:
        return literal(_without_surrogates(json.dumps(name, ensure_ascii=False)))

    def _other_key(self, names: Sequence[str]) -> str:
        """The expression for a key that is none of *names*; it holds nothing escaped."""
        if not names:
            return self._string
        plain = self._rules.add("plain", PLAIN)
        tree = _tree(name[:_LONGEST_KEY] for name in names)
        return f'"\\"" {self._unlike(tree, plain, "")} "\\""'

    def _unlike(self, tree: "_Tree", plain: str, begun: str) -> str:
        children = {each: node for each, node in tree.items() if each and each not in '"\\'}
        found = [] if "" in tree else ['""']
        forbidden = "".join(sorted(children))
        points = [(ord(each), ord(each)) for each in forbidden]
        fresh = none_of(((0x00, 0x1F), (0x22, 0x22), (0x5C, 0x5C), *points))
        found.append(f"{fresh} {plain}*")
        for each, node in children.items():
            if len(each) == 1 and ord(each) > 0x1F:
                found.append(f"{literal(each)} {self._unlike(node, plain, begun + each)}")
        return self._rules.add("key", " | ".join(found))

    def _array(self, found: Mapping[str, Any], at: str) -> str:
        first, rest = _items(found, at)
        least = count(found, "minItems", at) or 0
        most = count(found, "maxItems", at)
        if least > MOST or (most is not None and most < least):
            raise BadSchema(at, f"no array has {least} to {most} items")
        first = first if most is None else first[:most]
        ws = self._ws
        items = [self._value(each, f"{at}/prefixItems/{n}") for n, each in enumerate(first)]
        fixed = f' "," {ws} '.join(f"{each} {ws}" for each in items)
        if rest is False or most == len(items):
            if least > len(items):
                raise BadSchema(at, f"there are no {least} items that fit")
            return f'"[" {ws} {fixed} "]"'
        item = self._value(rest, f"{at}/items")
        another = self._rules.add("item", f'"," {ws} {item} {ws}')
        more = None if most is None else most - len(items)
        if items:
            repeated = self._rules.repeated(another, max(0, least - len(items)), more)
            return f'"[" {ws} {fixed} {repeated} "]"'
        repeated = self._rules.repeated(
            another, max(0, least - 1), None if more is None else more - 1
        )
        some = f"{item} {ws} {repeated}"
        return f'"[" {ws} {some} "]"' if least else f'"[" {ws} ({some})? "]"'

    def _text(self, found: Mapping[str, Any], at: str) -> str:
        least, most = count(found, "minLength", at) or 0, count(found, "maxLength", at)
        form = found.get("format")
        shaped = "pattern" in found or form in _FORMATS
        if shaped and (least or most is not None):
            self.unenforced.append(
                f"{at or '/'}: minLength and maxLength beside a pattern or format"
            )
        elif form is not None and not shaped:
            self.unenforced.append(f"{at or '/'}: format {form}")
        if "pattern" in found:
            return self._matching(found["pattern"], at)
        if form in _FORMATS:
            return f'"\\"" {_FORMATS[form]} "\\""'
        if not least and most is None:
            return self._string
        if least > MOST or (most is not None and most < least):
            raise BadSchema(at, f"no text has {least} to {most} characters")
        return f'"\\"" {self._rules.repeated(self._character, least, most)} "\\""'

    def _matching(self, text: object, at: str) -> str:
        if not isinstance(text, str):
            raise BadSchema(at, "a pattern that is no text")
        try:
            return f'"\\"" {pattern(text, self._rules)} "\\""'
        except BadPattern as bad:
            raise BadSchema(at, f"pattern: {bad}") from None

    def _number(self, found: Mapping[str, Any], at: str) -> str:
        return _bounded(numbers, found, at)

    def _integer(self, found: Mapping[str, Any], at: str) -> str:
        return _bounded(integers, found, at)


def _is_of(value: object, types: Iterable[str]) -> bool:
    """Whether *value* has one of *types*."""
    match value:
        case None:
            own = {"null"}
        case bool():
            own = {"boolean"}
        case int() | float():
            own = {"number", "integer"} if value == value // 1 else {"number"}
        case str():
            own = {"string"}
        case Mapping():
            own = {"object"}
        case _:
            own = {"array"}
    return not own.isdisjoint(types)


def _bounded(made: Callable[[Bounds], str], found: Mapping[str, Any], at: str) -> str:
    low, over = _bound(found, "minimum", "exclusiveMinimum", at, max)
    high, under = _bound(found, "maximum", "exclusiveMaximum", at, min)
    try:
        return made(Bounds(low, high, over, under))
    except NoNumber:
        raise BadSchema(at, "no number fits the bounds") from None


def _bound(
    found: Mapping[str, Any],
    keyword: str,
    exclusive: str,
    at: str,
    tighter: Callable[[Decimal, Decimal], Decimal],
) -> tuple[Decimal | None, bool]:
    """The bound, and whether it is itself left out."""
    inner, outer = _decimal(found, keyword, at), found.get(exclusive)
    if outer is None or isinstance(outer, bool):
        return inner, inner is not None and outer is True
    other = _decimal(found, exclusive, at)
    if inner is None or other is None or tighter(inner, other) == other:
        return other, True
    return inner, False


def _decimal(found: Mapping[str, Any], keyword: str, at: str) -> Decimal | None:
    value = found.get(keyword)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadSchema(at, f"{keyword} is no number")
    # Too many digits for Python to print, or none.
    if isinstance(value, int) and abs(value) >= 10**400:
        raise BadSchema(at, f"{keyword} is too large")
    number = Decimal(str(value))
    if not number.is_finite():
        raise BadSchema(at, f"{keyword} is no number")
    return number


def _items(found: Mapping[str, Any], at: str) -> tuple[list[Any], object]:
    """Schemas of the first items, and that of the others."""
    items = found.get("items", True)
    if isinstance(items, list | tuple):
        return list(items), found.get("additionalItems", False)
    first = entries(found, "prefixItems", at)
    return first, found.get("items", False) if first else items


class _Tree(dict[str, "_Tree"]):
    """Texts by their characters; the key "" stands where one ends."""


def _tree(texts: Iterable[str]) -> _Tree:
    root = _Tree()
    for text in texts:
        node = root
        for character in text:
            node = node.setdefault(character, _Tree())
        node[""] = _Tree()
    return root


def _without_surrogates(text: str) -> str:
    """*text* of JSON, in which what is no character is written as an escape."""
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)
