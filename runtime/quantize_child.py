"""The process that quantizes: one frame in on stdin, frames out on stdout.

``python -P -m mbuild.runtime.quantize_child``, started by :mod:`mbuild.runtime.quantize`. In:
``{"source", "target", "type", "exceptions": [[expression, type], …], "threads"}``, after which
stdin stays open: this process ends where it does. Out: ``{"tensor": name}`` when llama.cpp begins
one, then ``{"done": true}`` or ``{"refused": reason}``.
"""

import ctypes
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import IO, Any

from mbuild.runtime import wire
from mbuild.runtime.native import Log, Refused, llama

# What llama.cpp says as it begins a tensor: "[   1/  12] output.weight   - [    64, …".
_BEGUN = re.compile(r"\[ *\d+/ *\d+\] +(\S+) +- \[")


def quantize(order: dict[str, Any], begun: Callable[[str], None]) -> None:
    """Do what *order* says; *begun* is told each tensor.

    Raises:
        Refused: llama.cpp did not do it.
    """
    log = Log(_complain, hear=lambda line: _tell(line, begun))
    params = llama.llama_model_quantize_default_params()
    params.nthread = order["threads"]
    params.ftype = _file_type(order["type"])
    # Whether weights may be quantized twice has been decided by whoever asks.
    params.allow_requantize = True
    overrides = _overrides(order["exceptions"])
    params.tt_overrides = overrides
    source, target = (
        order[name].encode("utf-8", "surrogateescape") for name in ("source", "target")
    )
    if llama.llama_model_quantize(source, target, ctypes.byref(params)):
        raise Refused(log.cause())


def _file_type(name: str) -> int:
    number = getattr(
        llama, "LLAMA_FTYPE_ALL_F32" if name == "F32" else f"LLAMA_FTYPE_MOSTLY_{name}"
    )
    return int(number)


def _overrides(exceptions: Sequence[tuple[str, str]]) -> Any:
    """The exceptions as llama.cpp takes them: an array that ends where no pattern is."""
    array = (llama.llama_model_tensor_override * (len(exceptions) + 1))()
    for place, (pattern, kind) in zip(array, exceptions, strict=False):
        place.pattern = pattern.encode()
        place.type = getattr(llama, f"GGML_TYPE_{kind}")
    return array


def _tell(line: str, begun: Callable[[str], None]) -> None:
    found = _BEGUN.match(line)
    if found:
        begun(found[1])


def _complain(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _end_with_parent(source: IO[bytes]) -> None:
    source.read()
    os._exit(0)


def main() -> None:
    """Do what the process on the other end of stdin asks for."""
    # Ctrl-C in the terminal is the parent's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # An assertion of ggml would start a debugger to print its stack.
    os.environ["GGML_NO_BACKTRACE"] = "1"
    # Native code may print to stdout; only frames belong there.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def send(frame: dict[str, Any]) -> None:
        sink.write(wire.pack(frame))
        sink.flush()

    order = wire.read(sys.stdin.buffer)
    if order is None:
        return  # The parent was gone before it said anything.
    threading.Thread(target=_end_with_parent, args=(sys.stdin.buffer,), daemon=True).start()
    try:
        quantize(order, lambda name: send({"tensor": name}))
    except Refused as refused:
        send({"refused": str(refused)})
    else:
        send({"done": True})
    sys.stderr.flush()
    # Not the interpreter's end, which would wait for the reading thread.
    os._exit(0)


if __name__ == "__main__":
    main()
