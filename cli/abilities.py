"""What a build asks of the runtime, which the compiler does not know: handed to it by commands."""

from collections.abc import Callable


def quantize(
    source: str, target: str, wanted: str, progress: Callable[[int, int], None], /
) -> None:
    """Make the GGUF file *target* of *source*, of the type *wanted*."""
    # Imported here: a build that makes no weights smaller starts no llama.cpp.
    from mbuild.runtime.quantize import quantize

    quantize(source, target, wanted, progress)


def refuse_schema(text: str) -> str | None:
    """Why no answer can follow the JSON schema *text*."""
    # Imported here: few Modelfiles have a schema.
    from mbuild.runtime.grammar import of_text
    from mbuild.runtime.schema import BadSchema

    try:
        of_text(text)
    except BadSchema as bad:
        return f"{bad.reason}, at {bad.place}" if bad.place else bad.reason
    return None
