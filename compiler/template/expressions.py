"""Calls and other expressions of a template as closures."""

from collections.abc import Callable

from mbuild.compiler.template.failure import CallFailed
from mbuild.compiler.template.functions import Function
from mbuild.compiler.template.lookup import Getters
from mbuild.compiler.template.running import FINAL, UNSET, Assign, Expression, Fault, Frame
from mbuild.compiler.template.value import ABSENT, BOXED, Value, is_nothing, type_name

_SIMPLE = frozenset((int, str, bool, float))


def absent(_dot: Value, _frame: Frame) -> Value:
    """Nothing at all."""
    return ABSENT


def dot_itself(dot: Value, _frame: Frame) -> Value:
    """``.``"""
    return dot


def constant(value: Value) -> Expression:
    """Always *value*."""
    return lambda _dot, _frame: value


def slot(number: int) -> Expression:
    """What a variable holds."""
    return lambda _dot, frame: frame.values[number]


def unboxed(value: Expression) -> Expression:
    """A value as a pipeline hands it on: nil in an interface becomes nothing at all."""

    def run(dot: Value, frame: Frame) -> Value:
        found = value(dot, frame)
        return ABSENT if found is None else found

    return run


def storing_one(value: Expression, number: int) -> Expression:
    """A value, which is also put into a slot."""

    def run(dot: Value, frame: Frame) -> Value:
        found = frame.values[number] = value(dot, frame)
        return found

    return run


def storing(value: Expression, targets: tuple[Assign, ...]) -> Expression:
    """A value, which is also given to variables."""

    def run(dot: Value, frame: Frame) -> Value:
        found = value(dot, frame)
        for assign in targets:
            assign(frame, found)
        return found

    return run


def hiding(value: Expression, boxed: Callable[[Value, Frame], bool]) -> Expression:
    """A value as ``slice`` sees it, which does not look into interfaces."""

    def run(dot: Value, frame: Frame) -> Value:
        found = value(dot, frame)
        return BOXED if boxed(dot, frame) else found

    return run


def text_only(value: Expression, fault: Fault) -> Expression:
    """A value that must be a string."""

    def run(dot: Value, frame: Frame) -> Value:
        found = value(dot, frame)
        if isinstance(found, str):
            return found
        if found is ABSENT:
            raise fault.because("invalid value; expected string")
        got = "interface {}" if found is None else type_name(found)
        raise fault.because(f"wrong type for value; expected string; got {got}")

    return run


def final_value(_dot: Value, frame: Frame) -> Value:
    """The value that came through the pipe, while its call is being prepared."""
    return frame.values[FINAL]


def calling(
    function: Function,
    name: str,
    values: tuple[Expression, ...],
    final: Expression | None,
    fault: Fault,
) -> Expression:
    """A call with the arguments *values*; the last is :func:`final_value` if *final* is given.

    What comes through the pipe is computed before the other arguments.
    """
    if final is None and not function.dated and not function.produces:
        if len(values) == 1:
            return _calling_one(function.call, name, values[0], fault)
        if len(values) == 2:
            return _calling_two(function.call, name, values[0], values[1], fault)
    call = function.call
    first = values[:-1]
    last = values[-1] if values else None

    def run(dot: Value, frame: Frame) -> Value:
        before = None if final is None else final(dot, frame)
        arguments = [frame.run.today] if function.dated else []
        arguments.extend([value(dot, frame) for value in first])
        frame.values[FINAL] = before
        if last is not None:
            arguments.append(last(dot, frame))
        try:
            result = call(*arguments)
        except CallFailed as failed:
            raise fault.because(f"error calling {name}: {failed}") from None
        return frame.run.charge(result, fault) if function.produces else result

    return run


def _calling_one(
    call: Callable[..., Value], name: str, only: Expression, fault: Fault
) -> Expression:
    def run(dot: Value, frame: Frame) -> Value:
        argument = only(dot, frame)
        try:
            return call(argument)
        except CallFailed as failed:
            raise fault.because(f"error calling {name}: {failed}") from None

    return run


def _calling_two(
    call: Callable[..., Value], name: str, left: Expression, right: Expression, fault: Fault
) -> Expression:
    def run(dot: Value, frame: Frame) -> Value:
        first, second = left(dot, frame), right(dot, frame)
        try:
            return call(first, second)
        except CallFailed as failed:
            raise fault.because(f"error calling {name}: {failed}") from None

    return run


def equals(
    left: Expression,
    expected: Value,
    call: Callable[..., Value],
    fault: Fault,
    getters: Getters | None = None,
) -> Expression:
    """``eq`` with a constant on its right, which is what most templates ask.

    *getters*: the left side is a field of the dot, and may be got by one of them.
    """
    kind = type(expected)
    is_text = kind is str
    learned: Getters = {} if getters is None else getters
    assert kind in _SIMPLE

    def run(dot: Value, frame: Frame) -> Value:
        getter = learned.get(type(dot))
        found = left(dot, frame) if getter is None else getter(dot)
        if type(found) is kind or (is_text and isinstance(found, str)):
            return found == expected
        try:
            return call(found, expected)
        except CallFailed as failed:
            raise fault.because(f"error calling eq: {failed}") from None

    return run


def short_circuit(
    values: tuple[Expression, ...],
    final: Expression | None,
    skipped: tuple[int, ...],
    *,
    decisive: bool,
) -> Expression:
    """``or``, if *decisive* is true, or ``and``; *skipped* are variables declared on the way."""

    def run(dot: Value, frame: Frame) -> Value:
        last: Value = None if final is None else final(dot, frame)
        for number in skipped:
            frame.values[number] = UNSET
        found: Value = None
        for value in values:
            found = value(dot, frame)
            if bool(found) is decisive:
                return found
        return found if final is None else last

    return run


def refusal(callee: str | None) -> Callable[..., Value]:
    """The function ``call``: there is nothing here that can be called."""

    def refuse(value: Value, *_rest: Value) -> Value:
        if is_nothing(value):
            raise CallFailed("call of nil")
        name = callee
        if name is None:
            name = value if isinstance(value, str) else f"<{type_name(value)} Value>"
        raise CallFailed(f"non-function {name} of type {type_name(value)}")

    return refuse
