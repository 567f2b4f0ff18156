"""`otel_ml.record()`: an inference told by the user."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_ml.recording.guard import failed
from otel_ml.recording.inference import Told
from otel_ml.recording.labels import Label, pairs
from otel_ml.recording.recorder import get_recorder
from otel_ml.recording.request import request_scope
from otel_ml.recording.spans import context_of
from otel_ml.recording.told import nanoseconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

_recorder = get_recorder()
_queue = _recorder.queue
# A request's share is three names looked up and one tuple made: what is known in advance must not be looked up.
_waiting = _queue.waiting
_append = _waiting.append


def record(
    features: Any,
    predictions: Any = None,
    scores: Any = None,
    model: str | None = None,
    version: str | None = None,
    feature_names: Sequence[str] | None = None,
    prediction_id: str | Sequence[str] | None = None,
    timestamp: float | datetime | None = None,
    segments: Mapping[str, Any] | None = None,
    entity_id: Any = None,
) -> None:
    """Count one inference, or a batch of them, towards the model's summaries; never raises, never waits.

    A row given as a dict is kept by reference, with its prediction, for a quarter of a second: do not change it
    meanwhile, or pass a copy. Arrays and pandas frames are copied.

    Args:
        features: A dict of one row, a dict of columns, a list of rows, a numpy array, a pandas, polars or Arrow table,
            a pydantic model or dataclass; None when there is only an output to count.
        predictions: One per row.
        scores: Probabilities or decision values, one (or one per class) per row.
        model: Name of the model; else OTEL_PYTHON_ML_MODEL_NAME, else "default".
        version: Version of the model.
        feature_names: Names of the columns, where the features have none.
        prediction_id: Names the call in events and for `record_label`; row i of a batch is "<id>:i". Or one per row.
        timestamp: When the inference happened, for backfills: seconds since the epoch or a datetime. Default: now.
        segments: What to tell rows apart by, such as {"country": "NO"}: each is summarised on its own as well.
        entity_id: Whom the row is about (a customer, a device), or one per row; goes into opt-in events only.
    """
    # Arguments are not keyword-only because that alone costs 40 ns of the 150 there are.
    if type(features) is dict and len(_waiting) < _queue.quick:
        # Told, as the plain tuple it is: a third of the time. The worker finds out what the rest means.
        _append(
            (
                model,
                features,
                predictions,
                scores,
                version,
                feature_names,
                prediction_id,
                timestamp,
                segments,
                entity_id,
            )
        )
    else:
        _record_with_care(
            Told(
                model,
                features,
                predictions,
                scores,
                version,
                feature_names,
                prediction_id,
                timestamp,
                segments,
                entity_id,
            )
        )


def record_label(
    prediction_id: str | Sequence[str],
    label: Any,
    *,
    model: str | None = None,
    version: str | None = None,
    timestamp: float | datetime | None = None,
) -> None:
    """Tell the true outcome of a prediction, or of many, whenever it is known; never raises, never waits.

    Args:
        prediction_id: As in the response's `x-prediction-id` header, or as given to `record()`. Row i of a batch is
            "<id>:i". A sequence for many.
        label: Class, number or truth value; a sequence of the same length for many.
        model: Name of the model, where ids are unique only within one.
        version: Version of the model.
        timestamp: When it became known: seconds since the epoch or a datetime. Default: now.
    """
    try:
        if _recorder.is_taking():
            known_at = nanoseconds_of(timestamp)
            _recorder.labels.put(Label(*pair, model, version, known_at) for pair in pairs(prediction_id, label))
    except Exception as error:
        failed("record_label()", error)


def flush(timeout_s: float = 5.0) -> bool:
    """Summarise what was recorded and hand all snapshots to the OpenTelemetry SDK now; False if that took longer."""
    try:
        return _recorder.flush(timeout_s)
    except Exception as error:
        failed("flush()", error)
        return False


def _record_with_care(told: Told) -> None:
    """As `record`, where the queue is closed, the input is mutable, or the call may stand in a request."""
    if not _recorder.enabled:
        return
    try:
        inference = _recorder.told.inference(told)
        scope = request_scope.get()
        if scope is not None:
            scope.recorded(inference.model)
        if _recorder.wants_span_context or scope is not None:
            own_id = inference.prediction_id
            if own_id is None and scope is not None:
                own_id = scope.prediction_id
            inference = inference._replace(prediction_id=own_id, span_context=context_of(None))
        _queue.put(inference)
    except Exception as error:
        failed("record()", error)
