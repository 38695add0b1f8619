import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mbuild.store import locks


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "mbuild" / "lock")


def test_many_share_a_lock_and_none_is_alone_meanwhile(path: str) -> None:
    with locks.shared(path), locks.shared(path), locks.alone_if_free(path) as free:
        assert not free
    with locks.alone_if_free(path) as free:
        assert free


def test_one_alone_keeps_out_another(path: str) -> None:
    with locks.alone(path), locks.alone_if_free(path) as free:
        assert not free


def test_who_wants_it_alone_waits_until_all_have_gone(path: str) -> None:
    got = threading.Event()

    def want() -> None:
        with locks.alone(path):
            got.set()

    thread = threading.Thread(target=want)
    with locks.shared(path):
        thread.start()
        assert not got.wait(timeout=0.05)
    assert got.wait(timeout=30)
    thread.join(timeout=30)


def test_a_process_that_is_killed_lets_go(path: str) -> None:
    script = (
        "import sys; from mbuild.store import locks\n"
        "with locks.shared(sys.argv[1]): print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with locks.alone_if_free(path) as free:
            assert not free
        child.kill()
    with locks.alone_if_free(path) as free:
        assert free


def test_an_error_within_lets_go(path: str) -> None:
    with pytest.raises(ZeroDivisionError), locks.alone(path):
        raise ZeroDivisionError
    with locks.alone_if_free(path) as free:
        assert free


def test_with_patience_it_is_had_once_it_is_free(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, tried = threading.Event(), threading.Event()

    def hold() -> None:
        with locks.shared(path):
            held.set()
            tried.wait(timeout=30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(timeout=30)
    monkeypatch.setattr(locks.time, "sleep", lambda _: tried.set())
    with locks.alone_if_free(path, patience=30) as free:
        assert free
    thread.join(timeout=30)


def test_patience_ends(path: str) -> None:
    with locks.shared(path), locks.alone_if_free(path, patience=0.02) as free:
        assert not free
