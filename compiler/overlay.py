"""The texts of a recipe laid over the layers that it begins with.

The order of layers and every byte of a text layer are the reference's (create specification,
sections 4 to 8), and the layers of what only the default dialect can say come last.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

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
    layers = list(layers)
    if recipe.template is not None:
        layers = _without(layers, MediaType.TEMPLATE)
        layers.append(put(MediaType.TEMPLATE, recipe.template.text.encode()))
    system = system_text(recipe, layers, blobs)
    if system is not None:
        layers = _without(layers, MediaType.SYSTEM)
        layers.append(put(MediaType.SYSTEM, system.encode()))
    layers += [put(MediaType.LICENSE, each.encode()) for each in recipe.licenses]
    merged = _options(recipe, layers, blobs) | _as_floats(parameters)
    if merged or recipe.unset:
        layers = _without(layers, MediaType.PARAMS)
    if merged:
        encoded = gojson.encode(merged, sort_keys=True) + "\n"
        layers.append(put(MediaType.PARAMS, encoded.encode()))
    if recipe.messages:
        layers = _without(layers, MediaType.MESSAGES)
        turns = [{"role": turn.role, "content": turn.content} for turn in recipe.messages]
        layers.append(put(MediaType.MESSAGES, (gojson.encode(turns) + "\n").encode()))
    if recipe.schema is not None:
        layers = _without(layers, MediaType.SCHEMA)
        layers.append(put(MediaType.SCHEMA, recipe.schema.text.encode()))
    return _with_scales(recipe, layers, blobs, put)


def system_text(recipe: Recipe, layers: Iterable[Layer], blobs: Blobs) -> str | None:
    """The system prompt that *recipe* sets or adds to; ``None`` if it does neither."""
    if not recipe.appended:
        return recipe.system.text if recipe.system is not None else None
    if recipe.system is not None:
        texts = [recipe.system.text]
    else:
        held = [layer for layer in layers if layer.media_type == MediaType.SYSTEM]
        texts = [text(blobs, layer.digest) for layer in held[-1:]]
    return "\n".join(filter(None, [*texts, *(each.text for each in recipe.appended)]))


def _options(recipe: Recipe, layers: Iterable[Layer], blobs: Blobs) -> dict[str, gojson.Json]:
    return {
        name: value
        for name, value in inherited_options(layers, blobs).items()
        if f"parameter {name}" not in recipe.unset
    }


def _as_floats(parameters: Mapping[str, ParameterValue]) -> dict[str, gojson.Json]:
    return {
        name: float(value) if type(value) is int else value for name, value in parameters.items()
    }


def _with_scales(recipe: Recipe, layers: list[Layer], blobs: Blobs, put: Put) -> list[Layer]:
    """*layers* with one that says how strong each adapter is, if that is said at all."""
    if not recipe.scales and not _of(layers, MediaType.SCALES):
        return layers
    adapters = _of(layers, MediaType.ADAPTER)
    said = list(scales(layers, blobs))
    if recipe.scales:
        said[len(said) - len(recipe.scales) :] = recipe.scales
    rows: list[gojson.Json] = [
        {"digest": str(layer.digest), "scale": scale}
        for layer, scale in zip(adapters, said, strict=True)
    ]
    layers = _without(layers, MediaType.SCALES)
    encoded = gojson.encode(rows) + "\n"
    return [*layers, put(MediaType.SCALES, encoded.encode())] if rows else layers


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


def _without(layers: Iterable[Layer], media_type: str) -> list[Layer]:
    return [layer for layer in layers if layer.media_type != media_type]
