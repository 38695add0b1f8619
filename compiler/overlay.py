"""The texts of a recipe laid over the layers that it begins with.

The order of layers and every byte of a text layer are the reference's (create specification,
sections 4 to 8), and the layers of what only the default dialect can say come last.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from mbuild.compiler.diagnostic import Code, Diagnostic
from mbuild.compiler.recipe import ParameterValue, Recipe
from mbuild.store import gojson
from mbuild.store.blobs import Blobs
from mbuild.store.contents import parameters as inherited_options
from mbuild.store.contents import scales, text
from mbuild.store.manifest import Layer, MediaType

Put = Callable[[str, bytes], Layer]
"""What makes a layer of a media type and its bytes."""


def with_texts(
    recipe: Recipe,
    layers: Sequence[Layer],
    parameters: Mapping[str, ParameterValue],
    blobs: Blobs,
    put: Put,
) -> list[Layer]:
    """*layers* with those of the instructions, each replaced one gone from its old place."""
    texts = _texts(recipe, layers, parameters, blobs)
    made = [put(media_type, data) for media_type, data in texts if data is not None]
    return assembled(layers, made, recipe.unset)


def assembled(layers: Sequence[Layer], made: Iterable[Layer], unset: Iterable[str]) -> list[Layer]:
    """*layers* with those that were *made*, in the reference's order.

    A layer replaces those of its type, but licenses add up. Where a parameter is *unset* and no
    layer of parameters was made, none is left.
    """
    made = sorted(made, key=lambda layer: _ORDER.index(layer.media_type))
    gone = {layer.media_type for layer in made} - {MediaType.LICENSE}
    if any(name.startswith("parameter ") for name in unset):
        gone.add(MediaType.PARAMS)
    kept = [layer for layer in layers if layer.media_type not in gone]
    return [*kept, *made]


_ORDER: list[str] = [
    *(MediaType.TEMPLATE, MediaType.SYSTEM, MediaType.LICENSE, MediaType.PARAMS),
    *(MediaType.MESSAGES, MediaType.SCHEMA, MediaType.SCALES),
]


def _texts(
    recipe: Recipe,
    layers: Sequence[Layer],
    parameters: Mapping[str, ParameterValue],
    blobs: Blobs,
) -> Iterator[tuple[str, bytes | None]]:
    if recipe.template is not None:
        yield MediaType.TEMPLATE, recipe.template.text.encode()
    system = system_text(recipe, layers, blobs)
    yield MediaType.SYSTEM, None if system is None else system.encode()
    for text_ in recipe.licenses:
        yield MediaType.LICENSE, text_.encode()
    yield MediaType.PARAMS, options_text(parameters, recipe.unset, layers, blobs)
    if recipe.messages:
        turns: list[gojson.Json] = [
            {"role": turn.role, "content": turn.content} for turn in recipe.messages
        ]
        yield MediaType.MESSAGES, (gojson.encode(turns) + "\n").encode()
    if recipe.schema is not None:
        yield MediaType.SCHEMA, recipe.schema.text.encode()
    yield MediaType.SCALES, scales_text(recipe.scales, layers, blobs)


def system_text(recipe: Recipe, layers: Iterable[Layer], blobs: Blobs) -> str | None:
    """The system prompt that *recipe* sets or adds to; ``None`` if it does neither."""
    if not recipe.appended:
        return recipe.system.text if recipe.system is not None else None
    more = "\n".join(each.text for each in recipe.appended)
    if recipe.system is not None:
        return "\n".join(filter(None, [recipe.system.text, more]))
    return appended(more, layers, blobs)


def appended(more: str, layers: Iterable[Layer], blobs: Blobs) -> str:
    """The system prompt among *layers*, if there is one, and *more* on a line of its own."""
    held = [layer for layer in layers if layer.media_type == MediaType.SYSTEM]
    texts = [text(blobs, layer.digest) for layer in held[-1:]]
    return "\n".join(filter(None, [*texts, more]))


def options_text(
    parameters: Mapping[str, ParameterValue],
    unset: Iterable[str],
    layers: Iterable[Layer],
    blobs: Blobs,
) -> bytes | None:
    """The layer of parameters, with those of *layers*; ``None``: there are none."""
    gone = {name.removeprefix("parameter ") for name in unset if name.startswith("parameter ")}
    merged = {
        name: value for name, value in inherited_options(layers, blobs).items() if name not in gone
    } | _as_floats(parameters)
    return (gojson.encode(merged, sort_keys=True) + "\n").encode() if merged else None


def _as_floats(parameters: Mapping[str, ParameterValue]) -> dict[str, gojson.Json]:
    return {
        name: float(value) if type(value) is int else value for name, value in parameters.items()
    }


def scales_text(own: Sequence[float], layers: Sequence[Layer], blobs: Blobs) -> bytes | None:
    """The layer that says how strong each adapter is, the last ones *own*; ``None``: unsaid."""
    adapters = _of(layers, MediaType.ADAPTER)
    if not adapters or not (own or _of(layers, MediaType.SCALES)):
        return None
    said = list(scales(layers, blobs))
    if own:
        said[len(said) - len(own) :] = own
    rows: list[gojson.Json] = [
        {"digest": str(layer.digest), "scale": scale}
        for layer, scale in zip(adapters, said, strict=True)
    ]
    return (gojson.encode(rows) + "\n").encode()


_REMOVED = {
    "template": (MediaType.TEMPLATE, MediaType.PROMPT),
    "system": (MediaType.SYSTEM,),
    "license": (MediaType.LICENSE,),
    "message": (MediaType.MESSAGES,),
    "adapter": (MediaType.ADAPTER, MediaType.SCALES),
    "schema": (MediaType.SCHEMA,),
}


def without_unset(recipe: Recipe, layers: Iterable[Layer]) -> list[Layer]:
    """*layers*, those of the base, without what *recipe* unsets as a whole."""
    gone = {kind for name in recipe.unset for kind in _REMOVED.get(name, ())}
    return [layer for layer in layers if layer.media_type not in gone]


def idle_unsets(recipe: Recipe, layers: Sequence[Layer], blobs: Blobs) -> tuple[Diagnostic, ...]:
    """A finding for each UNSET of what the base, whose layers these are, does not have."""
    if not recipe.unset:
        return ()
    there = {layer.media_type for layer in layers}
    options = inherited_options(layers, blobs)
    return tuple(
        Diagnostic(
            Code.IDLE_UNSET,
            f"UNSET {label(name)} has no effect: the base has none",
            span,
            _near_option(name, options),
        )
        for name, span in recipe.unset_at.items()
        if span is not None
        and not (there.intersection(_REMOVED[name]) if name in _REMOVED else name[10:] in options)
    )


def label(unset: str) -> str:
    """What is unset, as its author writes it.

    >>> label("system"), label("parameter stop")
    ('SYSTEM', 'PARAMETER stop')
    """
    kind, _, name = unset.partition(" ")
    return f"{kind.upper()} {name}".rstrip()


def _near_option(name: str, options: Iterable[str]) -> str | None:
    from difflib import get_close_matches

    kind, _, option = name.partition(" ")
    near = get_close_matches(option, list(options), n=1) if kind == "parameter" else []
    return f"did you mean {near[0]}?" if near else None


def _of(layers: Iterable[Layer], media_type: str) -> list[Layer]:
    return [layer for layer in layers if layer.media_type == media_type]
