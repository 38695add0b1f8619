"""Projects: what mbuild.toml says, what depends on what, and what is built again."""

import re
import shutil
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from gguf_files import tiny_llama
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from mbuild.compiler.create import Order, create
from mbuild.compiler.crew import Alone, Team
from mbuild.compiler.diagnostic import Code, Diagnostic, Source, render
from mbuild.compiler.plan import KEYS, Unit, matching, plan
from mbuild.compiler.project import Node, Project, Survey, Ways, find, is_stale, load
from mbuild.compiler.schedule import (
    Ended,
    Failure,
    News,
    Outcome,
    State,
    foreseen,
    run,
)
from mbuild.compiler.toml_places import places
from mbuild.store.name import Name
from mbuild.store.store import Store


def planned(text: str) -> tuple[tuple[Unit, ...], tuple[Diagnostic, ...]]:
    return plan(Source("mbuild.toml", text))


def labels(text: str) -> list[list[str]]:
    units, findings = planned(text)
    assert findings == ()
    return [[name.short for name in unit.names] for unit in units]


# What the file says.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[models.kid]\n", [["kid:latest"]], id="smallest"),
        pytest.param("models.kid = {}\n", [["kid:latest"]], id="inline"),
        pytest.param('[models."me/kid:v2"]\n', [["me/kid:v2"]], id="full name"),
        pytest.param('[models."hf.co/me/kid"]\n', [["hf.co/me/kid:latest"]], id="with a host"),
        pytest.param('[models.kid]\ntags = ["a", "b"]\n', [["kid:a", "kid:b"]], id="tags"),
        pytest.param('[models.kid]\ntags = ["a", "a"]\n', [["kid:a"]], id="the same tag twice"),
        pytest.param("[models.b]\n[models.a]\n", [["b:latest"], ["a:latest"]], id="file order"),
        pytest.param(
            '[models.kid]\nmatrix = {Q = ["q4_K_M", "Q8_0"], T = ["Kind", "strict"]}\n',
            [["kid:q4_k_m-kind"], ["kid:q4_k_m-strict"], ["kid:q8_0-kind"], ["kid:q8_0-strict"]],
            id="matrix",
        ),
        # In the order in which the keys are written, not that of the alphabet.
        pytest.param(
            '[models.kid]\n[models.kid.matrix]\nT = ["kind"]\nQ = [4, 0.5]\n',
            [["kid:kind-4"], ["kid:kind-0.5"]],
            id="order of keys",
        ),
        pytest.param(
            '[models.kid]\ntag = "v-{T}-{Q}"\nmatrix = {Q = ["A"], T = [true]}\n',
            [["kid:v-true-A"]],
            id="pattern",
        ),
        pytest.param(
            '[models.kid]\nmatrix = {T = ["a", "a"]}\n', [["kid:a"]], id="the same value twice"
        ),
    ],
)
def test_names(text: str, expected: list[list[str]]) -> None:
    assert labels(text) == expected


def test_everything_that_a_model_says_is_kept() -> None:
    (unit,), findings = planned(
        "[models.kid]\n"
        'modelfile = "x/Kid"\nargs = {TONE = "kind", N = 3, LOUD = false}\n'
        'target = "final"\nquantize = "{Q}"\nallow-outside = true\ndialect = "ollama"\n'
        'matrix = {Q = ["q4_k_m"]}\n'
    )
    assert findings == ()
    assert (unit.modelfile, unit.target, unit.quantize) == ("x/Kid", "final", "Q4_K_M")
    assert unit.arguments == {"TONE": "kind", "N": "3", "LOUD": "false"}
    assert unit.axes == {"Q": "q4_k_m"}
    assert (unit.allow_outside, unit.dialect) == (True, "ollama")


WRONG = [
    pytest.param("[models.kid\n", id="no TOML"),
    pytest.param("[models.kid]\nargs = {\n", id="no TOML at the end"),
    pytest.param("[models.kid]\n\n[models.kid]\n", id="a table twice"),
    pytest.param("", id="empty"),
    pytest.param("[models]\n", id="no models"),
    pytest.param("models = 3\n", id="models is a number"),
    pytest.param("[model.kid]\n", id="misspelled table"),
    pytest.param("[models]\nkid = 3\n", id="model is a number"),
    pytest.param('[models.kid]\nmodelfil = "a"\nallow_outside = true\n', id="misspelled keys"),
    pytest.param(
        '[models.kid]\nmodelfile = 1\nargs = "A=1"\ntags = "v2"\ntarget = []\n'
        'allow-outside = "yes"\nmatrix = ["a"]\ntag = ""\n',
        id="wrong types",
    ),
    pytest.param('[models.kid]\nargs = {A = "1", B = [2]}\n', id="type of an argument"),
    pytest.param('[models."my kid"]\n[models.kid]\ntags = ["a b"]\n', id="bad names"),
    pytest.param('[models.kid]\n[models."KID:latest"]\n', id="two models with one name"),
    pytest.param('[models."kid:a"]\ntags = ["b"]\n', id="tag and tags"),
    pytest.param('[models.kid]\nmatrix = {T = ["a/b", "c"]}\n', id="ill-formed tag of a matrix"),
    pytest.param('[models.kid]\nmatrix = {T = ["a", "A"]}\n', id="combinations with one tag"),
    pytest.param(
        '[models.kid]\ntag = "{Q}"\nmatrix = {Q = ["a"], T = ["b", "c"]}\n', id="pattern with one"
    ),
    pytest.param('[models.kid]\ntag = "{TON}"\nmatrix = {TONE = ["a"]}\n', id="pattern of nothing"),
    pytest.param('[models.kid]\ntag = "a"\n', id="tag without a matrix"),
    pytest.param('[models.kid]\ntags = ["a"]\nmatrix = {T = ["b"]}\n', id="tags with a matrix"),
    pytest.param("[models.kid]\nmatrix = {T = []}\n", id="empty axis"),
    pytest.param("[models.kid]\nmatrix = {}\n", id="empty matrix"),
    pytest.param('[models.kid]\ndialect = "olama"\n', id="dialect"),
    pytest.param('[models.kid]\nquantize = "q4km"\n', id="quantization"),
    pytest.param(
        f"[models.kid]\nmatrix = {{A = {list(range(200))}, B = {list(range(200))}}}\n",
        id="too many combinations",
    ),
    pytest.param(f"a = {'[' * 100_000}\n", id="too deep"),
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_told_all_at_once(text: str, snapshot: SnapshotAssertion) -> None:
    _, findings = planned(text)
    assert findings
    assert "\n\n".join(map(render, findings)) == snapshot


SHORT = [text for param in WRONG if len(text := str(param.values[0])) < 1000]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60) | st.sampled_from(SHORT))
def test_every_text_is_read_and_every_span_lies_in_it(text: str) -> None:
    source = Source("mbuild.toml", text)
    for finding in plan(source)[1]:
        assert 0 <= finding.span.start <= finding.span.end <= len(text)
    for key, value in places(source).values():
        assert max(key.end, value.end) <= len(text)


NAMES = st.sampled_from(["a", "b-c", '"d e"', "'f.g'", '"\\u00e9"'])
VALUES = st.recursive(
    st.sampled_from(
        ["1", "true", '"x"', "'#'", '"""a\n"b" ]"""', "'''}\n'''", '"\\""', "1979-05-27"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda values: f"[ {', '.join(values)}, # ]\n]")
        | st.dictionaries(NAMES, inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{k} = {v}" for k, v in table.items()) + "}"
        )
    ).filter(lambda text: "[ ," not in text),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=3))
def test_every_key_is_found_where_it_stands(tables: Mapping[str, Mapping[str, str]]) -> None:
    import tomllib

    lines = []
    for name, table in tables.items():
        lines += [f"[t.{name}] # x", *(f"{key} = {value} # y" for key, value in table.items())]
    source = Source("mbuild.toml", "\n".join(lines))
    found = places(source)

    def walk(place: tuple[str, ...], value: object) -> Iterable[tuple[str, ...]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield (*place, key)
                yield from walk((*place, key), inner)

    assert set(found) == set(walk((), tomllib.loads(source.text)))
    for place, (key, _) in found.items():
        last = key.text.removeprefix("t.") if len(place) == 2 else key.text
        assert tomllib.loads(f"{last} = 1") == {place[-1]: 1}


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        pytest.param(["kid"], ["kid:latest"], id="model"),
        pytest.param(["kid:v2"], ["kid:latest"], id="one of its tags"),
        pytest.param(["tutor"], ["tutor:a", "tutor:b"], id="all of a matrix"),
        pytest.param(["tutor:b"], ["tutor:b"], id="one of a matrix"),
        pytest.param(["t*"], ["tutor:a", "tutor:b"], id="glob"),
        pytest.param(["*:b", "kid"], ["kid:latest", "tutor:b"], id="glob of tags"),
    ],
)
def test_targets(patterns: list[str], expected: list[str]) -> None:
    units, _ = planned(
        '[models.kid]\ntags = ["latest", "v2"]\n[models.tutor]\nmatrix = {T = ["a", "b"]}\n'
    )
    chosen, unknown = matching(units, patterns)
    assert ([unit.label for unit in chosen], unknown) == (expected, [])


def test_targets_that_there_are_not() -> None:
    units, _ = planned("[models.kid]\n")
    assert matching(units, ["kit", "kid:v9", "x*"])[1] == ["kit", "kid:v9", "x*"]


# What is there.


@dataclass
class Bench:
    """A folder with a project, and a store in which there is a model called root."""

    folder: Path
    store: Store
    told: list[str] = field(default_factory=list)

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def load(self) -> Project:
        project, findings = load(str(self.folder / "mbuild.toml"), "mbuild.toml")
        assert findings == ()
        return project

    def survey(self, *targets: str, ways: Ways | None = None) -> Survey:
        return Survey(self.load(), self.store, ways or Ways())

    def nodes(self, *targets: str, ways: Ways | None = None) -> tuple[Node, ...]:
        project = self.load()
        survey = Survey(project, self.store, ways or Ways())
        units = matching(project.units, targets)[0] if targets else project.units
        nodes = survey.nodes(units)
        assert survey.findings == []
        return nodes

    def build(
        self, *targets: str, ways: Ways | None = None, keep_going: bool = False
    ) -> dict[str, Outcome]:
        crew = Alone(self.store, explain, lambda _: None)
        nodes = self.nodes(*targets, ways=ways)
        outcomes = run(nodes, self.store, crew, self, keep_going=keep_going)
        return {outcome.node.unit.label: outcome for outcome in outcomes}

    def built(self, *targets: str, ways: Ways | None = None) -> list[str]:
        outcomes = self.build(*targets, ways=ways)
        assert {each.state for each in outcomes.values()} <= {State.BUILT, State.CACHED}
        return [label for label, each in outcomes.items() if each.state is State.BUILT]

    def system(self, name: str) -> str:
        manifest = self.store.load(Name.parse(name))
        (layer,) = [each for each in manifest.layers if each.media_type.endswith("system")]
        return self.store.blobs.read(layer.digest).decode()

    def began(self, node: Node, why: str) -> None:
        self.told.append(f"{node.unit.label} {why}")

    def heard(self, news: News) -> None:
        pass

    def ended(self, outcome: Outcome) -> None:
        pass


def explain(error: Exception) -> Failure:
    return Failure(f"{type(error).__name__}: {error}")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a model called root, to be copied."""
    folder = tmp_path_factory.mktemp("shelf")
    tiny_llama(folder / "m.gguf")
    store = Store(folder / "store")
    order = Order(Name.parse("root"), "Modelfile", b"FROM ./m.gguf\nSYSTEM r\n", str(folder))
    manifest, findings = create(order, store, lambda _: None)
    assert manifest is not None, findings
    return folder / "store"


NewBench = Callable[[], Bench]


@pytest.fixture
def new_bench(shelf: Path, tmp_path: Path) -> NewBench:
    count = 0

    def make() -> Bench:
        nonlocal count
        count += 1
        folder = tmp_path / str(count)
        shutil.copytree(shelf, folder / "store")
        (folder / "work").mkdir()
        return Bench(folder / "work", Store(folder / "store"))

    return make


@pytest.fixture
def bench(new_bench: NewBench) -> Bench:
    return new_bench()


def test_a_project_is_found_from_below(bench: Bench) -> None:
    bench.write({"mbuild.toml": "[models.a]\n", "x/y/z": ""})
    assert find(str(bench.folder / "x" / "y")) == str(bench.folder / "mbuild.toml")
    (bench.folder / "mbuild.toml").unlink()
    assert find(str(bench.folder)) is None


def test_a_modelfile_is_the_models_own_or_the_projects(bench: Bench) -> None:
    bench.write(
        {
            "mbuild.toml": "[models.a]\n[models.b]\n",
            "a/Modelfile": "FROM root\nSYSTEM own\n",
            "Modelfile": "FROM root\nSYSTEM shared\n",
        }
    )
    assert bench.built() == ["a:latest", "b:latest"]
    assert (bench.system("a"), bench.system("b")) == ("own", "shared")


def test_a_missing_modelfile_is_told_where_it_is_named(
    bench: Bench, snapshot: SnapshotAssertion
) -> None:
    bench.write(
        {
            "mbuild.toml": '[models.a]\nmodelfile = "x/Modelfil"\n\n[models.b]\n'
            '[models.c]\nmodelfile = "x"\n',
            "x/Modelfile": "",
        }
    )
    survey = bench.survey()
    assert survey.nodes(bench.load().units) == ()
    assert "\n\n".join(map(render, survey.findings)) == snapshot


def test_only_what_is_asked_for_is_looked_at(bench: Bench) -> None:
    bench.write(
        {
            "mbuild.toml": "[models.a]\n[models.b]\n[models.gone]\n",
            "a/Modelfile": "FROM b\nSYSTEM --append a\n",
            "b/Modelfile": "FROM root\n",
        }
    )
    assert bench.built("a") == ["b:latest", "a:latest"]


def test_bytes_that_are_no_text_are_told(bench: Bench) -> None:
    (bench.folder / "mbuild.toml").write_bytes(b"# caf\xe9\n[models.a]\n")
    _, findings = load(str(bench.folder / "mbuild.toml"), "mbuild.toml")
    assert [render(each) for each in findings] == [
        "mbuild.toml:1:6: error: byte 0xe9 is not UTF-8, as TOML must be [MB043 not-toml]\n"
        "  |\n1 | # caf\ufffd\n  |      ^"
    ]


# What depends on what.

CHAIN = {
    "mbuild.toml": "[models.c]\n[models.b]\n[models.a]\n[models.other]\n",
    "a/Modelfile": "FROM root\nSYSTEM --append a\n",
    "b/Modelfile": "FROM a:latest\nSYSTEM --append b\n",
    "c/Modelfile": "FROM b AS one\nFROM one\nSYSTEM --append c\n",
    "other/Modelfile": "FROM root\nSYSTEM --append other\n",
}


def test_a_model_is_built_after_what_it_is_from(bench: Bench) -> None:
    bench.write(CHAIN)
    order = bench.built()
    assert [each for each in order if each != "other:latest"] == [
        "a:latest",
        "b:latest",
        "c:latest",
    ]
    assert bench.system("c") == "r\na\nb\nc"
    assert bench.built() == []


def test_an_edit_builds_what_depends_on_it_and_tells_why(bench: Bench) -> None:
    bench.write(CHAIN)
    bench.build()
    bench.told.clear()
    bench.write({"b/Modelfile": "FROM a:latest\nSYSTEM --append bb\n"})
    assert bench.built() == ["b:latest", "c:latest"]
    assert bench.told == ["b:latest b/Modelfile changed", "c:latest b:latest changed"]


def test_what_comes_out_as_before_builds_nothing_else(bench: Bench) -> None:
    bench.write(CHAIN)
    bench.build()
    bench.write({"a/Modelfile": "# the same\nFROM root\nSYSTEM --append a\n"})
    assert bench.built() == ["a:latest"]


def test_a_base_that_moved_makes_stale_what_was_built_from_it(bench: Bench) -> None:
    bench.write(CHAIN)
    bench.build()
    bench.told.clear()
    order = Order(Name.parse("root"), "M", b"FROM root\nSYSTEM moved\n", str(bench.folder))
    create(order, bench.store, lambda _: None)
    assert bench.built() == ["a:latest", "b:latest", "c:latest", "other:latest"]
    assert bench.told[0] == "a:latest root:latest changed"
    assert bench.system("c") == "moved\na\nb\nc"


def test_a_name_that_stands_for_something_else_is_put_right(bench: Bench) -> None:
    bench.write(
        {"mbuild.toml": '[models.a]\ntags = ["latest", "v2"]\n', "Modelfile": "FROM root\n"}
    )
    bench.build()
    bench.store.remove(Name.parse("a:v2"))
    assert bench.built() == ["a:latest"]
    assert bench.store.read(Name.parse("a:v2")) == bench.store.read(Name.parse("a"))
    assert bench.built() == []


def test_all_names_follow_an_edit(bench: Bench) -> None:
    bench.write(
        {
            "mbuild.toml": '[models.a]\ntags = ["one", "two"]\n[models.b]\n',
            "a/Modelfile": "FROM root\nSYSTEM x\n",
            "b/Modelfile": "FROM a:two\nSYSTEM --append b\n",
        }
    )
    bench.build()
    bench.write({"a/Modelfile": "FROM root\nSYSTEM y\n"})
    assert bench.built() == ["a:one", "b:latest"]
    assert (bench.system("a:two"), bench.system("b")) == ("y", "y\nb")


def test_a_combination_gets_the_arguments_that_are_declared(bench: Bench) -> None:
    bench.write(
        {
            "mbuild.toml": '[models.a]\nargs = {NAME = "Ann"}\n'
            'matrix = {TONE = ["kind"], LEVEL = ["easy"], SIZE = ["big"]}\n',
            "Modelfile": "ARG NAME\nARG TONE=odd\nINCLUDE more/level\nSYSTEM ${NAME} ${TONE}\n",
            "more/level": "ARG LEVEL\nFROM root\nLICENSE ${LEVEL}\n",
        }
    )
    assert bench.built() == ["a:kind-easy-big"]
    assert bench.system("a:kind-easy-big") == "Ann kind"


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"Modelfile": "FROM a\n"}, id="of one"),
        pytest.param(
            {
                "mbuild.toml": "[models.a]\n[models.b]\n[models.c]\n[models.d]\n",
                "a/Modelfile": "# a\nFROM B:latest\n",
                "b/Modelfile": "FROM c AS x\nFROM x\n",
                "c/Modelfile": "FROM a\n",
                "d/Modelfile": "FROM a\n",
            },
            id="of three",
        ),
    ],
)
def test_a_circle_is_named(
    bench: Bench, files: Mapping[str, str], snapshot: SnapshotAssertion
) -> None:
    bench.write({"mbuild.toml": "[models.a]\n", **files})
    survey = bench.survey()
    assert survey.nodes(bench.load().units) == ()
    assert "\n\n".join(map(render, survey.findings)) == snapshot


def test_a_chain_may_be_longer_than_python_calls_may_nest(bench: Bench) -> None:
    count = 1200
    toml = "".join(f"[models.m{number}]\n" for number in range(count))
    bench.write({"mbuild.toml": toml, "m0/Modelfile": "FROM root\n"})
    bench.write({f"m{n}/Modelfile": f"FROM m{n - 1}\n" for n in range(1, count)})
    assert [node.unit.model for node in bench.nodes("m1199")] == [f"m{n}" for n in range(count)]


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        pytest.param({}, "", id="nothing"),
        pytest.param({"Modelfile": "ARG T\nFROM root\n"}, "Modelfile changed", id="Modelfile"),
        pytest.param({"kid.md": "x"}, "kid.md changed", id="text"),
        pytest.param({"root": ""}, "root is there now", id="a file hides the base"),
        pytest.param({"mbuild.toml": '[models.a]\nargs = {T = "2"}\n'}, "T: 1 → 2", id="argument"),
        pytest.param(
            {"mbuild.toml": '[models.a]\nargs = {T = "1"}\nallow-outside = true\n'},
            "allow-outside: False → True",
            id="setting",
        ),
    ],
)
def test_reasons(bench: Bench, edit: Mapping[str, str], expected: str) -> None:
    bench.write(
        {
            "mbuild.toml": '[models.a]\nargs = {T = "1"}\n',
            "Modelfile": "ARG T\nFROM root\nSYSTEM --file=kid.md\nLICENSE ${T}\n",
            "kid.md": "hello",
        }
    )
    ((_, why),) = foreseen(bench.nodes(), bench.store)
    assert why == "new"
    bench.build()
    bench.write(edit)
    ((_, why),) = foreseen(bench.nodes(), bench.store)
    assert why == expected


def test_what_would_be_built_is_foreseen(bench: Bench) -> None:
    bench.write(CHAIN)
    bench.build()
    bench.write({"b/Modelfile": "FROM a:latest\nSYSTEM --append bb\n"})
    plan = {node.unit.model: why for node, why in foreseen(bench.nodes(), bench.store)}
    assert plan == {"a": "", "b": "b/Modelfile changed", "c": "if b:latest changes", "other": ""}


def test_without_the_cache_models_are_built_again(bench: Bench) -> None:
    bench.write(CHAIN)
    bench.build()
    assert bench.built(ways=Ways(fresh=lambda unit: unit.model == "b")) == ["b:latest"]
    assert len(bench.built(ways=Ways(fresh=lambda _: True))) == 4
    assert bench.built() == []


def test_a_warning_is_an_error_where_that_is_asked(bench: Bench) -> None:
    bench.write({"mbuild.toml": "[models.a]\n", "Modelfile": "FROM root\nSYSTEM a\nSYSTEM b\n"})
    assert bench.build()["a:latest"].state is State.BUILT
    assert bench.build()["a:latest"].state is State.CACHED
    outcome = bench.build(ways=Ways(strict=True))["a:latest"]
    assert (outcome.state, [each.code for each in outcome.findings]) == (
        State.FAILED,
        [Code.REPLACED],
    )


# A failure.

BROKEN = {
    "mbuild.toml": "[models.a]\n[models.b]\n[models.c]\n[models.z]\n",
    "a/Modelfile": "FROM root\nPARAMETER top_q 1\n",
    "b/Modelfile": "FROM a\n",
    "c/Modelfile": "FROM b\n",
    "z/Modelfile": "FROM root\nSYSTEM z\n",
}


@pytest.mark.parametrize(
    ("keep_going", "of_z"),
    [pytest.param(False, State.SKIPPED, id="stops"), pytest.param(True, State.BUILT, id="goes on")],
)
def test_what_needs_a_failed_model_is_skipped(bench: Bench, keep_going: bool, of_z: State) -> None:
    bench.write(BROKEN)
    outcomes = bench.build(keep_going=keep_going)
    assert {label: each.state for label, each in outcomes.items()} == {
        "a:latest": State.FAILED,
        "b:latest": State.SKIPPED,
        "c:latest": State.SKIPPED,
        "z:latest": of_z,
    }
    assert outcomes["c:latest"].reason == "needs b:latest"
    assert outcomes["a:latest"].findings[0].code is Code.UNKNOWN_PARAMETER


def test_what_is_wrong_with_the_world_fails_one_model(bench: Bench) -> None:
    bench.write({"mbuild.toml": "[models.a]\n[models.z]\n", "Modelfile": "FROM root\n"})
    bench.store.blobs.remove(bench.store.load(Name.parse("root")).layers[0].digest)
    outcomes = bench.build(keep_going=True)
    assert [each.state for each in outcomes.values()] == [State.FAILED, State.FAILED]
    assert outcomes["a:latest"].failure is not None
    assert outcomes["a:latest"].failure.message.startswith("MissingBlob")


# Several at once.


def test_a_team_builds_as_one_does(bench: Bench) -> None:
    bench.write(CHAIN)
    with Team(bench.store, explain, 3) as team:
        outcomes = run(bench.nodes(), bench.store, team, bench, keep_going=False)
    assert {each.state for each in outcomes} == {State.BUILT}
    assert bench.system("c") == "r\na\nb\nc"
    assert bench.built() == []


def test_a_team_brings_findings_and_failures_back(bench: Bench) -> None:
    bench.write(BROKEN)
    with Team(bench.store, explain, 2) as team:
        outcomes = run(bench.nodes(), bench.store, team, bench, keep_going=True)
    found = {each.node.unit.model: each for each in outcomes}
    assert render(found["a"].findings[0]).startswith("a/Modelfile:2:11: error: unknown parameter")
    assert found["z"].state is State.BUILT


@dataclass
class FakeCrew:
    """Ends what was started in the order of its names; *broken* ones fail."""

    jobs: int
    broken: frozenset[str] = frozenset()
    running: list[Node] = field(default_factory=list)
    most: int = 0
    started: list[str] = field(default_factory=list)

    def start(self, node: Node) -> None:
        self.started.append(node.unit.model)
        self.running.append(node)
        self.most = max(self.most, len(self.running))

    def wait(self) -> News | Ended:
        node = min(self.running, key=lambda each: each.unit.model)
        self.running.remove(node)
        return Ended(node, 0.5, Failure("broken"))


def test_no_more_are_started_than_may_be(bench: Bench) -> None:
    toml = "".join(f"[models.m{number}]\n" for number in range(7))
    bench.write({"mbuild.toml": toml, "Modelfile": "FROM root\n"})
    crew = FakeCrew(3)
    outcomes = run(bench.nodes(), bench.store, crew, bench, keep_going=True)
    assert (crew.most, len(crew.started)) == (3, 7)
    assert {each.state for each in outcomes} == {State.FAILED}


def test_after_a_failure_what_runs_is_waited_for_and_no_more_is_started(bench: Bench) -> None:
    toml = "".join(f"[models.m{number}]\n" for number in range(7))
    bench.write({"mbuild.toml": toml, "Modelfile": "FROM root\n"})
    crew = FakeCrew(3)
    outcomes = run(bench.nodes(), bench.store, crew, bench, keep_going=False)
    assert crew.started == ["m0", "m1", "m2"]
    assert [each.state for each in outcomes].count(State.SKIPPED) == 4


# Laws.


@dataclass(frozen=True)
class Forest:
    """Models, each FROM an earlier one or root; and whether it adds to the system prompt."""

    bases: tuple[int, ...]  # -1: root
    adds: tuple[bool, ...]
    order: tuple[int, ...]  # in which the project names them
    edited: int
    changes: bool  # whether the edit changes what is built

    def files(self, *, after: bool) -> dict[str, str]:
        files = {"mbuild.toml": "".join(f"[models.m{number}]\n" for number in self.order)}
        for number, base in enumerate(self.bases):
            edit = after and number == self.edited
            text = f"text {number}{'!' if edit and self.changes else ''}"
            source = "root" if base < 0 else f"m{base}"
            flag = "--append " if self.adds[number] else ""
            head = "# edited\n" if edit else ""
            files[f"m{number}/Modelfile"] = f"{head}FROM {source}\nSYSTEM {flag}{text}\n"
        return files


@st.composite
def forests(draw: st.DrawFn) -> Forest:
    count = draw(st.integers(1, 6))
    bases = tuple(draw(st.integers(-1, number - 1)) for number in range(count))
    return Forest(
        bases,
        tuple(draw(st.booleans()) for _ in bases),
        tuple(draw(st.permutations(range(count)))),
        draw(st.integers(0, count - 1)),
        draw(st.booleans()),
    )


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(forests())
def test_each_is_built_once_in_order_and_again_only_if_it_must(
    new_bench: NewBench, forest: Forest
) -> None:
    bench = new_bench()
    bench.write(forest.files(after=False))
    order = [int(label[1:-7]) for label in bench.built()]
    assert sorted(order) == list(range(len(forest.bases)))
    for number, base in enumerate(forest.bases):
        assert base < 0 or order.index(base) < order.index(number)
    assert bench.built() == []

    def manifests() -> list[bytes]:
        names = [Name.parse(f"m{number}") for number in range(len(forest.bases))]
        return [bench.store.read(name) for name in names]

    before = manifests()
    bench.write(forest.files(after=True))
    again = {int(label[1:-7]) for label in bench.built()}
    after = manifests()
    must = {forest.edited} | {
        number
        for number, base in enumerate(forest.bases)
        if base >= 0 and before[base] != after[base]
    }
    assert again == must
    assert (before[forest.edited] != after[forest.edited]) is forest.changes
    assert not any(is_stale(node, bench.store) for node in bench.nodes())
    # As if it had been built from nothing.
    other = new_bench()
    other.write(forest.files(after=True))
    other.build()
    assert [other.store.read(Name.parse(f"m{n}")) for n in range(len(after))] == after


# What is shown to people.

ROOT = Path(__file__).parents[2]


def test_the_example_is_a_project(tmp_path: Path) -> None:
    project, findings = load(str(ROOT / "examples" / "project" / "mbuild.toml"), "mbuild.toml")
    assert findings == ()
    survey = Survey(project, Store(tmp_path), Ways())
    nodes = survey.nodes(project.units)
    assert survey.findings == []
    assert [node.unit.label for node in nodes] == [
        "small:latest",
        "kid:latest",
        "tutor:maths-kind",
        "tutor:maths-strict",
        "tutor:history-kind",
        "tutor:history-strict",
    ]
    assert all(node.needs == nodes[:1] for node in nodes[1:])


def test_the_document_knows_every_key() -> None:
    text = (ROOT / "docs" / "projects.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z][a-z-]*)` \|", text, re.MULTILINE) == list(KEYS)


def test_the_documents_project_is_the_example() -> None:
    text = (ROOT / "docs" / "projects.md").read_text(encoding="utf-8")
    shown = textwrap.dedent(text.partition("names them:\n\n")[2].partition("\nand `mbuild")[0])
    example = (ROOT / "examples" / "project" / "mbuild.toml").read_text(encoding="utf-8")
    units, _ = planned(shown)
    others, _ = planned(example)
    assert [(unit.names, unit.arguments, unit.axes) for unit in units] == [
        (unit.names, unit.arguments, unit.axes) for unit in others
    ]
