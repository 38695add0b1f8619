"""ARG, INCLUDE and --file=: what a Modelfile says once they have been followed."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from mbuild.compiler.check import Given, load
from mbuild.compiler.diagnostic import Code, Diagnostic, Severity, render
from mbuild.compiler.expand import Text, Unread
from mbuild.compiler.recipe import Recipe


class Shelf:
    """Files by their names; a name with a slash is in a folder."""

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self._files = files

    def read(self, path: str, folder: str | None) -> Text | Unread:
        full = f"{folder}/{path}" if folder else path
        content = self._files.get(full)
        if content is None:
            return Unread(outside=path.startswith(".."), reason=f"no file {full}")
        data = content if isinstance(content, bytes) else content.encode()
        return Text(full, f"/{full}", full.rpartition("/")[0], data)


def read(
    text: str, files: Mapping[str, str | bytes] | None = None, **given: object
) -> tuple[Recipe | None, tuple[Diagnostic, ...]]:
    return load("Modelfile", text.encode(), given=Given(Shelf(files or {}), **given))  # type: ignore[arg-type]


def recipe_of(text: str, files: Mapping[str, str | bytes] | None = None, **given: object) -> Recipe:
    recipe, findings = read(text, files, **given)
    assert recipe is not None, [render(each) for each in findings]
    assert not findings
    return recipe


def system_of(text: str, **given: object) -> str:
    system = recipe_of(f"FROM x\n{text}", **given).system
    assert system is not None
    return system.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("ARG A=b\nSYSTEM ${A}", "b", id="default"),
        pytest.param("ARG A=b\nSYSTEM x${A}y${A}", "xbyb", id="twice"),
        pytest.param("ARG A=b\nSYSTEM $${A}", "${A}", id="literal"),
        pytest.param("ARG A=b\nSYSTEM $$${A}", "$${A}", id="a dollar and a literal"),
        pytest.param("ARG A=b\nSYSTEM ${B} $${B} $A {A}", "${B} $${B} $A {A}", id="undeclared"),
        pytest.param("SYSTEM ${A}", "${A}", id="no ARG at all"),
        pytest.param("SYSTEM ${A}\nARG A=b", "${A}", id="only in later values"),
        pytest.param("ARG A=b\nARG B=${A}c\nSYSTEM ${B}", "bc", id="in a default"),
        pytest.param("ARG A=${A}\nSYSTEM ${A}", "${A}", id="not in its own default"),
        pytest.param('ARG A=" b "\nSYSTEM (${A})', "( b )", id="quoted default"),
        pytest.param('ARG A=b\nARG C="${A}"\nSYSTEM ${C}', "${A}", id="quotes are literal"),
        pytest.param("ARG A=\nSYSTEM x${A}", "x", id="empty default"),
        pytest.param("ARG A=b\nARG A=c\nSYSTEM ${A}", "c", id="declared again"),
        pytest.param("ARG A=b=c\nSYSTEM ${A}", "b=c", id="an equals sign in it"),
        pytest.param("ARG A=b\nSYSTEM <<END\n1 ${A}\nEND", "1 b", id="between lines"),
        pytest.param("arg A=b\nSYSTEM ${A}", "b", id="any case"),
    ],
)
def test_arguments(text: str, expected: str) -> None:
    assert system_of(text) == expected


def test_a_given_argument_goes_before_the_default() -> None:
    text = "ARG A=b\nARG C\nSYSTEM ${A}${C}"
    assert system_of(text, arguments={"A": "1", "C": "2 ${A}"}) == "12 ${A}"


def test_an_argument_may_stand_in_any_value() -> None:
    recipe = recipe_of(
        "ARG N=7\nFROM m:${N}b\nPARAMETER seed ${N}\nMESSAGE user ${N}?\nLICENSE L${N}\n"
        "ADAPTER --scale=0.${N} ./a\n"
    )
    assert [each.text for each in recipe.sources] == ["m:7b"]
    assert recipe.parameters == {"seed": 7}
    assert recipe.messages[0].content == "7?"
    assert recipe.licenses == ("L7",)
    assert recipe.scales == (0.7,)


@pytest.mark.parametrize("quotes", ['"', '"""'])
def test_a_quoted_value_is_literal_and_said_to_be(quotes: str) -> None:
    recipe, findings = read(f"FROM x\nARG A=b\nSYSTEM {quotes}${{A}}{quotes}\n")
    assert recipe is not None
    assert recipe.system is not None
    assert recipe.system.text == "${A}"
    assert [each.code for each in findings] == [Code.LITERAL_ARGUMENT]


def test_texts_come_from_files() -> None:
    files = {
        "kid.md": 'You say """hi""".\r\n',
        "kid.tmpl": b"\xef\xbb\xbf{{ .Prompt }}",
        "LICENSE": "MIT",
        "q.md": "why ${A}?",
    }
    recipe = recipe_of(
        "ARG A=kid\nFROM x\nSYSTEM --file=${A}.md\nTEMPLATE --file=kid.tmpl\n"
        'LICENSE --file="LICENSE"\nMESSAGE --file=q.md user\n',
        files,
    )
    assert recipe.system is not None
    assert recipe.template is not None
    assert recipe.system.text == 'You say """hi""".\r\n', "as it is, its last line end too"
    assert recipe.template.text == "{{ .Prompt }}", "without its byte-order mark"
    assert recipe.licenses == ("MIT",)
    assert recipe.messages[0].content == "why ${A}?", "a file is no value: nothing is replaced"
    assert recipe.system.span.source.name == "kid.md", "findings point into the file"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('"--file=kid.md"', "--file=kid.md", id="quoted"),
        pytest.param('"""--append x"""', "--append x", id="quoted three times"),
        pytest.param('"<<END"\n', "<<END", id="quoted lines"),
        pytest.param("<<END", "<<END", id="no line ends them"),
        pytest.param("<<END x\n# END\n", "<<END x", id="more on the line"),
        pytest.param("<<end\n", "<<end", id="small letters"),
        pytest.param("--appendix", "--appendix", id="another word"),
        pytest.param("--files=a", "--files=a", id="another flag"),
        pytest.param("-- file=a", "-- file=a", id="a blank"),
    ],
)
def test_what_only_looks_like_an_addition_is_text(text: str, expected: str) -> None:
    assert system_of(f"SYSTEM {text}") == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("END", "", id="no line"),
        pytest.param("\nEND", "", id="an empty line"),
        pytest.param("a\nEND", "a", id="one line"),
        pytest.param("a\n\nEND", "a\n", id="an empty line at the end"),
        pytest.param("  a\r\nb \r\nEND\r\n", "  a\r\nb ", id="blanks and CRLF stay"),
        pytest.param('"""\nFROM y\n# c\nEND ', None, id="not exactly the word"),
        pytest.param('"""\nFROM y\n# c\n END\nENDS\nEND', '"""\nFROM y\n# c\n END\nENDS', id="all"),
        pytest.param("<<END\nEND", "<<END", id="opened twice"),
    ],
)
def test_lines_up_to_a_word(body: str, expected: str | None) -> None:
    if expected is None:
        recipe, _ = read(f"FROM x\nSYSTEM <<END\n{body}")
        assert recipe is None
        return
    text = f"FROM x\nSYSTEM <<END\n{body}\n\nPARAMETER seed 1\n"
    if expected == "":
        recipe = recipe_of(text)
        assert recipe.system is None
    else:
        recipe = recipe_of(text)
        assert recipe.system is not None
        assert recipe.system.text == expected
    assert recipe.parameters == {"seed": 1}


@given(st.lists(st.text(st.sampled_from('ab"<E\n\r \t#🙂\u200b'), max_size=9), max_size=5))
def test_any_text_can_stand_between_lines(lines: list[str]) -> None:
    text = "\n".join(lines)
    # A CR at its end would be one line end with the LF behind it.
    if "END" in text.replace("\r", "\n").split("\n") or not text.rstrip("\r"):
        return
    text = text.rstrip("\r")
    recipe, _ = read(f"FROM x\nSYSTEM <<END\n{text}\nEND\n")
    assert recipe is not None
    assert recipe.system is not None
    assert recipe.system.text == text


def test_included_files_stand_where_they_are_included() -> None:
    files = {
        "p/common": "SYSTEM --file=kid.md\nINCLUDE deeper/one\nFROM ./w.gguf\n",
        "p/kid.md": "a kid",
        "p/deeper/one": "PARAMETER seed ${N}\nARG M=2\n",
    }
    recipe = recipe_of("ARG N=1\nINCLUDE p/common\nPARAMETER top_k ${M}\n", files)
    assert recipe.system is not None
    assert recipe.system.text == "a kid"
    assert recipe.parameters == {"seed": 1, "top_k": 2}
    assert [(each.text, each.folder) for each in recipe.sources] == [("./w.gguf", "p")]


def test_what_is_included_can_be_set_again_and_taken_away() -> None:
    files = {"c": "SYSTEM a\nPARAMETER stop x\nMESSAGE user hi\n"}
    recipe = recipe_of("FROM x\nINCLUDE c\nUNSET SYSTEM\nUNSET PARAMETER stop\n", files)
    assert recipe.system is None
    assert recipe.parameters is None
    assert len(recipe.messages) == 1
    assert recipe.unset == {"system", "parameter stop"}


MISTAKES: dict[str, tuple[str, dict[str, str | bytes]]] = {
    "arguments": (
        "FROM x\nARG TONE\nARG\nARG 1A=2\nARG =b\nARG A B\nSYSTEM ${TONE}\n",
        {},
    ),
    "a file that includes itself": ("FROM x\nINCLUDE a\n", {"a": "INCLUDE b\n", "b": "INCLUDE a"}),
    "the Modelfile included": ("FROM x\nINCLUDE Modelfile\n", {"Modelfile": "FROM x"}),
    "no such file": ("FROM x\nINCLUDE a\nSYSTEM --file=b\nINCLUDE ../c\n", {}),
    "a mistake in an included file": (
        "FROM x\nINCLUDE a\nSYSTEM hi\n",
        {"a": "INCLUDE b\n", "b": "# fine\nPARAMETER top_q 1\nJUNK\n"},
    ),
    "files that are no text": (
        "FROM x\nSYSTEM --file=a\nTEMPLATE --file=b\n",
        {"a": b"caf\xe9", "b": "FROM {{".encode("utf-16-le")},
    ),
    "flags": (
        "FROM x\nTEMPLATE --append y\nSYSTEM --scale=1 y\nADAPTER --file=y\n"
        "SYSTEM --append --append y\nSYSTEM --file=a y\nSYSTEM --append\nADAPTER --scale=1\n"
        "MESSAGE --file=a user hi\nMESSAGE --file=a\nMESSAGE --file=a tool\nSYSTEM --file=\n",
        {"a": "b"},
    ),
    "scales": ("FROM x\nADAPTER --scale=much a\nADAPTER --scale=1e9 b\n", {}),
    "adapters that do not add up": ("FROM x\nADAPTER a\nADAPTER --scale=1 b\n", {}),
    "what cannot be unset": (
        "FROM x\nUNSET FROM\nUNSET PARAMETER\nUNSET temperature\nUNSET SYSTEM x\nUNSET \n",
        {},
    ),
    "types of quantization": ("FROM x\nQUANTIZE q4km\nQUANTIZE \n", {}),
    "schemas": ('FROM x\nSCHEMA {"type": }\nSCHEMA []\nSCHEMA --file=a\n', {"a": "\n\n{,}"}),
    "stages": (
        "SYSTEM early\nFROM x AS a\nFROM a AS b\nFROM y AS A\nINCLUDE c\n",
        {"c": "FROM z\nFORM w"},
    ),
    "what has no effect": (
        "FROM x\nSYSTEM --append a\nINCLUDE c\nSYSTEM b\n",
        {"c": "SYSTEM --append c\nSYSTEM d"},
    ),
}


@pytest.mark.parametrize(("text", "files"), MISTAKES.values(), ids=MISTAKES)
def test_what_the_user_sees(
    text: str, files: dict[str, str | bytes], snapshot: SnapshotAssertion
) -> None:
    recipe, findings = read(text, files)
    errors = [each for each in findings if each.severity is Severity.ERROR]
    assert (recipe is None) == bool(errors)
    assert "\n\n".join(map(render, findings)) == snapshot


def test_an_argument_that_nobody_declares_is_named() -> None:
    _, findings = read("FROM x\nARG TONE=a\n", arguments={"TON": "b"})
    assert [(each.code, each.hint) for each in findings] == [
        (Code.BAD_ARGUMENT, "did you mean TONE?")
    ]


def test_includes_are_bounded_in_depth_and_number() -> None:
    deep = {f"f{n}": f"INCLUDE f{n + 1}" for n in range(100)}
    _, findings = read("FROM x\nINCLUDE f0\n", deep)
    assert [each.message for each in findings] == ["more than 32 files include one another"]
    # Each file includes the next one twice: two to the power of thirty.
    wide = {f"f{n}": f"INCLUDE f{n + 1}\nINCLUDE f{n + 1}\n" for n in range(30)}
    _, findings = read("FROM x\nINCLUDE f0\n", wide | {"f30": "# end"})
    assert "more than 1000 files are included" in [each.message for each in findings]


def test_arguments_cannot_grow_without_bound() -> None:
    doubling = "".join(f"ARG A{n + 1}=${{A{n}}}${{A{n}}}\n" for n in range(60))
    _, findings = read(f"FROM x\nARG A0=abcdefgh\n{doubling}SYSTEM ${{A60}}\n")
    assert [each.message for each in findings] == ["the values of ARGs grow beyond 64 MiB"]


STAGES = "FROM x AS a\nSYSTEM 1\nFROM a AS b\nPARAMETER seed 1\nFROM y\nSYSTEM 2\n"


@pytest.mark.parametrize(
    ("target", "outline"),
    [
        pytest.param(None, ["y"], id="the last"),
        pytest.param("b", ["a: x", "b"], id="one that is from another"),
        pytest.param("A", ["x"], id="any case"),
    ],
)
def test_stages(target: str | None, outline: list[str]) -> None:
    recipe = recipe_of(STAGES, target=target)
    sources = [each.text for each in (recipe.base or recipe).sources]
    assert sources == [outline[0].rpartition(" ")[2]]
    assert (recipe.base is not None) == (len(outline) == 2)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('FROM "x AS a"', id="quoted"),
        pytest.param("FROM ./known as llama.gguf", id="no stage's name"),
        pytest.param("FROM x as", id="no name"),
        pytest.param("FROM as a", id="nothing before"),
    ],
)
def test_no_stage(text: str) -> None:
    recipe = recipe_of(f"{text}\nFROM y\n")
    assert len(recipe.sources) == 2, "they merge, as in the reference"


def test_a_stage_that_comes_later_is_a_model() -> None:
    recipe = recipe_of("FROM b AS a\nFROM a AS b\n", target="a")
    assert [each.text for each in recipe.sources] == ["b"]


def test_the_reference_sees_no_additions() -> None:
    text = b"FROM x AS a\nSYSTEM --file=b\nADAPTER --scale=1 c\nSYSTEM <<END\n"
    recipe, findings = load("Modelfile", text, dialect="ollama")
    assert recipe is not None
    assert not findings
    assert recipe.sources[0].text == "x AS a"
    assert recipe.adapters[0].text == "--scale=1 c"
    assert recipe.system is not None
    assert recipe.system.text == "<<END"
    for word in ("ARG a=b", "INCLUDE a", "UNSET SYSTEM", "QUANTIZE f16", "SCHEMA {}"):
        recipe, _ = load("Modelfile", f"FROM x\n{word}\n".encode(), dialect="ollama")
        assert recipe is None
