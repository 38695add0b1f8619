"""Which weights can be quantized, and to what: QUANTIZE, and ``create -q``.

Who quantizes is a `Quantizer`, given by whoever builds: building knows no llama.cpp.

Source: the reference's create, "rewriting and quantizing": its types, from what they are made,
and which tensors of some architectures keep more. Q5_K_S, Q5_K_M and Q6_K are additions: older
releases of the reference had them.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Protocol

from mbuild.compiler.gguf import Header
from mbuild.store.digest import Digest

TYPES = (
    "F32",
    "F16",
    "BF16",
    "Q8_0",
    "Q6_K",
    "Q5_K_M",
    "Q5_K_S",
    "Q4_K_M",
    "Q4_K_S",
)
"""What weights can be made into, the largest first."""

_ALIASES = {"Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}
_WHOLE = ("F32", "F16", "BF16")  # from what the reference quantizes
_NUMBERS = {"I8", "I16", "I32", "I64", "F64"}  # in tensors that are no weights
_KEY = "quantization 1 "  # The number grows when the same order may give other bytes.


class CannotQuantize(Exception):
    """Weights that llama.cpp could not quantize."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"cannot quantize {path}: {reason}")
        self.path = path
        self.reason = reason


class Quantizer(Protocol):
    """What quantizes."""

    def __call__(
        self, source: str, target: str, wanted: str, progress: Callable[[int, int], None], /
    ) -> None:
        """Make the GGUF file *target* of *source*, its weights of the type *wanted*.

        The same source and type give the same bytes. Nobody has synced *target*; after an
        exception it is not there. *progress* is told the bytes of *source* that are done, and of
        how many.

        Raises:
            CannotQuantize: llama.cpp did not do it; the text says why.
            BadGguf: *source* is no whole GGUF file.
        """
        ...


@dataclass(frozen=True, slots=True)
class Unsupported:
    """A word that is no type to quantize to."""

    text: str
    nearest: str | None  # the type that was probably meant

    @property
    def message(self) -> str:
        return f"unknown quantization type {self.text}"

    @property
    def hint(self) -> str:
        if self.nearest is not None:
            return f"did you mean {self.nearest}?"
        return f"supported types are {', '.join(TYPES)}"


def wanted(text: str) -> str | Unsupported:
    """The type that *text* names, in any case.

    >>> wanted("q4_k")
    'Q4_K_M'
    >>> wanted("q4km").hint
    'did you mean Q4_K_M?'
    """
    word = text.strip().upper()
    word = _ALIASES.get(word, word)
    return word if word in TYPES else Unsupported(text, _nearest(word))


def source_type(header: Header) -> str:
    """The type of the weights: what the file says, or else what most of its numbers have.

    A file of the type F32 says nothing that the reference reads.
    """
    if header.file_type != "unknown":
        return header.file_type
    counts: Counter[str] = Counter()
    for tensor in header.tensors:
        counts[tensor.type] += prod(tensor.shape)
    most = counts.most_common(1)
    return most[0][0] if most else "unknown"


def unfit(header: Header, wanted: str, *, requantize: bool = False) -> str | None:
    """Why weights of this header cannot be made into the type *wanted*; None: they can.

    Weights that have the type already are fit: there is nothing to do (see `source_type`).
    *requantize* allows weights that were quantized before, whose quality suffers twice.
    """
    kind = header.text("general.type")
    if kind not in (None, "model"):
        return f"the file is of the kind {kind}, and only models are quantized"
    if not header.tensors:
        return "the file has no weights"
    if (header.number("split.count") or 0) > 1:
        return "the file is one part of a split model: only whole ones are quantized"
    source = source_type(header)
    if requantize or source == wanted:
        return None
    if source not in _WHOLE:
        return f"the weights are {source} already: only F16, BF16 and F32 can be quantized"
    return _hidden(header)


def _hidden(header: Header) -> str | None:
    """Why weights that say they are whole are not."""
    for tensor in header.tensors:
        if tensor.type not in _WHOLE and tensor.type not in _NUMBERS:
            return f"the tensor {tensor.name} is {tensor.type} already"
    return None


def exceptions(architecture: str, wanted: str) -> tuple[tuple[str, str], ...]:
    """Tensors that keep more than *wanted*: regular expressions of their names, and their types.

    What is quantized too far there spoils the model.
    """
    if wanted not in ("Q4_K_M", "Q4_K_S"):
        return ()
    match architecture:
        case "qwen35" | "qwen35moe":
            return ((r"^blk\.[0-9]+\.nextn\.eh_proj\.weight$", "Q8_0"),)
        case "gemma3n":
            return ((r"^per_layer_token_embd\.weight$", "F16"),)
        case "deepseek2":
            names = ("attn_k_b", "attn_q_a", "attn_q_b", "attn_v_b", "attn_kv_a_mqa")
            return tuple((rf"{name}\.weight$", "Q8_0") for name in names)
        case "glmocr" | "glm4":
            return ((r"^token_embd\.weight$", "F16"), (r"^output\.weight$", "F16"))
        case _:
            return ()


def key(digest: Digest, wanted: str) -> Digest:
    """Under what the weights *digest*, made into *wanted*, are recorded.

    The release of llama.cpp is not part of it: what one release made is as good as what the next
    one would make, and a build does not start llama.cpp to find out which it is.
    """
    return Digest.of(f"{_KEY}{wanted} {digest}".encode())


def _nearest(word: str) -> str | None:
    # Imported here: most words are right.
    from difflib import get_close_matches

    squeezed = {name.replace("_", ""): name for name in reversed(TYPES)}
    close = get_close_matches(word.replace("_", "").replace("-", ""), squeezed, n=1, cutoff=0.7)
    return squeezed[close[0]] if close else None
