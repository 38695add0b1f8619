"""Where the context goes, counted with an engine whose tokens are characters."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from gguf_files import tiny_llama
from parrots import LINES

from mbuild.compiler import gguf
from mbuild.runtime.budget import Budget, measure
from mbuild.runtime.engine import Parrot
from mbuild.runtime.go_template import GoTemplate
from mbuild.runtime.message import Message
from mbuild.runtime.model import Model
from mbuild.runtime.options import BadOption
from mbuild.runtime.prompt import Prompt, Renderer
from mbuild.store.config import Config

EXAMPLES = (Message("user", "hi"), Message("assistant", "hello"))


class Lines:
    """A template that does not know what came from where, and has a *default* system text."""

    thinking_tags = None

    def __init__(self, default: str = "") -> None:
        self._default = default

    def render(
        self, messages: Sequence[Message], tools: object = (), think: object = None
    ) -> Prompt:
        own = self._default if messages[0].role != "system" else ""
        lines = [f"{each.role}:{each.content}\n" for each in messages]
        return Prompt((own + "".join(lines),))

    def warm(self) -> None:
        """Nothing."""

    def fill_in(self, before: str, behind: str, /) -> Prompt:
        raise NotImplementedError


@pytest.fixture
def header(tmp_path: Path) -> gguf.Header:
    return gguf.read(tiny_llama(tmp_path / "m.gguf", chat_template=LINES, context_length=8192))


def model(header: gguf.Header, *, system: str = "Be kind.", **options: float) -> Model:
    return Model("kid", Config(), "m.gguf", (), (), None, system, EXAMPLES, options, (), header)


TEMPLATE = "{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}"


@pytest.mark.parametrize(
    ("renderer", "system", "expected"),
    [
        # <system> <user> <assistant> <user>, as the template writes them.
        pytest.param(GoTemplate(TEMPLATE), "Be kind.", (8 + 6 + 11 + 6, 8, 7), id="by origin"),
        pytest.param(GoTemplate(TEMPLATE), "", (6 + 11 + 6, 0, 7), id="no system"),
        pytest.param(GoTemplate("{{ .Prompt }}!"), "Be kind.", (2, 0, 2 + 5), id="system ignored"),
        # system:⏎ user:⏎, and what each adds.
        pytest.param(Lines(), "Be kind.", (8 + 6, 8, 8 + 16), id="by difference"),
        pytest.param(
            Lines("Be good.\n" * 9), "Be kind.", (8 + 6, 8, 8 + 16), id="default replaced"
        ),
    ],
)
def test_tokens_are_told_apart(
    header: gguf.Header, renderer: Renderer, system: str, expected: tuple[int, int, int]
) -> None:
    budget = measure(model(header, system=system), renderer, Parrot())
    assert (budget.template, budget.system, budget.examples) == expected
    assert budget.left == 4096 - sum(expected)


@pytest.mark.parametrize(
    ("options", "num_ctx"),
    [
        pytest.param({}, 4096, id="automatic"),
        pytest.param({"num_ctx": 2048.0}, 2048, id="asked for"),
        pytest.param({"num_ctx": 100_000.0}, 8192, id="no more than trained"),
    ],
)
def test_the_context_is_that_of_a_run(
    header: gguf.Header, options: dict[str, float], num_ctx: int
) -> None:
    budget = measure(model(header, **options), GoTemplate(TEMPLATE), Parrot())
    assert (budget.num_ctx, budget.trained) == (num_ctx, 8192)


def test_a_number_that_is_none_is_refused(header: gguf.Header) -> None:
    with pytest.raises(BadOption, match="num_ctx"):
        measure(model(header, num_ctx=-1), GoTemplate(TEMPLATE), Parrot())


@pytest.mark.parametrize(
    ("used", "tight"),
    [
        pytest.param(0, False, id="nothing used"),
        pytest.param(750, False, id="a quarter left"),
        pytest.param(751, True, id="less than a quarter"),
        pytest.param(2000, True, id="more than there is"),
    ],
)
def test_less_than_a_quarter_is_tight(used: int, *, tight: bool) -> None:
    budget = Budget(0, used, 0, num_ctx=1000, trained=0)
    assert budget.is_tight is tight
    assert budget.left == 1000 - used
