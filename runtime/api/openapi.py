"""What the server understands, as an OpenAPI document, and as a page that needs nothing else.

Source: OpenAPI 3.1.
"""

import html
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path, and what is asked there."""

    method: str
    path: str
    about: str
    body: type[BaseModel] | None = None


def document(endpoints: Iterable[Endpoint], version: str) -> dict[str, Any]:
    """The OpenAPI document of *endpoints*; *version* is mbuild's."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {}
    for each in endpoints:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "mbuild", "version": version, "summary": "Language models, answering."},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def page(document: Mapping[str, Any]) -> str:
    """*document* for people: one HTML page, without scripts and without anything from outside."""
    sections = [
        f"<h2><code>{method.upper()} {html.escape(path)}</code></h2>"
        f"<p>{html.escape(operation['summary'])}</p>{_fields(operation, document)}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    style = "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    style += "td,th{text-align:left;padding:.1em 1em .1em 0;vertical-align:top}"
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>mbuild</title>"
        f"<style>{style}</style><h1>mbuild {html.escape(document['info']['version'])}</h1>"
        f"<p>The same as <a href=/openapi.json>OpenAPI document</a>.</p>{''.join(sections)}</html>"
    )


def _operation(each: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    schema = _error(each.path)
    error = {"description": "why not", "content": {"application/json": {"schema": schema}}}
    operation: dict[str, Any] = {
        "summary": each.about,
        "responses": {"200": {"description": "done"}, "default": error},
    }
    names = [part[1:-1] for part in each.path.split("/") if part.startswith("{")]
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    if each.body is not None:
        name = each.body.__name__
        schema = each.body.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[name] = schema
        reference = {"$ref": f"#/components/schemas/{name}"}
        content = {"application/json": {"schema": reference}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _error(path: str) -> dict[str, Any]:
    """What an error looks like: a sentence, or an object in the APIs of others."""
    kind = "object" if path.startswith("/v1/") else "string"
    return {"type": "object", "required": ["error"], "properties": {"error": {"type": kind}}}


def _fields(operation: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    body = operation.get("requestBody")
    if body is None:
        return ""
    name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    fields = document["components"]["schemas"][name].get("properties", {})
    rows = "".join(
        f"<tr><td><code>{html.escape(key)}</code><td>{html.escape(_kind(value))}"
        f"<td>{html.escape(value.get('description', ''))}"
        for key, value in fields.items()
    )
    return f"<table><tr><th>field<th>type<th>{rows}</table>"


def _kind(value: Mapping[str, Any]) -> str:
    if "anyOf" in value:
        kinds = [_kind(each) for each in value["anyOf"] if each.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in value:
        return " or ".join(map(json.dumps, value["enum"]))
    return str(value.get("type", "anything"))
