"""What a sequence does next."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbuild.runtime.batch import (
    Cut,
    Shift,
    Speech,
    common,
    context_size,
    cut,
    most_tokens,
    portions,
    shift,
    shorten,
)

LETTERS = st.text(alphabet="ab<é", max_size=30)
STOPS = st.lists(st.text(alphabet="ab<é", min_size=1, max_size=4), max_size=4)


def spoken(parts: list[bytes], stops: list[str]) -> tuple[str, bool]:
    speech = Speech(stops)
    text = "".join(speech.hear(part) for part in parts) + speech.rest()
    return text, speech.stopped


def portioned(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(data) + 1) for place in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        pytest.param("hello", [], Cut("hello"), id="no stops"),
        pytest.param("hello", ["\n"], Cut("hello"), id="nothing like a stop"),
        pytest.param("a<end>b", ["<end>"], Cut("a", "", True), id="stop inside"),
        pytest.param("a<en", ["<end>"], Cut("a", "<en"), id="a stop may have begun"),
        pytest.param("a<eX", ["<end>"], Cut("a<eX"), id="it had not"),
        pytest.param("xyab", ["b", "yab"], Cut("x", "", True), id="the earliest wins"),
        # Whether "bc" ends the answer is known only when "abcd" can no longer come.
        pytest.param("abc", ["bc", "abcd"], Cut("", "abc"), id="found, but an earlier one began"),
        pytest.param("xbcab", ["bc", "abcd"], Cut("x", "", True), id="a later one does not matter"),
    ],
)
def test_cut(text: str, stops: list[str], expected: Cut) -> None:
    assert cut(text, stops) == expected


@given(LETTERS, STOPS, st.lists(st.integers(0, 99), max_size=12))
def test_what_is_said_ends_before_the_earliest_stop_however_the_text_is_portioned(
    text: str, stops: list[str], cuts: list[int]
) -> None:
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    said = spoken(portioned(text.encode(), cuts), stops)
    assert said == (text[: min(found)] if found else text, bool(found))


@given(LETTERS, STOPS)
def test_nothing_said_is_taken_back(text: str, stops: list[str]) -> None:
    speech, said = Speech(stops), ""
    for letter in text:
        said += speech.hear(letter.encode())
        assert not any(stop in said for stop in stops)
        assert text.startswith(said)


@given(st.binary(max_size=40), st.lists(st.integers(0, 99), max_size=8))
def test_every_piece_is_whole_characters(data: bytes, cuts: list[int]) -> None:
    whole, _ = spoken([data], [])
    assert spoken(portioned(data, cuts), []) == (whole, False)


@pytest.mark.parametrize(
    ("parts", "pieces"),
    [
        pytest.param([b"\xf0\x9f", b"\x98\x80"], ["", "😀"], id="an emoji in two tokens"),
        pytest.param([b"\xe2\x82"], [""], id="an unfinished tail is dropped"),
        pytest.param([b"\xff", b"a"], ["\N{REPLACEMENT CHARACTER}", "a"], id="no UTF-8"),
    ],
)
def test_characters(parts: list[bytes], pieces: list[str]) -> None:
    speech = Speech([])
    assert [*(speech.hear(part) for part in parts), speech.rest()] == [*pieces, ""]


def test_an_empty_stop_stops_nothing() -> None:
    assert spoken([b"ab"], [""]) == ("ab", False)


def test_the_same_piece_is_said_thirty_times_and_no_more() -> None:
    speech = Speech([])
    pieces = [speech.hear(b" no") for _ in range(40)]
    assert pieces == [" no"] * 30 + [""] * 10
    assert speech.over
    assert not speech.stopped


def test_repeats_need_not_be_equal_in_their_blanks_but_in_a_row() -> None:
    speech = Speech([])
    for _ in range(50):
        speech.hear(b" no")
        speech.hear(b"yes")
    assert not speech.over
    for index in range(31):
        speech.hear(b" no" if index % 2 else b"no\n")
    assert speech.over


TOKENS = st.lists(st.integers(0, 2), max_size=8)


@given(TOKENS, st.lists(st.integers(0, 2), min_size=1, max_size=8))
def test_what_is_common_leaves_a_token_to_evaluate(cached: list[int], prompt: list[int]) -> None:
    count = common(cached, prompt)
    assert count < len(prompt)
    assert cached[:count] == prompt[:count]
    assert count in (len(cached), len(prompt) - 1) or cached[count] != prompt[count]


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 60))
def test_portions_cover_everything_once(start: int, length: int, size: int) -> None:
    found = list(portions(start, start + length, size))
    assert [at for a, b in found for at in range(a, b)] == list(range(start, start + length))
    assert all(0 < b - a <= size for a, b in found)


@pytest.mark.parametrize(
    ("asked", "trained", "expected"),
    [
        pytest.param(0, 8192, 4096, id="automatic"),
        pytest.param(0, 2048, 2048, id="automatic, capped"),
        pytest.param(100_000, 8192, 8192, id="capped"),
        pytest.param(1, 8192, 4, id="the floor"),
        pytest.param(9000, 0, 9000, id="training unknown"),
        pytest.param(0, 1, 4, id="the floor holds against the cap"),
    ],
)
def test_context_size(asked: int, trained: int, expected: int) -> None:
    assert context_size(asked, trained) == expected


@pytest.mark.parametrize(
    ("num_predict", "expected"),
    [
        pytest.param(5, 5, id="as asked"),
        pytest.param(0, 0, id="none at all"),
        pytest.param(-1, 1000, id="ten contexts"),
        pytest.param(-2, 1000, id="any negative number"),
        pytest.param(5000, 1000, id="capped"),
    ],
)
def test_most_tokens(num_predict: int, expected: int) -> None:
    assert most_tokens(num_predict, 100) == expected


@pytest.mark.parametrize(
    ("num_keep", "bos", "expected"),
    [
        pytest.param(4, False, Shift(4, 48), id="default"),
        pytest.param(4, True, Shift(5, 47), id="the first token counts extra"),
        pytest.param(-1, False, Shift(40, 30), id="the whole prompt"),
        pytest.param(500, False, Shift(96, 2), id="more than there is"),
        pytest.param(0, False, Shift(0, 50), id="nothing"),
    ],
)
def test_shift(num_keep: int, bos: bool, expected: Shift) -> None:
    assert shift(100, num_keep, 40, 100, bos=bos) == expected


@given(st.integers(4, 300), st.integers(-5, 400), st.integers(1, 299), st.booleans())
def test_a_shift_makes_room_and_leaves_what_is_kept(
    num_ctx: int, num_keep: int, prompt: int, bos: bool
) -> None:
    gone = shift(num_ctx, num_keep, min(prompt, num_ctx - 1), num_ctx, bos=bos)
    assert gone.discard >= 1
    assert gone.keep >= 0
    assert gone.keep + gone.discard <= num_ctx


@given(st.integers(4, 60), st.integers(-3, 70), st.integers(0, 100), st.booleans())
def test_a_shortened_prompt_keeps_its_ends_and_leaves_room(
    num_ctx: int, num_keep: int, length: int, bos: bool
) -> None:
    tokens = tuple(range(length))
    found = shorten(tokens, num_keep, num_ctx, bos=bos)
    assert len(found) <= num_ctx - 1
    assert found == tokens or length >= num_ctx
    keep = min(num_ctx - 1 if num_keep < 0 else num_keep + bos, num_ctx - 1)
    assert found[:keep] == tokens[:keep]
    assert found[keep:] == tokens[length - len(found) + keep :][: len(found) - keep]


def test_a_shortened_prompt_leaves_half_of_what_is_not_kept() -> None:
    assert len(shorten(range(1000), 4, 100, bos=False)) == 100 - (100 - 4) // 2
