"""export, typed into a shell."""

import json
import os
from pathlib import Path

from shell import Shell

KID = """ARG MOOD=kind
FROM base
SYSTEM --append Be ${MOOD}.
MESSAGE user hi
"""


def create(shell: Shell) -> None:
    shell.write("base.modelfile", "FROM ./m.gguf\nSYSTEM You are a kid.\nLICENSE MIT\n")
    shell.write("kid.modelfile", KID)
    shell.ok("create", "base", "-f", "base.modelfile", "--quiet")
    shell.ok("create", "kid", "-f", "kid.modelfile", "--quiet")


def layers(shell: Shell, model: str) -> set[tuple[str, str]]:
    shown = json.loads(shell.ok("show", model, "--json"))
    return {(layer["mediaType"], layer["digest"]) for layer in shown["layers"]}


def test_a_plain_modelfile_is_printed(shell: Shell) -> None:
    create(shell)
    ran = shell.run("export", "kid")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == (
        "# kid:latest, as mbuild export wrote it\n"
        "\n"
        "FROM base:latest\n"
        'SYSTEM "You are a kid.\n'
        'Be kind."\n'
        "MESSAGE user hi\n"
    )


def test_what_is_printed_builds_to_the_same_layers(shell: Shell) -> None:
    create(shell)
    for model in ("kid", "base"):
        text = shell.ok("export", model)
        shell.ok("create", "again", "-f", "-", "--dialect=ollama", "--quiet", stdin=text)
        assert layers(shell, "again") == layers(shell, model)


def test_a_folder_is_written_and_builds_to_the_same_layers(shell: Shell) -> None:
    create(shell)
    ran = shell.run("export", "--dir", "out/", "kid")
    assert (ran.status, ran.err) == (0, "copying kid.gguf\n")
    written = [
        *("out/Modelfile", "out/kid.gguf", "out/prompts/system.md", "out/prompts/license-1.txt"),
        "out/prompts/messages.json",
    ]
    assert ran.out.splitlines() == written
    assert all((shell.folder / name).is_file() for name in written)
    shell.ok("create", "again", "-f", "out/Modelfile", "--dialect=ollama", "--quiet")
    assert layers(shell, "again") == layers(shell, "kid")


def test_a_folder_that_is_not_empty_needs_force(shell: Shell) -> None:
    create(shell)
    shell.ok("export", "--dir", "out", "kid")
    ran = shell.run("export", "--dir", "out", "kid")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "Error: out is not empty, and --force is not given\n"
    shell.ok("export", "--dir", "out", "--force", "--link", "kid")
    blobs = os.listdir(shell.store / "blobs")
    exported = shell.folder / "out" / "kid.gguf"
    assert any(os.path.samefile(exported, shell.store / "blobs" / name) for name in blobs)


def test_force_and_link_need_a_folder(shell: Shell) -> None:
    create(shell)
    for option in ("--force", "--link"):
        ran = shell.run("export", option, "kid")
        assert ran.status == 2
        assert f"{option} needs --dir" in ran.err


def test_what_a_plain_file_cannot_say_is_refused_by_name(shell: Shell) -> None:
    shell.write("Modelfile", 'FROM ./m.gguf\nSCHEMA {"type": "object"}\n')
    shell.ok("create", "kid", "--quiet")
    for words in (["kid"], ["kid", "--dir", "out"]):
        ran = shell.run("export", *words)
        assert (ran.status, ran.out) == (1, "")
        message = "no plain Modelfile can carry SCHEMA: only mbuild knows it"
        assert ran.err == f"Error: {message}\n"
    assert not Path(shell.folder / "out").exists()


def test_a_model_that_is_not_there_is_named(shell: Shell) -> None:
    ran = shell.run("export", "nobody")
    assert ran.status == 1
    assert ran.err.startswith("Error: no model nobody:latest in the store\n")
