"""What a build says of a recipe that can be built: errors in its TEMPLATE, and warnings.

The rules are pure (:mod:`mbuild.compiler.template_rules`, :mod:`mbuild.compiler.stop_rules`); this
module brings them what the store knows. A template is examined once for each digest of its text.
What needs the vocabulary is checked only if its lookup has been recorded.
"""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mbuild.compiler.diagnostic import Code, Diagnostic, Span
from mbuild.compiler.recipe import Located, Recipe
from mbuild.compiler.weights import summary
from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, MediaType
from mbuild.store.store import Store

# Here and below the rules are imported where they are needed: most edits need none of them.
if TYPE_CHECKING:
    from mbuild.compiler.template_rules import Facts, Fault
    from mbuild.compiler.vocabulary import Vocabulary

_KEY = "template facts 1 "  # The number grows when a field or a rule changes.


def before(recipe: Recipe, store: Store, *, teach: bool) -> tuple[Diagnostic, ...]:
    """What there is to say before any weights are looked at.

    Unless *teach*, that is only what the reference says too, in its words.
    """
    found = [] if recipe.template is None else _about_template(recipe.template, store, teach=teach)
    stops = _stops(recipe)
    if teach and stops:
        from mbuild.compiler.stop_rules import idle

        found += idle(stops)
    return tuple(found)


def _about_template(template: Located, store: Store, *, teach: bool) -> list[Diagnostic]:
    from mbuild.compiler.template_rules import Fault, fault, warnings

    facts = _examined(template.text, store)
    if isinstance(facts, Fault):
        return [fault(template, facts, teach=teach)]
    return list(warnings(template, facts)) if teach else []


def after(recipe: Recipe, layers: Sequence[Layer], store: Store) -> tuple[Diagnostic, ...]:
    """What the *layers*, those of the base model and of the files, make doubtful."""
    found = [*_untrained(recipe, layers, store), *_system(recipe, layers, store)]
    weights = _vocabularies(recipe, layers)
    if weights:
        from mbuild.compiler.vocabulary import known

        for lookup in [known(store, digest) for digest in weights]:
            if lookup is not None and lookup.size:
                found += _with_vocabulary(recipe, layers, store, lookup)
    return tuple(found)


def skipped(recipe: Recipe, layers: Sequence[Layer], store: Store) -> tuple[Digest, ...]:
    """The weights whose vocabulary is not known, so that checks were skipped."""
    weights = _vocabularies(recipe, layers)
    if not weights:
        return ()
    from mbuild.compiler.vocabulary import known

    return tuple(digest for digest in weights if known(store, digest) is None)


def _vocabularies(recipe: Recipe, layers: Sequence[Layer]) -> list[Digest]:
    """The weights whose vocabulary could tell more of *recipe*."""
    return _weights(layers)[-1:] if recipe.template is not None or _stops(recipe) else []


def _weights(layers: Iterable[Layer]) -> list[Digest]:
    return [layer.digest for layer in layers if layer.media_type == MediaType.MODEL]


def _stops(recipe: Recipe) -> list[tuple[str, Span]]:
    texts = (recipe.parameters or {}).get("stop")
    if not isinstance(texts, tuple):
        return []
    # A recipe that no text stands behind has no places.
    return list(zip(texts, recipe.places.get("stop", ()), strict=False))


def _untrained(recipe: Recipe, layers: Sequence[Layer], store: Store) -> list[Diagnostic]:
    """A finding if num_ctx asks for more than the weights can use."""
    asked = (recipe.parameters or {}).get("num_ctx")
    places = recipe.places.get("num_ctx")
    digests = _weights(layers)[-1:]
    if not isinstance(asked, int) or not places or not digests:
        return []
    trained = summary(store, digests[0]).context_length
    if not trained or asked <= trained:
        return []
    message = f"num_ctx is {asked}, and the model was trained for {trained} tokens"
    hint = f"the runtime takes {trained}; ask for no more"
    return [Diagnostic(Code.UNTRAINED_CONTEXT, message, places[-1], hint)]


def _system(recipe: Recipe, layers: Sequence[Layer], store: Store) -> tuple[Diagnostic, ...]:
    """A finding if this Modelfile brings a system text and a template together that do not fit."""
    told = recipe.system or (recipe.appended[-1] if recipe.appended else None)
    if told is None and _last(layers, MediaType.SYSTEM) is not None:
        told = recipe.template
    facts = None if told is None else _facts(recipe, layers, store)
    if told is None or facts is None:
        return ()
    from mbuild.compiler.template_rules import ignored_system

    inherited = not (recipe.system or recipe.appended) or recipe.template is None
    return ignored_system(facts, told.span, inherited=inherited)


def _facts(recipe: Recipe, layers: Sequence[Layer], store: Store) -> "Facts | None":
    """The facts of the template that the model will have."""
    text = _template(recipe, layers, store)
    if text is None:
        return None
    from mbuild.compiler.template_rules import Facts

    facts = _examined(text, store)
    return facts if isinstance(facts, Facts) else None


def _template(recipe: Recipe, layers: Sequence[Layer], store: Store) -> str | None:
    if recipe.template is not None:
        return recipe.template.text
    layer = _last(layers, MediaType.TEMPLATE, MediaType.PROMPT)
    return None if layer is None else _text(layer, store)


def _with_vocabulary(
    recipe: Recipe, layers: Sequence[Layer], store: Store, lookup: "Vocabulary"
) -> tuple[Diagnostic, ...]:
    from mbuild.compiler.stop_rules import no_tokens

    system = _last(layers, MediaType.SYSTEM)
    said = [turn.content for turn in recipe.messages]
    said += [each.text for each in recipe.appended]
    if recipe.system is not None:
        said.append(recipe.system.text)
    elif system is not None:
        said.append(_text(system, store))
    said.append(_template(recipe, layers, store) or "")
    found = no_tokens(_stops(recipe), lookup.tokens, lookup.written, "\n".join(said))
    return (*found, *_bos(recipe.template, store, lookup))


def _bos(template: Located | None, store: Store, lookup: "Vocabulary") -> tuple[Diagnostic, ...]:
    if template is None or not lookup.adds_bos:
        return ()
    from mbuild.compiler.template_rules import Facts, double_bos

    facts = _examined(template.text, store)
    assert isinstance(facts, Facts), "a template with a fault is not built"
    return double_bos(template, facts, lookup.bos)


def _last(layers: Iterable[Layer], *media_types: str) -> Layer | None:
    found = [layer for layer in layers if layer.media_type in media_types]
    return found[-1] if found else None


def _text(layer: Layer, store: Store) -> str:
    return store.blobs.read(layer.digest).decode("utf-8", "replace")


def _examined(text: str, store: Store) -> "Facts | Fault":
    """The facts of the template *text*, from the record of an earlier look if there is one."""
    from mbuild.compiler.template_rules import Facts, decode, encode, examine

    key = Digest.of((_KEY + text).encode("utf-8", "surrogatepass"))
    recorded = store.recall(key)
    if recorded is not None:
        return decode(json.loads(recorded))
    facts = examine(text)
    if isinstance(facts, Facts):
        # A fault is not recorded: a template with one leaves nothing in the store.
        store.record(key, json.dumps(encode(facts)).encode())
    return facts
