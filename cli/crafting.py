"""What the server needs of the compiler: a model built from a request, and told as a Modelfile.

A request names models, and blobs by their digests; no path of it reaches the disk.
"""

from collections.abc import Iterable, Iterator, Mapping
from queue import SimpleQueue
from threading import Thread
from typing import Any

from mbuild.compiler.build import build
from mbuild.compiler.decompile import Unsayable, decompile
from mbuild.compiler.diagnostic import Diagnostic, Source
from mbuild.compiler.parameters import OPTIONS, Type
from mbuild.compiler.progress import Progress, Status
from mbuild.compiler.quantization import Quantizer, Unsupported, wanted
from mbuild.compiler.recipe import Located, Message, ParameterValue, Recipe
from mbuild.compiler.ways import Ways
from mbuild.runtime import options
from mbuild.runtime.api.ollama import Create
from mbuild.runtime.service import Crafts, Refused
from mbuild.store.contents import contents
from mbuild.store.digest import Digest
from mbuild.store.name import Name
from mbuild.store.store import Store

_NO_DIGEST = "0" * 19
"""What stands for a digest in lines about work that has none yet: clients cut a piece out of it."""

_Line = dict[str, Any]


def crafts(store: Store, quantizer: Quantizer) -> Crafts:
    """What the server of *store* is handed."""
    return Crafts(
        build=lambda name, asked: built(name, asked, store, quantizer),
        modelfile=lambda name: modelfile(name, store),
    )


def modelfile(name: Name, store: Store) -> str:
    """The Modelfile of a model, or a remark that none can say what it is."""
    try:
        return decompile(name, contents(store.load(name), store.blobs), store.blobs)
    except Unsayable as unsayable:
        return f"# {unsayable}\n"


def built(name: Name, asked: Create, store: Store, quantizer: Quantizer) -> Iterator[_Line]:
    """Build what is *asked* for, as *name*: a line for each step, the last one "success".

    Raises:
        Refused: it cannot be built; the findings say why.
    """
    recipe = recipe_of(asked, store)
    lines: SimpleQueue[_Line | Exception | None] = SimpleQueue()

    def work() -> None:
        try:
            _build(name, recipe, store, quantizer, lines.put)
        except Exception as error:  # noqa: BLE001 - it is raised where the lines are read.
            lines.put(error)
        else:
            lines.put(None)

    # A thread: a build tells by calls, and lines are read one by one. It is not stopped when
    # nobody reads, so that what was begun is either done or not.
    Thread(target=work, daemon=True).start()
    while (line := lines.get()) is not None:
        if isinstance(line, Exception):
            raise line
        yield line


def recipe_of(asked: Create, store: Store) -> Recipe:
    """What a request asks to be built.

    Raises:
        Refused: a parameter or a type of quantization is none.
    """
    quantize = asked.quantize or asked.quantization
    return Recipe(
        sources=(_base(asked.base),) if asked.base else _blobs(asked.files, store),
        adapters=_blobs(asked.adapters, store),
        drafts=_blobs(asked.draft_files, store),
        template=_text(asked.template),
        system=_text(asked.system),
        licenses=tuple(asked.license),
        messages=tuple(Message(each.role, each.content) for each in asked.messages),
        parameters=_parameters(asked.parameters) or None,
        renderer=asked.renderer or None,
        parser=asked.parser or None,
        requires=asked.requires.removeprefix("v") or None,
        quantize=_quantize(quantize) if quantize else None,
    )


def _build(name: Name, recipe: Recipe, store: Store, quantizer: Quantizer, put: "Any") -> None:
    def tell(news: Status | Progress) -> None:
        put(_line(news))

    created: set[Digest] = set()
    try:
        with store.building():
            # Seen from a folder of ours: a file that is called like the model is not meant.
            made, findings = build(
                recipe,
                store.root,
                store,
                tell=tell,
                created=created,
                ways=Ways(quantizer=quantizer),
            )
            if made is None:
                raise Refused(400, _sentence(findings))
            put({"status": "writing manifest"})
            store.save(name, made.manifest)
            created.clear()
    finally:
        store.abandon(created)
    put({"status": "success"})


def _line(news: Status | Progress) -> _Line:
    match news:
        case Status(text):
            return {"status": text}
        case Progress(label, done, total):
            return {"status": label, "digest": _NO_DIGEST, "total": total, "completed": done}


def _base(text: str) -> Located:
    return _located(str(Name.parse(text)))


def _blobs(files: Mapping[str, str], store: Store) -> tuple[Located, ...]:
    """The blobs of *files*, in the order of their names."""
    digests = (Digest.parse(digest) for _, digest in sorted(files.items()))
    return tuple(_located(store.blobs.path(digest)) for digest in digests)


def _text(text: str) -> Located | None:
    return _located(text) if text else None


def _located(text: str) -> Located:
    return Located(text, Source("/api/create", text).span(0, len(text)))


def _parameters(given: Mapping[str, Any]) -> dict[str, ParameterValue]:
    """*given*, with the types that parameters have."""
    try:
        options.read(given)
    except options.BadOption as bad:
        raise Refused(400, str(bad)) from None
    unknown = sorted(set(given) - set(OPTIONS))
    if unknown:
        raise Refused(400, f"unknown parameter {unknown[0]!r}")
    return {name: _value(name, value) for name, value in given.items() if value is not None}


def _value(name: str, value: Any) -> ParameterValue:
    match OPTIONS[name].type:
        case Type.INT:
            return int(value)
        case Type.FLOAT:
            return float(value)
        case Type.BOOL:
            return bool(value)
        case Type.TEXTS:
            return tuple(map(str, value))


def _quantize(text: str) -> Located:
    found = wanted(text)
    if isinstance(found, Unsupported):
        raise Refused(400, found.message)
    return _located(found)


def _sentence(findings: Iterable[Diagnostic]) -> str:
    errors = [each.message for each in findings if each.severity.value == "error"]
    return "; ".join(errors)
