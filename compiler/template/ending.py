"""The end of a legacy template: what is rendered for the turn that the model is to answer.

A template that renders turn by turn writes the model's answer with ``.Response``; in the last
turn the answer is still to come, so all that follows it in the text is cut off. The reference
cuts by the text and not by what would run, and so do we.
"""

from mbuild.compiler.template.tree import (
    Action,
    Block,
    Branch,
    Command,
    Field,
    Operand,
    Pipe,
    Statement,
    Tree,
)


def ending(tree: Tree) -> Tree:
    """The main template of *tree* up to its first plain ``.Response``, without its defines.

    Conditions are not looked at. Where the cut falls into the first branch of a construct,
    its else branch goes too (there the reference fails).
    """
    return Tree(tree.text, {"": _Cut().block(tree.main)})


class _Cut:
    """The state of one cut: whether ``.Response`` has been met."""

    def __init__(self) -> None:
        self.met = False

    def block(self, block: Block) -> Block:
        kept: list[Statement] = []
        for node in block.nodes:
            if self.met:
                break
            remaining = self.statement(node)
            if remaining is not None:
                kept.append(remaining)
        return Block(block.start, tuple(kept))

    def statement(self, node: Statement) -> Statement | None:
        match node:
            case Branch():
                body = self.block(node.body)
                keeps_else = node.otherwise is not None and not self.met
                otherwise = self.block(node.otherwise) if keeps_else and node.otherwise else None
                return Branch(node.kind, node.start, node.pipe, body, otherwise)
            case Action():
                pipe = self.pipe(node.pipe)
                return None if pipe is None else Action(node.start, pipe)
            case _:
                return node

    def pipe(self, pipe: Pipe) -> Pipe | None:
        commands: list[Command] = []
        for command in pipe.commands:
            candidates = [self.operand(each) for each in command.arguments]
            kept = tuple(each for each in candidates if each is not None)
            if not kept:
                return None
            commands.append(Command(command.start, kept))
        return Pipe(pipe.start, tuple(commands), pipe.variables, pipe.assigns)

    def operand(self, node: Operand) -> Operand | None:
        if isinstance(node, Field) and "Response" in node.names:
            self.met = True
            return node
        if self.met:
            return None
        return self.pipe(node) if isinstance(node, Pipe) else node
