"""A chat template's text → its tree, as the reference's server reads it.

That is Go's own reading with two additions: a template call must have an argument, and a
template that names neither messages nor response gets the response at its end. Only what is
needed to accept or refuse a text is imported here; rendering takes more.
"""

from mbuild.compiler.template.capabilities import call_without_data, variables
from mbuild.compiler.template.failure import BadTemplate
from mbuild.compiler.template.parser import parse
from mbuild.compiler.template.tree import Action, Block, Command, Field, Pipe, Tree

FUNCTIONS = frozenset(
    (
        *("and", "call", "eq", "ge", "gt", "html", "index", "js", "le", "len", "lt", "ne"),
        *("not", "or", "print", "printf", "println", "slice", "urlquery"),
        *("currentDate", "json", "toTypeScriptType", "yesterdayDate"),
    )
)
"""The functions that a chat template may name."""


def read(text: str) -> Tree:
    """The tree of the chat template *text*.

    Raises:
        BadTemplate: *text* is no template.
    """
    tree = parse(text, FUNCTIONS)
    bare = call_without_data(tree)
    if bare is not None:
        reason = "undefined template specified"
        raise BadTemplate(reason, reason, bare.start, bare.start + len(bare.name) + 2)
    names = variables(tree)
    return tree if "messages" in names or "response" in names else _with_response(tree)


def _with_response(tree: Tree) -> Tree:
    end = len(tree.text)
    response = Pipe(end, (Command(end, (Field(end, ("Response",)),)),))
    main = Block(tree.main.start, (*tree.main.nodes, Action(end, response)))
    return Tree(tree.text, {**tree.templates, "": main})
