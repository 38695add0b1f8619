"""The process that fills models' own chat templates: a stranger's programs, on a short leash.

``python -P -m mbuild.runtime.jinja_worker``, started by :mod:`mbuild.runtime.jinja` with an
empty environment. A frame in holds a template and its variables, the frame out its text or the
reason why there is none. What holds a template back:

- Jinja's immutable sandbox: no private attribute, no code, nothing that changes its input;
- limits of this process: memory, processor time of each rendering, no files, no processes;
- a limit on the text that comes out;
- the other side, which does not wait for long.

The environment is what ``transformers`` gives to chat templates, which are written for it.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import IO, Any

import jinja2

# Imported before memory and files are limited: Jinja does so itself at the first error.
import jinja2.debug
import jinja2.ext
from jinja2 import nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mbuild.runtime import wire

MEMORY = 1 << 30  # bytes of address space
OUTPUT = 16 << 20  # characters; more than any context holds
_LONGEST_REASON = 500  # characters
_SECONDS = 6  # of processor time; a little more than the other side waits

_Frame = dict[str, Any]


class Generation(jinja2.ext.Extension):
    """``{% generation %}``: what the model said, marked for training; here only its content."""

    tags = {"generation"}  # noqa: RUF012 - Jinja's own interface.

    def parse(self, parser: Parser) -> nodes.Node:
        """The content of the block, with a scope of its own."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class TooBig(Exception):
    """A template that wants more than it gets."""


def environment(now: datetime) -> ImmutableSandboxedEnvironment:
    """What templates are compiled and run in, at the moment *now*."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = _tojson
    made.globals["raise_exception"] = _raise_exception
    made.globals["strftime_now"] = now.strftime
    # Nothing that a chat template needs: a text generator of any size.
    del made.globals["lipsum"]
    return made


def render(template: str, values: dict[str, Any], now: datetime) -> str:
    """The text of *template*, filled with *values*.

    Raises:
        TooBig: the text, or something on the way to it, is too long.
        jinja2.TemplateError: the template is wrong, or refuses the values.
        Exception: whatever an expression of the template can raise.
    """
    bound = _compiled(template)
    bound.globals["strftime_now"] = now.strftime
    return _joined(bound.generate(values))


@lru_cache(maxsize=8)
def _compiled(template: str) -> jinja2.Template:
    return environment(datetime.min).from_string(template)


def _joined(parts: Iterable[str]) -> str:
    found: list[str] = []
    length = 0
    for part in parts:
        length += len(part)
        if length > OUTPUT:
            raise TooBig(f"its text has more than {OUTPUT} characters")
        found.append(part)
    return "".join(found)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Unlike Jinja's own, for a prompt and not for HTML: no character is escaped.
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: object) -> None:
    raise jinja2.TemplateError(str(message))


def answer(frame: _Frame) -> _Frame:
    """The answer to one *frame*: a text, or ``refused`` or ``big`` with the reason."""
    now = datetime.fromisoformat(frame["now"])
    try:
        return {"text": render(frame["template"], frame["variables"], now)}
    except jinja2.TemplateSyntaxError as error:
        return {"refused": _plain(f"line {error.lineno}: {error.message}")}
    except MemoryError:
        return {"big": "it wants too much memory"}
    except RecursionError:
        return {"big": "it nests too deeply"}
    except (OverflowError, TooBig) as error:
        return {"big": _plain(str(error))}
    except Exception as error:  # noqa: BLE001 - a stranger's program may raise anything.
        return {"refused": _plain(str(error)) or type(error).__name__}


def _plain(text: str) -> str:
    """*text*, which a stranger may have written, as one line that a terminal can show."""
    shown = (each if each.isprintable() else " " for each in text[:_LONGEST_REASON])
    return "".join(shown).strip()


def _limit_process() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    limits = [(resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)]
    # A process that may start none cannot leave one behind.
    limits.append((resource.RLIMIT_NPROC, 0))
    for kind, most in limits:
        _limit(kind, most)


def _limit(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    within = most if hard == resource.RLIM_INFINITY else min(most, hard)
    # macOS knows some limits by name only; the other side's clock remains.
    with suppress(ValueError, OSError):
        resource.setrlimit(kind, (within, within))


def _limit_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soon = int(used.ru_utime + used.ru_stime) + _SECONDS
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    within = soon if hard == resource.RLIM_INFINITY else min(soon, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (within, hard))


def serve(source: IO[bytes], sink: IO[bytes], limit_time: Callable[[], None]) -> None:
    """Say that we are ready, and answer each frame of *source*, until it ends."""
    sink.write(wire.pack({"ready": True}))
    sink.flush()
    while (frame := wire.read(source)) is not None:
        limit_time()
        sink.write(_packed(answer(frame)))
        sink.flush()


def _packed(frame: _Frame) -> bytes:
    try:
        return wire.pack(frame)
    except MemoryError:
        return wire.pack({"big": "it wants too much memory"})


def main() -> None:
    """Serve the process on the other end of stdin and stdout."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _limit_process()
    serve(sys.stdin.buffer, sink, _limit_time)


if __name__ == "__main__":
    main()
