"""Whether a GGUF file can be used for what a Modelfile wants of it."""

import os

from mbuild.compiler.gguf import BadGguf, read
from mbuild.compiler.origin import Refusal
from mbuild.compiler.weights import Weights, summarise, summary
from mbuild.store.digest import Digest
from mbuild.store.manifest import MediaType
from mbuild.store.store import Store

_NAMES = {
    MediaType.MODEL: "a model",
    MediaType.ADAPTER: "an adapter",
    MediaType.PROJECTOR: "a projector",
}


def unfit(path: str, media_type: str, shown: str) -> Refusal | None:
    """Why the file at *path*, which the author knows as *shown*, is no *media_type*, if so.

    Of a part of a split file, why the parts make no whole.
    """
    try:
        weights = summarise(read(path))
    except BadGguf as error:
        return Refusal(f"{shown}: {error.reason}", _other_format(shown))
    if weights.split_count > 1:
        return _unfit_part(path, media_type, shown)
    return _unfit(weights, media_type, shown)


def unfit_blob(store: Store, digest: Digest, media_type: str, shown: str) -> Refusal | None:
    """The same, of a file whose bytes are the blob *digest*, of which a summary may be there."""
    try:
        weights = summary(store, digest)
    except BadGguf as error:
        return Refusal(f"{shown}: {error.reason}")
    return _unfit(weights, media_type, shown)


def _unfit_part(path: str, media_type: str, shown: str) -> Refusal | None:
    # Imported here: few models are split.
    from mbuild.compiler.split import trouble

    if media_type != MediaType.MODEL or path != shown:
        return Refusal(
            f"{shown} is a part of a split GGUF",
            "join the parts with llama.cpp's `llama-gguf-split --merge FIRST-PART OUT.gguf`",
        )
    return trouble(path)


def _unfit(weights: Weights, media_type: str, path: str) -> Refusal | None:
    """Why these weights cannot be used for *media_type*, if so."""
    found = MediaType(weights.media_type)
    if media_type == MediaType.ADAPTER and found != MediaType.ADAPTER:
        hint = "llama.cpp's `convert_lora_to_gguf.py` makes one"
        return Refusal(
            f"{path} is no adapter but {_NAMES[found]}: its general.type is not 'adapter'",
            f"write FROM {path}" if found == MediaType.PROJECTOR else hint,
        )
    if media_type == MediaType.MODEL and found == MediaType.ADAPTER:
        return Refusal(f"{path} is an adapter, not a model", f"write ADAPTER {path}")
    if media_type == MediaType.DRAFT and found != MediaType.MODEL:
        return Refusal(f"{path} is {_NAMES[found]}, not a model that can draft")
    return None


def _other_format(path: str) -> str | None:
    """How to get a GGUF out of a file that is none."""
    if path.endswith((".safetensors", ".bin", ".pth", ".pt")):
        folder = os.path.dirname(path)
        return f"convert its folder: `python convert_hf_to_gguf.py {folder} --outfile model.gguf`"
    return None
