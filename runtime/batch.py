"""What a sequence does next, decided apart from doing it.

Which part of a prompt is evaluated again, in what portions, what makes room when the context is
full, and what of an answer may be said: a stop text is never said, not even a part of one.
"""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_MOST_REPEATS = 30  # pieces; the reference's bound on a model that has lost its way


@dataclass(frozen=True, slots=True)
class Cut:
    """What of a text may be said now, and what must wait."""

    said: str
    held: str = ""
    stopped: bool = False


def cut(text: str, stops: Sequence[str]) -> Cut:
    """*text* up to the earliest of *stops*, or up to what may yet become one.

    The result of feeding a text in parts is that of the whole: a stop that has been found waits
    for one that may begin earlier.

    >>> cut("well<en", ["<end>"])
    Cut(said='well', held='<en', stopped=False)
    """
    found = min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))
    begun = min((_begun(text, stop) for stop in stops), default=len(text))
    if found < len(text) and found <= begun:
        return Cut(text[:found], stopped=True)
    return Cut(text[:begun], text[begun:])


def _begun(text: str, stop: str) -> int:
    """Where *text* ends with a part of *stop*; its length where it does not."""
    for count in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:count]):
            return len(text) - count
    return len(text)


class Speech:
    """The text of one answer, as the bytes of its tokens come.

    Characters come whole: the bytes of an unfinished one wait for the rest, and are dropped at
    the end. Bytes that are no UTF-8 become U+FFFD.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(filter(None, stops))
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._last = ""
        self._repeats = 0
        self.stopped = False

    @property
    def over(self) -> bool:
        """Whether a stop text came, or the same piece too often in a row."""
        return self.stopped or self._repeats > _MOST_REPEATS

    def hear(self, data: bytes) -> str:
        """What may be said after *data*; often nothing, or more than *data*."""
        if self.over:
            return ""
        result = cut(self._held + self._decoder.decode(data), self._stops)
        self._held, self.stopped = result.held, result.stopped
        self._count(result.said)
        return "" if self._repeats > _MOST_REPEATS else result.said

    def rest(self) -> str:
        """What was held back, once no more comes."""
        held, self._held = self._held, ""
        # A stop may lie in what waited for an earlier one.
        found = min((at for stop in self._stops if (at := held.find(stop)) >= 0), default=None)
        self.stopped = self.stopped or found is not None
        return held[:found]

    def _count(self, piece: str) -> None:
        if not piece:
            return
        trimmed = piece.strip()
        self._repeats = self._repeats + 1 if trimmed == self._last else 1
        self._last = trimmed


def common(cached: Sequence[int], prompt: Sequence[int]) -> int:
    """How many tokens of *prompt* need no evaluation, since *cached* begins with them.

    Never all of them: the last one is evaluated again, for what it says of the next.
    """
    count = 0
    for held, wanted in zip(cached, prompt[:-1], strict=False):
        if held != wanted:
            break
        count += 1
    return count


def portions(start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """The half-open ranges of at most *size* that make up *start* to *end*.

    >>> list(portions(0, 5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    for at in range(start, end, size):
        yield at, min(at + size, end)


def most_tokens(num_predict: int, num_ctx: int) -> int:
    """How many tokens an answer may have: at most ten contexts."""
    most = 10 * num_ctx
    return most if num_predict < 0 else min(num_predict, most)


def context_size(asked: int, trained: int) -> int:
    """The tokens of a sequence: *asked*, or 4096 for 0; at most *trained*, unless that is 0."""
    wanted = asked or 4096
    return max(4, min(wanted, trained) if trained > 0 else wanted)


@dataclass(frozen=True, slots=True)
class Shift:
    """What goes when the context is full: *discard* tokens behind the first *keep*."""

    keep: int
    discard: int


def shift(used: int, num_keep: int, prompt: int, num_ctx: int, *, bos: bool) -> Shift:
    """What to discard of *used* tokens, of which the first *prompt* are the prompt.

    At least one token goes, so that there is room for the next.
    """
    keep = prompt if num_keep < 0 else num_keep + bos
    keep = max(0, min(keep, num_ctx - 4, used - 1))
    return Shift(keep, max(1, (used - keep) // 2))


def shorten(tokens: Sequence[int], num_keep: int, num_ctx: int, *, bos: bool) -> tuple[int, ...]:
    """A rendered prompt cut in the middle, so that half of what is not kept is free.

    For text that is no conversation, or one whose last message alone is too long; the first
    *num_keep* tokens and the last ones stay.
    """
    limit = num_ctx - 1
    if len(tokens) <= limit:
        return tuple(tokens)
    keep = min(limit if num_keep < 0 else num_keep + bos, limit)
    left = num_ctx - max((num_ctx - keep) // 2, 1)
    return (*tokens[:keep], *tokens[len(tokens) - (left - keep) :])
