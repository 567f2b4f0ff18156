"""What one process says about one model and one export interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from otel_ml.sketch.binned_columns import BinnedColumns
from otel_ml.sketch.calls import CallSummary
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.row_sample import RowSample
from otel_ml.sketch.sketched_columns import SketchedColumns
from otel_ml.sketch.summary import FeatureSummary

FORMAT_VERSION = 1
PACKED_FORMAT_VERSION = 2
"""Of snapshots with packed columns."""
ENCODING = "otel_ml.v1.Snapshot"


class Segment(NamedTuple):
    """A slice of a model's rows: one value of one dimension, such as ("country", "NO")."""

    dimension: str
    value: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An additive delta: merging each (producer_id, sequence) once gives what one process would have seen.

    Attributes:
        producer_id: 16 random bytes, new in every process and after every fork.
        sequence: 1, 2, 3, … within the producer.
        start_time_unix_nano: Start of the export interval.
        end_time_unix_nano: End of the export interval, exclusive.
        rows: Predictions seen in the interval.
        dropped_rows: Predictions let go unseen because the process's queue was full.
        segment: The slice that all of this is about; None for the whole model. Rows of a slice are counted in the
            whole's snapshot as well, so slices are never added to it.
        packages_digest: Hash over the versions of the packages installed in the process; empty when unknown.
        row_sample: Some of the rows themselves, where the process was told to send them.
        calls: How the calls of the model went, where the process saw any; of the whole model only.
        binned: Those of the features that are nothing but counts in bins, as matrices, where someone packed them.
        sketched: Those that are nothing but histograms, perhaps with quantiles, likewise.
        unbinned: The other features then; None where nothing was packed.
        resource: What the receiver was asked for of the OTLP resource it came with, such as {"service.version":
            "1.4"}; no part of the encoded snapshot.
    """

    producer_id: bytes
    sequence: int
    model: ModelKey
    start_time_unix_nano: int
    end_time_unix_nano: int
    rows: int
    dropped_rows: int
    features: Sequence[FeatureSummary]
    segment: Segment | None = None
    packages_digest: str = ""
    row_sample: RowSample | None = None
    calls: CallSummary | None = None
    binned: Sequence[BinnedColumns] = ()
    sketched: Sequence[SketchedColumns] = ()
    unbinned: Sequence[FeatureSummary] | None = None
    resource: Mapping[str, str] = field(default_factory=dict)
