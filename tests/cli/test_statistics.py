"""The timing block, whole."""

from mbuild.cli.statistics import timings
from mbuild.runtime.engine import Stats

FULL = Stats(
    prompt_eval_count=26,
    prompt_eval_duration=130_100_000,
    eval_count=290,
    eval_duration=3_502_000_000,
    load_duration=12_900_000,
    total_duration=3_734_500_000,
)


def test_every_line_is_labelled_and_aligned() -> None:
    assert timings(FULL) == (
        "total duration:       3.7345s\n"
        "load duration:        12.9ms\n"
        "prompt eval count:    26 token(s)\n"
        "prompt eval duration: 130.1ms\n"
        "prompt eval rate:     199.85 tokens/s\n"
        "eval count:           290 token(s)\n"
        "eval duration:        3.502s\n"
        "eval rate:            82.81 tokens/s\n"
    )


def test_a_line_whose_value_is_zero_is_left_out() -> None:
    assert timings(Stats()) == ""
    assert timings(Stats(eval_duration=5, total_duration=831)) == (
        "total duration:       831ns\neval duration:        5ns\n"
    )
