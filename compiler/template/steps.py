"""The statements of a template as closures: each gets the dot and the frame, and writes."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from mbuild.compiler.template.formatting import display, sprintf
from mbuild.compiler.template.lookup import Getters
from mbuild.compiler.template.running import (
    BREAK,
    Assign,
    Expression,
    Fault,
    Frame,
    Signal,
    Step,
)
from mbuild.compiler.template.value import (
    SEQUENCES,
    Byte,
    Value,
    boxes_elements,
    elements,
    is_nothing,
    keys_in_order,
)

_TURNS = 0xFF  # In each of so many turns of a loop we look at how much has been written.
_CALL = 5  # steps that calling a template counts for; it takes as long as so many turns


@dataclass(frozen=True, slots=True)
class Routine:
    """A compiled template."""

    step: Step
    slots: int
    height: int  # levels that its constructs nest


def sequence(steps: tuple[Step, ...], *, jumps: bool) -> Step:
    """*steps* in order; *jumps*: one of them may give a signal, which ends them."""
    if len(steps) == 1:
        return steps[0]
    if not jumps and len(steps) == 2:
        first, second = steps

        def run_both(dot: Value, frame: Frame) -> None:
            first(dot, frame)
            second(dot, frame)

        return run_both

    if not jumps:

        def run_all(dot: Value, frame: Frame) -> None:
            for step in steps:
                step(dot, frame)

        return run_all

    def run(dot: Value, frame: Frame) -> Signal | None:
        for step in steps:
            signal = step(dot, frame)
            if signal is not None:
                return signal
        return None

    return run


def jump(signal: Signal) -> Step:
    """The statement that sends *signal* to the loop around it."""
    return lambda _dot, _frame: signal


def write_text(text: str) -> Step:
    """Write *text*."""

    def write(_dot: Value, frame: Frame) -> None:
        frame.write(text)

    return write


def write_value(
    before: str, value: Expression, after: str, fault: Fault, getters: Getters | None = None
) -> Step:
    """Write a value between two texts; the three together, since most values have both.

    *getters*: the value is a field of the dot, and may be got by one of them.
    """
    learned: Getters = {} if getters is None else getters

    def write(dot: Value, frame: Frame) -> None:
        getter = learned.get(type(dot))
        shown = value(dot, frame) if getter is None else getter(dot)
        if not isinstance(shown, str):
            shown = frame.run.charge(display(shown), fault)
        frame.extend((before, shown, after))

    return write


def evaluate(value: Expression) -> Step:
    """Compute a value for its effect."""

    def step(dot: Value, frame: Frame) -> None:
        value(dot, frame)

    return step


def if_else(value: Expression, body: Step, otherwise: Step | None) -> Step:
    """``if``"""
    if otherwise is None:

        def run_if(dot: Value, frame: Frame) -> Signal | None:
            return body(dot, frame) if value(dot, frame) else None

        return run_if

    def run(dot: Value, frame: Frame) -> Signal | None:
        return body(dot, frame) if value(dot, frame) else otherwise(dot, frame)

    return run


def with_else(value: Expression, body: Step, otherwise: Step | None) -> Step:
    """``with``"""

    def run(dot: Value, frame: Frame) -> Signal | None:
        found = value(dot, frame)
        if found:
            return body(found, frame)
        return None if otherwise is None else otherwise(dot, frame)

    return run


@dataclass(frozen=True, slots=True)
class Targets:
    """What a range sets in each turn."""

    key: int = 0  # the slot of its first of two variables; 0: there are not two
    element: int = 0  # the slot of its last variable; 0: there is none
    boxes: tuple[int, ...] = ()  # slots that tell whether the element lies in an interface {}
    assigned: tuple[Assign, ...] = ()  # where variables are assigned, not declared


def loop(
    value: Expression, targets: Targets, body: Step, otherwise: Step | None, fault: Fault
) -> Step:
    """``range``"""
    key, element, boxes, assigned = targets.key, targets.element, targets.boxes, targets.assigned
    paired = bool(key) or len(assigned) == 2

    def run(dot: Value, frame: Frame) -> Signal | None:
        found = value(dot, frame)
        names, turns = _turns(found, fault, frame, paired=paired)
        values = frame.values
        turn = -1
        for box in boxes:
            values[box] = boxes_elements(found)
        for turn, each in enumerate(turns):
            if key:
                values[key] = turn if names is None else names[turn]
            if element:
                values[element] = each
            if assigned:
                _assign(assigned, frame, turn if names is None else names[turn], each)
            if body(each, frame) is BREAK:
                break
            if not turn & _TURNS:
                frame.run.measure(fault)
        return None if turn >= 0 or otherwise is None else otherwise(dot, frame)

    return run


def _assign(targets: tuple[Assign, ...], frame: Frame, name: Value, each: Value) -> None:
    """Give the last of *targets* the element, and the one before it the key."""
    targets[-1](frame, each)
    if len(targets) == 2:
        targets[0](frame, name)


def _turns(
    value: Value, fault: Fault, frame: Frame, *, paired: bool
) -> tuple[list[str] | None, Iterable[Value]]:
    """What a range over *value* goes through: keys, where they are no indexes, and elements."""
    if isinstance(value, SEQUENCES):
        frame.run.spend(len(value), fault)
        return None, elements(value)
    if isinstance(value, dict):
        frame.run.spend(len(value), fault)
        names = keys_in_order(value)
        return names, [value[name] for name in names]
    if type(value) in (int, Byte):
        if paired:
            raise fault.because(f"can't use {value} to iterate over more than one variable")
        return None, _count(value, fault, frame)
    if is_nothing(value):
        return None, ()
    raise fault.because(f"range can't iterate over {sprintf('%v', (value,))}")


def _count(stop: int, fault: Fault, frame: Frame) -> Iterator[Value]:
    for number in range(stop):
        frame.run.spend(1, fault)
        yield type(stop)(number)


def call(routines: Mapping[str, Routine], name: str, value: Expression, fault: Fault) -> Step:
    """``template``; *routines* has *name* by the time that this runs."""

    def run(dot: Value, frame: Frame) -> None:
        routine = routines[name]
        room = frame.room - routine.height - 1
        if room < 0:
            depth = frame.run.limits.depth
            raise fault.because(f"exceeded maximum template depth ({depth})")
        frame.run.spend(_CALL, fault)
        data = value(dot, frame)
        routine.step(data, Frame(frame.run, routine.slots, data, room))
        frame.run.measure(fault)

    return run
