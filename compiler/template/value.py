"""The values that a template computes with: Go's, in Python's clothes.

=====================  ==========================================================
Go                     here
=====================  ==========================================================
no value at all        :data:`ABSENT`
a nil interface        ``None``
bool, int, float64     ``bool``, ``int``, ``float``
uint8                  :class:`Byte`
complex128             ``complex``
string                 ``str`` (see :mod:`mbuild.compiler.template.octets`)
[]byte                 ``bytes``
[]interface {}         ``list``
map[string]interface{} ``dict``
another slice          a :class:`Slice`; part of any slice: a :class:`Window`
another map            a :class:`Map`
a struct               an instance of a dataclass that derives from :class:`Struct`
=====================  ==========================================================

The two nothings differ in one thing: ``.x`` of an absent value is absent, ``.x`` of nil fails.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from mbuild.compiler.template.failure import CallFailed
from mbuild.compiler.template.octets import octets

Value = Any
"""One of the values above; which one is known only when a template runs."""

Names = Mapping[str, str]
Keys = Mapping[str, tuple[str, bool]]
Methods = Mapping[str, Callable[[Any], Any]]


class Absent:
    """The type of :data:`ABSENT`."""

    __slots__ = ()

    def __bool__(self) -> bool:
        """Nothing is false."""
        return False


ABSENT = Absent()
"""What Go's reflection calls an invalid value: the result of a pipeline that gave nil."""


class Byte(int):
    """A uint8: what indexing a string gives."""

    __slots__ = ()


class Boxed:
    """The type of :data:`BOXED`."""

    __slots__ = ()


BOXED = Boxed()
"""What ``slice`` gets for a bound in an interface {}: the reference does not look inside."""


class Struct:
    """What a template may see of a dataclass. Always true in a condition."""

    __slots__ = ()

    go_type: ClassVar[str]
    pointer: ClassVar[bool] = False  # handed to templates as a pointer, as messages are
    members: ClassVar[Names]  # Go's field name → ours, in Go's order
    boxed: ClassVar[frozenset[str]] = frozenset()  # the fields declared as interface {}
    json_keys: ClassVar[Keys] = {}  # ours → key, left out if empty
    methods: ClassVar[Methods] = {}

    def member_values(self) -> list[Value]:
        """The values of the fields in Go's order."""
        return [getattr(self, name) for name in self.members.values()]

    def entries(self) -> tuple[tuple[str, Value], ...] | None:
        """For a struct that is an object with keys of its own in JSON: those, in order."""
        return None


class Slice(tuple[Value, ...]):
    """A Go slice whose elements have a type of their own."""

    go_type: ClassVar[str]
    element_type: ClassVar[str]
    alone: ClassVar[bool] = False  # in JSON a single element stands without its list
    methods: ClassVar[Methods] = {}
    is_nil = False

    @classmethod
    def of(cls, elements: "tuple[Value, ...] | list[Value] | None") -> "Slice":
        """A slice of *elements*; None gives the nil slice."""
        made = cls(elements or ())
        made.is_nil = elements is None
        return made


class Map(dict[str, Value]):
    """A Go map with string keys whose elements have a type of their own, or with methods."""

    go_type: ClassVar[str]
    methods: ClassVar[Methods] = {}
    boxes: ClassVar[bool] = False  # the elements are declared as interface {}
    is_nil = False

    def missing(self) -> Value:
        """The zero value of an element."""
        return None


class Window:
    """``base[start:stop]`` of a slice, which can be widened again up to *limit*.

    Making one copies nothing: templates cut a slice in each turn of a loop over it only to
    ask how much is left.
    """

    __slots__ = ("base", "limit", "start", "stop")

    def __init__(self, base: "Sequence", start: int, stop: int, limit: int) -> None:
        """A view; the caller has checked ``0 <= start <= stop <= limit <= len(base)``."""
        self.base = base
        self.start = start
        self.stop = stop
        self.limit = limit

    def __len__(self) -> int:
        """How many elements are seen."""
        return self.stop - self.start

    def __getitem__(self, index: int) -> Value:
        """The element at *index*, which must be one."""
        return self.base[self.start + index]

    def __iter__(self) -> Iterator[Value]:
        """The elements seen."""
        for index in range(self.start, self.stop):
            yield self.base[index]


Sequence = list[Value] | Slice | bytes
SEQUENCES = (list, Slice, Window, bytes)


_WITH_METHODS = (Struct, Slice, Map)
_NILABLE = (Slice, Map)


def methods_of(value: Value) -> Methods:
    """The methods that a template can call on *value*."""
    if isinstance(value, Window):
        value = value.base
    return value.methods if isinstance(value, _WITH_METHODS) else {}


def text_form(value: Value) -> str | None:
    """What *value* prints as by its own ``String`` method, if it has one."""
    method = methods_of(value).get("String")
    return None if method is None else str(method(value))


def is_nothing(value: Value) -> bool:
    """Is *value* one of the two nothings?"""
    return value is None or value is ABSENT


def is_nil(value: Value) -> bool:
    """Is *value* nothing, or a nil slice or map?"""
    if is_nothing(value):
        return True
    return isinstance(value, _NILABLE) and value.is_nil


_NAMES: dict[type, str] = {
    bool: "bool",
    int: "int",
    Byte: "uint8",
    float: "float64",
    complex: "complex128",
    list: "[]interface {}",
    dict: "map[string]interface {}",
    bytes: "api.ImageData",
    Boxed: "interface {}",
}


def type_name(value: Value) -> str:
    """The name of *value*'s type in Go."""
    if isinstance(value, Struct):
        return "*" + value.go_type if value.pointer else value.go_type
    if isinstance(value, _NILABLE):
        return value.go_type
    if isinstance(value, Window):
        return type_name(value.base)
    return "string" if isinstance(value, str) else _NAMES.get(type(value), "<nil>")


def keys_in_order(mapping: Mapping[str, Value]) -> list[str]:
    """The keys as Go's range, printing and JSON go through them: by their bytes."""
    return sorted(mapping) if all(map(str.isascii, mapping)) else sorted(mapping, key=octets)


def element(sequence: "Sequence | Window", index: int) -> Value:
    """The element at *index*, which must be one."""
    found = sequence[index]
    return Byte(found) if isinstance(_whole(sequence), bytes) else found


def elements(sequence: "Sequence | Window") -> Iterator[Value]:
    """The elements of *sequence*."""
    if isinstance(_whole(sequence), bytes):
        return map(Byte, sequence)
    return iter(sequence)


def _whole(sequence: "Sequence | Window") -> Sequence:
    return sequence.base if isinstance(sequence, Window) else sequence


def boxes_elements(value: Value) -> bool:
    """Are the elements of *value* declared as interface {}, whatever they hold?"""
    if isinstance(value, Window):
        value = value.base
    if isinstance(value, Map):
        return value.boxes
    if isinstance(value, Slice):
        return value.element_type == "interface {}"
    return type(value) in (list, dict)


def cut(sequence: "Sequence | Window", start: int, stop: int, limit: int) -> Window:
    """``sequence[start:stop:limit]``; the caller has checked the bounds."""
    if isinstance(sequence, Window):
        base, offset = sequence.base, sequence.start
        return Window(base, offset + start, offset + stop, offset + limit)
    return Window(sequence, start, stop, limit)


def capacity(sequence: "Sequence | Window") -> int:
    """How far a slice can be widened, counted from its start."""
    if isinstance(sequence, Window):
        return sequence.limit - sequence.start
    return len(sequence)


def check_key(index: Value) -> str:
    """*index* as the key of a map.

    Raises:
        CallFailed: it is no string.
    """
    if isinstance(index, str):
        return index
    if index is None or index is ABSENT:
        raise CallFailed("value is nil; should be of type string")
    raise CallFailed(f"value has type {type_name(index)}; should be string")
