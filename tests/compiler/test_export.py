"""A model as a plain Modelfile: the reference reads it, and it gives the same layers."""

from pathlib import Path
from typing import get_args

import pytest
from gguf_files import lora, tiny_llama, write_gguf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mbuild.compiler.create import Order, create
from mbuild.compiler.decompile import Unsayable
from mbuild.compiler.dialect import Dialect
from mbuild.compiler.export import bundle, export
from mbuild.store.config import Config
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import Store

KID = Name.parse("kid")
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)


def make(
    store: Store, folder: Path, text: str, name: str = "kid", dialect: Dialect = "mbuild"
) -> Manifest:
    """Build *text* and give it a name."""
    order = Order(Name.parse(name), "Modelfile", text.encode(), str(folder), dialect)
    data, findings = create(order, store, lambda _: None)
    assert data is not None, findings
    return Manifest.decode(data)


def parts(manifest: Manifest) -> set[tuple[str, str]]:
    return {(layer.media_type, str(layer.digest)) for layer in manifest.blobs}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, adapters and texts; all tests put their models into the store in it."""
    folder = tmp_path_factory.mktemp("export")
    tiny_llama(folder / "m.gguf")
    tiny_llama(folder / "small.gguf", seed=1)
    write_gguf(folder / "p.gguf", {"general.type": "projector"})
    lora(folder / "a.gguf", "output.weight", 269)
    lora(folder / "b.gguf", "output.weight", 269, at=-3)
    (folder / "said.md").write_text('from a file, "quoted"\n', encoding="utf-8")
    (folder / "part").write_text("PARAMETER top_k 7\nSYSTEM --append included\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    return Store(folder / "store")


def read_again(text: str, manifest: Manifest, folder: Path, store: Store) -> None:
    """Building *text* gives the layers of *manifest*, in either dialect."""
    for dialect in DIALECTS:
        assert parts(make(store, folder, text, "again", dialect)) == parts(manifest)


def export_unless(reason: str, manifest: Manifest, store: Store) -> str | None:
    """The text, or nothing if it is refused for a *reason* that there may be."""
    try:
        return export(KID, manifest, store)
    except Unsayable as refusal:
        if reason not in str(refusal):
            raise
        return None


# What a plain Modelfile can always say, once it is resolved.
LINES = [
    *("SYSTEM You are a kid.", "SYSTEM --append and more", "SYSTEM --file=said.md", "INCLUDE part"),
    *("SYSTEM <<END\na\n b\nEND", "TEMPLATE {{ .Prompt }}", "LICENSE a", "LICENSE --file=said.md"),
    *("MESSAGE user hi", "MESSAGE --file=said.md assistant", "PARAMETER stop x", "ARG S=y"),
    *("PARAMETER temperature 0.7", "PARAMETER seed 1048576", "PARAMETER use_mmap true"),
    *('PARAMETER stop " ${S}"', "PARAMETER stop ${S}", "REQUIRES 1.2.3", "RENDERER r", "PARSER p"),
    *("UNSET SYSTEM", "UNSET TEMPLATE", "UNSET LICENSE", "UNSET MESSAGE", "UNSET PARAMETER stop"),
    *("UNSET PARAMETER temperature", "ADAPTER ./a.gguf", "UNSET ADAPTER", "DRAFT ./small.gguf"),
]
lines = st.lists(st.sampled_from(LINES), max_size=7)
middles = st.sampled_from(["", "", "AS one\nFROM one", "AS one\nPARAMETER top_k 3\nFROM one"])
slow = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@slow
@given(base=lines, kid=lines, middle=middles, own=st.booleans())
@example(base=["SYSTEM You are a kid."], kid=["UNSET SYSTEM"], middle="", own=False)
@example(base=["PARAMETER stop x", "LICENSE a"], kid=["LICENSE a"], middle="", own=False)
@example(base=["DRAFT ./small.gguf"], kid=["DRAFT ./small.gguf"], middle="", own=False)
def test_the_text_gives_the_same_layers(
    folder: Path, store: Store, base: list[str], kid: list[str], middle: str, own: bool
) -> None:
    make(store, folder, "\n".join(["FROM ./m.gguf", *base]), "base")
    text = "\n".join([f"FROM {'./m.gguf' if own else 'base'} {middle}", *kid])
    manifest = make(store, folder, text)
    # Of two ADAPTERs one is the base's, which cannot be named if something was unset.
    exported = export_unless("2 adapters", manifest, store)
    if exported is not None:
        read_again(exported, manifest, folder, store)


nasty = st.lists(
    st.sampled_from(['"', '"""', "\n", "\r\n", " ", "\t", "a", "\nFROM y", "#", "\u200d", "${S}"]),
    min_size=1,
    max_size=8,
).map("".join)


@slow
@given(system=nasty, message=nasty, stop=nasty)
@example(system='a """\nb "\nc', message="x", stop="x")
def test_a_text_reads_back_or_is_refused(
    folder: Path, store: Store, system: str, message: str, stop: str
) -> None:
    text = (
        f"FROM ./m.gguf\nSYSTEM <<X\n{system}\nX\nMESSAGE user <<X\n{message}\nX\n"
        f"PARAMETER stop <<X\n{stop}\nX\n"
    )
    manifest = make(store, folder, text)
    exported = export_unless("the text of ", manifest, store)
    if exported is not None:
        again = make(store, folder, exported, "again", "ollama")
        assert parts(again) == parts(manifest)


BASE = "FROM ./m.gguf\nSYSTEM a\nPARAMETER temperature 1\nPARAMETER stop x\nLICENSE MIT\n"


def statements(text: str, store: Store) -> str:
    """*text* without its comment, and with a word for the store."""
    assert text.startswith("# kid:latest, as mbuild export wrote it\n\n")
    return text.partition("\n\n")[2].replace(store.blobs.folder, "BLOBS")


@pytest.mark.parametrize(
    ("kid", "expected"),
    [
        pytest.param("", "", id="nothing new"),
        pytest.param("SYSTEM a\nPARAMETER temperature 1", "", id="the same again"),
        pytest.param("SYSTEM b", "SYSTEM b\n", id="another text"),
        pytest.param("SYSTEM --append b", 'SYSTEM "a\nb"\n', id="more text"),
        pytest.param("PARAMETER top_k 3", "PARAMETER top_k 3\n", id="one parameter more"),
        pytest.param("LICENSE BSD", "LICENSE BSD\n", id="one license more"),
        pytest.param("MESSAGE user hi", "MESSAGE user hi\n", id="a message"),
        pytest.param("REQUIRES 0.14.0", "REQUIRES 0.14.0\n", id="the configuration"),
        pytest.param(
            "PARAMETER stop y", "PARAMETER stop y\n", id="a list, which is replaced as a whole"
        ),
    ],
)
def test_only_what_differs_from_the_base_is_said(
    folder: Path, store: Store, kid: str, expected: str
) -> None:
    make(store, folder, BASE, "base")
    manifest = make(store, folder, f"FROM base\n{kid}")
    assert statements(export(KID, manifest, store), store) == f"FROM base:latest\n{expected}"


@pytest.mark.parametrize(
    "kid",
    [
        pytest.param("UNSET SYSTEM", id="a text"),
        pytest.param("UNSET PARAMETER stop", id="a parameter"),
        pytest.param("UNSET LICENSE", id="licenses"),
        pytest.param("UNSET LICENSE\nLICENSE BSD", id="a license in place of another"),
    ],
)
def test_what_was_unset_leads_to_the_weights(folder: Path, store: Store, kid: str) -> None:
    make(store, folder, BASE, "base")
    manifest = make(store, folder, f"FROM base\n{kid}")
    text = export(KID, manifest, store)
    assert statements(text, store).startswith("FROM BLOBS/sha256-")
    read_again(text, manifest, folder, store)


def test_a_base_that_is_gone_or_another_is_not_named(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, folder, BASE, "base")
    manifest = make(store, folder, "FROM base\nMESSAGE user hi")
    make(store, folder, "FROM ./m.gguf\nPARAMETER num_ctx 64\n", "base")
    assert statements(export(KID, manifest, store), store).startswith("FROM BLOBS/")
    store.remove(Name.parse("base"))
    assert statements(export(KID, manifest, store), store).startswith("FROM BLOBS/")


def test_a_base_that_has_changed_is_still_named_if_it_gives_the_same(
    folder: Path, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    make(store, folder, BASE, "base")
    manifest = make(store, folder, "FROM base\nMESSAGE user hi")
    make(store, folder, BASE.replace("SYSTEM a", "SYSTEM b"), "base")
    text = export(KID, manifest, store)
    assert statements(text, store) == "FROM base:latest\nSYSTEM a\nMESSAGE user hi\n"
    read_again(text, manifest, folder, store)


def test_a_base_with_another_configuration_is_not_named(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, folder, BASE, "base")
    manifest = make(store, folder, "FROM base\nMESSAGE user hi")
    make(store, folder, f"{BASE}REQUIRES 1.0.0\n", "base")
    text = export(KID, manifest, store)
    assert statements(text, store).startswith("FROM BLOBS/")
    read_again(text, manifest, folder, store)


def test_what_cannot_be_said_on_the_base_is_what_is_told(folder: Path, store: Store) -> None:
    make(store, folder, 'FROM ./m.gguf\nSCHEMA {"type": "object"}', "base")
    manifest = make(store, folder, "FROM base\nMESSAGE user a\u200b")
    with pytest.raises(Unsayable, match="the text of MESSAGE user"):
        export(KID, manifest, store)


def test_a_model_is_not_its_own_base(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, folder, BASE)
    manifest = make(store, folder, "FROM kid\nMESSAGE user hi")
    assert statements(export(KID, manifest, store), store).startswith("FROM BLOBS/")


def test_the_order_of_what_adds_up_counts(folder: Path, store: Store) -> None:
    make(store, folder, "FROM ./m.gguf\nLICENSE a\nLICENSE b", "base")
    manifest = make(store, folder, "FROM base\nUNSET LICENSE\nLICENSE b\nLICENSE a")
    text = export(KID, manifest, store)
    assert statements(text, store).endswith("LICENSE b\nLICENSE a\n")
    read_again(text, manifest, folder, store)


def test_an_adapter_of_another_strength_than_the_bases_is_refused(
    folder: Path, store: Store
) -> None:
    make(store, folder, "FROM ./m.gguf\nADAPTER --scale=0.5 ./a.gguf", "base")
    same = make(store, folder, "FROM base")
    assert statements(export(KID, same, store), store) == "FROM base:latest\n"
    other = make(store, folder, "FROM base\nUNSET ADAPTER\nADAPTER --scale=0.7 ./a.gguf")
    with pytest.raises(Unsayable, match=r"the adapter scale 0\.7"):
        export(KID, other, store)
    plain = make(store, folder, "FROM base\nUNSET ADAPTER\nADAPTER ./a.gguf")
    text = export(KID, plain, store)
    assert statements(text, store).startswith("FROM BLOBS/")
    read_again(text, plain, folder, store)


def test_a_second_adapter_can_be_said_on_top_of_the_first(folder: Path, store: Store) -> None:
    make(store, folder, "FROM ./m.gguf\nADAPTER ./a.gguf", "base")
    manifest = make(store, folder, "FROM base\nADAPTER ./b.gguf")
    text = export(KID, manifest, store)
    assert statements(text, store).startswith("FROM base:latest\nADAPTER BLOBS/")
    read_again(text, manifest, folder, store)


def test_what_the_base_has_need_not_be_said(folder: Path, store: Store) -> None:
    make(
        store,
        folder,
        'FROM ./m.gguf\nSCHEMA {"type": "object"}\nSYSTEM a\u200db\nDRAFT ./small.gguf',
        "base",
    )
    manifest = make(store, folder, "FROM base\nPARAMETER top_k 1")
    text = export(KID, manifest, store)
    assert statements(text, store) == "FROM base:latest\nPARAMETER top_k 1\n"
    read_again(text, manifest, folder, store)


def test_everything_at_once(folder: Path, store: Store) -> None:
    manifest = make(
        store,
        folder,
        "ARG N=7\nFROM ./m.gguf\nFROM ./p.gguf\nADAPTER --scale=1 ./a.gguf\nDRAFT ./small.gguf\n"
        "SYSTEM --file=said.md\nPARAMETER top_k ${N}\nPARAMETER stop <<X\n a\nX\nMESSAGE user hi\n",
    )
    layers = {layer.media_type: layer.digest.filename for layer in manifest.layers}
    text = export(KID, manifest, store)
    assert statements(text, store) == (
        f"FROM BLOBS/{layers[MediaType.MODEL]}\n"
        f"ADAPTER BLOBS/{layers[MediaType.ADAPTER]}\n"
        f"DRAFT BLOBS/{layers[MediaType.DRAFT]}\n"
        f"FROM BLOBS/{layers[MediaType.PROJECTOR]}\n"
        'SYSTEM """from a file, "quoted"\n"""\n'
        'PARAMETER stop " a"\n'
        "PARAMETER top_k 7\n"
        "MESSAGE user hi\n"
    )
    again = make(store, folder, text, "again", "ollama")
    # That the scale of the only adapter is 1 need not be said.
    assert {kind for kind, _ in parts(manifest) ^ parts(again)} == {MediaType.SCALES}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param('SCHEMA {"type": "object"}', "SCHEMA: only mbuild knows it", id="schema"),
        pytest.param("ADAPTER --scale=0.5 ./a.gguf", "the adapter scale 0.5", id="scale"),
        pytest.param(
            "ADAPTER --scale=1 ./a.gguf\nADAPTER --scale=1 ./b.gguf", "2 adapters", id="adapters"
        ),
        pytest.param(
            "SYSTEM 👩\u200d👧", r"the text of SYSTEM: Ollama drops U\+200D", id="invisible"
        ),
        pytest.param(
            'MESSAGE user <<X\n"\n"""\n.\nX', "the text of MESSAGE user: no way", id="quotes"
        ),
        pytest.param("PARAMETER stop \u00a0", r"the text of PARAMETER stop: .*00A0", id="stop"),
        pytest.param("TEMPLATE a\u200b", "the text of TEMPLATE", id="template"),
        pytest.param("LICENSE a\u200b", "the text of LICENSE", id="license"),
    ],
)
def test_what_no_plain_modelfile_can_say_is_named(
    folder: Path, store: Store, text: str, what: str
) -> None:
    manifest = make(store, folder, f"FROM ./m.gguf\n{text}\n")
    for act in (export, bundle):
        with pytest.raises(Unsayable, match=f"no plain Modelfile can carry {what}"):
            act(KID, manifest, store)


def with_layers(
    manifest: Manifest, store: Store, *layers: tuple[str, bytes], config: Config | None = None
) -> Manifest:
    """*manifest* with more layers, or another configuration."""
    described = manifest.config
    if config is not None:
        stored = store.blobs.put(config.encode())
        described = Layer(MediaType.CONFIG, stored.digest, stored.size)
    put = [(kind, store.blobs.put(data)) for kind, data in layers]
    more = (Layer(kind, stored.digest, stored.size) for kind, stored in put)
    return Manifest(described, (*manifest.layers, *more))


@pytest.mark.parametrize(
    ("layers", "config", "what"),
    [
        pytest.param([("application/vnd.other", b"x")], None, "a layer of type", id="unknown"),
        pytest.param([(MediaType.SYSTEM, b"\xff")], None, "would have another system", id="bytes"),
        pytest.param([], Config(capabilities=("vision",)), "capabilities", id="capabilities"),
        pytest.param([], Config(remote_model="x", remote_host="h"), "a remote", id="remote"),
    ],
)
def test_a_model_from_elsewhere_that_no_modelfile_makes_is_refused(
    folder: Path,
    store: Store,
    layers: list[tuple[str, bytes]],
    config: Config | None,
    what: str,
) -> None:
    manifest = make(store, folder, "FROM ./m.gguf\n")
    with pytest.raises(Unsayable, match=what):
        export(KID, with_layers(manifest, store, *layers, config=config), store)


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param((MediaType.PARAMS, b'{ "top_k": 3 }'), id="blanks in JSON"),
        pytest.param((MediaType.PROMPT, b"{{ .Prompt }}"), id="an old name of TEMPLATE"),
        pytest.param((MediaType.SYSTEM, b""), id="an empty text"),
    ],
)
def test_a_model_from_elsewhere_that_is_written_otherwise_is_exported(
    folder: Path, store: Store, layer: tuple[str, bytes]
) -> None:
    manifest = with_layers(make(store, folder, "FROM ./m.gguf\n"), store, layer)
    assert "FROM" in export(KID, manifest, store)


def test_two_layers_of_weights_are_refused(folder: Path, store: Store) -> None:
    manifest = make(store, folder, "FROM ./m.gguf\n")
    both = with_layers(manifest, store, (MediaType.MODEL, (folder / "small.gguf").read_bytes()))
    with pytest.raises(Unsayable, match="would have another model"):
        export(KID, both, store)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("--append x", id="like a flag"),
        pytest.param("<<END", id="like a heredoc"),
        pytest.param("a\n<<END\nb\nEND", id="a heredoc"),
    ],
)
def test_what_only_mbuild_would_read_otherwise_is_quoted(
    folder: Path, store: Store, text: str
) -> None:
    manifest = make(store, folder, f'FROM ./m.gguf\nSYSTEM "{text}"\n')
    exported = export(KID, manifest, store)
    assert statements(exported, store).endswith(f'SYSTEM "{text}"\n')
    read_again(exported, manifest, folder, store)


def test_a_text_that_mbuild_takes_for_a_mistake_is_said_for_the_reference(
    folder: Path, store: Store
) -> None:
    text = 'FROM ./m.gguf\nSYSTEM <<X\n"""a\nFROM y\n"\nb\nX\n'
    manifest = make(store, folder, text)
    again = make(store, folder, export(KID, manifest, store), "again", "ollama")
    assert parts(again) == parts(manifest)


def test_nothing_is_written_into_the_store(folder: Path, tmp_path: Path) -> None:
    store = Store(tmp_path)
    make(store, folder, BASE, "base")
    manifest = make(store, folder, "FROM base\nUNSET SYSTEM\nPARAMETER top_k 1")
    before = sorted(tmp_path.joinpath("blobs").iterdir())
    export(KID, manifest, store)
    bundle(KID, manifest, store)
    assert sorted(tmp_path.joinpath("blobs").iterdir()) == before
