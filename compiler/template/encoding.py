"""A template's values as JSON, to the byte what the reference's ``json`` function gives."""

from mbuild.compiler.template.octets import presentable
from mbuild.compiler.template.value import (
    Slice,
    Struct,
    Value,
    Window,
    elements,
    is_nil,
    keys_in_order,
)
from mbuild.store.gojson import BadJson, Json, encode


def json_text(value: Value) -> str:
    """*value* on one line; nothing at all for a number that JSON cannot hold, as in Go."""
    try:
        return encode(_plain(value))
    except BadJson:
        return ""


def _plain(value: Value) -> Json:
    """*value* without Go's types: structs as objects in their order, maps in that of bytes."""
    if is_nil(value):
        return None
    if isinstance(value, str):
        return presentable(value)
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return _base64(value)
    if isinstance(value, Struct):
        return _object(value)
    if isinstance(value, dict):
        return {presentable(key): _plain(value[key]) for key in keys_in_order(value)}
    if isinstance(value, Slice) and value.alone and len(value) == 1:
        return _plain(value[0])
    if isinstance(value, list | Slice | Window):
        return [_plain(each) for each in elements(value)]
    raise BadJson(f"not for JSON: {type(value).__name__}")


def _base64(data: bytes) -> str:
    # Imported here: only templates that print images as JSON need it.
    from base64 import b64encode

    return b64encode(data).decode()


def _object(struct: Struct) -> Json:
    entries = struct.entries()
    if entries is not None:
        return {name: _plain(member) for name, member in entries}
    written: dict[str, Json] = {}
    for go_name, name in struct.members.items():
        member = getattr(struct, name)
        key, left_out = struct.json_keys.get(name, (go_name, False))
        if not left_out or not _is_empty(member):
            written[key] = _plain(member)
    return written


def _is_empty(value: Value) -> bool:
    """Is *value* one that Go's ``omitempty`` leaves out?"""
    if isinstance(value, Struct):
        return False
    return value is None or (isinstance(value, str | dict | tuple | list) and not value)
