"""A tree checked: the recipe, or every finding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from mbuild.compiler.check import check, load
from mbuild.compiler.diagnostic import Code, Source, render
from mbuild.compiler.dialect import Dialect
from mbuild.compiler.parser import parse
from mbuild.compiler.recipe import Message, Recipe


def recipe_of(text: str) -> Recipe:
    recipe, findings = check(parse(Source("Modelfile", text)))
    assert recipe is not None, findings
    return recipe


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("FROM base", [], id="smallest"),
        pytest.param("FROM base\nSYSTEM a\nSYSTEM b", [Code.REPLACED], id="replaced"),
        pytest.param(
            "FROM base\nPARAMETER seed 1\nPARAMETER seed 2", [Code.REPLACED], id="set twice"
        ),
        pytest.param("FROM a\nPARAMETER stop x\nPARAMETER stop y", [], id="stop may repeat"),
        pytest.param("FROM a\nFROM b\nLICENSE c\nLICENSE d", [], id="so may these"),
        pytest.param("", [Code.NO_FROM], id="nothing"),
        pytest.param("SYSTEM a", [Code.NO_FROM], id="no FROM"),
        # All findings come at once: a user fixes a file in one go.
        pytest.param(
            "JUNK\nMORE",
            [Code.UNKNOWN_INSTRUCTION, Code.NO_FROM, Code.UNKNOWN_INSTRUCTION],
            id="all",
        ),
        # What is wrong is the FROM itself, so it is not missing too.
        pytest.param("FORM a", [Code.UNKNOWN_INSTRUCTION], id="misspelt FROM"),
        pytest.param("FROM\na", [Code.MISSING_VALUE, Code.UNKNOWN_INSTRUCTION], id="bare FROM"),
        pytest.param("FROM a\nPARAMETER top_q 1", [Code.UNKNOWN_PARAMETER], id="unknown parameter"),
        pytest.param("FROM a\nPARAMETER num_ctx 1.5", [Code.WRONG_TYPE], id="wrong type"),
        pytest.param("FROM a\nPARAMETER num_ctx ", [Code.WRONG_TYPE], id="empty number"),
        pytest.param("FROM a\nPARAMETER top_p inf", [Code.WRONG_TYPE], id="not finite"),
        pytest.param(
            "FROM a\nPARAMETER top_p inf\nPARAMETER top_p 1",
            [Code.REPLACED],
            id="finite in the end",
        ),
        pytest.param("FROM a\nPARAMETER mirostat 1", [Code.DEPRECATED_PARAMETER], id="deprecated"),
        pytest.param("FROM a\nPARAMETER numa true", [Code.UNKNOWN_PARAMETER], id="removed"),
        pytest.param("FROM a\nREQUIRES 1.2.3.4", [Code.NOT_A_VERSION], id="no version"),
        pytest.param("FROM a\nREQUIRES ", [Code.NOT_A_VERSION], id="empty version"),
        pytest.param(
            "PARAMETER model a\nPARAMETER system b",
            [Code.DISGUISED_INSTRUCTION, Code.DISGUISED_INSTRUCTION],
            id="disguised",
        ),
        pytest.param("FROM a\nPARAMETER from b", [Code.UNKNOWN_PARAMETER], id="no disguise"),
    ],
)
def test_findings(text: str, expected: list[Code]) -> None:
    recipe, findings = check(parse(Source("Modelfile", text)))
    assert [finding.code for finding in findings] == expected
    warned = {Code.REPLACED, Code.DEPRECATED_PARAMETER, Code.DISGUISED_INSTRUCTION}
    assert (recipe is not None) == (set(expected) <= warned)


MISTAKES = {
    "instructions": "FORM x\nSYSTEM\nEMBED x\nENV y\n1FROM z\n",
    "other formats": "// a remark\ntemperature 0.7\nuser: hi\nparams x\n",
    "text of several lines": "FROM x\nSYSTEM You are a kid.\nYou are five.\nYes!\n\nNo!\n",
    "characters that cannot be seen": (
        "FROM x\nSYSTEM\u00a0hi\nSYS\u200bTEM hi\nPARAMETER seed\u30001\n"
    ),
    "a quote with a comment behind": 'FROM x\nSYSTEM "hello" # greet\nPARAMETER seed 1\n',
    "a quote within a quote": 'FROM x\nSYSTEM "say "hi" now\n',
    "three quotes with text behind": 'FROM x\nSYSTEM """a""" b\nMESSAGE user c\n"""\n',
    "quotes that stay open": 'FROM x\nSYSTEM "a\n\nLICENSE """b\n',
    "names of parameters": (
        "FROM x\nPARAMETER top_q 1\nPARAMETER num-ctx 1\nPARAMETER temperature=1\n"
        "PARAMETER NumCtx 1\nPARAMETER tfs_z 1\nPARAMETER system\nPARAMETER\nPARAMETER .\n"
        "PARAMETER mirostat 1\nPARAMETER system hi\nPARAMETER from y\nPARAMETER zzzzzz 1\n"
    ),
    "values of parameters": (
        "FROM x\nPARAMETER temperature 1 # hot\nPARAMETER num_ctx 4k\nPARAMETER num_keep 1.0\n"
        "PARAMETER num_batch 1_000\nPARAMETER use_mmap yes\nPARAMETER top_p 0,7\n"
        'PARAMETER seed \nPARAMETER min_p nan\nPARAMETER num_gpu """\nmany\n"""\n'
    ),
    "roles": (
        "FROM x\nMESSAGE User hi\nMESSAGE user: hi\nMESSAGE  user hi\nMESSAGE\nMESSAGE \n"
        "MESSAGE user\nMESSAGE tool hi\nMESSAGE asistant hi\n"
    ),
    "versions": "FROM x\nREQUIRES 1.2.3.4\nREQUIRES \nREQUIRES 0.14.0 # at least\n",
    "what has no effect": "FROM x\nSYSTEM a\nPARAMETER seed 1\nSYSTEM b\nPARAMETER seed 2\n",
    "no FROM": "# nothing\nSYSTEM hi\n",
    "CRLF": "FROM x\r\n\r\nSYSTEM \u82f9\u679c\r\nBAD\r\n",
}


@pytest.mark.parametrize("text", MISTAKES.values(), ids=MISTAKES)
def test_what_the_user_sees(text: str, snapshot: SnapshotAssertion) -> None:
    _, findings = load("Modelfile", text.encode())
    assert "\n\n".join(map(render, findings)) == snapshot


def test_findings_come_in_source_order() -> None:
    _, findings = load("Modelfile", "\n".join(MISTAKES.values()).encode())
    starts = [finding.span.start for finding in findings]
    assert starts == sorted(starts)
    assert len(starts) == 42


def test_a_recipe_has_what_was_said() -> None:
    recipe = recipe_of(
        "FROM a\nFROM ./b.gguf\nADAPTER c\nADAPTER d\nDRAFT e\nTEMPLATE {{ .Prompt }}\nSYSTEM f\n"
        "LICENSE g\nLICENSE \nMESSAGE user h: i\nMESSAGE assistant j\nPARAMETER stop k\n"
        "PARAMETER seed 1\nPARAMETER stop l\nRENDERER m\nPARSER n\nREQUIRES v0.14.0\n"
    )
    assert [each.text for each in recipe.sources] == ["a", "./b.gguf"]
    assert [each.span.text for each in recipe.sources] == ["a", "./b.gguf"]
    assert [each.text for each in recipe.adapters] == ["d"]
    assert [each.text for each in recipe.drafts] == ["e"]
    assert recipe.template is not None
    assert recipe.template.text == "{{ .Prompt }}"
    assert recipe.system is not None
    assert recipe.system.text == "f"
    assert recipe.licenses == ("g", "")
    assert recipe.messages == (Message("user", "h: i"), Message("assistant", "j"))
    assert recipe.parameters == {"stop": ("k", "l"), "seed": 1}
    assert (recipe.renderer, recipe.parser, recipe.requires) == ("m", "n", "0.14.0")


def test_what_is_empty_was_not_given() -> None:
    recipe = recipe_of("FROM \nSYSTEM a\nSYSTEM \nTEMPLATE \nRENDERER \nPARSER \u200b\n")
    assert recipe.sources[0].text == ""
    assert (recipe.system, recipe.template, recipe.renderer, recipe.parser) == (None,) * 4
    assert recipe.parameters is None


def test_disguised_instructions_do_what_they_always_did() -> None:
    recipe = recipe_of(
        "PARAMETER model a\nPARAMETER system b\nPARAMETER license c\nPARAMETER adapter d\n"
        "PARAMETER draft e\nPARAMETER requires 1\nPARAMETER message user: hi\nPARAMETER message x\n"
    )
    assert [each.text for each in recipe.sources] == ["a"]
    assert recipe.system is not None
    assert recipe.system.text == "b"
    assert (recipe.licenses, recipe.requires) == (("c",), "1")
    assert [each.text for each in (*recipe.adapters, *recipe.drafts)] == ["d", "e"]
    assert recipe.messages == (Message("user", "hi"), Message("x", ""))


def test_texts_keep_what_numbers_and_names_lose() -> None:
    recipe = recipe_of(
        "FROM a\u00a0b\nSYSTEM 👩\u200d👧\nPARAMETER stop \u3000\nPARAMETER seed \u200b1\u00a0\n"
        "RENDERER x\u200b \nREQUIRES \ufeff1.2\n"
    )
    assert recipe.sources[0].text == "a\u00a0b"
    assert recipe.system is not None
    assert recipe.system.text == "👩\u200d👧"
    assert recipe.parameters == {"stop": ("\u3000",), "seed": 1}
    assert (recipe.renderer, recipe.requires) == ("x", "1.2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", "1"),
        ("v1.2", "1.2"),
        ("1.2.3-rc.1+b.01", "1.2.3-rc.1+b.01"),
        ("1.2.3+a-b", "1.2.3+a-b"),
        ("0.0.0-0", "0.0.0-0"),
        ("1.2.3--", "1.2.3--"),
        ("vv1", None),
        ("v", None),
        ("01", None),
        ("1.", None),
        ("1.02", None),
        ("1.2-rc", None),
        ("1+b", None),
        ("1.2.3-", None),
        ("1.2.3+", None),
        ("1.2.3-01", None),
        ("1.2.3-a..b", None),
        ("1.2.3+a+b", None),
        ("1.2.3 ", "1.2.3"),
        ("1.2.3-é", None),
        ("١", None),
    ],
)
def test_versions(text: str, expected: str | None) -> None:
    recipe, _ = load("Modelfile", f"FROM a\nREQUIRES {text}\n".encode())
    assert (recipe.requires if recipe else None) == expected


def test_a_file_in_the_wrong_encoding_is_one_error() -> None:
    recipe, (finding,) = load("Modelfile", "FROM x\nSYSTEM a".encode("utf-16-le"))
    assert recipe is None
    assert finding.code is Code.UTF16_WITHOUT_MARK


def test_a_doubt_about_the_encoding_stands_in_order_with_the_rest() -> None:
    recipe, findings = load("Modelfile", b"FROM x\nSYSTEM \xe9\nSYSTEM b\n")
    assert recipe is not None
    assert [each.code for each in findings] == [Code.REPLACED, Code.NOT_UTF8]


@given(st.binary())
def test_any_bytes_give_a_recipe_or_an_error(data: bytes) -> None:
    dialects: tuple[Dialect, ...] = ("mbuild", "ollama")
    for dialect in dialects:
        recipe, findings = load("Modelfile", data, dialect=dialect)
        assert (recipe is None) == any(each.severity.value == "error" for each in findings)
        for finding in findings:
            render(finding)
