"""Linting many files in one run and one file in many runs, and parsing files of any size.

``python benchmarks/bench_lint.py``; the exit status is 1 if linting 1,000 Modelfiles of 100 lines
in one run is less than ten times faster than a run for each, if the time for a character grows
with the file, or if parsing 10 MB takes 1 GB of memory.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from mbuild.compiler.diagnostic import Source
from mbuild.compiler.parser import parse

FILES = 1_000
SINGLE = 20  # runs of one file each, from which those of all are reckoned
LEAST = 10.0  # times as fast as a run for each file
GROWTH = 2.0  # times as long for each character of a large file as for one of a small
MEMORY = 1 << 30  # bytes
ROUNDS = 3

HEAD = """# A parrot.
FROM llama3.2:3b
PARAMETER temperature 0.7
PARAMETER num_ctx 8192
PARAMETER stop "<|im_end|>"
MESSAGE user hi
MESSAGE assistant hello
"""
PROSE = "You are a parrot, and number {} of those who repeat what they hear.\n"


def main() -> int:
    """Print both tables; 1 if a bound is broken."""
    broken = many() < LEAST
    print()
    return int(growing() or broken)


def modelfile(lines: int) -> str:
    """A Modelfile of that many lines, half of them a system prompt."""
    prose = "".join(map(PROSE.format, range(lines // 2)))
    rest = lines - HEAD.count("\n") - lines // 2 - 2
    stops = "".join(f'PARAMETER stop "### {number}:"\n' for number in range(rest))
    return f'{HEAD}{stops}SYSTEM """\n{prose}"""\n'


def many() -> float:
    """How many times faster one run of all files is than a run for each."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(FILES):
            Path(folder, f"{number}.Modelfile").write_text(modelfile(100))
        together = min(seconds(folder, ".") for _ in range(ROUNDS))
        names = [f"{number}.Modelfile" for number in range(SINGLE)]
        single = min(sum(seconds(folder, name) for name in names) for _ in range(ROUNDS))
    apart = single / SINGLE * FILES
    print(f"{'files of 100 lines':>18} {'one run each':>14} {'one run':>9} {'ratio':>6}")
    print(f"{FILES:>18,} {apart:13.1f}s {together:8.1f}s {apart / together:6.1f}")
    return apart / together


def seconds(folder: str, path: str) -> float:
    start = perf_counter()
    command = [sys.executable, "-m", "mbuild", "--models-dir", f"{folder}/store", "lint", path]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - start


def growing() -> bool:
    """Whether parsing costs more for each character the larger the file is."""
    each: list[float] = []
    print(f"{'characters':>12} {'parse':>10} {'ns each':>8}")
    for size in (1_000, 10_000, 100_000, 1_000_000, 10_000_000):
        text = (modelfile(20) * (size // len(modelfile(20)) + 1))[:size]
        taken = []
        for _ in range(ROUNDS):
            start = perf_counter()
            parse(Source("Modelfile", text))
            taken.append(perf_counter() - start)
        each.append(min(taken) / len(text))
        print(f"{len(text):>12,} {min(taken) * 1e3:8.1f}ms {each[-1] * 1e9:8.0f}")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{memory / (1 << 20):.0f} MiB of memory at most")
    # The smallest pays for what is made once.
    return each[-1] > GROWTH * each[1] or memory > MEMORY


if __name__ == "__main__":
    sys.exit(main())
