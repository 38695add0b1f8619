"""What a chat template can do, read off its text.

Source: the reference's own guesses (spec of TEMPLATE, "Capabilities and tag inference").
"""

from collections.abc import Iterator
from dataclasses import dataclass

from mbuild.compiler.template.tree import (
    Action,
    Block,
    Branch,
    Call,
    Chain,
    Field,
    Node,
    Statement,
    Text,
    Tree,
    Variable,
    children,
    descendants,
)

_ROUND_TRIPS = ('eq .Role "tool"', "tool_response", "TOOL_RESULTS")
_NO_TAG = "{"


@dataclass(frozen=True, slots=True)
class Tags:
    """The texts around a model's thinking."""

    opening: str
    closing: str


def variables(tree: Tree) -> tuple[str, ...]:
    """Every name that *tree* uses, in lower case, sorted.

    Names are the links of field chains and of variables. What stands in parentheses that are
    followed by a field is not looked at.
    """
    names: set[str] = set()
    for block in tree.templates.values():
        names.update(name.lower() for name in _names(block))
    return tuple(sorted(names))


def _names(node: Node) -> Iterator[str]:
    match node:
        case Field():
            yield from node.names
        case Variable():
            yield node.name
            yield from node.fields
        case Chain():
            return
        case _:
            for child in children(node):
                yield from _names(child)


def call_without_data(tree: Tree) -> Call | None:
    """The first ``{{template "x"}}`` without an argument, which the reference refuses."""
    calls = (
        node
        for block in tree.templates.values()
        for node in descendants(block)
        if isinstance(node, Call) and node.pipe is None
    )
    return next(calls, None)


def has_tool_round_trip(tree: Tree, names: tuple[str, ...]) -> bool:
    """Can a template with the variables *names* render calls and their results?"""
    calls = "tools" in names and "toolcalls" in names
    return calls and any(hint in tree.text for hint in _ROUND_TRIPS)


# Thinking.


def thinking_tags(tree: Tree) -> Tags | None:
    """The tags around ``.Thinking`` in the loop over ``.Messages``, if there are both."""
    finder = _ThinkingFinder()
    finder.block(tree.main, over_messages=False)
    if not finder.opening or not finder.closing:
        return None
    return Tags(finder.opening, finder.closing)


class _ThinkingFinder:
    """The tags found so far; a later ``.Thinking`` overrides an earlier one."""

    def __init__(self) -> None:
        self.opening = ""
        self.closing = ""

    def block(self, block: Block, *, over_messages: bool) -> None:
        for node in block.nodes:
            self.statement(node, block, over_messages=over_messages)

    def statement(self, node: Statement, around: Block, *, over_messages: bool) -> None:
        if not isinstance(node, Branch):
            if isinstance(node, Action | Call) and node.pipe and over_messages:
                self.look(node.pipe, around)
            return
        inside = over_messages
        if node.kind == "range":
            inside = _mentions(node.pipe, "Messages", first=True)
        if inside:
            self.look(node.pipe, around)
        self.block(node.body, over_messages=inside)
        if node.otherwise is not None:
            self.block(node.otherwise, over_messages=inside)

    def look(self, node: Node, around: Block) -> None:
        if not _mentions(node, "Thinking", first=True):
            return
        first, last = around.nodes[0], around.nodes[-1]
        if isinstance(first, Text):
            self.opening = first.text.strip()
        if isinstance(last, Text):
            self.closing = last.text.strip()


def _mentions(node: Node, name: str, *, first: bool) -> bool:
    """Does a plain field in *node* have *name*, as its first link or as any?"""
    if isinstance(node, Field):
        return node.names[0] == name if first else name in node.names
    if isinstance(node, Chain):
        return False
    return any(_mentions(child, name, first=first) for child in children(node))


# Tool calls.


def tool_call_tag(tree: Tree) -> str:
    """What a model writes in front of a tool call; ``{`` where nothing can be found."""
    branch = _tool_call_branch(tree.main)
    text = None if branch is None else _first_text(branch.body)
    if text is None:
        return _NO_TAG
    return text.replace("\r\n", "\n").partition("{")[0].strip() or _NO_TAG


def _tool_call_branch(block: Block) -> Branch | None:
    """The first ``if`` on ``.ToolCalls``, outer before inner."""
    for node in block.nodes:
        if not isinstance(node, Branch):
            continue
        if node.kind == "if" and _asks_for_tool_calls(node):
            return node
        for inner in (node.body, node.otherwise):
            found = None if inner is None else _tool_call_branch(inner)
            if found is not None:
                return found
    return None


def _asks_for_tool_calls(node: Branch) -> bool:
    return any(
        isinstance(argument, Field) and "ToolCalls" in argument.names
        for command in node.pipe.commands
        for argument in command.arguments
    )


def _first_text(block: Block) -> str | None:
    """The first text of *block* that is not blank, unless an action comes before it."""
    for node in block.nodes:
        if isinstance(node, Text):
            if node.text.strip():
                return node.text
        elif isinstance(node, Branch):
            found = _first_text(node.body)
            if found is None and node.otherwise is not None:
                found = _first_text(node.otherwise)
            return found
        elif isinstance(node, Action):
            return None
    return None
