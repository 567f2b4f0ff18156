"""`otel_ml.record()`: an inference told by the user."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from otel_ml.recording.guard import failed
from otel_ml.recording.inference import RECORD, ModelInfo
from otel_ml.recording.recorder import get_recorder
from otel_ml.recording.request import request_scope
from otel_ml.recording.spans import context_of
from otel_ml.sketch.feature import ModelKey

if TYPE_CHECKING:
    from collections.abc import Sequence

_DEFAULT_NAME = "default"
_MAX_INFOS = 1_000

_recorder = get_recorder()
_submit = _recorder.submit
_scope = request_scope.get
# By model, then version: two lookups cost less than a tuple as key. Without names of columns, the usual case.
_infos: dict[str | None, dict[str | None, ModelInfo]] = {}
_named_infos: dict[tuple[ModelKey, tuple[str, ...]], ModelInfo] = {}


def record(
    features: Any,
    predictions: Any = None,
    *,
    scores: Any = None,
    model: str | None = None,
    version: str | None = None,
    feature_names: Sequence[str] | None = None,
    prediction_id: str | None = None,
    timestamp: float | datetime | None = None,
) -> None:
    """Count one inference, or a batch of them, towards the model's summaries; never raises, never waits.

    A row given as a dict is kept by reference for some hundredths of a second: do not change it meanwhile, or pass a
    copy. Arrays and pandas frames are copied.

    Args:
        features: A dict of one row, a dict of columns, a list of rows, a numpy array, a pandas, polars or Arrow table,
            a pydantic model or dataclass; None when there is only an output to count.
        predictions: One per row.
        scores: Probabilities or decision values, one (or one per class) per row.
        model: Name of the model; else OTEL_PYTHON_ML_MODEL_NAME, else "default".
        version: Version of the model.
        feature_names: Names of the columns, where the features have none.
        prediction_id: Names the call in opt-in events; row i of a batch is "<id>:i".
        timestamp: When the inference happened, for backfills: seconds since the epoch or a datetime. Default: now.
    """
    try:
        info = _infos[model][version]
    except Exception:
        info = _new_info(model, version)
    if (
        feature_names is None
        and prediction_id is None
        and timestamp is None
        and _scope() is None
        and not _recorder.wants_span_context
    ):
        _submit((info, RECORD, features, predictions, scores))
    else:
        _record_in_full(info, features, predictions, scores, feature_names, prediction_id, timestamp)


def _record_in_full(
    info: ModelInfo,
    features: Any,
    predictions: Any,
    scores: Any,
    feature_names: Sequence[str] | None,
    prediction_id: str | None,
    timestamp: float | datetime | None,
) -> None:
    try:
        if feature_names is not None:
            info = _with_names(info, tuple(map(str, feature_names)))
        span_context = None
        scope = _scope()
        if scope is not None:
            scope.recorded(info)
        if _recorder.wants_span_context:
            span_context = context_of(None)
            if prediction_id is None and scope is not None:
                prediction_id = scope.prediction_id
        _submit(
            (
                info,
                RECORD,
                features,
                predictions,
                scores,
                -1.0,
                None,
                prediction_id,
                span_context,
                _nanoseconds(timestamp),
            )
        )
    except Exception as error:
        failed("record()", error)


def _new_info(model: str | None, version: str | None) -> ModelInfo:
    settings = _recorder.settings
    name = str(model) if model is not None else settings.model_name or _DEFAULT_NAME
    number = str(version) if version is not None else (settings.model_version if model is None else "")
    info = ModelInfo(ModelKey(name, number))
    if not _recorder.queue.is_closed and len(_infos) < _MAX_INFOS:
        try:
            versions = _infos.setdefault(model, {})
            if len(versions) < _MAX_INFOS:
                versions[version] = info
        except TypeError:  # an unhashable name: its text will do, every time anew
            pass
    return info


def _with_names(info: ModelInfo, names: tuple[str, ...]) -> ModelInfo:
    named = _named_infos.get((info.key, names))
    if named is None:
        named = ModelInfo(info.key, feature_names=names)
        if len(_named_infos) < _MAX_INFOS:
            _named_infos[info.key, names] = named
    return named


def _nanoseconds(timestamp: float | datetime | None) -> int:
    if timestamp is None:
        return 0
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            timestamp = timestamp.replace(tzinfo=timezone.utc)
        timestamp = timestamp.timestamp()
    if not math.isfinite(timestamp):
        return 0
    return max(0, int(timestamp * 1e9))


def flush(timeout_s: float = 5.0) -> bool:
    """Summarise what was recorded and hand all snapshots to the OpenTelemetry SDK now; False if that took longer."""
    try:
        return _recorder.flush(timeout_s)
    except Exception as error:
        failed("flush()", error)
        return False
