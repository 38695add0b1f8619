"""The house keeps its rooms: who may import whom, and which modules are pure.

The imports are read with `ast`, so a local import counts as much as one at the top.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("store", "compiler", "runtime", "cli")

# What a room may import beside itself.
ALLOWED = {
    "store": set[str](),
    "compiler": {"store"},
    "runtime": {"compiler", "store"},
    "cli": {"runtime", "compiler", "store"},
}

# From the compiler the runtime takes only leaves.
LEAVES = {"template", "gguf", "parameters", "diagnostic", "quantization"}

# Values in, values out: no I/O, no clock, no globals.
PURE = {
    "store": {"config", "digest", "entry", "fields", "gojson", "manifest", "name", "reference"}
    | {"damage"},
    "compiler": {
        "account",
        "advice",
        "automaton",
        "characters",
        "check",
        "comparison",
        "configuration",
        "decompile",
        "diagnostic",
        "dialect",
        "lint",
        "expand",
        "gguf_rules",
        "graph",
        "format",
        "marks",
        "mistakes",
        "modelfile_tables",
        "parameters",
        "parser",
        "plan",
        "progress",
        "quantization",
        "recipe",
        "recorded",
        "rules",
        "settings",
        "source",
        "stop_rules",
        "syntax",
        "template",
        "template_rules",
        "toml_places",
        "ways",
    },
    "runtime": {
        "api",
        "batch",
        "budget",
        "constrained",
        "engine",
        "goduration",
        "grammar",
        "grammar_numbers",
        "grammar_patterns",
        "grammar_rules",
        "message",
        "options",
        "prompt",
        "schema",
        "slots",
        "thinking",
        "tokens",
        "tools",
        "voice",
        "wire",
    },
    "cli": {
        "address",
        "annotations",
        "conversation",
        "differences",
        "explaining",
        "filediff",
        "graphing",
        "humanize",
        "listing",
        "loaded",
        "project_report",
        "report",
        "sarif",
        "slash",
        "statistics",
        "storage",
        "worddiff",
        "wordlines",
        "wordwrap",
    },
}

IMPURE = {
    "store": {
        "blobs",
        "catalogue",
        "changes",
        "contents",
        "durable",
        "history",
        "intake",
        "locks",
        "records",
        "remote",
    }
    | {"stamps", "store", "sweep", "tree"}
    | {"holders", "inspection", "linking", "links", "mending", "places", "prune", "room", "usage"},
    "compiler": {
        "build",
        "bundle",
        "create",
        "export",
        "fitness",
        "adapters",
        "gguf",
        "split",
        "grammar",
        "inputs",
        "origin",
        "reproduction",
        "verification",
        "weights",
    }
    | {"crew", "project", "reasons", "schedule"}
    | {
        "components",
        "foresight",
        "overlay",
        "quantized",
        "review",
        "surroundings",
        "texts",
        "vocabulary",
        "workshop",
    },
    "runtime": {
        "answer",
        "batching",
        "cancellations",
        "cores",
        "go_template",
        "jinja",
        "jinja_worker",
        "llama",
        "llama_child",
        "model",
        "native",
        "quantize",
        "quantize_child",
        "renderers",
        "sampler",
    }
    | {"describing", "guard", "memory", "metrics", "pool", "routes", "server", "service"}
    | {"streaming"},
    "cli": {
        "app",
        "budget",
        "building",
        "chat",
        "commands",
        "failure",
        "findings",
        "linting",
        "mbuild",
        "options",
    }
    | {"abilities", "asking", "looking", "modelfiles", "project_view", "rendering"}
    | {"builds", "past", "verdict"}
    | {"crafting", "peer", "serving"}
    | {"answering", "history", "line_editor", "saving", "signals", "spinner", "terminal", "views"},
}

OUTSIDE = {"os", "pathlib", "time", "socket", "subprocess", "sys", "io", "shutil", "tempfile"}


def _modules(room: str) -> list[Path]:
    return sorted(path for path in (ROOT / room).rglob("*.py") if path.name != "__init__.py")


def _top(room: str, path: Path) -> str:
    """The module, or the folder of modules, that the table lists."""
    return path.relative_to(ROOT / room).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


EVERY = [
    pytest.param(room, path, id=str(path.relative_to(ROOT)))
    for room in ROOMS
    for path in _modules(room)
]


@pytest.mark.parametrize(("room", "path"), EVERY)
def test_imports_go_one_way(room: str, path: Path) -> None:
    rooms = {
        parts[1]
        for name in _imports(path)
        if (parts := name.split("."))[0] == "mbuild" and len(parts) > 1 and parts[1] in ROOMS
    }
    assert rooms <= ALLOWED[room] | {room}


@pytest.mark.parametrize(("room", "path"), EVERY)
def test_nothing_is_imported_by_a_bare_folder_name(room: str, path: Path) -> None:
    assert not {name.split(".")[0] for name in _imports(path)} & set(ROOMS)


@pytest.mark.parametrize(("room", "path"), EVERY)
def test_every_module_is_in_the_table(room: str, path: Path) -> None:
    assert _top(room, path) in PURE[room] | IMPURE[room]


@pytest.mark.parametrize(
    ("room", "path"),
    [
        param
        for param in EVERY
        if _top(str(param.values[0]), Path(str(param.values[1]))) in PURE[str(param.values[0])]
    ],
)
def test_a_pure_module_imports_nothing_of_the_world(room: str, path: Path) -> None:
    assert not {name.split(".")[0] for name in _imports(path)} & OUTSIDE


@pytest.mark.parametrize("path", _modules("runtime"), ids=lambda path: path.name)
def test_the_runtime_takes_only_leaves_of_the_compiler(path: Path) -> None:
    taken = {name.split(".")[2] for name in _imports(path) if name.startswith("mbuild.compiler.")}
    assert taken <= LEAVES


def test_only_one_module_imports_llama_cpp() -> None:
    importers = [
        path.name
        for room in ROOMS
        for path in _modules(room)
        if "llama_cpp" in {name.split(".")[0] for name in _imports(path)}
    ]
    assert len(importers) == 1


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for room in ROOMS:
        for path in _modules(room):
            dotted = ".".join(
                ("mbuild", room, *path.relative_to(ROOT / room).with_suffix("").parts)
            )
            graph[dotted] = _imports(path)
    graph = {name: {other for other in used if other in graph} for name, used in graph.items()}
    done: set[str] = set()

    def visit(name: str, chain: tuple[str, ...]) -> None:
        assert name not in chain, " → ".join((*chain, name))
        if name in done:
            return
        for other in graph[name]:
            visit(other, (*chain, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_the_folders_cannot_be_imported_by_their_bare_names(tmp_path: Path) -> None:
    script = "import importlib.util as u; print([u.find_spec(n) for n in ('store', 'compiler')])"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[None, None]"
