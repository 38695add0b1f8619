"""Rules about what the model reads: SYSTEM, TEMPLATE, MESSAGE, LICENSE."""

import re
from collections.abc import Iterator
from itertools import pairwise

from mbuild.compiler.advice import short
from mbuild.compiler.diagnostic import Code, Diagnostic, Label
from mbuild.compiler.rules.rule import Mending, Rule, Subject, found, without
from mbuild.compiler.syntax import Junk, Message

_MARKERS = re.compile(
    r"<\|(?:im_start|im_end|start_header_id|end_header_id|eot_id|begin_of_text|endoftext|user|"
    r"assistant|system|end)\|>|\[/?INST\]|<</?SYS>>|</?start_of_turn>|<(?:start|end)_of_turn>"
)


def _empty(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.parts.of("system", "template", "renderer", "parser"):
        if node.value.text or node.value.flags:
            continue
        word = node.word.text.upper()
        hint = f"UNSET {word} takes out what the base model brings"
        if word in ("RENDERER", "PARSER"):
            hint = "leave it out"
        message = f"an empty {word} is as good as none"
        yield from found(Code.EMPTY_TEXT, message, node.span, hint)


def _turns(subject: Subject) -> list[Message]:
    return [node for node in subject.parts.of("message") if isinstance(node, Message)]


def _messages(subject: Subject) -> Iterator[Diagnostic]:
    turns = _turns(subject)
    if not turns:
        return
    for turn in turns:
        if not turn.value.text and not turn.value.flags:
            message = f"MESSAGE {turn.role.text} has an empty text"
            yield from found(Code.EMPTY_MESSAGE, message, turn.span)
    if any(isinstance(node, Junk) for node in subject.tree.statements):
        return  # Another turn may be among what could not be read.
    spoken = [turn for turn in turns if turn.role.text in ("user", "assistant")]
    for before, turn in pairwise(spoken):
        if before.role.text == turn.role.text:
            other = "assistant" if turn.role.text == "user" else "user"
            label = Label(before.role.span, f"the {turn.role.text} speaks here already")
            message = f"two turns of the {turn.role.text} in a row"
            hint = f"a MESSAGE {other} belongs between them, or both are one"
            span = turn.role.span
            yield from found(Code.REPEATED_ROLE, message, span, hint, labels=(label,))
    if spoken and spoken[0].role.text == "assistant":
        hint = "some models are trained on conversations that the user begins, and only those"
        message = "the conversation begins with an answer"
        yield from found(Code.ANSWER_FIRST, message, spoken[0].role.span, hint)
    if spoken and spoken[-1].role.text == "user":
        message = "the conversation ends with a question"
        hint = "the user's own question follows it, without an answer in between"
        yield from found(Code.QUESTION_LAST, message, spoken[-1].role.span, hint)


def _two_systems(subject: Subject) -> Iterator[Diagnostic]:
    systems = [node for node in subject.parts.of("system") if node.value.text]
    messages = [turn for turn in _turns(subject) if turn.role.text == "system"]
    if systems and messages:
        label = Label(systems[-1].word.span, "and this is the other")
        message = "the model gets two system texts"
        span = messages[0].role.span
        yield from found(Code.TWO_SYSTEM_TEXTS, message, span, labels=(label,))


def _repeated_messages(subject: Subject) -> Iterator[Diagnostic]:
    first: dict[str, Message] = {}
    for turn in _turns(subject):
        if turn.role.text != "user" or not turn.value.text:
            continue
        earlier = first.setdefault(turn.value.text, turn)
        if earlier is not turn:
            label = Label(earlier.span, "it stands here already")
            message = f"the same question twice: {short(turn.value.text)}"
            yield from found(Code.REPEATED_MESSAGE, message, turn.span, labels=(label,))


def _repeated_licenses(subject: Subject) -> Iterator[Diagnostic]:
    first: dict[str, Label] = {}
    for node in subject.parts.of("license"):
        if node.value.flags:
            continue
        label = Label(node.span, "it stands here already")
        earlier = first.setdefault(node.value.text, label)
        if earlier is not label:
            yield from found(
                Code.REPEATED_LICENSE,
                "the same LICENSE twice",
                node.span,
                "each one counts, so the model has the text twice",
                labels=(earlier,),
                fix=without(node),
            )


_FILE = re.compile(r"@?(?:\.{0,2}/)?[\w./-]*\.(?:txt|md|markdown|tmpl|j2|jinja2?|rst|gotmpl)")


def _path_as_text(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.parts.of("system", "template", "license", "message"):
        text = node.value.text
        if node.value.flags or len(text) > 300 or not _FILE.fullmatch(text):
            continue
        word = node.word.text.upper()
        path = text.removeprefix("@")
        where = f"{word} --file={path}"
        if isinstance(node, Message):
            where += f" {node.role.text}"
        message = f"the text of this {word} is the path itself"
        hint = f"{where} takes the text from the file"
        yield from found(Code.PATH_AS_TEXT, message, node.value.span, hint)


def _markers(subject: Subject) -> Iterator[Diagnostic]:
    for node in subject.parts.of("system"):
        match = _MARKERS.search(node.value.text)
        if match is None:
            continue
        at = node.value.span.text.find(match[0])
        start = node.value.span.start + max(at, 0)
        span = subject.source.span(start, start + len(match[0]))
        message = f"the template writes markers such as {match[0]} around this text"
        hint = "within the text it ends or begins a turn, or the model sees it spelled out"
        yield from found(Code.MARKERS_IN_SYSTEM, message, span, hint)


_SINCE = {"renderer": (0, 12, 0), "parser": (0, 12, 0), "requires": (0, 14, 0), "draft": (0, 23, 1)}


def _low_requirement(subject: Subject) -> Iterator[Diagnostic]:
    asked = subject.parts.of("requires")
    if not asked:
        return
    match = re.match(r"v?(\d{1,6})(?:\.(\d{1,6}))?(?:\.(\d{1,6}))?", asked[-1].value.cleaned)
    if match is None:
        return
    version = tuple(int(number or 0) for number in match.groups())
    used = [(_SINCE[word], node) for word in _SINCE for node in subject.parts.of(word)]
    since, node = max(used, key=lambda each: each[0])
    if version < since:
        label = Label(node.word.span, f"known since {'.'.join(map(str, since))}")
        message = f"{asked[-1].value.cleaned} does not know {node.word.text.upper()}"
        hint = f"write REQUIRES {'.'.join(map(str, since))}"
        yield from found(Code.LOW_REQUIREMENT, message, asked[-1].value.span, hint, labels=(label,))


RULES = (
    Rule(
        Code.EMPTY_TEXT,
        "A SYSTEM, TEMPLATE, RENDERER or PARSER is empty.",
        "An empty one is as if not given, so what the base model brings stays.",
        'FROM llama3.2:3b\nSYSTEM ""\n',
        "FROM llama3.2:3b\nUNSET SYSTEM\n",
        check=_empty,
    ),
    Rule(
        Code.EMPTY_MESSAGE,
        "A MESSAGE has no text.",
        "The model sees a turn in which somebody says nothing.",
        'FROM llama3.2:3b\nMESSAGE user hi\nMESSAGE assistant ""\n',
        "FROM llama3.2:3b\nMESSAGE user hi\nMESSAGE assistant hello\n",
        check=_messages,
    ),
    Rule(
        Code.REPEATED_ROLE,
        "Two turns in a row have the same role.",
        "Models are trained on turns that alternate, and many templates refuse others. Mostly an"
        " answer has been forgotten, or one text been split.",
        "FROM llama3.2:3b\nMESSAGE user hi\nMESSAGE user are you there?\nMESSAGE assistant yes\n",
        "FROM llama3.2:3b\nMESSAGE user hi\nMESSAGE assistant hello\n",
    ),
    Rule(
        Code.ANSWER_FIRST,
        "The first turn is the assistant's.",
        "A greeting is fine for most models; some templates insist that the user begins.",
        "FROM llama3.2:3b\nMESSAGE assistant hello\n",
        "FROM llama3.2:3b\nMESSAGE user hi\nMESSAGE assistant hello\n",
    ),
    Rule(
        Code.QUESTION_LAST,
        "The last turn is the user's.",
        "What the user really asks comes after it, so the model gets two questions in a row.",
        "FROM llama3.2:3b\nMESSAGE user hi\n",
        "FROM llama3.2:3b\nMESSAGE user hi\nMESSAGE assistant hello\n",
    ),
    Rule(
        Code.TWO_SYSTEM_TEXTS,
        "There is a SYSTEM and a MESSAGE system.",
        "The model gets both, and many templates have a place for one only.",
        "FROM llama3.2:3b\nSYSTEM You are a parrot.\nMESSAGE system Be short.\n",
        "FROM llama3.2:3b\nSYSTEM You are a parrot. Be short.\n",
        check=_two_systems,
    ),
    Rule(
        Code.REPEATED_MESSAGE,
        "The same question stands twice among the messages.",
        "Mostly it was copied and not changed.",
        "FROM llama3.2:3b\nMESSAGE user hi\nMESSAGE assistant hello\nMESSAGE user hi\n"
        "MESSAGE assistant hey\n",
        "FROM llama3.2:3b\nMESSAGE user hi\nMESSAGE assistant hello\n",
        check=_repeated_messages,
    ),
    Rule(
        Code.REPEATED_LICENSE,
        "The same LICENSE stands twice.",
        "Each one is a layer of its own, so the model has it twice.",
        "FROM llama3.2:3b\nLICENSE MIT\nLICENSE MIT\n",
        "FROM llama3.2:3b\nLICENSE MIT\n",
        Mending.OTHER_VALUE,
        _repeated_licenses,
    ),
    Rule(
        Code.PATH_AS_TEXT,
        "A text is the name of a file.",
        "SYSTEM, TEMPLATE, LICENSE and MESSAGE take a text. The model would read the path.",
        "FROM llama3.2:3b\nSYSTEM prompts/kid.md\n",
        "FROM llama3.2:3b\nSYSTEM --file=prompts/kid.md\n",
        check=_path_as_text,
        files={"prompts/kid.md": "You are a kid.\n"},
    ),
    Rule(
        Code.MARKERS_IN_SYSTEM,
        "A SYSTEM has markers of a chat format in it.",
        "The template writes them around the text. Within it they end the system turn early, or"
        " come out as letters.",
        "FROM llama3.2:3b\nSYSTEM <|im_start|>You are a parrot.\n",
        "FROM llama3.2:3b\nSYSTEM You are a parrot.\n",
        check=_markers,
    ),
    Rule(
        Code.LOW_REQUIREMENT,
        "REQUIRES names a version that does not know all instructions of the file.",
        "RENDERER and PARSER came with Ollama 0.12.0, REQUIRES with 0.14.0, DRAFT with 0.23.1;"
        " older ones refuse the file.",
        "FROM llama3.2:3b\nREQUIRES 0.9.0\n",
        "FROM llama3.2:3b\nREQUIRES 0.14.0\n",
        check=_low_requirement,
    ),
)
