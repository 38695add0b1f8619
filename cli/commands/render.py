"""``mbuild render``."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from mbuild.cli.options import (
    ModelName,
    debug_option,
    renderer_option,
    store,
    store_option,
    think_level,
)
from mbuild.store.name import BadName, Name

if TYPE_CHECKING:
    from mbuild.cli.asking import Question
    from mbuild.runtime.model import Model
    from mbuild.runtime.prompt import Prompt
    from mbuild.runtime.renderers import Choice
    from mbuild.runtime.tokens import Token
    from mbuild.store.store import Store

_LEVELS = ("true", "false", "low", "medium", "high", "max")


@click.command("render", short_help="Show the exact prompt that a model gets")
@click.argument("model", type=ModelName())
@click.argument("prompt", nargs=-1)
@click.option(
    "--messages", metavar="FILE", help="A conversation: JSON, a list in the form of the API."
)
@click.option("--tools", metavar="FILE", help="What the model may call: JSON, as in the API.")
@click.option("--system", metavar="TEXT", help="In place of the model's SYSTEM.")
@click.option("--suffix", metavar="TEXT", help="What is to follow the answer.")
@click.option(
    "--think",
    type=click.Choice(_LEVELS),
    metavar="LEVEL",
    help="Think, or not: true, false, low, medium, high or max.",
)
@click.option("--tokens", is_flag=True, help="The tokens, one on a line: id, text, part.")
@click.option("--json", "as_json", is_flag=True, help="Text and pieces, with --tokens these too.")
@click.option(
    "--diff",
    "other",
    metavar="OTHER",
    help="What differs with OTHER: a model, a tag, or a Modelfile.",
)
@renderer_option
@store_option
@debug_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    model: str,
    prompt: tuple[str, ...],
    *,
    tokens: bool,
    as_json: bool,
    other: str | None,
    renderer: "Choice | None",
    **asked: Any,
) -> None:
    """Show the exact text that MODEL gets for PROMPT; answers nothing.

    On a terminal the colours tell where it comes from: template, system, examples, user. Into a
    pipe goes the text alone, byte for byte.

    \b
    Examples:
      mbuild render kid "why is the sky blue?"
      mbuild render kid --messages talk.json --tools tools.json
      mbuild render kid hi --tokens
      mbuild render kid hi --diff kid:v2
      mbuild render kid hi --diff ./Modelfile
    """
    _check_together(ctx, prompt, tokens=tokens, as_json=as_json, other=other, **asked)
    from mbuild.cli.rendering import format_difference, format_json, format_tokens

    models = store(ctx)
    question = _question(" ".join(prompt), **asked)
    name = models.resolve(Name.parse(model))
    opened = _open(models, name)
    made = _rendered(question, opened, renderer)
    if other is not None:
        with _other(ctx, models, name, other) as (label, against):
            there = _rendered(question, against, None)
        here = f"{name.short} ({renderer})" if renderer else name.short
        click.echo(format_difference((here, made.text), (label, there.text)), nl=False)
        return
    counted = _tokens(opened, made) if tokens else None
    if as_json:
        _write(format_json(name.short, made, counted))
    elif counted is not None:
        click.echo(format_tokens(counted), nl=False)
    else:
        _show(made)
    if tokens:
        _learn(models, name)


def _check_together(ctx: click.Context, prompt: tuple[str, ...], **given: Any) -> None:
    chosen = [flag for flag in ("tokens", "as_json") if given[flag]]
    if given["other"] is not None and chosen:
        raise click.UsageError("--diff goes with neither --tokens nor --json", ctx)
    if given["suffix"] and not prompt:
        raise click.UsageError("--suffix needs a PROMPT that it follows", ctx)
    if given["suffix"] and (given["messages"] or given["tools"]):
        raise click.UsageError("--suffix goes with neither --messages nor --tools", ctx)


def _question(
    text: str,
    *,
    messages: str | None,
    tools: str | None,
    system: str | None,
    suffix: str | None,
    think: str | None,
) -> "Question":
    from mbuild.cli.asking import Question, read_messages, read_tools

    return Question(
        text,
        messages=None if messages is None else read_messages(messages),
        tools=() if tools is None else read_tools(tools),
        system=system,
        suffix=suffix or "",
        think=None if think is None else think_level(think),
    )


def _open(models: "Store", name: Name) -> "Model":
    from mbuild.runtime.model import open_model

    return open_model(name.short, models.load(name), models.blobs)


def _rendered(question: "Question", model: "Model", renderer: "Choice | None") -> "Prompt":
    from mbuild.cli.asking import rendered
    from mbuild.runtime.jinja import Templates
    from mbuild.runtime.renderers import choose, thinks

    templates = Templates()
    try:
        chosen = choose(model, templates, renderer)
        if question.think and not thinks(model, chosen):
            click.echo(f'warning: model "{model.name}" does not support thinking', err=True)
        return rendered(question, model, chosen)
    finally:
        templates.close()


@contextmanager
def _other(
    ctx: click.Context, models: "Store", name: Name, text: str
) -> Iterator[tuple[str, "Model"]]:
    """The model that *text* names, seen from the model *name*, and what to call it."""
    found = _named(models, name, text)
    if found is not None:
        yield found.short, _open(models, found)
    elif os.path.isfile(text):
        with models.building():  # What is built gets no name, and a sweep would take it.
            yield text, _built(ctx, models, text)
    else:
        raise click.UsageError(f"--diff: {text!r} is no model, no tag of it, and no file", ctx)


def _named(models: "Store", name: Name, text: str) -> Name | None:
    """The model *text*, or the model *name* with the tag *text*, if it is in the store."""
    there = set(models.names())
    for candidate in (text, f"{name.model}:{text.removeprefix(':')}"):
        try:
            found = models.resolve(Name.parse(candidate))
        except BadName:
            continue
        if found in there:
            return found
    return None


def _built(ctx: click.Context, models: "Store", path: str) -> "Model":
    from mbuild.cli.findings import paint
    from mbuild.compiler.build import build
    from mbuild.compiler.create import Order, read
    from mbuild.runtime.model import open_model

    folder = os.path.dirname(os.path.abspath(path))
    with open(path, "rb") as file:
        order = Order(Name.parse("unnamed"), path, file.read(), folder)
    recipe, findings, _ = read(order)
    built = None
    if recipe is not None:
        built, more = build(recipe, folder, models, tell=lambda _: None)
        findings = (*findings, *more)
    for finding in findings:
        click.echo(paint(finding), err=True)
    if built is None:
        ctx.exit(1)
    return open_model(path, built.manifest, models.blobs)


def _tokens(model: "Model", prompt: "Prompt") -> "tuple[Token, ...]":
    from mbuild.runtime.engine import Load
    from mbuild.runtime.llama import Llama
    from mbuild.runtime.tokens import attribute

    engine = Llama(Load(model.weights, vocab_only=True))
    try:
        ids = engine.tokenize(prompt.text)
        data = engine.pieces(ids)
    finally:
        engine.close()
    return attribute(prompt, ids, data, bos=engine.loaded.vocabulary.bos)


def _learn(models: "Store", name: Name) -> None:
    """Record the vocabulary, which is at hand anyway: the next build checks against it."""
    from contextlib import suppress

    from mbuild.compiler.vocabulary import learn
    from mbuild.store.manifest import MediaType
    from mbuild.store.store import NewerStore

    weights = models.load(name).of_type(MediaType.MODEL)[-1]
    with suppress(NewerStore, OSError):  # A store that is only read is none the worse.
        learn(models, weights.digest)


def _show(prompt: "Prompt") -> None:
    if not sys.stdout.isatty():
        _write(prompt.text)
        return
    from mbuild.cli.rendering import painted

    click.echo(painted(prompt), nl=not prompt.text.endswith("\n"))


def _write(text: str) -> None:
    """Write *text* as it is, whatever the locale says."""
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
