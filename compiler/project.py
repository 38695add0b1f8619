"""A project: several models, and how they depend on one another.

What a model needs is told by the record of its last build, as long as that holds, and by its
Modelfile otherwise; so a project in which nothing changed is recognised without parsing one.
"""

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from mbuild.compiler.create import Known, Order, create, known
from mbuild.compiler.diagnostic import Code, Diagnostic, Source, Span
from mbuild.compiler.plan import Unit, plan, span_of
from mbuild.compiler.progress import Tell
from mbuild.store.digest import Digest
from mbuild.store.name import Name
from mbuild.store.store import DamagedModel, MissingModel, Store

if TYPE_CHECKING:
    from mbuild.compiler.quantization import Quantizer

FILE = "mbuild.toml"
"""What a project's file is called."""

_LARGEST = 64 << 20  # bytes of a Modelfile
_ARG = re.compile(r"^[ \t]*arg[ \t]+([A-Za-z_][A-Za-z0-9_]*)", re.IGNORECASE | re.MULTILINE)
_INCLUDE = re.compile(r"^[ \t]*include[ \t]+(.+?)[ \t\r]*$", re.IGNORECASE | re.MULTILINE)
_MOST_INCLUDED = 100  # files that are looked through for ARGs


@dataclass(frozen=True, slots=True)
class Project:
    """A project file, read."""

    source: Source
    folder: str  # absolute
    units: tuple[Unit, ...]


@dataclass(frozen=True, slots=True)
class Ways:
    """How the models of a project are to be built."""

    fresh: Callable[[Unit], bool] = lambda _: False  # whether no record of it is believed
    fresh_steps: frozenset[str] = frozenset()  # nor those of these steps of any of them
    strict: bool = False  # a warning is as bad as an error
    quantizer: "Quantizer | None" = None
    refuse_schema: Callable[[str], str | None] | None = None  # why none can follow it


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A unit in its project: what it is built of, and what is known of its last build."""

    unit: Unit
    order: Order
    needs: "tuple[Node, ...]"
    known: Known | None

    def stands(self, store: Store) -> bool:
        """Whether all names stand for what is known."""
        return self.known is not None and all(
            _read(store, name) == self.known.manifest for name in self.unit.names
        )


def is_stale(node: Node, store: Store) -> bool:
    """Whether *node* has to be built, even if nothing that it needs changes."""
    if node.known is None or (node.order.strict and node.known.findings):
        return True
    return not node.stands(store)


def find(folder: str) -> str | None:
    """The project file in *folder*, which is absolute, or in the nearest one above it."""
    while True:
        path = os.path.join(folder, FILE)
        if os.path.isfile(path):
            return path
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def load(path: str, shown: str) -> tuple[Project, tuple[Diagnostic, ...]]:
    """The project file at *path*, which findings call *shown*, and every mistake in it.

    Raises:
        OSError: it cannot be read.
    """
    data = read_text(path)
    source = Source(shown, data.decode("utf-8-sig", "replace"))
    folder = os.path.dirname(os.path.abspath(path))
    try:
        data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = len(data[: error.start].decode("utf-8-sig"))
        message = f"byte 0x{data[error.start]:02x} is not UTF-8, as TOML must be"
        found = Diagnostic(Code.NOT_TOML, message, source.span(start, start + 1))
        return Project(source, folder, ()), (found,)
    units, findings = plan(source)
    return Project(source, folder, units), findings


def read_text(path: str) -> bytes:
    """The bytes of the text file at *path*.

    Raises:
        OSError: there is none, it is too large, or it is no regular file and might never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            what = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise OSError(errno.EINVAL, what, path)
        if found.st_size > _LARGEST:
            raise OSError(errno.EFBIG, f"larger than {_LARGEST >> 20} MiB", path)
        return file.read()


class Survey:
    """Which units are needed for some, what each needs, and what is known of each."""

    def __init__(self, project: Project, store: Store, ways: Ways) -> None:
        self.findings: list[Diagnostic] = []
        self._project = project
        self._store = store
        self._ways = ways
        self._texts: dict[str, bytes] = {}
        self._prefix = os.path.dirname(project.source.name)
        self._by_name = {
            str(name).casefold(): unit for unit in project.units for name in unit.names
        }

    def nodes(self, units: Iterable[Unit]) -> tuple[Node, ...]:
        """*units* and all that they need, each behind what it needs, else as the project has them.

        What is wrong with the project is in *findings* then.
        """
        orders: dict[Unit, tuple[Order, Known | None]] = {}
        needs: dict[Unit, tuple[Unit, ...]] = {}
        waiting = list(units)[::-1]
        while waiting:
            unit = waiting.pop()
            if unit in orders:
                continue
            order = self._order(unit)
            if order is None:
                continue
            last = known(order, self._store)
            orders[unit] = order, last
            needs[unit] = tuple(dict.fromkeys(self._needed(order, last)))
            waiting += reversed(needs[unit])
        if self.findings:
            return ()
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            self.findings.append(self._circle(error.args[1], orders))
            return ()
        nodes: dict[Unit, Node] = {}
        for unit in _depth_first([unit for unit in self._project.units if unit in needs], needs):
            order, last = orders[unit]
            nodes[unit] = Node(unit, order, tuple(nodes[need] for need in needs[unit]), last)
        return tuple(nodes.values())

    def _needed(self, order: Order, last: Known | None) -> Iterator[Unit]:
        """What *order* is built from, of this project."""
        if last is not None:
            names = (what for kind, what, _ in last.inputs if kind == "model")
        else:
            names = (str(name) for name, _ in _models(order))
        for name in names:
            unit = self._by_name.get(name.casefold())
            if unit is not None:
                yield unit

    def _circle(
        self, chain: list[Unit], orders: Mapping[Unit, tuple[Order, Known | None]]
    ) -> Diagnostic:
        # Told as FROM says it: who needs whom.
        chain.reverse()
        shown = " → ".join(unit.label for unit in chain)
        message = f"{chain[0].label} is FROM itself"
        if len(chain) > 2:
            message = f"{len(chain) - 1} models are FROM one another: {shown}"
        said = [
            span
            for name, span in _models(orders[chain[0]][0])
            if self._by_name.get(str(name).casefold()) is chain[1]
        ]
        span = said[0] if said else self._said(chain[0])
        hint = "a model of the store that is not of this project needs another name or tag"
        return Diagnostic(Code.CIRCLE_OF_MODELS, message, span, hint)

    def _order(self, unit: Unit) -> Order | None:
        """What is to be built of *unit*; without its Modelfile there is a finding."""
        path = self._modelfile(unit)
        try:
            data = self._text(path)
        except (OSError, ValueError) as error:
            self._find_unread(unit, path, error)
            return None
        return Order(
            unit.names[0],
            os.path.join(self._prefix, path),
            data,
            os.path.dirname(os.path.join(self._project.folder, path)),
            unit.dialect,
            fresh=self._ways.fresh(unit),
            fresh_steps=self._ways.fresh_steps,
            some_steps=True,
            strict=self._ways.strict,
            arguments=self._arguments(unit, path, data),
            target=unit.target,
            allow_outside=unit.allow_outside,
            quantize=unit.quantize,
            quantizer=self._ways.quantizer,
            refuse_schema=self._ways.refuse_schema,
        )

    def _modelfile(self, unit: Unit) -> str:
        if unit.modelfile is not None:
            return os.path.normpath(unit.modelfile)
        own = os.path.join(unit.names[0].model, "Modelfile")
        return own if os.path.isfile(os.path.join(self._project.folder, own)) else "Modelfile"

    def _text(self, path: str) -> bytes:
        """The file at *path*, seen from the project; read once for all that share it."""
        if path not in self._texts:
            self._texts[path] = read_text(os.path.join(self._project.folder, path))
        return self._texts[path]

    def _arguments(self, unit: Unit, path: str, data: bytes) -> Mapping[str, str]:
        if not unit.axes or unit.dialect == "ollama":
            return unit.arguments
        declared = self._declared(path, data)
        axes = {name: value for name, value in unit.axes.items() if name in declared}
        return {**unit.arguments, **axes}

    def _declared(self, path: str, data: bytes) -> set[str]:
        """The names that look like those of ARGs, here and in included files."""
        from mbuild.compiler.source import decode

        declared: set[str] = set()
        waiting, seen = [(path, data)], {path}
        while waiting and len(seen) <= _MOST_INCLUDED:
            path, data = waiting.pop()
            text = decode(path, data).text
            declared.update(_ARG.findall(text))
            for included in _INCLUDE.findall(text):
                inner = os.path.normpath(os.path.join(os.path.dirname(path), included))
                if inner not in seen:
                    seen.add(inner)
                    try:
                        waiting.append((inner, self._text(inner)))
                    except (OSError, ValueError):
                        continue  # The build will say what is wrong with it.
        return declared

    def _find_unread(self, unit: Unit, path: str, error: OSError | ValueError) -> None:
        shown = os.path.join(self._prefix, path)
        if isinstance(error, FileNotFoundError):
            # Imported here: only a mistake needs it.
            from mbuild.compiler.origin import near

            reason = f"no file {shown}"
            hint = near(os.path.join(self._project.folder, path))
            if unit.modelfile is None:
                own = os.path.join(unit.names[0].model, "Modelfile")
                hint = f'write {own}, or name another with modelfile = "..."'
        else:
            said = error.strerror if isinstance(error, OSError) else None
            reason, hint = f"{shown}: {(said or str(error)).lower()}", None
        span = self._said(unit, "modelfile")
        if all(each.span != span for each in self.findings):
            self.findings.append(Diagnostic(Code.NO_MODELFILE, reason, span, hint))

    def _said(self, unit: Unit, *keys: str) -> Span:
        from mbuild.compiler.toml_places import places

        source = self._project.source
        return span_of(source, places(source), (*unit.place, *keys))


def _depth_first(units: Iterable[Unit], needs: Mapping[Unit, tuple[Unit, ...]]) -> Iterator[Unit]:
    """*units*, each directly behind what it needs and what has not come yet."""
    done: set[Unit] = set()
    for unit in units:
        # By hand: a chain may be longer than calls may nest.
        path = [unit]
        while path:
            missing = [need for need in needs[path[-1]] if need not in done]
            if missing:
                path.append(missing[0])
                continue
            last = path.pop()
            if last not in done:
                done.add(last)
                yield last


def _models(order: Order) -> Iterator[tuple[Name, Span]]:
    """The models that the Modelfile is FROM, and where it says so; none if it has errors."""
    # Imported here: what was built before needs no parser.
    from mbuild.compiler.create import read
    from mbuild.compiler.origin import find_source

    recipe, _, _ = read(order)
    while recipe is not None:
        for located in recipe.sources:
            origin = find_source(
                located.text,
                located.folder or order.folder,
                paths_must_exist=order.dialect == "mbuild",
            )
            if isinstance(origin, Name):
                yield origin, located.span
        recipe = recipe.base


@dataclass(frozen=True, slots=True)
class Made:
    """What came of building a unit."""

    manifest: bytes | None  # None: the findings tell why.
    findings: tuple[Diagnostic, ...]


def make(node: Node, store: Store, tell: Tell) -> Made:
    """Build the unit of *node*, and give the result all of its names.

    Raises:
        as :func:`mbuild.compiler.create.create`.
    """
    from dataclasses import replace

    first, *others = (_resolved(store, name) for name in node.unit.names)
    manifest, findings = create(replace(node.order, name=first), store, tell)
    if manifest is not None:
        for other in others:
            if _read(store, other) != manifest:
                store.copy(first, other)
        _remember(node, store)
    return Made(manifest, findings)


def _resolved(store: Store, name: Name) -> Name:
    # To find a name in another case all names are looked at, so not for one that is there.
    return store.resolve(name) if _read(store, name) is None else name


def _remember(node: Node, store: Store) -> None:
    from dataclasses import replace

    from mbuild.compiler.reasons import remember

    built = known(replace(node.order, fresh=False, fresh_steps=frozenset()), store)
    if built is not None:
        remember(node.order, built, store)


def again(node: Node, store: Store) -> Node:
    """*node* as it is now that what it needs has been built."""
    from dataclasses import replace

    if node.order.fresh or node.order.fresh_steps:
        return node
    return replace(node, known=known(node.order, store))


def digest(node: Node) -> Digest | None:
    """What the last build made, as `mbuild list` shows it."""
    return None if node.known is None else Digest.of(node.known.manifest)


def _read(store: Store, name: Name) -> bytes | None:
    try:
        return store.read(name)
    except (MissingModel, DamagedModel):
        return None
