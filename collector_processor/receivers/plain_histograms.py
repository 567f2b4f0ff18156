"""From plain OTLP histograms to counts: what a service in any language may send in place of snapshots.

A request is looked into only where a wanted metric's name stands in its bytes. What our own library sends is left out:
its snapshots say the same, and more. Here data points are read and checked, one by one and without memory; what is new
in a cumulative one, and what came before, the processor knows.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    DataPointFlags,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    ResourceMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector_processor.component import HistogramPoint, HistogramSource
from collector_processor.errors import UndecodableRequestError
from otel_ml import semconv
from otel_ml.sketch.bins import MAX_BINS, AnchoredBins, BinLayout
from otel_ml.sketch.exponential import MAX_SCALE, MIN_SCALE, Buckets, ExponentialHistogram, bucket_bounds
from otel_ml.sketch.feature import FeatureKey, ModelKey
from otel_ml.sketch.feature_decoding import MAX_INTEGER, NAME_LENGTH
from otel_ml.sketch.sketch import CountArray
from otel_ml.sketch.snapshot import Segment

DataPoint: TypeAlias = ExponentialHistogramDataPoint | HistogramDataPoint

_MAX_BUCKETS: Final = 8192
"""Of one data point; SDKs keep to 160 a sign."""
_MAX_COUNT: Final = 1 << 46
"""Of one data point: two million values a second for a year; a window may add up many."""
_TINY: Final = 2.0**-40
"""Of the largest value: what a wide zero bucket may span and still pass for zero."""
_SERVICE_NAME: Final = "service.name"
_SERVICE_VERSION: Final = "service.version"
# How `bool` reads to everybody else.
_TRUTH: Final = ("false", "true")


@dataclass(frozen=True, slots=True)
class FoundHistograms:
    """What there is in a metrics request.

    Attributes:
        rejected: Data points of wanted metrics that are of no use, by reason.
    """

    points: Sequence[HistogramPoint] = ()
    rejected: Counter[str] = field(default_factory=Counter)


class HistogramReader:
    """Finds the data points that are the values of some model's column.

    Args:
        sources: By the name of the metric.
        resource_attributes: Keys of what is to be known of the resource that a point comes with.
    """

    def __init__(self, sources: Mapping[str, HistogramSource], resource_attributes: Collection[str] = ()) -> None:
        self._sources = dict(sources)
        self._names = tuple(name.encode() for name in sources)
        self._resource_attributes = frozenset(resource_attributes)

    def is_wanted(self, body: bytes) -> bool:
        """Whether an encoded metrics request may hold such points."""
        return any(name in body for name in self._names)

    def read(self, body: bytes) -> FoundHistograms:
        """The points in an encoded ExportMetricsServiceRequest.

        Raises:
            UndecodableRequestError: The bytes are no metrics request.
        """
        try:
            request = ExportMetricsServiceRequest.FromString(body)
        except DecodeError as error:
            raise UndecodableRequestError(f"not a valid ExportMetricsServiceRequest: {error}") from error
        rejected: Counter[str] = Counter()
        points = [point for resource in request.resource_metrics for point in self._of_resource(resource, rejected)]
        return FoundHistograms(points, rejected)

    def _of_resource(self, resource: ResourceMetrics, rejected: Counter[str]) -> Iterator[HistogramPoint]:
        origin: _Origin | None = None
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                source = self._sources.get(metric.name)
                if source is None:
                    continue
                kind, points, temporality = _points(metric)
                if scope.scope.name == semconv.SCOPE_NAME:
                    # Snapshots of the same values come from there.
                    rejected["own"] += len(points)
                    continue
                if origin is None:
                    origin = _Origin(resource.resource, self._resource_attributes)
                identity = _identity(origin.identity, scope.scope, metric, kind)
                for point in points:
                    try:
                        yield _point(point, source, origin, identity, temporality)
                    except _RejectedError as error:
                        rejected[error.reason] += 1


class _RejectedError(Exception):
    """A data point that is of no use."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Origin:
    """The resource of data points: its attributes as texts, and 16 bytes that stand for all of it."""

    def __init__(self, resource: Resource, wanted: Collection[str]) -> None:
        self.texts = _texts(resource.attributes)
        self.identity = _digest(_sorted(resource.attributes))
        self.kept = {key: text for key, text in self.texts.items() if key in wanted}


def _points(metric: Metric) -> tuple[str, Sequence[DataPoint], int]:
    kind = metric.WhichOneof("data") or ""
    if kind == "exponential_histogram":
        return kind, metric.exponential_histogram.data_points, metric.exponential_histogram.aggregation_temporality
    if kind == "histogram":
        return kind, metric.histogram.data_points, metric.histogram.aggregation_temporality
    return kind, (), 0


def _point(
    point: DataPoint, source: HistogramSource, origin: _Origin, identity: bytes, temporality: int
) -> HistogramPoint:
    if temporality not in (
        AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA,
        AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE,
    ):
        raise _RejectedError("no_temporality")
    if point.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
        raise _RejectedError("no_value")
    start, end = point.start_time_unix_nano, point.time_unix_nano
    if not max(1, start) <= end <= MAX_INTEGER:
        raise _RejectedError("time")
    texts = _texts(point.attributes)
    model = _model(source, texts, origin.texts)
    name = texts.get(source.feature_attribute) or source.feature
    if not model.name or not name:
        raise _RejectedError("no_model" if name else "no_feature")
    if max(len(name), *map(len, model)) > NAME_LENGTH:
        raise _RejectedError("long_name")
    dimension = texts.get(semconv.SEGMENT_DIMENSION)
    counts = _exponential(point) if isinstance(point, ExponentialHistogramDataPoint) else _explicit(point)
    if counts.count != point.count or point.count > _MAX_COUNT:
        raise _RejectedError("count")
    minimum = point.min if point.HasField("min") and math.isfinite(point.min) else None
    maximum = point.max if point.HasField("max") and math.isfinite(point.max) else None
    if minimum is not None and maximum is not None and minimum > maximum:
        minimum = maximum = None
    return HistogramPoint(
        _digest([identity, *_sorted(point.attributes)]),
        model,
        FeatureKey(source.role, name),
        start,
        end,
        temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE,
        counts,
        point.sum if point.HasField("sum") and math.isfinite(point.sum) else None,
        minimum,
        maximum,
        Segment(dimension, texts.get(semconv.SEGMENT_VALUE, "")) if dimension else None,
        origin.kept,
    )


def _model(source: HistogramSource, of_point: Mapping[str, str], of_resource: Mapping[str, str]) -> ModelKey:
    def text(key: str) -> str:
        return of_point.get(key) or of_resource.get(key) or ""

    version = source.version or text(source.version_attribute)
    name = source.model or text(source.model_attribute)
    if name:
        return ModelKey(name, version)
    # A service that names no model is one; its version is the model's.
    return ModelKey(of_resource.get(_SERVICE_NAME, ""), version or of_resource.get(_SERVICE_VERSION, ""))


def _explicit(point: HistogramDataPoint) -> AnchoredBins:
    """Counts between the bounds; beyond 127 of them, neighbouring buckets are one."""
    if not point.explicit_bounds or len(point.explicit_bounds) > _MAX_BUCKETS:
        # A sum and a count tell nothing of a distribution.
        raise _RejectedError("too_many_buckets" if point.explicit_bounds else "no_buckets")
    if len(point.bucket_counts) != len(point.explicit_bounds) + 1:
        raise _RejectedError("buckets")
    bounds, counts = np.array(point.explicit_bounds, np.float64), _counts(point.bucket_counts)
    if len(bounds) >= MAX_BINS:
        # By their places alone, so that all who have the same bounds keep the same ones.
        kept = np.unique(np.linspace(0, len(bounds) - 1, MAX_BINS - 1).round().astype(np.intp))
        bounds, counts = bounds[kept], np.add.reduceat(counts, np.append(0, kept + 1))
    try:
        layout = BinLayout(bounds)
    except ValueError:
        raise _RejectedError("bounds") from None
    return AnchoredBins(layout.hash, counts, layout)


def _exponential(point: ExponentialHistogramDataPoint) -> ExponentialHistogram:
    """The same counts at a scale that is known here, in at most 160 buckets a sign."""
    if point.scale < MIN_SCALE or point.zero_count > _MAX_COUNT:
        raise _RejectedError("scale" if point.scale < MIN_SCALE else "count")
    finer, scale = max(0, point.scale - MAX_SCALE), min(point.scale, MAX_SCALE)
    sides = [_buckets(side.offset, side.bucket_counts, finer, scale) for side in (point.positive, point.negative)]
    threshold = point.zero_threshold
    if point.zero_count and threshold:
        ends = [float(bucket_bounds(scale, side.end - 1, side.end)[-1]) for side in sides if len(side.counts)]
        # Whether they were below or above zero nobody knows, and nobody minds where that is nearly nothing.
        if not (math.isfinite(threshold) and 0.0 <= threshold <= _TINY * max([1.0, *ends])):
            raise _RejectedError("zero_threshold")
    # Merged into an empty one, it comes down to the scale that 160 buckets allow.
    found = ExponentialHistogram(zero_count=int(point.zero_count))
    found.merge(ExponentialHistogram(scale, 0, *sides))
    return found


def _buckets(offset: int, container: Sequence[int], finer: int, scale: int) -> Buckets:
    if len(container) > _MAX_BUCKETS:
        raise _RejectedError("too_many_buckets")
    trimmed = Buckets(offset, _counts(container)).trimmed()
    if not len(trimmed.counts):
        return Buckets()
    if finer > 40:
        raise _RejectedError("scale")
    trimmed = trimmed.downscaled(finer)
    # The bucket of the smallest normal double, in which subnormal ones count as well, and that of the largest.
    lowest = math.floor(math.ldexp(-1022, scale)) - 1
    highest = math.ceil(math.ldexp(1024, scale)) - 1
    if trimmed.end - 1 > highest:
        raise _RejectedError("offset")
    below = lowest - trimmed.offset
    if below <= 0:
        return trimmed
    if below >= len(trimmed.counts):
        return Buckets(lowest, np.array([trimmed.counts.sum()]))
    counts = trimmed.counts[below:].copy()
    counts[0] += trimmed.counts[:below].sum()
    return Buckets(lowest, counts)


def _counts(container: Sequence[int]) -> CountArray:
    counts = np.array(container, np.uint64)
    if len(counts) and (int(counts.max()) > _MAX_COUNT or float(counts.sum(dtype=np.float64)) > _MAX_COUNT):
        raise _RejectedError("count")
    return counts.astype(np.int64)


def _identity(of_resource: bytes, scope: InstrumentationScope, metric: Metric, kind: str) -> bytes:
    named = [text.encode() for text in (scope.name, scope.version, metric.name, metric.unit, kind)]
    return _digest([of_resource, *named, *_sorted(scope.attributes)])


def _sorted(attributes: Iterable[KeyValue]) -> list[bytes]:
    # Whoever sends a point again may have its attributes in another order.
    return sorted(attribute.SerializeToString(deterministic=True) for attribute in attributes)


def _digest(parts: Iterable[bytes]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def _texts(attributes: Iterable[KeyValue]) -> dict[str, str]:
    """Attributes that are a text, a whole number or a truth value; of a key that is there twice, the first."""
    found: dict[str, str] = {}
    for attribute in attributes:
        text = _text(attribute.value)
        if text is not None:
            found.setdefault(attribute.key, text)
    return found


def _text(value: AnyValue) -> str | None:
    kind = value.WhichOneof("value")
    if kind == "int_value":
        return str(value.int_value)
    if kind == "bool_value":
        return _TRUTH[value.bool_value]
    return value.string_value if kind == "string_value" else None
