"""``mbuild fmt``."""

import errno
import os
import sys
from collections import Counter
from collections.abc import Iterable
from io import BufferedReader
from typing import TYPE_CHECKING

import click

from mbuild.cli.modelfiles import modelfiles
from mbuild.cli.options import debug_option

if TYPE_CHECKING:
    from typing import BinaryIO

    from mbuild.compiler.diagnostic import Diagnostic

_LARGEST = 64 << 20  # bytes of a Modelfile


@click.command("fmt", short_help="Format Modelfiles")
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@click.option("--check", is_flag=True, help="Change nothing, name the files that would change.")
@click.option("--diff", is_flag=True, help="Change nothing, show what would change.")
@debug_option
@click.pass_context
def command(ctx: click.Context, paths: tuple[str, ...], *, check: bool, diff: bool) -> None:
    """Format Modelfiles in place: PATHS, those in a folder, or ./Modelfile.

    Only the layout changes: words in upper case, one blank between the parts of an instruction,
    at most one empty line, one kind of line end. Values and comments stay as they are. A file
    with mistakes is left alone. - formats standard input to standard output.

    With --check or --diff the exit status is 1 if a file would change.

    \b
    Examples:
      mbuild fmt
      mbuild fmt models/ --check
      mbuild fmt --diff kid.modelfile
      mbuild fmt - < Modelfile
    """
    if "-" in paths and len(paths) > 1:
        raise click.UsageError("- stands alone: standard input has no other files beside it", ctx)
    ending = Counter[str]()
    for path in modelfiles(paths):
        ending[_format(path, check=check, diff=diff)] += 1
    if paths != ("-",) or check or diff:
        click.echo(_summary(ending, tried=check or diff), err=True)
    if ending["refused"] or (ending["changed"] and (check or diff)):
        ctx.exit(1)


def _format(path: str, *, check: bool, diff: bool) -> str:
    """Do with one file what is asked for: it is ``changed``, the ``same``, or ``refused``."""
    # Imported here, as below: --help reads no file.
    from mbuild.compiler.format import reformat
    from mbuild.store.intake import NotAFile

    try:
        data = _read(path)
    except (OSError, NotAFile) as error:
        return _refuse(error)
    name = "<stdin>" if path == "-" else path
    text, findings = reformat(name, data)
    if text is None:
        _print(findings)
        return "refused"
    changed = text != data
    if diff and changed:
        _print_difference(name, data, text)
    if check and changed:
        click.echo(f"would format {name}")
    if check or diff:
        return "changed" if changed else "same"
    if path == "-":
        sys.stdout.buffer.write(text)
        return "same"
    return _replace(path, text) if changed else "same"


def _read(path: str) -> bytes:
    if path == "-":
        return _all(sys.stdin.buffer, "<stdin>")
    from mbuild.store.intake import opened

    with opened(path) as file:
        return _all(BufferedReader(file), path)


def _all(file: "BinaryIO", path: str) -> bytes:
    data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise OSError(errno.EFBIG, f"larger than {_LARGEST >> 20} MiB, so no Modelfile", path)
    return data


def _replace(path: str, data: bytes) -> str:
    """Make *data* the content of the file at *path*, at once, and say so."""
    try:
        _write(path, data)
    except OSError as error:
        return _refuse(error)
    click.echo(f"formatted {path}")
    return "changed"


def _write(path: str, data: bytes) -> None:
    from mbuild.store.durable import naming, sync_folder, temporary, write_all

    # The file that a link names is written, not the link.
    real = os.path.realpath(path)
    folder = os.path.dirname(real)
    # A rename does not ask whether the file may be written.
    if not os.access(real, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    with naming(path), temporary(folder) as (descriptor, beside):
        write_all(descriptor, data)
        os.fchmod(descriptor, os.stat(real).st_mode & 0o7777)
        os.fsync(descriptor)
        os.replace(beside, real)
    sync_folder(folder)


def _refuse(error: Exception) -> str:
    # It knows every exception of every part.
    from mbuild.cli.failure import explain

    click.echo(click.style("Error: ", fg="red", bold=True) + explain(error).message, err=True)
    return "refused"


def _print(findings: "Iterable[Diagnostic]") -> None:
    from mbuild.cli.findings import paint

    for finding in findings:
        click.echo(paint(finding), err=True)


def _print_difference(name: str, before: bytes, after: bytes) -> None:
    from mbuild.cli.filediff import painted_diff, plain_diff
    from mbuild.compiler.source import decode

    old, new = decode(name, before).text, decode(name, after).text
    show = painted_diff if sys.stdout.isatty() else plain_diff
    sys.stdout.flush()
    click.echo(show(name, old, new), nl=False)


def _summary(ending: Counter[str], *, tried: bool) -> str:
    """What became of all files, in a line.

    >>> _summary(Counter(changed=2, same=1), tried=False)
    '2 files formatted, 1 unchanged'
    """
    said = {
        "changed": "would be formatted" if tried else "formatted",
        "same": "unchanged",
        "refused": "left alone",
    }
    parts = [f"{ending[each]} {text}" for each, text in said.items() if ending[each]]
    if not parts:
        return "no Modelfile found"
    count, _, rest = parts[0].partition(" ")
    return ", ".join([f"{count} file{'' if count == '1' else 's'} {rest}", *parts[1:]])
