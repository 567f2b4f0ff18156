"""From drained summaries to what leaves the process: snapshot events, and series for the metric readers."""

from __future__ import annotations

import itertools
import uuid
import zlib
from typing import TYPE_CHECKING, Final

from otel_ml import semconv
from otel_ml.recording.logs import emit_event, logger_provider
from otel_ml.recording.outputs import SINGLE_NAME
from otel_ml.recording.packages import packages_digest
from otel_ml.sketch import codec
from otel_ml.sketch.feature import FeatureRole
from otel_ml.sketch.snapshot import ENCODING, Snapshot
from otel_ml.sketch.summary import BooleanSummary, CategoricalSummary, NumericSummary

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_ml.recording.accumulator import Drained
    from otel_ml.recording.column_set import DrainedColumn
    from otel_ml.recording.metrics import Attributes, MetricStore
    from otel_ml.sketch.feature import ModelKey
    from otel_ml.sketch.snapshot import Segment

MAX_LABELS: Final = 50
"""Labels of predictions that get a series of their own, per model and output."""

_VALUE_METRICS: Final = {
    FeatureRole.FEATURE: semconv.FEATURE_VALUE,
    FeatureRole.PREDICTION: semconv.PREDICTION_VALUE,
    FeatureRole.SCORE: semconv.PREDICTION_SCORE,
}


class SnapshotEmitter:
    """Numbers this process's snapshots and emits them as events."""

    def __init__(self) -> None:
        self.producer_id = uuid.uuid4().bytes
        self._sequence = itertools.count(1)

    def emit(
        self,
        key: ModelKey,
        interval: tuple[int, int],
        drained: Drained,
        dropped_rows: int,
        segment: Segment | None = None,
    ) -> int:
        """Emit what a model, or a segment of its rows, did within an interval (start and end, ns since the epoch).

        Returns:
            Events emitted: 0 without a logger provider, more than 1 above 512 KB.
        """
        if logger_provider() is None:
            return 0
        whole = Snapshot(
            producer_id=self.producer_id,
            sequence=next(self._sequence),
            model=key,
            start_time_unix_nano=interval[0],
            end_time_unix_nano=interval[1],
            rows=drained.rows,
            dropped_rows=dropped_rows,
            features=[column.summary for column in drained.columns],
            segment=segment,
            packages_digest=packages_digest(),
            row_sample=drained.row_sample,
            calls=drained.calls,
        )
        parts = codec.split(whole, lambda: next(self._sequence))
        for part in parts:
            self._emit_part(part)
        return len(parts)

    def _emit_part(self, snapshot: Snapshot) -> None:
        payload = codec.encode(snapshot)
        attributes = {
            **dict(model_attributes(snapshot.model)),
            semconv.SKETCH_PAYLOAD: payload,
            semconv.SKETCH_ENCODING: ENCODING,
            semconv.SKETCH_CHECKSUM: zlib.crc32(payload),
            semconv.SKETCH_SEQUENCE: snapshot.sequence,
            semconv.SKETCH_ROWS: snapshot.rows,
            semconv.PACKAGES_DIGEST: snapshot.packages_digest,
        }
        if snapshot.segment is not None:
            attributes[semconv.SEGMENT_DIMENSION], attributes[semconv.SEGMENT_VALUE] = snapshot.segment
        emit_event(
            semconv.EVENT_SKETCH_SNAPSHOT,
            attributes,
            body=f"{snapshot.rows} rows of model {snapshot.model.name}",
            # Within the interval, so that whoever sorts records by time files it where its rows belong.
            timestamp_unix_nano=snapshot.end_time_unix_nano - 1,
        )


def model_attributes(key: ModelKey) -> Attributes:
    """The attributes that name a model, on events and series alike."""
    name = (semconv.MODEL_NAME, key.name)
    return (name, (semconv.MODEL_VERSION, key.version)) if key.version else (name,)


class SeriesPublisher:
    """Adds what was drained to the series that metric readers collect, within a bounded number of them."""

    def __init__(self, store: MetricStore) -> None:
        self._store = store
        self._labels: dict[Attributes, set[str]] = {}

    def publish(self, key: ModelKey, drained: Drained) -> None:
        """Add one model's columns."""
        for column in drained.columns:
            self._publish_values(key, column)
            if column.summary.key.role is FeatureRole.PREDICTION:
                self._publish_labels(key, column)

    def _publish_values(self, key: ModelKey, column: DrainedColumn) -> None:
        content, (role, name) = column.summary.content, column.summary.key
        if column.histogram is None or not isinstance(content, NumericSummary):
            return
        attributes = model_attributes(key)
        if role is FeatureRole.FEATURE:
            attributes = (*attributes, (semconv.FEATURE_NAME, name))
        elif name not in SINGLE_NAME.values():
            attributes = (*attributes, (semconv.PREDICTION_NAME, name))
        self._store.add_exponential(
            _VALUE_METRICS[role], attributes, column.histogram, content.moments, column.summary.exemplars
        )

    def _publish_labels(self, key: ModelKey, column: DrainedColumn) -> None:
        summary = column.summary
        attributes = model_attributes(key)
        if summary.key.name not in SINGLE_NAME.values():
            attributes = (*attributes, (semconv.PREDICTION_NAME, summary.key.name))
        content = summary.content
        counts: Mapping[str, int]
        if isinstance(content, CategoricalSummary):
            counts = self._bounded(attributes, content.categories.counts, content.categories.other)
        elif isinstance(content, BooleanSummary):
            counts = {"False": content.false_count, "True": content.true_count}
        elif summary.counters.valid:
            self._store.add_sum(semconv.PREDICTIONS, attributes, summary.counters.valid)
            return
        else:
            return
        for label, count in counts.items():
            if count:
                self._store.add_sum(semconv.PREDICTIONS, (*attributes, (semconv.PREDICTION_LABEL, label)), count)

    def _bounded(self, attributes: Attributes, counts: Mapping[str, int], other: int) -> dict[str, int]:
        """The frequent labels of the first interval keep their series; those beyond the bound share one."""
        kept = self._labels.setdefault(attributes, set())
        bounded: dict[str, int] = {}
        for label in sorted(counts, key=lambda label: -counts[label]):
            if label not in kept and len(kept) < MAX_LABELS:
                kept.add(label)
            if label in kept:
                bounded[label] = counts[label]
            else:
                other += counts[label]
        if other:
            bounded[semconv.OTHER_LABEL] = bounded.get(semconv.OTHER_LABEL, 0) + other
        return bounded
