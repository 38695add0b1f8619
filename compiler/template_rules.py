"""What is wrong or doubtful about a TEMPLATE, told in the Modelfile.

A template's text gives `Facts`, or the `Fault` for which it is none. Neither depends on the
Modelfile around it, so both can be recorded; the rules then place them in the source.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mbuild.compiler.characters import is_kept
from mbuild.compiler.diagnostic import Code, Diagnostic, Span
from mbuild.compiler.recipe import Located

if TYPE_CHECKING:
    from mbuild.compiler.template.failure import BadTemplate
    from mbuild.compiler.template.tree import (
        Block,
        Branch,
        Node,
        Pipe,
        Statement,
        Tree,
    )

VARIABLES = (
    *("System", "Messages", "Tools", "Prompt", "Suffix", "Response"),
    *("Think", "ThinkLevel", "IsThinkSet"),
)
"""What a template is given (template specification, section 3.1)."""

_OF_A_MESSAGE = (*("Role", "Content", "Thinking", "Images", "ToolCalls", "ToolName", "ToolCallID"),)

# What authors of other templates call it.
_OTHER_NAMES = {
    **dict.fromkeys(("user", "usermessage", "input", "question", "query", "instruction"), "Prompt"),
    **dict.fromkeys(("systemprompt", "systemmessage", "sys"), "System"),
    **dict.fromkeys(("answer", "assistant", "output", "completion"), "Response"),
    **dict.fromkeys(("history", "conversation", "chat"), "Messages"),
    **dict.fromkeys(("functions",), "Tools"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a text is no template: *start* and *end* are offsets in its characters."""

    message: str  # in the reference's words
    reason: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """A variable that no template is given, and where its name stands, with its dot."""

    name: str
    start: int  # characters
    in_message: bool  # where the dot is a message


@dataclass(frozen=True, slots=True)
class Opening:
    """A text with which a rendering may begin."""

    text: str
    start: int  # characters


@dataclass(frozen=True, slots=True)
class Facts:
    """What a template uses, and how what it writes begins."""

    names: frozenset[str]  # of all fields, in lower case
    unknown: tuple[Unknown, ...] = ()
    openings: tuple[Opening, ...] = ()

    @property
    def has_system(self) -> bool:
        """Whether a system text has a place."""
        return not self.names.isdisjoint(("system", "messages"))

    @property
    def has_prompt(self) -> bool:
        """Whether what the user says has a place."""
        return not self.names.isdisjoint(("prompt", "messages"))


def encode(facts: Facts) -> dict[str, list[Any]]:
    """*facts* as JSON can hold them."""
    return {
        "names": sorted(facts.names),
        "unknown": [[each.name, each.start, each.in_message] for each in facts.unknown],
        "openings": [[each.text, each.start] for each in facts.openings],
    }


def decode(value: Mapping[str, list[Any]]) -> Facts:
    """The facts that :func:`encode` made *value* of."""
    return Facts(
        names=frozenset(value["names"]),
        unknown=tuple(
            Unknown(name, start, in_message=inside) for name, start, inside in value["unknown"]
        ),
        openings=tuple(Opening(text, start) for text, start in value["openings"]),
    )


def examine(text: str) -> Facts | Fault:
    """What there is to say of the template *text*, wherever it stands."""
    # Imported here: a template is examined once.
    from mbuild.compiler.template.failure import BadTemplate
    from mbuild.compiler.template.reading import read

    try:
        tree = read(text)
    except BadTemplate as bad:
        start, end = _blamed(text, bad)
        # The line in the reference's words is one of the value, not of the file.
        reason = bad.reason.partition(" started at :")[0].removesuffix(" in action")
        return Fault(bad.message, reason, start, end)
    return _facts(tree)


def _blamed(text: str, bad: "BadTemplate") -> tuple[int, int]:
    """What of *text* to point at: where an action is not closed, at the braces that open it."""
    opening = text.rfind("{{", 0, bad.start)
    if bad.reason.startswith("unclosed action") and opening >= 0:
        return opening, opening + 2
    return bad.start, bad.end


def place(located: Located, start: int, end: int) -> Span:
    """The characters of the file that are ``located.text[start:end]``; never outside the value."""
    return _place(located, _offsets(located), start, end)


def _place(located: Located, offsets: Sequence[int], start: int, end: int) -> Span:
    span = located.span
    if not offsets:
        return span
    behind = min(offsets[-1] + 1, span.end)
    first = offsets[start] if start < len(offsets) else behind
    last = offsets[min(end, len(offsets)) - 1] + 1 if end > start else first
    return span.source.span(first, max(first, last))


def fault(located: Located, found: Fault, *, teach: bool) -> Diagnostic:
    """The finding about a TEMPLATE that is none, in our words or, unless *teach*, in Ollama's."""
    span = place(located, found.start, found.end)
    if not teach:
        return Diagnostic(Code.TEMPLATE_ERROR, f"template error: {found.message}", span)
    message = f"template error: {found.reason}"
    return Diagnostic(Code.TEMPLATE_ERROR, message, span, _about_fault(found.reason))


_HINTS = (
    ("unclosed action", "an action ends with }}"),
    ("unexpected EOF", "each if, range, with, block and define needs its {{ end }}"),
    ("unexpected {{end}}", "there is no if, range or with left that it could end"),
    ("unexpected {{else}}", "it belongs between {{ if }} and {{ end }}, once"),
    ("unterminated", "a text in an action ends with its quote, on the same line"),
    ("malformed character", "a text stands in double quotes"),
    ("missing value for command", "an action needs something to write, such as {{ .Prompt }}"),
    ("missing value for", "say what it is about, as in {{ if .System }}"),
    ('unexpected "="', 'there are no operators: write eq .Role "user"'),
    ("U+005B", "write index .Messages 0"),
    ("outside {{range}}", "it belongs between {{ range }} and its {{ end }}"),
    ("undefined variable", "write {{ $x := … }} first, in the same construct or around it"),
    ("undefined template specified", 'say what the template is about: {{ template "name" . }}'),
    ("unclosed comment", "a comment ends with */}}"),
)


def _about_fault(reason: str) -> str | None:
    hint = next((hint for words, hint in _HINTS if words in reason), None)
    if hint is not None or not reason.startswith("function "):
        return hint
    near = _nearest(reason.split('"')[1].partition(".")[0], VARIABLES)
    return f"did you mean .{near}?" if near else "a variable begins with a dot, as in .Prompt"


def warnings(located: Located, facts: Facts) -> tuple[Diagnostic, ...]:
    """What the template alone makes doubtful."""
    return (*_unknown(located, facts), *_without_prompt(located, facts))


def ignored_system(facts: Facts, at: Span, *, inherited: bool) -> tuple[Diagnostic, ...]:
    """A finding if a system text, told of at *at*, has no place; *inherited* is the other one."""
    if facts.has_system:
        return ()
    message = "the template has no place for the system text, so the model never sees it"
    hint = "write {{ .System }} where it belongs"
    if inherited:
        hint = f"one of the two comes from the base model; {hint}"
    return (Diagnostic(Code.SYSTEM_IGNORED, message, at, hint),)


def double_bos(located: Located, facts: Facts, bos: str) -> tuple[Diagnostic, ...]:
    """Findings where what is written begins with *bos*, which the vocabulary adds by itself."""
    starts = [each.start for each in facts.openings if bos and each.text.startswith(bos)]
    if not starts:
        return ()
    offsets = _offsets(located)
    message = f"the template begins with {bos}, which the vocabulary adds by itself"
    hint = "leave it out, or a runtime may send it twice"
    spans = (_place(located, offsets, start, start + len(bos)) for start in starts)
    return tuple(Diagnostic(Code.DOUBLE_BOS, message, span, hint) for span in spans)


def _unknown(located: Located, facts: Facts) -> Iterator[Diagnostic]:
    offsets = _offsets(located) if facts.unknown else []
    for unknown in facts.unknown:
        end = unknown.start + 1 + len(unknown.name)
        span = _place(located, offsets, unknown.start, end)
        what = "a message has no field" if unknown.in_message else "unknown variable"
        message = f"{what} .{unknown.name}"
        yield Diagnostic(Code.UNKNOWN_VARIABLE, message, span, _about_variable(unknown))


def _about_variable(unknown: Unknown) -> str:
    name, known = unknown.name, _OF_A_MESSAGE if unknown.in_message else VARIABLES
    if unknown.in_message and name in VARIABLES:
        return f"inside the range over .Messages write $.{name}"
    if not unknown.in_message and name in _OF_A_MESSAGE:
        return f"it is a message's: {{{{ range .Messages }}}}{{{{ .{name} }}}}{{{{ end }}}}"
    near = _nearest(name, known)
    listed = ", ".join("." + each for each in known)
    return f"did you mean .{near}?" if near else f"there are {listed}"


def _nearest(name: str, known: tuple[str, ...]) -> str | None:
    plain = {each.lower(): each for each in known}
    word = name.lower().replace("_", "")
    other = _OTHER_NAMES.get(word)
    if other in known:
        return other
    # Imported here: only a mistake needs it.
    from difflib import get_close_matches

    close = get_close_matches(word, plain, n=1)
    return plain[close[0]] if close else None


def _without_prompt(located: Located, facts: Facts) -> tuple[Diagnostic, ...]:
    if facts.has_prompt:
        return ()
    message = "the template has no place for what the user says"
    hint = "write {{ .Prompt }}, or {{ .Content }} inside {{ range .Messages }}"
    if "{%" in located.text:
        hint = "this is Jinja, and TEMPLATE is Go's language; docs/template.md compares them"
    return (Diagnostic(Code.NO_USER_MESSAGE, message, located.span, hint),)


def _offsets(located: Located) -> list[int]:
    """For each character of the value where it stands in the file."""
    span, size = located.span, len(located.text)
    raw = span.text
    every = range(len(raw))
    # The reference drops some characters, our own reading none.
    for indices in (every, [index for index in every if is_kept(raw[index])]):
        quotes, odd = divmod(len(indices) - size, 2)
        if odd or quotes not in (0, 1, 3):
            continue
        inside = indices[quotes : quotes + size]
        if "".join([raw[index] for index in inside]) == located.text:
            return [span.start + index for index in inside]
    # Dropped characters stand among the quotes; or these are the lines between <<WORD and WORD.
    start = raw.find(located.text) if raw.startswith("<<") else raw.rfind(located.text)
    if start < 0:
        return []  # A text made with ${NAME} stands nowhere.
    return [span.start + index for index in every[start : start + size]]


def _facts(tree: "Tree") -> Facts:
    from mbuild.compiler.template.tree import Chain, Field, Variable, descendants

    names: set[str] = set()
    for block in tree.templates.values():
        for node in descendants(block):
            match node:
                case Field():
                    names.update(map(str.lower, node.names))
                case Variable() | Chain():
                    names.update(map(str.lower, node.fields))
    unknown = sorted(_unknown_in(tree.main, "root"), key=lambda each: each.start)
    return Facts(frozenset(names), tuple(unknown), tuple(_openings(tree.main)))


def _unknown_in(node: "Node", dot: str) -> Iterator[Unknown]:
    """The unknown variables in *node*, where the dot is the root, a message or something else."""
    from mbuild.compiler.template.tree import Branch, Field, Variable, children

    match node:
        case Field(names=(name, *_)) if dot == "root" and name not in VARIABLES:
            yield Unknown(name, _first(node.start, node.names), in_message=False)
        case Field(names=(name, *_)) if dot == "message" and name not in _OF_A_MESSAGE:
            yield Unknown(name, _first(node.start, node.names), in_message=True)
        case Variable(name="$", fields=(name, *_)) if name not in VARIABLES:
            yield Unknown(name, _first(node.start, node.fields), in_message=False)
        case Branch():
            yield from _unknown_in(node.pipe, dot)
            yield from _unknown_in(node.body, _dot_inside(node, dot))
            if node.otherwise is not None:
                yield from _unknown_in(node.otherwise, dot)
        case _:
            for child in children(node):
                yield from _unknown_in(child, dot)


def _first(start: int, names: tuple[str, ...]) -> int:
    """Where the first of *names* stands, with its dot: a node starts at its last one."""
    return start - sum(len(name) + 1 for name in names[:-1])


def _dot_inside(branch: "Branch", dot: str) -> str:
    if branch.kind == "if":
        return dot
    return "message" if branch.kind == "range" and _is_messages(branch.pipe, dot) else "other"


def _is_messages(pipe: "Pipe", dot: str) -> bool:
    from mbuild.compiler.template.tree import Field, Variable

    match [argument for command in pipe.commands for argument in command.arguments]:
        case [Field(names=("Messages",))]:
            return dot == "root"
        case [Variable(name="$", fields=("Messages",))]:
            return True
    return False


def _openings(block: "Block") -> Iterator[Opening]:
    """The texts of *block* that may be the first that a rendering writes."""
    for node in block.nodes:
        yield from _opening_of(node)
        if _always_writes(node):
            return


def _opening_of(node: "Statement") -> Iterator[Opening]:
    from mbuild.compiler.template.tree import Branch, Text

    match node:
        case Text():
            yield Opening(node.text[:_LONGEST_OPENING], node.start)
        case Branch() if not _looks_at_a_variable(node.pipe):
            yield from _openings(node.body)
            if node.otherwise is not None:
                yield from _openings(node.otherwise)


_LONGEST_OPENING = 80  # characters; the name of a token is shorter


def _looks_at_a_variable(pipe: "Pipe") -> bool:
    """Whether it may ask which turn of a loop this is: then what follows is not always first."""
    from mbuild.compiler.template.tree import Variable, descendants

    return any(isinstance(node, Variable) and node.name != "$" for node in descendants(pipe))


def _always_writes(node: "Statement") -> bool:
    """Whether nothing behind *node* can come first; a doubtful one counts as writing."""
    from mbuild.compiler.template.tree import Action, Branch, Text

    match node:
        case Text():
            return bool(node.text)
        case Action():
            return not node.pipe.variables
        case Branch():
            return node.otherwise is not None
    return True
