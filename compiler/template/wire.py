"""Messages and tools in the form of the reference's API → ours.

What is wrong is said with the place that it is wrong at: ``messages[2].content: not a text``.
Fields that the reference does not know are passed over.
"""

from collections.abc import Iterable
from typing import Any

from mbuild.compiler.template.chat import (
    AnyOf,
    Anything,
    Arguments,
    CalledFunction,
    Images,
    Message,
    NestedProperties,
    Parameters,
    Properties,
    Property,
    PropertyType,
    Strings,
    Tool,
    ToolCall,
    ToolCalls,
    ToolFunction,
    Tools,
)
from mbuild.compiler.template.value import Slice, Value


class BadMessage(Exception):
    """A message or tool of the wrong shape; *place* says where, *reason* what is wrong."""

    def __init__(self, place: str, reason: str) -> None:
        """What is wrong at *place*."""
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


def messages(value: object, place: str = "messages") -> tuple[Message, ...]:
    """The messages of a decoded JSON array.

    Raises:
        BadMessage: one of them has the wrong shape.
    """
    return tuple(_message(each, where) for each, where in _items(value, place))


def tools(value: object, place: str = "tools") -> Slice:
    """The tools of a decoded JSON array; None gives the nil list.

    Raises:
        BadMessage: one of them has the wrong shape.
    """
    if value is None:
        return Tools.of(None)
    return Tools.of([_tool(each, where) for each, where in _items(value, place)])


def _message(value: object, place: str) -> Message:
    fields = _object(value, place)
    images = fields.get("images")
    calls = _items(fields.get("tool_calls") or [], f"{place}.tool_calls")
    return Message(
        role=_text(fields, "role", place).lower(),
        content=_text(fields, "content", place),
        thinking=_text(fields, "thinking", place),
        images=Images.of(None if images is None else _images(images, f"{place}.images")),
        tool_calls=ToolCalls.of([_tool_call(each, where) for each, where in calls] or None),
        tool_name=_text(fields, "tool_name", place),
        tool_call_id=_text(fields, "tool_call_id", place),
    )


def _images(value: object, place: str) -> list[bytes]:
    # Imported here: hardly any conversation has pictures.
    from base64 import b64decode
    from binascii import Error

    decoded: list[bytes] = []
    for each, where in _items(value, place):
        if not isinstance(each, str):
            raise BadMessage(where, "not a base64 text")
        try:
            decoded.append(b64decode(each, validate=True))
        except (Error, ValueError):
            raise BadMessage(where, "not a base64 text") from None
    return decoded


def _tool_call(value: object, place: str) -> ToolCall:
    fields = _object(value, place)
    where = f"{place}.function"
    function = _object(fields.get("function"), where)
    index = function.get("index", 0)
    if not isinstance(index, int) or isinstance(index, bool):
        raise BadMessage(f"{where}.index", "not a whole number")
    given = function.get("arguments")
    named = {} if given is None else _object(_loose(given), f"{where}.arguments")
    arguments = Arguments(named)
    arguments.is_nil = given is None
    return ToolCall(
        CalledFunction(_text(function, "name", where), arguments, index),
        _text(fields, "id", place),
    )


def _tool(value: object, place: str) -> Tool:
    fields = _object(value, place)
    where = f"{place}.function"
    function = _object(fields.get("function", {}), where)
    inside = f"{where}.parameters"
    parameters = _object(function.get("parameters") or {}, inside)
    return Tool(
        type=_text(fields, "type", place),
        items=_loose(fields.get("items")),
        function=ToolFunction(
            name=_text(function, "name", where),
            description=_text(function, "description", where),
            parameters=Parameters(
                type=_text(parameters, "type", inside),
                properties=_properties(parameters.get("properties"), f"{inside}.properties"),
                required=_texts(parameters.get("required"), f"{inside}.required"),
                definitions=_loose(parameters.get("$defs")),
                items=_loose(parameters.get("items")),
            ),
        ),
    )


def _properties(value: object, place: str) -> Properties:
    named = {} if value is None else _object(value, place)
    properties = Properties(
        {name: _property(each, f"{place}.{name}") for name, each in named.items()}
    )
    properties.is_nil = value is None
    return properties


def _property(value: object, place: str) -> Property:
    fields = _object(value, place)
    any_of, enum, nested = fields.get("anyOf"), fields.get("enum"), fields.get("properties")
    choices = _items(any_of or [], f"{place}.anyOf")
    return Property(
        any_of=AnyOf.of([_property(each, where) for each, where in choices] or None),
        type=_property_type(fields.get("type"), f"{place}.type"),
        items=_loose(fields.get("items")),
        description=_text(fields, "description", place),
        enum=Anything.of(None if enum is None else _list(_loose(enum), f"{place}.enum")),
        properties=None if nested is None else _nested(nested, f"{place}.properties"),
        required=_texts(fields.get("required"), f"{place}.required"),
    )


def _nested(value: object, place: str) -> NestedProperties:
    named = _object(value, place)
    return NestedProperties(
        tuple((name, _property(each, f"{place}.{name}")) for name, each in named.items())
    )


def _property_type(value: object, place: str) -> Slice:
    if isinstance(value, str):
        return PropertyType.of([value])
    return PropertyType.of(None if value is None else list(_texts(value, place)))


# Shapes.


def _object(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadMessage(place, "missing" if value is None else "not an object")
    return value


def _list(value: object, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadMessage(place, "not a list")
    return value


def _items(value: object, place: str) -> Iterable[tuple[Any, str]]:
    return ((each, f"{place}[{at}]") for at, each in enumerate(_list(value, place)))


def _text(fields: dict[str, Any], name: str, place: str) -> str:
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadMessage(f"{place}.{name}", "not a text")
    return value


def _texts(value: object, place: str) -> Slice:
    if value is None:
        return Strings.of(None)
    texts = _list(value, place)
    for at, each in enumerate(texts):
        if not isinstance(each, str):
            raise BadMessage(f"{place}[{at}]", "not a text")
    return Strings.of(texts)


def _loose(value: Value) -> Value:
    """A JSON value as Go holds one of unknown type: every number is a float."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return float(value)
    if isinstance(value, list):
        return [_loose(each) for each in value]
    if isinstance(value, dict):
        return {name: _loose(each) for name, each in value.items()}
    return value
