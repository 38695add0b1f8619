"""``mbuild lint`` as a user runs it."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from shell import Shell
from syrupy.assertion import SnapshotAssertion

from mbuild.cli.annotations import format_github
from mbuild.cli.explaining import format_rule, format_table
from mbuild.cli.sarif import format_sarif
from mbuild.compiler.diagnostic import Code, Diagnostic, Edit, Label, Source
from mbuild.compiler.rules import RULES

GOOD = "FROM llama3.2:3b\n"
NOTE = "FROM llama3.2\n"
WARNING = "FROM llama3.2:3b\nPARAMETER mirostat 1\n"
ERROR = "FROM llama3.2:3b\nPARAMETER top_q 1\n"


@pytest.mark.parametrize(
    ("text", "flags", "status", "summary"),
    [
        pytest.param(GOOD, [], 0, "1 file, no findings", id="good"),
        pytest.param(NOTE, [], 0, "1 file, 1 note", id="note"),
        pytest.param(NOTE, ["--strict"], 0, "1 file, 1 note", id="note, strictly"),
        pytest.param(WARNING, [], 0, "1 file, 1 warning; --fix mends 1", id="warning"),
        pytest.param(
            WARNING, ["--strict"], 1, "1 file, 1 warning; --fix mends 1", id="warning, strictly"
        ),
        pytest.param(ERROR, [], 1, "1 file, 1 error", id="error"),
        pytest.param(ERROR + WARNING, [], 1, None, id="both"),
        pytest.param(WARNING, ["--fix", "--strict"], 0, "1 file, 1 mended, no findings", id="fix"),
    ],
)
def test_the_status_and_the_last_line(
    shell: Shell, text: str, flags: list[str], status: int, summary: str | None
) -> None:
    shell.write("Modelfile", text)
    ran = shell.run("lint", *flags)
    assert ran.status == status
    assert ran.err == ""
    assert summary is None or ran.out.splitlines()[-1] == summary


def test_what_a_person_sees(shell: Shell, snapshot: SnapshotAssertion) -> None:
    shell.write("Modelfile", "from llama3.2:3b\nPARAMETER top_q 1\nSYSTEM a\nSYSTEM 苹果 'b'\n")
    assert shell.run("lint").out == snapshot


def test_folders_are_searched_and_hidden_ones_not(shell: Shell) -> None:
    for name in ("a/Modelfile", "a/b/Modelfile.kid", "a/kid.Modelfile", "a/x.modelfile"):
        (shell.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shell.write(name, ERROR)
    for name in ("a/.git/Modelfile", "a/README.md", "a/Modelfiles"):
        (shell.folder / name).parent.mkdir(exist_ok=True)
        shell.write(name, ERROR)
    ran = shell.run("lint", "a")
    assert ran.out.splitlines()[-1] == "4 files, 4 errors"
    assert [line.split(":")[0] for line in ran.out.splitlines() if ": error:" in line] == [
        "a/Modelfile",
        "a/kid.Modelfile",
        "a/x.modelfile",
        "a/b/Modelfile.kid",
    ]


def test_an_included_file_needs_no_from(shell: Shell) -> None:
    shell.write("part.Modelfile", "PARAMETER seed 1\n")
    shell.write("Modelfile", GOOD + "INCLUDE part.Modelfile\n")
    assert shell.run("lint", ".").status == 0
    assert shell.run("lint", "part.Modelfile").status == 1


def test_standard_input(shell: Shell) -> None:
    ran = shell.run("lint", "-", stdin=ERROR)
    assert ran.status == 1
    assert ran.out.startswith("<stdin>:2:11: error: ")


def test_standard_input_mended_goes_to_standard_output(shell: Shell) -> None:
    ran = shell.run("lint", "-", "--fix", stdin="from a:1 \n")
    assert ran.out == "FROM a:1\n"
    assert ran.err.splitlines()[-1] == "1 file, 2 mended, no findings"


@pytest.mark.parametrize("words", [["--format", "xml"], ["--nope"], ["--explain", "MB999"]])
def test_a_wrong_command_is_a_usage_error(shell: Shell, words: list[str]) -> None:
    assert shell.run("lint", *words).status == 2


# What cannot be looked at.


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("none", "no such file or directory", id="missing"),
        pytest.param("fifo", "no regular file", id="FIFO"),
        pytest.param("sub/../fifo", "no regular file", id="FIFO by another path"),
        pytest.param("/dev/null", "no regular file", id="device"),
        pytest.param("huge", "larger than 64 MiB, so no Modelfile", id="too large"),
        pytest.param("m.gguf/x", "not a directory", id="below a file"),
    ],
)
def test_what_cannot_be_read_is_said_and_the_rest_is_done(
    shell: Shell, name: str, reason: str
) -> None:
    os.mkfifo(shell.folder / "fifo")
    (shell.folder / "sub").mkdir()
    with (shell.folder / "huge").open("wb") as file:
        file.truncate((64 << 20) + 1)
    shell.write("Modelfile", NOTE)
    ran = shell.run("lint", name, "Modelfile")
    assert ran.status == 1
    assert ran.err == f"{name}: error: {reason}\n"
    assert ran.out.splitlines()[-1] == "2 files, 1 not read, 1 note"


def test_no_modelfile_at_all(shell: Shell) -> None:
    ran = shell.run("lint")
    assert (ran.status, ran.err) == (1, "Modelfile: error: no such file or directory\n")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"FROM a:1\nSYSTEM " + b"x" * (10 << 20), id="10 MB of one line"),
        pytest.param(b"FROM a:1\n" + b"PARAMETER seed 1 \n" * 20_000, id="many findings"),
        pytest.param(b"FROM a:1\nSYSTEM \0\0\0\n", id="NUL"),
        pytest.param("FROM a:1\n".encode("utf-16-le"), id="UTF-16 without a mark"),
        pytest.param(b"\xff\xfe\xff", id="half a character"),
        pytest.param(b"FROM a:1\nSYSTEM \xff\n", id="no UTF-8"),
        pytest.param(b"", id="empty"),
        pytest.param(b'SYSTEM """' * 1000, id="open quotes"),
    ],
)
def test_any_file_is_looked_at_without_a_traceback(shell: Shell, data: bytes) -> None:
    (shell.folder / "Modelfile").write_bytes(data)
    ran = shell.run("lint")
    assert ran.status in (0, 1)
    assert "Traceback" not in ran.err
    assert ran.out.splitlines()[-1].startswith("1 file, ")
    assert len(ran.out) < 200_000


# Mending.


def test_a_mended_file_keeps_its_mode_and_its_encoding(shell: Shell) -> None:
    path = shell.folder / "Modelfile"
    path.write_bytes(b"\xff\xfe" + "from a:1\r\nSYSTEM 🦜\r\n".encode("utf-16-le"))
    path.chmod(0o640)
    out = shell.ok("lint", "--fix")
    assert path.read_bytes() == b"\xff\xfe" + "FROM a:1\r\nSYSTEM 🦜\r\n".encode("utf-16-le")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert "Modelfile: mended\n  MB110 word-case (1)\n\n" in out
    assert [each.name for each in shell.folder.iterdir() if "mbuild" in each.name] == []


def test_a_link_stays_a_link(shell: Shell) -> None:
    shell.write("real", "from a:1\n")
    (shell.folder / "Modelfile").symlink_to("real")
    shell.ok("lint", "--fix")
    assert (shell.folder / "Modelfile").is_symlink()
    assert (shell.folder / "real").read_text() == "FROM a:1\n"


def test_what_needs_no_mending_is_not_written(shell: Shell) -> None:
    path = shell.write("Modelfile", NOTE)
    os.utime(path, ns=(1, 1))
    shell.ok("lint", "--fix")
    assert path.stat().st_mtime_ns == 1


def test_looking_writes_nothing(shell: Shell) -> None:
    shell.write("Modelfile", WARNING + "TEMPLATE {{ .Prompt }}\n")
    before = sorted(shell.folder.parent.rglob("*"))
    shell.run("lint")
    assert sorted(shell.folder.parent.rglob("*")) == before
    assert not shell.store.exists()


# Rules.


@pytest.mark.parametrize("name", ["MB012", "mb012", "unknown-parameter", "Unknown_Parameter"])
def test_a_rule_is_explained_by_number_and_by_name(shell: Shell, name: str) -> None:
    assert shell.ok("lint", "--explain", name) == format_rule(RULES[Code.UNKNOWN_PARAMETER])


def test_an_explanation_looks_like_this(snapshot: SnapshotAssertion) -> None:
    assert format_rule(RULES[Code.SEVERAL_STOPS]) == snapshot


@pytest.mark.parametrize("code", list(Code), ids=str)
def test_every_code_is_explained(code: Code) -> None:
    text = format_rule(RULES[code])
    assert text.startswith(f"{code} ({code.severity.value})\n")
    assert "\nWrong:\n    " in text
    assert all(len(line) <= 80 or line.startswith("    ") for line in text.splitlines())


def test_an_unknown_rule_has_a_near_one(shell: Shell) -> None:
    ran = shell.run("lint", "--explain", "unknown-paramter")
    assert ran.status == 2
    assert ran.err.endswith("no rule is called unknown-paramter; did you mean unknown-parameter?\n")


def test_all_rules_are_listed(shell: Shell) -> None:
    assert shell.ok("lint", "--explain", "all") == format_table()
    assert len(format_table().splitlines()) == len(Code)


# Formats.


def finding() -> Diagnostic:
    source = Source("a dir/50%,x:y", "FROM 🦜 a\nSYSTEM a\nSYSTEM b\n")
    return Diagnostic(
        Code.REPLACED,
        "50% of\r\nSYSTEM",
        source.span(7, 8),
        "a: b, c",
        (Label(source.span(18, 24), "wins"),),
        (Edit(source.span(9, 18), ""),),
    )


def test_github_escapes_what_it_reads_itself() -> None:
    assert format_github([finding()]) == (
        "::warning file=a dir/50%25%2Cx%3Ay,line=1,endLine=1,col=8,endColumn=9,"
        "title=MB016 replaced::50%25 of%0D%0ASYSTEM%0Aa: b, c\n"
    )


def test_sarif_counts_in_utf16_and_has_the_fix() -> None:
    log = json.loads(format_sarif([finding()], version="1.0"))
    (run,) = log["runs"]
    (result,) = run["results"]
    # The parrot before it is two units.
    assert result["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 1,
        "startColumn": 9,
        "endLine": 1,
        "endColumn": 10,
    }
    assert result["relatedLocations"][0]["message"] == {"text": "wins"}
    assert result["fixes"][0]["artifactChanges"][0]["replacements"] == [
        {
            "deletedRegion": {"startLine": 2, "startColumn": 1, "endLine": 3, "endColumn": 1},
            "insertedContent": {"text": ""},
        }
    ]


def hold_sarif(log: dict[str, Any]) -> None:
    """What the published schema asks of what we write."""
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    for run in log["runs"]:
        driver = run["tool"]["driver"]
        assert driver["name"]
        rules = driver["rules"]
        assert len({rule["id"] for rule in rules}) == len(rules)
        for result in run["results"]:
            assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
            assert result["level"] in ("none", "note", "warning", "error")
            assert result["message"]["text"]
            places = [each["physicalLocation"] for each in result["locations"]]
            places += [each["physicalLocation"] for each in result.get("relatedLocations", [])]
            for place in places:
                uri, region = place["artifactLocation"]["uri"], place["region"]
                assert " " not in uri
                assert "%" not in uri or "%2" in uri
                assert 1 <= region["startLine"] <= region["endLine"]
                assert min(region["startColumn"], region["endColumn"]) >= 1
            for fix in result.get("fixes", []):
                assert fix["artifactChanges"]
                for change in fix["artifactChanges"]:
                    assert change["replacements"]


def test_sarif_holds_the_schema(shell: Shell) -> None:
    for number, rule in enumerate(RULES.values()):
        path = shell.folder / f"{number}.Modelfile"
        path.write_bytes(rule.wrong.encode(rule.encoding))
    ran = shell.run("lint", ".", "--format", "sarif")
    assert ran.status == 1
    log = json.loads(ran.out)
    hold_sarif(log)
    assert len(log["runs"][0]["tool"]["driver"]["rules"]) > 80


def test_json_is_one_list(shell: Shell) -> None:
    shell.write("Modelfile", "from a:1\n")
    assert json.loads(shell.ok("lint", "--format", "json")) == [
        {
            "code": "MB110",
            "name": "word-case",
            "severity": "note",
            "message": "from is written FROM elsewhere",
            "hint": None,
            "file": "Modelfile",
            "line": 1,
            "column": 1,
            "end_line": 1,
            "end_column": 5,
            "labels": [],
            "fix": [
                {
                    "text": "FROM",
                    "file": "Modelfile",
                    "line": 1,
                    "column": 1,
                    "end_line": 1,
                    "end_column": 5,
                }
            ],
        }
    ]


@pytest.mark.parametrize("form", ["json", "sarif", "github"])
def test_a_format_has_nothing_but_itself_on_standard_output(shell: Shell, form: str) -> None:
    shell.write("Modelfile", GOOD)
    ran = shell.run("lint", "--format", form, "Modelfile", "none")
    assert ran.status == 1
    assert ran.err == "none: error: no such file or directory\n"
    if form == "github":
        assert ran.out == ""
    else:
        json.loads(ran.out)


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_a_secret_is_in_no_format(shell: Shell, form: str, tmp_path: Path) -> None:
    secret = "hf_" + "qWcRtZyPlKmNbVxSdFgHjQwErTuIoPaLzK"
    shell.write("Modelfile", f"FROM a:1 # {secret}\nSYSTEM '{secret}'\n{secret}\n")
    ran = shell.run("lint", "--format", form)
    assert secret not in ran.out + ran.err
    assert "secret" in ran.out or "MB150" in ran.out


def test_no_colors_go_into_a_pipe(shell: Shell) -> None:
    shell.write("Modelfile", ERROR)
    ran = shell.run("lint", env={"NO_COLOR": ""})
    assert "\x1b" not in ran.out
