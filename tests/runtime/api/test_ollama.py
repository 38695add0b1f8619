"""Ollama's wire: values to JSON, as clients need it."""

from typing import Any

import pytest

from mbuild.runtime.api.ollama import FOREVER, Failure, Head, Said, keep_alive, moment
from mbuild.runtime.engine import Finished, Reason, Stats

NOW = 1_500_000_000_120_000_000
SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (0.0, 0),
        ("0", 0),
        (5, 5 * SECOND),
        (1.5, SECOND * 3 // 2),
        ("5m", 300 * SECOND),
        (-1, FOREVER),
        (-0.5, FOREVER),
        ("-1s", FOREVER),
        pytest.param(10**400, 2**63 - 1, id="a huge number"),
        pytest.param(float("inf"), 2**63 - 1, id="as large as it gets"),
        pytest.param(-(10**400), FOREVER, id="a huge negative number"),
    ],
)
def test_how_long_a_model_stays(value: object, expected: int) -> None:
    assert keep_alive(value) == expected


@pytest.mark.parametrize("value", ["10", "", "5 m", True, [], {}])
def test_what_is_no_length_of_time(value: object) -> None:
    with pytest.raises(ValueError, match=r"time: |keep_alive is"):
        keep_alive(value)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (NOW, "2017-07-14T02:40:00.12Z"),
        (NOW + 1, "2017-07-14T02:40:00.120000001Z"),
    ],
)
def test_a_time_has_as_many_digits_as_it_needs(nanoseconds: int, text: str) -> None:
    assert moment(nanoseconds) == text


STATS = Stats(9, 3, 40, 3, 200, 0, 310)
METRICS = {
    "total_duration": 310,
    "load_duration": 1,
    "prompt_eval_count": 9,
    "prompt_eval_duration": 40,
    "eval_count": 3,
    "eval_duration": 200,
}


def test_the_lines_of_generate() -> None:
    head = Head("m", chat=False)
    start = {"model": "m", "created_at": "2017-07-14T02:40:00.12Z"}
    assert head.line(NOW, Said("Hel")) == {**start, "response": "Hel", "done": False}
    last = head.last(NOW, Said(), Finished(Reason.STOP, STATS), [1, 2])
    expected = {**start, "response": "", "done": True, "done_reason": "stop", "context": [1, 2]}
    assert last == {**expected, **METRICS}
    assert head.only(NOW, "load") == {**start, "response": "", "done": True, "done_reason": "load"}


def test_the_lines_of_chat_all_have_a_role_and_a_content() -> None:
    head = Head("m", chat=True)
    call = {"id": "call_1", "function": {"index": 0, "name": "f", "arguments": {}}}
    lines: list[dict[str, Any]] = [
        head.line(NOW, Said(thinking="hm")),
        head.line(NOW, Said(calls=(call,))),
        head.last(NOW, Said(), Finished(Reason.LENGTH, STATS)),
        head.only(NOW, "unload"),
    ]
    assert [line["message"] for line in lines] == [
        {"role": "assistant", "content": "", "thinking": "hm"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": ""},
    ]
    assert [line.get("done_reason") for line in lines] == [None, None, "length", "unload"]


def test_an_answer_nobody_wanted_any_more_ended_with_stop() -> None:
    line = Head("m", chat=True).last(NOW, Said(), Finished(Reason.CANCELLED))
    assert line["done_reason"] == "stop"


def test_an_error_is_a_text_and_what_we_add_stands_beside_it() -> None:
    assert Failure(400, "no", {"num_ctx": 4}).body == {"error": "no", "num_ctx": 4}
