"""Which renderer makes a model's prompts: exactly one, and never another in silence.

Source: the runtime specification, section 1. A built-in renderer or parser that the model names
goes first, and we have none; then its TEMPLATE; then the chat template in its weights.
"""

from collections.abc import Callable
from datetime import date
from typing import Literal

from mbuild.compiler import gguf
from mbuild.runtime.jinja import ChatTemplate, Templates
from mbuild.runtime.model import Model, Unanswering
from mbuild.runtime.prompt import CHATML, Renderer

Choice = Literal["go", "jinja"]
"""A renderer that was asked for: the model's TEMPLATE, or the chat template in its weights."""

_TOKENS = "tokenizer.ggml.tokens"
# The ids of BOS and EOS where the header does not say them: llama.cpp's, by kind of tokenizer.
_DEFAULTS = {"llama": (1, 2), "gpt2": (11, 11)}


class NoSuchRenderer(Exception):
    """A model that names a built-in renderer or parser which we do not have.

    *instead* are the renderers that could be asked for.
    """

    def __init__(self, name: str, kind: str, wanted: str, instead: tuple[Choice, ...] = ()) -> None:
        super().__init__(f"{name} needs the {kind} {wanted!r}, which mbuild does not have")
        self.name = name
        self.kind = kind
        self.wanted = wanted
        self.instead = instead


def choose(
    model: Model,
    templates: Templates,
    asked: Choice | None = None,
    *,
    today: Callable[[], date] = date.today,
) -> Renderer:
    """The renderer of *model*, or the one that was *asked* for.

    Raises:
        NoSuchRenderer: the model names a renderer or a parser, and no other was asked for.
        Unanswering: the model has not got what was asked for.
        TemplateRefused: its TEMPLATE is broken.
    """
    if asked is None:
        _refuse_named(model)
    if asked == "go" and model.template is None:
        raise Unanswering(model.name, "has no TEMPLATE")
    if asked == "jinja" and model.chat_template is None:
        raise Unanswering(model.name, "has no chat template in its weights")
    if model.template is not None and asked != "jinja":
        # Imported here: many models have no TEMPLATE, and the language takes some time.
        from mbuild.runtime.go_template import GoTemplate

        return GoTemplate(model.template, today=today)
    text = model.chat_template or CHATML
    bos, eos = _ends(model, text)
    return ChatTemplate(templates, text, bos=bos, eos=eos)


def thinks(model: Model, renderer: Renderer) -> bool:
    """Whether *model*, whose prompts *renderer* makes, can be asked to think."""
    return renderer.thinking_tags is not None or "thinking" in model.config.capabilities


def _refuse_named(model: Model) -> None:
    have: dict[Choice, str | None] = {"go": model.template, "jinja": model.chat_template}
    instead = tuple(choice for choice, text in have.items() if text is not None)
    for kind, wanted in (("renderer", model.config.renderer), ("parser", model.config.parser)):
        if wanted:
            raise NoSuchRenderer(model.name, kind, wanted, instead)


def _ends(model: Model, template: str) -> tuple[str, str]:
    """The texts of BOS and EOS, as the header of the weights has them."""
    if "bos_token" not in template and "eos_token" not in template:
        return "", ""  # A large vocabulary takes a tenth of a second.
    header = model.header
    first, last = _DEFAULTS.get(header.text("tokenizer.ggml.model") or "", (-1, -1))
    bos = _or(header.number("tokenizer.ggml.bos_token_id"), first)
    eos = _or(header.number("tokenizer.ggml.eos_token_id"), last)
    found = gguf.texts(model.weights, _TOKENS, (bos, eos))
    return found.get(bos, ""), found.get(eos, "")


def _or(number: int | None, default: int) -> int:
    return default if number is None else number
