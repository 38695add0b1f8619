"""What a build would do now, and what it did: for ``graph`` and ``explain``."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mbuild.cli.graphing import Node
from mbuild.compiler.account import Account, decode
from mbuild.compiler.create import Order, read
from mbuild.compiler.diagnostic import Diagnostic
from mbuild.compiler.foresight import Foreseen, State, foresee
from mbuild.store.history import Revision
from mbuild.store.name import Name
from mbuild.store.store import Store

if TYPE_CHECKING:
    from mbuild.compiler.graph import Step

Found = tuple[str, tuple[Node, ...], tuple[Diagnostic, ...]]


class NotToldHow(Exception):
    """A model that was not built here, or by an older mbuild: nothing tells how."""

    def __init__(self, name: Name) -> None:
        super().__init__(
            f"nothing tells how {name.short} was built: it was pulled, copied or older"
        )
        self.name = name


def of_file(file: str, models: Store) -> Found:
    """The steps of the Modelfile *file*, and what would become of them.

    Raises:
        OSError: it cannot be read.
    """
    with open(file, "rb") as opened:
        data = opened.read()
    order = Order(Name.parse("unnamed"), file, data, os.path.dirname(os.path.abspath(file)))
    foreseen, findings = looked_ahead(order, models)
    return file, tuple(map(_node, foreseen)), findings


def of_project(path: str, models: Store) -> Found:
    """The models of the project file at *path*, and which of them would be built.

    Raises:
        OSError: it cannot be read.
    """
    # Imported here: a single Modelfile is no project.
    from mbuild.compiler import project as projects
    from mbuild.compiler.reasons import reason

    shown = os.path.relpath(path)
    project, findings = projects.load(path, shown)
    survey = projects.Survey(project, models, projects.Ways())
    nodes: dict[str, Node] = {}
    for each in () if findings else survey.nodes(project.units):
        needs = tuple(need.unit.label for need in each.needs)
        waits = next((name for name in needs if nodes[name].state != "cached"), None)
        if projects.is_stale(each, models):
            state, why = "stale", reason(each.order, models)
        elif waits is not None:
            state, why = "waiting", f"it is FROM {waits}"
        else:
            state, why = "cached", ""
        nodes[each.unit.label] = Node(each.unit.label, "", state, why, needs)
    return shown, tuple(nodes.values()), (*findings, *survey.findings)


def of_model(text: str, models: Store) -> Found:
    """The steps that made a model, and what would become of them now.

    Raises:
        BadName, MissingModel, NotToldHow: there is no such model, or nothing tells how it came.
    """
    name = models.resolve(Name.parse(text))
    models.load(name)
    account, _ = accounts(name, models)
    if account is None:
        raise NotToldHow(name)
    order = again(name, account)
    foreseen, findings = ((), ()) if order is None else looked_ahead(order, models)
    if foreseen:
        return name.short, tuple(_node(each) for each in as_last(foreseen, account)), findings
    nodes = tuple(
        Node(step.name, _about(step.arguments), "", "", tuple(step.inputs), step.output)
        for step in account.steps
    )
    return name.short, nodes, findings


def accounts(name: Name, models: Store) -> tuple[Account | None, Account | None]:
    """How *name* was built last, and how the time before."""
    told = [decode(each.account) for each in revisions(name, models)[-2:]]
    return (told[-1] if told else None), (told[0] if len(told) > 1 else None)


def revisions(name: Name, models: Store) -> tuple[Revision, ...]:
    """The builds of *name*, oldest first."""
    return models.revisions(name)


def again(name: Name, account: Account) -> Order | None:
    """The order of *account*, with its Modelfile as it is now; ``None`` if that is gone."""
    asked: Mapping[str, Any] = account.order
    if not asked["file"]:
        return None
    try:
        with open(asked["file"], "rb") as file:
            data = file.read()
    except OSError:
        return None
    return Order(
        name,
        os.path.relpath(asked["file"]),
        data,
        asked["folder"],
        asked["dialect"],
        arguments=asked["arguments"],
        target=asked["target"],
        allow_outside=asked["allow_outside"],
        quantize=asked["quantize"],
        requantize=asked["requantize"],
    )


def looked_ahead(
    order: Order, models: Store
) -> tuple[tuple[Foreseen, ...], tuple[Diagnostic, ...]]:
    """What building *order* would do; nothing if it has errors."""
    recipe, findings, _ = read(order)
    if recipe is None:
        return (), findings
    foreseen, more = foresee(recipe, order.folder, models)
    return tuple(each for each in foreseen if not _is_empty(each)), (*findings, *more)


def _is_empty(foreseen: Foreseen) -> bool:
    """Whether the step gives nothing, as where no parameter is set."""
    outcome = foreseen.outcome
    return outcome is not None and not outcome.output.layers and outcome.output.manifest is None


def as_last(foreseen: Iterable[Foreseen], account: Account) -> tuple[Foreseen, ...]:
    """*foreseen*, and cached what the last build did with the same key.

    Texts of an earlier stage are not kept in the store, and are none the less as they were.
    """
    keys = {step.key for step in account.steps}
    seen: dict[str, Foreseen] = {}
    for each in foreseen:
        same = each.outcome is not None and str(each.outcome.key) in keys
        if same and each.state is State.STALE:
            seen[each.step.name] = replace(each, state=State.CACHED, reason="as in the last build")
        else:
            seen[each.step.name] = each
    return tuple(seen.values())


def _node(foreseen: Foreseen) -> Node:
    step: Step = foreseen.step
    output = "" if foreseen.outcome is None else str(foreseen.outcome.output.digest)
    about = _about(dict(step.arguments))
    return Node(step.name, about, foreseen.state.value, foreseen.reason, step.inputs, output)


def _about(arguments: Mapping[str, str]) -> str:
    """The argument that tells most."""
    for name in ("as", "model", "package"):
        if name in arguments:
            return arguments[name]
    kind = arguments.get("type", "")
    return "" if kind.startswith("application/") else kind
