"""A model back to a Modelfile: building it again gives the same layers, or it is refused."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from gguf_files import lora, tiny_llama, write_gguf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mbuild.compiler.build import build
from mbuild.compiler.check import load
from mbuild.compiler.decompile import Unsayable, Writer, decompile, plain_number
from mbuild.compiler.diagnostic import Source, Span
from mbuild.compiler.dialect import Dialect
from mbuild.compiler.recipe import Located, Message, Recipe
from mbuild.store.config import Config
from mbuild.store.contents import Contents, contents
from mbuild.store.digest import Digest
from mbuild.store.manifest import Layer, Manifest, MediaType
from mbuild.store.name import Name
from mbuild.store.store import Store

NAME = Name.parse("kid")
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)


def _located(text: str) -> Located:
    return Located(text, Span(Source("made", text), 0, len(text)))


def _built(recipe: Recipe, folder: Path, store: Store) -> Manifest:
    built, findings = build(recipe, str(folder), store, tell=lambda _: None)
    assert built is not None, findings
    return built.manifest


def _text(manifest: Manifest, store: Store) -> str:
    return decompile(NAME, contents(manifest, store.blobs), store.blobs)


def _again(text: str, folder: Path, store: Store) -> Manifest:
    recipe, findings = load("Modelfile", text.encode())
    assert recipe is not None, findings
    return _built(recipe, folder, store)


def _parts(manifest: Manifest) -> set[tuple[str, str]]:
    return {(layer.media_type, str(layer.digest)) for layer in manifest.blobs}


# What quoting has to get past: quotes, line ends, blanks at the ends, instruction words.
pieces = st.sampled_from(
    [
        "<<END",
        "\nEND\n",
        '"',
        '""',
        '"""',
        "\n",
        "\r\n",
        "\r",
        " ",
        "\t",
        "a",
        "SYSTEM x",
        "\nFROM y",
        "#",
        "'",
        "\\n",
    ]
    + ["\u200d", "\u00a0", "👩", "é", "\x00", "\ufeff", "{{ .Prompt }}"]
)
texts = st.lists(pieces, max_size=8).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=30
)
some = st.none() | texts.filter(bool).map(_located)
parameters = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2, width=32),
        "num_ctx": st.integers(0, 2**31),
        "seed": st.integers(-(2**53), 2**53),
        "use_mmap": st.booleans(),
        "stop": st.lists(texts, min_size=1, max_size=3).map(tuple),
    },
)
adapters = st.lists(
    st.tuples(st.sampled_from(["./a.gguf", "./b.gguf"]), st.sampled_from([1.0, 0.7, -2.5, 1e-7])),
    max_size=3,
).filter(lambda pairs: [scale for _, scale in pairs] != [1.0])
recipes = st.builds(
    lambda adapters, **rest: Recipe(
        adapters=tuple(_located(path) for path, _ in adapters),
        scales=tuple(scale for _, scale in adapters),
        **rest,
    ),
    adapters=adapters,
    sources=st.just((_located("./m.gguf"),)),
    schema=st.sampled_from([None, '{"type": "object"}', '{"enum": ["\\"", "\'"]}\n']).map(
        lambda text: text and _located(text)
    ),
    template=some,
    system=some,
    licenses=st.lists(texts, max_size=2).map(tuple),
    messages=st.lists(
        st.builds(Message, st.sampled_from(["system", "user", "assistant"]), texts), max_size=3
    ).map(tuple),
    parameters=parameters,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("decompile")
    tiny_llama(folder / "m.gguf")
    lora(folder / "a.gguf", "output.weight", 269)
    lora(folder / "b.gguf", "output.weight", 269, at=-3)
    return folder


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(recipe=recipes)
@example(recipe=Recipe((_located("./m.gguf"),), system=_located('say """ twice\n"""\nend')))
@example(recipe=Recipe((_located("./m.gguf"),), system=_located('"quoted"')))
@example(recipe=Recipe((_located("./m.gguf"),), system=_located("\ttab")))
@example(recipe=Recipe((_located("./m.gguf"),), system=_located("<<A"), licenses=("b\nA\nc",)))
@example(recipe=Recipe((_located("./m.gguf"),), parameters={"num_ctx": 1048576}))
def test_building_what_is_shown_gives_the_same_layers(folder: Path, recipe: Recipe) -> None:
    store = Store(folder / "store")
    manifest = _built(recipe, folder, store)
    try:
        text = _text(manifest, store)
    except Unsayable:
        return
    assert _parts(_again(text, folder, store)) == _parts(manifest)


PLAIN = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=60)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=texts.filter(bool)
    | st.lists(st.sampled_from(["END", "\n", "\r", '"']), min_size=1).map("".join)
)
@example(text='a """\nb "\nc')
@example(text='"\nEND\nEND_\n"""\n \r')
def test_every_text_can_be_said(text: str) -> None:
    (statement,) = Writer("mbuild").statements(_only(system=text), lambda _: "")
    recipe, findings = load("Modelfile", f"FROM x\n{statement}\nLICENSE y\n".encode())
    assert recipe is not None, findings
    assert recipe.system is not None
    assert (recipe.system.text, recipe.licenses) == (text, ("y",))


@settings(max_examples=200, deadline=None)
@given(
    text=st.lists(PLAIN.filter(lambda line: '"' not in line), min_size=1, max_size=5)
    .map("\n".join)
    .filter(str.strip)
)
def test_text_without_quotes_can_always_be_said_plainly(text: str) -> None:
    (statement,) = Writer("ollama").statements(_only(system=text), lambda _: "")
    recipe, _ = load("Modelfile", f"FROM x\n{statement}\n".encode(), dialect="ollama")
    assert recipe is not None
    assert recipe.system is not None
    assert recipe.system.text == text


def _only(system: str) -> Contents:
    return Contents(Config(), None, (), (), (), None, None, system, {}, (), (), None, ())


def test_the_whole_text(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    tiny_llama(tmp_path / "m.gguf")
    write_gguf(tmp_path / "p.gguf", {"general.type": "projector"})
    recipe, _ = load(
        "Modelfile",
        b'FROM ./m.gguf\nFROM ./p.gguf\nSYSTEM """You say "hi"\nto all."""\nPARAMETER stop " a"\n'
        b"PARAMETER num_ctx 1048576\nPARAMETER temperature 0.7\nPARAMETER use_mmap false\n"
        b"PARAMETER stop b\nMESSAGE user hi\nLICENSE MIT\nREQUIRES 0.14.0\nRENDERER r\nPARSER p\n",
    )
    assert recipe is not None
    manifest = _built(recipe, tmp_path, store)
    weights, projector = (store.blobs.path(layer.digest) for layer in manifest.layers[:2])
    assert _text(manifest, store) == (
        '# Modelfile generated by "mbuild show"\n'
        "# To build a new Modelfile based on this, replace FROM with:\n"
        "# FROM kid:latest\n"
        "\n"
        f"FROM {weights}\n"
        f"FROM {projector}\n"
        'SYSTEM """You say "hi"\n'
        'to all."""\n'
        "RENDERER r\n"
        "PARSER p\n"
        "REQUIRES 0.14.0\n"
        "PARAMETER num_ctx 1048576\n"
        'PARAMETER stop " a"\n'
        "PARAMETER stop b\n"
        "PARAMETER temperature 0.7\n"
        "PARAMETER use_mmap false\n"
        "LICENSE MIT\n"
        "MESSAGE user hi\n"
    )


def test_what_only_mbuild_can_say(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    tiny_llama(tmp_path / "m.gguf")
    lora(tmp_path / "a.gguf", "output.weight", 269)
    lora(tmp_path / "b.gguf", "output.weight", 269, at=-3)
    recipe, _ = load(
        "Modelfile",
        b"FROM ./m.gguf\nADAPTER --scale=0.70 ./a.gguf\nADAPTER --scale=1 ./b.gguf\n"
        b'SCHEMA {"type": "object"}\nSYSTEM <<X\nsay """\n"so"\nEND\nX\n',
    )
    assert recipe is not None
    manifest = _built(recipe, tmp_path, store)
    weights, *both = (store.blobs.path(layer.digest) for layer in manifest.layers[:3])
    assert _text(manifest, store).split("\n\n")[1] == (
        f"FROM {weights}\n"
        f"ADAPTER --scale=0.7 {both[0]}\n"
        f"ADAPTER --scale=1 {both[1]}\n"
        'SYSTEM <<END_\nsay """\n"so"\nEND\nEND_\n'
        'SCHEMA {"type": "object"}\n'
    )


@pytest.mark.parametrize(
    ("scale", "what"),
    [
        pytest.param(0.7, "the adapter scale 0.7", id="a scale"),
        pytest.param(1.0, "2 adapters", id="two adapters"),
    ],
)
def test_a_plain_modelfile_has_one_adapter_at_full_strength(scale: float, what: str) -> None:
    layer = Layer(MediaType.ADAPTER, Digest.of(b""), 0)
    model = replace(_only("x"), adapters=(layer, layer), scales=(scale, scale))
    with pytest.raises(Unsayable, match=f"no plain Modelfile can carry {what}"):
        list(Writer("ollama").additions(model, lambda _: "/a"))


def test_a_scale_beyond_the_language_is_named() -> None:
    layer = Layer(MediaType.ADAPTER, Digest.of(b""), 0)
    model = replace(_only("x"), adapters=(layer,), scales=(12345678.0,))
    with pytest.raises(Unsayable, match="no Modelfile can carry the adapter scale 12345678"):
        list(Writer("mbuild").additions(model, lambda _: "/a"))


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/a b/c", id="a blank"),
        pytest.param("/a AS b", id="what looks like a stage"),
        pytest.param('/a"b', id="a quote"),
        pytest.param("/a #b", id="what looks like a comment"),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_paths_read_back(path: str, dialect: Dialect) -> None:
    recipe, _ = load("x", Writer(dialect).file("FROM", path).encode(), dialect=dialect)
    assert recipe is not None
    assert [each.text for each in recipe.sources] == [path]


def test_what_the_reference_drops_is_named() -> None:
    with pytest.raises(Unsayable, match=r"the text of SYSTEM: Ollama drops U\+00A0, U\+200D"):
        list(Writer("ollama").additions(_only("a\u200db\u00a0"), lambda _: ""))


def _with_layer(store: Store, media_type: str, data: bytes, config: Config = Config()) -> Manifest:
    weights = store.blobs.put(b"weights")
    stored = store.blobs.put(data)
    settings_ = store.blobs.put(config.encode())
    return Manifest(
        Layer(MediaType.CONFIG, settings_.digest, settings_.size),
        (
            Layer(MediaType.MODEL, weights.digest, weights.size),
            Layer(media_type, stored.digest, stored.size),
        ),
    )


@pytest.mark.parametrize(
    ("media_type", "data", "what"),
    [
        pytest.param(MediaType.PARAMS, b'{"top_p": 0.123456789}', "top_p", id="more than 32 bits"),
        pytest.param(MediaType.PARAMS, b'{"mirostat": 1}', "mirostat", id="an old parameter"),
        pytest.param(MediaType.PARAMS, b'{"num_ctx": "many"}', "num_ctx", id="a wrong type"),
        pytest.param(
            MediaType.MESSAGES, b'[{"role":"tool","content":"x"}]', "message 1", id="a role"
        ),
        pytest.param(
            MediaType.MESSAGES,
            b'[{"role":"user","content":"x","images":["eA=="]}]',
            "images",
            id="an image",
        ),
        pytest.param("application/vnd.other", b"x", "application/vnd.other", id="another layer"),
    ],
)
def test_what_no_modelfile_can_carry_is_named(
    tmp_path: Path, media_type: str, data: bytes, what: str
) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(Unsayable, match="no Modelfile can carry") as refusal:
        _text(_with_layer(store, media_type, data), store)
    assert what in str(refusal.value)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        pytest.param(Config(capabilities=("vision",)), "capabilities", id="capabilities"),
        pytest.param(Config(remote_model="x", remote_host="h"), "a remote model", id="remote"),
    ],
)
def test_a_configuration_beyond_words_is_named(tmp_path: Path, config: Config, what: str) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(Unsayable, match=what):
        _text(_with_layer(store, MediaType.SYSTEM, b"x", config), store)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1048576.0, "1048576"), (0.7, "0.7"), (1e-07, "1e-07"), (-1.0, "-1"), (1e22, "1" + "0" * 22)],
)
def test_whole_numbers_have_no_exponent(value: float, text: str) -> None:
    assert plain_number(value) == text
