"""Tree → a program of closures, which renders.

A template is compiled once and run for each prompt: every node becomes a closure that gets
the dot and a :class:`~mbuild.compiler.template.running.Frame`, with everything that can be
known beforehand (slots of variables, argument counts, what an error would quote) worked out.
Semantics and messages are those of the reference's engine; a message quotes the node that it
had visited last, so the compiler goes through the tree in the order of evaluation and keeps
track of that node.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from mbuild.compiler.template import expressions, lookup, steps
from mbuild.compiler.template.failure import BadTemplate
from mbuild.compiler.template.functions import (
    ADDED_FUNCTIONS,
    GO_FUNCTIONS,
    SHORT_CIRCUITS,
    Function,
)
from mbuild.compiler.template.lookup import Getters, Lookup, holds_boxed, wrong_count
from mbuild.compiler.template.number import Overflow
from mbuild.compiler.template.provenance import TEMPLATE, Traced
from mbuild.compiler.template.quote import quote
from mbuild.compiler.template.running import (
    BREAK,
    CONTINUE,
    DEFAULT_LIMITS,
    DOLLAR,
    FIRST_FREE,
    UNSET,
    Assign,
    Expression,
    Fault,
    Frame,
    Limits,
    Rendering,
    Run,
    Step,
)
from mbuild.compiler.template.tree import (
    Action,
    Block,
    Bool,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Jump,
    Nil,
    Node,
    NumberLiteral,
    Operand,
    Pipe,
    Statement,
    StringLiteral,
    Text,
    Tree,
    Variable,
    descendants,
    written,
)
from mbuild.compiler.template.value import ABSENT, Value

ALL_FUNCTIONS: Mapping[str, Function] = {**GO_FUNCTIONS, **ADDED_FUNCTIONS}
_MAY_GIVE_NIL = frozenset(("index", "call", *SHORT_CIRCUITS))
_Boxed = Callable[[Value, Frame], bool]


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled text: its main template, and those that it calls."""

    text: str
    routines: Mapping[str, steps.Routine] = field(repr=False)

    def render(self, data: Value, *, today: date, limits: Limits = DEFAULT_LIMITS) -> Rendering:
        """What the main template writes for *data* on the day *today*.

        Raises:
            RenderFailed: the template fails on this data, or exceeds *limits*.
        """
        main = self.routines[""]
        run = Run(today, limits)
        fault = Fault(self.text, "", Block(0))
        data = ABSENT if data is None else data
        try:
            main.step(data, Frame(run, main.slots, data, limits.depth - main.height))
        except RecursionError:  # Little stack was left when we were called.
            raise fault.because("templates or data nest too deeply") from None
        run.measure(fault)
        return Rendering(tuple(run.pieces))


def compile_tree(
    tree: Tree,
    functions: Mapping[str, Function] = ALL_FUNCTIONS,
    *,
    missing: Value = None,
) -> Program:
    """The program of *tree*; looking up what a map does not have gives *missing*.

    Raises:
        BadTemplate: *tree* is too deep for the stack that is left.
    """
    routines: dict[str, steps.Routine] = {}
    for name, block in tree.templates.items():
        compiler = _Compiler(tree, name, functions, missing, routines)
        try:
            routines[name] = compiler.routine(block)
        except RecursionError:
            start = compiler.last.start
            raise BadTemplate("nested too deeply", "nested too deeply", start, start) from None
    return Program(tree.text, routines)


@dataclass(frozen=True, slots=True)
class _Known:
    """A variable in scope."""

    name: str
    slot: int
    box: int  # the slot that says whether the value lies in an interface {}
    certain: bool = True  # its declaration cannot have been skipped by and or or
    element: bool = False  # range sets it to an element


class _Compiler:
    """The state of compiling one template: what is in scope, and which node comes last."""

    def __init__(
        self,
        tree: Tree,
        name: str,
        functions: Mapping[str, Function],
        missing: Value,
        routines: Mapping[str, steps.Routine],
    ) -> None:
        self.text = tree.text
        self.defined = tree.templates
        self.name = name
        self.functions = functions
        self.missing = missing
        self.routines = routines
        self.last: Node = Block(0)
        self.slots = FIRST_FREE
        self.known = [_Known("$", DOLLAR, FIRST_FREE - 1)]
        self.assigned = _assigned_names(tree.templates[name])
        # Only slice can tell a value in an interface {} from the value.
        self.tracks_boxes = "slice" in tree.text
        self.dot_box = 0  # the slot that tells of the dot what _Known.box tells; 0: never boxed
        self.dot_is_element = False
        self.depth = 0
        self.height = 0
        self.doubtful = 0  # arguments around us that and or or may not evaluate

    def routine(self, block: Block) -> steps.Routine:
        step = self.block(block)  # This counts slots and height.
        return steps.Routine(step, self.slots, self.height)

    def fault(self, node: Node | None = None) -> Fault:
        """The blame on *node*, or else on the node visited last."""
        return Fault(self.text, self.name, node or self.last)

    def failing(self, reason: str, first: Expression | None = None) -> Expression:
        """An expression that evaluates *first*, then fails."""
        fault = self.fault()

        def fail(dot: Value, frame: Frame) -> Value:
            if first is not None:
                first(dot, frame)
            raise fault.because(reason)

        return fail

    def slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    # Statements.

    def block(self, block: Block) -> Step:
        made = tuple(self.statements(block.nodes))
        return steps.sequence(made, jumps=any(map(_may_jump, block.nodes)))

    def statements(self, nodes: tuple[Statement, ...]) -> Iterator[Step]:
        """The steps of *nodes*; a value that is written takes the texts beside it along."""
        for before, node, after in _with_texts(nodes):
            if isinstance(node, Action) and not node.pipe.variables:
                yield self.writing(node, _own_text(before), _own_text(after))
            else:
                yield self.statement(node)

    def writing(self, node: Action, before: str, after: str) -> Step:
        self.last = node
        own = _own_field(node.pipe)
        getters: Getters = {}
        value = self.pipe(node.pipe, bare=True) if own is None else self.own(own, getters)
        self.last = node
        return steps.write_value(before, value, after, self.fault(), getters)

    def statement(self, node: Statement) -> Step:
        self.last = node
        match node:
            case Text():
                return steps.write_text(_own_text(node.text))
            case Action():
                return steps.evaluate(self.pipe(node.pipe))
            case Branch():
                return self.nested(node)
            case Call():
                return self.call_template(node)
            case Jump():
                return steps.jump(BREAK if node.kind == "break" else CONTINUE)

    def nested(self, node: Branch) -> Step:
        self.depth += 1
        self.height = max(self.height, self.depth)
        mark = len(self.known)
        step = self.loop(node) if node.kind == "range" else self.condition(node)
        del self.known[mark:]
        self.depth -= 1
        return step

    def condition(self, node: Branch) -> Step:
        value = self.pipe(node.pipe, bare=True)
        if node.kind == "with":
            body = self.inner(node.body, dot_box=0, dot_is_element=False)
        else:
            body = self.inner(node.body, self.dot_box, dot_is_element=self.dot_is_element)
        otherwise = None if node.otherwise is None else self.block(node.otherwise)
        make = steps.with_else if node.kind == "with" else steps.if_else
        return make(value, body, otherwise)

    def inner(self, block: Block, dot_box: int, *, dot_is_element: bool) -> Step:
        """A body with a dot of its own; what it declares is not known behind it."""
        mark = len(self.known)
        outer = self.dot_box, self.dot_is_element
        self.dot_box, self.dot_is_element = dot_box, dot_is_element
        step = self.block(block)
        self.dot_box, self.dot_is_element = outer
        del self.known[mark:]
        return step

    def loop(self, node: Branch) -> Step:
        value = self.pipe(node.pipe, bare=True, loops=True)
        fault = self.fault()
        dot_box = self.slot() if self.tracks_boxes else 0
        targets = self.targets(node.pipe, dot_box)
        body = self.inner(node.body, dot_box, dot_is_element=True)
        otherwise = None if node.otherwise is None else self.block(node.otherwise)
        return steps.loop(value, targets, body, otherwise, fault)

    def targets(self, pipe: Pipe, dot_box: int) -> steps.Targets:
        """What each turn of a range with *pipe* sets."""
        boxes = (dot_box,) if dot_box else ()
        if pipe.assigns:
            *key, element = pipe.variables
            assigned = [self.assignment(variable.name) for variable in key]
            assigned.append(self.assignment(element.name, boxed=True))
            return steps.Targets(boxes=boxes, assigned=tuple(assigned))
        if not pipe.variables:
            return steps.Targets(boxes=boxes)
        declared = self.known[-len(pipe.variables) :]
        if self.tracks_boxes:
            boxes = (*boxes, declared[-1].box)
        key_slot = declared[0].slot if len(declared) > 1 else 0
        return steps.Targets(key_slot, declared[-1].slot, boxes)

    def call_template(self, node: Call) -> Step:
        if node.name not in self.defined:
            return self.failing(f"template {quote(node.name)} not defined")
        fault = self.fault(node)
        value = expressions.absent if node.pipe is None else self.pipe(node.pipe)
        return steps.call(self.routines, node.name, value, fault)

    # Variables.

    def declare(self, name: str, *, element: bool) -> None:
        slot, box = self.slot(), self.slot()
        self.known.append(_Known(name, slot, box, certain=not self.doubtful, element=element))

    def candidates(self, name: str) -> list[_Known]:
        """The variables that *name* may mean, innermost first, up to the first certain one."""
        found: list[_Known] = []
        for known in reversed(self.known):
            if known.name == name:
                found.append(known)
                if known.certain:
                    break
        return found

    def variable(self, node: Variable) -> Expression:
        found = self.candidates(node.name)
        if len(found) == 1 and found[0].certain:
            return expressions.slot(found[0].slot)
        numbers = [known.slot for known in found]
        fault = self.fault(node)

        def read(_dot: Value, frame: Frame) -> Value:
            for number in numbers:
                if frame.values[number] is not UNSET:
                    return frame.values[number]
            raise fault.because(f"undefined variable: {node.name}")

        return read

    def assignment(self, name: str, *, boxed: bool = False) -> Assign:
        """What gives a variable a value; *boxed*: one in an interface {}."""
        found = self.candidates(name)
        fault = self.fault()

        def assign(frame: Frame, value: Value) -> None:
            for known in found:
                if known.certain or frame.values[known.slot] is not UNSET:
                    frame.values[known.slot] = value
                    frame.values[known.box] = boxed
                    return
            raise fault.because(f"undefined variable: {name}")

        return assign

    # Pipelines.

    def pipe(self, node: Pipe, *, bare: bool = False, loops: bool = False) -> Expression:
        """The value of a pipeline.

        It is never nil in an interface, unless *bare* says that nobody would notice. *loops*:
        the pipeline is that of a range.
        """
        self.last = node
        value: Expression | None = None
        for command in node.commands:
            bare_value = self.command(command, value)
            skips = bare and command is node.commands[-1] and not node.variables
            value = bare_value if skips or _never_nil(command) else expressions.unboxed(bare_value)
        assert value is not None
        if not node.variables:
            return value
        if node.assigns:
            targets = [self.assignment(variable.name) for variable in node.variables]
            return expressions.storing(value, tuple(targets))
        for variable in node.variables:
            self.declare(variable.name, element=loops and variable is node.variables[-1])
        declared = self.known[-len(node.variables) :]
        if len(declared) == 1 and declared[0].name not in self.assigned:
            return expressions.storing_one(value, declared[0].slot)
        return expressions.storing(value, tuple(map(_declaration, declared)))

    def command(self, node: Command, final: Expression | None) -> Expression:
        """The value of a command; *final* gives its last argument, from the command before."""
        first, *rest = node.arguments
        given = bool(rest) or final is not None
        match first:
            case Identifier():
                return self.function(first, node, tuple(rest), final)
            case Field() | Chain():
                return self.member(first, final, arguments=len(rest), given=given)
            case Variable() if first.fields:
                return self.member(first, final, arguments=len(rest), given=given)
            case Pipe():
                if given:
                    return self.no_function(first, final)
                return self.pipe(first)
        self.last = first
        if given:
            return self.no_function(first, final)
        if isinstance(first, Variable):
            return self.variable(first)
        if isinstance(first, Nil):
            return self.failing("nil is not a command")
        return self.simple(first)

    def no_function(self, node: Operand, final: Expression | None) -> Expression:
        return self.failing(f"can't give argument to non-function {written(node)}", final)

    def simple(self, node: Operand) -> Expression:
        """A dot or a constant."""
        match node:
            case Dot():
                return expressions.dot_itself
            case Bool():
                return expressions.constant(node.value)
            case StringLiteral():
                return expressions.constant(_own_text(node.value))
            case NumberLiteral():
                if isinstance(node.value, Overflow):
                    return self.failing(f"{node.text} overflows int")
                return expressions.constant(node.value)
            case _:
                return expressions.absent

    # Fields.

    def member(
        self,
        node: Field | Variable | Chain,
        final: Expression | None,
        *,
        arguments: int = 0,
        given: bool = False,
    ) -> Expression:
        self.last = node
        receiver: Expression | None = None
        boxed = self.dot_is_element
        match node:
            case Field():
                names = node.names
            case Variable():
                names = node.fields
                receiver = self.variable(node)
                boxed = any(known.element for known in self.candidates(node.name))
            case Chain():
                names = node.fields
                receiver = self.argument(node.node)
                boxed = False
        fields = Lookup(names, self.missing, self.fault(), starts_boxed=boxed)
        if given:
            return lookup.field_with_arguments(fields, receiver, final, arguments)
        return lookup.field(fields, receiver)

    def own(self, node: Field, getters: Getters) -> Expression:
        """One field of the dot; how structs are asked for it is learned into *getters*."""
        self.last = node
        names, boxed = node.names, self.dot_is_element
        fields = Lookup(names, self.missing, self.fault(), starts_boxed=boxed)
        return lookup.field(fields, None, getters)

    # Functions.

    def function(
        self,
        node: Identifier,
        call: Command | Identifier,
        arguments: tuple[Operand, ...],
        final: Expression | None,
    ) -> Expression:
        self.last = node
        name = node.name
        count = len(arguments) + (final is not None)
        if name in SHORT_CIRCUITS:
            if not count:
                return self.failing(wrong_count(name, "at least 1", 0))
            return self.short_circuit(name, arguments, final)
        function = self.functions.get(name)
        if function is None:
            return self.failing(f"{quote(name)} is not a defined function", final)
        if function.variadic and count < function.fixed:
            wanted = f"at least {function.fixed}"
            return self.failing(wrong_count(name, wanted, len(arguments)), final)
        if not function.variadic and count != function.fixed:
            return self.failing(wrong_count(name, str(function.fixed), count), final)
        if name == "eq" and len(arguments) == 2 and final is None:
            expected = _plain_constant(arguments[1])
            if expected is not None:
                return self.equals(function, call, arguments, expected)
        return self.call(function, name, call, arguments, final)

    def equals(
        self,
        function: Function,
        call: Command | Identifier,
        arguments: tuple[Operand, ...],
        expected: Value,
    ) -> Expression:
        left, right = arguments
        getters: Getters = {}
        if isinstance(left, Field) and len(left.names) == 1:
            value = self.own(left, getters)
        else:
            value = self.argument(left)
        self.last = right
        return expressions.equals(value, expected, function.call, self.fault(call), getters)

    def call(
        self,
        function: Function,
        name: str,
        call: Command | Identifier,
        arguments: tuple[Operand, ...],
        final: Expression | None,
    ) -> Expression:
        values = [
            self.argument(
                each,
                text=_wants_text(function, number),
                bound=name == "slice" and number > 0,
            )
            for number, each in enumerate(arguments)
        ]
        fault = self.fault(call)
        if name == "call":
            callee = written(arguments[0]) if arguments else None
            refusal = expressions.refusal(callee)
            function = Function(refusal, fixed=1, variadic=True)
        if final is not None:
            last: Expression = expressions.final_value
            if _wants_text(function, len(values)):
                last = expressions.text_only(last, self.fault())
            values.append(last)
        return expressions.calling(function, name, tuple(values), final, fault)

    def short_circuit(
        self, name: str, arguments: tuple[Operand, ...], final: Expression | None
    ) -> Expression:
        values = [self.argument(each) for each in arguments[:1]]
        before = len(self.known)
        self.doubtful += 1
        values.extend([self.argument(each) for each in arguments[1:]])
        self.doubtful -= 1
        skipped = tuple(known.slot for known in self.known[before:])
        return expressions.short_circuit(tuple(values), final, skipped, decisive=name == "or")

    def argument(self, node: Operand, *, text: bool = False, bound: bool = False) -> Expression:
        """An argument; *text*: it must be a string, *bound*: slice gets it."""
        self.last = node
        if text and isinstance(node, Nil):
            return self.failing("cannot assign nil to string")
        if text and isinstance(node, Bool | NumberLiteral):
            return self.failing(f"expected string; found {written(node)}")
        value = self.operand(node)
        if text and not isinstance(node, StringLiteral):
            return expressions.text_only(value, self.fault())
        boxed = self.boxed(node) if bound else None
        return value if boxed is None else expressions.hiding(value, boxed)

    def operand(self, node: Operand) -> Expression:
        match node:
            case Identifier():
                return self.function(node, node, (), None)
            case Field() | Chain():
                return self.member(node, None)
            case Variable():
                return self.member(node, None) if node.fields else self.variable(node)
            case Pipe():
                return self.pipe(node)
            case _:
                return self.simple(node)

    def boxed(self, node: Operand) -> _Boxed | None:
        """Whether the value of *node* lies in an interface {}; None: it never does."""
        match node:
            case Dot():
                box = self.dot_box
                return (lambda _dot, frame: bool(frame.values[box])) if box else None
            case Variable() if not node.fields:
                return self.variable_boxed(node)
            case Field() | Variable() | Chain():
                last = self.last
                holder = self.operand(_holder(node))
                self.last = last
                name = (node.names if isinstance(node, Field) else node.fields)[-1]
                return lambda dot, frame: holds_boxed(holder(dot, frame), name)
            case _:
                return None

    def variable_boxed(self, node: Variable) -> _Boxed | None:
        found = self.candidates(node.name)
        if node.name not in self.assigned and not any(known.element for known in found):
            return None

        def boxed(_dot: Value, frame: Frame) -> bool:
            for known in found:
                if known.certain or frame.values[known.slot] is not UNSET:
                    return frame.values[known.box] is True
            return False

        return boxed


def _declaration(known: _Known) -> Assign:
    def declare(frame: Frame, value: Value) -> None:
        frame.values[known.slot] = value
        frame.values[known.box] = False

    return declare


def _assigned_names(block: Block) -> frozenset[str]:
    """The variables that *block* assigns with ``=``."""
    pipes = (node for node in descendants(block) if isinstance(node, Pipe) and node.assigns)
    return frozenset(variable.name for pipe in pipes for variable in pipe.variables)


def _own_field(pipe: Pipe) -> Field | None:
    """The field of the dot that is all of *pipe*, if it is that."""
    first = pipe.commands[0].arguments[0]
    single = len(pipe.commands) == 1 == len(pipe.commands[0].arguments)
    return first if single and isinstance(first, Field) and len(first.names) == 1 else None


def _own_text(text: str) -> str:
    """*text* of the template itself."""
    return Traced.of(text, TEMPLATE) if text else ""


def _with_texts(nodes: tuple[Statement, ...]) -> Iterator[tuple[str, Statement, str]]:
    """*nodes*, where an action that writes comes with the text before it, or the one behind.

    A text between two such actions goes to the second.
    """
    at = 0
    while at < len(nodes):
        node = nodes[at]
        before = after = ""
        if isinstance(node, Text) and _writes(nodes, at + 1):
            before = node.text
            at += 1
            node = nodes[at]
        if _writes(nodes, at) and not _writes(nodes, at + 2) and at + 1 < len(nodes):
            following = nodes[at + 1]
            if isinstance(following, Text):
                after = following.text
                at += 1
        yield before, node, after
        at += 1


def _writes(nodes: tuple[Statement, ...], at: int) -> bool:
    """Is there an action that writes at *at*?"""
    node = nodes[at] if at < len(nodes) else None
    return isinstance(node, Action) and not node.pipe.variables


def _never_nil(command: Command) -> bool:
    """Can *command* not give nil in an interface?"""
    first = command.arguments[0]
    if isinstance(first, Identifier):
        return first.name not in _MAY_GIVE_NIL
    return isinstance(first, StringLiteral | NumberLiteral | Bool | Pipe)


def _plain_constant(node: Operand) -> Value:
    """The value of a literal of a simple type, else None."""
    if isinstance(node, StringLiteral | Bool):
        return node.value
    if isinstance(node, NumberLiteral) and isinstance(node.value, int | float):
        return node.value
    return None


def _wants_text(function: Function, number: int) -> bool:
    return function.texts and (number < function.fixed or not function.fixed)


def _holder(node: Field | Variable | Chain) -> Operand:
    """*node* without its last field."""
    match node:
        case Field():
            names = node.names[:-1]
            return Field(node.start, names) if names else Dot(node.start)
        case Variable():
            return Variable(node.start, node.name, node.fields[:-1])
        case Chain():
            fields = node.fields[:-1]
            return Chain(node.start, node.node, fields) if fields else node.node


def _may_jump(node: Statement) -> bool:
    """Can *node* send break or continue to the loop around it?"""
    match node:
        case Jump():
            return True
        case Branch():
            inside = () if node.kind == "range" else node.body.nodes
            otherwise = () if node.otherwise is None else node.otherwise.nodes
            return any(map(_may_jump, (*inside, *otherwise)))
        case _:
            return False
