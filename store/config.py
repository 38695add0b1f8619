"""What a model says of its weights: the configuration, and its exact bytes.

Written to the byte as the reference writes it; read from any JSON that has the fields.

Source: the reference's on-disk format (fields, their order, what is omitted when empty).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mbuild.store import gojson
from mbuild.store.fields import BadField, text, texts, whole


class BadConfig(ValueError):
    """Bytes that are no config; *reason* says what is wrong with them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Draft:
    """What a config says of a draft model; each is omitted when empty."""

    model_format: str = ""
    architecture: str = ""
    tensor_prefix: str = ""
    config: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """What a model says of its weights, in the order in which it is written."""

    model_format: str = ""
    model_family: str = ""  # general.architecture
    model_families: tuple[str, ...] = ()  # one entry for each model layer
    model_type: str = ""  # the parameter count in words, such as 8.0B
    file_type: str = ""  # the quantization, such as Q4_K_M
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    remote_host: str = ""
    remote_model: str = ""
    capabilities: tuple[str, ...] = ()
    context_length: int = 0  # tokens
    embedding_length: int = 0
    base_name: str = ""
    draft: Draft | None = None
    architecture: str = "amd64"
    os: str = "linux"

    def encode(self) -> bytes:
        """The bytes that the reference writes for this config."""
        fields = {**self._always(), **self._unless_empty(), **self._platform()}
        return f"{gojson.encode(fields)}\n".encode()

    def _always(self) -> dict[str, gojson.Json]:
        return {
            "model_format": self.model_format,
            "model_family": self.model_family,
            "model_families": self.model_families or None,
            "model_type": self.model_type,
            "file_type": self.file_type,
        }

    def _unless_empty(self) -> dict[str, gojson.Json]:
        fields: dict[str, gojson.Json] = {
            "renderer": self.renderer,
            "parser": self.parser,
            "requires": self.requires,
            "remote_host": self.remote_host,
            "remote_model": self.remote_model,
            "capabilities": self.capabilities,
            "context_length": self.context_length,
            "embedding_length": self.embedding_length,
            "base_name": self.base_name,
        }
        if self.draft is not None:
            fields["draft"] = _draft_fields(self.draft)
        return {key: value for key, value in fields.items() if value or key == "draft"}

    def _platform(self) -> dict[str, gojson.Json]:
        return {"architecture": self.architecture, "os": self.os}

    @classmethod
    def decode(cls, data: bytes) -> "Config":
        """The config that *data* holds, in whatever order and with whatever else.

        Raises:
            BadConfig: no JSON object, or a field of the wrong type.

        """
        try:
            value = json.loads(data.decode("utf-8", "replace"))
        except (ValueError, RecursionError) as error:
            raise BadConfig(f"not JSON: {error}") from None
        if not isinstance(value, dict):
            raise BadConfig("not a JSON object")
        try:
            return _config(value)
        except BadField as error:
            raise BadConfig(str(error)) from None


def _config(value: Mapping[str, object]) -> Config:
    return Config(
        model_format=text(value, "model_format"),
        model_family=text(value, "model_family"),
        model_families=texts(value, "model_families"),
        model_type=text(value, "model_type"),
        file_type=text(value, "file_type"),
        renderer=text(value, "renderer"),
        parser=text(value, "parser"),
        requires=text(value, "requires"),
        remote_host=text(value, "remote_host"),
        remote_model=text(value, "remote_model"),
        capabilities=texts(value, "capabilities"),
        context_length=whole(value, "context_length"),
        embedding_length=whole(value, "embedding_length"),
        base_name=text(value, "base_name"),
        draft=_draft(value.get("draft")),
        architecture=text(value, "architecture"),
        os=text(value, "os"),
    )


def _draft(value: object) -> Draft | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise BadField("draft is no object")
    return Draft(
        text(value, "model_format"),
        text(value, "architecture"),
        text(value, "tensor_prefix"),
        text(value, "config"),
    )


def _draft_fields(draft: Draft) -> gojson.Json:
    fields: dict[str, gojson.Json] = {
        "model_format": draft.model_format,
        "architecture": draft.architecture,
        "tensor_prefix": draft.tensor_prefix,
        "config": draft.config,
    }
    return {key: value for key, value in fields.items() if value}
