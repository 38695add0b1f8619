"""What a build says of a model that can be built, and what it leaves where it may not be."""

import time
from pathlib import Path

import pytest
from chat_templates import SPECIAL, STYLES
from gguf_files import tiny_llama

from mbuild.compiler.create import Order, Review, create
from mbuild.compiler.diagnostic import Code, Diagnostic, Source
from mbuild.compiler.dialect import Dialect
from mbuild.store.name import Name
from mbuild.store.store import Store

NAME = Name.parse("kid")


class Workplace:
    """A folder with weights, and a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # A file is only remembered some time after it was written.
        self.store = Store(folder / "store", clock=lambda: time.time_ns() + 10**10)

    def build(
        self,
        text: str,
        *,
        dialect: Dialect = "mbuild",
        strict: bool = False,
        learn: bool = False,
        name: str = "kid",
        review: Review | None = None,
    ) -> tuple[bool, tuple[Diagnostic, ...]]:
        """Whether there is a model, and what was said."""
        order = Order(
            Name.parse(name),
            "Modelfile",
            text.encode(),
            str(self.folder),
            dialect,
            strict=strict,
            learn=learn,
        )
        manifest, findings = create(order, self.store, lambda _: None, review=review)
        return manifest is not None, findings

    def codes(self, text: str, *, learn: bool = False, name: str = "kid") -> list[Code]:
        built, findings = self.build(text, learn=learn, name=name)
        assert built
        return [each.code for each in findings]

    def held(self) -> set[str]:
        """All models and blobs."""
        return {
            str(path.relative_to(self.folder))
            for room in ("blobs", "manifests")
            for path in (self.folder / "store" / room).rglob("*")
            if path.is_file()
        }


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    tiny_llama(tmp_path / "m.gguf")
    return Workplace(tmp_path)


BROKEN = "FROM ./m.gguf\nTEMPLATE {{ .Prompt }}{{ end }}\n"
DOUBTFUL = "FROM ./m.gguf\nSYSTEM hi\nTEMPLATE {{ .Prompt }}\n"
UNTRAINED = "FROM ./m.gguf\nPARAMETER num_ctx 512\n"


@pytest.mark.parametrize("dialect", ["mbuild", "ollama"])
def test_a_broken_template_is_an_error_and_leaves_nothing(
    work: Workplace, dialect: Dialect
) -> None:
    built, findings = work.build(BROKEN, dialect=dialect)
    assert not built
    assert [(each.code, each.span.line, each.span.column) for each in findings] == [
        (Code.TEMPLATE_ERROR, 2, 26)
    ]
    assert work.held() == set()


def test_every_error_is_told_at_once(work: Workplace) -> None:
    built, findings = work.build("TEMPLATE {{ x }}\nFROM ./none.gguf\n")
    assert not built
    assert [each.code for each in findings] == [Code.TEMPLATE_ERROR, Code.BAD_SOURCE]


def test_the_reference_tells_one_error_and_no_warning(work: Workplace) -> None:
    _, findings = work.build("TEMPLATE {{ x }}\nFROM ./none.gguf\n", dialect="ollama")
    assert [each.code for each in findings] == [Code.BAD_SOURCE]
    assert work.build(DOUBTFUL, dialect="ollama") == (True, ())


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        pytest.param("SYSTEM hi\nTEMPLATE {{ .Prompt }}", [Code.SYSTEM_IGNORED], id="no system"),
        pytest.param("TEMPLATE {{ .Prompt }}", [], id="no SYSTEM, no place"),
        pytest.param("TEMPLATE {{ .System }}", [Code.NO_USER_MESSAGE], id="no user"),
        pytest.param("TEMPLATE {{ .Promt }}{{ .Prompt }}", [Code.UNKNOWN_VARIABLE], id="misspelt"),
        pytest.param("PARAMETER num_ctx 257", [Code.UNTRAINED_CONTEXT], id="beyond training"),
        pytest.param("PARAMETER num_ctx 256", [], id="all of the training"),
        pytest.param("PARAMETER stop a\nPARAMETER stop ab", [Code.IDLE_STOP], id="idle stop"),
        pytest.param("PARAMETER stop <|eot_id|>\nTEMPLATE <s>{{ .Prompt }}", [], id="vocabulary"),
    ],
)
def test_warnings_of_a_plain_build(work: Workplace, text: str, codes: list[Code]) -> None:
    assert work.codes(f"FROM ./m.gguf\n{text}\n") == codes


def test_warnings_are_told_again_by_an_unchanged_build(work: Workplace) -> None:
    first = work.build(DOUBTFUL)[1]
    again = work.build(DOUBTFUL)[1]
    assert [(each.code, each.message, each.hint) for each in again] == [
        (each.code, each.message, each.hint) for each in first
    ]
    assert [each.span.text for each in again] == ["hi"]


def test_a_template_and_a_system_text_meet_across_models(work: Workplace) -> None:
    assert work.codes("FROM ./m.gguf\nTEMPLATE {{ .Prompt }}\n", name="base") == []
    assert work.codes("FROM base\nSYSTEM hi\n") == [Code.SYSTEM_IGNORED]
    assert work.codes("FROM ./m.gguf\nSYSTEM hi\n", name="base") == []
    assert work.codes("FROM base\nTEMPLATE {{ .Prompt }}\n") == [Code.SYSTEM_IGNORED]
    assert work.codes("FROM base\nTEMPLATE {{ .System }}{{ .Prompt }}\n") == []


VOCABULARY = "FROM ./m.gguf\nTEMPLATE <s>{{ .Prompt }}\nPARAMETER stop <|eot_id|>\n"


def test_the_vocabulary_is_looked_at_when_it_is_asked_for(work: Workplace) -> None:
    assert work.codes(VOCABULARY, learn=True) == [Code.DOUBLE_BOS, Code.STOP_IS_NO_TOKEN]


def test_checks_that_were_skipped_are_made_once_the_vocabulary_is_known(work: Workplace) -> None:
    assert work.codes(VOCABULARY) == []
    assert work.codes(VOCABULARY, learn=True) == [Code.DOUBLE_BOS, Code.STOP_IS_NO_TOKEN]
    assert work.codes(VOCABULARY, name="other") == [Code.DOUBLE_BOS, Code.STOP_IS_NO_TOKEN]
    assert work.codes("FROM ./m.gguf\nPARAMETER stop <|im_end>\n") == [Code.STOP_IS_NO_TOKEN]


def test_a_vocabulary_that_became_known_elsewhere_counts_for_an_unchanged_build(
    work: Workplace,
) -> None:
    assert work.codes(VOCABULARY) == []
    work.build("FROM ./m.gguf\nPARAMETER stop x\n", learn=True, name="other")
    assert work.codes(VOCABULARY) == [Code.DOUBLE_BOS, Code.STOP_IS_NO_TOKEN]


@pytest.mark.parametrize("style", STYLES)
def test_the_usual_models_are_built_without_a_word(work: Workplace, style: str) -> None:
    template, stops = STYLES[style]
    bos, *others = SPECIAL[style]
    tiny_llama(
        work.folder / "m.gguf",
        vocab=(bos, *others, "word"),
        follows={},
        metadata={"tokenizer.ggml.bos_token_id": 5 + 256},
    )
    lines = [f"PARAMETER stop {stop}" for stop in stops]
    text = "\n".join(["FROM ./m.gguf", "SYSTEM hi", f'TEMPLATE """{template}"""', *lines, ""])
    assert work.codes(text, learn=True) == []


@pytest.mark.parametrize("text", [DOUBTFUL, UNTRAINED, "FROM ./m.gguf\nSYSTEM a\nSYSTEM b\n"])
def test_with_strict_a_warning_leaves_everything_as_it_was(work: Workplace, text: str) -> None:
    built, findings = work.build(text, strict=True)
    assert (built, len(findings), work.held()) == (False, 1, set())
    assert work.build(text)[0]
    before = work.held()
    assert not work.build(text, strict=True)[0]
    assert not work.build(text.replace("FROM", "LICENSE x\nFROM"), strict=True)[0]
    assert work.held() == before


def test_with_strict_a_model_without_warnings_is_built(work: Workplace) -> None:
    assert work.build("FROM ./m.gguf\nSYSTEM hi\n", strict=True) == (True, ())
    assert work.build("FROM ./m.gguf\nSYSTEM hi\n", strict=True) == (True, ())


def warned(_: bytes) -> tuple[Diagnostic, ...]:
    return (Diagnostic(Code.TIGHT_CONTEXT, "tight", Source("Modelfile", "FROM").span(0, 4)),)


def test_a_last_look_comes_before_the_name(work: Workplace) -> None:
    text = "FROM ./m.gguf\nSYSTEM hi\n"
    built, findings = work.build(text, strict=True, review=warned)
    assert not built
    assert [each.code for each in findings] == [Code.TIGHT_CONTEXT]
    assert work.held() == set()
    # What it says is said each time, and is no part of what is recorded.
    for _ in range(2):
        built, findings = work.build(text, review=warned)
        assert built
        assert [each.code for each in findings] == [Code.TIGHT_CONTEXT]
    assert work.codes(text) == []
