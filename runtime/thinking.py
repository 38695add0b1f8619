"""What a model thinks before it answers, told apart from the answer while both come.

A model that thinks writes its thoughts between two tags, in front of the answer; often the prompt
ends with the first of them already. Whatever pieces a text comes in, the split is the same, and
nothing of it is lost but the tags and the blanks behind each.

Sources: the runtime specification, section 13; the specification of TEMPLATE, section 6.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from mbuild.runtime.engine import Finished, Piece

if TYPE_CHECKING:
    from mbuild.compiler.template.capabilities import Tags

LEVELS = ("low", "medium", "high", "max")
"""How much a model may be asked to think."""

# What Go's unicode.IsSpace takes for blank; Python counts four control characters more.
_BLANK = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


class NoThinking(Exception):
    """A model that is asked to think, and knows no such thing."""

    def __init__(self, name: str) -> None:
        super().__init__(f'"{name}" does not support thinking')
        self.name = name


@dataclass(frozen=True, slots=True)
class Thought:
    """A part of what a model thinks; never a part of a tag."""

    text: str
    tokens: int = 1  # drawn since the part before, of thought or answer


@dataclass(frozen=True, slots=True)
class Split:
    """A stretch of text, told apart; the thinking comes first."""

    thinking: str = ""
    answer: str = ""


class _At(Enum):
    """Where in the text we are."""

    START = "no tag yet, and nothing but blanks"
    OPENED = "behind the opening tag, blanks are dropped"
    THINKING = "amid the thoughts"
    CLOSED = "behind the closing tag, blanks are dropped"
    ANSWER = "amid the answer, where tags are but text"


class Splitter:
    """Splits one text, which comes in pieces; *begun*: the opening tag is behind us.

    Only thoughts in front of everything else are told apart: a text that begins otherwise is an
    answer from its first blank on.

    >>> from mbuild.compiler.template.capabilities import Tags
    >>> splitter = Splitter(Tags("<t>", "</t>"))
    >>> splitter.feed("\\n<t> hm</"), splitter.feed("t> yes")
    (Split(thinking='hm', answer=''), Split(thinking='', answer='yes'))
    """

    def __init__(self, tags: "Tags", *, begun: bool = False) -> None:
        self._tags = tags
        self._at = _At.OPENED if begun else _At.START
        self._held = ""  # what cannot be told apart yet

    def feed(self, text: str) -> Split:
        """What is known for certain once *text* has come."""
        self._held += text
        if self._at is _At.START:
            self._open()
        thinking = self._think() if self._at in (_At.OPENED, _At.THINKING) else ""
        return Split(thinking, self._answer())

    def end(self) -> Split:
        """The rest, when no more comes: an unfinished tag is no tag."""
        held, self._held = self._held, ""
        return Split(thinking=held) if self._at is _At.THINKING else Split(answer=held)

    def _open(self) -> None:
        found = self._held.lstrip(_BLANK)
        if found.startswith(self._tags.opening):
            self._held = found.removeprefix(self._tags.opening)
            self._at = _At.OPENED
        elif not self._tags.opening.startswith(found):
            self._at = _At.ANSWER

    def _think(self) -> str:
        self._drop_blanks(_At.OPENED, _At.THINKING)
        thought, tag, behind = self._held.partition(self._tags.closing)
        if tag:
            self._held, self._at = behind, _At.CLOSED
            return thought
        certain = len(thought) - _overlap(thought, self._tags.closing)
        self._held = thought[certain:]
        return thought[:certain]

    def _answer(self) -> str:
        self._drop_blanks(_At.CLOSED, _At.ANSWER)
        if self._at is not _At.ANSWER:
            return ""
        answer, self._held = self._held, ""
        return answer

    def _drop_blanks(self, at: _At, then: _At) -> None:
        """Drop the blanks *at* a place, which ends with the first other character."""
        if self._at is at:
            self._held = self._held.lstrip(_BLANK)
            self._at = then if self._held else at


def splitter(tags: "Tags", prompt: str) -> Splitter:
    """What splits the answer to *prompt*, which may end with the opening tag and blanks."""
    return Splitter(tags, begun=prompt.rstrip(_BLANK).endswith(tags.opening))


def split(events: Iterable[Piece | Finished], by: Splitter) -> Iterator[Thought | Piece | Finished]:
    """*events* of one answer, with its thoughts told apart; `Finished` stays the last."""
    drawn = 0
    for event in events:
        if isinstance(event, Piece):
            drawn += event.tokens
            parts = by.feed(event.text)
        else:
            parts = by.end()
        if parts.thinking:
            yield Thought(parts.thinking, drawn)
            drawn = 0
        if parts.answer:
            yield Piece(parts.answer, drawn)
            drawn = 0
        if isinstance(event, Finished):
            yield event


def tags_of_jinja(text: str) -> "Tags | None":
    """The tags of a model whose own chat template is *text*; None: it does not think.

    Such a template names its tags nowhere apart, so only the usual ones are known.
    """
    if not _thinks(text):
        return None
    # Imported here: most models do not think, and it brings the language of templates along.
    from mbuild.compiler.template.capabilities import Tags

    return Tags("<think>", "</think>")


def _thinks(jinja: str) -> bool:
    if "<think>" in jinja and "</think>" in jinja:
        return True
    splits = "content.split('</think>')" in jinja or 'content.split("</think>")' in jinja
    return splits and "reasoning_content" not in jinja and "<SPECIAL_12>" not in jinja


def _overlap(text: str, tag: str) -> int:
    """How many of the last characters of *text* may begin *tag*, short of all of it."""
    longest = min(len(text), len(tag) - 1)
    return next((count for count in range(longest, 0, -1) if text.endswith(tag[:count])), 0)
