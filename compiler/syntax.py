"""The tree of a Modelfile: one class for each instruction, and `Junk` for what is none.

Every text has a tree. Statements stand in file order and do not overlap. Between two of them are
blanks, line ends and, behind a quote, characters that the reference drops; nothing else, so a
tree and its source lose nothing. A span knows file, line and column.
"""

import re
from dataclasses import dataclass

from mbuild.compiler.characters import kept
from mbuild.compiler.diagnostic import Diagnostic, Source, Span

BLANKS = " \t"
"""What separates words; in the reference, too, nothing else does."""


@dataclass(frozen=True, slots=True)
class Word:
    """An instruction's word, a parameter's name or a role, as it is written."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Value:
    """What an instruction says: *text* is without its quotes, *span* is with them."""

    text: str
    span: Span
    quotes: str  # '', '"' or '\"""'; "<<" for the lines between <<WORD and WORD.
    flags: "tuple[Flag, ...]" = ()

    @property
    def literal(self) -> bool:
        """Whether it stands in quotes, so that nothing in it means anything."""
        return self.quotes.startswith('"')

    @property
    def cleaned(self) -> str:
        """The text as the reference reads it, for numbers, names and versions."""
        text = kept(self.text)
        return text if self.quotes else text.strip(BLANKS)


@dataclass(frozen=True, slots=True)
class Flag:
    """What may stand before a value: ``--append``, ``--file=path``, ``--scale=0.7``."""

    name: str
    value: Value | None  # None: there is no equals sign.
    span: Span


@dataclass(frozen=True, slots=True)
class Comment:
    """A line that begins with #, from there to its end."""

    span: Span


@dataclass(frozen=True, slots=True)
class Junk:
    """What is no instruction, and the finding that says why."""

    span: Span
    finding: Diagnostic


@dataclass(frozen=True, slots=True)
class _Instruction:
    """What all instructions have; *span* goes from the word to the end of the value.

    Those that have nothing else inherit all that a dataclass is given: making each class anew
    takes half a millisecond at every start.
    """

    span: Span
    word: Word
    value: Value


class From(_Instruction):
    """FROM *model or path*."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Parameter(_Instruction):
    """PARAMETER *name* *value*."""

    name: Word


@dataclass(frozen=True, slots=True)
class Message(_Instruction):
    """MESSAGE *role* *text*."""

    role: Word


class Template(_Instruction):
    """TEMPLATE *text*."""

    __slots__ = ()


class System(_Instruction):
    """SYSTEM *text*."""

    __slots__ = ()


class Adapter(_Instruction):
    """ADAPTER *path*."""

    __slots__ = ()


class License(_Instruction):
    """LICENSE *text*."""

    __slots__ = ()


class Requires(_Instruction):
    """REQUIRES *version*."""

    __slots__ = ()


class Renderer(_Instruction):
    """RENDERER *name*."""

    __slots__ = ()


class Parser(_Instruction):
    """PARSER *name*."""

    __slots__ = ()


class Draft(_Instruction):
    """DRAFT *path*."""

    __slots__ = ()


class Arg(_Instruction):
    """ARG *name*[=*default*]."""

    __slots__ = ()


class Include(_Instruction):
    """INCLUDE *path*."""

    __slots__ = ()


class Unset(_Instruction):
    """UNSET *instruction*, or UNSET PARAMETER *name*."""

    __slots__ = ()


class Quantize(_Instruction):
    """QUANTIZE *type*."""

    __slots__ = ()


class Schema(_Instruction):
    """SCHEMA *JSON schema*."""

    __slots__ = ()


Simple = From | Template | System | Adapter | License | Requires | Renderer | Parser | Draft
"""An instruction that is a word and a value."""

Added = Arg | Include | Unset | Quantize | Schema
"""An instruction that only the default dialect has."""

Instruction = Simple | Parameter | Message | Added
Statement = Instruction | Comment | Junk

SIMPLE: dict[str, type[Simple]] = {
    "from": From,
    "template": Template,
    "system": System,
    "adapter": Adapter,
    "license": License,
    "requires": Requires,
    "renderer": Renderer,
    "parser": Parser,
    "draft": Draft,
}
"""The instructions that are a word and a value, by their word."""

WORDS = (*SIMPLE, "parameter", "message")
"""The words that begin an instruction of the reference, in lower case; any case is read."""

ADDED: dict[str, type[Added]] = {
    "arg": Arg,
    "include": Include,
    "unset": Unset,
    "quantize": Quantize,
    "schema": Schema,
}
"""The instructions that only the default dialect has; each is a word and a value."""

ALL_WORDS = (*WORDS, *ADDED)
"""All words that begin an instruction of the default dialect."""

ROLES = ("system", "user", "assistant")
"""The roles of MESSAGE, which are case-sensitive."""


@dataclass(frozen=True, slots=True)
class Modelfile:
    """The tree of one source."""

    source: Source
    statements: tuple[Statement, ...]

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """What the parser could not read, in source order."""
        return tuple(node.finding for node in self.statements if isinstance(node, Junk))


_STAGE = re.compile(r"(?<![ \t])[ \t]+(?ai:as)[ \t]+(?P<name>[A-Za-z][A-Za-z0-9_-]*)\Z")
_LONGEST_STAGE = 200  # characters, so that a long line costs no more than a short one


def stage(value: Value) -> tuple[Value, Word] | None:
    """The two parts of ``FROM source AS name``, if *value* is that: what, and the stage's name."""
    base = max(len(value.text) - _LONGEST_STAGE, 0)
    match = None if value.literal else _STAGE.search(value.text, base + 1)
    if match is None:
        return None
    start, source = value.span.start, value.span.source
    # A value that is not as it stands in the file, but made with ${NAME}, has one place only.
    written = value.span.text == value.text
    first = source.span(start, start + match.start()) if written else value.span
    second = source.span(start + match.start("name"), value.span.end) if written else value.span
    return Value(value.text[: match.start()], first, ""), Word(match["name"], second)
