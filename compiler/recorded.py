"""What is recorded of how a model was built: the order, and the files that went in.

A field of the account that is missing or of the wrong type is as good as none. Without an account
the manifest still has the names of the files.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import isabs, normpath
from typing import TYPE_CHECKING

from mbuild.compiler.account import Recorded, decode
from mbuild.store.digest import BadDigest, Digest
from mbuild.store.history import Revision
from mbuild.store.manifest import Manifest, MediaType
from mbuild.store.name import BadName, Name

if TYPE_CHECKING:
    from mbuild.compiler.dialect import Dialect

# A folder that is not there stands for one that is not known. It is deep enough for the names
# of texts that climb out of it.
_SOMEWHERE = "/unknown" * 32

_FILES = (MediaType.MODEL, MediaType.PROJECTOR, MediaType.ADAPTER, MediaType.DRAFT)


@dataclass(frozen=True, slots=True)
class Ordered:
    """How a build was ordered."""

    known: bool = False  # or is all of this assumed
    file: str = "Modelfile"
    folder: str = _SOMEWHERE
    dialect: "Dialect" = "mbuild"
    arguments: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    quantize: str | None = None
    requantize: bool = False


@dataclass(frozen=True, slots=True)
class Import:
    """A file that was built upon."""

    path: str  # where it was, or the text that names a package; empty: nobody knows
    name: str  # what the manifest calls it: a relative path that climbs nowhere
    digest: Digest


def ordered(revision: Revision) -> Ordered:
    """How *revision* was ordered."""
    account = decode(revision.account)
    match account and account.order:
        case {"folder": str(folder), **more}:
            return Ordered(
                known=True,
                file=_text(more.get("file")) or "<stdin>",
                folder=folder,
                dialect="ollama" if more.get("dialect") == "ollama" else "mbuild",
                arguments=_arguments(more.get("arguments")),
                target=_text(more.get("target")),
                quantize=_text(more.get("quantize")),
                requantize=more.get("requantize") is True,
            )
    return Ordered()


def imports(revision: Revision) -> tuple[Import, ...]:
    """The files that *revision* was built upon, those first of which most is known."""
    account = decode(revision.account)
    told = () if account is None else _told(account.steps)
    every = (*told, *_listed(Manifest.decode(revision.manifest)))
    return tuple(each for each in every if _is_below(each.name))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _arguments(value: object) -> dict[str, str]:
    return {str(name): str(each) for name, each in value.items()} if isinstance(value, dict) else {}


def _told(steps: Iterable[Recorded]) -> Iterator[Import]:
    """The files of which the account tells where they were."""
    for step in steps:
        match step:
            case Recorded(operation="import", arguments={"path": str(path), "as": str(name)}):
                yield from _import(path, name, step.output)
            case Recorded(operation="fetch", arguments={"package": str(package)}):
                yield from _import(package, package.rpartition("/")[2], step.output)


def _import(path: str, name: str, output: str) -> Iterator[Import]:
    try:
        yield Import(path, name, Digest.parse(output))
    except BadDigest:
        return


def _listed(manifest: Manifest) -> Iterator[Import]:
    """The files of which the manifest has the names."""
    for layer in manifest.layers:
        if layer.media_type in _FILES and layer.origin and not _is_model(layer.origin):
            yield Import("", layer.origin, layer.digest)


def _is_model(origin: str) -> bool:
    """Whether a layer with this *origin* comes from another model, not from a file."""
    try:
        return Name.parse(origin).short == origin
    except BadName:
        return False


def _is_below(name: str) -> bool:
    path = normpath(name)
    return not isabs(path) and path.split("/")[0] not in ("", ".", "..")
