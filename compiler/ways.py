"""How a build is to be done, beside what is to be built."""

from collections.abc import Callable
from dataclasses import dataclass

from mbuild.compiler.quantization import Quantizer


@dataclass(frozen=True, slots=True)
class Ways:
    """How a build is to be done, and what does for it what the compiler cannot do itself."""

    teach: bool = True  # False: paths and mistakes are taken as the reference takes them.
    fresh: bool = False  # Nothing that was recorded earlier is believed.
    strict: bool = False  # A warning is as bad as an error.
    learn: bool = False  # The vocabulary is looked up for the checks that need it.
    allow_outside: bool = False  # An included file may name files outside of the folder.
    requantize: bool = False  # Weights that were quantized before may be quantized again.
    quantizer: Quantizer | None = None
    # Why no engine can follow a JSON schema; None: it can.
    refuse_schema: Callable[[str], str | None] | None = None
