"""How many tokens of the context are gone before a conversation begins.

What a model says every time is its template, its system text and its examples; the rest of
num_ctx is for the conversation. Where the renderer knows what came from where, its tokens are
counted by part; otherwise the conversation is rendered without the parts, too, and what they add is
theirs. The question itself is empty.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from mbuild.compiler.template.provenance import TEMPLATE
from mbuild.runtime import options
from mbuild.runtime.batch import context_size
from mbuild.runtime.engine import Engine
from mbuild.runtime.message import Message
from mbuild.runtime.model import Model
from mbuild.runtime.prompt import EXAMPLE, SYSTEM, Renderer, one_shot
from mbuild.runtime.tokens import Token, attribute


@dataclass(frozen=True, slots=True)
class Budget:
    """Where the context goes, in tokens."""

    template: int  # with what the vocabulary adds
    system: int
    examples: int
    num_ctx: int
    trained: int  # what the model was trained for; 0: it does not say

    @property
    def left(self) -> int:
        """What the conversation and the answer have; below 0 if the rest alone is too long."""
        return self.num_ctx - self.template - self.system - self.examples

    @property
    def is_tight(self) -> bool:
        """Whether less than a quarter of the context is left."""
        return 4 * self.left < self.num_ctx


def measure(model: Model, renderer: Renderer, engine: Engine) -> Budget:
    """The budget of *model*, whose vocabulary *engine* has loaded.

    Raises:
        BadOption: num_ctx is no number of tokens.
        TemplateRefused, TemplateTooBig: the template does not take the model's own texts.
    """
    asked = options.read({"num_ctx": model.options.get("num_ctx")}).load.num_ctx
    trained = max(0, model.header.number("context_length") or 0)
    count = partial(_tokens, renderer, engine)
    whole = count(one_shot(model.system, model.messages, ""))
    parts = Counter(token.part for token in whole)
    if TEMPLATE in parts or SYSTEM in parts or EXAMPLE in parts:
        system, examples = parts[SYSTEM], parts[EXAMPLE]
    else:
        told = len(count(one_shot(model.system, (), "")))
        # Not without one: a template may have a system text of its own for that.
        blank = len(count((Message("system", ""), Message("user", "")))) if model.system else told
        system, examples = max(0, told - blank), max(0, len(whole) - told)
    template = len(whole) - system - examples
    return Budget(template, system, examples, context_size(asked, trained), trained)


def _tokens(renderer: Renderer, engine: Engine, messages: Sequence[Message]) -> tuple[Token, ...]:
    prompt = renderer.render(messages)
    ids = engine.tokenize(prompt.text)
    data = engine.pieces(ids)
    return attribute(prompt, ids, data, bos=engine.loaded.vocabulary.bos)
