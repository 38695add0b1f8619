"""What changes in a file, for `patch` and for a person."""

import subprocess
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shell import need

from mbuild.cli.filediff import painted_diff, plain_diff


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("a\nb\n", "A\nb\n", id="a line"),
        pytest.param("a", "a\n", id="no line end before"),
        pytest.param("a\n-- b\n++ c\n", "a\n", id="lines like heads"),
        pytest.param("a\x0cb\u2028c\n", "a\n", id="line ends that are none"),
    ],
)
def test_patch_makes_the_one_of_the_other(tmp_path: Path, before: str, after: str) -> None:
    patch = need("patch", "patch")
    path = tmp_path / "f"
    path.write_text(before, encoding="utf-8", newline="")
    diff = plain_diff("f", before, after).encode()
    subprocess.run([patch, "f"], cwd=tmp_path, input=diff, capture_output=True, check=True)
    assert path.read_text(encoding="utf-8") == after


def test_no_difference_shows_nothing() -> None:
    assert plain_diff("f", "a\n", "a\n") == painted_diff("f", "a\n", "a\n") == ""


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        pytest.param("a \n", "a\n", "-a␠\n+a\n", id="a blank at the end"),
        pytest.param("a\t\n", "a\n", "-a␉\n+a\n", id="a tab at the end"),
        pytest.param('"a"\u200b \n', '"a"\n', '-"a"<U+200B>␠\n+"a"\n', id="an invisible character"),
        pytest.param("a\r\nb\n", "a\nb\n", "-a␍␊\n+a\n b\n", id="another line end"),
        pytest.param("a", "a\n", "-a␄\n+a\n", id="no line end"),
        pytest.param("a\r\n b\r\n", "a\r\nb\r\n", " a\n- b\n+b\n", id="the usual line end"),
        pytest.param("\x1b[2Ja\n", "a\n", "-␛[2Ja\n+a\n", id="a control character"),
        pytest.param("-- a\n", "b\n", "--- a\n+b\n", id="a line like a head"),
    ],
)
def test_what_cannot_be_seen_is_shown(before: str, after: str, shown: str) -> None:
    painted = click.unstyle(painted_diff("f", before, after))
    assert painted.split("@@\n", 1)[1] == shown


@given(st.text(), st.text())
def test_a_person_sees_each_line_of_the_diff(before: str, after: str) -> None:
    assert bool(painted_diff("f", before, after)) == (before != after)
