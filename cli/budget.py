"""``--budget``: the tokens that a model spends before a conversation begins, as a table."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mbuild.runtime.budget import Budget

if TYPE_CHECKING:
    from mbuild.compiler.create import Order
    from mbuild.compiler.diagnostic import Diagnostic, Span
    from mbuild.runtime.model import Model

_CELLS = 40  # the width of the bar
_COLOURS = {"system": "magenta", "examples": "cyan", "left": "green"}


def require_engine() -> None:
    """Do nothing if tokens can be counted.

    Raises:
        EngineMissing: llama.cpp is not installed.
    """
    from importlib.util import find_spec

    from mbuild.runtime.engine import EngineMissing

    if find_spec("llama_cpp") is None:
        raise EngineMissing("llama-cpp-python")


def measured(model: "Model") -> Budget:
    """The budget of *model*; loads its vocabulary, and no weights.

    Raises:
        EngineMissing, CannotLoad: there is no engine, or it does not take the vocabulary.
        NoSuchRenderer: the model names a renderer that we have not got.
        as :func:`mbuild.runtime.budget.measure`.
    """
    from mbuild.runtime.budget import measure
    from mbuild.runtime.engine import Load
    from mbuild.runtime.jinja import Templates
    from mbuild.runtime.llama import Llama
    from mbuild.runtime.renderers import choose

    templates = Templates()
    try:
        renderer = choose(model, templates)
        engine = Llama(Load(model.weights, vocab_only=True))
        try:
            return measure(model, renderer, engine)
        finally:
            engine.close()
    finally:
        templates.close()


def format_budget(budget: Budget, *, bar: bool = False) -> str:
    """The budget as a table; with *bar*, for a terminal, a picture of it above."""
    rows = {
        "template": budget.template,
        "system": budget.system,
        "examples": budget.examples,
        "left": budget.left,
    }
    width = max(len("TOKENS"), *(len(str(tokens)) for tokens in (*rows.values(), budget.num_ctx)))
    lines = [f"{'PART':<8}    {'TOKENS':>{width}}    SHARE"]
    for name, tokens in rows.items():
        line = f"{name:<8}    {tokens:>{width}}    {_share(tokens, budget.num_ctx):>5}"
        lines.append(_painted(line, name, budget))
    lines.append(f"{'num_ctx':<8}    {budget.num_ctx:>{width}}{_about_context(budget)}")
    drawn = ["".join(_bar(rows, budget)), ""] if bar else []
    return "\n".join([*drawn, *lines]) + "\n"


def _share(tokens: int, whole: int) -> str:
    share = 100 * tokens / whole
    return "<1%" if 0 < share < 1 else f"{share:.0f}%"


def _painted(text: str, name: str, budget: Budget) -> str:
    """*text* in the colour of the part *name*; the template has that of the terminal."""
    if name not in _COLOURS:
        return text
    tight = name == "left" and budget.is_tight
    return click.style(text, fg="yellow" if tight else _COLOURS[name])


def _about_context(budget: Budget) -> str:
    return f"    of {budget.trained} that the model was trained for" if budget.trained else ""


def _bar(rows: dict[str, int], budget: Budget) -> Iterator[str]:
    """A stretch of the bar for each part; even the smallest part is seen."""
    free = _CELLS
    for name, tokens in rows.items():
        cells = max(0, round(_CELLS * tokens / budget.num_ctx), 1 if tokens > 0 else 0)
        cells = free if name == "left" else min(cells, free)
        free -= cells
        if cells:
            yield _painted(("░" if name == "left" else "█") * cells, name, budget)


def tight(budget: Budget, order: "Order") -> "tuple[Diagnostic, ...]":
    """The finding about the Modelfile of *order*, if it leaves too little of the context."""
    if not budget.is_tight:
        return ()
    from mbuild.compiler.diagnostic import Code, Diagnostic

    left = f"only {budget.left}" if budget.left > 0 else "none"
    message = f"{left} of {budget.num_ctx} tokens are left for the conversation"
    raise_it = "" if budget.num_ctx == budget.trained else ", or raise num_ctx"
    hint = (
        f"template {budget.template}, system {budget.system}, examples {budget.examples} tokens:"
        f" shorten them{raise_it}"
    )
    return (Diagnostic(Code.TIGHT_CONTEXT, message, _blamed(budget, order), hint),)


def _blamed(budget: Budget, order: "Order") -> "Span":
    """The value that the finding points at: num_ctx, or else the longest text."""
    from mbuild.compiler.create import read

    recipe, _, _ = read(order)
    assert recipe is not None, "it has just been built"
    places = recipe.places.get("num_ctx")
    if places:
        return places[-1]
    system = recipe.appended[-1] if recipe.appended else recipe.system
    longest = sorted(((budget.system, system), (budget.template, recipe.template)), key=_by)
    texts = [located for _, located in longest if located is not None]
    while not texts and recipe.base is not None:
        recipe = recipe.base
    return (texts or list(recipe.sources))[-1].span


def _by(part: tuple[int, object]) -> int:
    return part[0]
