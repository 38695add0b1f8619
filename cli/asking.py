"""What ``render`` is asked to render, and the files that say so."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mbuild.compiler.template import wire
from mbuild.runtime.message import Message, from_json
from mbuild.runtime.model import Model
from mbuild.runtime.prompt import Prompt, Renderer, Think, conversation, one_shot

_DEEPEST = 100  # levels of lists and objects


class BadFile(Exception):
    """A file of messages or tools that is not what it should be; *reason* says where."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is to be asked."""

    text: str
    messages: tuple[Message, ...] | None = None  # None: one question, by itself
    tools: tuple[Mapping[str, Any], ...] = ()
    system: str | None = None  # None: the model's own
    suffix: str = ""
    think: Think = None


def rendered(question: Question, model: Model, renderer: Renderer) -> Prompt:
    """The prompt that *question* becomes for *model*.

    Raises:
        TemplateRefused, TemplateTooBig, NoPlaceFor: the template does not take it.
        EngineMissing: the template is Jinja, which is not installed.
    """
    if question.suffix:
        return renderer.fill_in(question.text, question.suffix)
    system = model.system if question.system is None else question.system
    if question.messages is None:
        turns = one_shot(system, model.messages, question.text)
    else:
        last = (Message("user", question.text),) if question.text else ()
        turns = conversation(system, model.messages, (*question.messages, *last))
    return renderer.render(turns, question.tools, question.think)


def read_messages(path: str) -> tuple[Message, ...]:
    """The messages of a JSON file, a list in the form of the API.

    Raises:
        BadFile: it is no such list.
        OSError: it cannot be read.
    """
    value = _read(path)
    try:
        wire.messages(value)
        for at, message in enumerate(value):
            if not message.get("role"):
                raise wire.BadMessage(f"messages[{at}].role", "missing")
    except wire.BadMessage as bad:
        raise BadFile(path, str(bad)) from None
    except OverflowError:
        raise BadFile(path, "a number is too large") from None
    return tuple(map(from_json, value))


def read_tools(path: str) -> tuple[Mapping[str, Any], ...]:
    """The tools of a JSON file; raises as `read_messages`."""
    value = _read(path)
    try:
        wire.tools([] if value is None else value)
    except wire.BadMessage as bad:
        raise BadFile(path, str(bad)) from None
    except OverflowError:
        raise BadFile(path, "a number is too large") from None
    return tuple(value or ())


def _read(path: str) -> Any:
    with open(path, "rb") as file:
        data = file.read()
    try:
        value = json.loads(data)
    except json.JSONDecodeError as bad:
        raise BadFile(path, f"line {bad.lineno}, column {bad.colno}: {bad.msg.lower()}") from None
    except ValueError as bad:
        raise BadFile(path, str(bad)) from None
    except RecursionError:
        raise BadFile(path, "it nests too deeply") from None
    if _depth(value) > _DEEPEST:
        raise BadFile(path, f"it nests more than {_DEEPEST} levels deep")
    return value


def _depth(value: Any) -> int:
    """How many lists and objects *value* has inside one another."""
    depth = 0
    level = [value]
    while level := [each for each in level if isinstance(each, list | dict)]:
        depth += 1
        level = [
            inner for each in level for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return depth
