"""Everything there is to say of one Modelfile, without building it.

What a build would say before it needs weights, and what the rules say that only lint has. What
lies outside the file is asked of a `World`; nothing is written, fetched or built.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from mbuild.compiler.check import Given, check
from mbuild.compiler.diagnostic import Diagnostic, Edit, Severity, Source
from mbuild.compiler.dialect import Dialect, scan
from mbuild.compiler.expand import Texts
from mbuild.compiler.parser import parse
from mbuild.compiler.recipe import Located, Recipe
from mbuild.compiler.rules import RULES
from mbuild.compiler.rules import World as _World
from mbuild.compiler.rules.remarks import heeded, remarks
from mbuild.compiler.rules.rule import Parts, Subject
from mbuild.compiler.rules.table import ADDED, OF_A_STAGE, WHOLE
from mbuild.compiler.source import decode, doubts
from mbuild.compiler.syntax import From, Modelfile, stage


class World(_World, Texts, Protocol):
    """What lies outside a Modelfile. Asking it changes nothing."""

    def review(self, recipe: Recipe) -> tuple[Diagnostic, ...]:
        """What a build would say of *recipe* that can be known here."""
        ...


def lint(
    name: str, data: bytes, world: World, *, dialect: Dialect = "mbuild"
) -> tuple[Diagnostic, ...]:
    """All findings about the file *data*, in source order, each with its fix if it has one.

    *name* is what findings call the file.
    """
    source = decode(name, data)
    doubtful = doubts(source, data)
    if any(each.severity is Severity.ERROR for each in doubtful):
        return doubtful
    tree = scan(source) if dialect == "ollama" else parse(source)
    given = Given(world, lenient=True)
    recipe, findings = check(tree, dialect=dialect, given=given)
    subject = Subject(data, tree, recipe, world, Parts(tree))
    found = [*doubtful, *findings]
    if dialect == "mbuild":
        found += _reviewed(recipe or _sketch(subject.parts), world)
    found += _told(subject, dialect)
    known = _once(_completed(subject, finding) for finding in found)
    asked, wrong = remarks(subject)
    return _in_order(heeded((*known, *wrong), asked, subject), source)


def _reviewed(recipe: Recipe, world: World) -> Iterator[Diagnostic]:
    """What a build would say of each stage, the first ones first."""
    if recipe.base is not None:
        yield from _reviewed(recipe.base, world)
    yield from world.review(recipe)


def _sketch(parts: Parts) -> Recipe:
    """What a build would check apart from the rest, of a file that has mistakes elsewhere."""

    def last(word: str) -> Located | None:
        values = [node.value for node in parts.of(word) if node.value.text and not node.value.flags]
        return Located(values[-1].text, values[-1].span) if values else None

    stops = [node.value for node in parts.stops]
    return Recipe(
        sources=(),
        template=last("template"),
        system=last("system"),
        parameters={"stop": tuple(stop.text for stop in stops)},
        places={"stop": tuple(stop.span for stop in stops)},
    )


def _told(subject: Subject, dialect: Dialect) -> Iterator[Diagnostic]:
    for each in WHOLE if dialect == "ollama" else (*WHOLE, *ADDED):
        yield from each(subject)
    stages = _stages(subject.tree) if dialect == "mbuild" else [subject.tree]
    for tree in stages:
        part = subject if len(stages) == 1 else replace(subject, tree=tree, parts=Parts(tree))
        for each in OF_A_STAGE:
            yield from each(part)


def _stages(tree: Modelfile) -> list[Modelfile]:
    """*tree* cut before each FROM, if that begins a stage."""
    nodes = tree.statements
    if not any(isinstance(node, From) and stage(node.value) for node in nodes):
        return [tree]
    cuts = [at for at, node in enumerate(nodes) if isinstance(node, From)]
    ends = [*cuts[1:], len(nodes)]
    return [Modelfile(tree.source, nodes[start:end]) for start, end in zip(cuts, ends, strict=True)]


def _completed(subject: Subject, finding: Diagnostic) -> Diagnostic:
    """*finding* with the fix and the second places that its rule knows for it."""
    rule = RULES[finding.code]
    if finding.span.source is not subject.source:
        return finding
    if rule.mend is not None and not finding.fix:
        finding = replace(finding, fix=rule.mend(subject, finding))
    if rule.point is not None and not finding.labels:
        finding = replace(finding, labels=rule.point(subject, finding))
    return finding


def _once(findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """*findings* without those that tell of the same code at the same place."""
    first = {(each.code, each.span.source, each.span.start): each for each in reversed([*findings])}
    return tuple(reversed(first.values()))


def _in_order(findings: Iterable[Diagnostic], source: Source) -> tuple[Diagnostic, ...]:
    """By place, those of other files behind."""

    def place(finding: Diagnostic) -> tuple[bool, str, int, str]:
        span = finding.span
        return span.source is not source, span.source.name, span.start, finding.code.number

    return tuple(sorted(findings, key=place))


@dataclass(frozen=True, slots=True)
class Mended:
    """A text after its findings were mended, and which those were."""

    data: bytes
    findings: tuple[Diagnostic, ...]


_ROUNDS = 20


def mend(name: str, data: bytes, world: World, *, dialect: Dialect = "mbuild") -> Mended:
    """*data* with everything mended that a machine can mend, in the encoding that it has.

    A file that is not wholly in its encoding is left as it is. Mending the result again changes
    nothing, but for the files that take more rounds than anybody waits for.
    """
    done: list[Diagnostic] = []
    for _ in range(_ROUNDS):
        source = decode(name, data)
        if encoded(source.text, data) != data:
            break
        chosen = _apart(lint(name, data, world, dialect=dialect), name)
        if not chosen:
            break
        text = _edited(source.text, [edit for finding in chosen for edit in finding.fix])
        data = encoded(text, data)
        done += chosen
    return Mended(data, tuple(done))


def _apart(findings: Iterable[Diagnostic], name: str) -> list[Diagnostic]:
    """The findings that have a fix which meets none of an earlier one."""
    fixable = [each for each in findings if each.fix and each.fix[0].span.source.name == name]
    fixable.sort(key=lambda each: (_GRAVITY[each.severity], each.fix[0].span.start))
    spans = _Spans()
    chosen: list[Diagnostic] = []
    for finding in fixable:
        edits = [(edit.span.start, edit.span.end) for edit in finding.fix]
        if spans.free(edits):
            spans.take(edits)
            chosen.append(finding)
    return chosen


_GRAVITY = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}


class _Spans:
    """Stretches of a text that are taken; each new one is compared with its neighbours only."""

    def __init__(self) -> None:
        self._taken: list[tuple[int, int]] = []

    def free(self, spans: list[tuple[int, int]]) -> bool:
        """Whether none of *spans* meets or touches what is taken."""
        return all(self._is_free(*span) for span in spans)

    def _is_free(self, start: int, end: int) -> bool:
        from bisect import bisect_left

        at = bisect_left(self._taken, (start, end))
        before = self._taken[at - 1] if at else (-2, -2)
        after = self._taken[at] if at < len(self._taken) else (end + 1, end + 1)
        return before[1] < start and end < after[0]

    def take(self, spans: list[tuple[int, int]]) -> None:
        """Take *spans*, which are free."""
        from bisect import insort

        for span in spans:
            insort(self._taken, span)


def _edited(text: str, edits: list[Edit]) -> str:
    """*text* after *edits*, which do not meet."""
    pieces, at = [], 0
    for edit in sorted(edits, key=lambda edit: edit.span.start):
        pieces += [text[at : edit.span.start], edit.text]
        at = edit.span.end
    return "".join([*pieces, text[at:]])


def encoded(text: str, like: bytes) -> bytes:
    """*text* in the encoding of *like*, with its byte-order mark if it has one."""
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ):
        if like.startswith(mark):
            return mark + text.encode(encoding, "surrogatepass")
    return text.encode("utf-8", "surrogatepass")
