"""Projects of one model and of 200, `mbuild build` as a whole process, by turns.

What is to be seen: work grows with what changed, and not with the project.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from gguf_files import tiny_llama
from run import FLOOR, MBUILD, command, compare

MANY = 200
_FAMILY = 10  # models, of which the first is what the others are FROM


def project(folder: Path, count: int) -> Path:
    """A project of *count* models in *folder*."""
    folder.mkdir()
    tiny_llama(folder / "m.gguf")
    names = [f"m{number}" for number in range(count)]
    (folder / "mbuild.toml").write_text("".join(f"[models.{name}]\n" for name in names))
    for number, name in enumerate(names):
        first = number - number % _FAMILY
        source = "../m.gguf" if number == first else f"m{first}"
        (folder / name).mkdir()
        (folder / name / "Modelfile").write_text(f"FROM {source}\nSYSTEM model {number}\n")
    return folder


def edit(folder: Path, name: str, source: str) -> Callable[[], None]:
    """Change the prompt of the model *name*, and build the project."""
    build = command([MBUILD, "build"], folder)

    def run() -> None:
        text = f"FROM {source}\nSYSTEM edit {time.time_ns()}\n"
        (folder / name / "Modelfile").write_text(text)
        build()

    return run


def main() -> None:
    """Measure everything."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("MBUILD_BENCH_DIR")) as name:
        one, many = project(Path(name) / "one", 1), project(Path(name) / "many", MANY)
        time.sleep(2.1)  # Until the stamps of the files are old enough to be trusted.
        small, large = command([MBUILD, "build"], one), command([MBUILD, "build"], many)
        print(f"{'':<46} {'mbuild':>12} {'peer':>12}   ratio  (quarters)        goal")
        compare(f"build, unchanged, {MANY} models / 1", large, small, "≤ 2")
        compare("build, unchanged, 1 model / import click", small, command(FLOOR, one), "")
        changed = edit(many, "m1", "m0")
        compare(f"one prompt edited, {MANY} models / 1", changed, edit(one, "m0", "../m.gguf"), "")
        compare(f"one prompt edited / unchanged, {MANY} models", changed, large, "")


if __name__ == "__main__":
    main()
