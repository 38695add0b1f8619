"""create, list, show, cp and rm, typed into a shell."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from gguf_files import write_gguf
from shell import Shell, need
from syrupy.assertion import SnapshotAssertion

KID = """FROM ./m.gguf
PARAMETER temperature 1
PARAMETER stop "<|im_end|>"
SYSTEM \"\"\"
You are a 5-year old kid.
Answer as one.
\"\"\"
LICENSE MIT
MESSAGE user hi
MESSAGE assistant Hi! Do you like mud?
"""


def _masked(text: str, shell: Shell) -> str:
    """*text* without what differs from run to run."""
    text = text.replace(str(shell.store), "STORE").replace(str(shell.folder), "WORK")
    return re.sub(r"(Less than a second|\d+ seconds?) ago +", "NOW ago    ", text)


def test_a_model_is_created(shell: Shell, snapshot: SnapshotAssertion) -> None:
    shell.write("Modelfile", KID)
    first = shell.run("create", "kid")
    assert (first.status, first.out) == (0, "")
    assert first.err == snapshot(name="first")
    again = shell.run("create", "kid")
    assert again.err == snapshot(name="again")
    shell.write("Modelfile", KID.replace("mud", "rain"))
    assert shell.run("create", "kid").err == snapshot(name="edited")


def test_quiet_says_nothing_when_all_is_well(shell: Shell) -> None:
    shell.write("Modelfile", KID)
    ran = shell.run("create", "kid", "--quiet")
    assert (ran.status, ran.out, ran.err) == (0, "", "")


def test_the_modelfile_can_come_from_standard_input(shell: Shell) -> None:
    shell.ok("create", "kid", "-f", "-", stdin="FROM ./m.gguf\nSYSTEM piped\n")
    assert shell.ok("show", "kid", "--system") == "piped"


def test_paths_are_seen_from_the_modelfile(shell: Shell) -> None:
    (shell.folder / "sub").mkdir()
    shell.write("sub/Modelfile", "FROM ../m.gguf\n")
    shell.ok("create", "kid", "-f", "sub/Modelfile")


def test_without_a_modelfile_the_folder_is_built(shell: Shell) -> None:
    shell.ok("create", "kid")
    assert "llama" in shell.ok("show", "kid")


def test_list(shell: Shell, snapshot: SnapshotAssertion) -> None:
    assert shell.ok("list") == "NAME    ID    SIZE    MODIFIED \n"
    shell.write("Modelfile", KID)
    shell.ok("create", "kid")
    shell.ok("create", "me/other:v1")
    rows = _masked(shell.ok("ls"), shell).splitlines()
    assert sorted(rows[1:]) == snapshot
    assert shell.ok("list", "ME/").count("\n") == 2
    assert sorted(shell.ok("list", "--quiet").split()) == ["kid:latest", "me/other:v1"]
    listed = json.loads(shell.ok("list", "--json"))
    assert {row["name"] for row in listed} == {"kid:latest", "me/other:v1"}
    assert len({row["digest"] for row in listed}) == 1


def test_a_damaged_model_is_listed_as_such(shell: Shell) -> None:
    shell.write("Modelfile", KID)
    shell.ok("create", "kid")
    path = shell.store / "manifests/registry.ollama.ai/library/kid/latest"
    path.with_name("bad").write_bytes(b"")
    ran = shell.run("list")
    assert ran.status == 0
    assert re.search(r"^kid:bad +damaged +- ", ran.out, re.MULTILINE)
    assert re.search(r"^kid:latest +[0-9a-f]{12} ", ran.out, re.MULTILINE)
    assert "warning: kid:bad is damaged" in ran.err
    assert shell.run("show", "kid:bad").status == 1


@pytest.mark.parametrize(
    "flag",
    ["", "--system", "--template", "--parameters", "--license", "--messages", "--modelfile"]
    + ["--layers", "--json"],
)
def test_show(shell: Shell, snapshot: SnapshotAssertion, flag: str) -> None:
    shell.write("Modelfile", KID)
    shell.ok("create", "kid")
    assert _masked(shell.ok("show", "kid", *flag.split()), shell) == snapshot


def test_what_show_prints_builds_the_same_layers(shell: Shell) -> None:
    shell.write("Modelfile", KID)
    shell.ok("create", "kid")
    shell.ok("create", "twin", "-f", "-", stdin=shell.ok("show", "kid", "--modelfile"))
    layers = [
        {(layer["mediaType"], layer["digest"]) for layer in json.loads(text)["layers"]}
        for text in (shell.ok("show", name, "--json") for name in ("kid", "twin"))
    ]
    assert layers[0] == layers[1]


def test_cp_and_rm(shell: Shell) -> None:
    shell.write("Modelfile", KID)
    shell.ok("create", "kid")
    assert shell.ok("cp", "kid", "me/kid:v2") == "copied 'kid' to 'me/kid:v2'\n"
    assert shell.ok("rm", "kid") == "deleted 'kid'\n"
    assert shell.ok("list", "--quiet") == "me/kid:v2\n"
    assert "5-year old" in shell.ok("show", "me/kid:v2", "--system")
    assert shell.ok("rm", "me/kid:v2") == "deleted 'me/kid:v2'\n"
    assert list((shell.store / "blobs").iterdir()) == []


def test_rm_stops_at_the_first_that_is_not_there(shell: Shell) -> None:
    shell.write("Modelfile", KID)
    shell.ok("create", "a")
    shell.ok("create", "b")
    ran = shell.run("rm", "a", "nope", "b")
    assert (ran.status, ran.out) == (1, "deleted 'a'\n")
    assert ran.err.startswith("Error: no model nope:latest in the store\n")
    assert shell.ok("list", "--quiet") == "b:latest\n"


def test_names_are_found_in_any_case(shell: Shell) -> None:
    shell.write("Modelfile", KID)
    shell.ok("create", "Kid")
    shell.ok("create", "kid")
    assert shell.ok("list", "--quiet") == "Kid:latest\n"
    assert shell.ok("show", "KID", "--license") == "MIT\n"


def test_the_store_is_where_the_option_says(shell: Shell, tmp_path: Path) -> None:
    shell.write("Modelfile", KID)
    elsewhere = str(tmp_path / "elsewhere")
    shell.ok("--models-dir", elsewhere, "create", "kid")
    assert shell.ok("list", "--quiet") == ""
    assert shell.ok("list", "--quiet", "--models-dir", elsewhere) == "kid:latest\n"
    home = shell.run("list", "--quiet", env={"MBUILD_MODELS": "", "OLLAMA_MODELS": elsewhere})
    assert (home.status, home.out) == (0, "")


def test_reading_makes_no_folder(shell: Shell) -> None:
    for words in (["list"], ["show", "x"], ["rm", "x"], ["cp", "x", "y"]):
        shell.run(*words)
    # rm takes the lock before it looks, so the store's own folder may be there.
    assert not (shell.store / "blobs").exists()
    assert not (shell.store / "manifests").exists()


BAD = {
    "no such file": ("FROM ./nope.gguf", ()),
    "several mistakes": ("FROM ./m.gguf\nPARAMETER top_q 1\nSYSTM hi\nMESSAGE User hi\n", ()),
    "crlf": ("FROM ./m.gguf\r\nPARAMETER num_ctx many\r\n", ()),
    "wide characters": ("FROM ./m.gguf\nPARAMETER temperature 火 👩‍🚀 hot\n", ()),
    "swallowed line": ('FROM ./m.gguf\nSYSTEM "hello" world\nPARAMETER stop "x"\n', ()),
    "open quote": ('FROM ./m.gguf\nSYSTEM """never closed\n', ()),
    "ollama dialect": ("FROM ./m.gguf\nBAD x\n", ("--dialect=ollama",)),
    "not gguf": ("FROM ./text.gguf", ()),
    "no from": ("SYSTEM hi\n", ()),
    "empty": ("", ()),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_modelfile_is_refused_and_changes_nothing(
    shell: Shell, snapshot: SnapshotAssertion, case: str
) -> None:
    shell.write("text.gguf", "hello")
    shell.ok("create", "kid", "-f", "-", stdin=KID)
    before = shell.ok("list", "--json")
    text, options = BAD[case]
    shell.write("Modelfile", text)
    ran = shell.run("create", "kid", "--quiet", *options)
    assert ran.status == 1
    assert ran.out == ""
    assert _masked(ran.err, shell) == snapshot
    assert shell.ok("list", "--json") == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["create", "a b"], "'a b' is no model's name", id="a bad name"),
        pytest.param(["create", "kid", "-f", "nope"], "nope: no such file", id="no Modelfile"),
        pytest.param(["create", "kid", "-f", "."], ".: is a directory", id="a folder"),
        pytest.param(["create", "kid", "-f", "/dev/zero"], "larger than 64 MiB", id="no end"),
        pytest.param(["show", "nope"], "no model nope:latest", id="show"),
        pytest.param(["cp", "nope", "x"], "no model nope:latest", id="cp"),
        pytest.param(["cp", "nope", "x:"], "'x:' is no model's name", id="a bad target"),
    ],
)
def test_an_error_is_one_clear_line_and_status_1(shell: Shell, words: list[str], said: str) -> None:
    ran = shell.run(*words)
    assert ran.status == 1
    assert ran.err.startswith("Error: ")
    assert said in ran.err.splitlines()[0]
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ["creat", "x"],
        ["create"],
        ["create", "x", "--nope"],
        ["create", "x", "-q", "Q4_0"],
        ["show", "x", "--system", "--license"],
        ["rm"],
        ["create", "x", "--dialect", "docker"],
    ],
)
def test_a_command_typed_wrongly_has_status_2(shell: Shell, words: list[str]) -> None:
    ran = shell.run(*words)
    assert ran.status == 2
    assert "Error:" in ran.err


def test_a_near_command_is_suggested(shell: Shell) -> None:
    assert "did you mean create?" in shell.run("creat").err


@pytest.mark.parametrize("command", ["", "create", "run", "show", "list", "cp", "rm"])
def test_help(shell: Shell, snapshot: SnapshotAssertion, command: str) -> None:
    assert shell.ok(*command.split(), "--help") == snapshot


def test_version(shell: Shell) -> None:
    assert re.fullmatch(r"mbuild \d+\.\d+\.\d+\n", shell.ok("--version"))


def test_names_complete(shell: Shell) -> None:
    shell.ok("create", "kid", "-f", "-", stdin=KID)
    shell.ok("create", "other", "-f", "-", stdin=KID)
    done = subprocess.run(
        [sys.executable, "-c", "from mbuild.cli.app import main; main()"],
        env=shell.environment(
            {"_MBUILD_COMPLETE": "bash_complete", "COMP_WORDS": "mbuild show k", "COMP_CWORD": "2"}
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "plain,kid:latest\n"


def test_debug_shows_where_it_happened(shell: Shell) -> None:
    ran = shell.run("show", "nope", "--debug")
    assert ran.status == 1
    assert "Traceback" in ran.err
    assert "MissingModel" in ran.err


def test_a_closed_pipe_is_no_error(shell: Shell) -> None:
    shell.write("Modelfile", KID)
    shell.ok("create", "kid")
    command = f"{sys.executable} -m mbuild show kid --json | true"
    done = subprocess.run(
        ["bash", "-c", command], env=shell.environment(), capture_output=True, check=False
    )
    assert done.stderr == b""


def test_a_full_disk_leaves_the_store_as_it_was(shell: Shell) -> None:
    shell.ok("create", "kid", "-f", "-", stdin=KID)
    before = shell.ok("list", "--json")
    write_gguf(shell.folder / "big.gguf", {"general.architecture": "x", "k": "y" * 3_000_000})
    # A limit on the size of files stands for a disk on which there is no more room.
    ran = shell.run(
        "create",
        "kid",
        "-f",
        "-",
        stdin="FROM ./big.gguf",
        prefix=[need("prlimit", "util-linux"), "--fsize=2000000"],
    )
    assert ran.status == 1
    assert "Error:" in ran.err
    assert "Traceback" not in ran.err
    assert shell.ok("list", "--json") == before
    assert not [path for path in (shell.store / "blobs").iterdir() if path.stat().st_size > 10**6]


def test_ctrl_c_in_an_import_leaves_the_store_as_it_was(shell: Shell) -> None:
    # A hole of 64 GiB takes minutes to hash: there is time to interrupt.
    path = write_gguf(shell.folder / "huge.gguf", {"general.architecture": "x"})
    os.truncate(path, 64 << 30)
    process = subprocess.Popen(
        [sys.executable, "-m", "mbuild", "create", "huge", "-f", "-"],
        cwd=shell.folder,
        env=shell.environment(),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write("FROM ./huge.gguf\n")
    process.stdin.close()
    for line in process.stderr:
        if line.startswith("copying file"):
            break
    process.send_signal(signal.SIGINT)
    rest = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 130
    assert "Traceback" not in rest
    assert "Interrupted" in rest
    assert list((shell.store / "blobs").iterdir()) == []
    assert shell.ok("list", "--quiet") == ""


def _as_somebody_else(shell: Shell) -> list[str]:
    """What makes a command run without the right to write to the store."""
    if os.geteuid() != 0:
        for path in (shell.store / "blobs", shell.store / "mbuild"):
            path.chmod(0o500)
        return []
    for path in shell.folder.parents:
        if path.stat().st_uid == 0 and not path.stat().st_mode & 0o005:
            path.chmod(0o755)
    return [need("setpriv", "util-linux"), "--reuid=65534", "--regid=65534", "--clear-groups"]


def test_a_store_without_permission_is_told_by_its_path(shell: Shell) -> None:
    shell.ok("create", "kid", "-f", "-", stdin=KID)
    prefix = _as_somebody_else(shell)
    edited = KID.replace("mud", "sun")
    ran = shell.run("create", "kid", "-f", "-", stdin=edited, prefix=prefix)
    assert ran.status == 1
    assert f"Error: {shell.store}" in ran.err
    assert "permission denied" in ran.err
    assert "Traceback" not in ran.err
    assert shell.run("show", "kid", "--license", prefix=prefix).out == "MIT\n"


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals_that_want_them(
    shell: Shell, no_color: str, coloured: bool
) -> None:
    environment = shell.environment({"NO_COLOR": no_color, "TERM": "xterm"})
    shell.write("Modelfile", "FROM ./nope.gguf\n")
    for words in (["show", "nope"], ["create", "kid"]):
        child = pexpect.spawn(
            sys.executable, ["-m", "mbuild", *words], cwd=shell.folder, env=environment, timeout=60
        )
        child.expect(pexpect.EOF)
        child.close()
        assert (b"\x1b[" in child.before) is coloured


HEAVY = ("llama_cpp", "numpy", "huggingface_hub", "prompt_toolkit", "rich", "lark", "jinja2")


@pytest.mark.parametrize(
    "words",
    [["--help"], ["list"], ["create", "kid"], ["show", "kid"]],
    ids=lambda words: words[0],
)
def test_a_quick_command_imports_nothing_heavy(shell: Shell, words: list[str]) -> None:
    shell.write("Modelfile", KID)
    shell.ok("create", "kid")
    script = (
        "import sys; from mbuild.cli.app import cli\n"
        f"try: cli({words!r}, standalone_mode=False)\n"
        "finally: print(','.join(sorted(sys.modules)), file=sys.__stdout__)"
    )
    printed = shell.python(script)
    loaded = {name.split(".")[0] for name in printed.splitlines()[-1].split(",")}
    assert not loaded & {*HEAVY, "starlette", "fastapi", "uvicorn", "aiohttp"}


def test_an_unchanged_create_does_not_import_the_parser(shell: Shell) -> None:
    shell.write("Modelfile", "FROM base\nSYSTEM a\n")
    shell.ok("create", "base", "-f", "-", stdin="FROM ./m.gguf")
    shell.ok("create", "kid")
    script = (
        "import sys; from mbuild.cli.app import cli\n"
        "cli(['create', 'kid', '--quiet'], standalone_mode=False)\n"
        "print(','.join(sorted(sys.modules)))"
    )
    printed = shell.python(script)
    assert "mbuild.compiler.inputs" in printed
    assert "mbuild.compiler.parser" not in printed
    assert "mbuild.compiler.build" not in printed


def test_an_edit_reads_no_weights(shell: Shell) -> None:
    shell.ok("create", "base", "-f", "-", stdin="FROM ./m.gguf")
    weights = max((shell.store / "blobs").iterdir(), key=lambda path: path.stat().st_size)
    assert "copying" not in shell.run("create", "kid", "-f", "-", stdin="FROM base\nSYSTEM x").err
    script = (
        "import sys\n"
        "def watch(event, args):\n"
        f"    assert event != 'open' or {str(weights)!r} != str(args[0]), args\n"
        "sys.addaudithook(watch)\n"
        "from mbuild.cli.app import cli\n"
        "cli(['create', 'kid', '-f', 'Modelfile'], standalone_mode=False)\n"
    )
    shell.write("Modelfile", "FROM base\nSYSTEM y\n")
    shell.python(script)
