"""The steps of a build: what is done, what is found done, what would be done."""

import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gguf_files import lora, tiny_llama, wide_llama

from mbuild.compiler.account import Account, decode, explain, gone
from mbuild.compiler.create import Order, create, read
from mbuild.compiler.foresight import State, foresee
from mbuild.compiler.ways import NoSuchStep
from mbuild.store.name import Name
from mbuild.store.store import Store

KID = Name.parse("kid")


def _later() -> int:
    """A clock that is a minute ahead, so that what was written just now is trusted."""
    return time.time_ns() + 60 * 10**9


class Site:
    """A folder, and a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self.store = Store(folder / "store", clock=_later)
        tiny_llama(self.folder / "m.gguf")

    def order(self, text: str, name: Name = KID, **options: object) -> Order:
        return Order(name, "Modelfile", text.encode(), str(self.folder), **options)  # type: ignore[arg-type]

    def create(self, text: str, name: Name = KID, **options: object) -> None:
        data, findings = create(self.order(text, name, **options), self.store, lambda _: None)
        assert data is not None, findings

    def accounts(self, name: Name = KID) -> list[Account | None]:
        return [decode(each.account) for each in self.store.revisions(name)]

    def changed(self, name: Name = KID) -> dict[str, list[str]]:
        """What each step of the last build did not find as it was, by the step's name."""
        *_, before, after = [None, *self.accounts(name)]
        assert after is not None
        return {
            each.step.name: [change.what for change in each.changes]
            for each in explain(after, before)
            if each.changes or each.before is None
        }

    def foreseen(self, text: str) -> dict[str, State]:
        recipe, _, _ = read(self.order(text))
        assert recipe is not None
        steps, _ = foresee(recipe, str(self.folder), self.store)
        return {each.step.name: each.state for each in steps}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


TEXT = "FROM ./m.gguf\nSYSTEM a\nTEMPLATE {{ .Prompt }}\nPARAMETER seed 1\n"


@pytest.mark.parametrize(
    ("edited", "changed"),
    [
        pytest.param(
            TEXT.replace("SYSTEM a", "SYSTEM b"),
            {"system": ["text"], "manifest": ["system"]},
            id="a text",
        ),
        pytest.param(
            TEXT.replace("seed 1", "seed 2"),
            {"parameters": ["text"], "manifest": ["parameters"]},
            id="a parameter",
        ),
        pytest.param(
            TEXT.replace("TEMPLATE {{ .Prompt }}\n", ""), {"manifest": ["template"]}, id="gone"
        ),
        pytest.param(
            f"{TEXT}LICENSE MIT\n", {"license": [], "manifest": ["license"]}, id="a new step"
        ),
        pytest.param(
            f"{TEXT}REQUIRES 1.0.0\n",
            {
                "parameters": ["requires"],
                "config": ["requires"],
                "manifest": ["config"],
            },
            id="an argument",
        ),
    ],
)
def test_an_edit_is_explained_by_what_it_changed(
    site: Site, edited: str, changed: dict[str, list[str]]
) -> None:
    site.create(TEXT)
    site.create(edited)
    assert site.changed() == changed


def test_a_step_that_is_gone_is_told(site: Site) -> None:
    site.create(TEXT)
    site.create("FROM ./m.gguf\nSYSTEM a\nPARAMETER seed 1\n")
    before, after = site.accounts()
    assert after is not None
    assert [step.name for step in gone(after, before)] == ["template"]


def test_a_file_that_was_only_written_again_changes_nothing_behind_it(site: Site) -> None:
    site.create(TEXT)
    again = site.folder / "again.gguf"
    shutil.copy(site.folder / "m.gguf", again)
    os.replace(again, site.folder / "m.gguf")
    site.create(TEXT.replace("SYSTEM a", "SYSTEM b"))
    assert site.changed() == {"system": ["text"], "manifest": ["system"]}


def test_an_account_says_what_was_asked_for(site: Site) -> None:
    site.create("ARG A=1\nFROM ./m.gguf\nSYSTEM ${A}\n", arguments={"A": "2"})
    (account,) = site.accounts()
    assert account is not None
    assert account.order["folder"] == str(site.folder)
    assert account.order["arguments"] == {"A": "2"}
    assert (account.steps[0].name, account.steps[-1].name) == ("weights", "manifest")


def test_a_copy_keeps_the_account_and_what_another_tool_wrote_has_none(site: Site) -> None:
    site.create(TEXT)
    site.store.copy(KID, Name.parse("dad"))
    assert site.accounts(Name.parse("dad")) == site.accounts()
    site.store.save(Name.parse("other"), site.store.read(KID))
    assert site.accounts(Name.parse("other")) == [None]


def test_what_would_be_done_is_told_before_and_nothing_is_written(site: Site) -> None:
    assert site.foreseen(TEXT) == {
        "weights": State.STALE,
        "template": State.STALE,
        "system": State.STALE,
        **dict.fromkeys(("parameters", "scales", "config", "manifest"), State.WAITING),
    }
    assert not Path(site.store.root).exists()
    site.create(TEXT)
    assert set(site.foreseen(TEXT).values()) == {State.CACHED}
    before = sorted(Path(site.store.root).rglob("*"))
    told = site.foreseen(TEXT.replace("SYSTEM a", "SYSTEM --append b"))
    assert {name for name, state in told.items() if state is not State.CACHED} == {
        "system",
        "manifest",
    }
    assert sorted(Path(site.store.root).rglob("*")) == before


@pytest.mark.parametrize("built", [False, True])
def test_a_quantization_is_foreseen_and_not_done(site: Site, built: bool) -> None:
    wide_llama(site.folder / "w.gguf")
    text = "FROM ./w.gguf\nQUANTIZE q8_0\n"
    site.create("FROM ./w.gguf\n")
    if built:
        site.create(text, quantizer=Slow(site.folder / "m.gguf"))
    assert site.foreseen(text)["quantized"] is (State.CACHED if built else State.STALE)


class Slow:
    """Takes a while to quantize, and counts."""

    def __init__(self, result: Path) -> None:
        self._result = result
        self.calls = 0

    def __call__(
        self, source: str, target: str, wanted: str, progress: Callable[[int, int], None], /
    ) -> None:
        self.calls += 1
        time.sleep(0.2)
        shutil.copy(self._result, target)


def test_who_needs_the_same_step_waits_for_it(site: Site) -> None:
    wide_llama(site.folder / "w.gguf")
    slow = Slow(site.folder / "m.gguf")
    text = "FROM ./w.gguf\nQUANTIZE q8_0\n"

    def build(number: int) -> None:
        name = Name.parse(f"kid{number}")
        store = Store(site.store.root, clock=_later)
        data, _ = create(site.order(f"{text}SYSTEM {number}\n", name, quantizer=slow), store, _hush)
        assert data is not None

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(build, range(4)))
    assert slow.calls == 1


def _hush(_: object) -> None:
    pass


def test_files_that_are_new_are_imported_together(site: Site) -> None:
    for name in ("a", "b"):
        lora(site.folder / f"{name}.gguf", "blk.0.attn_q.weight", 64, at=ord(name) - 90)
    text = "FROM ./m.gguf\nADAPTER --scale=1 a.gguf\nADAPTER --scale=1 b.gguf\n"
    site.create(text, KID)
    one_by_one = Site(site.folder)
    for name in ("a.gguf", "b.gguf", "m.gguf"):
        shutil.copy(site.folder / name, one_by_one.folder / name)
        one_by_one.store.take(one_by_one.folder / name)
    one_by_one.create(text, KID)
    assert one_by_one.store.read(KID) == site.store.read(KID)


def test_one_step_may_be_done_again(site: Site) -> None:
    wide_llama(site.folder / "w.gguf")
    slow = Slow(site.folder / "m.gguf")
    text = "FROM ./w.gguf\nQUANTIZE q8_0\n"
    site.create(text, quantizer=slow)
    site.create(text, quantizer=slow)
    assert slow.calls == 1
    site.create(text, quantizer=slow, fresh_steps=frozenset({"quantized"}))
    assert slow.calls == 2
    with pytest.raises(NoSuchStep) as raised:
        site.create(text, quantizer=slow, fresh_steps=frozenset({"quantised"}))
    assert raised.value.names == (
        "weights",
        "quantized",
        "parameters",
        "scales",
        "config",
        "manifest",
    )
