import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.store.name import BadName, Name, split
from mbuild.store.reference import BadReference, Reference, refer

VECTORS = Path(__file__).parent.parent / "data" / "names.jsonl"
CASES = [json.loads(line) for line in VECTORS.read_text(encoding="utf-8").splitlines()]

LETTERS = "ABCXYZabcxyz0189_"
HOSTS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}", fullmatch=True)
NAMESPACES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}", fullmatch=True)
WORDS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", fullmatch=True)
NAMES = st.builds(Name, HOSTS, NAMESPACES, WORDS, WORDS)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in CASES])
def test_names_are_the_reference_s(case: dict[str, object]) -> None:
    text = case["input"]
    assert isinstance(text, str)
    bare, parts = split(text), split(text).filled()
    found: dict[str, object] = {
        "bare": {part: getattr(bare, part) for part in ("host", "model", "namespace", "tag")},
        "host": parts.host,
        "namespace": parts.namespace,
        "model": parts.model,
        "tag": parts.tag,
        "string": str(parts),
        "short": parts.short,
        "valid": parts.valid,
    }
    if parts.valid:
        found["filepath"] = Name.parse(text).path
    else:
        with pytest.raises(BadName):
            Name.parse(text)
    assert found == case["expected"]


@given(NAMES)
def test_a_name_survives_writing_and_reading(name: Name) -> None:
    assert Name.parse(str(name)) == name
    assert Name.parse(name.short) == name or name.host.lower() == "registry.ollama.ai"
    assert Name(*name.path.split("/")) == name


@given(st.text(alphabet=LETTERS + "./:-@ \0é!"))
def test_whatever_is_a_name_stays_below_its_folder(text: str) -> None:
    try:
        name = Name.parse(text)
    except BadName:
        return
    parts = name.path.split("/")
    assert len(parts) == 4
    assert not any(part in {"", ".", ".."} or part.startswith((".", "-")) for part in parts)


@given(st.text())
def test_every_text_can_be_split(text: str) -> None:
    parts = split(text)
    assert parts.filled().filled() == parts.filled()


def test_what_is_no_name_is_told_as_it_was_given() -> None:
    with pytest.raises(BadName) as caught:
        Name.parse("hf.co/me/kid@sha256")
    assert caught.value.text == "hf.co/me/kid@sha256"


def test_an_invalid_name_cannot_exist() -> None:
    with pytest.raises(BadName):
        Name("registry.ollama.ai", "library", "..", "latest")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("x", Reference("x"), id="none"),
        pytest.param(" x:20b\n", Reference("x:20b"), id="blanks around it"),
        pytest.param("x:cloud", Reference("x", "cloud"), id="cloud"),
        pytest.param("x:Local", Reference("x", "local"), id="local in any case"),
        pytest.param("x:20b:cloud", Reference("x:20b", "cloud"), id="after a tag"),
        pytest.param("x:20b-CLOUD", Reference("x:20b", "cloud"), id="in a tag"),
        pytest.param("x-cloud", Reference("x-cloud"), id="a model is no tag"),
        pytest.param("h:80/n/x-cloud", Reference("h:80/n/x-cloud"), id="nor is what has a slash"),
        pytest.param("cloud", Reference("cloud"), id="a model named cloud"),
    ],
)
def test_where_a_reference_points(text: str, expected: Reference) -> None:
    assert refer(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(" ", "model is required", id="nothing"),
        pytest.param("x:cloud:local", "use either :local or :cloud, not both", id="both"),
        pytest.param("x:20b-cloud:local", "use either :local or :cloud, not both", id="tag too"),
    ],
)
def test_references_that_point_nowhere(text: str, reason: str) -> None:
    with pytest.raises(BadReference) as caught:
        refer(text)
    assert caught.value.reason == reason
