"""What a person is told when the world was not as it should be.

The one table from exceptions to sentences: what is wrong with what, and what would mend it.
"""

import errno
from dataclasses import dataclass

from mbuild.compiler.decompile import Unsayable
from mbuild.compiler.gguf import BadGguf
from mbuild.compiler.quantization import CannotQuantize
from mbuild.compiler.ways import NoSuchStep
from mbuild.store.blobs import MissingBlob, WrongDigest
from mbuild.store.config import BadConfig
from mbuild.store.contents import BadLayer
from mbuild.store.linking import CannotLink
from mbuild.store.links import DamagedBlob
from mbuild.store.name import BadName
from mbuild.store.remote.package_index import BadWheel, NotInIndex, PipMissing
from mbuild.store.store import DamagedModel, MissingModel, NewerStore


@dataclass(frozen=True, slots=True)
class Failure:
    """One sentence, and what may help."""

    message: str
    hints: tuple[str, ...] = ()


def explain(error: Exception) -> Failure:
    """What to say of *error*; one that is not known here is told by its own text."""
    match error:
        case OSError():
            return _system(error)
        case BadName():
            return Failure(
                f"{error.text!r} is no model's name",
                ("a name is [HOST/][NAMESPACE/]MODEL[:TAG], of letters, digits and _ . -",),
            )
        case MissingModel():
            return Failure(
                f"no model {error.name.short} in the store",
                ("mbuild list shows the models that are there",),
            )
        case MissingBlob():
            return Failure(
                f"{error}: a part of the model is gone from the store",
                ("build or import the model again",),
            )
        case DamagedBlob():
            return Failure(str(error), ("build again, or see what mbuild fsck --repair can mend",))
        case CannotLink():
            return Failure(str(error), ("leave --link out: the file is copied then",))
        case DamagedModel():
            return Failure(
                str(error),
                (
                    "mbuild fsck --repair brings back an earlier build, if there is one",
                    "mbuild rm removes it, mbuild create builds it again",
                ),
            )
        case NewerStore():
            return Failure(str(error), ("update mbuild, or choose another store by --models-dir",))
        case PipMissing():
            return Failure(str(error), ("python -m ensurepip, or install the package pip",))
        case NotInIndex():
            return Failure(str(error), ("pip config list shows which index is asked, and how",))
        case NoSuchStep():
            return Failure(str(error), (f"the steps are {', '.join(error.names)}",))
        case BadLayer() | BadConfig() | WrongDigest():
            return Failure(str(error), ("build or import the model again",))
        case BadGguf() | BadWheel() | CannotQuantize() | Unsayable():
            return Failure(str(error))
    return (
        _runtime(error)
        or _server(error)
        or Failure(str(error) or type(error).__name__, _bug(error))
    )


def _server(error: Exception) -> Failure | None:
    from mbuild.cli.address import BadAddress
    from mbuild.cli.peer import NoServer, Unwilling
    from mbuild.cli.serving import Taken

    match error:
        case NoServer():
            return Failure(str(error), error.hints)
        case Taken():
            another = f"mbuild serve --port {error.address.port + 1}, or --port 0 for any free one"
            return Failure(str(error), (f"choose another port: {another}",))
        case Unwilling() | BadAddress():
            return Failure(str(error))
    return None


def _runtime(error: Exception) -> Failure | None:
    from mbuild.cli.saving import Unsaved
    from mbuild.runtime.engine import (
        BadGrammar,
        CannotLoad,
        EngineDied,
        EngineMissing,
        PromptTooLong,
    )
    from mbuild.runtime.jinja import TemplateTooBig, WorkerDied
    from mbuild.runtime.model import Unanswering
    from mbuild.runtime.options import BadOption
    from mbuild.runtime.prompt import NoPlaceFor, TemplateRefused
    from mbuild.runtime.renderers import NoSuchRenderer
    from mbuild.runtime.schema import BadSchema

    match error:
        case EngineMissing():
            return Failure(f"{error.package} is not installed", _install())
        case CannotLoad():
            return Failure(str(error), ("mbuild show tells what the weights say of themselves",))
        case EngineDied():
            return Failure(str(error), ("ask again: the next question starts another engine",))
        case BadOption():
            return Failure(str(error), ("mbuild show MODEL --parameters shows what it brings",))
        case BadSchema() | BadGrammar():
            return Failure(str(error), ("--format '' asks for free text",))
        case NoSuchRenderer():
            return Failure(str(error), tuple(map(_about_renderer, error.instead)))
        case NoPlaceFor() | TemplateRefused() | TemplateTooBig() | WorkerDied():
            return Failure(str(error), ("mbuild show MODEL --template shows the template",))
        case PromptTooLong() | Unanswering() | Unsaved():
            return Failure(str(error))
    return None


def _about_renderer(choice: str) -> str:
    source = "the model's TEMPLATE" if choice == "go" else "the chat template in the weights"
    return f"--renderer={choice} uses {source}, which may differ"


def _install() -> tuple[str, ...]:
    import sys

    how = ["pip install 'mbuild-modelfile[run]'"]
    if sys.platform == "darwin":
        how.append("on a Mac that compiles llama.cpp with Metal; xcode-select --install first")
    else:
        how.append("it compiles llama.cpp, which takes a C++ compiler and a quarter of an hour")
    how.append("README, 'Without compiling', tells of prebuilt wheels")
    return tuple(how)


def _system(error: OSError) -> Failure:
    said = error.strerror or str(error)
    what = said[:1].lower() + said[1:]
    where = f"{error.filename}: " if error.filename is not None else ""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            hints: tuple[str, ...] = (
                "nothing was changed; free some space, or choose another store by --models-dir",
            )
        case errno.EACCES | errno.EROFS | errno.EPERM:
            hints = ("nothing was changed; another store can be chosen by --models-dir",)
        case _:
            hints = ()
    return Failure(where + what, hints)


def _bug(error: Exception) -> tuple[str, ...]:
    if type(error).__module__.startswith("mbuild."):
        return ()
    return (f"this may be a mistake of mbuild's ({type(error).__name__}); --debug shows where",)
