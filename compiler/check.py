"""A tree checked: the recipe that it asks for, or every reason why there is none.

In the default dialect all findings come at once, in source order, and teach. In the reference's
the first mistake that it would report is the only error, in its own words.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mbuild.compiler import advice
from mbuild.compiler.diagnostic import Code, Diagnostic, Label, Severity, Source
from mbuild.compiler.dialect import NO_FROM, Dialect, scan
from mbuild.compiler.recipe import Recipe
from mbuild.compiler.settings import Settings, entry
from mbuild.compiler.source import decode, doubts
from mbuild.compiler.syntax import Comment, From, Instruction, Junk, Modelfile, stage

if TYPE_CHECKING:
    from mbuild.compiler.expand import Texts
    from mbuild.compiler.syntax import Value, Word


@dataclass(frozen=True, slots=True)
class Given:
    """What a Modelfile is read with, beside its own text."""

    texts: "Texts | None" = None  # What reads the files that it names; None: none can be had.
    arguments: Mapping[str, str] = field(default_factory=dict)  # --build-arg
    target: str | None = None  # --target; None: the last stage
    lenient: bool = False  # An ARG without a value is no mistake.


_NOTHING_GIVEN = Given()


def load(
    name: str, data: bytes, *, dialect: Dialect = "mbuild", given: Given = _NOTHING_GIVEN
) -> tuple[Recipe | None, tuple[Diagnostic, ...]]:
    """The recipe that the file *data* asks for, if it has no errors, and every finding.

    *name* is what findings call the file. Opens nothing but through *given*.
    """
    source = decode(name, data)
    if dialect == "ollama":
        return check(scan(source), dialect=dialect)
    doubtful = doubts(source, data)
    if _has_errors(doubtful):
        return None, doubtful
    # Imported here: the reference's dialect does not need it.
    from mbuild.compiler.parser import parse

    recipe, findings = check(parse(source), given=given)
    # Those of other files stay where they are.
    first = [each for each in findings if each.span.source is not source][:1]
    if first or not doubtful:
        return recipe, (*doubtful, *findings)
    return recipe, tuple(sorted((*doubtful, *findings), key=lambda each: each.span.start))


def check(
    modelfile: Modelfile, *, dialect: Dialect = "mbuild", given: Given = _NOTHING_GIVEN
) -> tuple[Recipe | None, tuple[Diagnostic, ...]]:
    """The recipe, if there were no errors, and every finding.

    The dialect is the one that the tree was read with.
    """
    if dialect == "ollama":
        return _check_as_the_reference(modelfile)
    read = _read(modelfile, given)
    recipe, more = _staged(read, given.target) if read.is_staged else _whole(read, given.target)
    findings = (*read.findings, *more)
    return None if _has_errors(findings) else recipe, read.in_order(findings)


@dataclass(frozen=True, slots=True)
class _Read:
    """The instructions of a tree and of the files that it names."""

    modelfile: Modelfile
    instructions: Sequence[Instruction]
    findings: tuple[Diagnostic, ...]
    folders: Mapping[Source, str] = field(default_factory=dict)
    anchors: Mapping[Source, int] = field(default_factory=dict)

    @property
    def is_staged(self) -> bool:
        """Whether each FROM begins a stage."""
        return any(isinstance(node, From) and stage(node.value) for node in self.instructions)

    def in_order(self, findings: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        """Sorted by place; what is in another file stands where that file was named."""

        def place(finding: Diagnostic) -> tuple[int, int]:
            start, source = finding.span.start, finding.span.source
            if source is self.modelfile.source:
                return start, 0
            return self.anchors.get(source, 0), start

        return tuple(sorted(findings, key=place))


def _read(modelfile: Modelfile, given: Given) -> _Read:
    from mbuild.compiler.syntax import Arg, Include

    nodes = [node for node in modelfile.statements if not isinstance(node, Comment | Junk)]
    if not given.arguments and not any(
        isinstance(node, Arg | Include) or node.value.flags for node in nodes
    ):
        return _Read(modelfile, nodes, modelfile.findings)
    # Imported here: most Modelfiles are a single file.
    from mbuild.compiler.expand import NoTexts, expand

    expanded = expand(modelfile, given.texts or NoTexts(), given.arguments, lenient=given.lenient)
    return _Read(
        modelfile,
        expanded.instructions,
        expanded.findings,
        expanded.folders,
        expanded.anchors,
    )


def _whole(read: _Read, target: str | None) -> tuple[Recipe | None, list[Diagnostic]]:
    """The recipe of a file without stages."""
    findings: list[Diagnostic] = []
    if not any(isinstance(node, From) for node in read.instructions):
        entries = map(entry, read.instructions)
        if not any(each.kind == "from" for each in entries) and not _meant_from(read.findings):
            findings.append(_no_from(read.modelfile, "mbuild"))
    if target is not None:
        findings.append(_no_stage(read, target, ()))
    settings = Settings("mbuild", folders=read.folders)
    for node in read.instructions:
        settings.add(entry(node))
    findings += settings.findings()
    return None if _has_errors(findings) else settings.recipe(), findings


def _staged(read: _Read, target: str | None) -> tuple[Recipe | None, list[Diagnostic]]:
    """The recipe of the stage *target*, or of the last one; the findings of all."""
    findings: list[Diagnostic] = []
    names: dict[str, Word] = {}
    recipes: dict[str, Recipe | None] = {}
    last: Recipe | None = None
    early, stages = _divided(read.instructions)
    for node in early:
        word = node.word.text.upper()
        message = f"{word} stands before the first FROM, so it belongs to no stage"
        findings.append(
            Diagnostic(Code.BAD_STAGE, message, node.word.span, "move it behind a FROM")
        )
    for first, *others in stages:
        value, name = _stage_of(first)
        base = recipes.get(value.cleaned.casefold())
        last, more = _stage(read, first, others, base)
        findings += more
        if name is None:
            continue
        key = name.text.casefold()
        if key in names:
            label = Label(names[key].span, "the first one")
            message = f"two stages are called {name.text}"
            findings.append(Diagnostic(Code.BAD_STAGE, message, name.span, None, (label,)))
        names.setdefault(key, name)
        recipes[key] = last
    if target is not None:
        if target.casefold() not in recipes:
            findings.append(_no_stage(read, target, [each.text for each in names.values()]))
        last = recipes.get(target.casefold())
    return last, findings


def _stage(
    read: _Read, first: Instruction, others: Sequence[Instruction], base: Recipe | None
) -> tuple[Recipe | None, list[Diagnostic]]:
    settings = Settings("mbuild", folders=read.folders, base=base)
    value, name = _stage_of(first)
    settings.add(entry(From(first.span, first.word, value)))
    for node in others:
        settings.add(entry(node))
    findings = settings.findings()
    if _has_errors(findings):
        return None, findings
    return replace(settings.recipe(), stage="" if name is None else name.text), findings


def _stage_of(first: Instruction) -> "tuple[Value, Word | None]":
    return stage(first.value) or (first.value, None)


def _divided(
    instructions: Sequence[Instruction],
) -> tuple[list[Instruction], list[list[Instruction]]]:
    """What stands before the first FROM, and each FROM with what follows it."""
    early: list[Instruction] = []
    stages: list[list[Instruction]] = []
    for node in instructions:
        if isinstance(node, From):
            stages.append([node])
        else:
            (stages[-1] if stages else early).append(node)
    return early, stages


def _no_stage(read: _Read, target: str, names: Sequence[str]) -> Diagnostic:
    hint = f"the stages are {', '.join(names)}" if names else "name one with FROM ... AS NAME"
    span = read.modelfile.source.span(0, 0)
    return Diagnostic(Code.BAD_STAGE, f"no stage is called {target}", span, hint)


def _check_as_the_reference(
    modelfile: Modelfile,
) -> tuple[Recipe | None, tuple[Diagnostic, ...]]:
    if modelfile.findings:
        return None, modelfile.findings
    nodes = [node for node in modelfile.statements if not isinstance(node, Comment | Junk)]
    entries = [entry(node) for node in nodes]
    if not any(each.kind == "from" for each in entries):
        return None, (_no_from(modelfile, "ollama"),)
    settings = Settings("ollama")
    for each in entries:
        settings.add(each)
    findings = _up_to_first_error(settings.findings())
    return None if _has_errors(findings) else settings.recipe(), tuple(findings)


def _has_errors(findings: Iterable[Diagnostic]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)


def _up_to_first_error(findings: list[Diagnostic]) -> list[Diagnostic]:
    for index, finding in enumerate(findings):
        if finding.severity is Severity.ERROR:
            return findings[: index + 1]
    return findings


def _meant_from(findings: Iterable[Diagnostic]) -> bool:
    """Whether what is wrong is probably the FROM itself, so that it is not missing too."""
    unknown = (each.span.source.text[each.span.start :][:40].split() for each in findings)
    return any(word and advice.nearest_instruction(word[0]) == "from" for word in unknown)


def _no_from(modelfile: Modelfile, dialect: Dialect) -> Diagnostic:
    span = modelfile.source.span(0, 0)
    if dialect == "ollama":
        return Diagnostic(Code.NO_FROM, NO_FROM, span)
    hint = "say what to build on, such as FROM llama3.2 or FROM ./model.gguf"
    return Diagnostic(Code.NO_FROM, "no FROM", span, hint)
