"""Opt-in events with raw values: one `ml.inference.result` per row, a bounded number a second."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml import semconv
from otel_ml.recording.columns import ColumnBatch, MatrixBatch, RowBatch, SparseBatch, batch_of
from otel_ml.recording.inference import Inference, row_id
from otel_ml.recording.logs import emit_event
from otel_ml.recording.outputs import length_of, output_batches
from otel_ml.recording.snapshots import model_attributes
from otel_ml.recording.values import is_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otel_ml.recording.columns import Batch
    from otel_ml.recording.event_pace import EventPace
    from otel_ml.recording.privacy import PrivacyPolicy

_TEXT_LENGTH: Final = 256


class ResultEvents:
    """Emits rows as events, as far as the pace allows; those beyond are summarised like all, but get no event.

    Attributes:
        left_out: Rows that got no event since this was last set to 0.
    """

    def __init__(self, pace: EventPace, privacy: PrivacyPolicy) -> None:
        self.left_out = 0
        self._pace = pace
        self._privacy = privacy

    def steps(self, inference: Any, names: Callable[[int], tuple[str, ...]]) -> Iterator[None]:
        """Emit the rows of one inference, one a step.

        Args:
            inference: An `Inference` or a tuple of its first fields.
            names: Names for columns that have none, by width.
        """
        whole = Inference(*inference[: len(Inference._fields)])
        if whole.error_type is not None:
            return
        if not self._pace.may_emit():
            self.left_out += length_of(whole.features)
            return
        rows = _rows(batch_of(whole.features, names)) if whole.features is not None else []
        features = [self._privacy.row(row) for row in rows]
        predictions = _output(whole, 3)
        scores = _output(whole, 4)
        timestamp = whole.timestamp_unix_nano or time.time_ns()
        count = max(len(features), len(predictions), len(scores))
        entity_ids = _entities(whole.entity_id)
        for index in range(count):
            if not self._pace.may_emit():
                self.left_out += count - index
                return
            self._pace.emitted()
            attributes: dict[str, Any] = {
                **dict(model_attributes(whole.model.key)),
                semconv.OPERATION_NAME: whole.operation,
                semconv.ROW_INDEX: index,
            }
            if (own_id := row_id(whole.prediction_id, index, count)) is not None:
                attributes[semconv.PREDICTION_ID] = own_id
            if (entity := row_id(entity_ids, index, 1)) is not None:
                attributes[semconv.ENTITY_ID] = entity
            for name, rows in (
                (semconv.INFERENCE_PREDICTION, predictions),
                (semconv.INFERENCE_SCORE, scores),
                (semconv.INFERENCE_FEATURES, features),
            ):
                if index < len(rows):
                    attributes[name] = rows[index]
            emit_event(
                semconv.EVENT_INFERENCE_RESULT,
                attributes,
                body=f"{whole.operation} of model {whole.model.key.name}",
                timestamp_unix_nano=timestamp,
                span_context=whole.span_context,
            )
            yield


def _entities(given: Any) -> str | tuple[str, ...] | None:
    if given is None:
        return None
    many = isinstance(given, (list, tuple)) or hasattr(given, "tolist")
    return tuple(map(str, given)) if many else str(given)


def _output(inference: Inference, field: int) -> list[Any]:
    batches = output_batches([inference], [1 if isinstance(inference.features, dict) else None], field)
    rows = _rows(batches[0]) if batches else []
    # The only output stands for itself; several are a map.
    return [next(iter(row.values())) if len(row) == 1 else row for row in rows]


def _rows(batch: Batch) -> list[dict[str, Any]]:
    if isinstance(batch, MatrixBatch):
        return [dict(zip(batch.names, map(_plain, row), strict=True)) for row in batch.values.tolist()]
    if isinstance(batch, ColumnBatch):
        columns = [column.tolist() if hasattr(column, "tolist") else column for column in batch.columns.values()]
        return [dict(zip(batch.columns, map(_plain, row), strict=True)) for row in zip(*columns, strict=True)]
    if isinstance(batch, RowBatch):
        return [{str(name): _plain(value) for name, value in row.items()} for row in batch.rows]
    if isinstance(batch, SparseBatch):
        # What is stored; to list all zeros would make an event of a hundred thousand values.
        entries = [
            (batch.names[column], _plain(value))
            for column, value in zip(batch.columns.tolist(), batch.values.tolist(), strict=True)
        ]
        return [dict(entries[start:end]) for start, end in itertools.pairwise(batch.starts.tolist())]
    return [{} for _ in range(len(batch))]


def _plain(value: Any) -> Any:
    """A value every exporter can encode; missing is an empty string, for attributes know no null."""
    if isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else float(min(max(value, -(10**308)), 10**308))
    if isinstance(value, np.generic):
        return _plain(value.item())
    try:
        return "" if is_missing(value) else str(value)[:_TEXT_LENGTH]
    except Exception:  # a value whose own methods fail
        return type(value).__qualname__
