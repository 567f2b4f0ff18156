"""Our series in what the user's metric readers collect."""

import math

import numpy as np
import pytest
from opentelemetry import metrics
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.trace import SpanContext, TraceFlags

from otel_ml import record, semconv
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.recording.recorder import get_recorder
from otel_ml.recording.snapshots import MAX_LABELS
from otel_ml.sketch.feature import ModelKey
from otel_ml.testing import captured_telemetry

DELTA = {Histogram: AggregationTemporality.DELTA, Counter: AggregationTemporality.DELTA}
MODEL = ModelInfo(ModelKey("m", "3"), system="scikit_learn")


def told(values, model="m"):
    for value in values:
        record({"a": value}, value, scores=0.5, model=model)


def only(points):
    (point,) = points
    return point


def test_feature_values_arrive_as_an_exponential_histogram_with_negatives():
    """What the SDK's own histograms drop, one warning a value."""
    with captured_telemetry() as telemetry:
        told([-2.0, 0.0, 3.0, math.nan, math.inf])

        metric = telemetry.metrics()["ml.feature.value"]

    point = only(metric.data.data_points)
    assert (metric.unit, metric.description) == (semconv.FEATURE_VALUE.unit, semconv.FEATURE_VALUE.description)
    assert dict(point.attributes) == {"ml.model.name": "m", "ml.feature.name": "a"}
    assert (point.count, point.zero_count, point.min, point.max) == (3, 1, -2.0, 3.0)
    assert sum(point.negative.bucket_counts) == sum(point.positive.bucket_counts) == 1


def test_the_sum_is_left_out_once_there_are_negative_values():
    """As OTLP asks, and down to the bytes."""
    with captured_telemetry() as telemetry:
        told([-2.0, 5.0], model="negative")
        told([2.0, 5.0], model="positive")
        get_recorder().flush()

        encoded = encode_metrics(telemetry.metric_reader.get_metrics_data())

    sums = {}
    for metric in encoded.resource_metrics[0].scope_metrics[0].metrics:
        if metric.name == "ml.feature.value":
            for point in metric.exponential_histogram.data_points:
                model = next(a.value.string_value for a in point.attributes if a.key == "ml.model.name")
                sums[model] = point.sum if point.HasField("sum") else None
    assert sums == {"negative": None, "positive": 7.0}


def test_the_scope_is_ours_and_the_resource_the_users():
    """So that a backend can tell who sent what, and from where."""
    with captured_telemetry() as telemetry:
        counter = metrics.get_meter("the.user").create_counter("requests")
        counter.add(1)
        told([1.0])
        get_recorder().flush()

        (resource,) = telemetry.metric_reader.get_metrics_data().resource_metrics

    scopes = {scope.scope.name: scope for scope in resource.scope_metrics}
    assert set(scopes) == {"the.user", "otel_ml"}
    assert scopes["otel_ml"].schema_url == scopes["otel_ml"].scope.schema_url == semconv.SCHEMA_URL
    assert scopes["otel_ml"].scope.version
    assert resource.resource.attributes["telemetry.sdk.name"] == "opentelemetry"


def test_instruments_of_the_same_scope_are_kept():
    """Exporters key by scope: a second one of the same name would replace the first."""
    with captured_telemetry() as telemetry:
        from otel_ml.recording.version import otel_ml_version

        meter = metrics.get_meter(semconv.SCOPE_NAME, otel_ml_version(), schema_url=semconv.SCHEMA_URL)
        meter.create_counter("other").add(1)
        told([1.0])

        get_recorder().flush()
        (resource,) = telemetry.metric_reader.get_metrics_data().resource_metrics

    assert len(resource.scope_metrics) == 1
    assert {"other", "ml.feature.value"} <= {metric.name for metric in resource.scope_metrics[0].metrics}


def test_a_cumulative_reader_gets_everything_since_the_start():
    """Prometheus needs that."""
    with captured_telemetry() as telemetry:
        told([1.0, 2.0])
        first = only(telemetry.points("ml.feature.value"))
        told([3.0])

        second = only(telemetry.points("ml.feature.value"))

    assert (first.count, second.count) == (2, 3)
    assert first.start_time_unix_nano == second.start_time_unix_nano < second.time_unix_nano


def test_a_delta_reader_gets_what_is_new_to_it():
    """And nothing at all when there is nothing new."""
    with captured_telemetry(preferred_temporality=DELTA) as telemetry:
        told([1.0, 2.0])
        first = only(telemetry.points("ml.feature.value"))
        none = telemetry.points("ml.feature.value")
        told([-3.0])

        second = only(telemetry.points("ml.feature.value"))

    assert (first.count, none, second.count) == (2, [], 1)
    assert first.time_unix_nano <= second.start_time_unix_nano < second.time_unix_nano
    assert (first.sum, second.sum) == (3.0, None)


@pytest.mark.skipif(not hasattr(MeterProvider, "add_metric_reader"), reason="this SDK adds no reader later")
def test_each_reader_has_its_own_state():
    """One that came late and wants deltas finds all there was new, and takes nothing from the others."""
    with captured_telemetry(preferred_temporality=DELTA) as telemetry:
        told([1.0, 2.0])
        telemetry.metrics()
        late = InMemoryMetricReader(DELTA)
        metrics.get_meter_provider().add_metric_reader(late)
        told([3.0])
        get_recorder().flush()

        counts = {}
        for name, reader in (("first", telemetry.metric_reader), ("late", late)):
            for scope in reader.get_metrics_data().resource_metrics[0].scope_metrics:
                for metric in scope.metrics:
                    if metric.name == "ml.feature.value":
                        counts[name] = only(metric.data.data_points).count

    assert counts == {"first": 1, "late": 3}


def test_durations_and_sizes_are_histograms_over_the_advised_bounds():
    """Seconds, by model, operation, system and error."""
    with captured_telemetry() as telemetry:
        submit = get_recorder().submit
        submit(Inference(MODEL, "predict", np.ones((5, 1)), np.ones(5), duration_s=0.02))
        submit(Inference(MODEL, "predict", np.ones((1, 1)), np.ones(1), duration_s=0.0005))
        submit(Inference(MODEL, "predict", None, duration_s=20.0, error_type="ValueError"))

        durations = telemetry.points("ml.inference.duration")
        sizes = only(telemetry.points("ml.inference.batch.size"))

    by_error = {point.attributes.get("error.type"): point for point in durations}
    assert dict(by_error[None].attributes) == {
        "ml.model.name": "m",
        "ml.model.version": "3",
        "ml.operation.name": "predict",
        "ml.system.name": "scikit_learn",
    }
    assert by_error[None].count == 2
    assert (by_error[None].explicit_bounds[0], by_error[None].explicit_bounds[-1]) == (0.001, 10.0)
    assert by_error[None].bucket_counts[0] == 1
    assert by_error["ValueError"].bucket_counts[-1] == 1
    assert (sizes.count, sizes.sum, sizes.max) == (2, 6.0, 5.0)


def test_predictions_are_counted_by_label():
    """Classes by name, numbers without one."""
    with captured_telemetry(min_category_count=1) as telemetry:
        for label in ("yes", "yes", "no"):
            record({"a": 1.0}, label, model="classifier")
        record({"a": 1.0}, 0.7, model="regressor")

        points = telemetry.points("ml.predictions")

    counts = {(p.attributes["ml.model.name"], p.attributes.get("ml.prediction.label")): p.value for p in points}
    assert counts == {("classifier", "yes"): 2, ("classifier", "no"): 1, ("regressor", None): 1}


def test_labels_beyond_the_bound_share_a_series():
    """Whatever a model answers, the number of series stays bounded, also over many intervals."""
    with captured_telemetry(min_category_count=1) as telemetry:
        for interval in range(3):
            for index in range(200):
                record({"a": 1.0}, f"label-{interval}-{index}", model="m")
            get_recorder().flush()

        points = telemetry.points("ml.predictions")

    assert len(points) == MAX_LABELS + 1
    assert sum(point.value for point in points) == 600


def test_calls_that_are_running_are_counted_while_they_run():
    """An up-down counter, cumulative for every reader."""
    with captured_telemetry(preferred_temporality=DELTA) as telemetry:
        info = ModelInfo(ModelKey("m"))
        get_recorder().submit(Inference(info, "predict", np.ones((1, 1))))
        telemetry.metrics()
        info.active += 2

        point = only(telemetry.points("ml.inference.active"))

    assert point.value == 2


def test_a_failing_collection_of_ours_does_not_cost_the_users_metrics(monkeypatch):
    """Their answer goes out as it was."""
    with captured_telemetry() as telemetry:
        metrics.get_meter("the.user").create_counter("requests").add(1)
        told([1.0])
        get_recorder().flush()
        monkeypatch.setattr(get_recorder().store, "collect", lambda *_, **__: 1 / 0)

        (resource,) = telemetry.metric_reader.get_metrics_data().resource_metrics

    assert [scope.scope.name for scope in resource.scope_metrics] == ["the.user"]


def test_detaching_gives_readers_their_own_callback_back():
    """`uninstrument()` leaves no trace in the SDK."""
    with captured_telemetry() as telemetry:
        before = telemetry.metric_reader._collect
        told([1.0])
        get_recorder().flush()
        during = telemetry.metric_reader._collect

        get_recorder().detach()

        assert during is not before
        assert telemetry.metric_reader._collect == before


def test_another_sdk_is_left_alone(caplog):
    """Where the private seam is absent there are no such metrics, one warning, and sketches all the same."""

    class OtherProvider:
        def get_meter(self, *_, **__):
            return metrics.NoOpMeterProvider().get_meter("x")

        def shutdown(self):
            pass

    with captured_telemetry() as telemetry:
        former = metrics._internal._METER_PROVIDER
        metrics._internal._METER_PROVIDER = OtherProvider()
        try:
            told([1.0])
            told([2.0])
            snapshots = telemetry.snapshots()
        finally:
            metrics._internal._METER_PROVIDER = former

    assert sum(snapshot.rows for snapshot in snapshots) == 2
    assert caplog.text.count("no place for our metrics") == 1


def test_an_exemplar_on_a_histogram_leads_to_a_trace():
    """Of the largest and smallest value of the interval; a row that was not traced makes none."""
    inference = Inference(
        MODEL,
        "predict",
        np.array([[1.0], [9.0]]),
        np.ones(2),
        span_context=SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1)),
    )
    with captured_telemetry() as telemetry:
        get_recorder().submit(inference)
        get_recorder().submit(Inference(MODEL, "predict", np.array([[50.0]]), np.ones(1)))

        (point,) = telemetry.points("ml.feature.value")

    assert {(exemplar.value, exemplar.trace_id, exemplar.span_id) for exemplar in point.exemplars} == {
        (9.0, 0xABC, 0xDEF),
        (1.0, 0xABC, 0xDEF),
    }


def in_span(trace_id, *, sampled=True):
    """The context of a span."""
    return SpanContext(trace_id, 0xDEF, is_remote=False, trace_flags=TraceFlags(int(sampled)))


def timed(duration_s, trace_id, *, sampled=True, error_type=None):
    """A call of one row that took so long."""
    context = in_span(trace_id, sampled=sampled)
    row, answer = np.ones((1, 1)), np.ones(1)
    return Inference(MODEL, "predict", row, answer, duration_s=duration_s, error_type=error_type, span_context=context)


def linked(point):
    """Values and traces of a point's exemplars."""
    return {(exemplar.value, exemplar.trace_id) for exemplar in point.exemplars}


def test_the_slowest_traced_call_is_an_exemplar_of_the_durations():
    """One nobody can look up does not stand in its way, and one that failed belongs to the failed ones."""
    with captured_telemetry() as telemetry:
        for call in (timed(0.3, 1), timed(0.7, 2), timed(0.1, 3), timed(9.0, 4, sampled=False)):
            get_recorder().submit(call)
        get_recorder().submit(timed(2.0, 5, error_type="ValueError"))

        points = telemetry.points("ml.inference.duration")

    by_error = {point.attributes.get("error.type"): linked(point) for point in points}
    assert by_error == {None: {(0.7, 2)}, "ValueError": {(2.0, 5)}}


def test_each_bucket_keeps_the_slowest_call_since_the_last_collection():
    """As in the SDK, what was collected once does not come again."""
    with captured_telemetry() as telemetry:
        for call in (timed(0.03, 1), timed(3.0, 2), timed(0.04, 3), timed(0.035, 4)):
            get_recorder().submit(call)
            get_recorder().flush()
        first = linked(only(telemetry.points("ml.inference.duration")))
        get_recorder().submit(timed(0.032, 5))
        second = linked(only(telemetry.points("ml.inference.duration")))

    assert first == {(0.04, 3), (3.0, 2)}
    assert second == {(0.032, 5)}


def test_exemplars_that_were_switched_off_are_not_sent(monkeypatch):
    """What the SDK is told of its own holds for ours."""
    monkeypatch.setenv("OTEL_METRICS_EXEMPLAR_FILTER", "always_off")
    with captured_telemetry() as telemetry:
        get_recorder().submit(timed(0.3, 1))

        points = [*telemetry.points("ml.inference.duration"), *telemetry.points("ml.feature.value")]

    assert [linked(point) for point in points] == [set(), set()]
