"""Tokens → tree.

Which texts are templates, and what is said of those that are not, is the reference's; the
tree keeps offsets, so that a fault can be pointed at. Open ``if``s and ``range``s are kept on
a stack of our own, parentheses on Python's, and both are bounded: a text of ten thousand
opening braces is a :class:`BadTemplate` like any other. Source: the text/template
documentation, and its behaviour.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from mbuild.compiler.template.failure import BadTemplate
from mbuild.compiler.template.lexer import Kind, Token, lex
from mbuild.compiler.template.number import parse_complex, parse_number
from mbuild.compiler.template.quote import BadLiteral, quote, unquote, unquote_character
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
    NumberLiteral,
    Operand,
    Pipe,
    Statement,
    StringLiteral,
    Text,
    Tree,
    Variable,
    written,
)

NESTING = 100
"""How deep constructs may nest by default; with it a tree can be walked by recursion."""
_PARENTHESES = 50
_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008" + (
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
_OPERANDS = frozenset(
    (
        Kind.BOOL,
        Kind.CHARACTER,
        Kind.COMPLEX,
        Kind.DOT,
        Kind.FIELD,
        Kind.IDENTIFIER,
        Kind.NUMBER,
        Kind.NIL,
        Kind.RAW_STRING,
        Kind.STRING,
        Kind.VARIABLE,
        Kind.LEFT_PARENTHESIS,
    )
)
_KINDS: dict[Kind, Literal["if", "with", "range"]] = {
    Kind.IF: "if",
    Kind.WITH: "with",
    Kind.RANGE: "range",
}
_JUMPS: dict[Kind, Literal["break", "continue"]] = {
    Kind.BREAK: "break",
    Kind.CONTINUE: "continue",
}


def parse(text: str, functions: Collection[str], *, nesting: int = NESTING) -> Tree:
    """The tree of *text*, which may use *functions*.

    Raises:
        BadTemplate: *text* is no template, or nests deeper than *nesting*.
    """
    parser = _Parser(text, functions, nesting)
    try:
        return parser.parse()
    except RecursionError:  # Little stack was left when we were called.
        raise parser.failure("nested too deeply") from None


def is_empty(block: Block) -> bool:
    """Does *block* hold nothing but blank text?"""
    return all(isinstance(node, Text) and not node.text.strip(_BLANKS) for node in block.nodes)


@dataclass(slots=True)
class _Scope:
    """What is private to one template of a text: its variables, loops and current action."""

    variables: list[str] = field(default_factory=lambda: ["$"])
    loops: int = 0
    action_line: int = 0  # 0: in no action


@dataclass(slots=True)
class _Open:
    """A construct whose ``end`` has not come yet."""

    kind: Literal["if", "with", "range", "define", "block"]
    scope: _Scope  # of what stands around it
    known: int  # how many variables were known before it
    start: int = 0
    name: str = ""
    pipe: Pipe | None = None
    body: Block | None = None  # once its else has come
    chained: bool = False  # an else-if: ends together with its parent
    nodes_start: int = 0
    nodes: list[Statement] = field(default_factory=list)

    def block(self) -> Block:
        return Block(self.nodes_start, tuple(self.nodes))


class _Parser:
    """The state of one parse: the tokens, where we are in them, and what is open."""

    def __init__(self, text: str, functions: Collection[str], nesting: int) -> None:
        self.text = text
        self.functions = functions
        self.nesting = nesting
        self.tokens = lex(text)
        self.at = 0
        self.seen = 0  # the last token looked at, whose line messages name
        self.scope = _Scope()
        self.open: list[_Open] = []
        self.root: list[Statement] = []
        self.parentheses = 0
        self.templates: dict[str, Block] = {}

    # Tokens.

    def next(self) -> Token:
        token = self.tokens[min(self.at, len(self.tokens) - 1)]
        self.seen = max(self.seen, min(self.at, len(self.tokens) - 1))
        self.at += 1
        return token

    def peek(self) -> Token:
        token = self.next()
        self.at -= 1
        return token

    def next_solid(self) -> Token:
        """The next token that is no blank."""
        token = self.next()
        while token.kind is Kind.SPACE:
            token = self.next()
        return token

    def peek_solid(self) -> Token:
        token = self.next_solid()
        self.at -= 1
        return token

    def expect(self, context: str, *kinds: Kind) -> Token:
        token = self.next_solid()
        if token.kind not in kinds:
            self.unexpected(token, context)
        return token

    # Faults.

    def failure(self, reason: str, token: Token | None = None) -> BadTemplate:
        """The fault *reason*, at *token* or else where the parser has got to."""
        line = self.tokens[self.seen].line
        where = token or self.tokens[min(max(self.at - 1, 0), len(self.tokens) - 1)]
        message = f"template: :{line}: {reason}"
        return BadTemplate(message, reason, where.start, where.end)

    def unexpected(self, token: Token, context: str) -> NoReturn:
        if token.kind is not Kind.ERROR:
            raise self.failure(f"unexpected {token} in {context}", token)
        extra = ""
        started = self.scope.action_line
        if started and started != token.line:
            extra = f" started at :{started}"
            if not token.value.endswith(" action"):
                extra = " in action" + extra
        raise self.failure(token.value + extra, token)

    # Statements.

    def parse(self) -> Tree:
        root_start = self.peek().start
        while True:
            if not self.open and self.peek().kind is Kind.END:
                break
            self.statement()
        self.add("", Block(root_start, tuple(self.root)))
        return Tree(self.text, self.templates)

    def add(self, name: str, block: Block) -> None:
        existing = self.templates.get(name)
        if existing is None or is_empty(existing):
            self.templates[name] = block
        elif not is_empty(block):
            raise self.failure(f"template: multiple definition of template {quote(name)}")

    def append(self, node: Statement) -> None:
        (self.open[-1].nodes if self.open else self.root).append(node)

    def statement(self) -> None:
        token = self.next_solid()
        if token.kind is Kind.TEXT:
            self.append(Text(token.start, token.value))
        elif token.kind is Kind.OPEN:
            self.action(token)
        elif token.kind is Kind.END:
            raise self.failure("unexpected EOF", token)
        else:
            self.unexpected(token, "input")

    def action(self, delimiter: Token) -> None:
        token = self.next_solid()
        if token.kind is Kind.DEFINE and not self.open:
            self.define()
            return
        self.scope.action_line = delimiter.line
        if token.kind in _KINDS:
            self.begin(_KINDS[token.kind])
            return
        if token.kind is Kind.BLOCK:
            self.begin_block()
            return
        if token.kind is Kind.ELSE:
            self.otherwise(token)
            return
        if token.kind is Kind.END_WORD:
            self.end(token)
        elif token.kind is Kind.TEMPLATE:
            self.call()
        elif token.kind in _JUMPS:
            self.jump(_JUMPS[token.kind], token)
        else:
            self.at -= 1
            self.append(Action(token.start, self.pipeline("command", Kind.CLOSE)))
        self.scope.action_line = 0

    def jump(self, kind: Literal["break", "continue"], token: Token) -> None:
        following = self.next_solid()
        if following.kind is not Kind.CLOSE:
            self.unexpected(following, "{{" + kind + "}}")
        if not self.scope.loops:
            raise self.failure("{{" + kind + "}} outside {{range}}", token)
        self.append(Jump(kind, token.start))

    def call(self) -> None:
        token = self.next_solid()
        name = self.template_name(token, "template clause")
        pipe = None
        if self.next_solid().kind is not Kind.CLOSE:
            self.at -= 1
            pipe = self.pipeline("template clause", Kind.CLOSE)
        self.append(Call(token.start, name, pipe))

    def template_name(self, token: Token, context: str) -> str:
        if token.kind not in (Kind.STRING, Kind.RAW_STRING):
            self.unexpected(token, context)
        return self.unquoted(token)

    # Constructs.

    def push(self, construct: _Open) -> None:
        if len(self.open) >= self.nesting:
            raise self.failure("nested too deeply")
        self.open.append(construct)
        construct.nodes_start = self.peek_solid().start

    def begin(self, kind: Literal["if", "with", "range"], *, chained: bool = False) -> None:
        known = len(self.scope.variables)
        pipe = self.pipeline(kind, Kind.CLOSE)
        if kind == "range":
            self.scope.loops += 1
        self.push(_Open(kind, self.scope, known, pipe.start, "", pipe, None, chained))

    def define(self) -> None:
        context = "define clause"
        name = self.unquoted(self.expect(context, Kind.STRING, Kind.RAW_STRING))
        self.expect(context, Kind.CLOSE)
        outer = self.scope
        self.scope = _Scope()
        self.push(_Open("define", outer, 0, name=name))

    def begin_block(self) -> None:
        context = "block clause"
        token = self.next_solid()
        name = self.template_name(token, context)
        pipe = self.pipeline(context, Kind.CLOSE)
        outer = self.scope
        self.scope = _Scope()
        self.push(_Open("block", outer, 0, token.start, name, pipe))

    def otherwise(self, token: Token) -> None:
        following = self.peek_solid()
        if following.kind not in (Kind.IF, Kind.WITH):
            self.expect("else", Kind.CLOSE)
        self.scope.action_line = 0
        if not self.open:
            raise self.failure("unexpected {{else}}", token)
        construct = self.open[-1]
        if construct.kind in ("define", "block"):
            raise self.failure(f"unexpected {{{{else}}}} in {construct.kind} clause", token)
        if construct.body is not None:
            raise self.failure("expected end; found {{else}}", token)
        if construct.kind == "range":
            self.scope.loops -= 1
        construct.body = construct.block()
        construct.nodes = []
        construct.nodes_start = following.start
        if _KINDS.get(following.kind) == construct.kind != "range":
            self.next_solid()
            self.begin(_KINDS[following.kind], chained=True)
        else:
            construct.nodes_start = self.peek_solid().start

    def end(self, token: Token) -> None:
        self.expect("end", Kind.CLOSE)
        if not self.open:
            raise self.failure("unexpected {{end}}", token)
        chained = True
        while chained:
            construct = self.open.pop()
            chained = construct.chained
            self.close(construct)

    def close(self, construct: _Open) -> None:
        block = construct.block()
        if construct.kind in ("define", "block"):
            self.add(construct.name, block)
            self.scope = construct.scope
            if construct.pipe is not None:
                self.append(Call(construct.start, construct.name, construct.pipe))
            return
        if construct.kind == "range" and construct.body is None:
            self.scope.loops -= 1
        del self.scope.variables[construct.known :]
        body, otherwise = (block, None) if construct.body is None else (construct.body, block)
        assert construct.pipe is not None
        assert construct.kind != "define"
        assert construct.kind != "block"
        self.append(Branch(construct.kind, construct.start, construct.pipe, body, otherwise))

    # Pipelines.

    def pipeline(self, context: str, end: Kind) -> Pipe:
        start = self.peek_solid().start
        variables, assigns = self.declarations(context)
        commands: list[Command] = []
        while True:
            token = self.next_solid()
            if token.kind is end:
                break
            if token.kind not in _OPERANDS:
                self.unexpected(token, context)
            self.at -= 1
            commands.append(self.command())
        if not commands:
            raise self.failure(f"missing value for {context}")
        for number, command in enumerate(commands[1:], 2):
            if isinstance(command.arguments[0], Bool | Dot | Nil | NumberLiteral | StringLiteral):
                raise self.failure(f"non executable command in pipeline stage {number}")
        return Pipe(start, tuple(commands), tuple(variables), assigns)

    def declarations(self, context: str) -> tuple[list[Variable], bool]:
        """The variables in front of ``:=`` or ``=``, if there are any, and whether it was =."""
        variables: list[Variable] = []
        while True:
            begin = self.at
            token = self.next_solid()
            if token.kind is not Kind.VARIABLE:
                self.at = begin
                return variables, False
            following = self.peek_solid()
            if following.kind in (Kind.ASSIGN, Kind.DECLARE):
                self.next_solid()
                self.declare(token, variables)
                return variables, following.kind is Kind.ASSIGN
            if following.kind is not Kind.SIGN or following.value != ",":
                self.at = begin
                return variables, False
            self.next_solid()
            self.declare(token, variables)
            if context != "range" or len(variables) > 1:
                raise self.failure(f"too many declarations in {context}", token)
            last = self.peek_solid().kind
            if last not in (Kind.VARIABLE, Kind.CLOSE, Kind.RIGHT_PARENTHESIS):
                raise self.failure("range can only initialize variables", token)

    def declare(self, token: Token, variables: list[Variable]) -> None:
        variables.append(Variable(token.start, token.value))
        self.scope.variables.append(token.value)

    def command(self) -> Command:
        start = self.peek_solid().start
        arguments: list[Operand] = []
        while True:
            self.peek_solid()
            operand = self.operand()
            if operand is not None:
                arguments.append(operand)
            token = self.next()
            if token.kind is Kind.SPACE:
                continue
            if token.kind in (Kind.CLOSE, Kind.RIGHT_PARENTHESIS):
                self.at -= 1
            elif token.kind is not Kind.PIPE:
                self.unexpected(token, "operand")
            break
        if not arguments:
            raise self.failure("empty command")
        return Command(start, tuple(arguments))

    def operand(self) -> Operand | None:
        node = self.term()
        if node is None or self.peek().kind is not Kind.FIELD:
            return node
        start = self.peek().start
        names: list[str] = []
        while self.peek().kind is Kind.FIELD:
            names.append(self.next().value[1:])
        match node:
            case Field():
                return Field(start, (*node.names, *names))
            case Variable():
                return Variable(start, node.name, (*node.fields, *names))
            case Pipe() | Identifier():
                return Chain(start, node, tuple(names))
            case _:
                raise self.failure(f"unexpected . after term {quote(written(node))}")

    def term(self) -> Operand | None:
        token = self.next_solid()
        match token.kind:
            case Kind.IDENTIFIER:
                if token.value not in self.functions:
                    raise self.failure(f"function {quote(token.value)} not defined", token)
                return Identifier(token.start, token.value)
            case Kind.DOT:
                return Dot(token.start)
            case Kind.NIL:
                return Nil(token.start)
            case Kind.VARIABLE:
                if token.value not in self.scope.variables:
                    raise self.failure(f"undefined variable {quote(token.value)}", token)
                return Variable(token.start, token.value)
            case Kind.FIELD:
                return Field(token.start, (token.value[1:],))
            case Kind.BOOL:
                return Bool(token.start, token.value == "true")
            case Kind.CHARACTER | Kind.COMPLEX | Kind.NUMBER:
                return self.number(token)
            case Kind.LEFT_PARENTHESIS:
                return self.parenthesized(token)
            case Kind.STRING | Kind.RAW_STRING:
                return StringLiteral(token.start, token.value, self.unquoted(token))
            case _:
                self.at -= 1
                return None

    def parenthesized(self, token: Token) -> Pipe:
        self.parentheses += 1
        if self.parentheses > _PARENTHESES:
            raise self.failure("nested too deeply", token)
        pipe = self.pipeline("parenthesized pipeline", Kind.RIGHT_PARENTHESIS)
        self.parentheses -= 1
        return pipe

    # Literals.

    def unquoted(self, token: Token) -> str:
        try:
            return unquote(token.value)
        except BadLiteral as bad:
            raise self.failure(str(bad), token) from None

    def number(self, token: Token) -> NumberLiteral:
        read = {Kind.CHARACTER: unquote_character, Kind.COMPLEX: parse_complex}.get(
            token.kind, parse_number
        )
        try:
            return NumberLiteral(token.start, token.value, read(token.value))
        except BadLiteral as bad:
            raise self.failure(str(bad), token) from None
