"""How much memory an engine will take, and how much there is."""

import os
import sys

from mbuild.compiler import gguf
from mbuild.runtime.batch import context_size
from mbuild.runtime.engine import Load

_MEMINFO = "/proc/meminfo"
_OVERHEAD = 128 << 20  # bytes: the process, and what llama.cpp computes with


def needed(load: Load, parallel: int) -> int:
    """About how many bytes an engine takes: its weights, and the cache of *parallel* sequences.

    Raises:
        BadGguf: the weights cannot be read.
    """
    paths = (load.weights, *(adapter.path for adapter in load.adapters))
    files = sum(os.stat(path).st_size for path in paths)
    return files + _cache(gguf.read(load.weights), load) * parallel + _OVERHEAD


def available() -> int | None:
    """Bytes that can be had without anyone else losing theirs; None: this system does not say."""
    try:
        with open(_MEMINFO, encoding="ascii") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["MemAvailable"].split()[0]) << 10
    except (OSError, KeyError, ValueError):
        return None


def _cache(header: gguf.Header, load: Load) -> int:
    """Bytes for the keys and values of one sequence, at two bytes for each number."""
    num_ctx = context_size(load.options.num_ctx, header.number("context_length") or 0)
    layers = header.number("block_count") or 0
    heads = header.number("attention.head_count") or 1
    shared = header.number("attention.head_count_kv") or heads
    width = (header.number("embedding_length") or 0) * shared // max(1, heads)
    return max(0, min(num_ctx * layers * width * 2 * 2, sys.maxsize))
