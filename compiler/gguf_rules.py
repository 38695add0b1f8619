"""What the header of a GGUF file may say to code that believes it.

Every number here becomes the length of a buffer, an index or a divisor in some loader: a count
of heads of 0 is divided by, an id of a token outside of the vocabulary is looked up, an array of
bytes is read as one of floats. The layout of the file is checked before
(:mod:`mbuild.compiler.gguf`); this is about what it means. Opens nothing.

Sources: llama.cpp's `llama-hparams.h` and `llama-vocab.cpp` for the limits, and the advisories
that docs/security.md lists.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite

Plain = bool | int | float | str

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_NO_TOKEN = {-1, 0xFFFF_FFFF}  # What some converters write for "there is none".
# Tokens that some models have behind the end of their vocabulary; loaders pass over those.
_OFTEN_OUTSIDE = ("tokenizer.ggml.padding_token_id", "tokenizer.ggml.image_token_id")
_MOST_TOKENS = 1 << 22  # The largest vocabularies in the field have a quarter of a million.
_TOKENS = "tokenizer.ggml.tokens"
_CHARACTER_MAP = "tokenizer.ggml.precompiled_charsmap"

# Hyper-parameters that are whole numbers, and from what to what; a key may be missing.
_RANGES = {
    "block_count": (0, 512),  # LLAMA_MAX_LAYERS; 0 has a rule of its own
    "context_length": (1, (1 << 31) - 1),
    "embedding_length": (1, 1 << 20),
    "vocab_size": (1, _MOST_TOKENS),
    "expert_count": (0, 4096),
    "expert_used_count": (0, 4096),
    "expert_shared_count": (0, 4096),
    "attention.key_length": (1, 1 << 16),
    "attention.value_length": (1, 1 << 16),
    "attention.sliding_window": (0, (1 << 32) - 1),
    "rope.dimension_count": (0, 1 << 16),
    "leading_dense_block_count": (0, 512),
    "nextn_predict_layers": (0, 512),
}
# The same, but there may be one for each block.
_RANGES_OF_BLOCKS = {
    "attention.head_count": (0, 1 << 16),
    "attention.head_count_kv": (0, 1 << 16),
    "feed_forward_length": (0, 1 << 24),
}
_EPSILONS = ("attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon")

# Arrays that loaders cast to a type without asking for it: the width of an element, in bytes,
# and whether it must be a floating number.
_CAST = {
    "tokenizer.ggml.scores": (4, True),
    "tokenizer.ggml.token_type": (4, False),
    "tokenizer.ggml.suppress_tokens": (4, False),
    _CHARACTER_MAP: (1, False),
}
_TEXTS = (_TOKENS, "tokenizer.ggml.merges")
_AS_MANY_AS_TOKENS = ("tokenizer.ggml.scores", "tokenizer.ggml.token_type")

# What a loader takes where a tokenizer's file does not say which token it is.
_DEFAULTS = {
    "llama": {"bos": 1, "eos": 2, "unknown": 0},
    "gpt2": {"bos": 11, "eos": 11},
    "bert": {"bos": 101, "unknown": 100, "seperator": 102, "padding": 0, "mask": 103},
    "t5": {"eos": 1, "unknown": 2, "padding": 0},
    "plamo2": {"bos": 1, "eos": 2, "unknown": 0, "padding": 3},
}
# Tokenizers whose loaders take the two digits out of '<0x0A>' without another look at it.
WITH_BYTE_TOKENS = ("llama", "t5", "plamo2")
_BYTE_TOKEN = re.compile(r"<0x[0-9A-Fa-f]{2}>")


@dataclass(frozen=True, slots=True)
class Listed:
    """An array of the header: what its elements are, how many, and the numbers of a short one."""

    width: int  # bytes of an element; 0 for texts
    floating: bool
    count: int
    numbers: tuple[Plain, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """What a header says, as far as the rules need it."""

    values: Mapping[str, Plain]
    arrays: Mapping[str, Listed]
    shapes: Mapping[str, tuple[int, ...]]  # of the tensors, by name
    character_map: bytes = b""  # the first bytes of that array


def wants_numbers(key: str, count: int) -> bool:
    """Whether the rules look at the elements of the numeric array *key*."""
    return count <= _MOST_BLOCKS and key.endswith((*_RANGES_OF_BLOCKS, "suppress_tokens"))


_MOST_BLOCKS = 4096


def objection(facts: Facts) -> str | None:
    """The first thing that no loader should be told, in words."""
    for rule in (_names, _arrays, _vocabulary, _hyper_parameters, _parts):
        for reason in rule(facts):
            return reason
    return None


def bad_byte_tokens(texts: Iterable[str]) -> Iterator[str]:
    """What is wrong with *texts*, which stand for single bytes."""
    for text in texts:
        if not _BYTE_TOKEN.fullmatch(text):
            yield f"the token {text[:20]!r} stands for a byte, but is not like '<0x0A>'"


def _names(facts: Facts) -> Iterator[str]:
    for key in ("general.architecture", "general.type", "tokenizer.ggml.model"):
        if key not in facts.values and key not in facts.arrays:
            continue
        value = facts.values.get(key)
        if not isinstance(value, str):
            yield f"{key} is not a text"
        elif key == "general.architecture" and not _NAME.fullmatch(value):
            yield f"general.architecture is {value[:40]!r}, which is no name"
    if "tokenizer.chat_template" in facts.arrays:
        yield "tokenizer.chat_template is not a text"


def _arrays(facts: Facts) -> Iterator[str]:
    for key in _TEXTS:
        if key in facts.values or (key in facts.arrays and facts.arrays[key].width):
            yield f"{key} is not an array of texts"
    for key, (width, floating) in _CAST.items():
        found = facts.arrays.get(key)
        if key in facts.values or (
            found is not None and (found.width, found.floating) != (width, floating)
        ):
            yield f"{key} has elements of the wrong type"
    start = facts.character_map
    if _CHARACTER_MAP in facts.arrays:
        count = facts.arrays[_CHARACTER_MAP].count
        if count and (count < 4 or 4 + int.from_bytes(start[:4], "little") > count):
            yield f"{_CHARACTER_MAP} is shorter than it says it is"


def _vocabulary(facts: Facts) -> Iterator[str]:
    model = facts.values.get("tokenizer.ggml.model")
    tokens = facts.arrays.get(_TOKENS)
    count = tokens.count if tokens is not None else 0
    if tokens is None:
        if model not in (None, "none", "no_vocab"):
            yield f"its tokenizer is {model}, but there is no {_TOKENS}"
        return
    if count == 0:
        yield f"{_TOKENS} is empty"
    for key in _AS_MANY_AS_TOKENS:
        if key in facts.arrays and facts.arrays[key].count != count:
            yield f"{key} has {facts.arrays[key].count} elements for {count} tokens"
    shape = facts.shapes.get("token_embd.weight", ())
    if len(shape) > 1 and shape[1] < count:
        yield f"token_embd.weight has {shape[1]} rows for {count} tokens"
    yield from _special_tokens(facts, str(model), count)


def _special_tokens(facts: Facts, model: str, count: int) -> Iterator[str]:
    for key, value in facts.values.items():
        if not key.startswith("tokenizer.ggml.") or not key.endswith("_token_id"):
            continue
        if isinstance(value, bool) or not isinstance(value, int):
            yield f"{key} is not a whole number"
        elif value in _NO_TOKEN or (key in _OFTEN_OUTSIDE and 0 <= value <= _MOST_TOKENS):
            continue
        elif not 0 <= value < count:
            yield f"{key} is {value}, and there are {count} tokens"
    for word, default in _DEFAULTS.get(model, {}).items():
        if f"tokenizer.ggml.{word}_token_id" not in facts.values and default >= count:
            yield f"there is no {word}_token_id, and {count} tokens do not reach to the usual one"
    for each in _numbers(facts, "tokenizer.ggml.suppress_tokens"):
        if not 0 <= each < count:
            yield f"tokenizer.ggml.suppress_tokens has {each}, and there are {count} tokens"


def _hyper_parameters(facts: Facts) -> Iterator[str]:
    name = facts.values.get("general.architecture")
    for key, limits in _RANGES.items():
        yield from _outside(facts, f"{name}.{key}", limits, lists=False)
    for key, limits in _RANGES_OF_BLOCKS.items():
        yield from _outside(facts, f"{name}.{key}", limits, lists=True)
    for key in _EPSILONS:
        value = facts.values.get(f"{name}.{key}", 0.0)
        if not isinstance(value, int | float) or not isfinite(value) or value < 0:
            yield f"{name}.{key} is {value!r}"
    yield from _blocks(facts, f"{name}.")
    yield from _heads(facts, f"{name}.")
    yield from _experts(facts, f"{name}.")


def _outside(facts: Facts, key: str, limits: tuple[int, int], *, lists: bool) -> Iterator[str]:
    least, most = limits
    if key in facts.arrays and (not lists or facts.arrays[key].floating):
        yield f"{key} is an array, not a whole number"
    if key in facts.values and not _is_whole(facts.values[key]):
        yield f"{key} is not a whole number"
    for value in _numbers(facts, key):
        if not least <= value <= most:
            yield f"{key} is {value} (from {least} to {most})"


def _numbers(facts: Facts, key: str) -> Iterator[int]:
    """The whole numbers at *key*, be it one or an array."""
    listed = facts.arrays.get(key)
    for value in (facts.values.get(key),) if listed is None else listed.numbers:
        if _is_whole(value):
            assert isinstance(value, int)
            yield value


def _is_whole(value: Plain | None) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _blocks(facts: Facts, prefix: str) -> Iterator[str]:
    count = facts.values.get(f"{prefix}block_count")
    if not isinstance(count, int):
        return
    # A file with only an encoder for images says 0, or nothing.
    encoders = (f"{prefix}vision.block_count", f"{prefix}audio.block_count")
    is_clip = facts.values.get("general.architecture") == "clip"
    if count == 0 and not is_clip and not any(key in facts.values for key in encoders):
        yield f"{prefix}block_count is 0"
    for key in _RANGES_OF_BLOCKS:
        listed = facts.arrays.get(f"{prefix}{key}")
        if listed is not None and listed.count < count:
            yield f"{prefix}{key} has {listed.count} elements for {count} blocks"
        if listed is not None and listed.count > _MOST_BLOCKS:
            yield f"{prefix}{key} has {listed.count} elements"


def _heads(facts: Facts, prefix: str) -> Iterator[str]:
    heads = _one(facts, f"{prefix}attention.head_count")
    groups = _one(facts, f"{prefix}attention.head_count_kv")
    width = _one(facts, f"{prefix}embedding_length")
    rope = _one(facts, f"{prefix}rope.dimension_count")
    key = _one(facts, f"{prefix}attention.key_length")
    # Models of states instead of attention say that they have no heads.
    if heads == 0 and not _has_states(facts.values, prefix):
        yield f"{prefix}attention.head_count is 0"
    if groups == 0 and heads:
        yield f"{prefix}attention.head_count_kv is 0"
    if heads and groups and heads % groups:
        yield f"{prefix}attention.head_count is {heads}, no multiple of head_count_kv {groups}"
    if heads and width and heads > width:
        yield f"{prefix}attention.head_count is {heads}, more than embedding_length {width}"
    size = key or (width // heads if heads and width else None)
    if rope and size and rope > size:
        yield f"{prefix}rope.dimension_count is {rope}, more than a head's {size}"


def _has_states(keys: Collection[str], prefix: str) -> bool:
    return any(key.startswith((f"{prefix}ssm.", f"{prefix}wkv.")) for key in keys)


def _experts(facts: Facts, prefix: str) -> Iterator[str]:
    count = _one(facts, f"{prefix}expert_count") or 0
    used = _one(facts, f"{prefix}expert_used_count") or 0
    if used > count:
        yield f"{prefix}expert_used_count is {used}, of {count} experts"
    if count and not used:
        yield f"{prefix}expert_used_count is 0, of {count} experts"


def _one(facts: Facts, key: str) -> int | None:
    value = facts.values.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _parts(facts: Facts) -> Iterator[str]:
    """The numbers of a part of a split file; how many parts there are is 16 bits wide."""
    for key in ("split.no", "split.count", "split.tensors.count"):
        if key in facts.arrays or (key in facts.values and not _is_whole(facts.values[key])):
            yield f"{key} is not a whole number"
    count = _one(facts, "split.count") or 0
    number = _one(facts, "split.no")
    if not 0 <= count <= 0xFFFF:
        yield f"split.count is {count} (at most 65535)"
    if number is not None and count > 1 and not 0 <= number < count:
        yield f"split.no is {number}, of {count} parts"
