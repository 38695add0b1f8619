"""Options of a model and of a request, merged, checked and typed.

What is stored with a model and what comes over the wire may be any JSON. Here it becomes
`LoadOptions`, `Sampling` and the rest of a request, or an error that names the option; native
code never sees a number from outside its range. Types are checked as in the reference (its
``FromMap``): whole numbers may be written as fractions, which are cut; ``null`` is "not given";
names that nobody knows are passed over. The ranges are ours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mbuild.runtime.engine import LoadOptions, Sampling

_LARGEST = 2**31 - 1  # llama.cpp counts tokens in 32 bits.
_SEEDS = 2**63
_LARGEST_FLOAT = 3.4028234663852886e38  # the largest 32-bit float


class BadOption(Exception):
    """An option whose value is of the wrong type, or outside of its range."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f'option "{name}" {problem}')
        self.name = name


@dataclass(frozen=True, slots=True)
class _Range:
    """The numbers that an option may be: from *low* to *high*, both included."""

    low: float
    high: float

    def check(self, name: str, value: float) -> None:
        if not self.low <= value <= self.high:
            raise BadOption(name, f"must be from {self.low:.10g} to {self.high:.10g}")


_INTEGERS = {
    "num_ctx": _Range(0, _LARGEST),
    "num_batch": _Range(1, 65536),
    "num_gpu": _Range(-1, 65536),
    "main_gpu": _Range(0, 255),
    "num_thread": _Range(0, 1024),
    "num_keep": _Range(-_LARGEST, _LARGEST),
    "num_predict": _Range(-_LARGEST, _LARGEST),
    "seed": _Range(-_SEEDS, _SEEDS - 1),
    "top_k": _Range(-_LARGEST, _LARGEST),
    "repeat_last_n": _Range(-1, _LARGEST),
}
_FLOATS = {
    "temperature": _Range(-_LARGEST_FLOAT, _LARGEST_FLOAT),
    "top_p": _Range(-_LARGEST_FLOAT, _LARGEST_FLOAT),
    "min_p": _Range(-_LARGEST_FLOAT, _LARGEST_FLOAT),
    "typical_p": _Range(-_LARGEST_FLOAT, _LARGEST_FLOAT),
    # It divides; the smallest normal 32-bit number is the least that it can be.
    "repeat_penalty": _Range(1.1754943508222875e-38, _LARGEST_FLOAT),
    # They are multiplied by a count of tokens, which must not overflow.
    "presence_penalty": _Range(-1e9, 1e9),
    "frequency_penalty": _Range(-1e9, 1e9),
}
_FLAGS = frozenset({"use_mmap"})
_LOAD_NAMES = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread")
_SAMPLING_NAMES = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "repeat_penalty",
    "repeat_last_n",
    "presence_penalty",
    "frequency_penalty",
    "seed",
)


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that options decide."""

    load: LoadOptions = field(default_factory=LoadOptions)
    sampling: Sampling = field(default_factory=Sampling)
    stop: tuple[str, ...] = ()
    num_predict: int = -1  # tokens
    num_keep: int = 4  # tokens


def merge(*given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of all of *given*, the later replacing the earlier, name by name."""
    return {name: value for each in given for name, value in each.items() if value is not None}


def read(given: Mapping[str, Any]) -> Options:
    """The options in *given*; defaults for those that are not there.

    Raises:
        BadOption: a value has the wrong type, or is out of range.
    """
    checked = {name: _checked(name, value) for name, value in merge(given).items()}
    return Options(
        load=LoadOptions(**_only(checked, _LOAD_NAMES)),
        sampling=Sampling(**_only(checked, _SAMPLING_NAMES)),
        **_only(checked, ("stop", "num_predict", "num_keep")),
    )


def _checked(name: str, value: object) -> object:
    if name in _INTEGERS:
        return _integer(name, value)
    if name in _FLOATS:
        return _float(name, value)
    if name in _FLAGS and not isinstance(value, bool):
        raise BadOption(name, "must be of type boolean")
    return _texts(name, value) if name == "stop" else value


def _integer(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadOption(name, "must be of type integer")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadOption(name, "must be a finite number")
    number = int(value)
    _INTEGERS[name].check(name, number)
    return number


def _float(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadOption(name, "must be of type float32")
    # A whole number of any length: too large for a float is too large for us.
    if not abs(value) <= _LARGEST_FLOAT:
        raise BadOption(name, "must be a finite number")
    number = float(value)
    _FLOATS[name].check(name, number)
    return number


def _texts(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise BadOption(name, "must be of type array")
    if not all(isinstance(each, str) for each in value):
        raise BadOption(name, "must be of an array of strings")
    return tuple(value)


def _only(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: values[name] for name in names if name in values}
