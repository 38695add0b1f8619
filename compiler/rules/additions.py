"""Rules about what only mbuild's Modelfiles have: ARG, stages, flags."""

import re
from collections.abc import Iterator

from mbuild.compiler.diagnostic import Code, Diagnostic, Label
from mbuild.compiler.rules.rule import Rule, Subject, found
from mbuild.compiler.syntax import Message

_FLAG = re.compile(r"--?([a-z][a-z-]*)(=\S*)?(?=[ \t]|$)")
_FLAGS = ("file", "append", "scale")
_TAKERS = ("system", "template", "license", "message", "adapter", "schema")
_USE = re.compile(r"\$?\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _flags(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.parts.of(*_TAKERS):
        value = node.value
        match = None if value.quotes or value.flags else _FLAG.match(value.text)
        if match is None:
            continue
        start = value.span.start
        span = subject.source.span(start, start + len(match[0]))
        word = node.word.text.upper()
        if isinstance(node, Message) and match[1] == "file" and match[2]:
            hint = f"write MESSAGE {match[0]} {node.role.text}"
            message = f"{match[0]} is part of the text, as it stands behind the role"
            yield from found(Code.LATE_FLAG, message, span, hint)
        elif near := _near_flag(match[1], whole=match[2] is not None):
            hint = f"did you mean --{near}{'' if near == 'append' else '='}?"
            message = f"{match[0]} is no flag, so it is part of the {word}"
            yield from found(Code.FLAG_AS_TEXT, message, span, hint)


def _near_flag(name: str, *, whole: bool) -> str | None:
    from difflib import get_close_matches

    near = get_close_matches(name, _FLAGS, n=1, cutoff=0.7)
    if near:
        return near[0]
    # Whatever it is called, a flag with a value names a file or a number.
    return "file" if whole else None


def _arguments(subject: Subject) -> Iterator[Diagnostic]:
    declared = subject.parts.of("arg")
    if not declared:
        return
    names = {node.value.text.partition("=")[0].strip(" \t"): node for node in declared}
    used: set[str] = set()
    told: set[str] = set()
    for node in subject.parts.instructions:
        texts = [node.value, *(flag.value for flag in node.value.flags if flag.value)]
        for value in texts:
            if "${" not in value.text:
                continue
            for match in _USE.finditer(value.text):
                used.add(match[1])
                if match[0].startswith("$$") or match[1] in names or match[1] in told:
                    continue
                # A file that is included, which is not looked into here, may declare it.
                if value.literal or subject.parts.of("include"):
                    continue
                told.add(match[1])
                at = value.span.text.find(match[0])
                start = value.span.start + max(at, 0)
                span = subject.source.span(start, start + len(match[0]))
                message = f"no ARG is called {match[1]}, so {match[0]} stays as it is"
                hint = f"declare it with ARG {match[1]}, or leave it: it is text"
                yield from found(Code.UNDECLARED_ARGUMENT, message, span, hint)
    # It may also use them.
    if subject.parts.of("include"):
        return
    for name, node in names.items():
        if name not in used and re.fullmatch(r"[A-Za-z_]\w*", name):
            message = f"ARG {name} is used nowhere"
            hint = f"${{{name}}} stands for it, in a value without quotes"
            yield from found(Code.UNUSED_ARGUMENT, message, node.value.span, hint)


def _stages(subject: Subject) -> Iterator[Diagnostic]:
    sources = subject.parts.sources
    if not any(name for _, name in sources):
        return
    used = {value.text.casefold() for value, _ in sources}
    for value, name in sources[:-1]:
        if name is None:
            message = "this stage has no name, so nothing can be built on it"
            hint = "give it one with AS, or leave it out"
            yield from found(Code.UNUSED_STAGE, message, value.span, hint)
        elif name.text.casefold() not in used:
            message = f"no stage is FROM {name.text}"
            hint = f"it is built with --target {name.text} only"
            yield from found(Code.IDLE_STAGE, message, name.span, hint)
    models: dict[str, Label] = {}
    stages: set[str] = set()
    for value, name in sources:
        text = value.text.casefold()
        if text not in stages:
            models.setdefault(text, Label(value.span, "here it is a model"))
        if name is None:
            continue
        stages.add(name.text.casefold())
        if name.text.casefold() in models:
            label = models[name.text.casefold()]
            message = f"from here on {name.text} is this stage, and no model"
            yield from found(Code.SHADOWING_STAGE, message, name.span, labels=(label,))


RULES = (
    Rule(
        Code.FLAG_AS_TEXT,
        "A text begins with what looks like a flag and is none.",
        "Only --file=, --append and --scale= are flags, so that texts which begin with dashes stay"
        " texts. What is none is part of the text.",
        "FROM llama3.2:3b\nSYSTEM --fil=prompts/kid.md\n",
        "FROM llama3.2:3b\nSYSTEM --file=prompts/kid.md\n",
        check=_flags,
        files={"prompts/kid.md": "You are a kid.\n"},
    ),
    Rule(
        Code.LATE_FLAG,
        "--file= stands behind the role of a MESSAGE.",
        "There it is part of the text. A flag stands before the role.",
        "FROM llama3.2:3b\nMESSAGE user --file=question.md\nMESSAGE assistant yes\n",
        "FROM llama3.2:3b\nMESSAGE --file=question.md user\nMESSAGE assistant yes\n",
        files={"question.md": "Are you there?\n"},
    ),
    Rule(
        Code.UNUSED_ARGUMENT,
        "An ARG is declared and used nowhere.",
        "Mostly its name is misspelled where it should be used, or the value there is quoted.",
        "ARG SIZE=3b\nFROM llama3.2:3b\n",
        "ARG SIZE=3b\nFROM llama3.2:${SIZE}\n",
        check=_arguments,
    ),
    Rule(
        Code.UNDECLARED_ARGUMENT,
        "There are ARGs, and a ${NAME} that is none of them.",
        "Only declared names are replaced; others stay as they are, as texts may have them.",
        "ARG SIZE=3b\nFROM llama3.2:${SIZE}\nSYSTEM You are ${NAME}.\n",
        "ARG SIZE=3b\nARG NAME=Polly\nFROM llama3.2:${SIZE}\nSYSTEM You are ${NAME}.\n",
    ),
    Rule(
        Code.UNUSED_STAGE,
        "A stage has no name, and is not the last.",
        "Only the last stage is built, those that it is FROM, and what --target names.",
        "FROM llama3.2:3b\nSYSTEM You are a parrot.\nFROM llama3.2:1b AS small\n",
        "FROM llama3.2:3b AS large\nSYSTEM You are a parrot.\nFROM large AS small\n",
        check=_stages,
    ),
    Rule(
        Code.IDLE_STAGE,
        "No other stage is FROM this one.",
        "It is there for --target, or was forgotten.",
        "FROM llama3.2:3b AS large\nFROM llama3.2:1b AS small\n",
        "FROM llama3.2:3b AS large\nFROM large AS small\n",
    ),
    Rule(
        Code.SHADOWING_STAGE,
        "A stage has the name of a model that the file uses.",
        "From there on the name means the stage.",
        "FROM parrot AS parrot\nSYSTEM You are a parrot.\nFROM parrot\n",
        "FROM parrot:1b AS talking\nSYSTEM You are a parrot.\nFROM talking\n",
    ),
)
