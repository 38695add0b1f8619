"""What several commands take: the store, and the name of a model in it."""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from mbuild.runtime.grammar import Format
    from mbuild.store.store import Store

_Command = TypeVar("_Command", bound=Callable[..., Any])

_KEY = "mbuild.models_dir"


def _remember(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta[_KEY] = value


def store_option(command: _Command) -> _Command:
    """``--models-dir``, before or after the name of a command."""
    return click.option(
        "--models-dir",
        metavar="DIR",
        callback=_remember,
        expose_value=False,
        is_eager=True,
        help="The store [default: MBUILD_MODELS, else ~/.mbuild/models].",
    )(command)


def debug_option(command: _Command) -> _Command:
    """``--debug``, which :mod:`mbuild.cli.app` looks for itself."""
    return click.option("--debug", is_flag=True, expose_value=False, hidden=True)(command)


def renderer_option(command: _Command) -> _Command:
    """``--renderer``, for a model whose own choice is not wanted, or not there."""
    return click.option(
        "--renderer",
        type=click.Choice(["go", "jinja"]),
        help="Use the model's TEMPLATE, or the chat template in its weights.",
    )(command)


def think_level(text: str) -> bool | str:
    """Whether, or how much, a model is to think: ``true``, ``false`` or a level."""
    return {"true": True, "false": False}.get(text, text)


def answer_form(text: str) -> "Format":
    """What answers look like, by ``--format``: ``json``, a schema, ``@`` and a file with one.

    Raises:
        BadSchema: the schema is none, or answers cannot be made to fit it.
        OSError: the file cannot be read.
    """
    if text in ("json", ""):
        return "json" if text else ""
    # Imported here: most answers are free.
    from mbuild.runtime.grammar import of_schema
    from mbuild.runtime.schema import LARGEST, BadSchema, decode

    if text.startswith("@"):
        with open(text[1:], encoding="utf-8-sig", errors="replace") as file:
            text = file.read(LARGEST + 1)
    schema = decode(text)
    if not isinstance(schema, dict):
        raise BadSchema("", "it is no JSON object")
    of_schema(schema)
    return schema


def store(ctx: click.Context) -> "Store":
    """The store that the command line, the environment or the home folder names."""
    # Imported here, as below: --help needs no store.
    from mbuild.store.store import Store

    given = ctx.meta.get(_KEY) or os.environ.get("MBUILD_MODELS", "").strip().strip("\"'")
    return Store(os.path.abspath(os.path.expanduser(given or "~/.mbuild/models")))


class ModelName(click.ParamType[str]):
    """The name of a model, completed by a shell from the store."""

    name = "model"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        names = sorted(name.short for name in store(ctx).names())
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def completed(args: list[str], alone: Mapping[str, str]) -> list[str]:
    """*args*, where each option of *alone* that stands without an equals sign gets that value.

    So it takes a value behind an equals sign only: in ``--no-cache kid`` kid is none.
    """
    end = args.index("--") if "--" in args else len(args)
    options = [f"{arg}={alone[arg]}" if arg in alone else arg for arg in args[:end]]
    return options + args[end:]
