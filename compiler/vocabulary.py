"""What the checks must know of a model's vocabulary: its special tokens, and what it adds.

Reading a vocabulary takes half a second where it is large, so it is read once for each digest of
weights, when someone asks for tokens, and recorded in the store. A plain build only looks the
record up.
"""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mbuild.store.digest import Digest
from mbuild.store.store import Store

if TYPE_CHECKING:
    from mbuild.compiler import gguf

_KEY = "vocabulary lookup 1 "  # The number grows when a field or a rule below changes.
_TOKENS = "tokenizer.ggml.tokens"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The lookup of one GGUF file."""

    size: int  # tokens; 0: the file has no vocabulary
    bos: str  # the text of the token that begins a sequence; empty: there is none
    adds_bos: bool  # whether tokenizing puts it in front
    tokens: tuple[str, ...]  # those that look like special ones, in their order
    written: tuple[str, ...]  # what its own chat template writes of the kind


def key(digest: Digest) -> Digest:
    """Under what the lookup for the weights *digest* is recorded."""
    return Digest.of((_KEY + str(digest)).encode())


def known(store: Store, digest: Digest) -> Vocabulary | None:
    """The lookup for the weights *digest*, if it has been recorded. Reads no weights."""
    recorded = store.recall(key(digest))
    if recorded is None:
        return None
    fields = json.loads(recorded)
    return Vocabulary(**fields | {name: tuple(fields[name]) for name in ("tokens", "written")})


def learn(store: Store, digest: Digest) -> Vocabulary:
    """The lookup for the weights *digest*, which is recorded if it was not.

    Raises:
        MissingBlob: the store has no such blob.
        BadGguf: it is no whole GGUF file.
    """
    found = known(store, digest)
    if found is not None:
        return found
    from mbuild.compiler import gguf

    store.blobs.size(digest)  # Raises for a blob that is not there.
    path = store.blobs.path(digest)
    header = gguf.read(path)
    entry = header.metadata.get(_TOKENS)
    count = entry.count if isinstance(entry, gguf.Array) else 0
    made = lookup(header, gguf.texts(path, _TOKENS, range(count)))
    store.record(key(digest), json.dumps(asdict(made)).encode())
    return made


def lookup(header: "gguf.Header", tokens: dict[int, str]) -> Vocabulary:
    """The lookup that *header* and the texts of all *tokens*, by number, give."""
    # Imported here: patterns take a while to compile, and a recorded lookup needs none.
    from mbuild.compiler.stop_rules import MARKER

    written = MARKER.findall(header.chat_template or "")
    bos = tokens.get(_bos(header), "")
    return Vocabulary(
        size=len(tokens),
        bos=bos,
        adds_bos=bool(bos) and _adds_bos(header),
        tokens=tuple(text for text in tokens.values() if MARKER.fullmatch(text)),
        written=tuple(dict.fromkeys(written)),
    )


# What llama.cpp takes where the file does not say (its vocabulary loader).
_BOS = {"llama": 1, "bert": 101}
_ADD_BOS = ("llama", "bert")
_PRE_ADD_BOS = (
    *("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"),
    *("tekken", "chameleon"),
)


def _bos(header: "gguf.Header") -> int:
    number = header.number("tokenizer.ggml.bos_token_id")
    if number is not None:
        return number
    return _BOS.get(header.text("tokenizer.ggml.model") or "", -1)


def _adds_bos(header: "gguf.Header") -> bool:
    said = header.metadata.get("tokenizer.ggml.add_bos_token")
    if isinstance(said, bool):
        return said
    if header.text("tokenizer.ggml.model") in _ADD_BOS:
        return True
    return header.text("tokenizer.ggml.pre") in _PRE_ADD_BOS
