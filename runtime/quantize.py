"""Weights made smaller, by llama.cpp in a child process.

A crash of native code is an error with its reason, and the child ends when we do. What llama.cpp
is given has been looked at by memory-safe code first, and so is what it makes.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import IO, Any

from mbuild.compiler import gguf
from mbuild.compiler.quantization import CannotQuantize, exceptions
from mbuild.runtime import wire
from mbuild.runtime.cores import physical_cores
from mbuild.runtime.engine import EngineMissing
from mbuild.runtime.llama import epitaph

_LAST = 1 << 16  # bytes of stderr that are read for the reason of a crash


def quantize(
    source: str,
    target: str,
    wanted: str,
    progress: Callable[[int, int], None],
    /,
    *,
    threads: int = 0,
) -> None:
    """Make the GGUF file *target* of *source*: a `mbuild.compiler.quantization.Quantizer`.

    A tensor whose rows do not divide into blocks of the type gets the next larger type that
    fits, as llama.cpp does it. *threads*: 0 = one for each physical core; the bytes are the same.

    Raises:
        EngineMissing: the bindings are not installed.
        CannotQuantize: llama.cpp did not do it, or crashed.
        BadGguf: *source* is no whole GGUF file.
        OSError: *source* cannot be read, or *target* not be written.
    """
    if find_spec("llama_cpp") is None:
        raise EngineMissing("llama-cpp-python")
    header = gguf.read(source)
    order = {
        "source": source,
        "target": target,
        "type": wanted,
        "exceptions": exceptions(header.architecture, wanted),
        "threads": threads or physical_cores(),
    }
    # llama.cpp would not say why it cannot write there.
    with open(target, "wb"):
        pass
    try:
        _run(order, _Progress({each.name: each.size for each in header.tensors}, progress))
        _check(source, target)
    except BaseException:
        # Ctrl-C among them: half a file helps nobody.
        with suppress(FileNotFoundError):
            os.unlink(target)
        raise


class _Progress:
    """Counts the bytes of tensors as they are begun, and tells those of the tensors before."""

    def __init__(self, sizes: Mapping[str, int], tell: Callable[[int, int], None]) -> None:
        self._sizes = sizes
        self._tell = tell
        self._total = sum(sizes.values())
        self._done = 0
        tell(0, self._total)

    def begun(self, tensor: str) -> None:
        self._tell(self._done, self._total)
        self._done += self._sizes.get(tensor, 0)

    def over(self) -> None:
        self._tell(self._total, self._total)


def _run(order: Mapping[str, Any], progress: _Progress) -> None:
    # Imported here: it is slow to import, and only this needs it.
    from tempfile import TemporaryFile

    with TemporaryFile() as complaints:
        child = subprocess.Popen(
            # -P: a json.py in the user's folder is not our json.
            [sys.executable, "-P", "-m", "mbuild.runtime.quantize_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            # A group of its own: Ctrl-C in the terminal reaches only us.
            process_group=0,
        )
        try:
            reason = _follow(child, order, progress)
        finally:
            child.kill()
            for stream in (child.stdin, child.stdout):
                assert stream is not None
                with suppress(BrokenPipeError):
                    stream.close()
            code = child.wait()
        if reason is None:
            raise CannotQuantize(order["source"], epitaph(code, _lines(complaints)))
    if reason:
        raise CannotQuantize(order["source"], reason)


def _follow(
    child: "subprocess.Popen[bytes]", order: Mapping[str, Any], progress: _Progress
) -> str | None:
    """Why it did not work; empty: it did; None: the child ended without a word."""
    assert child.stdin is not None
    assert child.stdout is not None
    with suppress(BrokenPipeError):
        child.stdin.write(wire.pack(order))
        child.stdin.flush()
    while (frame := _next(child.stdout)) is not None:
        if "tensor" in frame:
            progress.begun(frame["tensor"])
        elif "done" in frame:
            progress.over()
            return ""
        else:
            return _readable(frame["refused"])
    child.wait()
    return None


def _next(stream: IO[bytes]) -> Any:
    try:
        return wire.read(stream)
    except wire.BrokenFrame:
        return None  # It was killed while it wrote.


def _readable(reason: str) -> str:
    """*reason*, where llama.cpp's own word says nothing."""
    return "it cannot be written: is the disk full?" if "iostream error" in reason else reason


def _lines(complaints: IO[bytes]) -> list[str]:
    size = complaints.seek(0, os.SEEK_END)
    complaints.seek(max(0, size - _LAST))
    return complaints.read().decode("utf-8", "replace").splitlines()


def _check(source: str, target: str) -> None:
    try:
        gguf.read(target)
    except gguf.BadGguf as bad:
        raise CannotQuantize(source, f"llama.cpp made a damaged file: {bad.reason}") from None
