"""Models, as what is in the store and what is loaded: list, show, copy, delete, ps.

Source: the specification of the native API, sections 13 to 17.
"""

from typing import Any

from mbuild.runtime import describing
from mbuild.runtime.api.ollama import Copy, Named, Show, moment
from mbuild.runtime.pool import FOREVER, Resident
from mbuild.runtime.service import Refused, Service
from mbuild.store.contents import Contents, contents
from mbuild.store.digest import Digest
from mbuild.store.entry import Model
from mbuild.store.manifest import Manifest
from mbuild.store.name import BadName, Name
from mbuild.store.store import DamagedModel, MissingModel

_AGES = 292 * 365 * 86_400 * 1_000_000_000  # ns: what "for ever" is told as


def tags(service: Service) -> dict[str, Any]:
    """All models, the newest first; a damaged one is left out, as nobody could use it."""
    entries = (each for each in service.store.entries() if isinstance(each, Model))
    listed = (_listed(service, entry) for entry in entries)
    return {"models": [each for each in listed if each is not None]}


def show(service: Service, asked: Show) -> dict[str, Any]:
    """What a model is made of.

    Raises:
        Refused: no model is asked for, or there is none of that name.
        as `contents`.
    """
    if not asked.asked:
        raise Refused(400, "model is required")
    name = service.name(asked.asked)
    name, data = service.read(asked.asked, missing=f"model '{name.short}' not found")
    held = contents(Manifest.decode(data), service.store.blobs)
    weights = describing.header(held, service.store.blobs)
    texts = {
        "license": "\n".join(held.licenses),
        "modelfile": service.crafts.modelfile(name),
        "parameters": describing.parameters(held),
        "template": held.template or (weights.chat_template if weights else None) or "",
        "system": held.system if asked.system is None else asked.system,
        "renderer": held.config.renderer,
        "parser": held.config.parser,
        "requires": held.config.requires,
    }
    return {
        **{key: text for key, text in texts.items() if text},
        **({"messages": [dict(each) for each in held.messages]} if held.messages else {}),
        "details": describing.details(held),
        "model_info": describing.model_info(weights),
        **({"tensors": describing.tensors(weights)} if asked.verbose else {}),
        "capabilities": describing.capabilities(held, weights),
        "modified_at": _modified(service, name),
    }


def copy(service: Service, asked: Copy) -> None:
    """Give a model a second name.

    Raises:
        Refused: a name is none, or there is no such model.
    """
    source = _parsed(asked.source, f'source "{asked.source}" is invalid')
    target = _parsed(asked.destination, f'destination "{asked.destination}" is invalid')
    try:
        service.store.copy(service.store.resolve(source), service.store.resolve(target))
    except MissingModel:
        raise Refused(404, f'model "{asked.source}" not found') from None


def delete(service: Service, asked: Named) -> None:
    """Remove a model from the store; one that is loaded goes on answering.

    Raises:
        Refused: no model is asked for, or there is none of that name.
    """
    text = asked.asked
    if not text:
        raise Refused(400, "model is required")
    name = _parsed(text, f'name "{text}" is invalid')
    try:
        service.store.remove(service.store.resolve(name))
    except MissingModel:
        raise Refused(404, f"model '{text}' not found") from None


def loaded(service: Service) -> dict[str, Any]:
    """The models that are loaded, the one that stays longest first."""
    return {"models": [_resident(service, each) for each in service.pool.residents()]}


def _parsed(text: str, message: str) -> Name:
    try:
        return Name.parse(text)
    except BadName:
        raise Refused(400, message) from None


def _listed(service: Service, entry: Model) -> dict[str, Any] | None:
    blobs = service.store.blobs
    try:
        held = contents(service.store.load(entry.name), blobs)
        weights = describing.header(held, blobs)
    except (MissingModel, DamagedModel, ValueError, OSError, LookupError):
        return None  # Removed meanwhile, or worse than its manifest looks.
    return {
        "name": entry.name.short,
        "model": entry.name.short,
        "modified_at": moment(entry.modified_ns),
        "size": entry.size,
        "digest": entry.id.hex,
        "details": {**describing.details(held), **describing.lengths(weights)},
        "capabilities": describing.capabilities(held, weights),
    }


def _resident(service: Service, each: Resident) -> dict[str, Any]:
    digest, held = "", None
    try:
        data = service.store.read(Name.parse(each.name))
        digest = Digest.of(data).hex
        held = contents(Manifest.decode(data), service.store.blobs)
    except (MissingModel, DamagedModel, ValueError, OSError):
        pass  # Removed since it was loaded.
    expires = service.clock() + _AGES if each.expires == FOREVER else each.expires
    return {
        "name": each.name,
        "model": each.name,
        "size": each.size,
        "digest": digest,
        "details": describing.details(held) if isinstance(held, Contents) else {},
        "expires_at": moment(expires),
        "size_vram": each.size if each.load.options.num_gpu > 0 else 0,
        "context_length": each.loaded.num_ctx,
    }


def _modified(service: Service, name: Name) -> str:
    return next(
        (moment(each.modified_ns) for each in service.store.entries() if each.name == name), ""
    )
