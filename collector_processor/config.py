"""The configuration file: its schema, and everything that can be wrong with it, found at once.

The schema is that of an OpenTelemetry Collector. A component is declared under its kind by an id, `type` or
`type/name`, and works once a pipeline under `service` names it. Every component's settings stand beside its code.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from collector_processor import yaml_source
from collector_processor.component import Signal
from collector_processor.console.settings import ConsoleSettings
from collector_processor.errors import InvalidConfigurationError, Problem
from collector_processor.exporters.settings import OtlpExporterSettings, OtlpGrpcSettings, OtlpHttpSettings
from collector_processor.processors.evaluation.deciding import compares
from collector_processor.processors.evaluation.settings import AUTO
from collector_processor.processors.series import ConceptWatch
from collector_processor.processors.settings import DriftSettings
from collector_processor.receivers.settings import OtlpReceiverSettings
from collector_processor.settings import Duration, PositiveDuration, Settings
from collector_processor.status import StatusSettings
from collector_processor.store.settings import StoreSettings
from collector_processor.validation import SettingsT, did_you_mean, validate
from otel_ml.baseline import Baseline
from otel_ml.baseline.file import SUFFIX
from otel_ml.drift import registry
from otel_ml.drift.detector import DriftDetector
from otel_ml.drift.text import METHODS as TEXT_METHODS
from otel_ml.errors import BaselineError, ConfigurationError
from otel_ml.sketch.feature import ModelKey

RECEIVERS: Final[Mapping[str, type[OtlpReceiverSettings]]] = {"otlp": OtlpReceiverSettings}
PROCESSORS: Final[Mapping[str, type[DriftSettings]]] = {"drift": DriftSettings}
EXPORTERS: Final[Mapping[str, type[OtlpExporterSettings]]] = {
    "otlp_grpc": OtlpGrpcSettings,
    "otlp_http": OtlpHttpSettings,
    # As Collectors up to 0.150 call them.
    "otlp": OtlpGrpcSettings,
    "otlphttp": OtlpHttpSettings,
}
_TOP_LEVEL: Final = ("receivers", "processors", "exporters", "store", "service")


class PipelineSettings(Settings):
    """The way of one signal through the service, by the ids of components.

    Attributes:
        receivers: Where it comes from.
        processors: What is made of it on the way; `drift` works on logs.
        exporters: Where it goes, and what is found out with it.
    """

    receivers: tuple[str, ...] = Field(default=(), strict=False)
    processors: tuple[str, ...] = Field(default=(), strict=False)
    exporters: tuple[str, ...] = Field(default=(), strict=False)


class TelemetrySettings(Settings):
    """What the service says about itself.

    Attributes:
        interval: How often its own metrics leave through the metrics pipeline; 0 sends none.
        resource: Attributes of the resource in everything that is made here.
    """

    interval: Duration = 30.0
    resource: Mapping[str, str] = Field(default_factory=dict)


class ServiceSettings(Settings):
    """The wiring.

    Attributes:
        shutdown_timeout: How long to go on sending what waits after SIGTERM.
    """

    pipelines: Mapping[str, PipelineSettings]
    telemetry: TelemetrySettings = TelemetrySettings()
    status: StatusSettings = StatusSettings()
    console: ConsoleSettings = ConsoleSettings()
    shutdown_timeout: PositiveDuration = 10.0


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration without problems, and the files it names, read."""

    receivers: Mapping[str, OtlpReceiverSettings]
    exporters: Mapping[str, OtlpExporterSettings]
    drift: DriftSettings | None
    baselines: Sequence[Baseline]
    detectors: Mapping[str, DriftDetector]
    store: StoreSettings
    pipelines: Mapping[Signal, PipelineSettings]
    telemetry: TelemetrySettings
    status: StatusSettings
    console: ConsoleSettings
    shutdown_timeout_s: float


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Configuration:
    """The configuration in a file.

    Raises:
        InvalidConfigurationError: Holds every problem there is, not just the first.
    """
    return _configuration(*yaml_source.read(path, environment))


def parse(text: str, source: str, environment: Mapping[str, str] = os.environ) -> Configuration:
    """The configuration in a text, which need not be in a file yet.

    Args:
        source: What to call it.

    Raises:
        InvalidConfigurationError: As `load`.
    """
    return _configuration(*yaml_source.parse(text, source, environment))


def _configuration(raw: dict[str, Any], problems: list[Problem]) -> Configuration:
    problems += [
        Problem((key,), f"unknown setting (valid settings: {', '.join(_TOP_LEVEL)}){did_you_mean(key, _TOP_LEVEL)}")
        for key in raw
        if key not in _TOP_LEVEL
    ]
    receivers = _components("receivers", RECEIVERS, raw, problems)
    for name, receiver in receivers.items():
        problems += receiver.problems(("receivers", name)) if receiver is not None else ()
    processors = _components("processors", PROCESSORS, raw, problems)
    exporters = _components("exporters", EXPORTERS, raw, problems)
    store = validate(StoreSettings, raw.get("store"), ("store",), problems)
    service = validate(ServiceSettings, raw.get("service"), ("service",), problems)
    if service is not None:
        declared = {kind: _mapping(raw.get(kind)) for kind in ("receivers", "processors", "exporters")}
        problems += _wiring_problems(service.pipelines, declared)
        problems += service.console.problems(("service", "console"))
    drift: DriftSettings | None = None
    baselines: list[Baseline] = []
    detectors: dict[str, DriftDetector] = {}
    for drift_id, found in processors.items():
        where = ("processors", drift_id)
        # One wrong setting is no reason to keep quiet about the files and detectors that the others name.
        drift = found or _without_problems(DriftSettings, _mapping(raw.get("processors"))[drift_id], where, problems)
        if drift is not None:
            baselines = _baselines(drift, where, problems)
            detectors = _detectors(drift, where, problems)
            _try_concept(drift, where, problems)
    if problems or store is None or service is None:
        raise InvalidConfigurationError(problems)
    return Configuration(
        receivers={name: found for name, found in receivers.items() if found},
        exporters={name: found for name, found in exporters.items() if found},
        drift=drift,
        baselines=baselines,
        detectors=detectors,
        store=store,
        pipelines={Signal(name): pipeline for name, pipeline in service.pipelines.items()},
        telemetry=service.telemetry,
        status=service.status,
        console=service.console,
        shutdown_timeout_s=service.shutdown_timeout,
    )


def _components(
    kind: str, types: Mapping[str, type[SettingsT]], raw: Mapping[str, Any], problems: list[Problem]
) -> dict[str, SettingsT | None]:
    declared = raw.get(kind)
    if declared is not None and not isinstance(declared, dict):
        problems.append(Problem((kind,), f"{declared!r} is not valid (a mapping from ids to settings)"))
    found: dict[str, SettingsT | None] = {}
    for name, settings in _mapping(declared).items():
        model = types.get(name.partition("/")[0])
        if model is None:
            valid = f"(valid types: {', '.join(types)}, each also as type/name)"
            problems.append(Problem((kind, name), f"unknown type {valid}{did_you_mean(name, types)}"))
        else:
            found[name] = validate(model, settings, (kind, name), problems)
    return found


def _without_problems(
    model: type[SettingsT], raw: object, path: tuple[str, ...], problems: Sequence[Problem]
) -> SettingsT | None:
    """What is left of settings without those that have a problem, if that makes sense; its defaults are not theirs."""
    wrong = {problem.path[len(path)] for problem in problems if problem.path[: len(path)] == path != problem.path}
    return validate(model, {name: value for name, value in _mapping(raw).items() if name not in wrong}, path, [])


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _wiring_problems(
    pipelines: Mapping[str, PipelineSettings], declared: Mapping[str, Mapping[str, Any]]
) -> Iterable[Problem]:
    path = ("service", "pipelines")
    signals = [signal.value for signal in Signal]
    if not pipelines:
        yield Problem(path, f"is empty (at least one of {', '.join(signals)})")
    for name, pipeline in pipelines.items():
        if name not in signals:
            what = "one pipeline for each signal" if name.partition("/")[0] in signals else "unknown signal"
            yield Problem((*path, name), f"{what} (valid names: {', '.join(signals)}){did_you_mean(name, signals)}")
            continue
        yield from _reference_problems((*path, name), pipeline, declared)
        # The metrics pipeline may be there for results alone.
        if not pipeline.receivers and not (name == "metrics" and _uses_drift(pipelines)):
            yield Problem((*path, name, "receivers"), "is empty (at least one receiver)")
        if not pipeline.exporters and not pipeline.processors:
            yield Problem((*path, name, "exporters"), "is empty (at least one exporter)")
        if name != "logs" and pipeline.processors:
            yield Problem(
                (*path, name, "processors"), f"{list(pipeline.processors)} work on logs (processors in pipeline 'logs')"
            )
        if len(pipeline.processors) > 1:
            yield Problem((*path, name, "processors"), f"{list(pipeline.processors)} are too many (one processor)")
    if _uses_drift(pipelines):
        for name, what in (("metrics", "gauges"), ("logs", "alerts")):
            if name not in pipelines or not pipelines[name].exporters:
                yield Problem((*path, name, "exporters"), f"is empty (an exporter for the {what} of 'drift')")
    for kind, ids in declared.items():
        used = {name for pipeline in pipelines.values() for name in getattr(pipeline, kind)}
        for name in ids:
            if name not in used:
                yield Problem((kind, name), "is not used (name it in service::pipelines, or remove it)")


def _reference_problems(
    path: tuple[str, ...], pipeline: PipelineSettings, declared: Mapping[str, Mapping[str, Any]]
) -> Iterable[Problem]:
    for kind, ids in declared.items():
        names: tuple[str, ...] = getattr(pipeline, kind)
        for name in dict.fromkeys(names):
            if name not in ids:
                valid = f"(declared {kind}: {', '.join(ids) or 'none'})"
                yield Problem((*path, kind), f"{name!r} is not declared {valid}{did_you_mean(name, ids)}")
            if names.count(name) > 1:
                yield Problem((*path, kind), f"{name!r} stands there twice (each once)")


def _uses_drift(pipelines: Mapping[str, PipelineSettings]) -> bool:
    return any(name.partition("/")[0] == "drift" for pipeline in pipelines.values() for name in pipeline.processors)


def _baselines(drift: DriftSettings, path: tuple[str, ...], problems: list[Problem]) -> list[Baseline]:
    """The baselines, and as problems those that cannot be read or claim a model that another one has."""
    found: dict[ModelKey, tuple[str, Baseline]] = {}
    for file, where in _baseline_files(drift, path, problems):
        try:
            baseline = Baseline.load(file)
        except BaselineError as error:
            problems.append(Problem(where, str(error)))
            continue
        if baseline.model in found:
            model = " ".join(part for part in baseline.model if part)
            other = found[baseline.model][0]
            problems.append(Problem(where, f"{file!r} is of model {model!r}, as is {other!r} (one for each version)"))
        found[baseline.model] = (file, baseline)
    return [baseline for _, baseline in found.values()]


def _baseline_files(
    drift: DriftSettings, path: tuple[str, ...], problems: list[Problem]
) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Every file, and the setting that names it or its folder."""
    named = [(name, (*path, "baselines", str(position))) for position, name in enumerate(drift.baselines)]
    inbox = drift.accept_baselines
    if inbox is not None:
        where = (*path, "accept_baselines")
        try:
            Path(inbox).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problems.append(Problem(where, f"{inbox!r} cannot be made: {error.strerror or error} (a folder)"))
        else:
            if not os.access(inbox, os.W_OK | os.X_OK):
                problems.append(Problem(where, f"{inbox!r} cannot be written to (a folder of ours)"))
            named.append((inbox, where))
    for name, where in named:
        is_folder = Path(name).is_dir()
        for file in sorted(Path(name).glob(f"*{SUFFIX}")) if is_folder else [name]:
            yield str(file), where


def _try_concept(drift: DriftSettings, path: tuple[str, ...], problems: list[Problem]) -> None:
    """As problems what river's detectors cannot be made of; importing river takes seconds, here rather than later."""
    try:
        ConceptWatch(drift.concept, path="::".join((*path, "concept"))).prepare()
    except ConfigurationError as error:
        problems.append(Problem((), str(error)))


def _detectors(drift: DriftSettings, path: tuple[str, ...], problems: list[Problem]) -> dict[str, DriftDetector]:
    found: dict[str, DriftDetector] = {}
    for name, settings in drift.detectors.items():
        try:
            found[name] = registry.create(name, settings, path="::".join((*path, "detectors")))
        except ConfigurationError as error:
            problems.append(Problem((), str(error)))
    for kind, name in drift.decide_by:
        valid = f"(configured detectors: {', '.join(drift.detectors) or 'none'})"
        # Vectors and texts have detectors of their own, all of which are run.
        if kind in ("embedding", "joint") or (kind == "text" and name in TEXT_METHODS):
            continue
        if name == AUTO:
            # One that could not be created is told above.
            if len(found) == len(drift.detectors) and not any(compares(one, kind) for one in found.values()):
                problem = f"'auto' has nothing to choose from for {kind} columns {valid}"
                problems.append(Problem((*path, "decide_by", kind), problem))
        elif name not in drift.detectors:
            hint = did_you_mean(name, drift.detectors)
            problems.append(Problem((*path, "decide_by", kind), f"{name!r} is not configured {valid}{hint}"))
    return found
