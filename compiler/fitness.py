"""Whether a GGUF file can be used for what a Modelfile wants of it."""

import os

from mbuild.compiler.gguf import BadGguf, read
from mbuild.compiler.origin import Refusal
from mbuild.compiler.weights import Weights, summarise
from mbuild.store.manifest import MediaType


def unfit(path: str, media_type: str, shown: str) -> Refusal | None:
    """Why the file at *path*, which the author knows as *shown*, is no *media_type*, if so."""
    try:
        return _unfit(summarise(read(path)), media_type, shown)
    except BadGguf as error:
        return Refusal(f"{shown}: {error.reason}", _other_format(shown))


def _unfit(weights: Weights, media_type: str, path: str) -> Refusal | None:
    """Why these weights cannot be used for *media_type*, if so."""
    if weights.split_count > 1:
        return Refusal(
            f"{path} is one of {weights.split_count} parts of a split GGUF",
            "join them with llama.cpp's `llama-gguf-split --merge FIRST-PART OUT.gguf`",
        )
    if media_type == MediaType.ADAPTER and weights.media_type != MediaType.ADAPTER:
        return Refusal(
            f"{path} is no adapter: its general.type is not 'adapter'",
            "llama.cpp's `convert_lora_to_gguf.py` makes one",
        )
    return None


def _other_format(path: str) -> str | None:
    """How to get a GGUF out of a file that is none."""
    if path.endswith((".safetensors", ".bin", ".pth", ".pt")):
        folder = os.path.dirname(path)
        return f"convert its folder: `python convert_hf_to_gguf.py {folder} --outfile model.gguf`"
    return None
