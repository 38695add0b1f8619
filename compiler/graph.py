"""A recipe lowered: the steps that build it, and the key of each.

A step is plain data: what is done, with which arguments, to the outputs of which other steps. Its
key is a digest of just that, so equal steps have equal keys whatever they are part of, and a step
whose inputs came out the same has the key that it had before (early cut-off). Opens no file.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from mbuild.compiler.recipe import Located, Recipe
from mbuild.store import gojson
from mbuild.store.digest import Digest
from mbuild.store.manifest import MediaType


class Operation(Enum):
    """What a step does. The number grows when the same inputs would give another output."""

    IMPORT = ("import", 1)  # a file → the layer with its bytes
    FETCH = ("fetch", 1)  # a member of a package → a layer
    INHERIT = ("inherit", 1)  # a model, or an earlier stage → its layers, without what is unset
    QUANTIZE = ("quantize", 1)  # layers → the same, the weights made smaller
    TEXT = ("text", 1)  # a text → its layer
    SYSTEM = ("system", 1)  # a text and what is added to it → its layer
    PARAMETERS = ("parameters", 1)  # options, on top of those that are inherited → their layer
    SCALES = ("scales", 1)  # how strong each adapter is → a layer
    CONFIG = ("config", 1)  # what is known of the weights → the configuration
    MANIFEST = ("manifest", 1)  # all layers → the manifest

    def __init__(self, word: str, version: int) -> None:
        self.word = word
        self.version = version


@dataclass(frozen=True, slots=True)
class Step:
    """A node of the graph."""

    name: str  # unique in its graph, and how people are told of it
    operation: Operation
    arguments: tuple[tuple[str, str], ...] = ()
    inputs: tuple[str, ...] = ()  # names of other steps
    content: bytes = b""  # what the author wrote, where that is what the step is about

    def argument(self, name: str) -> str:
        """The argument *name*, which must be there."""
        return dict(self.arguments)[name]


def key(step: Step, outputs: Mapping[str, Digest]) -> Digest:
    """The key of *step*, whose inputs came out as *outputs*.

    Its name is not part of it, nor is anything of the machine, the user or the clock: only
    what decides the output. The paths of imported files count, since they say which file; what
    is in it decides the output, and so the keys of the steps behind.
    """
    parts = [
        step.operation.word,
        step.operation.version,
        step.arguments,
        [str(outputs[name]) for name in step.inputs],
        str(Digest.of(step.content)),
    ]
    return Digest.of(json.dumps(parts).encode())


@dataclass(frozen=True, slots=True)
class Part:
    """What one FROM, ADAPTER or DRAFT brings: a step without a name, and where it is said."""

    operation: Operation
    arguments: tuple[tuple[str, str], ...]
    located: Located
    role: str  # "weights", "adapter", "draft" or "base"


@dataclass(frozen=True, slots=True)
class Graph:
    """The steps of one stage, each behind its inputs; the last one makes the manifest."""

    steps: tuple[Step, ...]
    material: tuple[str, ...]  # the steps whose layers come first, in order
    places: Mapping[str, Located]  # where the author asks for a step, of those that have a place

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)


def prefix_of(stage: Recipe, number: int, count: int) -> str:
    """What goes before the names of the steps of a *stage*, the *number*th of *count*."""
    return "" if not stage.stage and number == count else f"{stage.stage or number}: "


def lower(recipe: Recipe, parts: Sequence[Part], *, prefix: str, base: str | None) -> Graph:
    """The steps of *recipe*, whose FROM, ADAPTER and DRAFT are *parts*.

    *prefix* goes before each name, and *base* is the step that makes the manifest of the stage
    that it is FROM.
    """
    steps: list[Step] = []
    places: dict[str, Located] = {}
    unset = (("unset", ", ".join(sorted(recipe.unset))),) if recipe.unset else ()
    if base is not None:
        steps.append(Step(f"{prefix}base", Operation.INHERIT, unset, (base,)))
    for part, name in zip(parts, _names(part.role for part in parts), strict=True):
        more = unset if part.operation is Operation.INHERIT else ()
        steps.append(Step(f"{prefix}{name}", part.operation, (*part.arguments, *more)))
        places[steps[-1].name] = part.located
    material = [step.name for step in steps]
    if recipe.quantize is not None:
        sources = [name for name in material if _is_source(name.removeprefix(prefix))]
        name = f"{prefix}quantized"
        wanted = (("type", recipe.quantize.text),)
        steps.append(Step(name, Operation.QUANTIZE, wanted, tuple(sources)))
        places[name] = recipe.quantize
        material = [name, *(each for each in material if each not in sources)]
    texts = [*_texts(recipe, prefix), *_derived(recipe, prefix, tuple(material))]
    places |= {step.name: place for step, place in texts if place is not None}
    made = [step for step, _ in texts]
    behind = (*material, *(step.name for step in made))
    manifest = Step(f"{prefix}manifest", Operation.MANIFEST, unset, behind)
    return Graph((*steps, *made, manifest), tuple(material), places)


def _is_source(name: str) -> bool:
    return name.startswith(("base", "weights"))


def _names(roles: Iterable[str]) -> Iterator[str]:
    """``weights``, ``weights 2``, ``adapter``, ..."""
    count: dict[str, int] = {}
    for role in roles:
        count[role] = count.get(role, 0) + 1
        yield role if count[role] == 1 else f"{role} {count[role]}"


_Placed = tuple[Step, Located | None]


def _texts(recipe: Recipe, prefix: str) -> Iterator[_Placed]:
    """The steps that need nothing but what the author wrote."""

    def text(name: str, media_type: str, content: str) -> Step:
        arguments = (("type", str(media_type)),)
        return Step(f"{prefix}{name}", Operation.TEXT, arguments, (), content.encode())

    if recipe.template is not None:
        yield text("template", MediaType.TEMPLATE, recipe.template.text), recipe.template
    for name, content in zip(
        _names(["license"] * len(recipe.licenses)), recipe.licenses, strict=True
    ):
        yield text(name, MediaType.LICENSE, content), None
    if recipe.messages:
        turns: list[gojson.Json] = [
            {"role": turn.role, "content": turn.content} for turn in recipe.messages
        ]
        yield text("messages", MediaType.MESSAGES, gojson.encode(turns) + "\n"), None
    if recipe.schema is not None:
        yield text("schema", MediaType.SCHEMA, recipe.schema.text), recipe.schema


def _derived(recipe: Recipe, prefix: str, material: tuple[str, ...]) -> Iterator[_Placed]:
    """The steps that look at what the weights or the base bring."""
    if recipe.system is not None or recipe.appended:
        first = [] if recipe.system is None else [recipe.system.text]
        whole = "\n".join([*first, *(each.text for each in recipe.appended)])
        # With a text of its own it needs nothing of the base's.
        needed = () if recipe.system is not None else material
        place = recipe.appended[-1] if recipe.appended else recipe.system
        yield Step(f"{prefix}system", Operation.SYSTEM, (), needed, whole.encode()), place
    said = {"renderer": recipe.renderer, "parser": recipe.parser, "requires": recipe.requires}
    told = tuple((name, value) for name, value in said.items() if value)
    options = json.dumps(recipe.parameters or {}, sort_keys=True).encode()
    gone = ", ".join(sorted(each for each in recipe.unset if each.startswith("parameter ")))
    more = (("unset", gone),) if gone else ()
    name = f"{prefix}parameters"
    yield Step(name, Operation.PARAMETERS, (*told, *more), material, options), None
    scales = json.dumps(recipe.scales).encode()
    yield Step(f"{prefix}scales", Operation.SCALES, (), material, scales), None
    yield Step(f"{prefix}config", Operation.CONFIG, told, material), None
