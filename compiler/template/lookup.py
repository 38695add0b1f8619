"""Looking up fields: ``.A.B``, ``$x.A`` and ``(pipeline).A`` as closures.

A value's own methods come first, then the fields of a struct, then the entries of a map; what
else is there is refused in the reference's words.
"""

from collections.abc import Callable
from operator import attrgetter

from mbuild.compiler.template.failure import RenderFailed
from mbuild.compiler.template.running import Expression, Fault, Frame
from mbuild.compiler.template.value import (
    ABSENT,
    Map,
    Struct,
    Value,
    boxes_elements,
    methods_of,
    type_name,
)


def wrong_count(name: str, wanted: str, got: int) -> str:
    """What is said of a call with too many or too few arguments."""
    return f"wrong number of args for {name}: want {wanted} got {got}"


def holds_boxed(holder: Value, name: str) -> bool:
    """Is the field *name* of *holder* declared as interface {}?"""
    return name in holder.boxed if isinstance(holder, Struct) else boxes_elements(holder)


class Lookup:
    """Fields to follow one after another, and what to say when that fails."""

    __slots__ = ("fault", "missing", "names", "starts_boxed")

    def __init__(
        self, names: tuple[str, ...], missing: Value, fault: Fault, *, starts_boxed: bool
    ) -> None:
        """*missing*: what a map gives for a key that it does not have."""
        self.names = names
        self.missing = missing
        self.fault = fault
        self.starts_boxed = starts_boxed

    def follow(self, value: Value) -> Value:
        """What the fields lead to, from *value*."""
        boxed = self.starts_boxed
        for name in self.names:
            holder = value
            value = self.member(holder, name, boxed=boxed)
            boxed = holds_boxed(holder, name)
        return value

    def member(self, holder: Value, name: str, *, boxed: bool) -> Value:
        """The field or method *name* of *holder*; *boxed*: it lies in an interface {}."""
        if type(holder) is dict:
            return holder.get(name, self.missing)
        if holder is ABSENT:
            return ABSENT
        if holder is None:
            raise self.fault.because(f"nil pointer evaluating interface {{}}.{name}")
        method = methods_of(holder).get(name)
        if method is not None:
            return method(holder)
        if isinstance(holder, Struct) and name in holder.members:
            return getattr(holder, holder.members[name])
        if isinstance(holder, dict):
            return self._entry(holder, name)
        shown = "interface {}" if boxed and not isinstance(holder, Struct) else type_name(holder)
        raise self.fault.because(f"can't evaluate field {name} in type {shown}")

    def _entry(self, holder: dict[str, Value], name: str) -> Value:
        if name in holder or self.missing is ABSENT:
            return holder.get(name, ABSENT)
        return holder.missing() if isinstance(holder, Map) else None

    def refuse(self, value: Value, count: int) -> RenderFailed:
        """What is said when the last field gets *count* arguments, from *value* on."""
        boxed = self.starts_boxed
        *names, last = self.names
        for name in names:
            holder = value
            value = self.member(holder, name, boxed=boxed)
            boxed = holds_boxed(holder, name)
        if last in methods_of(value):
            return self.fault.because(wrong_count(last, "0", count))
        if isinstance(value, Struct) and last in value.members:
            reason = f"{last} has arguments but cannot be invoked as function"
            return self.fault.because(reason)
        if not isinstance(value, dict):
            self.member(value, last, boxed=boxed)
        return self.fault.because(f"{last} is not a method but has arguments")


Getters = dict[type, Callable[[Value], Value]]
"""How a field is got from each class of struct that has been met so far."""


def field(
    lookup: Lookup, receiver: Expression | None, getters: Getters | None = None
) -> Expression:
    """The fields of *lookup* in what *receiver* gives; None: in the dot.

    A single field learns from the structs that it meets how they are asked, into *getters*,
    which whoever is in a hurry may look into first.
    """
    if len(lookup.names) > 1:
        return _chain(lookup, receiver)
    (name,) = lookup.names
    missing = lookup.missing
    learned: Getters = {} if getters is None else getters

    def get(holder: Value) -> Value:
        kind = type(holder)
        if kind is dict:
            return holder.get(name, missing)
        getter = learned.get(kind)
        if getter is not None:
            return getter(holder)
        found = lookup.member(holder, name, boxed=lookup.starts_boxed)
        if isinstance(holder, Struct) and name not in holder.methods:
            learned[kind] = attrgetter(holder.members[name])
        return found

    if receiver is None:
        return lambda dot, _frame: get(dot)
    return lambda dot, frame: get(receiver(dot, frame))


def _chain(lookup: Lookup, receiver: Expression | None) -> Expression:
    if receiver is None:
        return lambda dot, _frame: lookup.follow(dot)
    return lambda dot, frame: lookup.follow(receiver(dot, frame))


def field_with_arguments(
    lookup: Lookup, receiver: Expression | None, final: Expression | None, count: int
) -> Expression:
    """The refusal of *count* arguments, and one from the pipe, given to a field."""

    def refuse(dot: Value, frame: Frame) -> Value:
        if final is not None:
            final(dot, frame)
        holder = dot if receiver is None else receiver(dot, frame)
        raise lookup.refuse(holder, count + (final is not None))

    return refuse
