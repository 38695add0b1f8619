"""history, diff, rollback and verify, typed into a shell."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from gguf_files import tiny_llama, wide_llama
from shell import Shell, need
from syrupy.assertion import SnapshotAssertion

from mbuild.cli import past
from mbuild.cli.builds import NoBuild, NothingBefore, before, builds, named, numbered, split
from mbuild.compiler.create import Order, create
from mbuild.store.digest import Digest
from mbuild.store.manifest import Manifest
from mbuild.store.name import Name
from mbuild.store.store import MissingModel, Store

KID = """FROM ./m.gguf
PARAMETER temperature 1
PARAMETER stop "<|im_end|>"
SYSTEM \"\"\"
You are a small kid.
Answer as one.
Never use a word that you do not know.
Like to play.
Be kind.
Say when you are tired.
\"\"\"
LICENSE MIT
MESSAGE user hi
MESSAGE assistant Hi! Do you like mud?
"""
OLDER = KID.replace("temperature 1", "temperature 0.7").replace("small", "5-year old")
OTHER = OLDER.replace("m.gguf", "n.gguf").replace("MIT", "Apache").replace("mud", "rain")
THIRD = f"{OTHER}PARAMETER top_p 0.9\nTEMPLATE {{{{ .Prompt }}}}\n"
TEXTS = (KID, OLDER, THIRD)

_DAY = 86_400_000_000_000  # ns


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a shell with a model that was built three times."""
    folder = tmp_path_factory.mktemp("original")
    shell = Shell(folder / "work", folder / "store")
    shell.folder.mkdir()
    for seed, name in ((0, "m.gguf"), (3, "n.gguf")):
        tiny_llama(shell.folder / name, seed=seed)
    for text in TEXTS:
        _build(shell, text)
    return folder


@pytest.fixture
def kid(original: Path, tmp_path: Path) -> Shell:
    """A shell with a model that was built three times."""
    shutil.copytree(original, tmp_path / "kid")
    return Shell(tmp_path / "kid/work", tmp_path / "kid/store")


def _build(shell: Shell, text: str, name: str = "kid", *words: str) -> None:
    shell.write("Modelfile", text)
    shell.ok("create", name, "--quiet", *words)


def _digests(shell: Shell) -> dict[str, str]:
    return {row["name"]: row["digest"] for row in json.loads(shell.ok("list", "--json"))}


def _told(shell: Shell, name: str = "kid") -> list[dict[str, object]]:
    told = json.loads(shell.ok("history", name, "--json"))
    assert isinstance(told, list)
    return told


def _sweep(shell: Shell, media_type: str, build: int) -> Digest:
    """Remove the first blob of a type that a build of kid has, as another program would."""
    store = Store(shell.store)
    revision = store.revisions(Name.parse("kid"))[build - 1]
    layers = Manifest.decode(revision.manifest).blobs
    digest = next(each.digest for each in layers if each.media_type.endswith(media_type))
    store.blobs.remove(digest)
    return digest


# What there is to see.


@pytest.fixture
def aged(tmp_path: Path) -> Store:
    """A store in which kid was built once a day, by a clock that is known."""
    days: Iterator[int] = count(20_000)
    now = [0]
    store = Store(tmp_path / "store", clock=lambda: now[0])
    tiny_llama(tmp_path / "m.gguf")
    tiny_llama(tmp_path / "n.gguf", seed=3)
    for text in (*TEXTS, KID):
        now[0] = next(days) * _DAY
        order = Order(Name.parse("kid"), "Modelfile", text.encode(), str(tmp_path))
        assert create(order, store, lambda _: None)[0] is not None
    return store


@pytest.mark.parametrize(
    "width", [pytest.param(80, id="80 columns"), pytest.param(120, id="120 columns")]
)
def test_the_builds_on_a_screen(aged: Store, width: int, snapshot: SnapshotAssertion) -> None:
    steps = past.steps(aged, builds(aged, Name.parse("kid")))
    now = 20_003.5 * 86_400
    assert past.format_screen(steps, now=now, width=width, long=False) == snapshot


def test_the_builds_in_a_pipe(aged: Store, snapshot: SnapshotAssertion) -> None:
    steps = past.steps(aged, builds(aged, Name.parse("kid")))
    text = past.format_lines(steps, now=20_003.5 * 86_400, long=False)
    assert text == snapshot
    assert text.count("\n") == 5


def test_differences(kid: Shell, snapshot: SnapshotAssertion) -> None:
    assert kid.ok("diff", "kid") == snapshot(name="the last build")
    assert kid.ok("diff", "kid@1", "@2") == snapshot(name="the first two")


# History.


def test_history_tells_what_each_build_changed(kid: Shell) -> None:
    assert [(each["build"], each["change"], each["present"]) for each in _told(kid)] == [
        (
            3,
            "weights a4ee33… → 2933cb…; top_p 0.9 added; template added; 1 message changed; "
            "1 licence changed",
            True,
        ),
        (2, "temperature 1 → 0.7; system: 3 words changed", False),
        (1, "the first build", False),
    ]


def test_history_gives_the_sources_back_byte_for_byte(kid: Shell) -> None:
    for number, text in enumerate(TEXTS, 1):
        assert kid.ok("history", "kid", f"@{number}") == text
        assert kid.ok("history", f"kid@{number}") == text
        assert kid.ok("history", "kid", "--show", str(number)) == text


def test_a_build_of_several_texts_shows_them_all(shell: Shell) -> None:
    shell.write("rules.txt", "Be brief.")
    text = "FROM ./m.gguf\nSYSTEM --file=rules.txt\n"
    _build(shell, text)
    shown = f"==> Modelfile <==\n{text}==> rules.txt <==\nBe brief.\n"
    assert shell.ok("history", "kid", "@1") == shown
    assert shell.ok("history", "kid", "@1", "--source", "rules.txt") == "Be brief."
    refused = shell.run("history", "kid", "@1", "--source", "rule.txt")
    assert refused.status == 2
    assert "it has Modelfile, rules.txt" in refused.err


def test_long_history_has_times_and_digests(kid: Shell) -> None:
    present = _digests(kid)["kid:latest"]
    first, *rows = kid.ok("history", "kid", "--long").splitlines()
    assert first.split() == ["BUILD", "WHEN", "ID", "SOURCE", "CHANGED"]
    assert re.match(r"@3 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d +" + present, rows[0])


def test_what_comes_back_twice_is_told_by_its_first_build(kid: Shell) -> None:
    for number in (1, 3, 1):
        kid.ok("rollback", f"kid@{number}")
    assert [str(each["change"]).split(":")[0] for each in _told(kid)[:3]] == [
        "back to @1",
        "back to @3",
        "back to @1",
    ]


def test_looking_writes_nothing(kid: Shell) -> None:
    def files() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in kid.store.rglob("*")}

    were = files()
    for words in (["history", "kid"], ["history", "kid@1"], ["diff", "kid"], ["verify", "kid"]):
        kid.ok(*words)
    assert files() == were


def test_a_copy_has_the_sources_of_what_it_is_a_copy_of(kid: Shell) -> None:
    kid.ok("cp", "kid", "twin")
    assert kid.ok("history", "twin@1") == THIRD


def test_what_another_tool_wrote_is_told_apart(kid: Shell) -> None:
    library = kid.store / "manifests/registry.ollama.ai/library"
    shutil.copy(library / "kid/latest", kid.folder / "third")
    _build(kid, KID)
    # As another tool would write it: without a word to the history.
    shutil.copy(kid.folder / "third", library / "kid/latest")
    newest, *others = _told(kid)
    assert (newest["build"], newest["present"]) == (None, True)
    assert str(newest["change"]).startswith("back to @3: ")
    assert not any(each["present"] for each in others)


def test_a_model_of_another_tool_has_a_history_of_one(kid: Shell) -> None:
    shutil.rmtree(kid.store / "mbuild/history")
    (only,) = _told(kid)
    assert (only["build"], only["sources"]) == (None, {})
    assert "by another tool" in kid.ok("history", "kid")


def test_the_history_of_a_name_outlives_its_manifest(kid: Shell) -> None:
    (kid.store / "manifests/registry.ollama.ai/library/kid/latest").unlink()
    assert [each["present"] for each in _told(kid)] == [False] * 3
    kid.ok("rollback", "kid")
    assert kid.ok("history", "kid@4") == THIRD


def test_a_build_with_lost_parts_says_so_and_the_others_are_told(kid: Shell) -> None:
    digest = _sweep(kid, "system", 1)
    newest, second, _ = _told(kid)
    assert second["change"] == (
        f"cannot be told: of kid:latest@1: system {digest.short} is gone from the store"
    )
    assert str(newest["change"]).startswith("weights")


# Diff.


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        pytest.param(["kid"], ("kid:latest@2", "kid:latest@3"), id="the last two builds"),
        pytest.param(["kid@2"], ("kid:latest@1", "kid:latest@2"), id="a build and the one before"),
        pytest.param(["kid@1", "kid@3"], ("kid:latest@1", "kid:latest@3"), id="two builds"),
        pytest.param(["kid@1", "@2"], ("kid:latest@1", "kid:latest@2"), id="a number alone"),
        pytest.param(["kid", "kid:v2"], ("kid:latest@3", "kid:v2@1"), id="two models"),
        pytest.param(["kid", "v2"], ("kid:latest@3", "kid:v2@1"), id="a tag"),
        pytest.param(["kid", ":v2"], ("kid:latest@3", "kid:v2@1"), id="a tag with its colon"),
        pytest.param(["kid", "v2@1"], ("kid:latest@3", "kid:v2@1"), id="a build of a tag"),
    ],
)
def test_what_can_be_compared(kid: Shell, words: list[str], labels: tuple[str, str]) -> None:
    _build(kid, OLDER, "kid:v2")
    heads = kid.ok("diff", *words).splitlines()[:2]
    assert heads == [f"--- {labels[0]}", f"+++ {labels[1]}"]


def test_models_of_the_same_parts(kid: Shell) -> None:
    kid.ok("cp", "kid", "twin")
    same = kid.run("diff", "kid", "twin", "--exit-code")
    assert (same.status, same.out) == (
        0,
        "kid:latest@3 and twin:latest@1 are made of the same parts\n",
    )


def test_the_exit_status_tells_of_a_difference_only_if_asked(kid: Shell) -> None:
    assert kid.run("diff", "kid").status == 0
    assert kid.run("diff", "kid", "--exit-code").status == 1


def test_differences_as_json(kid: Shell) -> None:
    told = json.loads(kid.ok("diff", "kid@1", "@2", "--json"))
    assert (told["old"]["build"], told["new"]["build"], told["same"]) == (1, 2, False)
    assert told["differences"] == [
        {"part": "parameters", "name": "temperature", "old": 1.0, "new": 0.7},
        {"part": "system", "old": _system(KID), "new": _system(OLDER)},
    ]


def _system(text: str) -> str:
    return text.partition('SYSTEM """')[2].partition('"""')[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(
            ["diff", "kid@9"], "no build @9 of kid:latest: its builds are @1 to @3", id="9"
        ),
        pytest.param(["diff", "kid@1"], "there is no build before kid:latest@1", id="before 1"),
        pytest.param(["diff", "kid", "nope"], "no model nope:latest in the store", id="no model"),
        pytest.param(["history", "nope"], "no model nope:latest in the store", id="no history"),
        pytest.param(["rollback", "kid", "@9"], "no build @9 of kid:latest", id="rollback"),
    ],
)
def test_what_is_not_there_is_named(kid: Shell, words: list[str], said: str) -> None:
    ran = kid.run(*words)
    assert (ran.status, ran.out) == (1, "")
    assert said in ran.err


def test_what_is_no_number_is_refused(kid: Shell) -> None:
    ran = kid.run("rollback", "kid", "yesterday")
    assert ran.status == 2
    assert "'yesterday' is no number of a build, such as @3" in ran.err


def test_nothing_in_a_model_acts_on_the_terminal(kid: Shell) -> None:
    _build(kid, THIRD.replace("kind", "\x1b[2Jkind\u202e"))
    for words in (["diff", "kid"], ["history", "kid"]):
        assert "\x1b" not in kid.ok(*words)


# Rollback.


def test_a_rollback_is_a_build_of_its_own(kid: Shell) -> None:
    before_it = kid.ok("history", "kid", "--json")
    ran = kid.ok("rollback", "kid", "@1")
    assert ran == (
        "kid:latest@4 is kid:latest@1 again\n"
        "  weights 2933cb… → a4ee33…; temperature 0.7 → 1; top_p 0.9 removed; template removed; "
        "system: 3 words changed; 1 message changed; 1 licence changed\n"
    )
    assert kid.ok("show", "kid", "--system") == _system(KID)
    newest, *others = _told(kid)
    was = json.loads(before_it)
    assert [each["digest"] for each in others] == [each["digest"] for each in was]
    assert newest["digest"] == was[-1]["digest"]
    assert kid.ok("history", "kid@4") == KID
    assert newest["order"] == was[-1]["order"]


def test_without_a_number_the_build_before_comes_back(kid: Shell) -> None:
    assert kid.ok("rollback", "kid").startswith("kid:latest@4 is kid:latest@2 again\n")
    # And is taken back the same way.
    assert kid.ok("rollback", "kid").startswith("kid:latest@5 is kid:latest@3 again\n")
    assert kid.ok("history", "kid@5") == THIRD


def test_rolling_back_to_what_is_there_changes_nothing(kid: Shell) -> None:
    said = kid.ok("rollback", "kid@3")
    assert said == "kid:latest is still what it was at @3; nothing changed\n"
    assert len(_told(kid)) == 3


def test_the_first_build_has_none_before_it(shell: Shell) -> None:
    _build(shell, KID)
    ran = shell.run("rollback", "kid")
    assert ran.status == 1
    assert ran.err == "Error: there is no build before kid:latest@1\n"


def test_a_swept_blob_is_named_and_nothing_changes(kid: Shell) -> None:
    system, weights = _sweep(kid, "system", 1), _sweep(kid, "model", 1)
    digests, told = _digests(kid), _told(kid)
    ran = kid.run("rollback", "kid@1")
    assert ran.status == 1
    assert ran.err == (
        "Error: kid:latest@1 cannot come back; gone from the store is its\n"
        f"  weights {weights.short} (260 KB, from m.gguf)\n"
        f"  system {system.short} (123 B)\n"
    )
    assert (_digests(kid), _told(kid)) == (digests, told)


def test_a_lost_source_does_not_keep_a_build_from_coming_back(kid: Shell) -> None:
    shutil.rmtree(kid.store / "mbuild/sources")
    ran = kid.run("rollback", "kid@1")
    assert ran.status == 0
    assert ran.err == "warning: the text of Modelfile is gone from the store\n"
    assert kid.ok("show", "kid", "--system") == _system(KID)


# Verify.


def test_a_whole_model_is_verified(kid: Shell, snapshot: SnapshotAssertion) -> None:
    assert kid.ok("verify", "kid") == snapshot(name="now")
    assert kid.ok("verify", "kid@1").startswith("kid:latest@1 ")


def test_damaged_and_missing_files_are_named(kid: Shell, snapshot: SnapshotAssertion) -> None:
    blobs = Store(kid.store).blobs
    _sweep(kid, "license", 3)
    manifest = Store(kid.store).load(Name.parse("kid"))
    damaged, cut = (
        next(each for each in manifest.layers if each.media_type.endswith(kind))
        for kind in ("system", "model")
    )
    Path(blobs.path(damaged.digest)).write_text("You are evil.")
    os.truncate(blobs.path(cut.digest), 1000)
    ran = kid.run("verify", "kid", "--rebuild")
    assert (ran.status, ran.out) == (1, snapshot)
    told = json.loads(kid.run("verify", "kid", "--json").out)
    verdicts = [each["verdict"] for each in told["files"]]
    assert sorted(verdicts) == ["damaged", "damaged", "missing", *["ok"] * 4]


def _proved(shell: Shell, model: str) -> bool:
    ran = shell.run("verify", model, "--rebuild", "--json")
    told = json.loads(ran.out)["rebuilt"]
    assert told["same"] == (ran.status == 0), ran.err
    assert not told["assumed"]
    return bool(told["same"])


def _gone(shell: Shell) -> None:
    """Take away all that was built from."""
    for path in shell.folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _simple(shell: Shell) -> list[str]:
    return []


def _absolute(shell: Shell) -> list[str]:
    shell.write("Modelfile", f"FROM {shell.folder}/m.gguf\n")
    return []


def _folder(shell: Shell) -> list[str]:
    (shell.folder / "w").mkdir()
    tiny_llama(shell.folder / "w/one.gguf")
    shell.write("Modelfile", "FROM w\n")
    return []


def _this_folder(shell: Shell) -> list[str]:
    shell.write("Modelfile", "FROM .\n")
    return []


def _texts(shell: Shell) -> list[str]:
    (shell.folder / "parts").mkdir()
    shell.write("parts/base.part", "FROM ../m.gguf\nSYSTEM --file=rules.txt\n")
    shell.write("parts/rules.txt", "Be brief.\n")
    shell.write("outside.txt", "MIT")
    text = f"INCLUDE parts/base.part\nLICENSE --file={shell.folder}/outside.txt\n"
    shell.write("Modelfile", text)
    return []


def _arguments(shell: Shell) -> list[str]:
    shell.write("Modelfile", "ARG TONE=mild\nFROM ./m.gguf\nSYSTEM Be ${TONE}.\n")
    return ["--build-arg", "TONE=strict"]


def _stages(shell: Shell) -> list[str]:
    text = "FROM ./m.gguf AS first\nSYSTEM one\nFROM first AS second\nSYSTEM --append two\n"
    shell.write("Modelfile", f"{text}FROM first\nSYSTEM three\n")
    return ["--target", "second"]


def _quantized(shell: Shell) -> list[str]:
    wide_llama(shell.folder / "wide.gguf")
    shell.write("Modelfile", "FROM ./wide.gguf\n")
    return ["-q", "Q8_0"]


def _dialect(shell: Shell) -> list[str]:
    shell.write("Modelfile", "FROM ./m.gguf\nSYSTEM a\nSYSTEM b\n")
    return ["--dialect", "ollama"]


def _upon_a_model(shell: Shell) -> list[str]:
    shell.ok("create", "base", "--quiet")
    shell.write("Modelfile", "FROM base\nSYSTEM --append more\n")
    return []


@pytest.mark.parametrize(
    "prepare",
    [_simple, _absolute, _folder, _this_folder, _texts, _arguments, _stages]
    + [_quantized, _dialect, _upon_a_model],
)
def test_a_build_is_proved_without_what_it_was_built_from(
    shell: Shell, prepare: Callable[[Shell], list[str]]
) -> None:
    shell.write("Modelfile", KID)
    words = prepare(shell)
    shell.ok("create", "kid", "--quiet", *words)
    _gone(shell)
    assert _proved(shell, "kid")


def test_a_build_is_proved_after_its_files_and_its_base_have_changed(shell: Shell) -> None:
    _build(shell, KID, "base")
    _build(shell, "FROM base\nSYSTEM --append more\n")
    tiny_llama(shell.folder / "m.gguf", seed=7)
    _build(shell, OLDER, "base")
    assert _proved(shell, "kid")
    _build(shell, "FROM base\nSYSTEM --append less\n")
    shell.ok("rollback", "kid@1")
    assert _proved(shell, "kid")  # Upon the base as it was at first, not at the rollback.
    assert _proved(shell, "kid@2")
    assert _proved(shell, "base@1")


def test_proving_leaves_the_store_as_it_is(shell: Shell) -> None:
    _build(shell, KID)

    def files() -> set[str]:
        return {str(path) for path in shell.store.rglob("*")}

    were = files()
    assert _proved(shell, "kid")
    assert files() == were


def test_another_result_is_told_by_its_first_difference(shell: Shell) -> None:
    _build(shell, KID)
    folder = shell.store / "mbuild/history/registry.ollama.ai/library/kid/latest"
    revision = json.loads((folder / "000001.json").read_text())
    other = Store(shell.store)._changes().sources.put(OLDER.encode()).digest
    revision["sources"]["Modelfile"] = str(other)
    (folder / "000001.json").write_text(json.dumps(revision))
    ran = shell.run("verify", "kid", "--rebuild")
    assert ran.status == 1
    assert re.search(
        rf"built again from Modelfile {other.short}: another manifest \w+\n"
        r"  Parameters\n    temperature      1 → 0.7\n$",
        ran.out,
    )


def test_without_an_account_the_usual_is_assumed(shell: Shell) -> None:
    _build(shell, KID)
    folder = shell.store / "mbuild/history/registry.ollama.ai/library/kid/latest"
    revision = json.loads((folder / "000001.json").read_text())
    revision.pop("account", None)
    (folder / "000001.json").write_text(json.dumps(revision))
    _gone(shell)
    *_, proof, assumed = shell.ok("verify", "kid", "--rebuild").splitlines()
    digests = Digest.of(KID.encode()).short, _digests(shell)["kid:latest"][:12]
    assert proof == "built again from Modelfile {}: the same manifest {}".format(*digests)
    assert assumed == "  assumed, since nothing is recorded of it: no build arguments, no options"


def test_what_has_no_sources_cannot_be_built_again(kid: Shell) -> None:
    shutil.rmtree(kid.store / "mbuild/history")
    ran = kid.run("verify", "kid", "--rebuild")
    assert ran.status == 1
    assert ran.err == "Error: kid:latest: the Modelfile that it was built from was not kept\n"


# The same inputs give the same manifest.

_CLOCK = """
import os, sys, time
shift = int(os.environ["SHIFT"])
now = time.time_ns
time.time_ns = lambda: now() + shift
time.time = lambda: time.time_ns() / 1e9
sys.argv[0] = "mbuild"
from mbuild.cli.app import main
main()
"""

_WORLDS = [
    {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "0", "SHIFT": "0"},
    {"TZ": "Pacific/Kiritimati", "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "1"}
    | {"SHIFT": str(-400 * _DAY), "LANG": "tr_TR.UTF-8", "OMP_NUM_THREADS": "1"},
    {"TZ": "America/Caracas", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "4242"}
    | {"SHIFT": str(4000 * _DAY), "USER": "somebody", "LOGNAME": "somebody", "HOME": "/nowhere"},
]
EVERYTHING = """ARG TONE=mild
FROM ./wide.gguf AS base
QUANTIZE q8_0
FROM base
TEMPLATE {{ .System }} {{ .Prompt }}
SYSTEM --file=parts/rules.txt
SYSTEM --append Be ${TONE}, Ünïcödé ı İ.
PARAMETER temperature 0.7
PARAMETER top_p 0.1
PARAMETER num_ctx 64
PARAMETER stop b
PARAMETER stop a
LICENSE MIT
LICENSE Apache
MESSAGE user hi
MESSAGE assistant hello
SCHEMA {"type": "object"}
"""


def _built_in(folder: Path, world: int) -> str:
    """The digest of a model with all there is, built in a folder and a world of its own."""
    (folder / "parts").mkdir(parents=True)
    (folder / "parts/rules.txt").write_text("Rules.\n", encoding="utf-8")
    (folder / "Modelfile").write_text(EVERYTHING, encoding="utf-8")
    (folder / "mbuild").write_text(_CLOCK)
    wide_llama(folder / "wide.gguf")
    shell = Shell(folder, folder / "models")
    one_core = [need("taskset", "util-linux"), "-c", "0"] if world == 1 else []
    mask = ("022", "077", "002")[world]
    built = subprocess.run(
        [
            *(*one_core, "sh", "-c", f'umask {mask}; exec "$@"', "sh"),
            *(sys.executable, "mbuild", "create", "kid", "--quiet", "--build-arg", "TONE=strict"),
        ],
        cwd=shell.folder,
        env=shell.environment(_WORLDS[world]),
        check=False,
    )
    assert built.returncode == 0
    return _digests(shell)["kid:latest"]


def test_the_same_inputs_give_the_same_manifest_anywhere(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b with blanks/deep/down", tmp_path / "ç"]
    digests = {_built_in(folder, world) for world, folder in enumerate(folders)}
    assert len(digests) == 1


# Which build is meant.


def test_names_and_numbers_are_told_apart() -> None:
    assert split("hf.co/me/kid:v2@12") == ("hf.co/me/kid:v2", 12)
    assert split("kid@v2") == ("kid@v2", None)


def test_a_build_is_found_by_its_number(aged: Store) -> None:
    every = builds(aged, Name.parse("kid"))
    assert [build.number for build in every] == [1, 2, 3, 4]
    assert numbered(every, 2) is every[1] is before(every, every[2])
    assert named(aged, "kid") == every[-1]
    with pytest.raises(NoBuild):
        numbered(every, 5)
    with pytest.raises(NothingBefore):
        before(every, every[0])
    with pytest.raises(MissingModel):
        named(aged, "v2", beside=Name.parse("kid"))


def test_a_build_that_was_killed_before_it_got_its_number_has_the_next(aged: Store) -> None:
    folder = Path(aged.root, "mbuild/history", Name.parse("kid").path)
    (folder / "000004.json").rename(folder / "announced.json")
    assert [build.number for build in builds(aged, Name.parse("kid"))] == [1, 2, 3, 4]
