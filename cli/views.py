"""What ``show`` and the chat tell of a model, as text: an overview, or one part."""

import json

from mbuild.cli import report
from mbuild.store.contents import Contents, contents
from mbuild.store.manifest import Layer, Manifest
from mbuild.store.name import Name
from mbuild.store.store import Store

VIEWS = (
    *("modelfile", "system", "template", "parameters", "license", "messages", "schema"),
    *("layers", "json"),
)


def shown(view: str, name: Name, manifest: Manifest, models: Store) -> str:
    """What *view* of VIEWS says of a model; an empty *view* is the overview."""
    model = contents(manifest, models.blobs)
    match view:
        case "modelfile":
            from mbuild.compiler.decompile import decompile

            return decompile(name, model, models.blobs)
        case "system":
            return model.system or ""
        case "template":
            return _template(model, models)
        case "parameters":
            return "".join(f"{key:<30} {value}\n" for key, value in _parameters(model))
        case "license":
            return "\n".join(model.licenses) + "\n" if model.licenses else ""
        case "messages":
            return "".join(f"{turn['role']}: {turn['content']}\n" for turn in model.messages)
        case "schema":
            return model.schema or ""
        case "layers":
            return _layers(manifest)
        case "json":
            return _json(name, manifest, model, models)
    return _overview(model, models)


def _template(model: Contents, models: Store) -> str:
    """The template, or the chat template of the weights, which then counts."""
    if model.template is not None or model.weights is None:
        return model.template or ""
    from mbuild.compiler import gguf

    return gguf.read(models.blobs.path(model.weights.digest)).chat_template or ""


def _parameters(model: Contents) -> list[tuple[str, str]]:
    from mbuild.compiler.decompile import plain_number

    def shown(value: object) -> str:
        match value:
            case str():
                return report.go_string(value)
            case bool():
                return "true" if value else "false"
            case float():
                return plain_number(value)
        return json.dumps(value, ensure_ascii=False)

    return [
        (key, shown(each))
        for key, value in sorted(model.parameters.items())
        for each in (value if isinstance(value, list) else [value])
    ]


def _layers(manifest: Manifest) -> str:
    from mbuild.cli.humanize import size

    rows = [
        (layer.media_type.rpartition(".")[2], layer.digest.short, size(layer.size), layer.origin)
        for layer in manifest.layers
    ]
    if manifest.config is not None:
        rows.append(("config", manifest.config.digest.short, size(manifest.config.size), ""))
    return report.table(("LAYER", "DIGEST", "SIZE", "FROM"), rows)


def _json(name: Name, manifest: Manifest, model: Contents, models: Store) -> str:
    layers = [
        {"mediaType": each.media_type, "digest": str(each.digest), "size": each.size}
        | ({"from": each.origin} if each.origin else {})
        for each in manifest.blobs
    ]
    details = {
        "name": name.short,
        "details": json.loads(model.config.encode()),
        "capabilities": _capabilities(model, models),
        "template": model.template,
        "system": model.system,
        "parameters": model.parameters,
        "messages": model.messages,
        "licenses": model.licenses,
        "schema": None if model.schema is None else json.loads(model.schema),
        "layers": layers,
    }
    return json.dumps(details, indent=2, ensure_ascii=False) + "\n"


def _capabilities(model: Contents, models: Store) -> list[str]:
    """What the model can do, in the reference's order (template specification, section 6)."""
    from mbuild.compiler.weights import summary

    found = list(model.config.capabilities)
    if model.weights is not None:
        weights = summary(models, model.weights.digest)
        if model.template is None:
            found += [
                word
                for word, has in (("tools", weights.tools), ("thinking", weights.thinking))
                if has
            ]
        found.append("embedding" if weights.pooled else "completion")
        found += [
            word for word, has in (("vision", weights.vision), ("audio", weights.audio)) if has
        ]
    if model.projectors:
        found.append("vision")
    if model.template is not None:
        found += _template_capabilities(model.template)
    return list(dict.fromkeys(found))


def _template_capabilities(text: str) -> list[str]:
    """What the Go template *text* can tell the model of; nothing if it is broken."""
    from mbuild.compiler.template.capabilities import thinking_tags, variables
    from mbuild.compiler.template.failure import BadTemplate
    from mbuild.compiler.template.reading import read

    try:
        tree = read(text)
    except BadTemplate:
        return []
    names = variables(tree)
    can = {
        "tools": "tools" in names,
        "insert": "suffix" in names,
        "thinking": thinking_tags(tree) is not None,
    }
    return [word for word, has in can.items() if has]


def _overview(model: Contents, models: Store) -> str:
    parts: list[tuple[str, list[report.Row]]] = [
        ("Model", _model_rows(model, models)),
        ("Capabilities", [(word,) for word in _capabilities(model, models)]),
        ("Projector", _projector_rows(model, models)),
        ("Parameters", [f"{key} {value}".split() for key, value in _parameters(model)]),
        ("System", report.first_lines(model.system or "")),
        ("License", report.first_lines("\n".join(model.licenses))),
        ("Adapters", [(layer.digest.short, str(scale)) for layer, scale in _scaled(model)]),
        ("Schema", report.first_lines(model.schema or "")),
    ]
    return report.sections(parts)


def _scaled(model: Contents) -> list[tuple[Layer, float]]:
    """The adapters and their scales."""
    return list(zip(model.adapters, model.scales, strict=True))


def _model_rows(model: Contents, models: Store) -> list[report.Row]:
    config = model.config
    rows: list[tuple[str, str | int | None]] = []
    if config.remote_model:
        rows += [("Remote model", config.remote_model), ("Remote URL", config.remote_host)]
    if model.weights is not None:
        from mbuild.compiler.weights import summary

        weights = summary(models, model.weights.digest)
        quantization = config.file_type if config.file_type != "unknown" else weights.file_type
        rows += [
            ("architecture", weights.architecture),
            ("parameters", config.model_type),
            ("context length", weights.context_length),
            ("embedding length", weights.embedding_length),
            ("quantization", quantization or "unknown"),
        ]
    rows.append(("requires", config.requires))
    return [(key, str(value)) for key, value in rows if value]


def _projector_rows(model: Contents, models: Store) -> list[report.Row]:
    if not model.projectors:
        return []
    from mbuild.compiler import gguf
    from mbuild.compiler.configuration import parameter_count

    header = gguf.read(models.blobs.path(model.projectors[0].digest))
    rows = [
        ("architecture", header.architecture),
        ("parameters", parameter_count(header.parameter_count)),
        ("embedding length", header.number("vision.embedding_length")),
        ("dimensions", header.number("vision.projection_dim")),
    ]
    return [(key, str(value)) for key, value in rows if value]
