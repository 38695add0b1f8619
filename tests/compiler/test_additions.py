"""What a build makes of the additions to the language, and when it makes it again."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf_files import F32, lora, tiny_llama, wide_llama
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbuild.compiler.create import Order, create
from mbuild.compiler.diagnostic import Code, Diagnostic, render
from mbuild.compiler.progress import Progress, Status
from mbuild.store.digest import Digest
from mbuild.store.manifest import Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import Store


def _later() -> int:
    """A clock that is a minute ahead, so that what was written just now is trusted."""
    return time.time_ns() + 60 * 10**9


class Place:
    """A folder with files, a store, and what the last build said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self.store = Store(folder / "store", clock=_later)
        self.said: list[str] = []
        self.findings: tuple[Diagnostic, ...] = ()
        tiny_llama(self.folder / "m.gguf")

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.folder / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def create(self, text: str, name: str = "kid", **options: object) -> Manifest | None:
        order = Order(Name.parse(name), "Modelfile", text.encode(), str(self.folder), **options)  # type: ignore[arg-type]
        self.said = []
        data, self.findings = create(order, self.store, self._tell)
        return None if data is None else Manifest.decode(data)

    def made(self, text: str, name: str = "kid", **options: object) -> list[tuple[str, str]]:
        """The text layers that a build gives, which must not complain."""
        manifest = self.create(text, name, **options)
        assert manifest is not None, [render(each) for each in self.findings]
        assert not self.findings
        return [
            (layer.media_type.rpartition(".")[2], self.store.blobs.read(layer.digest).decode())
            for layer in manifest.layers
            if layer.media_type not in (MediaType.MODEL, MediaType.ADAPTER)
        ]

    @property
    def codes(self) -> list[Code]:
        return [finding.code for finding in self.findings]

    @property
    def blobs(self) -> set[str]:
        return set(os.listdir(f"{self.store.root}/blobs"))

    def _tell(self, news: Status | Progress) -> None:
        text = news.text if isinstance(news, Status) else news.label
        if self.said[-1:] != [text]:
            self.said.append(text)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


BASE = (
    "FROM ./m.gguf\nSYSTEM a kid\nTEMPLATE {{ .System }}{{ .Prompt }}\nLICENSE MIT\n"
    "MESSAGE user hi\nPARAMETER stop x\nPARAMETER seed 1\n"
)


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        pytest.param("SYSTEM --append five", {"system": "a kid\nfive"}, id="append"),
        pytest.param(
            "SYSTEM --append five\nSYSTEM --append <<END\n six\nEND",
            {"system": "a kid\nfive\n six"},
            id="append twice",
        ),
        pytest.param("SYSTEM b\nSYSTEM --append c", {"system": "b\nc"}, id="append to one's own"),
        pytest.param("UNSET SYSTEM", {"system": None}, id="system"),
        pytest.param("unset system\nSYSTEM --append c", {"system": "c"}, id="append to nothing"),
        pytest.param("UNSET SYSTEM\nSYSTEM c", {"system": "c"}, id="set again"),
        pytest.param("UNSET TEMPLATE", {"template": None}, id="template"),
        pytest.param("UNSET LICENSE", {"license": None}, id="license"),
        pytest.param("UNSET LICENSE\nLICENSE BSD", {"license": "BSD"}, id="license replaced"),
        pytest.param("UNSET MESSAGE", {"messages": None}, id="messages"),
        pytest.param("UNSET PARAMETER stop", {"params": '{"seed":1}\n'}, id="parameter"),
        pytest.param(
            "UNSET PARAMETER stop\nUNSET PARAMETER seed", {"params": None}, id="all parameters"
        ),
        pytest.param(
            "UNSET PARAMETER stop\nPARAMETER stop y",
            {"params": '{"seed":1,"stop":["y"]}\n'},
            id="parameter set again",
        ),
        pytest.param("SCHEMA {}", {"schema": "{}"}, id="schema"),
    ],
)
@pytest.mark.parametrize("staged", [False, True], ids=["model", "stage"])
def test_what_is_done_to_a_base(
    place: Place, text: str, changed: dict[str, str | None], staged: bool
) -> None:
    base = dict(place.made(BASE, "base"))
    if staged:
        made = place.made(f"{BASE.replace('gguf', 'gguf AS b', 1)}FROM b\n{text}\n")
    else:
        made = place.made(f"FROM base\n{text}\n")
    wanted = {kind: value for kind, value in (base | changed).items() if value is not None}
    assert dict(made) == wanted
    assert len(made) == len(wanted), "each once"


@pytest.mark.parametrize("what", ["SYSTEM", "TEMPLATE", "LICENSE", "PARAMETER top_k"])
def test_what_the_base_does_not_have_cannot_be_unset(place: Place, what: str) -> None:
    assert place.create(f"FROM ./m.gguf\nUNSET {what}\n") is not None
    assert place.codes == [Code.IDLE_UNSET]
    place.made("FROM ./m.gguf\nPARAMETER temperature 1\n", "base")
    place.create("FROM base\nUNSET PARAMETER temperatur\n")
    assert [finding.hint for finding in place.findings] == ["did you mean temperature?"]


def test_unset_may_take_away_what_only_an_included_file_sets(place: Place) -> None:
    place.write(common="SYSTEM a\n")
    assert place.made("FROM ./m.gguf\nINCLUDE common\nUNSET SYSTEM\n") == []


def test_a_stage_leaves_nothing_that_is_not_used(place: Place) -> None:
    text = "FROM ./m.gguf AS a\nSYSTEM 1\nTEMPLATE {{ .Prompt }}\nFROM a\nSYSTEM 2\n"
    manifest = place.create(text)
    assert manifest is not None
    assert place.blobs == {layer.digest.filename for layer in manifest.blobs}
    assert [layer.origin for layer in manifest.layers] == ["m.gguf", "", ""]
    again = place.create(text)
    assert again == manifest
    assert place.create(text, "other", target="a") is not None


def test_a_stage_that_is_not_needed_is_not_built(place: Place) -> None:
    place.made("FROM ./missing.gguf AS a\nFROM ./m.gguf AS b\nSYSTEM 2\n")


def test_a_stage_fails_with_its_own_findings(place: Place) -> None:
    assert place.create("FROM ./missing.gguf AS a\nFROM a\nSYSTEM 2\n") is None
    assert [(each.code, each.span.line) for each in place.findings] == [(Code.BAD_SOURCE, 1)]


Change = Callable[[Place], object]


@pytest.mark.parametrize(
    ("change", "system"),
    [
        pytest.param(lambda place: place.write(kid__md="other"), "other", id="a text"),
        pytest.param(lambda place: place.write(common="SYSTEM new"), "new", id="an included file"),
    ],
)
def test_a_text_is_an_input_of_the_build(place: Place, change: Change, system: str) -> None:
    text = "FROM ./m.gguf\nINCLUDE common\n"
    place.write(common="SYSTEM --file=kid/md\n", kid__md="old")
    first = place.made(text)
    assert first == [("system", "old")]
    assert place.made(text) == first
    place.create(text)
    assert "parsing GGUF" not in place.said, "nothing is read again"
    change(place)
    assert place.made(text) == [("system", system)]


def test_the_sources_of_a_build_are_kept(place: Place) -> None:
    place.write(common="SYSTEM --file=kid/md\n", kid__md="old")
    text = "FROM ./m.gguf\nINCLUDE common\n"
    place.made(text, "cold")
    place.made(text)
    assert "parsing GGUF" not in place.said
    kept = place.store.revisions(Name.parse("kid"))[-1].sources
    texts = {name: place.store.source(digest) for name, digest in kept.items()}
    assert texts == {
        "Modelfile": text.encode(),
        "common": b"SYSTEM --file=kid/md\n",
        "kid/md": b"old",
    }


def test_an_included_modelfile_does_not_take_the_place_of_the_main_one(place: Place) -> None:
    place.write(Modelfile="SYSTEM included\n")
    text = "FROM ./m.gguf\nINCLUDE Modelfile\n"
    for name in ("cold", "warm"):
        data, _ = create(
            Order(Name.parse(name), "kid.mf", text.encode(), str(place.folder)),
            place.store,
            lambda _: None,
        )
        assert data is not None
        kept = place.store.revisions(Name.parse(name))[-1].sources
        assert {file: place.store.source(digest) for file, digest in kept.items()} == {
            "Modelfile": text.encode(),
            "./Modelfile": b"SYSTEM included\n",
        }


def test_arguments_and_targets_are_told_apart(place: Place) -> None:
    text = "ARG A=1\nFROM ./m.gguf AS s\nSYSTEM ${A}\nFROM s AS t\nSYSTEM --append x\n"
    assert place.made(text) == [("system", "1\nx")]
    assert place.made(text, arguments={"A": "2"}) == [("system", "2\nx")]
    assert place.made(text, target="s") == [("system", "1")]
    assert place.made(text) == [("system", "1\nx")]


def test_findings_in_other_files_are_told_again_by_an_unchanged_build(place: Place) -> None:
    place.write(common="SYSTEM a\nSYSTEM b\n")
    text = "FROM ./m.gguf\nINCLUDE common\nSYSTEM c\n"
    assert place.create(text) is not None
    first = [render(each) for each in place.findings]
    assert len(first) == 2
    place.create(text)
    assert "parsing GGUF" not in place.said
    assert [render(each) for each in place.findings] == first


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("INCLUDE ../out/x", id="include"),
        pytest.param("SYSTEM --file=../out/x", id="text"),
        pytest.param("SYSTEM --file=link", id="a link that leads out"),
        pytest.param("SYSTEM --file=folder/x", id="a linked folder"),
        pytest.param("INCLUDE sub/inner", id="from an included file"),
        pytest.param("INCLUDE weights", id="weights that an included file names"),
        pytest.param("INCLUDE adapter", id="an adapter that an included file names"),
    ],
)
def test_other_files_stay_in_the_folder(place: Place, text: str) -> None:
    out = place.folder.parent / "out"
    out.mkdir()
    (out / "x").write_text("PARAMETER seed 1\n")
    lora(out / "a.gguf", "blk.0.attn_q.weight", 64)
    tiny_llama(out / "w.gguf")
    (place.folder / "link").symlink_to(out / "x")
    (place.folder / "folder").symlink_to(out)
    place.write(
        sub__inner="SYSTEM --file=../../out/x\n",
        weights=f"FROM {out}/w.gguf\n",
        adapter="ADAPTER ../out/a.gguf\n",
    )
    source = "" if "weights" in text else "FROM ./m.gguf\n"
    assert place.create(f"{source}{text}\n") is None
    assert Code.OUTSIDE_FOLDER in place.codes
    assert not (Path(place.store.root) / "manifests").exists()
    assert place.create(f"{source}{text}\n", allow_outside=True) is not None


def test_the_modelfile_itself_may_name_weights_anywhere(place: Place) -> None:
    out = place.folder.parent / "w.gguf"
    tiny_llama(out)
    place.made("FROM ../w.gguf\n")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_only_regular_files_are_read(place: Place, make: Callable[[Path], None]) -> None:
    make(place.folder / "odd")
    assert place.create("FROM ./m.gguf\nSYSTEM --file=odd\n") is None
    assert place.codes == [Code.BAD_TEXT_FILE]


def scales(manifest: Manifest, store: Store) -> list[float]:
    layer = manifest.of_type(MediaType.SCALES)
    return [row["scale"] for row in json.loads(store.blobs.read(layer[0].digest))] if layer else []


def test_adapters_add_up_if_each_has_a_scale(place: Place) -> None:
    for name in ("a", "b", "c"):
        lora(place.folder / f"{name}.gguf", "blk.0.attn_q.weight", 64, at=ord(name) - 90)
    text = "ADAPTER --scale=0.5 a.gguf\nADAPTER --scale=-1 b.gguf\n"
    base = place.create(f"FROM ./m.gguf\n{text}", "base")
    assert base is not None
    assert len(base.of_type(MediaType.ADAPTER)) == 2
    assert scales(base, place.store) == [0.5, -1]
    more = place.create("FROM base\nADAPTER c.gguf\n", "more")
    assert more is not None
    assert scales(more, place.store) == [0.5, -1, 1]
    other = place.create("FROM base\nUNSET ADAPTER\nADAPTER --scale=2 c.gguf\n", "other")
    assert other is not None
    assert scales(other, place.store) == [2]
    plain = place.create("FROM ./m.gguf\nADAPTER a.gguf\nADAPTER b.gguf\n", "plain")
    assert plain is not None
    assert place.codes == [Code.REPLACED]
    assert len(plain.of_type(MediaType.ADAPTER)) == 1
    assert scales(plain, place.store) == []


class Quantizer:
    """Makes of any weights the same ones, and counts."""

    def __init__(self, result: Path) -> None:
        self._result = result.read_bytes()
        self.calls: list[str] = []

    def __call__(
        self, source: str, target: str, wanted: str, progress: Callable[[int, int], None], /
    ) -> None:
        self.calls.append(wanted)
        progress(1, 2)
        Path(target).write_bytes(self._result)


@pytest.fixture
def quantizer(place: Place) -> Quantizer:
    return Quantizer(tiny_llama(place.folder / "small.gguf", seed=1))


def test_weights_are_quantized_once(place: Place, quantizer: Quantizer) -> None:
    wide_llama(place.folder / "w.gguf", kind=F32)
    text = "FROM ./w.gguf\nQUANTIZE q4_k_m\n"
    first = place.create(text, quantizer=quantizer)
    assert first is not None
    small = Digest.of((place.folder / "small.gguf").read_bytes())
    assert [layer.digest for layer in first.layers] == [small]
    assert "quantizing F32 model to Q4_K_M" in place.said
    assert place.create(f"{text}SYSTEM a\n", quantizer=quantizer) is not None
    assert place.create("FROM ./w.gguf\n", "b", quantizer=quantizer, quantize="Q4_K_M") == first
    assert quantizer.calls == ["Q4_K_M"]
    place.create(text, fresh=True, quantizer=quantizer)
    assert len(quantizer.calls) == 2
    assert os.listdir(place.store.scratch) == []


def test_the_command_line_goes_before_quantize(place: Place, quantizer: Quantizer) -> None:
    wide_llama(place.folder / "w.gguf", kind=F32)
    place.create("FROM ./w.gguf\nQUANTIZE q4_k_m\n", quantizer=quantizer, quantize="Q8_0")
    assert quantizer.calls == ["Q8_0"]


def test_what_is_quantized_already_is_refused(place: Place, quantizer: Quantizer) -> None:
    place.create("FROM ./m.gguf\nQUANTIZE f32\n", quantizer=quantizer)
    kind = "general.file_type"
    tiny_llama(place.folder / "q.gguf", metadata={kind: 7})
    text = "FROM ./q.gguf\nQUANTIZE Q4_K_M\n"
    assert place.create(text, quantizer=quantizer) is None
    assert [(each.code, each.hint) for each in place.findings] == [
        (Code.BAD_QUANTIZATION, "allow it with --requantize")
    ]
    assert quantizer.calls == []
    assert place.create(text, quantizer=quantizer, requantize=True) is not None


PLAIN = st.lists(
    st.sampled_from(
        [
            *(
                "SYSTEM a",
                "SYSTEM ${A}",
                "SYSTEM $${A} <<END",
                'SYSTEM "--file=x"',
                "SYSTEM ARG A=b",
            ),
            *("PARAMETER seed 1", "PARAMETER stop ${A}", "PARAMETER stop <<", "LICENSE -- append"),
            *("TEMPLATE {{ .Prompt }}${A}", "MESSAGE user --file=x", "MESSAGE user INCLUDE x"),
            *(
                'MESSAGE system """\nARG A=b\nUNSET SYSTEM\nEND\n"""',
                "LICENSE FROM x AS y",
                "# ARG A=b",
            ),
        ]
    ),
    max_size=6,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(PLAIN)
def test_a_file_without_additions_builds_to_the_same_bytes(place: Place, lines: list[str]) -> None:
    text = "\n".join(["FROM ./m.gguf", *lines, ""])
    ours = place.create(text, "ours")
    theirs = place.create(text, "theirs", dialect="ollama")
    assert ours is not None
    assert ours == theirs
