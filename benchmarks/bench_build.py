"""Builds that find little to do, and first imports: whole commands and calls within a process.

Printed as `run.py` prints: medians, by turns, and the quarters of the ratios. An import without a
copy is measured where a file system that shares blocks can be made (`MBUILD_BENCH_REFLINK` names a
folder on one), and as a hard link elsewhere.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from gguf_files import tiny_llama
from run import FLOOR, MBUILD, command, compare, imports, seconds, weights

from mbuild.compiler import inputs
from mbuild.compiler.create import Order, create, known
from mbuild.store.digest import Digest
from mbuild.store.name import Name
from mbuild.store.store import Store

_MODELFILE = "FROM ./m.gguf\nPARAMETER temperature 1\nSYSTEM hi\n"
_CALLS = 200  # of a null build in a process
_GB = 1 << 30
_PASS = "import hashlib, sys; hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')"


def null_builds(folder: Path) -> None:
    """A build that finds nothing changed, within a process, and what it cannot do without."""
    store = Store(folder / "store")
    data = (folder / "Modelfile").read_bytes()
    order = Order(Name.parse("kid"), "Modelfile", data, str(folder))

    def build() -> None:
        assert create(order, store, lambda _: None)[0] is not None

    build()
    earlier = known(order, store)
    assert earlier is not None, "the build was recorded"

    def floor() -> None:
        """Read the Modelfile, its record and the manifest, and look at the weights and blobs."""
        (folder / "Modelfile").read_bytes()
        store.recall(Digest.of(b"no such record"))
        assert all(inputs.same(each, store) for each in earlier.inputs)
        store.read(order.name)
        for layer in store.load(order.name).blobs:
            assert layer.digest in store.blobs

    best = min(seconds(build) for _ in range(_CALLS))
    least = min(seconds(floor) for _ in range(_CALLS))
    print(
        f"{'null build in a process, best':<46} {best * 1e3:9.2f} ms {least * 1e3:9.2f} ms   ",
        end="",
    )
    print(f"{best / least:5.2f}  {'':<16} ≤ 5 ms")


def file(path: Path, size: int) -> Path:
    """A GGUF file of *size* random bytes, made without holding them."""
    weights(path, 1 << 20)
    with open(path, "ab") as file:
        while file.tell() < size:
            file.write(os.urandom(min(1 << 20, size - file.tell())))
        os.fsync(file.fileno())
    return path


def sha256(source: Path) -> Callable[[], None]:
    """One pass over *source*, in a process of its own."""

    def run() -> None:
        subprocess.run([sys.executable, "-c", _PASS, str(source)], check=True)

    return run


def first(source: Path, store: Path, *words: str) -> Callable[[], None]:
    """A first import of *source*."""

    def run() -> None:
        subprocess.run(["rm", "-rf", str(store)], check=True)
        subprocess.run(
            [MBUILD, "--models-dir", str(store), "create", "m", "-f", "-", *words],
            input=f"FROM {source}\n".encode(),
            check=True,
            capture_output=True,
        )

    return run


def without_cache(source: Path, action: Callable[[], None]) -> Callable[[], None]:
    """*action*, when nothing of *source* is in memory."""

    def run() -> None:
        descriptor = os.open(source, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
        action()

    return run


def imports_without_a_copy(folder: Path, size: int) -> None:
    """A hard link, and where it can be a clone, against one pass over the file."""
    name = f"first import, {size / _GB:.0f} GB"
    linked = file(folder / "linked.gguf", size)
    link = first(linked, folder / "links", "--link=always")
    compare(f"{name}, hard link / sha256", link, sha256(linked), "≤ 1.15", 5)
    linked.unlink()
    place = os.environ.get("MBUILD_BENCH_REFLINK")
    if place is None:
        print("first import as a clone: not measured, MBUILD_BENCH_REFLINK names no folder")
        return
    with tempfile.TemporaryDirectory(dir=place) as there:
        source = file(Path(there) / "cloned.gguf", size)
        clone = first(source, Path(there) / "store", "--link=never")
        compare(f"{name}, clone / sha256", clone, sha256(source), "≤ 1.15", 5)
        cold = without_cache(source, clone), without_cache(source, sha256(source))
        compare(f"{name}, clone / sha256, both off the disk", *cold, "≤ 1.15", 5)


def memory(folder: Path) -> None:
    """What an import needs at most, of a file and of one ten times as large."""
    peaks = [_peak(file(folder / "memory.gguf", size), folder) for size in (_GB // 10, _GB)]
    small, large = (peak / (1 << 20) for peak in peaks)
    print(f"{'memory of an import, 1 GB / 0.1 GB':<46} {large:9.0f} MB {small:9.0f} MB   ", end="")
    print(f"{large / small:5.2f}  {'':<16} 1.0")


def _peak(source: Path, folder: Path) -> int:
    """Bytes that the process of a first import takes at most."""
    script = (
        "import re, sys\n"
        "from mbuild.store.store import Store\n"
        "Store(sys.argv[1]).take(sys.argv[2], link='never')\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    words = [sys.executable, "-c", script, str(folder / f"memory{source.stat().st_size}"), source]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return int(done.stdout) * 1024


def main() -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("MBUILD_BENCH_DIR")) as name:
        folder = Path(name)
        (folder / "Modelfile").write_text(_MODELFILE)
        tiny_llama(folder / "m.gguf")
        time.sleep(2.1)  # Until the stamps of the file are old enough to be trusted.
        print(f"{'':<46} {'mbuild':>12} {'peer':>12}   ratio  (quarters)        goal")
        unchanged = command([MBUILD, "create", "kid"], folder)
        compare("create, unchanged / import click", unchanged, command(FLOOR, folder), "≤ 1.4")
        null_builds(folder)
        memory(folder)
        imports_without_a_copy(folder, 2 * _GB)
        source = file(folder / "copied.gguf", _GB)
        compare("first import, 1 GB / cp + sync + sha256", *imports(folder, source), "≤ 1.3", 5)


if __name__ == "__main__":
    main()
