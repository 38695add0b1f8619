"""`make bench`: whole commands, as ratios against a floor or a peer measured in the same run.

Runs are interleaved (A B A B …), so that a machine that changes its speed changes both; what is
printed is the median of the ratios of neighbours, and their quarters.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from gguf_files import TensorData, write_gguf

MBUILD = str(Path(sys.executable).with_name("mbuild"))
FLOOR = [sys.executable, "-c", "import click"]
RUNS = int(os.environ.get("MBUILD_BENCH_RUNS", "15"))


def command(words: list[str], folder: Path) -> Callable[[], None]:
    """Run *words* in *folder*."""

    def run() -> None:
        environment = {**os.environ, "MBUILD_MODELS": str(folder / "store")}
        subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)

    return run


def seconds(action: Callable[[], None]) -> float:
    """How long *action* takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def compare(
    name: str, action: Callable[[], None], peer: Callable[[], None], goal: str, runs: int = RUNS
) -> None:
    """Print how many times as long *action* takes as *peer*."""
    action()
    peer()
    pairs = [(seconds(action), seconds(peer)) for _ in range(runs)]
    ratios = sorted(mine / theirs for mine, theirs in pairs)
    low, _, high = statistics.quantiles(ratios, n=4) if runs > 1 else (ratios[0],) * 3
    mine, theirs = (statistics.median(column) * 1000 for column in zip(*pairs, strict=True))
    print(
        f"{name:<46} {mine:9.0f} ms {theirs:9.0f} ms   "
        f"{statistics.median(ratios):5.2f}  ({low:.2f} to {high:.2f})   {goal}",
        flush=True,
    )


def weights(path: Path, size: int, *, sparse: bool = False) -> Path:
    """A GGUF file of about *size* bytes: random ones, or a hole."""
    rows = size // 128
    block = os.urandom(1 << 20)
    if sparse:
        write_gguf(path, {"general.architecture": "llama", "llama.block_count": 1})
        os.truncate(path, size)
    else:
        data = block * (rows * 128 // len(block))
        metadata = {"general.architecture": "llama", "llama.block_count": 1}
        write_gguf(path, metadata, [TensorData("t", (32, len(data) // 128), data)])
    return path


def edits(folder: Path, base: str) -> Callable[[], None]:
    """Change SYSTEM and create again."""
    count = 0
    environment = {**os.environ, "MBUILD_MODELS": str(folder / "store")}

    def edit() -> None:
        nonlocal count
        count += 1
        (folder / "Edited").write_text(f"FROM {base}\nSYSTEM edit {count} {time.time_ns()}\n")
        subprocess.run(
            [MBUILD, "create", "edited", "-f", "Edited"],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
        )

    return edit


def imports(folder: Path, source: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    """A first import, and what it is held against: cp, sync of the copy, sha256."""

    def mine() -> None:
        subprocess.run(["rm", "-rf", str(folder / "fresh")], check=True)
        environment = {**os.environ, "MBUILD_MODELS": str(folder / "fresh")}
        subprocess.run(
            [MBUILD, "create", "m", "-f", "-"],
            input=f"FROM {source}\n".encode(),
            env=environment,
            check=True,
            capture_output=True,
        )

    def peer() -> None:
        copy = folder / "copy"
        copy.unlink(missing_ok=True)
        script = (
            "import hashlib, sys\n"
            "with open(sys.argv[1], 'rb') as f: hashlib.file_digest(f, 'sha256')\n"
        )
        subprocess.run(["cp", str(source), str(copy)], check=True)
        subprocess.run(["sync", str(copy)], check=True)
        subprocess.run([sys.executable, "-c", script, str(source)], check=True)

    return mine, peer


def models(folder: Path, count: int) -> Callable[[], None]:
    """Listing *count* models, each with a text of its own and weights that all share."""
    store = folder / f"models{count}"
    script = (
        "import os, sys\n"
        "from mbuild.store.manifest import Layer, Manifest, MediaType\n"
        "from mbuild.store.name import Name\n"
        "from mbuild.store.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "os.fsync = lambda _: None\n"  # Which would take minutes, and is not measured.
        "shared = [store.blobs.put(b'%d' % each) for each in range(4)]\n"
        "for number in range(int(sys.argv[2])):\n"
        "    blobs = [*shared, store.blobs.put(b'model %d' % number)]\n"
        "    layers = tuple(Layer(MediaType.SYSTEM, b.digest, b.size) for b in blobs)\n"
        "    path = store.root + '/manifests/' + Name.parse(f'model{number}').path\n"
        "    os.makedirs(path.rpartition('/')[0])\n"
        "    with open(path, 'wb') as file: file.write(Manifest(None, layers).encode())\n"
    )
    subprocess.run([sys.executable, "-c", script, str(store), str(count)], check=True)

    def run() -> None:
        subprocess.run(
            [MBUILD, "list", "--models-dir", str(store)], check=True, stdout=subprocess.DEVNULL
        )

    return run


def main() -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("MBUILD_BENCH_DIR")) as name:
        folder = Path(name)
        (folder / "Modelfile").write_text("FROM ./m.gguf\nPARAMETER temperature 1\nSYSTEM hi\n")
        weights(folder / "m.gguf", 98 << 20)
        time.sleep(2.1)  # Until the stamps of the file are old enough to be trusted.
        floor = command(FLOOR, folder)
        print(f"{'':<46} {'mbuild':>12} {'peer':>12}   ratio  (quarters)        goal")
        compare("--help / import click", command([MBUILD, "--help"], folder), floor, "≤ 1.5")
        compare(
            "list of 10,000 models / of 1,000",
            models(folder, 10_000),
            models(folder, 1_000),
            "≤ 10, and ≤ 1000 ms",
            5,
        )
        command([MBUILD, "create", "kid"], folder)()
        compare("list / import click", command([MBUILD, "list"], folder), floor, "≤ 1.5")
        unchanged = command([MBUILD, "create", "kid"], folder)
        compare("create, unchanged / import click", unchanged, floor, "≤ 1.4")
        compare("SYSTEM changed, 98 MB / import click", edits(folder, "./m.gguf"), floor, "≤ 2.2")
        weights(folder / "sparse.gguf", 20 << 30, sparse=True)
        command([MBUILD, "create", "large", "-f", "-"], folder)
        environment = {**os.environ, "MBUILD_MODELS": str(folder / "store")}
        subprocess.run(
            [MBUILD, "create", "large", "-f", "-"],
            cwd=folder,
            input=b"FROM ./sparse.gguf\n",
            env=environment,
            check=True,
            capture_output=True,
        )
        large = edits(folder, "./sparse.gguf")
        compare("SYSTEM changed, sparse 20 GB / import click", large, floor, "≤ 2.2")
        compare("SYSTEM changed, 20 GB / 98 MB", large, edits(folder, "./m.gguf"), "1.0")
        compare(
            "first import, 98 MB / cp + sync + sha256",
            *imports(folder, folder / "m.gguf"),
            "≤ 1.3",
            5,
        )
        weights(folder / "two.gguf", 2 << 30)
        compare(
            "first import, 2 GB / cp + sync + sha256",
            *imports(folder, folder / "two.gguf"),
            "≤ 1.3",
            3,
        )


if __name__ == "__main__":
    main()
