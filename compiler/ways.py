"""How a build is to be done, beside what is to be built."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from mbuild.compiler.quantization import Quantizer


class Unforeseen(Exception):
    """A step whose output only doing it would tell; *reason* says why it would be done."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NoSuchStep(Exception):
    """A name that no step of a build has."""

    def __init__(self, name: str, names: tuple[str, ...]) -> None:
        super().__init__(f"no step is called {name}")
        self.name = name
        self.names = names


@dataclass(frozen=True, slots=True)
class Ways:
    """How a build is to be done, and what does for it what the compiler cannot do itself."""

    teach: bool = True  # False: paths and mistakes are taken as the reference takes them.
    fresh: bool = False  # Nothing that was recorded earlier is believed.
    fresh_steps: frozenset[str] = frozenset()  # Nor of these steps, by their names.
    some_steps: bool = False  # Not every build need have those steps.
    strict: bool = False  # A warning is as bad as an error.
    learn: bool = False  # The vocabulary is looked up for the checks that need it.
    allow_outside: bool = False  # An included file may name files outside of the folder.
    link: Literal["never", "auto", "always"] = "auto"  # Whether a hard link may save a copy.
    foresee: bool = False  # Nothing is done that takes long: such a step raises `Unforeseen`.
    requantize: bool = False  # Weights that were quantized before may be quantized again.
    quantizer: Quantizer | None = None
    # Why no engine can follow a JSON schema; None: it can.
    refuse_schema: Callable[[str], str | None] | None = None
