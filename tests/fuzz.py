"""Fuzzing of everything that reads a Modelfile: ``python tests/fuzz.py SECONDS [atheris]``.

Bytes, or made-up files, go through both dialects, the checks, lint, its mending and the formatter,
and every finding is rendered. What must hold: nothing raises, every span lies in its text, what
is formatted is formatted already and means the same. With `atheris` (``pip install atheris``) the
coverage of the code leads the way; without it hypothesis makes files up. The first input that
breaks something is printed, and the exit status is 1.
"""

import sys
import time
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from modelfile_texts import files, nasty

from mbuild.compiler.check import Given, load
from mbuild.compiler.diagnostic import Diagnostic, render
from mbuild.compiler.expand import Text, Unread
from mbuild.compiler.format import reformat
from mbuild.compiler.lint import lint, mend
from mbuild.compiler.recipe import Recipe
from mbuild.compiler.rules import Base

_FILES = {
    "a": b"SYSTEM --file=b\nINCLUDE c\nARG A=1\n",
    "b": b"text ${A}\r\n",
    "c": b"PARAMETER stop ${A}\nINCLUDE a\n",
    "a b": b"\xff\xfe{\0",
    "d": b"caf\xe9 {{ .Prompt",
}


class Nowhere:
    """A world with a few files and no models."""

    def is_there(self, path: str) -> bool:
        return path in _FILES

    def base(self, _source: str) -> Base | None:
        return None

    def review(self, _recipe: Recipe) -> tuple[Diagnostic, ...]:
        return ()

    def read(self, path: str, folder: str | None) -> Text | Unread:
        data = _FILES.get(path)
        if data is None:
            return Unread(outside=path.startswith("/"), reason=f"no file {path}")
        return Text(path, f"/{path}", folder or "/", data)


def examine(data: bytes) -> None:
    """Put *data* through everything that reads a Modelfile."""
    world = Nowhere()
    given = Given(world, {"A": "x"} if b"ARG A" in data else {})
    _recipe, findings = load("Modelfile", data, given=given)
    _show(findings)
    _recipe, findings = load("Modelfile", data, dialect="ollama")
    _show(findings)
    _show(lint("Modelfile", data, world))
    mended = mend("Modelfile", data, world)
    again = mend("Modelfile", mended.data, world)
    assert again.data == mended.data, "what is mended is mended"
    formatted, findings = reformat("Modelfile", data)
    _show(findings)
    if formatted is not None:
        assert reformat("Modelfile", formatted)[0] == formatted, "what is formatted is formatted"


def _show(findings: tuple[Diagnostic, ...]) -> None:
    for finding in findings:
        spans = [finding.span, *(label.span for label in finding.labels)]
        for span in spans:
            assert 0 <= span.start <= span.end <= len(span.source.text), finding
    for finding in findings[:20]:
        render(finding, width=60)


def _with_hypothesis(seconds: float) -> int:
    """How many made-up files were examined."""
    count = 0
    end = time.monotonic() + seconds
    texts = st.one_of(nasty, files, st.text()).map(str.encode)

    @settings(
        max_examples=2000,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(texts, st.binary()))
    def step(data: bytes) -> None:
        nonlocal count
        count += 1
        examine(data)

    while time.monotonic() < end:
        step()
    return count


def _with_atheris(seconds: float) -> None:
    import atheris  # type: ignore[import-not-found, unused-ignore] # Not a dependency.

    atheris.instrument_all()
    words = "FROM SYSTEM TEMPLATE PARAMETER MESSAGE INCLUDE ARG UNSET --file= --append <<END END"
    seeds: Callable[[bytes], None] = examine
    arguments = [sys.argv[0], f"-max_total_time={int(seconds)}", "-max_len=600"]
    atheris.Setup([*arguments, *_dictionary(words.split())], seeds)
    atheris.Fuzz()


def _dictionary(words: list[str]) -> list[str]:
    """The option that tells libFuzzer which words the language has."""
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile("w", suffix=".dict", delete=False) as file:
        file.writelines(f'"{word} "\n' for word in [*words, '\\"\\"\\"', "${A}", "\\x0a"])
    return [f"-dict={file.name}"]


if __name__ == "__main__":
    if sys.argv[2:] == ["atheris"]:
        _with_atheris(float(sys.argv[1]))
    else:
        count = _with_hypothesis(float(sys.argv[1]))
        sys.stdout.write(f"{count} files examined, nothing broke\n")
