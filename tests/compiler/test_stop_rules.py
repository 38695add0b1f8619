"""What is said of stops."""

from collections.abc import Sequence

import pytest
from chat_templates import SPECIAL, STYLES

from mbuild.compiler.diagnostic import Code, Source
from mbuild.compiler.stop_rules import Stop, idle, no_tokens


def stops(*texts: str) -> list[Stop]:
    return [(text, Source("Modelfile", text).span(0, len(text))) for text in texts]


@pytest.mark.parametrize(
    ("texts", "blamed"),
    [
        pytest.param(["</s>", "User:"], [], id="fine"),
        pytest.param(["User", "User:"], ["User:"], id="begins with another"),
        pytest.param(["User:", "User"], ["User:"], id="in either order"),
        # Where Us is cut off, User would have been cut off too.
        pytest.param(["a", "ab", "abc", "b"], ["ab", "abc"], id="a chain"),
        pytest.param(["er", "User"], [], id="only ends with another"),
        pytest.param(["a", "b", "a"], ["a"], id="twice"),
        pytest.param(["", "a"], [""], id="empty"),
        pytest.param([r"\n\n"], [r"\n\n"], id="an escape"),
        pytest.param(["\n\n"], [], id="line ends"),
    ],
)
def test_stops_that_never_match(texts: Sequence[str], blamed: list[str]) -> None:
    found = idle(stops(*texts))
    assert [each.span.text for each in found] == blamed
    assert {each.code for each in found} <= {Code.IDLE_STOP}


def test_the_reason_names_the_stop_that_comes_first() -> None:
    (found,) = idle(stops("<|im_end|>", "<|im_end|>\n"))
    assert found.message == ("stop <|im_end|>\n can never match: <|im_end|> ends the answer first")


@pytest.mark.parametrize(
    ("text", "written", "doubted"),
    [
        pytest.param("<|im_end|>", "", False, id="a token"),
        pytest.param("<|im_end>", "", True, id="misspelt"),
        pytest.param("<|eot_id|>", "", True, id="another vocabulary's"),
        # A template for another vocabulary makes it no token.
        pytest.param("<|eot_id|>", "x<|eot_id|>", True, id="though it is written"),
        pytest.param("<|user|>", "", False, id="the weights' own template writes it"),
        pytest.param("<eos>", "", True, id="angle brackets"),
        pytest.param("</answer>", "Put it in <answer></answer>.", False, id="asked for"),
        pytest.param("[INST]", "", True, id="square brackets"),
        pytest.param("[INST]", "[INST] {{ .Prompt }}", False, id="in the template"),
        pytest.param("<｜end▁of▁sentence｜>", "", True, id="wide bars"),
        pytest.param("User:", "", False, id="words"),
        pytest.param("a < b", "", False, id="less"),
        pytest.param("[1]", "", False, id="a footnote"),
        pytest.param("```", "", False, id="a fence"),
    ],
)
def test_stops_that_look_like_tokens(text: str, written: str, *, doubted: bool) -> None:
    found = no_tokens(stops(text), ("<|im_start|>", "<|im_end|>"), ("<|user|>",), written)
    assert [each.code for each in found] == [Code.STOP_IS_NO_TOKEN] * doubted


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("<|im_end>", "did you mean <|im_end|>?", id="near"),
        pytest.param("[INST]", "it only matches if the model spells it out", id="far"),
    ],
)
def test_a_token_near_by_is_named(text: str, hint: str) -> None:
    (found,) = no_tokens(stops(text), ("<|im_start|>", "<|im_end|>"), (), "")
    assert found.hint is not None
    assert found.hint.startswith(hint)


@pytest.mark.parametrize("style", STYLES)
def test_the_usual_stops_are_not_doubted(style: str) -> None:
    template, texts = STYLES[style]
    assert idle(stops(*texts)) == ()
    assert no_tokens(stops(*texts), SPECIAL[style], (), template) == ()
