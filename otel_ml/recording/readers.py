"""Our series in what the user's own metric readers collect.

OpenTelemetry specifies a MetricProducer for metrics aggregated elsewhere; the Python SDK has none. So the callback by
which a reader asks the SDK for its metrics is wrapped, and the answer gains one scope: ours. Exporters, intervals,
temporality and resource stay the user's. The callback is private to the SDK (1.12 to 1.45 at least): where it is
absent there are no such metrics, one warning, and everything else works.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import get_meter_provider

from otel_ml import semconv
from otel_ml.recording.guard import failed, warn_once
from otel_ml.recording.version import otel_ml_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_ml.recording.metrics import Attributes, ExplicitSeries, ExponentialSeries, MetricStore, SeriesSet
    from otel_ml.sketch.exemplar import Exemplar


def meter_provider() -> Any:
    """The SDK's meter provider; None while there is only the API."""
    provider = get_meter_provider()
    return None if type(provider).__module__.startswith("opentelemetry.metrics") else provider


def extend_readers(store: MetricStore, active: Callable[[], dict[Attributes, int]]) -> bool:
    """Let every reader of the global meter provider collect `store`'s series too; may be called again and again.

    Returns:
        True if a reader was found that had not been extended before.
    """
    provider = meter_provider()
    if provider is None:
        return False
    extended = False
    try:
        for reader in _readers_of(provider):
            collect = reader._collect  # noqa: SLF001 - the seam that is described above
            if collect is None or isinstance(collect, _ExtendedCollect):
                continue
            reader._set_collect_callback(_ExtendedCollect(collect, provider, store, active))  # noqa: SLF001 - the same
            extended = True
    except AttributeError as error:
        warn_once(
            "metric readers",
            f"this OpenTelemetry SDK has no place for our metrics ({error}); sketches, spans and events are sent",
        )
    return extended


def restore_readers() -> None:
    """Give every reader of the global meter provider its own callback back."""
    provider = meter_provider()
    if provider is None:
        return
    try:
        for reader in _readers_of(provider):
            collect = reader._collect  # noqa: SLF001 - the seam that is described above
            if isinstance(collect, _ExtendedCollect):
                reader._set_collect_callback(collect.original)  # noqa: SLF001 - the same
    except AttributeError as error:
        failed("restoring metric readers", error)


def _readers_of(provider: Any) -> list[Any]:
    # The consumer knows readers that were added later, too; the provider's own list is the way of older SDKs.
    consumer = getattr(provider, "_measurement_consumer", None)
    storages = getattr(consumer, "_reader_storages", None)
    return list(storages) if storages is not None else list(provider._metric_readers)  # noqa: SLF001 - see above


class _ExtendedCollect:
    """A reader's callback whose answer holds our scope as well; its failures never cost the user's own metrics."""

    def __init__(
        self, original: Any, provider: Any, store: MetricStore, active: Callable[[], dict[Attributes, int]]
    ) -> None:
        self.original = original
        self._provider = provider
        self._store = store
        self._active = active

    def __call__(self, reader: Any, *args: Any, **kwargs: Any) -> Any:
        collected = self.original(reader, *args, **kwargs)
        try:
            return self._extended(collected, reader)
        except Exception as error:
            failed("collecting metrics", error)
            return collected

    def _extended(self, collected: Any, reader: Any) -> Any:
        export = _sdk()

        metrics = _metrics_for(reader, self._store, self._active(), with_exemplars=_takes_exemplars(self._provider))
        if not metrics:
            return collected
        resources = list(collected.resource_metrics) if collected is not None else []
        if not resources:
            resource = self._provider._sdk_config.resource  # noqa: SLF001 - the SDK's own answer takes it from there
            return export.MetricsData([export.ResourceMetrics(resource, [_scope(metrics)], resource.schema_url)])
        first = resources[0]
        scopes = list(first.scope_metrics)
        ours = _scope(metrics)
        for index, scope in enumerate(scopes):
            if scope.scope == ours.scope:  # exporters key by scope: a second one would replace the first
                scopes[index] = dataclasses.replace(scope, metrics=[*scope.metrics, *metrics])
                break
        else:
            scopes.append(ours)
        resources[0] = dataclasses.replace(first, scope_metrics=scopes)
        return dataclasses.replace(collected, resource_metrics=resources)


def _scope(metrics: list[Any]) -> Any:
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415 - see _sdk

    scope = InstrumentationScope(semconv.SCOPE_NAME, otel_ml_version(), semconv.SCHEMA_URL)
    return _sdk().ScopeMetrics(scope, metrics, semconv.SCHEMA_URL)


def _metrics_for(reader: Any, store: MetricStore, active: dict[Attributes, int], *, with_exemplars: bool) -> list[Any]:
    export = _sdk()

    temporality = {kind.__name__.lstrip("_"): value for kind, value in reader._instrument_class_temporality.items()}  # noqa: SLF001 - readers have no public way to say it
    cumulative = export.AggregationTemporality.CUMULATIVE
    delta = export.AggregationTemporality.DELTA
    of_histograms = temporality.get("Histogram", cumulative)
    of_counters = temporality.get("Counter", cumulative)
    since_start, since_last = store.collect(reader, with_deltas=delta in (of_histograms, of_counters))
    histograms = since_last if of_histograms == delta and since_last is not None else since_start
    counters = since_last if of_counters == delta and since_last is not None else since_start
    now = time.time_ns()

    def points(series: Iterable[tuple[tuple[semconv.Metric, Attributes], Any]], point: Callable[..., Any]) -> Any:
        by_metric: dict[semconv.Metric, list[Any]] = {}
        for (metric, attributes), state in series:
            by_metric.setdefault(metric, []).append(point(dict(attributes), state))
        return by_metric.items()

    metrics = []
    for metric, data_points in points(counters.sums.items(), _number(counters, now)):
        metrics.append(_metric(metric, export.Sum(data_points, of_counters, is_monotonic=True)))
    for metric, data_points in points(
        histograms.explicit.items(), _explicit(histograms, now, with_exemplars=with_exemplars)
    ):
        metrics.append(_metric(metric, export.Histogram(data_points, of_histograms)))
    if _takes_exponential(reader):
        for metric, data_points in points(
            histograms.exponential.items(), _exponential(histograms, now, with_exemplars=with_exemplars)
        ):
            metrics.append(_metric(metric, export.ExponentialHistogram(data_points, of_histograms)))
    running = [((semconv.INFERENCE_ACTIVE, attributes), count) for attributes, count in active.items()]
    for metric, data_points in points(running, _number(since_start, now)):
        metrics.append(_metric(metric, export.Sum(data_points, cumulative, is_monotonic=False)))
    return metrics


def _takes_exponential(reader: Any) -> bool:
    # opentelemetry-exporter-prometheus logs a warning per metric and scrape for a kind it does not translate.
    return type(reader).__name__ != "PrometheusMetricReader"


def _metric(metric: semconv.Metric, data: Any) -> Any:
    return _sdk().Metric(metric.name, metric.description, metric.unit, data)


def _number(series: SeriesSet, now: int) -> Callable[[dict[str, str], int], Any]:
    def point(attributes: dict[str, str], value: int) -> Any:
        return _sdk().NumberDataPoint(attributes, series.start_time_unix_nano, now, value)

    return point


def _explicit(series: SeriesSet, now: int, *, with_exemplars: bool) -> Callable[[dict[str, str], ExplicitSeries], Any]:
    def point(attributes: dict[str, str], state: ExplicitSeries) -> Any:
        return _sdk().HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=series.start_time_unix_nano,
            time_unix_nano=now,
            count=int(state.counts.sum()),
            sum=state.total,
            bucket_counts=state.counts.tolist(),
            explicit_bounds=state.bounds.tolist(),
            min=state.minimum,
            max=state.maximum,
            exemplars=_exemplars(state.exemplars.values()) if with_exemplars else [],
        )

    return point


def _exponential(
    series: SeriesSet, now: int, *, with_exemplars: bool
) -> Callable[[dict[str, str], ExponentialSeries], Any]:
    def point(attributes: dict[str, str], state: ExponentialSeries) -> Any:
        histogram, moments = state.histogram, state.moments
        total: float | None = moments.mean * moments.count
        if moments.minimum < 0.0:
            # OTLP: "sum should not be filled out" once negative values may be recorded, for a sum that can fall is no
            # OpenMetrics counter. The data class says `int | float`; the OTLP encoders leave an optional None unset.
            total = None
        return _sdk().ExponentialHistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=series.start_time_unix_nano,
            time_unix_nano=now,
            count=histogram.count,
            sum=total,
            scale=histogram.scale,
            zero_count=histogram.zero_count,
            positive=_buckets(histogram.positive),
            negative=_buckets(histogram.negative),
            flags=0,
            min=moments.minimum,
            max=moments.maximum,
            exemplars=_exemplars(state.exemplars) if with_exemplars else [],
        )

    return point


def _takes_exemplars(provider: Any) -> bool:
    # What `OTEL_METRICS_EXEMPLAR_FILTER` says; SDKs before 1.28 know no exemplars and no filter.
    config = getattr(provider, "_sdk_config", None)
    return type(getattr(config, "exemplar_filter", None)).__name__ != "AlwaysOffExemplarFilter"


def _exemplars(exemplars: Iterable[Exemplar]) -> list[Any]:
    from opentelemetry.sdk.metrics import Exemplar as SDKExemplar  # noqa: PLC0415 - see _sdk

    return [
        SDKExemplar(
            {semconv.EXEMPLAR_REASON: exemplar.reason.value},
            exemplar.value,
            exemplar.time_unix_nano,
            exemplar.span_id,
            exemplar.trace_id,
        )
        for exemplar in exemplars
        if exemplar.value is not None and exemplar.trace_id
    ]


def _buckets(buckets: Any) -> Any:
    return _sdk().Buckets(buckets.offset, buckets.counts.tolist())


def _sdk() -> Any:
    # Only ever reached from a reader of the SDK; the API alone must not load it.
    from opentelemetry.sdk.metrics import export  # noqa: PLC0415 - see above

    return export
