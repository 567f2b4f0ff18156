"""The page of the processor's settings."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from collector_processor.config import EXPORTERS, PROCESSORS, RECEIVERS, PipelineSettings, ServiceSettings
from collector_processor.configuring.effective import default_of
from collector_processor.store.settings import StoreSettings
from otel_ml.drift.registry import BUILTIN_DETECTORS
from reference_pages.docstrings import said_of, summary
from reference_pages.kinds import kind_of, kind_of_type
from reference_pages.markdown import anchor, anchored, code, prose, sentence, table, written_from

_DETECTORS: Final = "processors::drift::detectors"
_INTRODUCTION: Final = """\
What stands in the file behind `otel-ml processor --config`, setting by setting. How to choose values is said in
[processor.md](../processor.md) and [detection.md](../detection.md). `otel-ml config check --effective` prints what is
in force and where it comes from, and `otel-ml config schema` writes a JSON Schema for editors.

Paths are written as error messages write them: `processors::drift::window` is `window` within `drift` within
`processors`. What is called `name` in a path is yours to choose. A setting that is not listed is an error.

- A **duration** is a number with a unit, `ms`, `s`, `m`, `h` or `d`: `5m`, `1h30m`, `250ms`. Zero needs none.
- An **address** is `host:port`, an IPv6 host in brackets; with port 0 the system chooses one.
- An **endpoint** is `host:port` or a URL.
- Any **value** may be `${env:NAME}` or `${env:NAME:-default}`; `$$` is a dollar sign.
- Receivers, processors and exporters are named by their type, or by type and name: `otlp_grpc/archive`.
"""


def page() -> str:
    """The page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield from written_from("the settings themselves (collector_processor/**/settings.py, config.py, status.py)")
    yield "# Configuration of the processor"
    yield ""
    yield from _INTRODUCTION.splitlines()
    yield ""
    # Several names may stand for the same settings, as old ones do: the first has them.
    of_models: dict[type[BaseModel], list[str]] = {}
    for kind, types in (("receivers", RECEIVERS), ("processors", PROCESSORS), ("exporters", EXPORTERS)):
        for name, model in types.items():
            of_models.setdefault(model, []).append(f"{kind}::{name}")
    of_models |= {StoreSettings: ["store"], ServiceSettings: ["service"]}
    sections = [(path, one, also) for model, (path, *also) in of_models.items() for path, one in _sections(path, model)]
    tops = [path for path, *_ in of_models.values()]
    yield "Sections:"
    yield ""
    for path, _, _ in sections:
        top = next(top for top in tops if f"{path}::".startswith(f"{top}::"))
        below = path.removeprefix(top).count("::")
        # What is deeper is found from there.
        if below <= 1:
            yield f"{'  ' * below}- [{code(path)}](#{anchor(path)})"
    yield f"- [Settings of detectors](#{anchor(_DETECTORS + ' each')})"
    yield ""
    for path, model, also in sections:
        # A component and what is in it: two depths are enough for anybody.
        is_within = path not in tops
        yield f"{'###' if is_within else '##'} {anchored(path)}"
        yield ""
        yield _about(model)
        if also and not is_within:
            yield f"As Collectors up to 0.150 call it, also {' and '.join(map(code, also))}."
        yield ""
        yield from table(("setting", "kind", "default", "meaning"), _settings(path, model))
    yield from _detectors()


def _about(model: type[BaseModel]) -> str:
    return sentence(summary(model))


def _sections(path: str, model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """A model and all that are in it, each with its path."""
    yield path, model
    for name, setting in model.model_fields.items():
        inner, is_named = _inner(setting.annotation)
        if inner is not None:
            yield from _sections(f"{path}::{name}{'::name' if is_named else ''}", inner)


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model in an annotation, and whether there may be several by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        # Signals are the names of pipelines.
        return annotation, annotation is PipelineSettings
    origin = get_origin(annotation)
    is_mapping = isinstance(origin, type) and issubclass(origin, Mapping)
    for one in get_args(annotation):
        inner, is_named = _inner(one)
        if inner is not None:
            return inner, is_named or is_mapping
    return None, False


def _settings(path: str, model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    said = said_of(model)
    for name, setting in model.model_fields.items():
        inner, is_named = _inner(setting.annotation)
        whole = f"{path}::{name}"
        if inner is None:
            kind, meaning = kind_of(setting), sentence(said.get(name, ""))
            cell = anchored(whole, shown=name)
        else:
            section = f"{whole}::name" if is_named else whole
            is_list = get_origin(setting.annotation) is tuple
            kind = f"{'list of ' if is_list else ''}[settings](#{anchor(section)}){' by name' if is_named else ''}"
            meaning = sentence(said.get(name, "")) or _about(inner)
            # What is no mapping has its anchor at its own heading.
            cell = anchored(whole, shown=name) if is_named else code(name)
        if whole == _DETECTORS:
            kind = f"[settings](#{anchor(_DETECTORS + ' each')}) by detector"
        yield cell, kind, _default(setting, inner), meaning


def _default(setting: FieldInfo, inner: type[BaseModel] | None) -> str:
    if setting.is_required():
        return "required"
    value = default_of(setting)
    if inner is not None and isinstance(value, dict) and value:
        # They stand in the section.
        return ""
    return _written(value)


def _written(value: Any) -> str:
    if value is None or value in ("", [], {}, ()):
        return "none"
    if isinstance(value, Mapping) and not any(value.values()):
        return ", ".join(map(code, value))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return code(value if isinstance(value, str) else json.dumps(value))


def _detectors() -> Iterator[str]:
    yield f'## <a id="{anchor(_DETECTORS + " each")}"></a>Settings of detectors'
    yield ""
    yield (
        f"What may stand below a name in [{code(_DETECTORS)}](#{anchor(_DETECTORS)}), as in"
        " `detectors: {psi: {threshold: 0.25}, ks: {}}`. Who names any has only those. Other packages may bring more."
        " The detectors for texts and embeddings have no settings."
    )
    yield ""
    for name, detector in BUILTIN_DETECTORS.items():
        said, hints = said_of(detector), get_type_hints(detector)
        yield f"### {anchored(f'{_DETECTORS}::{name}', shown=name)}"
        yield ""
        yield prose(summary(detector))
        yield ""
        settings = [one for one in dataclasses.fields(detector) if one.init]  # type: ignore[arg-type]
        rows = [
            (
                anchored(f"{_DETECTORS}::{name}::{one.name}", shown=one.name),
                kind_of_type(hints[one.name]),
                _written(one.default),
                sentence(said.get(one.name, "")),
            )
            for one in settings
        ]
        yield from table(("setting", "kind", "default", "meaning"), rows) if rows else ("No settings.", "")
