"""What a Modelfile says once ARG, INCLUDE and ``--file=`` have been followed.

The result has neither: every value holds its text. A value whose text stands in another file has
its span there, so that a finding shows that file. Only the default dialect knows these words, and
a tree without them is not changed at all. Opens nothing: what reads files is an argument.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from mbuild.compiler.advice import short
from mbuild.compiler.diagnostic import Code, Diagnostic, Label, Severity, Source, Span
from mbuild.compiler.parser import parse
from mbuild.compiler.source import decode, doubts
from mbuild.compiler.syntax import (
    Adapter,
    Arg,
    Comment,
    Flag,
    Include,
    Instruction,
    Junk,
    License,
    Message,
    Modelfile,
    Schema,
    System,
    Template,
    Value,
)

_DEEPEST = 32  # INCLUDEs within one another.
_MOST = 1000  # INCLUDEs in all: a file that includes two, each of which includes two, ...
_LONGEST = 64 << 20  # characters in all values: ARGs that double each other grow as fast.


@dataclass(frozen=True, slots=True)
class Text:
    """A file that a Modelfile names, read."""

    name: str  # as findings call it
    path: str  # absolute
    folder: str  # from which the paths in it are seen
    data: bytes


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a file was not read, and what would help."""

    outside: bool  # of the folder that it must be in
    reason: str
    hint: str | None = None


class Texts(Protocol):
    """What reads the files that a Modelfile names."""

    def read(self, path: str, folder: str | None) -> Text | Unread:
        """The file at *path*, seen from *folder*; None is the Modelfile's."""
        ...


@dataclass(frozen=True, slots=True)
class Expanded:
    """A tree without ARG, INCLUDE and ``--file=``."""

    instructions: tuple[Instruction, ...]
    findings: tuple[Diagnostic, ...]
    folders: Mapping[Source, str]  # of the included files, whose paths are seen from there
    anchors: Mapping[Source, int]  # where in *tree* each other file is named, if only indirectly
    arguments: Mapping[str, str]  # as they are at the end


class NoTexts:
    """No file can be read."""

    def read(self, path: str, _folder: str | None) -> Text | Unread:
        """Always a refusal."""
        return Unread(outside=False, reason=f"{path} cannot be read here")


def expand(
    tree: Modelfile, texts: Texts, arguments: Mapping[str, str], *, lenient: bool = False
) -> Expanded:
    """*tree* with everything followed; *arguments* go before the defaults of ARG.

    Where it is *lenient*, an ARG without a value is no mistake and its ``${NAME}`` stays.
    """
    expansion = _Expansion(tree.source.name, texts, arguments, lenient=lenient)
    instructions = tuple(expansion.file(tree, None, ()))
    findings = [*expansion.findings, *expansion.unknown_arguments(tree)]
    return Expanded(
        instructions, tuple(findings), expansion.folders, expansion.anchors, expansion.values
    )


@dataclass(frozen=True, slots=True)
class _Inclusion:
    """A file that is being included, and by which value."""

    name: str
    span: Span


_Chain = tuple[_Inclusion, ...]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USE = re.compile(r"(\$?)\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TEXTUAL = (System, Template, License, Message, Schema)


class _Expansion:
    def __init__(self, top: str, texts: Texts, given: Mapping[str, str], *, lenient: bool) -> None:
        self._top = top
        self.findings: list[Diagnostic] = []
        self.folders: dict[Source, str] = {}
        self.anchors: dict[Source, int] = {}
        self.values: dict[str, str] = {}
        self._texts = texts
        self._given = given
        self._lenient = lenient
        self._declared: dict[str, Span] = {}
        self._files = 0
        self._size = 0  # characters

    def file(self, tree: Modelfile, folder: str | None, chain: _Chain) -> Iterator[Instruction]:
        """The instructions of one file, those of the files that it includes in their places."""
        for node in tree.statements:
            match node:
                case Comment():
                    pass
                case Junk():
                    self._find(chain, node.finding)
                case Arg():
                    self._declare(node, chain)
                case Include():
                    yield from self._include(node, folder, chain)
                case _:
                    yield from self._instruction(node, folder, chain)

    def unknown_arguments(self, tree: Modelfile) -> Iterable[Diagnostic]:
        """A finding for each argument that was given and that no ARG declares."""
        for name in self._given:
            if name in self._declared:
                continue
            from difflib import get_close_matches

            near = get_close_matches(name, sorted(self._declared), n=1)
            hint = f"did you mean {near[0]}?" if near else f"declare it with ARG {name}"
            message = f"no ARG is called {name}"
            span = self._declared[near[0]] if near else tree.source.span(0, 0)
            yield Diagnostic(Code.BAD_ARGUMENT, message, span, hint)

    def _find(self, chain: _Chain, *findings: Diagnostic) -> None:
        """Note *findings*, and through which INCLUDE they came."""
        labels = tuple(Label(each.span, "included from here") for each in chain[-1:])
        self.findings += (replace(each, labels=(*each.labels, *labels)) for each in findings)

    def _mistake(
        self, chain: _Chain, code: Code, span: Span, message: str, hint: str | None = None
    ) -> None:
        self._find(chain, Diagnostic(code, message, span, hint))

    def _declare(self, node: Arg, chain: _Chain) -> None:
        name, equals, written = node.value.text.partition("=")
        name, written = name.rstrip(" \t"), written.lstrip(" \t")
        if node.value.quotes or not _NAME.fullmatch(name):
            hint = "write ARG NAME or ARG NAME=default; a name has letters, digits and _"
            message = f"{short(name)} is no name for an ARG" if name else "ARG has no name"
            self._mistake(chain, Code.BAD_ARGUMENT, node.value.span, message, hint)
            return
        self._declared.setdefault(name, node.value.span)
        if name in self._given:
            self.values[name] = self._given[name]
        elif not equals:
            self.values.pop(name, None)
            if not self._lenient:
                message = f"ARG {name} has no value"
                hint = f"give it one with --build-arg {name}=..., or a default: ARG {name}=..."
                self._mistake(chain, Code.ARGUMENT_WITHOUT_VALUE, node.value.span, message, hint)
        elif len(written) >= 2 and written[0] == written[-1] == '"':
            self.values[name] = written[1:-1]
        else:
            self.values[name] = self._replaced(written)

    def _replaced(self, text: str) -> str:
        """*text* with its ``${NAME}`` replaced, if NAME has a value."""
        if "${" not in text or self._size > _LONGEST:
            return text

        def value(use: re.Match[str]) -> str:
            dollar, name = use.groups()
            if name not in self._declared:
                return use[0]
            return use[0][1:] if dollar else self.values.get(name, use[0])

        replaced = _USE.sub(value, text)
        self._size += len(replaced)
        return replaced

    def _include(self, node: Include, folder: str | None, chain: _Chain) -> Iterator[Instruction]:
        value = self._value(node.value, chain)
        found = self._read(value, folder, chain, Code.BAD_INCLUDE)
        if found is None:
            return
        names = [self._top, *(each.name for each in chain)]
        self._files += 1
        if found.name in names:
            circle = " → ".join([*names[names.index(found.name) :], found.name])
            message = f"{found.name} includes itself"
            self._mistake(chain, Code.BAD_INCLUDE, value.span, message, f"the circle: {circle}")
        elif len(chain) >= _DEEPEST:
            message = f"more than {_DEEPEST} files include one another"
            shown = " → ".join([*names[:3], "…", *names[-2:]])
            self._mistake(chain, Code.BAD_INCLUDE, value.span, message, f"the chain: {shown}")
        elif self._files > _MOST:
            if self._files == _MOST + 1:
                message = f"more than {_MOST} files are included"
                self._mistake(chain, Code.BAD_INCLUDE, value.span, message)
        else:
            inner = (*chain, _Inclusion(found.name, node.span))
            source = self._decoded(found, inner, node.span)
            if source is not None:
                self.folders[source] = found.folder
                yield from self.file(parse(source), found.folder, inner)

    def _decoded(self, text: Text, chain: _Chain, named: Span) -> Source | None:
        source = decode(text.name, text.data, path=text.path)
        self.anchors[source] = (chain[0].span if chain else named).start
        doubtful = doubts(source, text.data)
        if not chain or chain[-1].span is not named:
            named_here = Label(named, "read from here")
            doubtful = tuple(replace(each, labels=(named_here,)) for each in doubtful)
        self._find(chain, *doubtful)
        damaged = any(each.severity is Severity.ERROR for each in doubtful)
        return None if damaged else source

    def _read(self, value: Value, folder: str | None, chain: _Chain, code: Code) -> Text | None:
        path = value.cleaned
        found = self._texts.read(path, folder) if path else Unread(False, "no path is given")
        if isinstance(found, Text):
            return found
        code = Code.OUTSIDE_FOLDER if found.outside else code
        self._mistake(chain, code, value.span, found.reason, found.hint)
        return None

    def _value(self, value: Value, chain: _Chain) -> Value:
        """*value* with its ``${NAME}`` replaced, which quotes prevent."""
        if value.literal:
            uses = [use for use in _USE.finditer(value.text) if use[2] in self._declared]
            if uses:
                self._mistake(
                    chain,
                    Code.LITERAL_ARGUMENT,
                    value.span,
                    f"${{{uses[0][2]}}} stays as it is: a quoted value is literal",
                    "write the value without quotes, or between <<END and a line END",
                )
            return value
        text = self._replaced(value.text)
        if self._size > _LONGEST:
            if self.findings[-1:] and self.findings[-1].message == _TOO_LONG:
                return value
            self._mistake(chain, Code.BAD_ARGUMENT, value.span, _TOO_LONG)
            return value
        return value if text == value.text else replace(value, text=text)

    def _instruction(
        self, node: Instruction, folder: str | None, chain: _Chain
    ) -> Iterator[Instruction]:
        value = node.value
        if value.flags and not self._takes_flags(node, chain):
            return
        flags = tuple(self._flag(flag, chain) for flag in value.flags)
        value = self._value(replace(value, flags=flags) if flags else value, chain)
        paths = [flag.value for flag in flags if flag.name == "file" and flag.value is not None]
        if paths:
            found = self._read(paths[0], folder, chain, Code.BAD_TEXT_FILE)
            source = None if found is None else self._decoded(found, chain, node.span)
            if source is None:
                return
            whole = source.span(0, len(source.text))
            value = Value(source.text, whole, "<<", value.flags)
        yield node if value is node.value else replace(node, value=value)

    def _flag(self, flag: Flag, chain: _Chain) -> Flag:
        return flag if flag.value is None else replace(flag, value=self._value(flag.value, chain))

    def _takes_flags(self, node: Instruction, chain: _Chain) -> bool:
        """Whether the flags of *node* are those that its instruction has, each once."""
        word = node.word.text.upper()
        before = len(self.findings)
        seen: set[str] = set()
        for flag in node.value.flags:
            if not isinstance(node, _TAKES[flag.name]):
                takers = ", ".join(each.__name__.upper() for each in _TAKES[flag.name])
                message = f"{word} takes no --{flag.name}"
                hint = f"--{flag.name} is for {takers}"
                self._mistake(chain, Code.BAD_FLAG, flag.span, message, hint)
            elif flag.name in seen:
                message = f"--{flag.name} stands twice"
                self._mistake(chain, Code.BAD_FLAG, flag.span, message, "keep one")
            seen.add(flag.name)
        value = node.value
        if "file" in seen and (value.text or value.quotes):
            hint = "keep the text, or the file"
            message = f"{word} has a file and a text"
            self._mistake(chain, Code.BAD_FLAG, value.span, message, hint)
        elif "file" not in seen and not value.text and not value.quotes:
            self._mistake(
                chain, Code.MISSING_VALUE, node.word.span, f"{word} has no value behind its flag"
            )
        return len(self.findings) == before


_TOO_LONG = f"the values of ARGs grow beyond {_LONGEST >> 20} MiB"

_TAKES: dict[str, tuple[type[Instruction], ...]] = {
    "file": _TEXTUAL,
    "append": (System,),
    "scale": (Adapter,),
}
