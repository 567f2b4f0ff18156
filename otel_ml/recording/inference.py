"""One call of a model, as it crosses from the request to the recording worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.trace import SpanContext

    from otel_ml.sketch.feature import FeatureKind, ModelKey

RECORD: Final = "record"
"""Operation of an explicit `otel_ml.record()`."""
SHORT: Final = 5
"""Fields of an inference up to its scores: a tuple of just these will do, and is made faster."""


class ModelInfo:
    """What is known about a model; one object per model, so that a call carries a reference and no strings.

    Attributes:
        key: Name and version under which the model is reported.
        system: The library that runs it, as in `semconv.SYSTEM_NAME`; empty when unknown.
        feature_names: Names of positional columns, where the model knows them; columns of the input win.
        output_kind: How predictions are to be read; None lets the first batch decide.
        classes: What a classifier chooses from, in the order of its scores' columns.
        attributes: Further attributes of every span of the model, such as the run that trained it.
        column_prefix: What positional columns that nobody has a name for are called, before their number.
        active: Calls that are running now. Whoever wraps the call adds one before and takes it away after: one
            bytecode-level `+=` that no other thread can interrupt under the GIL.
    """

    __slots__ = (
        "__weakref__",
        "active",
        "attributes",
        "classes",
        "column_prefix",
        "feature_names",
        "key",
        "output_kind",
        "system",
    )

    DEFAULT_PREFIX: Final = "f"

    def __init__(
        self,
        key: ModelKey,
        *,
        system: str = "",
        feature_names: tuple[str, ...] | None = None,
        output_kind: FeatureKind | None = None,
        classes: tuple[Any, ...] | None = None,
        attributes: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.key = key
        self.system = system
        self.feature_names = feature_names
        self.output_kind = output_kind
        self.classes = classes
        self.attributes = attributes
        self.column_prefix = self.DEFAULT_PREFIX
        self.active = 0

    def __repr__(self) -> str:
        return f"ModelInfo({self.key.name!r}, version={self.key.version!r})"


class Inference(NamedTuple):
    """One call of a model: one row, or a batch of them.

    A tuple, and the only container made for a request: whatever waits in the queue is walked by the garbage collector.
    Only the first four fields are needed.

    Attributes:
        features: Input in any shape `columns.py` knows: a dict, a matrix, a frame, a list of rows, …
        predictions: Output, one per row; None when the call gave none.
        scores: Probabilities or decision values beside the predictions, one (or one per class) per row.
        duration_s: Duration of the call; negative when unknown.
        error_type: Qualified name of the exception the call ended with.
        prediction_id: Id of the call, or one per row; `row_id` says which is whose.
        span_context: Of the span the call ran in: for events, and so that an odd value leads to its request.
        timestamp_unix_nano: 0 stands for now.
        segments: Dimensions by which rows are told apart, such as {"country": "NO"}.
        entity_id: Whom the row is about, or one per row; in opt-in events only.
    """

    model: ModelInfo
    operation: str
    features: Any
    predictions: Any = None
    scores: Any = None
    duration_s: float = -1.0
    error_type: str | None = None
    prediction_id: str | Sequence[str] | None = None
    span_context: SpanContext | None = None
    timestamp_unix_nano: int = 0
    segments: Mapping[str, Any] | None = None
    entity_id: Any = None


class Told(NamedTuple):
    """A row as `otel_ml.record()` was told it: its arguments, which the worker makes an `Inference` of."""

    model: Any
    features: Any
    predictions: Any
    scores: Any
    version: Any
    feature_names: Any
    prediction_id: Any
    timestamp: Any
    segments: Any
    entity_id: Any


def row_id(ids: str | Sequence[str] | None, index: int, rows: int) -> str | None:
    """Id of one row: the call's own if it had but one, "<id>:<index>" in a batch, or the one given for the row."""
    if ids is None:
        return None
    if isinstance(ids, str):
        return ids if rows == 1 else f"{ids}:{index}"
    return ids[index] if index < len(ids) else None
