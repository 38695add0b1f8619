"""The body of a request, read with distrust: bytes to JSON to a checked value.

Strings that JSON allows and UTF-8 does not (half a surrogate pair) become U+FFFD, as in Go.
Names of fields are found whatever their case, and ``null`` is as good as nothing.
"""

import json
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

DEEPEST = 200  # JSON values inside each other

_Request = TypeVar("_Request", bound=BaseModel)


class BadBody(ValueError):
    """A body that is not what was asked for; the text says where."""


def read(kind: type[_Request], data: bytes) -> _Request:
    """The request that *data* holds.

    Raises:
        BadBody: it is empty, no JSON object, too deep, or a field has the wrong type.
    """
    if not data.strip():
        raise BadBody("missing request body")
    value = decode(data)
    if not isinstance(value, Mapping):
        raise BadBody("the request body is no JSON object")
    try:
        return kind.model_validate(_fields(kind, value))
    except ValidationError as error:
        raise BadBody(_sentence(error)) from None


def decode(data: bytes) -> Any:
    """The JSON value that *data* holds.

    Raises:
        BadBody: it is none, or too deep.
    """
    try:
        value = json.loads(data.decode("utf-8", "replace"), parse_constant=_no_number)
    except RecursionError:
        raise BadBody(f"JSON deeper than {DEEPEST} values") from None
    except ValueError as error:
        raise BadBody(f"invalid JSON: {error}") from None
    return _cleaned(value, DEEPEST)


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _cleaned(value: Any, left: int) -> Any:
    """*value* without halves of surrogate pairs, at most *left* deep."""
    if left < 0:
        raise BadBody(f"JSON deeper than {DEEPEST} values")
    match value:
        case str():
            return value if value.isascii() else _whole(value)
        case list():
            return [_cleaned(each, left - 1) for each in value]
        case dict():
            return {_whole(key): _cleaned(each, left - 1) for key, each in value.items()}
    return value


def _whole(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _fields(kind: type[BaseModel], value: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of *value* by the names that *kind* has for them; of two the later counts."""
    own = (field.alias or name for name, field in kind.model_fields.items())
    names = {name.lower(): name for name in own}
    found = ((names.get(key.lower()), each) for key, each in value.items())
    return {name: each for name, each in found if name is not None and each is not None}


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return said
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {said[:1].lower()}{said[1:]}"
