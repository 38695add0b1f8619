"""A model as a plain Modelfile, which the reference reads as mbuild does: all is resolved.

The text is read back in the reference's dialect and laid over the layers that it begins with; if
the model that this gives has another set of layers there is no text, and the part that a plain
file cannot say is named. Nothing is written: what a build would make is only digested.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mbuild.compiler.check import load
from mbuild.compiler.configuration import configure, inherited
from mbuild.compiler.decompile import Path, Unsayable, Writer, refuse_beyond_words
from mbuild.compiler.overlay import with_texts
from mbuild.compiler.weights import summary
from mbuild.store.blobs import MissingBlob
from mbuild.store.config import BadConfig, Config
from mbuild.store.contents import BadLayer, Contents, contents
from mbuild.store.digest import Digest
from mbuild.store.gojson import Json
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import BadName, Name
from mbuild.store.store import DamagedModel, MissingModel, Store

_GGUF_LAYERS = (MediaType.MODEL, MediaType.PROJECTOR, MediaType.ADAPTER, MediaType.DRAFT)
_WRITER = Writer("ollama")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A Modelfile and the files beside it, by their names as the Modelfile says them."""

    modelfile: str
    weights: Mapping[str, Digest] = field(default_factory=dict)
    prompts: Mapping[str, bytes] = field(default_factory=dict)  # for people: nothing reads them


def export(name: Name, manifest: Manifest, store: Store) -> str:
    """The plain Modelfile of the model *name*.

    It is FROM the model that *name* was built from, if building on that as it is now gives the
    same set of layers, else FROM the weights in the store.

    Raises:
        Unsayable: no plain Modelfile gives the same layers.
        MissingBlob, BadLayer, BadConfig, BadGguf: a part of the model is not there, or broken.
    """
    model = contents(manifest, store.blobs)
    refusals = []
    for base in _bases(name, manifest, store):
        try:
            text = _on_base(name, manifest, model, base, store)
        except Unsayable as refusal:
            refusals.append(refusal)
            continue
        if text is not None:
            return text
    try:
        return _on_weights(name, manifest, model, store, _blob_path(store))
    except Unsayable as refusal:
        # What the base has need not be said, so the first refusal names what is really in the way.
        raise (*refusals, refusal)[0] from None


def bundle(name: Name, manifest: Manifest, store: Store) -> Bundle:
    """The plain Modelfile of the model *name* with its weights, and its texts, beside it.

    Raises:
        as :func:`export`.
    """
    model = contents(manifest, store.blobs)
    files = dict(_file_names(name, model))
    names = {digest: f"./{filename}" for filename, digest in files.items()}
    text = _on_weights(name, manifest, model, store, lambda layer: names[layer.digest])
    return Bundle(text, files, dict(_prompts(model)))


def _blob_path(store: Store) -> Path:
    return lambda layer: store.blobs.path(layer.digest)


@dataclass(frozen=True, slots=True)
class _Base:
    """A model that another one may be FROM."""

    name: Name
    manifest: Manifest
    model: Contents


def _bases(name: Name, manifest: Manifest, store: Store) -> Iterator[_Base]:
    """The models in the store that layers say they are from; which may not be so any more."""
    weights = manifest.of_type(MediaType.MODEL)
    for origin in dict.fromkeys(layer.origin for layer in (*weights, *manifest.layers)):
        try:
            base = store.resolve(Name.parse(origin))
            found = store.load(base)
            model = contents(found, store.blobs)
        except (BadName, MissingModel, DamagedModel, MissingBlob, BadLayer, BadConfig):
            continue  # For one, the origin of a file is the file's name.
        there = all(layer.digest in store.blobs for layer in found.layers)
        if there and base != store.resolve(name):
            yield _Base(base, found, model)


def _on_base(
    name: Name, manifest: Manifest, model: Contents, base: _Base, store: Store
) -> str | None:
    """The text FROM *base*, if building it gives the same layers."""
    rest = _since(base.model, model)
    first = _WRITER.file("FROM", base.name.short)
    text = _text(name, [first, *_WRITER.additions(rest, _blob_path(store))])
    files = [layer for layer in (*rest.adapters, rest.draft) if layer is not None]
    made = _made(text, (*base.manifest.layers, *files), inherited(base.model.config), store)
    return text if made == _Made.of(manifest.layers, model.config) else None


def _on_weights(name: Name, manifest: Manifest, model: Contents, store: Store, path: Path) -> str:
    """The text FROM the weights.

    Raises:
        Unsayable: no such text gives the same layers.
    """
    refuse_beyond_words(model)
    text = _text(name, _WRITER.statements(model, path))
    files = (model.weights, *model.adapters, model.draft, *model.projectors)
    made = _made(text, [layer for layer in files if layer is not None], Config(), store)
    wanted = _Made.of(manifest.layers, model.config)
    other = {kind for kind, _ in made.layers ^ wanted.layers} - _REWRITTEN
    if all(scale == 1 for scale in model.scales):
        other.discard(MediaType.SCALES)
    if other:
        kinds = ", ".join(sorted(kind.rpartition(".")[2] for kind in other))
        raise Unsayable(f"the layers of {name.short}", f"it would have another {kinds}", plain=True)
    if made.config != wanted.config:
        reason = "the weights bring a renderer or parser of their own"
        raise Unsayable("the configuration", reason, plain=True)
    return text


_REWRITTEN = {MediaType.PARAMS, MediaType.MESSAGES}
"""JSON that others may have written with other blanks; its values were read back one by one."""


def _text(name: Name, statements: Iterable[str]) -> str:
    return "\n".join([f"# {name.short}, as mbuild export wrote it", "", *statements, ""])


def _since(base: Contents, model: Contents) -> Contents:
    """What *model* has and *base* has not.

    Where the one cannot be built FROM the other, it is something, and building on it shows that.
    """
    same_draft = base.draft and model.draft and base.draft.digest == model.draft.digest
    old, new = base.config, model.config
    return replace(
        model,
        config=Config(
            renderer="" if old.renderer == new.renderer else new.renderer,
            parser="" if old.parser == new.parser else new.parser,
            requires="" if old.requires == new.requires else new.requires,
        ),
        weights=None,
        projectors=(),
        adapters=model.adapters[len(base.adapters) :],
        scales=model.scales[len(base.scales) :],
        draft=None if same_draft else model.draft,
        template=None if base.template == model.template else model.template,
        system=None if base.system == model.system else model.system,
        parameters={k: v for k, v in model.parameters.items() if base.parameters.get(k) != v},
        messages=() if base.messages == model.messages else model.messages,
        licenses=model.licenses[len(base.licenses) :],
        schema=None if base.schema == model.schema else model.schema,
        unknown=(),
    )


@dataclass(frozen=True, slots=True)
class _Made:
    """What a model is, as far as a Modelfile decides it: digests by media type, in order."""

    layers: frozenset[tuple[str, tuple[Digest, ...]]]
    config: tuple[str | tuple[str, ...], ...]

    @classmethod
    def of(cls, layers: Iterable[Layer], config: Config) -> "_Made":
        """Those of a model; a template has one name, and what is empty counts as not there."""
        kinds: dict[str, list[Digest]] = {}
        for layer in layers:
            kinds.setdefault(layer.media_type, []).append(layer.digest)
        prompt = kinds.pop(MediaType.PROMPT, [])
        kinds.setdefault(MediaType.TEMPLATE, prompt)
        for kind in (MediaType.TEMPLATE, MediaType.SYSTEM):
            if kinds.get(kind) in ([], [_EMPTY]):
                del kinds[kind]
        said = config.renderer, config.parser, config.requires, config.capabilities
        remote = config.remote_model, config.remote_host
        return cls(
            # What stands twice says no more: a DRAFT that the base has, too.
            frozenset((kind, tuple(dict.fromkeys(found))) for kind, found in kinds.items()),
            (*said, *remote),
        )


_EMPTY = Digest.of(b"")


def _made(text: str, layers: Sequence[Layer], start: Config, store: Store) -> _Made:
    """What building *text* gives, whose files and FROM give *layers* and *start*."""
    recipe, findings = load("Modelfile", text.encode(), dialect="ollama")
    assert recipe is not None, findings
    weights = [
        (layer.media_type, summary(store, layer.digest))
        for layer in layers
        if layer.media_type in _GGUF_LAYERS
    ]
    config, parameters = configure(recipe, start, weights)
    finished = with_texts(recipe, layers, parameters, store.blobs, _digested)
    return _Made.of(finished, config)


def _digested(media_type: str, data: bytes) -> Layer:
    """The layer that a build would make, which is not stored."""
    return Layer(media_type, Digest.of(data), len(data))


def _file_names(name: Name, model: Contents) -> Iterator[tuple[str, Digest]]:
    """A file name for each file of *model*; those of the weights come first in their order."""
    # FROMs are put together in the order of their names, and `kid.gguf` is before `kid.p...`.
    stem = name.model.removesuffix(".gguf") or name.model
    if model.weights is not None:
        yield f"{stem}.gguf", model.weights.digest
    for kind, layers in (
        ("adapter", model.adapters),
        ("draft", () if model.draft is None else (model.draft,)),
        ("projector", model.projectors),
    ):
        for number, layer in enumerate(layers, 1):
            yield f"{stem}.{kind}{'' if len(layers) == 1 else f'-{number}'}.gguf", layer.digest


def _prompts(model: Contents) -> Iterator[tuple[str, bytes]]:
    """The texts of *model* as files."""
    if model.system:
        yield "prompts/system.md", model.system.encode()
    if model.template:
        yield "prompts/template.gotmpl", model.template.encode()
    for number, text in enumerate(model.licenses, 1):
        yield f"prompts/license-{number}.txt", text.encode()
    if model.messages:
        turns: Json = [dict(turn) for turn in model.messages]
        yield (
            "prompts/messages.json",
            f"{json.dumps(turns, indent=2, ensure_ascii=False)}\n".encode(),
        )
