"""The file of what was typed."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbuild.cli.history import History


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "history"


def test_entries_come_back_in_order(path: Path) -> None:
    history = History(str(path))
    history.add("one")
    history.add("two\nlines")
    assert History(str(path)).entries() == ["one", "two\nlines"]


def test_the_file_is_ours_alone_and_has_an_entry_on_a_line(path: Path) -> None:
    history = History(str(path))
    history.add("why?")
    history.add("how?")
    assert path.read_text() == "why?\nhow?\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["history"]


def test_only_the_last_hundred_are_kept(path: Path) -> None:
    history = History(str(path))
    for number in range(105):
        history.add(str(number))
    assert history.entries() == [str(number) for number in range(5, 105)]


def test_nothing_is_kept_when_nothing_is_to_be(path: Path) -> None:
    History(str(path), keeps=False).add("secret")
    History(str(path)).add("  ")
    assert not path.exists()


def test_two_chats_do_not_undo_each_other(path: Path) -> None:
    one, two = History(str(path)), History(str(path))
    one.add("from one")
    two.add("from two")
    assert one.entries() == ["from one", "from two"]


def test_a_place_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = History(str(tmp_path / "file" / "history"))
    history.add("one")
    assert history.entries() == []


@given(st.text(st.characters(exclude_characters="\r\u2028\x00", codec="utf-8")).filter(str.strip))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_comes_back(path: Path, text: str) -> None:
    history = History(str(path))
    history.add(text)
    assert history.entries()[-1] == text
