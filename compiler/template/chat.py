"""A conversation as templates see it: messages, tool calls and tools.

The fields that a template can name, their order when printed and their form in JSON are the
reference's (its types of the same purpose); what the author may write is listed in
docs/template.md.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from mbuild.compiler.template.encoding import json_text
from mbuild.compiler.template.value import Keys, Map, Methods, Names, Slice, Struct, Value


class Strings(Slice):
    """A list of texts."""

    go_type = "[]string"
    element_type = "string"


class Anything(Slice):
    """A list of JSON values."""

    go_type = "[]interface {}"
    element_type = "interface {}"


class Images(Slice):
    """Pictures, each as the bytes of its file."""

    go_type = "[]api.ImageData"
    element_type = "api.ImageData"


class Arguments(Map):
    """The arguments of a tool call; prints as a JSON object."""

    go_type = "template.templateArgs"
    boxes = True

    def text(self) -> str:
        """The JSON object; ``{}`` if there are no arguments."""
        return "{}" if self.is_nil else json_text(self)

    methods: ClassVar[Methods] = {"String": text}


@dataclass(frozen=True, slots=True)
class CalledFunction(Struct):
    """What a tool call calls."""

    name: str
    arguments: Arguments
    index: int = 0

    go_type = "template.templateToolCallFunction"
    members: ClassVar[Names] = {"Index": "index", "Name": "name", "Arguments": "arguments"}


@dataclass(frozen=True, slots=True)
class ToolCall(Struct):
    """A call that the model made."""

    function: CalledFunction
    id: str = ""

    go_type = "template.templateToolCall"
    members: ClassVar[Names] = {"ID": "id", "Function": "function"}


class ToolCalls(Slice):
    """The calls of one message."""

    go_type = "[]template.templateToolCall"
    element_type = "template.templateToolCall"


NO_IMAGES = Images.of(None)
NO_CALLS = ToolCalls.of(None)


@dataclass(frozen=True, slots=True)
class Message(Struct):
    """One turn of a conversation."""

    role: str
    content: str
    thinking: str = ""
    images: Slice = NO_IMAGES
    tool_calls: Slice = NO_CALLS
    tool_name: str = ""
    tool_call_id: str = ""

    go_type = "template.templateMessage"
    pointer = True
    members: ClassVar[Names] = {
        "Role": "role",
        "Content": "content",
        "Thinking": "thinking",
        "Images": "images",
        "ToolCalls": "tool_calls",
        "ToolName": "tool_name",
        "ToolCallID": "tool_call_id",
    }


class Messages(Slice):
    """A conversation."""

    go_type = "[]*template.templateMessage"
    element_type = "*template.templateMessage"


class PropertyType(Slice):
    """The types that a property of a tool may have; prints as the only one."""

    go_type = "api.PropertyType"
    element_type = "string"
    alone = True

    def text(self) -> str:
        """The only type, or all in brackets; empty if there is none."""
        return self[0] if len(self) == 1 else f"[{' '.join(self)}]" if self else ""

    methods: ClassVar[Methods] = {"String": text}


_TYPESCRIPT = {
    "string": "string",
    "number": "number",
    "integer": "number",
    "boolean": "boolean",
    "array": "any[]",
    "object": "Record<string, any>",
    "null": "null",
}


class AnyOf(Slice):
    """Alternatives for a property."""

    go_type = "[]api.ToolProperty"
    element_type = "api.ToolProperty"


@dataclass(frozen=True, slots=True)
class Property(Struct):
    """One parameter of a tool, as its JSON schema describes it."""

    any_of: Slice = field(default_factory=lambda: AnyOf.of(None))
    type: Slice = field(default_factory=lambda: PropertyType.of(None))
    items: Value = None
    description: str = ""
    enum: Slice = field(default_factory=lambda: Anything.of(None))
    properties: "NestedProperties | None" = None
    required: Slice = field(default_factory=lambda: Strings.of(None))

    def typescript(self) -> str:
        """The type of this property in TypeScript's words."""
        if self.any_of:
            return " | ".join([each.typescript() for each in self.any_of])
        return " | ".join([_TYPESCRIPT.get(name, "any") for name in self.type]) or "any"

    go_type = "api.ToolProperty"
    boxed = frozenset(("Items",))
    members: ClassVar[Names] = {
        "AnyOf": "any_of",
        "Type": "type",
        "Items": "items",
        "Description": "description",
        "Enum": "enum",
        "Properties": "properties",
        "Required": "required",
    }
    json_keys: ClassVar[Keys] = {
        "any_of": ("anyOf", True),
        "items": ("items", True),
        "description": ("description", True),
        "enum": ("enum", True),
        "properties": ("properties", True),
        "required": ("required", True),
        "type": ("type", True),
    }
    methods: ClassVar[Methods] = {"ToTypeScriptType": typescript}


@dataclass(frozen=True, slots=True)
class NestedProperties(Struct):
    """The properties inside a property, in the order of the request."""

    properties: tuple[tuple[str, Property], ...]

    def entries(self) -> tuple[tuple[str, Value], ...]:
        """The properties by name."""
        return self.properties

    def to_map(self) -> "Properties":
        """The properties as a map, which can be ranged over."""
        return Properties(self.properties)

    def length(self) -> int:
        """How many there are."""
        return len(self.properties)

    go_type = "api.ToolPropertiesMap"
    pointer = True
    members: ClassVar[Names] = {}
    methods: ClassVar[Methods] = {"String": json_text, "ToMap": to_map, "Len": length}


class Properties(Map):
    """The parameters of a tool by name; prints as a JSON object."""

    go_type = "template.templateProperties"

    def missing(self) -> Value:
        """A property that says nothing: it is true in a condition, unlike nil."""
        return Property()

    def text(self) -> str:
        """The JSON object; ``{}`` if none were given."""
        return "{}" if self.is_nil else json_text(self)

    methods: ClassVar[Methods] = {"String": text}


@dataclass(frozen=True, slots=True)
class Parameters(Struct):
    """What a tool takes."""

    type: str
    properties: Properties
    required: Slice = field(default_factory=lambda: Strings.of(None))
    definitions: Value = None
    items: Value = None

    go_type = "template.templateToolFunctionParameters"
    boxed = frozenset(("Defs", "Items"))
    members: ClassVar[Names] = {
        "Type": "type",
        "Defs": "definitions",
        "Items": "items",
        "Required": "required",
        "Properties": "properties",
    }
    json_keys: ClassVar[Keys] = {
        "type": ("type", False),
        "definitions": ("$defs", True),
        "items": ("items", True),
        "required": ("required", True),
        "properties": ("properties", False),
    }


@dataclass(frozen=True, slots=True)
class ToolFunction(Struct):
    """The function that a tool is."""

    name: str
    description: str
    parameters: Parameters

    go_type = "template.templateToolFunction"
    members: ClassVar[Names] = {
        "Name": "name",
        "Description": "description",
        "Parameters": "parameters",
    }
    json_keys: ClassVar[Keys] = {
        "name": ("name", False),
        "description": ("description", False),
        "parameters": ("parameters", False),
    }


@dataclass(frozen=True, slots=True)
class Tool(Struct):
    """Something that the model may call; prints as a JSON object."""

    type: str
    function: ToolFunction
    items: Value = None

    go_type = "template.templateTool"
    boxed = frozenset(("Items",))
    members: ClassVar[Names] = {"Type": "type", "Items": "items", "Function": "function"}
    json_keys: ClassVar[Keys] = {
        "type": ("type", False),
        "items": ("items", True),
        "function": ("function", False),
    }
    methods: ClassVar[Methods] = {"String": json_text}


class Tools(Slice):
    """What the model may call; prints as a JSON array, ``null`` where none was given."""

    go_type = "template.templateTools"
    element_type = "template.templateTool"
    methods: ClassVar[Methods] = {"String": json_text}


NO_TOOLS = Tools.of(None)
