"""Settings: defaults, then OTEL_PYTHON_ML_* variables, then keyword arguments."""

from __future__ import annotations

import difflib
import logging
import os
import re
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_ml import environment_variables as variables
from otel_ml import semconv
from otel_ml.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_logger = logging.getLogger("otel_ml")

_TRUE = {"true", "1", "yes", "on"}
_FALSE = {"false", "0", "no", "off"}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")


@dataclass(frozen=True, slots=True)
class Settings:
    """How recording behaves in this process.

    Attributes:
        enabled: False records nothing: no thread, no state.
        model_name: Name of a model that was given no other.
        model_version: Version that goes with it.
        baselines: Baseline files; each pins the columns of the model it names.
        export_interval_ms: Time between two snapshots, aligned to multiples on the wall clock.
        capture_events: Send each prediction with its feature values as an event. Raw values leave the process.
        spans: Give each call of a model a span.
        queue_size: Calls that may wait to be summarised.
        max_features: Columns that are summarised per model and role.
        excluded_urls: Comma-separated regular expressions of URLs that are not recorded.
        features: Columns of the input that may be summarised, as patterns ("amount", "device_*"); empty for all.
        exclude_features: Columns that may not.
        hash_features: Columns whose categories leave as hashes.
        hash_key: Secret of those hashes; the same for all replicas and for building the baseline.
        min_category_count: A category leaves under its name once a process has seen it so often, or at once if it is
            in the baseline or a class of the model; 1 names all.
        sample_values: Send sampled, exact and extreme values of numeric columns that are not binned by a baseline.
        text_vocabulary: Send how often words of texts fall into each of 256 buckets, which shows that others are used,
            and not which.
        sample_rows: Rows kept per model and export interval that are sent as they are, for what only rows can show; 0
            sends none. Raw values leave the process; without `sample_values` none do.
        correlations: Send moments of the numeric features together, so that changes of their correlations are found;
            needs a baseline.
        prediction_id_header: Header of a response that holds the prediction's id; empty for none.
    """

    enabled: bool = True
    model_name: str | None = None
    model_version: str = ""
    baselines: tuple[Path, ...] = ()
    export_interval_ms: int = 60_000
    capture_events: bool = False
    spans: bool = True
    queue_size: int = 10_000
    max_features: int = 1_000
    excluded_urls: str = ""
    features: tuple[str, ...] = ()
    exclude_features: tuple[str, ...] = ()
    hash_features: tuple[str, ...] = ()
    hash_key: str = field(default="", repr=False)
    min_category_count: int = 10
    sample_values: bool = True
    text_vocabulary: bool = True
    sample_rows: int = 0
    correlations: bool = True
    prediction_id_header: str = semconv.PREDICTION_ID_HEADER

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, /, **overrides: Any) -> Settings:
        """Settings of this process; a wrong variable warns and keeps its default.

        Args:
            environment: Instead of `os.environ`.
            overrides: Fields by name; None stands for "not given".

        Raises:
            ConfigurationError: An override has an unknown name or a wrong value.
        """
        environment = os.environ if environment is None else environment
        settings = cls(**_from_variables(environment))
        settings = replace(settings, **{name: _checked(name, value) for name, value in _given(overrides)})
        if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            settings = replace(settings, enabled=False)
        return settings


def invalid_variables(environment: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Variables that have no effect because of their value: name, value, and what would be valid."""
    return _read(environment)[1]


def setting_by_variable() -> dict[str, str]:
    """The name of the setting that each variable is about."""
    return {variable: setting for variable, (setting, _) in _VARIABLES.items()}


def _from_variables(environment: Mapping[str, str]) -> dict[str, Any]:
    values, invalid = _read(environment)
    for variable, text, valid in invalid:
        _logger.warning("%s: %r is not valid (%s); the default is used", variable, text, valid)
    return values


def _read(environment: Mapping[str, str]) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    values: dict[str, Any] = {}
    invalid: list[tuple[str, str, str]] = []
    for variable, (setting, parse) in _VARIABLES.items():
        text = environment.get(variable, "").strip()
        if not text:
            continue
        try:
            values[setting] = parse(text)
        except ValueError as error:
            invalid.append((variable, text, str(error)))
    return values, invalid


def _given(overrides: Mapping[str, Any]) -> list[tuple[str, Any]]:
    known = [setting.name for setting in fields(Settings)]
    for name in overrides:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ConfigurationError(f"{name!r} is not a setting (there are {', '.join(known)}){hint}")
    return [(name, value) for name, value in overrides.items() if value is not None]


def _checked(name: str, value: Any) -> Any:
    try:
        return _CHECKS[name](value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"{name}: {value!r} is not valid ({error})") from error


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("true or false")


def _capture(text: str) -> bool:
    if text.lower() not in ("none", "events"):
        raise ValueError("none or events")
    return text.lower() == "events"


def _header(text: Any) -> str:
    if not isinstance(text, str) or not (text == "" or _HEADER_NAME.fullmatch(text)):
        raise ValueError("the name of an HTTP header, or none")
    return "" if text.lower() == "none" else text.lower()


def _at_least(minimum: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        message = f"a whole number from {minimum} on"
        if isinstance(value, (bool, float)):
            raise ValueError(message)  # noqa: TRY004 - both callers turn ValueError into their own message
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise ValueError(message) from None
        if number < minimum:
            raise ValueError(message)
        return number

    return parse


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in text.split(os.pathsep) if part)


def _path_list(value: Any) -> tuple[Path, ...]:
    return (Path(value),) if isinstance(value, (str, os.PathLike)) else tuple(Path(part) for part in value)


def _patterns(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _pattern_list(value: Any) -> tuple[str, ...]:
    patterns = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise ValueError("names of columns, or patterns with * and ?")
    return patterns


def _exactly(kind: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kind):
            raise ValueError(f"a {kind.__name__}")  # noqa: TRY004 - the caller names the setting
        return value

    return check


def _row_count(value: Any) -> int:
    number = _at_least(0)(value)
    if number > _MAX_SAMPLE_ROWS:
        raise ValueError(f"a whole number from 0 to {_MAX_SAMPLE_ROWS}")
    return number


_MAX_SAMPLE_ROWS = 2_000  # otel_ml.sketch.row_sample.MAX_ROWS, which would import numpy
_interval, _queue, _features = _at_least(10), _at_least(1), _at_least(1)

_VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    variables.OTEL_PYTHON_ML_ENABLED: ("enabled", _boolean),
    variables.OTEL_PYTHON_ML_MODEL_NAME: ("model_name", str),
    variables.OTEL_PYTHON_ML_MODEL_VERSION: ("model_version", str),
    variables.OTEL_PYTHON_ML_BASELINE: ("baselines", _paths),
    variables.OTEL_PYTHON_ML_EXPORT_INTERVAL: ("export_interval_ms", _interval),
    variables.OTEL_PYTHON_ML_CAPTURE_EVENTS: ("capture_events", _capture),
    variables.OTEL_PYTHON_ML_SPANS: ("spans", _boolean),
    variables.OTEL_PYTHON_ML_QUEUE_SIZE: ("queue_size", _queue),
    variables.OTEL_PYTHON_ML_MAX_FEATURES: ("max_features", _features),
    variables.OTEL_PYTHON_ML_EXCLUDED_URLS: ("excluded_urls", str),
    variables.OTEL_PYTHON_ML_FEATURES: ("features", _patterns),
    variables.OTEL_PYTHON_ML_EXCLUDE_FEATURES: ("exclude_features", _patterns),
    variables.OTEL_PYTHON_ML_HASH_FEATURES: ("hash_features", _patterns),
    variables.OTEL_PYTHON_ML_HASH_KEY: ("hash_key", str),
    variables.OTEL_PYTHON_ML_MIN_CATEGORY_COUNT: ("min_category_count", _at_least(1)),
    variables.OTEL_PYTHON_ML_SAMPLE_VALUES: ("sample_values", _boolean),
    variables.OTEL_PYTHON_ML_TEXT_VOCABULARY: ("text_vocabulary", _boolean),
    variables.OTEL_PYTHON_ML_SAMPLE_ROWS: ("sample_rows", _row_count),
    variables.OTEL_PYTHON_ML_CORRELATIONS: ("correlations", _boolean),
    variables.OTEL_PYTHON_ML_PREDICTION_ID_HEADER: ("prediction_id_header", _header),
}

_CHECKS: dict[str, Callable[[Any], Any]] = {
    "enabled": _exactly(bool),
    "model_name": _exactly(str),
    "model_version": _exactly(str),
    "baselines": _path_list,
    "export_interval_ms": _interval,
    "capture_events": _exactly(bool),
    "spans": _exactly(bool),
    "queue_size": _queue,
    "max_features": _features,
    "excluded_urls": _exactly(str),
    "features": _pattern_list,
    "exclude_features": _pattern_list,
    "hash_features": _pattern_list,
    "hash_key": _exactly(str),
    "min_category_count": _at_least(1),
    "sample_values": _exactly(bool),
    "text_vocabulary": _exactly(bool),
    "sample_rows": _row_count,
    "correlations": _exactly(bool),
    "prediction_id_header": _header,
}
