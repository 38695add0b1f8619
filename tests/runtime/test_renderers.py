"""Which renderer makes a model's prompts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gguf_files import tiny_llama
from shelf import Shelf

from mbuild.runtime.jinja import Templates
from mbuild.runtime.message import Message
from mbuild.runtime.model import Model, Unanswering
from mbuild.runtime.prompt import TemplateRefused
from mbuild.runtime.renderers import Choice, NoSuchRenderer, choose
from mbuild.store.config import Config
from mbuild.store.manifest import MediaType

HI = (Message("user", "hi"),)
JINJA = "jinja {{ messages[0].content }}"
GO = (MediaType.TEMPLATE, "go {{ .Prompt }}")


@pytest.fixture(scope="module")
def templates() -> Iterator[Templates]:
    made = Templates()
    yield made
    made.close()


def model(
    folder: Path,
    *more: tuple[MediaType, str],
    template: str | None = JINJA,
    metadata: dict[str, object] | None = None,
    **options: Any,
) -> Model:
    weights = tiny_llama(folder / "tiny.gguf", chat_template=template, metadata=metadata)
    return Shelf(folder / "blobs").model(weights, *more, **options)


@pytest.mark.parametrize(
    ("more", "jinja", "asked", "expected"),
    [
        pytest.param([GO], JINJA, None, "go hi", id="the TEMPLATE goes before the weights' own"),
        pytest.param([], JINJA, None, "jinja hi", id="no TEMPLATE"),
        pytest.param([GO], JINJA, "jinja", "jinja hi", id="the weights' own was asked for"),
        pytest.param([GO], None, "go", "go hi", id="the TEMPLATE was asked for"),
        pytest.param(
            [], None, None, "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", id="neither"
        ),
    ],
)
def test_exactly_one_is_chosen(
    tmp_path: Path,
    templates: Templates,
    more: list[tuple[MediaType, str]],
    jinja: str | None,
    asked: Choice | None,
    expected: str,
) -> None:
    renderer = choose(model(tmp_path, *more, template=jinja), templates, asked)
    assert renderer.render(HI).text == expected


@pytest.mark.parametrize(
    ("config", "more", "message", "instead"),
    [
        pytest.param(
            Config(renderer="qwen3"),
            [],
            "kid needs the renderer 'qwen3'",
            ("jinja",),
            id="renderer",
        ),
        pytest.param(
            Config(parser="harmony"), [GO], "the parser 'harmony'", ("go", "jinja"), id="parser"
        ),
    ],
)
def test_what_is_named_and_not_there_is_refused(
    tmp_path: Path,
    templates: Templates,
    config: Config,
    more: list[tuple[MediaType, str]],
    message: str,
    instead: tuple[Choice, ...],
) -> None:
    kid = model(tmp_path, *more, config=config)
    with pytest.raises(NoSuchRenderer, match=message) as caught:
        choose(kid, templates)
    assert caught.value.instead == instead
    for asked in instead:
        assert choose(kid, templates, asked).render(HI).text == f"{asked} hi"


@pytest.mark.parametrize(
    ("asked", "message"),
    [("go", "kid has no TEMPLATE"), ("jinja", "kid has no chat template in its weights")],
)
def test_what_was_asked_for_and_is_not_there_is_refused(
    tmp_path: Path, templates: Templates, asked: Choice, message: str
) -> None:
    with pytest.raises(Unanswering, match=message):
        choose(model(tmp_path, template=None), templates, asked)


def test_a_broken_template_is_said_with_its_line(tmp_path: Path, templates: Templates) -> None:
    broken = model(tmp_path, (MediaType.TEMPLATE, "a\n{{ if }}b"))
    with pytest.raises(TemplateRefused, match="line 2 of the TEMPLATE: missing value for if"):
        choose(broken, templates)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        pytest.param({}, "<s></s>", id="the header's ids"),
        pytest.param({"tokenizer.ggml.bos_token_id": 4}, "<|im_end|></s>", id="another BOS"),
        pytest.param({"tokenizer.ggml.bos_token_id": 0xFFFFFFFF}, "</s>", id="none"),
    ],
)
def test_bos_and_eos_come_from_the_header(
    tmp_path: Path, templates: Templates, metadata: dict[str, object], expected: str
) -> None:
    kid = model(tmp_path, template="{{ bos_token }}{{ eos_token }}", metadata=metadata)
    assert choose(kid, templates).render(HI).text == expected
