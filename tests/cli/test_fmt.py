"""fmt, typed into a shell."""

import os
import sys
from pathlib import Path

import pexpect
import pytest
from shell import Shell

UGLY = "from  a\n\n\nsystem   b  \n"
TIDY = "FROM a\n\nSYSTEM b\n"


def read(path: Path) -> str:
    return path.read_bytes().decode()


def test_a_file_is_formatted_in_place(shell: Shell) -> None:
    path = shell.write("Modelfile", UGLY)
    ran = shell.run("fmt")
    assert (ran.status, ran.out, ran.err) == (0, "formatted Modelfile\n", "1 file formatted\n")
    assert read(path) == TIDY
    ran = shell.run("fmt")
    assert (ran.status, ran.out, ran.err) == (0, "", "1 file unchanged\n")


def test_what_is_formatted_is_not_written_again(shell: Shell) -> None:
    path = shell.write("Modelfile", TIDY)
    before = path.stat()
    shell.ok("fmt")
    assert path.stat() == before


def test_folders_are_searched(shell: Shell) -> None:
    (shell.folder / "a" / ".git").mkdir(parents=True)
    names = ["a/Modelfile", "a/Modelfile.kid", "a/kid.Modelfile", "a/kid.modelfile"]
    for name in [*names, "a/README.md", "a/.git/Modelfile", "a/Modelfiles"]:
        shell.write(name, UGLY)
    ran = shell.run("fmt", ".", "a/Modelfile")
    assert ran.out.splitlines() == [f"formatted {name}" for name in names]
    assert ran.err == "4 files formatted\n"


def test_check_names_the_files_and_changes_nothing(shell: Shell) -> None:
    one, two = shell.write("one.modelfile", UGLY), shell.write("two.modelfile", TIDY)
    ran = shell.run("fmt", "--check", ".")
    assert (ran.status, ran.out) == (1, "would format one.modelfile\n")
    assert ran.err == "1 file would be formatted, 1 unchanged\n"
    assert (read(one), read(two)) == (UGLY, TIDY)
    assert shell.run("fmt", "--check", "two.modelfile").status == 0


def test_diff_shows_what_would_change(shell: Shell) -> None:
    path = shell.write("Modelfile", UGLY.rstrip("\n"))
    ran = shell.run("fmt", "--diff")
    assert ran.status == 1
    assert ran.out == (
        "--- Modelfile\n"
        "+++ Modelfile (formatted)\n"
        "@@ -1,4 +1,3 @@\n"
        "-from  a\n"
        "+FROM a\n"
        " \n"
        "-\n"
        "-system   b  \n"
        "\\ No newline at end of file\n"
        "+SYSTEM b\n"
    )
    assert read(path) == UGLY.rstrip("\n")


def test_a_diff_on_a_terminal_shows_what_cannot_be_seen(shell: Shell) -> None:
    shell.write("Modelfile", "FROM a\t\nSYSTEM b\r\nLICENSE c\n")
    environment = {k: v for k, v in shell.environment().items() if k != "NO_COLOR"}
    typed = pexpect.spawn(
        sys.executable,
        ["-m", "mbuild", "fmt", "--diff"],
        cwd=str(shell.folder),
        env={**environment, "TERM": "xterm"},
        timeout=60,
    )
    typed.expect(pexpect.EOF)
    typed.close()
    shown = typed.before.decode()
    assert typed.exitstatus == 1
    assert "\x1b[31m-FROM a\x1b[0m\x1b[41m␉\x1b[0m" in shown
    assert "\x1b[31m-SYSTEM b\x1b[0m\x1b[41m␍␊\x1b[0m" in shown
    assert "\x1b[32m+SYSTEM b\x1b[0m\r\n" in shown


def test_standard_input_becomes_standard_output(shell: Shell) -> None:
    ran = shell.run("fmt", "-", stdin=b"\xef\xbb\xbf" + UGLY.encode())
    assert (ran.status, ran.out, ran.err) == (0, "\ufeff" + TIDY, "")
    assert shell.run("fmt", "--check", "-", stdin=UGLY).status == 1
    assert shell.run("fmt", "-", "x").status == 2


def test_mistakes_are_shown_and_the_other_files_done(shell: Shell) -> None:
    wrong = shell.write("a.modelfile", "FROM x\nSYSTM y\n  NONSENSE\n")
    good = shell.write("b.modelfile", UGLY)
    ran = shell.run("fmt", "gone", ".")
    assert ran.status == 1
    assert ran.out == "formatted b.modelfile\n"
    assert ran.err == (
        "Error: gone: no such file or directory\n"
        "a.modelfile:2:1: error: unknown instruction SYSTM [MB004 unknown-instruction]\n"
        "  |\n"
        "2 | SYSTM y\n"
        "  | ^^^^^\n"
        "  = hint: did you mean SYSTEM?\n"
        "\n"
        "a.modelfile:3:3: error: unknown instruction NONSENSE [MB004 unknown-instruction]\n"
        "  |\n"
        "3 |   NONSENSE\n"
        "  |   ^^^^^^^^\n"
        "\n"
        "1 file formatted, 2 left alone\n"
    )
    assert read(wrong) == "FROM x\nSYSTM y\n  NONSENSE\n"
    assert read(good) == TIDY


@pytest.mark.parametrize("what", ["pipe", "device", "large", "latin", "utf-16 without a mark"])
def test_what_is_no_modelfile_is_left_alone(shell: Shell, what: str) -> None:
    path = shell.folder / "Modelfile"
    match what:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "large":
            with path.open("wb") as file:
                file.truncate((64 << 20) + 1)
        case "latin":
            path.write_bytes(b"from  \xe9\n")
        case _:
            path.write_bytes("from  a\n".encode("utf-16-le"))
    said = {
        "pipe": "Error: Modelfile is a named pipe, not a file",
        "device": "Error: Modelfile is a device, not a file",
        "large": "Error: Modelfile: larger than 64 MiB, so no Modelfile",
        "latin": "Modelfile:1:7: warning: byte 0xe9 is not UTF-8 and becomes U+FFFD",
    }
    ran = shell.run("fmt")
    assert ran.status == 1
    assert ran.err.startswith(said.get(what, "Modelfile:1:1: error: the file is UTF-16 without"))
    assert ran.err.endswith("1 file left alone\n")


def test_the_mode_stays_and_a_link_stays_a_link(shell: Shell) -> None:
    path = shell.write("real", UGLY)
    path.chmod(0o640)
    (shell.folder / "sub").mkdir()
    (shell.folder / "sub" / "Modelfile").symlink_to("../real")
    shell.ok("fmt", "sub")
    assert (shell.folder / "sub" / "Modelfile").is_symlink()
    assert read(path) == TIDY
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(shell.folder)) == ["m.gguf", "real", "sub"]


def test_a_failing_write_leaves_the_file_as_it_was(shell: Shell) -> None:
    path = shell.write("Modelfile", UGLY)
    script = (
        "import os, sys\n"
        "def fail(*_): raise OSError(28, 'No space left on device')\n"
        "os.fsync = fail\n"
        "sys.argv = ['mbuild', 'fmt']\n"
        "from mbuild.cli.app import cli\n"
        "try:\n    cli(['fmt'])\nexcept SystemExit as end:\n    print('status', end.code)\n"
    )
    assert "status 1" in shell.python(script)
    assert read(path) == UGLY
    assert sorted(os.listdir(shell.folder)) == ["Modelfile", "m.gguf"]


def test_a_folder_without_modelfiles_is_no_mistake(shell: Shell) -> None:
    ran = shell.run("fmt", ".")
    assert (ran.status, ran.out, ran.err) == (0, "", "no Modelfile found\n")
