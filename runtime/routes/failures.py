"""What a client is told when something was not as it should be.

The one table from exceptions to statuses and sentences; scripts match on the latter.

Source: the specification of the native API, section 1.2.
"""

from mbuild.compiler.gguf import BadGguf
from mbuild.runtime.answer import BadContext, NothingAsked
from mbuild.runtime.api.body import BadBody
from mbuild.runtime.api.ollama import Failure
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
from mbuild.runtime.pool import CannotEmbed, GoneAway, PoolFull
from mbuild.runtime.prompt import NoPlaceFor, TemplateRefused
from mbuild.runtime.renderers import NoSuchRenderer
from mbuild.runtime.schema import BadSchema
from mbuild.runtime.service import Refused
from mbuild.runtime.thinking import NoThinking
from mbuild.store.blobs import MissingBlob
from mbuild.store.config import BadConfig
from mbuild.store.contents import BadLayer
from mbuild.store.digest import BadDigest
from mbuild.store.manifest import BadManifest
from mbuild.store.name import BadName, Name
from mbuild.store.store import DamagedModel, MissingModel, NewerStore


def explain(error: Exception, model: str = "") -> Failure:
    """What to say of *error* in a request about *model*."""
    match error:
        case Refused():
            return error.failure
        case BadName():
            return Failure(400, "invalid model name")
        case BadDigest():
            return Failure(400, "invalid digest format")
        case MissingModel():
            return Failure(404, f"model '{error.name.short}' not found")
        case BadOption():
            # Of the wrong type, in the reference's words; the ranges are ours.
            return Failure(500 if "must be of " in str(error) else 400, str(error))
        case NoThinking():
            return Failure(400, f'"{model}" does not support thinking')
        case NoPlaceFor():
            word = "tools" if error.what == "tools" else "insert"
            return Failure(400, f"{_full(model)} does not support {word}")
        case PromptTooLong():
            numbers = {"prompt_tokens": error.tokens, "num_ctx": error.num_ctx}
            text = "the prompt is longer than the context length"
            return Failure(400, f"{text}: {error.tokens} of {error.num_ctx} tokens", numbers)
        case PoolFull():
            return Failure(503, str(error))
        case GoneAway():
            return Failure(499, str(error))
        case CannotEmbed() | NewerStore():
            return Failure(501, str(error))
        case EngineDied():
            return Failure(500, f"model runner has unexpectedly stopped: {error.reason}")
    return _bad_request(error) or _damage(error) or Failure(500, "internal error")


def is_known(error: Exception) -> bool:
    """Whether *error* is one of those that may happen; all others are bugs."""
    return explain(error).message != "internal error"


def _bad_request(error: Exception) -> Failure | None:
    match error:
        case BadBody() | BadSchema() | BadGrammar() | NothingAsked() | BadContext():
            return Failure(400, str(error))
        case Unanswering() | NoSuchRenderer() | TemplateRefused():
            return Failure(400, str(error))
    return None


def _damage(error: Exception) -> Failure | None:
    match error:
        case CannotLoad():
            hint = "; the model may be damaged or made for another version: build or pull it again"
            return Failure(500, f"the model cannot be loaded: {error.reason}{hint}")
        case BadGguf():
            return Failure(500, f"the model's weights cannot be used: {error.reason}")
        case DamagedModel() | MissingBlob() | BadConfig() | BadLayer() | BadManifest():
            return Failure(500, f"the model is damaged: {error}")
        case EngineMissing() | TemplateTooBig() | WorkerDied():
            return Failure(500, str(error))
        case OSError():
            return Failure(500, (error.strerror or "the disk cannot be used").lower())
    return None


def _full(model: str) -> str:
    try:
        return str(Name.parse(model))
    except BadName:
        return model
