"""What a revision keeps of how it was built, and what changed from one build to the next.

An account is JSON: what was asked for, and for each step its key, the digests of its inputs and
of its output. Two accounts compared tell why a step was done again: another argument, another
text, another input. Nothing is guessed from times.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Recorded:
    """A step of a build, as its account has it. Digests are texts here."""

    name: str
    operation: str
    arguments: Mapping[str, str]
    content: str  # digest of what the author wrote
    inputs: Mapping[str, str]  # step → digest of its output
    key: str
    output: str
    cached: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Account:
    """How a model was built."""

    order: Mapping[str, Any]
    steps: tuple[Recorded, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """Something that a step is made of, before and after; ``None``: it was not there."""

    what: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Explained:
    """A step of a build, and what had changed since the build before."""

    step: Recorded
    before: Recorded | None  # None: the build before had no such step
    changes: tuple[Change, ...]

    @property
    def is_cached(self) -> bool:
        """Whether its output is that of the build before, or was there for another reason."""
        return self.before is not None and self.before.output == self.step.output


def is_empty(step: Recorded) -> bool:
    """Whether *step* gave nothing, as where no parameter is set."""
    return step.operation in ("parameters", "scales") and step.reason.startswith("no ")


def decode(text: str) -> Account | None:
    """The account *text*; ``None`` if it is none, as of a revision that another tool made."""
    try:
        value = json.loads(text)
        steps = tuple(Recorded(**step) for step in value["steps"])
        return Account(dict(value["order"]), steps)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def explain(after: Account, before: Account | None) -> tuple[Explained, ...]:
    """Each step of the build *after*, and why it came out as it did."""
    steps = {} if before is None else {step.name: step for step in before.steps}
    return tuple(
        Explained(step, steps.get(step.name), tuple(_changes(step, steps.get(step.name))))
        for step in after.steps
    )


def gone(after: Account, before: Account | None) -> Sequence[Recorded]:
    """The steps that the build *before* had, and this one has no more."""
    names = {step.name for step in after.steps}
    return () if before is None else [step for step in before.steps if step.name not in names]


def _changes(after: Recorded, before: Recorded | None) -> Iterator[Change]:
    if before is None or before.key == after.key:
        return
    if before.content != after.content:
        yield Change("text", before.content, after.content)
    yield from _differences("", before.arguments, after.arguments)
    yield from _differences("", before.inputs, after.inputs)


def _differences(
    prefix: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[Change]:
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield Change(prefix + name, before.get(name), after.get(name))
