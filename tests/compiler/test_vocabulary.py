"""What is kept of a vocabulary, and when it is read."""

from pathlib import Path

import pytest
from gguf_files import tiny_llama, write_gguf

from mbuild.compiler import gguf
from mbuild.compiler.vocabulary import known, learn, lookup
from mbuild.store.blobs import MissingBlob
from mbuild.store.digest import Digest
from mbuild.store.store import Store


def header(**metadata: gguf.Scalar) -> gguf.Header:
    pairs = {key.replace("__", "."): value for key, value in metadata.items()}
    return gguf.Header(3, pairs, (), {})


def test_the_lookup_holds_what_looks_special(tmp_path: Path) -> None:
    chat = "{{ bos_token }}<|user|>{{ messages }}</s>"
    store = Store(tmp_path / "store")
    stored = store.take(
        tiny_llama(tmp_path / "m.gguf", vocab=("<tool>", "word"), chat_template=chat)
    )
    found = learn(store, stored.digest)
    assert (found.bos, found.adds_bos, found.size) == ("<s>", True, 5 + 256 + 2)
    assert [text for text in found.tokens if not text.startswith("<0x")] == [
        *("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<tool>")
    ]
    assert found.written == ("<|user|>", "</s>")


def test_weights_are_read_once_and_never_to_look_a_record_up(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digest = store.take(tiny_llama(tmp_path / "m.gguf")).digest
    assert known(store, digest) is None
    found = learn(store, digest)
    store.blobs.remove(digest)
    assert known(store, digest) == found == learn(store, digest)


def test_weights_that_are_not_there_are_missed(tmp_path: Path) -> None:
    with pytest.raises(MissingBlob):
        learn(Store(tmp_path / "store"), Digest.of(b"gone"))


def test_a_file_without_a_vocabulary_has_an_empty_lookup(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    path = write_gguf(tmp_path / "m.gguf")
    assert learn(store, store.take(path).digest).size == 0


@pytest.mark.parametrize(
    ("metadata", "bos", "adds"),
    [
        pytest.param({"tokenizer__ggml__model": "llama"}, "b", True, id="llama's defaults"),
        pytest.param({"tokenizer__ggml__model": "gpt2"}, "", False, id="gpt2's"),
        pytest.param(
            {"tokenizer__ggml__model": "gpt2", "tokenizer__ggml__bos_token_id": 2},
            "c",
            False,
            id="a BOS that is not added",
        ),
        pytest.param(
            {
                "tokenizer__ggml__model": "gpt2",
                "tokenizer__ggml__pre": "llama-bpe",
                "tokenizer__ggml__bos_token_id": 0,
            },
            "a",
            True,
            id="llama 3's",
        ),
        pytest.param(
            {"tokenizer__ggml__model": "llama", "tokenizer__ggml__add_bos_token": False},
            "b",
            False,
            id="said to be off",
        ),
        pytest.param(
            {"tokenizer__ggml__bos_token_id": 99, "tokenizer__ggml__add_bos_token": True},
            "",
            False,
            id="no such token",
        ),
    ],
)
def test_what_a_tokenizer_puts_in_front(
    metadata: dict[str, gguf.Scalar], bos: str, *, adds: bool
) -> None:
    found = lookup(header(**metadata), {0: "a", 1: "b", 2: "c"})
    assert (found.bos, found.adds_bos) == (bos, adds)
