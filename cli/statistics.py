"""What an answer cost, as ``--verbose`` tells it.

Source: the reference's summary of its metrics.
"""

from collections.abc import Iterator

from mbuild.cli.humanize import duration
from mbuild.runtime.engine import Stats

_LABEL = 22  # columns
_SECOND = 1_000_000_000  # ns


def timings(stats: Stats) -> str:
    """The lines for *stats*, without those whose value is 0."""
    rows = (
        *_durations(total=stats.total_duration, load=stats.load_duration),
        *_part("prompt eval", stats.prompt_eval_count, stats.prompt_eval_duration),
        *_part("eval", stats.eval_count, stats.eval_duration),
    )
    return "".join(f"{label + ':':<{_LABEL}}{value}\n" for label, value in rows)


def _durations(**nanoseconds: int) -> Iterator[tuple[str, str]]:
    for name, spent in nanoseconds.items():
        if spent:
            yield f"{name} duration", duration(spent)


def _part(name: str, tokens: int, nanoseconds: int) -> Iterator[tuple[str, str]]:
    if tokens:
        yield f"{name} count", f"{tokens} token(s)"
    if nanoseconds:
        yield f"{name} duration", duration(nanoseconds)
    if tokens and nanoseconds:
        yield f"{name} rate", f"{tokens * _SECOND / nanoseconds:.2f} tokens/s"
