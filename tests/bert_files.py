"""A GGUF file of a model that only embeds, for tests; llama.cpp really runs it."""

import random
from pathlib import Path

from gguf_files import TensorData, floats, write_gguf

WIDTH = 32  # The length of an embedding.
TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581one", "\u2581two", "\u2581three")
PAD, UNKNOWN, BEGIN, END = range(4)


def tiny_bert(path: Path, *, context_length: int = 64) -> Path:
    """Write a model of the BERT architecture, which reads whole texts, and return its path."""
    source = random.Random(0)

    def matrix(name: str, rows: int, width: int = WIDTH) -> TensorData:
        numbers = (source.gauss(0, 1) for _ in range(rows * width))
        return TensorData(f"{name}.weight", (width, rows), floats(numbers))

    def vector(name: str, number: float, size: int = WIDTH) -> TensorData:
        return TensorData(name, (size,), floats([number] * size))

    norms = ["token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"]
    square = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_up", "ffn_down"]
    header = {
        "general.architecture": "bert",
        "bert.context_length": context_length,
        "bert.embedding_length": WIDTH,
        "bert.block_count": 1,
        "bert.feed_forward_length": WIDTH,
        "bert.attention.head_count": 2,
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        "bert.pooling_type": 1,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.tokens": list(TOKENS),
        "tokenizer.ggml.scores": [0.0] * len(TOKENS),
        "tokenizer.ggml.token_type": [3, 2, 3, 3, 1, 1, 1],
        "tokenizer.ggml.padding_token_id": PAD,
        "tokenizer.ggml.unknown_token_id": UNKNOWN,
        "tokenizer.ggml.bos_token_id": BEGIN,
        "tokenizer.ggml.cls_token_id": BEGIN,
        "tokenizer.ggml.seperator_token_id": END,
        "tokenizer.ggml.eos_token_id": END,
    }
    tensors = [
        matrix("token_embd", len(TOKENS)),
        matrix("position_embd", context_length),
        matrix("token_types", 2),
        *(vector(f"{name}.weight", 1.0) for name in norms),
        *(vector(f"{name}.bias", 0.0) for name in norms),
        *(matrix(f"blk.0.{name}", WIDTH) for name in square),
        *(vector(f"blk.0.{name}.bias", 0.0) for name in square),
    ]
    return write_gguf(path, header, tensors)
