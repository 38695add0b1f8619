"""``df``, ``prune`` and ``fsck`` as a person types them."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell import Shell, need

from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import Store

WEIGHTS = b"weights" * 1000
KID, DAD = Name.parse("kid"), Name.parse("me/dad:v1")
TWO_HOURS = 7200 * 10**9  # ns


def build(store: Store, name: Name, *layers: tuple[MediaType, bytes]) -> None:
    with store.building():
        stored = [(kind, store.blobs.put(text)) for kind, text in layers]
        made = tuple(Layer(kind, each.digest, each.size) for kind, each in stored)
        store.save(name, Manifest(None, made), sources={"Modelfile": b"FROM x"})


@pytest.fixture
def store(shell: Shell) -> Store:
    """Two models, an earlier build, and a loose blob of long ago."""
    store = Store(shell.store)
    build(store, KID, (MediaType.MODEL, WEIGHTS), (MediaType.SYSTEM, b"earlier"))
    build(store, KID, (MediaType.MODEL, WEIGHTS), (MediaType.SYSTEM, b"kid"))
    build(store, DAD, (MediaType.MODEL, WEIGHTS), (MediaType.SYSTEM, b"dad"))
    loose = store.blobs.place(store.blobs.put(b"loose" * 2000).digest)
    then = time.time_ns() - TWO_HOURS
    os.utime(loose, ns=(then, then))
    return store


def blob(store: Store, data: bytes) -> Path:
    return Path(store.blobs.place(Digest.of(data)))


def rows(text: str) -> dict[str, list[str]]:
    """The lines of a table by their first words."""
    lines = [line for line in text.splitlines() if line.strip()]
    return {line[:22].strip(): line[22:].split("   ") for line in lines}


# df.


def test_df_tells_what_takes_room(shell: Shell, store: Store) -> None:
    out = shell.ok("df")
    counts = {what: cells for what, cells in rows(out).items() if cells}
    for what, count in {
        "Models": "2",
        "blobs of one model": "2",
        "blobs of several": "1",
        "Earlier builds": "3",
        "Loose blobs": "1",
        "Source texts": "1",
    }.items():
        assert count in [cell.strip() for cell in counts[what]], out
    assert "prune --history" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "\x1b" not in out


def test_df_tells_the_room_of_each_model(shell: Shell, store: Store) -> None:
    out = shell.ok("df", "-v")
    _, _, table = out.partition("\n\n")
    header, first, second = table.splitlines()
    assert header.split() == ["NAME", "SIZE", "SHARED", "UNIQUE"]
    assert {first.split()[0], second.split()[0]} == {"kid:latest", "me/dad:v1"}


def test_df_as_json(shell: Shell, store: Store) -> None:
    usage = json.loads(shell.ok("df", "--json"))
    assert usage["loose"]["size"] == blob(store, b"loose" * 2000).stat().st_blocks * 512
    assert {model["name"] for model in usage["models"]} == {"kid:latest", "me/dad:v1"}
    assert usage["total"] > usage["loose"]["size"]
    assert usage["unknown"] == []


def test_df_of_nothing(shell: Shell) -> None:
    assert json.loads(shell.ok("df", "--json"))["total"] == 0
    assert "Total" in shell.ok("df")
    assert not shell.store.exists()


# prune.


def test_a_dry_run_says_exactly_what_and_how_much(shell: Shell, store: Store) -> None:
    out = shell.ok("prune", "-n")
    digest = Digest.of(b"loose" * 2000)
    assert "would remove   1   blob that nothing needs" in out
    assert f"blobs/sha256-{digest.short}…" in out
    assert "would free" in out
    assert digest in store.blobs


def test_prune_removes_and_says_what_it_freed(shell: Shell, store: Store) -> None:
    before = blob(store, b"loose" * 2000).stat().st_blocks * 512
    planned = json.loads(shell.ok("prune", "-n", "--json"))
    done = json.loads(shell.ok("prune", "--json"))
    assert done["freed"] == planned["freed"] == before
    assert done["items"] == planned["items"]
    assert (planned["dry_run"], done["dry_run"]) == (True, False)
    assert shell.ok("prune") == "nothing to remove\n"
    assert shell.run("fsck").status == 0


def test_prune_spares_the_young_and_says_so(shell: Shell, store: Store) -> None:
    store.blobs.put(b"young")
    out = shell.ok("prune")
    assert "kept 1 loose blob (" in out
    assert "--all" in out
    assert Digest.of(b"young") in store.blobs
    shell.ok("prune", "--all")
    assert Digest.of(b"young") not in store.blobs


def test_prune_history_drops_earlier_builds(shell: Shell, store: Store) -> None:
    shell.ok("prune", "--history", "--keep", "2")
    assert len(store.revisions(KID)) == 2
    shell.ok("prune", "--history", "--older-than", "1h")
    assert len(store.revisions(KID)) == 2
    out = shell.ok("prune", "--history", "--all")
    assert "earlier build" in out
    assert len(store.revisions(KID)) == 1
    assert Digest.of(b"earlier") not in store.blobs


def test_prune_keeps_as_much_as_it_is_told(shell: Shell, store: Store) -> None:
    assert shell.ok("prune", "--keep-storage", "1.5GiB") == "nothing to remove\n"
    assert "freed" in shell.ok("prune", "--keep-storage=0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["--keep-storage", "much"], "'much' is no size, such as 500MB", id="size"),
        pytest.param(["--keep-storage", "-1"], "'-1' is no size", id="less than none"),
        pytest.param(["--keep-storage", "1e9"], "'1e9' is no size", id="another form"),
        pytest.param(["--keep-storage", "9" * 400 + "GB"], "is no size", id="without end"),
        pytest.param(["--history", "--older-than", "3"], "'3' is no age, such as 12h", id="age"),
        pytest.param(["--keep", "3"], "go with --history", id="keep of nothing"),
        pytest.param(["--history", "--keep", "0"], "0 is not in the range", id="keep nothing"),
    ],
)
def test_what_is_typed_wrongly_removes_nothing(
    shell: Shell, store: Store, words: list[str], said: str
) -> None:
    ran = shell.run("prune", *words)
    assert ran.status == 2
    assert said in ran.err
    assert Digest.of(b"loose" * 2000) in store.blobs


def test_prune_beside_a_build_says_what_is_in_the_way(shell: Shell, store: Store) -> None:
    with store.building():
        out = shell.ok("prune", "--all")
    assert "kept all blobs: a build is going on" in out
    assert Digest.of(b"loose" * 2000) in store.blobs


# fsck.


def test_fsck_of_a_whole_store(shell: Shell, store: Store) -> None:
    size = len(WEIGHTS) + len(b"earlierkiddad") + len(b"loose" * 2000)
    assert shell.ok("fsck") == (
        f"checked 2 models, 3 builds, 5 blobs ({size // 1000} KB), 1 source text, 0 records\n\n"
        "no damage\n"
    )


def test_fsck_names_damage_the_models_and_what_mends_it(shell: Shell, store: Store) -> None:
    blob(store, WEIGHTS).write_bytes(bytes(len(WEIGHTS)))
    (shell.store / "manifests" / KID.path).write_bytes(b"")
    ran = shell.run("fsck")
    assert ran.status == 1
    assert f"damaged  blobs/{Digest.of(WEIGHTS).filename[:19]}…" in ran.out
    assert "holds other bytes than its name says" in ran.out
    assert "hits  me/dad:v1" in ran.out
    assert "lost  the weights" in ran.out
    assert "is empty" in ran.out
    assert "2 damages, 2 models hit: kid:latest, me/dad:v1" in ran.out
    # Sizes alone tell less.
    quick = shell.run("fsck", "--quick")
    assert "is empty" in quick.out
    assert "holds other bytes" not in quick.out


def test_fsck_repair_mends_and_says_what_it_could_not(shell: Shell, store: Store) -> None:
    data = store.read(KID)
    (shell.store / "manifests" / KID.path).write_bytes(b"")
    ran = shell.run("fsck", "--repair")
    assert ran.status == 0, ran.out + ran.err
    assert "put back as it was in build @2" in ran.out
    assert store.read(KID) == data
    blob(store, b"dad").write_bytes(b"DAD")
    ran = shell.run("fsck", "--repair")
    assert ran.status == 1
    assert "mended  blobs/sha256-" in ran.out
    assert "moved to mbuild/damaged/blobs" in ran.out
    assert "1 damage, 1 model hit: me/dad:v1 could not be mended" in ran.out
    build(store, DAD, (MediaType.MODEL, WEIGHTS), (MediaType.SYSTEM, b"dad"))
    assert shell.run("fsck").status == 0


def test_fsck_as_json(shell: Shell, store: Store) -> None:
    blob(store, b"kid").unlink()
    ran = shell.run("fsck", "--json", "--repair")
    assert ran.status == 1
    found = json.loads(ran.out)
    assert (found["sound"], found["checked"]["models"]) == (False, 2)
    (damage,) = found["damages"]
    assert damage["path"] == f"blobs/{Digest.of(b'kid').filename}"
    assert (damage["models"], damage["lost"]) == (["kid:latest"], "the system text")
    assert found["mended"] == []
    assert found["left"] == [damage]


def test_notes_are_counted_unless_all_are_asked_for(shell: Shell, store: Store) -> None:
    for number in range(8):
        (shell.store / "blobs" / f".mbuild-1-{number}").write_bytes(b"half")
    out = shell.ok("fsck")
    assert out.count("was left by a command") == 5
    assert "note  3 more; --verbose tells them" in out
    assert shell.ok("fsck", "-v").count("was left by a command") == 8
    assert shell.ok("fsck", "--repair").endswith("no damage is left\n")
    assert "note" not in shell.ok("fsck")


# Damage and locked doors elsewhere.


def test_list_shows_a_model_without_its_blobs_as_damaged_and_goes_on(
    shell: Shell, store: Store
) -> None:
    blob(store, b"dad").unlink()
    (shell.store / "manifests" / "registry.ollama.ai" / "library" / "zero").mkdir()
    (shell.store / "manifests" / "registry.ollama.ai" / "library" / "zero" / "latest").touch()
    ran = shell.run("list")
    assert ran.status == 0
    assert {line.split()[0]: line.split()[1] for line in ran.out.splitlines()[1:]} == {
        "zero:latest": "damaged",
        "kid:latest": Digest.of(store.read(KID)).short,
        "me/dad:v1": "damaged",
    }
    assert "me/dad:v1 is damaged: 1 of its 2 blobs is missing" in ran.err
    assert "zero:latest is damaged: it is empty" in ran.err


@pytest.fixture
def locked(shell: Shell, store: Store) -> Iterator[list[str]]:
    """What to put before a command so that it may only read the store."""
    shell.ok("create", "tiny", "-f", "-", stdin="FROM ./m.gguf")
    shutil.rmtree(shell.store / "mbuild" / "records")
    prefix: list[str] = []
    if os.geteuid() == 0:  # Whom permissions do not bind.
        where = str(shell.store)
        mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
        bound = [need("unshare", "util-linux"), "-m", "sh", "-c", mount, where]
        if not subprocess.run([*bound, "true"], check=False, capture_output=True).returncode:
            yield bound
            return
        # Nor may it mount, as in most containers: permissions bind it without these rights.
        rights = "-dac_override,-dac_read_search"
        prefix = [need("setpriv", "util-linux"), f"--bounding-set={rights}", f"--inh-caps={rights}"]
        if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
            pytest.skip("run as root with the right to mount, or as somebody else")
    folders = [path for path in shell.store.rglob("*") if path.is_dir()] + [shell.store]
    for path in folders:
        path.chmod(0o555)
    yield prefix
    for path in folders:
        path.chmod(0o755)


def test_a_store_that_may_only_be_read_is_read(
    shell: Shell, store: Store, locked: list[str]
) -> None:
    for words in (["list"], ["df"], ["fsck"], ["prune", "-n"], ["show", "tiny"]):
        ran = shell.run(*words, prefix=locked)
        assert ran.status == 0, (words, ran.err)
    shell.write("Modelfile", "FROM kid\nSYSTEM new\n")
    for words in (["prune"], ["rm", "kid"], ["create", "new"], ["cp", "kid", "new"]):
        ran = shell.run(*words, prefix=locked)
        assert ran.status == 1, words
        assert str(shell.store) in ran.err
        assert "another store can be chosen by --models-dir" in ran.err
    assert store.read(KID)


def test_a_store_of_a_newer_mbuild_is_read_and_not_written(shell: Shell, store: Store) -> None:
    (shell.store / "mbuild" / "version").write_text("99\n")
    for words in (["list"], ["df"], ["fsck"], ["prune", "-n"]):
        shell.ok(*words)
    blob(store, b"dad").unlink()
    for words in (["prune"], ["fsck", "--repair"], ["rm", "kid"]):
        ran = shell.run(*words)
        assert ran.status == 1
        assert "written by a newer mbuild (layout 99)" in ran.err
    assert Digest.of(b"loose" * 2000) in store.blobs
