"""``serve``, ``ps`` and ``stop``, and what they read from the environment."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import pytest
from servers import kid, running
from shell import Shell

from mbuild.cli.address import Address, BadAddress, parse
from mbuild.cli.loaded import loaded_as_table
from mbuild.cli.peer import NoServer, ours
from mbuild.cli.serving import Environment, Taken, listen
from mbuild.runtime.pool import FOREVER, Limits

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "127.0.0.1:11434"),
        ("localhost", "localhost:11434"),
        ("http://10.0.0.1", "10.0.0.1:11434"),
        ("http://10.0.0.1:80/path", "10.0.0.1:80"),
        (":8080", "127.0.0.1:8080"),
        ("[::1]:80", "[::1]:80"),
        ("::1", "[::1]:11434"),
        (' "0.0.0.0" ', "0.0.0.0:11434"),
    ],
)
def test_an_address(text: str, expected: str) -> None:
    assert str(parse(text)) == expected


@pytest.mark.parametrize("text", ["https://x", "x:99999", "x:a", "a b", "me@x", "x:-1"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadAddress):
        parse(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("a", False)],
)
def test_who_can_reach_an_address(host: str, loopback: bool) -> None:
    assert Address(host).is_loopback is loopback


def read(variables: Mapping[str, str]) -> tuple[Environment, list[str]]:
    warned: list[str] = []
    return Environment(variables, warned.append), warned


def test_the_environment_decides() -> None:
    found, warned = read(
        {
            "OLLAMA_NUM_PARALLEL": " '8' ",
            "OLLAMA_CONTEXT_LENGTH": "2048",
            "OLLAMA_ORIGINS": "http://a, http://b",
            "OLLAMA_KEEP_ALIVE": "1h",
            "OLLAMA_MAX_LOADED_MODELS": "5",
            "OLLAMA_MAX_QUEUE": "7",
        }
    )
    assert (found.parallel, found.num_ctx) == (8, 2048)
    assert found.origins == ("http://a", "http://b")
    assert found.limits == Limits(3600 * SECOND, 5, 7)
    assert warned == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [("10", 10 * SECOND), ("-1", FOREVER), ("-5m", FOREVER), ("0", 0), ("1m", 60 * SECOND)],
)
def test_how_long_models_stay(text: str, expected: int) -> None:
    assert read({"OLLAMA_KEEP_ALIVE": text})[0].limits.keep_alive == expected


def test_what_cannot_be_read_is_told_and_the_default_holds() -> None:
    found, warned = read({"OLLAMA_NUM_PARALLEL": "many", "OLLAMA_KEEP_ALIVE": "5 minutes"})
    assert (found.parallel, found.limits.keep_alive) == (4, 300 * SECOND)
    assert len(warned) == 2


def test_a_taken_port_says_by_what() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:

        def hang_up() -> None:
            for _ in range(2):  # It is asked twice who it is.
                other.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        with pytest.raises(Taken, match=r"taken by another program"):
            listen(Address(port=other.getsockname()[1]))


@contextmanager
def serving(shell: Shell, *words: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address of ``mbuild serve``, and its process."""
    command = [sys.executable, "-m", "mbuild", "serve", "--port", "0", *words]
    process = subprocess.Popen(
        command,
        cwd=shell.folder,
        env=shell.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        while line and " at http://" not in line:
            line = process.stderr.readline()
        yield line.rpartition("http://")[2].strip(), process
    finally:
        process.terminate()
        process.wait(60)
        process.stderr.close()


def test_serve_answers_and_a_taken_port_is_told(shell: Shell) -> None:
    with serving(shell) as (address, _):
        listed = shell.run("ps", env={"MBUILD_HOST": address})
        assert listed.out.split() == ["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"]
        taken = shell.run("serve", "--port", address.rpartition(":")[2])
        assert taken.status == 1
        assert f"is taken by mbuild 0.1.0 on {shell.store}" in taken.err
        assert "choose another port: mbuild serve --port" in taken.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_serve_ends_in_order_when_told(shell: Shell, number: signal.Signals) -> None:
    with serving(shell) as (address, process):
        assert shell.run("ps", env={"MBUILD_HOST": address}).status == 0
        process.send_signal(number)
        assert process.wait(60) == 0


def test_another_address_needs_a_key_or_a_loud_flag(shell: Shell) -> None:
    refused = shell.run("serve", "--host", "0.0.0.0", "--port", "0")
    assert refused.status == 2
    assert "give --api-key, or --insecure-no-auth" in refused.err


def test_ps_and_stop_talk_to_the_server_that_is_named(shell: Shell) -> None:
    with running(kid(shell.folder)) as up:
        named = {"MBUILD_HOST": up.url}
        up.post("/api/generate", {"model": "kid"})
        listed = shell.run("ps", env=named)
        assert listed.out.splitlines()[1].split()[0] == "kid:latest"
        assert shell.run("ps", "x", env=named).out.count("\n") == 1
        assert shell.run("stop", "kid", env=named).status == 0
        assert up.pool.residents() == ()
        missing = shell.run("stop", "no", env=named)
        assert (missing.status, missing.out) == (1, "")
        assert 'couldn\'t find model "no" to stop' in missing.err


def test_a_server_on_another_store_is_left_alone_unless_it_is_named(shell: Shell) -> None:
    with running(kid(shell.folder)) as up:
        usual = Address(port=up.port)
        assert ours(up.store.root, named="", usual=usual) == usual
        with pytest.raises(NoServer, match=f"is on {up.store.root}, not on /elsewhere") as caught:
            ours("/elsewhere", named="", usual=usual)
        assert caught.value.hints[1] == f"or name it: MBUILD_HOST={usual}"
        assert ours("/elsewhere", named=up.url) == usual


def test_without_a_server_ps_says_how_to_start_one(shell: Shell) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
    ran = shell.run("ps", env={"MBUILD_HOST": f"127.0.0.1:{port}"})
    assert ran.status == 1
    assert f"no mbuild server at 127.0.0.1:{port}" in ran.err
    assert "mbuild serve starts one" in ran.err


def test_the_table_of_what_is_loaded() -> None:
    model = {
        "name": "kid:latest",
        "digest": "0123456789abcdef",
        "size": 2_000_000_000,
        "size_vram": 500_000_000,
        "context_length": 4096,
        "expires_at": "2026-01-01T00:05:00.5Z",
    }
    rows = [model, {**model, "size_vram": 0, "expires_at": "2025-12-31T23:59:59Z"}]
    assert loaded_as_table(rows, now=1767225600).splitlines() == [
        "NAME          ID              SIZE    PROCESSOR          CONTEXT    UNTIL              ",
        "kid:latest    0123456789ab    2 GB    75%/25% CPU/GPU    4096       "
        "5 minutes from now    ",
        "kid:latest    0123456789ab    2 GB    100% CPU           4096       "
        "Stopping...           ",
    ]
