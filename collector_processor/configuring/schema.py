"""The JSON Schema of a configuration file, made from the settings themselves, for editors.

It accepts whatever the processor accepts, `${env:NAME}` in place of any value included, and refuses unknown settings.
What only looking at files and at several settings together can tell, `otel-ml config check` tells.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from collector_processor.config import EXPORTERS, PROCESSORS, RECEIVERS, ServiceSettings
from collector_processor.settings import parse_address, parse_target
from collector_processor.store.settings import StoreSettings

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_VARIABLE: Final = "FromEnvironment"
_REFERENCE: Final = "#/$defs/"
_SCALARS: Final = frozenset(("integer", "number", "boolean"))
_DURATION: Final = r"^\s*(\d+(\.\d+)?(ms|s|m|h|d))+\s*$"
_KINDS: Final[Mapping[str, Mapping[str, type[BaseModel]]]] = {
    "receivers": RECEIVERS,
    "processors": PROCESSORS,
    "exporters": EXPORTERS,
}
_SECTIONS: Final[Mapping[str, type[BaseModel]]] = {"store": StoreSettings, "service": ServiceSettings}
_ATTRIBUTE: Final = re.compile(r"^(\w+): (.*)$")


def json_schema() -> JsonSchemaValue:
    """The schema of a whole file, in the dialect of 2020-12."""
    models = {model for types in _KINDS.values() for model in types.values()} | set(_SECTIONS.values())
    ordered = sorted(models, key=lambda model: model.__qualname__)
    references, shared = models_json_schema([(model, "validation") for model in ordered], schema_generator=_Generator)
    found = {model: references[model, "validation"] for model in ordered}
    definitions = {name: _open_to_variables(schema) for name, schema in shared["$defs"].items()}
    definitions[_VARIABLE] = {
        "type": "string",
        "pattern": r"\$\{env:[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}",
        "description": "The value of an environment variable: ${env:NAME} or ${env:NAME:-default}.",
    }
    properties: dict[str, Any] = {
        kind: {
            "type": "object",
            # A type, or type/name; nothing at all behind it means defaults.
            "patternProperties": {
                f"^{re.escape(name)}(/.*)?$": {"anyOf": [found[model], {"type": "null"}]}
                for name, model in types.items()
            },
            "additionalProperties": False,
        }
        for kind, types in _KINDS.items()
    }
    properties["store"] = {"anyOf": [found[StoreSettings], {"type": "null"}]}
    properties["service"] = found[ServiceSettings]
    return {
        "$schema": DIALECT,
        "title": "Configuration of otel-ml's processor",
        "type": "object",
        "properties": properties,
        "required": ["service"],
        "additionalProperties": False,
        "$defs": definitions,
    }


class _Generator(GenerateJsonSchema):
    """pydantic's generator, with what it cannot know about our own validators."""

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> JsonSchemaValue:
        """Durations, addresses and the like, which are read by functions of ours."""
        function: Any = schema["function"]["function"]
        if function in (parse_address, parse_target):
            return {"type": "string", "examples": ["127.0.0.1:4317"]}
        if "duration" in function.__name__:
            # A zero needs no unit.
            return {
                "anyOf": [{"type": "string", "pattern": _DURATION}, {"enum": [0, "0"]}],
                "examples": ["5m", "250ms"],
            }
        if function.__name__ == "_token":
            return {"type": "string"}
        # A number of windows, a duration or "off": whatever else has several shapes is left to the processor.
        return {}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Without defaults: those are what a setting becomes, not what it is written as."""
        return self.generate_inner(schema["schema"])

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """With what the docstring says of the model, and of each of its settings."""
        made = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        made["description"] = inspect.cleandoc(model.__doc__ or "").partition("\n")[0]
        said = {name: text for one in reversed(model.__mro__) for name, text in _attributes(one).items()}
        for name, setting in made.get("properties", {}).items():
            setting.pop("title", None)
            if name in said:
                setting["description"] = said[name]
        return made


def _attributes(model: type) -> dict[str, str]:
    """What the docstring's "Attributes:" say."""
    if not model.__doc__ or model.__module__.startswith("pydantic"):
        return {}
    said: dict[str, str] = {}
    name = ""
    for line in inspect.cleandoc(model.__doc__).partition("Attributes:\n")[2].splitlines():
        text = line.removeprefix("    ")
        matched = _ATTRIBUTE.match(text)
        if matched:
            name = matched[1]
            said[name] = matched[2]
        elif name and text.strip():
            said[name] += f" {text.strip()}"
    return said


def _open_to_variables(schema: Any) -> Any:
    """The same, but every value that is no text may be a variable as well."""
    if isinstance(schema, list):
        return [_open_to_variables(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    opened = {name: _open_to_variables(item) for name, item in schema.items()}
    is_typed = isinstance(schema.get("type"), str)
    is_value = schema.get("type") in _SCALARS or "enum" in schema or "const" in schema or "pattern" in schema
    if not is_value or (is_typed and schema["type"] == "object"):
        return opened
    kept = {name: opened.pop(name) for name in ("description", "title") if name in opened}
    return {**kept, "anyOf": [opened, {"$ref": f"{_REFERENCE}{_VARIABLE}"}]}
