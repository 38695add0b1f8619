"""The tree of a template, and its text.

Every node knows where it starts (an offset in characters); :func:`written` gives back the
text of a node in the reference's own layout, which its error messages quote. Blanks inside
actions, comments and trim markers are not kept.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from mbuild.compiler.template.number import Number
from mbuild.compiler.template.quote import quote


@dataclass(frozen=True, slots=True)
class Dot:
    """``.``"""

    start: int


@dataclass(frozen=True, slots=True)
class Nil:
    """``nil``"""

    start: int


@dataclass(frozen=True, slots=True)
class Bool:
    """``true`` or ``false``."""

    start: int
    value: bool


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    """A number or a character; *text* as the author wrote it."""

    start: int
    text: str
    value: Number


@dataclass(frozen=True, slots=True)
class StringLiteral:
    """A string; *quoted* as the author wrote it."""

    start: int
    quoted: str
    value: str


@dataclass(frozen=True, slots=True)
class Identifier:
    """The name of a function."""

    start: int
    name: str


@dataclass(frozen=True, slots=True)
class Field:
    """``.A.B``, looked up in the dot."""

    start: int
    names: tuple[str, ...]  # at least one


@dataclass(frozen=True, slots=True)
class Variable:
    """``$x.A.B``, ``$x`` or ``$``."""

    start: int
    name: str  # with its $
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """``(pipeline).A.B`` or ``function.A``."""

    start: int  # of the first field
    node: "Pipe | Identifier"
    fields: tuple[str, ...]  # at least one


@dataclass(frozen=True, slots=True)
class Command:
    """An operand, or a function and its arguments."""

    start: int
    arguments: "tuple[Operand, ...]"  # at least one


@dataclass(frozen=True, slots=True)
class Pipe:
    """Commands joined by ``|``, and the variables that get the result."""

    start: int
    commands: tuple[Command, ...]  # at least one
    variables: tuple[Variable, ...] = ()
    assigns: bool = False  # = rather than :=


Operand = (
    Dot | Nil | Bool | NumberLiteral | StringLiteral | Identifier | Field | Variable | Chain | Pipe
)


@dataclass(frozen=True, slots=True)
class Text:
    """Text to copy."""

    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """``{{pipeline}}``"""

    start: int
    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Branch:
    """``if``, ``with`` or ``range``; ``else if`` is a branch alone in *otherwise*."""

    kind: Literal["if", "with", "range"]
    start: int
    pipe: Pipe
    body: "Block"
    otherwise: "Block | None"


@dataclass(frozen=True, slots=True)
class Call:
    """``{{template "name" pipeline}}``"""

    start: int  # of the name
    name: str
    pipe: Pipe | None


@dataclass(frozen=True, slots=True)
class Jump:
    """``{{break}}`` or ``{{continue}}``."""

    kind: Literal["break", "continue"]
    start: int


@dataclass(frozen=True, slots=True)
class Block:
    """Nodes in order."""

    start: int
    nodes: "tuple[Statement, ...]" = ()


Statement = Text | Action | Branch | Call | Jump
Node = Statement | Block | Command | Operand


@dataclass(frozen=True, slots=True)
class Tree:
    """A parsed text: its main template, under the empty name, and those that it defines."""

    text: str
    templates: Mapping[str, Block]

    @property
    def main(self) -> Block:
        """The main template."""
        return self.templates[""]


def written(node: Node) -> str:
    """The text of *node* as the reference prints it."""
    return "".join(_pieces(node))


def _pieces(node: Node) -> Iterator[str]:
    match node:
        case Block():
            for child in node.nodes:
                yield from _pieces(child)
        case Text():
            yield node.text
        case Action():
            yield "{{" + _pipe(node.pipe) + "}}"
        case Branch():
            yield "{{" + node.kind + " " + _pipe(node.pipe) + "}}"
            yield from _pieces(node.body)
            if node.otherwise is not None:
                yield "{{else}}"
                yield from _pieces(node.otherwise)
            yield "{{end}}"
        case Call():
            argument = "" if node.pipe is None else " " + _pipe(node.pipe)
            yield "{{template " + quote(node.name) + argument + "}}"
        case Jump():
            yield "{{" + node.kind + "}}"
        case Command():
            yield _command(node)
        case _:
            yield _operand(node)


def _pipe(pipe: Pipe) -> str:
    commands = " | ".join([_command(command) for command in pipe.commands])
    if not pipe.variables:
        return commands
    names = ", ".join([variable.name for variable in pipe.variables])
    return f"{names} {'=' if pipe.assigns else ':='} {commands}"


def _command(command: Command) -> str:
    return " ".join(
        [
            f"({_pipe(argument)})" if isinstance(argument, Pipe) else _operand(argument)
            for argument in command.arguments
        ]
    )


def _operand(node: Operand) -> str:
    match node:
        case Dot():
            return "."
        case Nil():
            return "nil"
        case Bool():
            return "true" if node.value else "false"
        case NumberLiteral():
            return node.text
        case StringLiteral():
            return node.quoted
        case Identifier():
            return node.name
        case Field():
            return _dotted(node.names)
        case Variable():
            return node.name + _dotted(node.fields)
        case Chain():
            inner = node.node
            head = f"({_pipe(inner)})" if isinstance(inner, Pipe) else inner.name
            return head + _dotted(node.fields)
        case Pipe():
            return _pipe(node)


def _dotted(names: tuple[str, ...]) -> str:
    return "".join(["." + name for name in names])


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly inside *node*, in the order of the text."""
    match node:
        case Block():
            return node.nodes
        case Action():
            return (node.pipe,)
        case Branch():
            blocks = (node.body,) if node.otherwise is None else (node.body, node.otherwise)
            return (node.pipe, *blocks)
        case Call():
            return () if node.pipe is None else (node.pipe,)
        case Pipe():
            return node.commands
        case Command():
            return node.arguments
        case Chain():
            return (node.node,)
        case _:
            return ()


def descendants(node: Node) -> Iterator[Node]:
    """*node* and everything inside it, in the order of the text."""
    pending: list[Node] = [node]
    while pending:
        current = pending.pop()
        yield current
        pending.extend(reversed(children(current)))
