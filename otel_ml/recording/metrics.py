"""Metric series of this process, aggregated in bulk.

One call of an OpenTelemetry instrument costs 5 µs, and its histograms drop negative values and NaN with a log line
each: 25 features a row would take longer than the model. So the worker merges whole batches into these series, and
`readers.py` hands them to the SDK's metric readers when they collect.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from otel_ml import semconv
from otel_ml.recording.guard import warn_once
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_ml.sketch.exemplar import Exemplar
    from otel_ml.sketch.sketch import CountArray, FloatArray

Attributes: TypeAlias = "tuple[tuple[str, str], ...]"
"""Of a series; hashable. Few and bounded: never ids, never values."""

DURATION_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCH_SIZE_BOUNDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0, 16384.0, 65536.0)

MAX_SERIES: Final = 20_000
"""Of all metrics together; ten models of a thousand features have 10,000."""

_BOUNDS: Final = {
    semconv.INFERENCE_DURATION: np.array(DURATION_BOUNDS),
    semconv.INFERENCE_BATCH_SIZE: np.array(BATCH_SIZE_BOUNDS),
}


@dataclass(slots=True)
class ExplicitSeries:
    """A histogram over fixed bounds.

    Attributes:
        exemplars: By bucket, the largest that came since they were last collected.
    """

    bounds: FloatArray
    counts: CountArray
    total: float = 0.0
    minimum: float = np.inf
    maximum: float = -np.inf
    exemplars: dict[int, Exemplar] = field(default_factory=dict)

    def add(self, values: FloatArray, exemplar: Exemplar | None = None) -> None:
        """Count values: bucket i holds (bound i-1, bound i], as in OTLP."""
        buckets = np.searchsorted(self.bounds, values, side="left")
        self.counts += np.bincount(buckets, minlength=len(self.counts))
        self.total += float(values.sum())
        self.minimum = min(self.minimum, float(values.min()))
        self.maximum = max(self.maximum, float(values.max()))
        if exemplar is not None and exemplar.value is not None:
            bucket = int(np.searchsorted(self.bounds, exemplar.value, side="left"))
            known = self.exemplars.get(bucket, exemplar).value
            if known is None or exemplar.value >= known:
                self.exemplars[bucket] = exemplar


@dataclass(slots=True)
class ExponentialSeries:
    """An exponential histogram with the sum and range that OTLP puts beside it, and requests worth a look."""

    histogram: ExponentialHistogram = field(default_factory=ExponentialHistogram)
    moments: Moments = field(default_factory=Moments)
    exemplars: Sequence[Exemplar] = ()


@dataclass(slots=True)
class SeriesSet:
    """All series since `start_time_unix_nano`."""

    start_time_unix_nano: int
    sums: dict[tuple[semconv.Metric, Attributes], int] = field(default_factory=dict)
    explicit: dict[tuple[semconv.Metric, Attributes], ExplicitSeries] = field(default_factory=dict)
    exponential: dict[tuple[semconv.Metric, Attributes], ExponentialSeries] = field(default_factory=dict)

    def has_room(self, metric: semconv.Metric, attributes: Attributes) -> bool:
        """Whether the series exists or may be made: a program that makes up names must not fill the memory."""
        key = (metric, attributes)
        if key in self.sums or key in self.explicit or key in self.exponential:
            return True
        if len(self.sums) + len(self.explicit) + len(self.exponential) < MAX_SERIES:
            return True
        warn_once("series", f"there are {MAX_SERIES} metric series already; new ones are left out, sketches are not")
        return False

    def add_sum(self, metric: semconv.Metric, attributes: Attributes, amount: int) -> None:
        """Count on."""
        self.sums[metric, attributes] = self.sums.get((metric, attributes), 0) + amount

    def add_explicit(
        self, metric: semconv.Metric, attributes: Attributes, values: FloatArray, exemplar: Exemplar | None = None
    ) -> None:
        """Count values into the metric's bounds; an exemplar is one of them."""
        series = self.explicit.get((metric, attributes))
        if series is None:
            bounds = _BOUNDS[metric]
            series = self.explicit[metric, attributes] = ExplicitSeries(bounds, np.zeros(len(bounds) + 1, np.int64))
        series.add(values, exemplar)

    def add_exponential(
        self,
        metric: semconv.Metric,
        attributes: Attributes,
        histogram: ExponentialHistogram,
        moments: Moments,
        exemplars: Sequence[Exemplar] = (),
    ) -> None:
        """Merge a histogram and the moments of the same values; exemplars are those of the latest interval."""
        series = self.exponential.get((metric, attributes))
        if series is None:
            series = self.exponential[metric, attributes] = ExponentialSeries()
        series.histogram.merge(histogram)
        series.moments.merge(moments)
        series.exemplars = exemplars

    def copy(self) -> SeriesSet:
        """The same, independent."""
        twin = SeriesSet(self.start_time_unix_nano, dict(self.sums))
        for (metric, attributes), series in self.explicit.items():
            twin.explicit[metric, attributes] = ExplicitSeries(
                series.bounds,
                series.counts.copy(),
                series.total,
                series.minimum,
                series.maximum,
                series.exemplars.copy(),
            )
        for (metric, attributes), exponential in self.exponential.items():
            twin.add_exponential(metric, attributes, exponential.histogram, exponential.moments, exponential.exemplars)
        return twin


class MetricStore:
    """Series since the process began, and since the last collection for every reader that wants deltas."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cumulative = SeriesSet(time.time_ns())
        self._deltas: WeakKeyDictionary[object, SeriesSet] = WeakKeyDictionary()

    def reset(self) -> None:
        """Forget everything, and a lock that another thread held when the process forked."""
        self.__init__()  # type: ignore[misc]

    def add_sum(self, metric: semconv.Metric, attributes: Attributes, amount: int) -> None:
        """Count on."""
        with self._lock:
            for series in self._with_room(metric, attributes):
                series.add_sum(metric, attributes, amount)

    def add_explicit(
        self, metric: semconv.Metric, attributes: Attributes, values: FloatArray, exemplar: Exemplar | None = None
    ) -> None:
        """Count values into the metric's bounds; an exemplar is one of them."""
        if values.size:
            with self._lock:
                for series in self._with_room(metric, attributes):
                    series.add_explicit(metric, attributes, values, exemplar)

    def add_exponential(
        self,
        metric: semconv.Metric,
        attributes: Attributes,
        histogram: ExponentialHistogram,
        moments: Moments,
        exemplars: Sequence[Exemplar] = (),
    ) -> None:
        """Merge a histogram and the moments of the same values; exemplars are those of the latest interval."""
        if moments.count:
            with self._lock:
                for series in self._with_room(metric, attributes):
                    series.add_exponential(metric, attributes, histogram, moments, exemplars)

    def collect(self, reader: object, *, with_deltas: bool) -> tuple[SeriesSet, SeriesSet | None]:
        """What a reader sends now: a copy of everything, and what is new to it if it wants deltas.

        A reader that asks for the first time finds everything since the process began to be new.
        """
        with self._lock:
            cumulative = self._cumulative.copy()
            # As in the SDK: exemplars are of the interval that is collected, whatever the temporality.
            for series in self._cumulative.explicit.values():
                series.exemplars.clear()
            if not with_deltas:
                return cumulative, None
            delta = self._deltas.get(reader)
            if delta is None:
                delta = cumulative.copy()
            self._deltas[reader] = SeriesSet(time.time_ns())
            return cumulative, delta

    def _with_room(self, metric: semconv.Metric, attributes: Attributes) -> list[SeriesSet]:
        every = (self._cumulative, *self._deltas.values())
        return [series for series in every if series.has_room(metric, attributes)]
