"""Which token of a prompt came from where."""

import pytest

from mbuild.compiler.template.provenance import Piece, Traced
from mbuild.runtime.prompt import Prompt
from mbuild.runtime.tokens import VOCABULARY, attribute


def prompt(*pieces: tuple[str, str]) -> Prompt:
    return Prompt((Traced.made_of(tuple(Piece(text, part) for text, part in pieces)),))


PROMPT = prompt(("<u>", "template"), ("hé y", "user"), ("</u>", "template"))


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        pytest.param("<u>|hé| y|</u>", "template user user template", id="one for each"),
        pytest.param("<s>|<u>|hé y|</u>", f"{VOCABULARY} template user template", id="BOS"),
        pytest.param(" <u>|hé y|</u>", "template user template", id="a blank in front"),
        pytest.param(
            "<s>| |<u>|hé y|</u>",
            f"{VOCABULARY} {VOCABULARY} template user template",
            id="BOS and a blank",
        ),
        # A token may reach over an end; where it begins decides.
        pytest.param("<u>h|é y<|/u>", "template user template", id="across the ends"),
        pytest.param("<u>|HÉ| y|</u>", "None None None None", id="another text"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_parts_of_tokens(data: str, parts: str) -> None:
    pieces = [each.encode() for each in data.split("|")] if data else []
    tokens = attribute(PROMPT, range(len(pieces)), pieces, bos="<s>")
    assert [str(token.part) for token in tokens] == parts.split()
    assert [token.data for token in tokens] == pieces


def test_bytes_of_one_character_are_of_its_part() -> None:
    data = [b"<u>", b"h", b"\xc3", b"\xa9", b" y", b"</u>"]
    tokens = attribute(PROMPT, range(6), data, bos="")
    assert [token.part for token in tokens] == ["template", *["user"] * 4, "template"]


def test_a_prompt_that_begins_with_bos_gets_no_other() -> None:
    begun = prompt(("<s>", "template"), ("a", "user"))
    tokens = attribute(begun, (1, 2), (b"<s>", b"a"), bos="<s>")
    assert [token.part for token in tokens] == ["template", "user"]
