"""An answer in the words of another API: the native one, line by line."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from typing import Any

from mbuild.runtime.streaming import Job, Made, Opening

Line = Mapping[str, Any]


def whole(job: Job, told: Callable[[Line], dict[str, Any]], note: Callable[[Line], None]) -> Job:
    """*job*, whose only line is *told* otherwise; *note* gets the native one."""
    return _translated(job, lambda lines: map(told, lines), note, streams=False)


def streamed(
    job: Job,
    told: Callable[[Iterator[Line]], Iterator[dict[str, Any]]],
    note: Callable[[Line], None],
) -> Job:
    """*job*, whose lines are *told* otherwise, in any number; *note* gets the last native one."""
    return _translated(job, told, note, streams=True)


def _translated(
    job: Job,
    told: Callable[[Iterator[Line]], Iterator[dict[str, Any]]],
    note: Callable[[Line], None],
    *,
    streams: bool,
) -> Job:
    def made() -> Made:
        with closing(job.made) as native:
            opening = next(native)
            assert isinstance(opening, Opening), "the opening comes first"
            # A request that only loads the model is answered by one line, and may want a stream.
            yield Opening(opening.headers, whole=not streams)
            yield from told(_lines(native, note))

    return Job(made(), job.cancel)


def _lines(
    native: Generator[Opening | dict[str, Any]], note: Callable[[Line], None]
) -> Iterator[Line]:
    for line in native:
        assert not isinstance(line, Opening), "the opening comes once"
        if line["done"]:
            note(line)
        yield line
