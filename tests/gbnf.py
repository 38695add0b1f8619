"""llama.cpp's own judgement of what a grammar allows, from a process that may crash.

Run as a program it answers lines of JSON: ``{"grammar": …, "texts": […]}`` with a list of
booleans, or with null for a grammar that llama.cpp does not take.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

END, FIRST_BYTE = 2, 5  # Tokens of `tiny_llama`.


class Judge:
    """The other process."""

    def __init__(self, folder: Path) -> None:
        from gguf_files import tiny_llama

        weights = tiny_llama(folder / "tiny.gguf")
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(weights)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def fits(self, grammar: str, *texts: str) -> list[bool] | None:
        """Which of *texts* are complete by *grammar*; None: llama.cpp does not take it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        json.dump({"grammar": grammar, "texts": texts}, self._process.stdin)
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "llama.cpp crashed"
        found: list[bool] | None = json.loads(line)
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def main() -> None:
    import ctypes

    from mbuild.runtime.engine import Load
    from mbuild.runtime.native import Log, Weights, llama

    weights = Weights(Load(sys.argv[1], vocab_only=True), gpu_layers=0, log=Log(lambda line: None))
    vocabulary = weights.vocabulary_pointer

    def allows(sampler: Any, token: int) -> bool:
        one = (llama.llama_token_data * 1)(llama.llama_token_data(token, 0.0, 0.0))
        array = llama.llama_token_data_array(one, 1, -1, False)
        llama.llama_sampler_apply(sampler, ctypes.byref(array))
        return bool(one[0].logit == 0.0)

    def fits(grammar: bytes, text: str) -> bool:
        sampler = llama.llama_sampler_init_grammar(vocabulary, grammar, b"root")
        try:
            for byte in text.encode():
                if not allows(sampler, FIRST_BYTE + byte):
                    return False
                llama.llama_sampler_accept(sampler, FIRST_BYTE + byte)
            return allows(sampler, END)
        finally:
            llama.llama_sampler_free(sampler)

    for line in sys.stdin:
        asked = json.loads(line)
        grammar = asked["grammar"].encode()
        sampler = llama.llama_sampler_init_grammar(vocabulary, grammar, b"root")
        if sampler:
            llama.llama_sampler_free(sampler)
            answer = [fits(grammar, text) for text in asked["texts"]]
        sys.stdout.write(json.dumps(answer if sampler else None) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
