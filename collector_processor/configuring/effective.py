"""Every setting that is in force, with its value and where that comes from; what is written is a configuration again.

Secrets are not shown: headers and tokens stay the variables that they are, or are left out.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from collector_processor import yaml_source
from collector_processor.config import Configuration, ServiceSettings
from collector_processor.configuring.places import Places
from collector_processor.processors.references.settings import Span
from collector_processor.receivers.settings import ProtocolSettings
from collector_processor.settings import Address, Target, parse_duration
from otel_ml.drift.detector import DriftDetector

DEFAULT: Final = "default"
HIDDEN: Final = "[hidden]"
_AMBIGUOUS: Final = frozenset("\n,[]{}#\\")
_SECRET: Final = frozenset(("bearer_token", "headers"))


@dataclass(frozen=True, slots=True)
class Value:
    """A setting that has no settings of its own."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Section:
    """Settings by name."""

    settings: Mapping[str, Section | Value]

    def sources(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
        """Where each value comes from, by path."""
        for name, setting in self.settings.items():
            if isinstance(setting, Section):
                yield from setting.sources((*path, name))
            else:
                yield (*path, name), setting.source


def effective_settings(configuration: Configuration, file: Path) -> Section:
    """What is in force with a configuration that was read from a file."""
    raw, _ = yaml_source.read(file)
    reading = _Reading(file, Places.of(file))
    sections: dict[str, Section | Value] = {}
    sections["receivers"] = reading.components(raw, "receivers", configuration.receivers)
    if configuration.drift is not None:
        (drift_id,) = raw["processors"]
        where = ("processors", drift_id)
        drift = reading.model(configuration.drift, raw["processors"][drift_id], where)
        detectors = reading.detectors(configuration.detectors, drift, where)
        sections["processors"] = Section({drift_id: Section({**drift.settings, "detectors": detectors})})
    sections["exporters"] = reading.components(raw, "exporters", configuration.exporters)
    sections["store"] = reading.model(configuration.store, raw.get("store"), ("store",))
    # It was valid a moment ago, and the configuration keeps its parts only.
    service = ServiceSettings.model_validate(raw["service"])
    sections["service"] = reading.model(service, raw["service"], ("service",))
    return Section({name: section for name, section in sections.items() if section != Section({})})


def plain(section: Section) -> dict[str, Any]:
    """The values alone."""
    return {
        name: plain(setting) if isinstance(setting, Section) else setting.value
        for name, setting in section.settings.items()
    }


def rendered(section: Section) -> str:
    """YAML with the source of each value behind it."""
    lines = list(_lines(section, 0))
    width = min(max((len(text) for text, _ in lines), default=0), 60)
    return "".join(f"{text:<{width}}  # {source}\n" if source else f"{text}\n" for text, source in lines)


def default_of(field: FieldInfo) -> Any:
    """What a setting that has a default is when nobody sets it, as it would stand in a file."""
    return _default(field.get_default(call_default_factory=True), field)


def _lines(section: Section, depth: int) -> Iterator[tuple[str, str]]:
    indent = "  " * depth
    for name, setting in section.settings.items():
        if isinstance(setting, Value):
            yield f"{indent}{_scalar(name)}: {_flow(setting.value)}", setting.source
        elif setting.settings:
            yield f"{indent}{_scalar(name)}:", ""
            yield from _lines(setting, depth + 1)
        else:
            yield f"{indent}{_scalar(name)}: {{}}", ""


def _flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(name)}: {_flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return yaml.safe_dump(value).removesuffix("\n").removesuffix("\n...")
    if not value.startswith("${env:"):
        value = value.replace("$", "$$")
    plainly = yaml.safe_dump(value, width=1_000_000).removesuffix("\n").removesuffix("\n...")
    # JSON is YAML: what would need several lines, or means something within [] and {}, is quoted so.
    return json.dumps(value) if set(plainly) & _AMBIGUOUS else plainly


class _Reading:
    """Settings beside what stands in the file about them."""

    def __init__(self, file: Path, places: Places) -> None:
        self._file = file
        self._places = places

    def components(self, raw: Mapping[str, Any], kind: str, found: Mapping[str, BaseModel]) -> Section:
        """Receivers or exporters by id."""
        return Section({name: self.model(one, raw[kind][name], (kind, name)) for name, one in found.items()})

    def model(self, model: BaseModel, raw: Any, path: tuple[str, ...]) -> Section:
        """Every setting of a model."""
        written = raw if isinstance(raw, Mapping) else {}
        fields = type(model).model_fields
        # A protocol that stands there with nothing behind it is served: one that is not must not stand there.
        names = [name for name in fields if not isinstance(model, ProtocolSettings) or getattr(model, name) is not None]
        return Section({name: self._setting(model, name, fields[name], written, (*path, name)) for name in names})

    def detectors(self, found: Mapping[str, DriftDetector], drift: Section, path: tuple[str, ...]) -> Section | Value:
        """Detectors with all their settings; a detector's dataclass is its schema."""
        if not all(map(dataclasses.is_dataclass, found.values())):
            return drift.settings["detectors"]
        return Section({name: self._detector(one, (*path, "detectors", name)) for name, one in found.items()})

    def _detector(self, detector: Any, path: tuple[str, ...]) -> Section:
        names = [field.name for field in dataclasses.fields(detector) if field.init]
        return Section({name: self._leaf(_written(getattr(detector, name)), (*path, name)) for name in names})

    def _setting(
        self, model: BaseModel, name: str, field: FieldInfo, written: Mapping[str, Any], path: tuple[str, ...]
    ) -> Section | Value:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            return self.model(value, written.get(name), path)
        if name in _SECRET and value:
            return self._secret(value, path)
        if isinstance(value, Mapping) and value and all(isinstance(item, BaseModel) for item in value.values()):
            raw = written.get(name) or {}
            return Section({key: self.model(item, raw.get(key), (*path, key)) for key, item in value.items()})
        if name in written:
            return self._leaf(_written(written[name]), path)
        return Value(_default(value, field), DEFAULT)

    def _secret(self, value: Any, path: tuple[str, ...]) -> Section | Value:
        if isinstance(value, Mapping):
            return Section({name: self._hidden((*path, name)) for name in value})
        return self._hidden(path)

    def _hidden(self, path: tuple[str, ...]) -> Value:
        place = self._places.found.get(path)
        shown = place.text if place is not None and place.variables else HIDDEN
        return Value(shown, self._source(path))

    def _leaf(self, value: Any, path: tuple[str, ...]) -> Value:
        return Value(value, self._source(path))

    def _source(self, path: tuple[str, ...]) -> str:
        place = self._places.found.get(path)
        if place is None:
            # Within a mapping that stands there as a whole.
            return DEFAULT
        where = f"{self._file}:{place.line}"
        set_ones = [name for name in place.variables if os.environ.get(name)]
        if set_ones:
            return f"environment variable {', '.join(set_ones)}, {where}"
        return where if not place.variables else f"{where}, {', '.join(place.variables)} is not set"


def _default(value: Any, field: FieldInfo) -> Any:
    is_duration = isinstance(value, float) and (
        _is_duration(field.metadata) or _is_duration(get_args(field.annotation))
    )
    return _duration(value) if is_duration else _written(value)


def _is_duration(parts: Sequence[Any]) -> bool:
    for part in parts:
        function = getattr(part, "func", None)
        if function is parse_duration or getattr(function, "__name__", "") == "_positive_duration":
            return True
        if _is_duration(getattr(part, "__metadata__", ())) or _is_duration(get_args(part)):
            return True
    return False


def _written(value: Any) -> Any:
    """As it would stand in a file."""
    if isinstance(value, Target):
        return f"{value.scheme}://{value.address}{value.path}" if value.scheme else str(value.address)
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, Span):
        return value.windows or (_duration(value.seconds) if value.seconds else "off")
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, BaseModel):
        return {name: _default(getattr(value, name), field) for name, field in type(value).model_fields.items()}
    if isinstance(value, Mapping):
        return {str(name): _written(item) for name, item in value.items()}
    return [_written(item) for item in value] if isinstance(value, list | tuple) else value


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms" if seconds else "0s"
