"""Colours that can be read on a dark and on a light terminal."""

import pytest
from click import unstyle

from mbuild.cli.findings import BLUE, GREY, ORANGE, RED, SEVERITIES, TEAL, paint
from mbuild.compiler.diagnostic import Code, Diagnostic, Severity, Source, render

STEPS = (0, 95, 135, 175, 215, 255)


def luminance(color: int) -> float:
    """Of one of the 256 colours (xterm), as WCAG defines it."""
    if color >= 232:
        red = green = blue = 8 + 10 * (color - 232)
    else:
        red, green, blue = (STEPS[(color - 16) // by % 6] for by in (36, 6, 1))
    linear = [((part / 255 + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", [RED, ORANGE, BLUE, TEAL, GREY])
def test_a_color_stands_out_from_black_and_from_white(color: int) -> None:
    assert (luminance(color) + 0.05) / 0.05 >= 3
    assert 1.05 / (luminance(color) + 0.05) >= 3


def test_each_severity_has_a_color_of_its_own() -> None:
    assert len({SEVERITIES[severity] for severity in Severity}) == len(Severity)


def test_colors_change_nothing_but_colors() -> None:
    source = Source("Modelfile", "FROM base\n")
    finding = Diagnostic(Code.MOVING_TAG, "a b", source.span(5, 9), "c")
    assert unstyle(paint(finding)) == render(finding) + "\n"
    assert paint(finding) != unstyle(paint(finding))
