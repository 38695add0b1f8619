"""A disk whose changes fail, one after the other."""

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from store_actions import CHANGING


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of an action in which one change of the disk failed."""

    failed: str  # the call that did
    error: OSError | None  # what the action made of it: None if it went on without


class FailingDisk:
    """Does an action over and over, until no change is left that could fail."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def attempts(self, action: Callable[[], object], code: int = errno.ENOSPC) -> Iterator[Attempt]:
        """Let one change more succeed each time; at the end the action was done as a whole."""
        for changes in itertools.count():
            attempt = self.attempt(action, changes, code)
            if not attempt.failed:
                return
            yield attempt

    def attempt(self, action: Callable[[], object], changes: int, code: int) -> Attempt:
        """Do *action* on a disk that takes *changes* changes, then fails once, then works."""
        left, failed, error = changes, "", None

        def failing(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*arguments: Any, **options: Any) -> Any:
                nonlocal left, failed
                left -= 1
                if left == -1:
                    failed = name
                    # As the system does: a call with a path names it, one with a number cannot.
                    path = arguments[0] if isinstance(arguments[0], str) else None
                    raise OSError(code, os.strerror(code), path)
                return call(*arguments, **options)

            return wrapped

        with self._patch.context() as patch:
            for name in filter(os.__dict__.__contains__, CHANGING):
                patch.setattr(os, name, failing(name, getattr(os, name)))
            try:
                action()
            except OSError as raised:
                error = raised
        return Attempt(failed, error)
