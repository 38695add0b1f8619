"""``/save``: a conversation becomes a model.

It is built FROM the model that was talked to, so that it has all that this has. (The reference
goes back to that model's own base, and what was added since is lost.)
"""

from mbuild.cli.conversation import Conversation
from mbuild.compiler.build import build
from mbuild.compiler.diagnostic import Diagnostic, Source
from mbuild.compiler.recipe import Located, Message, Recipe
from mbuild.store.contents import contents
from mbuild.store.name import Name
from mbuild.store.store import Store


class Unsaved(Exception):
    """A conversation of which no model can be made; the text says why."""


def save(name: Name, base: Name, talk: Conversation, store: Store) -> None:
    """Build the model *name* from *base* and what was said and set in *talk*.

    Raises:
        Unsaved: the messages of *base* hold more than text, which would be lost.
        as :func:`mbuild.compiler.build.build`, and OSError if the store cannot be written.
    """
    with store.building():
        recipe = Recipe(
            sources=(_located(str(base)),),
            system=_located(talk.system) if talk.system else None,
            parameters=dict(talk.options) or None,
            messages=_messages(base, talk, store),
        )
        # Seen from a folder of ours: a file that is called like the model is not meant.
        built, findings = build(recipe, store.root, store, tell=lambda _: None)
        if built is None:
            raise Unsaved(_sentence(findings))
        store.save(name, built.manifest)


def _messages(base: Name, talk: Conversation, store: Store) -> tuple[Message, ...]:
    """The examples of *base* and what was said; nothing if nothing was said."""
    said = talk.to_save()
    if not said:
        return ()
    examples = contents(store.load(base), store.blobs).messages
    if any(set(example) - {"role", "content"} for example in examples):
        raise Unsaved(f"the example messages of {base.short} hold more than text")
    kept = (Message(str(each.get("role", "")), str(each.get("content", ""))) for each in examples)
    return (*kept, *(Message(message.role, message.content) for message in said))


def _located(text: str) -> Located:
    return Located(text, Source("/save", text).span(0, len(text)))


def _sentence(findings: tuple[Diagnostic, ...]) -> str:
    return "; ".join(finding.message for finding in findings)
