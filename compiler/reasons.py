"""Why a model of a project is built again, in a few words.

What a build read is remembered by the model's name, so that the next one can tell what is not the
same any more. Nothing depends on it but what a person is told.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from mbuild.compiler import inputs
from mbuild.compiler.create import Known, Order
from mbuild.store.catalogue import DamagedModel, MissingModel
from mbuild.store.digest import Digest
from mbuild.store.name import Name
from mbuild.store.store import Store


def remember(order: Order, built: Known, store: Store) -> None:
    """Keep what the build of *order* has read."""
    data = {**_said(order), "inputs": built.inputs}
    store.record(_key(order), json.dumps(data).encode())


def reason(order: Order, store: Store) -> str:
    """Why *order* is to be built: what has changed since it was built last."""
    if order.fresh or order.fresh_steps:
        return "--no-cache"
    recorded = store.recall(_key(order))
    if not _is_there(order.name, store):
        return "new" if recorded is None else "no longer in the store"
    if recorded is None:
        return "not built by this project yet"
    before = json.loads(recorded)
    return (
        _about_settings(before, _said(order))
        or _about_file(before, order)
        or _about_inputs(before["inputs"], order, store)
        or "it stood for something else, or its record is gone"
    )


def _key(order: Order) -> Digest:
    return Digest.of(f"reason 1 {order.folder} {order.name}".encode())


def _said(order: Order) -> dict[str, Any]:
    return {
        "source": str(Digest.of(order.data)),
        "arguments": dict(order.arguments),
        "settings": {
            "dialect": order.dialect,
            "target": order.target,
            "quantize": order.quantize,
            "allow-outside": order.allow_outside,
        },
    }


def _is_there(name: Name, store: Store) -> bool:
    try:
        store.read(name)
    except MissingModel:
        return False
    except DamagedModel:
        return True
    return True


def _about_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    for part in ("arguments", "settings"):
        names = {**before[part], **now[part]}
        for name in names:
            old, new = before[part].get(name), now[part].get(name)
            if old != new:
                return f"{name}: {_shown(old)} → {_shown(new)}"
    return None


def _shown(value: object) -> str:
    return "none" if value is None else str(value)


def _about_file(before: Mapping[str, Any], order: Order) -> str | None:
    return None if before["source"] == str(Digest.of(order.data)) else f"{order.file} changed"


def _about_inputs(before: list[list[str]], order: Order, store: Store) -> str | None:
    for kind, what, was in before:
        if not inputs.same((kind, what, was), store):
            return _about(kind, what, order)
    return None


def _about(kind: str, what: str, order: Order) -> str:
    if kind == "model":
        return f"{Name.parse(what).short} changed"
    path = os.path.relpath(what, order.folder)
    path = what if path.startswith("..") else os.path.join(os.path.dirname(order.file), path)
    match kind:
        case "absent":
            return f"{path} is there now"
        case "folder":
            return f"files in {path} came or went"
    return f"{path} changed"
