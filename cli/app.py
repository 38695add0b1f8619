"""The command ``mbuild``: which commands there are, and how one ends.

A command's module is imported when it is called and not before, so that ``--help`` and the
quick commands cost little more than the interpreter and click.
"""

import gc
import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from mbuild.cli.options import store_option

_COMMANDS = {
    "create": ("create", "Build a model from a Modelfile"),
    "build": ("build", "Build the models of a project"),
    "run": ("run", "Chat with a model, or ask it one thing"),
    "serve": ("serve", "Serve models to clients of Ollama"),
    "ps": ("ps", "List the models that a server has loaded"),
    "stop": ("stop", "Have a server unload a model"),
    "render": ("render", "Show the exact prompt that a model gets"),
    "lint": ("lint", "Look for mistakes in Modelfiles"),
    "fmt": ("fmt", "Format Modelfiles"),
    "show": ("show", "Tell what a model is made of"),
    "export": ("export", "Give a model back as a plain Modelfile"),
    "graph": ("graph", "Show the steps that build a model"),
    "explain": ("explain", "Tell why each step of a build was done"),
    "list": ("list", "List the models in the store"),
    "history": ("history", "List the builds of a model, or show one's sources"),
    "diff": ("diff", "Tell how two models, or two builds, differ"),
    "rollback": ("rollback", "Bring back an earlier build of a model"),
    "verify": ("verify", "Check a model's files, or build it again to prove it"),
    "cp": ("cp", "Give a model a second name"),
    "rm": ("rm", "Remove models"),
    "df": ("df", "Show what takes room in the store"),
    "prune": ("prune", "Remove what no model needs"),
    "fsck": ("fsck", "Look for damage in the store, and mend it"),
}
_ALIASES = {"ls": "list"}

_EPILOG = """\b
Examples:
  mbuild create kid -f Modelfile          build a model and name it kid
  mbuild run kid "why is the sky blue?"   ask it one thing
  mbuild run kid                          chat with it
  mbuild render kid "hi"                  see the exact prompt that it gets

\b
The store is --models-dir, else MBUILD_MODELS, else ~/.mbuild/models.
Model names complete in a shell after
  eval "$(_MBUILD_COMPLETE=bash_source mbuild)"     (or zsh_source, fish_source)
"""


class _Commands(click.Group):
    """A group whose commands are named here and imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = _COMMANDS.get(_ALIASES.get(cmd_name, cmd_name))
        if entry is None:
            return None
        if entry[0] in ("run", "render", "serve"):
            gc.enable()  # A chat lives long, and a template may make a lot.
        command = import_module(f"mbuild.cli.commands.{entry[0]}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in _COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if not ctx.resilient_parsing and self.get_command(ctx, args[0]) is None:
            _refuse_command(ctx, args[0])
        return super().resolve_command(ctx, args)


def _refuse_command(ctx: click.Context, name: str) -> NoReturn:
    from difflib import get_close_matches

    message = f'unknown command "{name}"'
    near = get_close_matches(name, [*_COMMANDS, *_ALIASES], n=1)
    if near:
        message += f"; did you mean {near[0]}?"
    raise click.UsageError(message, ctx)


@click.command(
    cls=_Commands,
    epilog=_EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(
    None, "-v", "--version", package_name="mbuild-modelfile", message="mbuild %(version)s"
)
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
@store_option
@click.pass_context
def cli(ctx: click.Context, /, **_: Any) -> None:
    """Build local language models from Modelfiles, and try them."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """Run the command line and leave with its status.

    0 when it worked, 2 for a command that was typed wrongly, 130 after Ctrl-C, 1 for all else.
    """
    # A quick command lives too short to leave garbage worth looking for.
    gc.disable()
    debug = "--debug" in sys.argv[1:]
    try:
        status = cli(prog_name="mbuild", standalone_mode=False)
    except click.exceptions.Exit as exit_:
        status = exit_.exit_code
    except click.UsageError as error:
        error.show()
        status = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nInterrupted.", err=True)
        status = 130
    except BrokenPipeError:
        status = _close_pipes()
    except Exception as error:
        if debug:
            raise
        status = _explain(error)
    _leave(status if isinstance(status, int) else 0)


def _leave(status: int) -> NoReturn:
    """End the process. Taking the interpreter down in order takes as long as half a command."""
    if "mbuild.runtime.engine" in sys.modules:
        sys.exit(status)  # There may be children and threads, whose owners tidy up.
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        status = _close_pipes()
    os._exit(status)


def _explain(error: Exception) -> int:
    # Imported here: it knows every exception of every part.
    from mbuild.cli.failure import explain

    failure = explain(error)
    color = False if os.environ.get("NO_COLOR") else None
    label = click.style("Error: ", fg="red", bold=True)
    click.echo(label + failure.message, err=True, color=color)
    for hint in failure.hints:
        click.echo(click.style("  hint: ", fg="cyan") + hint, err=True, color=color)
    return 1


def _close_pipes() -> int:
    """Leave quietly when nobody reads our output any more."""
    # The interpreter flushes stdout on its way out, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
