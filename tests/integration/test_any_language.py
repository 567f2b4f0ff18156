"""Services that know nothing of this library: a histogram of their SDK is all they have."""

import asyncio
import os
import subprocess
import time

import numpy as np
import pytest
from integration.go_service.build import NoGoError, go_service
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from otlp_sink import OtlpSink
from peers.running import REQUIRED
from running_service import gauge, running, until

from collector_processor.component import Signal
from collector_processor.processors.plain_histograms import Increments, sources
from collector_processor.processors.windows import WindowSettings, WindowStore
from collector_processor.receivers.plain_histograms import HistogramReader
from otel_ml import semconv
from otel_ml.baseline import Baseline
from otel_ml.drift import create, distributions
from otel_ml.sketch.feature import FeatureKey, FeatureRole

ROWS, EXPORTS = 1000, 3
AMOUNT = FeatureKey(FeatureRole.FEATURE, "amount")
PREDICTION = FeatureKey(FeatureRole.PREDICTION, "prediction")


@pytest.fixture
def sink():
    with OtlpSink() as found:
        yield found


@pytest.fixture(scope="module")
def go_binary():
    """The service, built once; where it cannot be, the tests are skipped, or fail where it has to be."""
    try:
        return go_service()
    except NoGoError as error:
        if os.environ.get(REQUIRED):
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def baseline():
    """What the model was trained on: the very distribution that the service draws from."""
    amounts = np.random.default_rng(7).lognormal(4.5, 1.0, 20_000)
    return Baseline.build({"amount": amounts}, model="fraud", version="3", predictions=amounts / 1000)


def run_go(binary, sink, *arguments, **environment):
    """Run the service to its end."""
    given = {**os.environ, **sink.environment, "OTEL_SERVICE_NAME": "payments", **environment}
    command = [binary, f"-rows={ROWS}", f"-exports={EXPORTS}", *arguments]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def window_of(requests, *, repeated=1):
    """What the processor knows after these requests: one window of a day, so that no test meets the end of one."""
    reader, store = HistogramReader(sources({})), WindowStore(WindowSettings(window="1d"))
    increments = Increments(WindowSettings(window="1d"))
    for body in [request.SerializeToString() for request in requests] * repeated:
        # With deltas, the last request says only that nothing came since the one before.
        for snapshot in increments.take(reader.read(body).points if reader.is_wanted(body) else ()):
            store.merge(snapshot)
    windows = [window for stream in store.streams.values() for window in stream.windows.values()]
    if len(windows) > 1:
        pytest.skip("midnight passed while the service ran")
    return windows[0]


def drift(baseline, window, key=AMOUNT, method="ks"):
    """What a detector says of a column."""
    (summary,) = [part for (found, _), part in window.parts.items() if found == key]
    return create(method).compare(*distributions(baseline.features[key], summary, baseline.layout(key)))


ways = pytest.mark.parametrize(
    ("form", "temporality"),
    [
        ([], "cumulative"),
        ([], "delta"),
        (["-exponential"], "cumulative"),
        (["-exponential"], "delta"),
    ],
    ids=["explicit-cumulative", "explicit-delta", "exponential-cumulative", "exponential-delta"],
)


@ways
def test_a_go_service_counts_every_value_once(go_binary, sink, form, temporality):
    """Whatever its aggregation, and though every request comes twice."""
    run_go(go_binary, sink, *form, OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=temporality)

    window = window_of(sink.metrics, repeated=2)

    assert window.model == ("fraud", "3")
    assert window.rows == ROWS * EXPORTS
    assert {key: part.content.count for (key, _), part in window.parts.items()} == {
        AMOUNT: ROWS * EXPORTS,
        PREDICTION: ROWS * EXPORTS,
    }


@ways
def test_a_go_service_that_drifts_is_found_and_one_that_does_not_is_left_in_peace(
    go_binary, sink, baseline, form, temporality
):
    """Amounts that grow by half, against the amounts that the model was trained on."""
    preference = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": temporality}
    run_go(go_binary, sink, *form, **preference)
    quiet = drift(baseline, window_of(sink.metrics))
    sink.clear()
    run_go(go_binary, sink, *form, "-shift=0.4", **preference)
    moved = drift(baseline, window_of(sink.metrics))

    assert not quiet.drifted
    assert quiet.p_value > 0.001
    assert moved.drifted
    assert moved.p_value < 1e-6


def test_two_replicas_in_go_that_look_the_same_count_apart(go_binary, sink):
    """The Go SDK gives a process no identity of its own: its start time has to do."""
    run_go(go_binary, sink, "-seed=1")
    run_go(go_binary, sink, "-seed=2")

    assert window_of(sink.metrics, repeated=2).rows == 2 * ROWS * EXPORTS


def record_in_python(sink, values, *, views, temporality, reader_of=PeriodicExportingMetricReader):
    """A service with the Python SDK and nothing of ours; exports after each third of the values."""
    exporter = OTLPMetricExporter(endpoint=sink.endpoint, insecure=True, preferred_temporality={Histogram: temporality})
    resource = Resource.create({semconv.MODEL_NAME: "fraud", semconv.MODEL_VERSION: "3"})
    provider = MeterProvider([reader_of(exporter, export_interval_millis=60_000)], resource=resource, views=views)
    histogram = provider.get_meter("payments").create_histogram("ml.feature.value")
    for part in np.array_split(values, EXPORTS):
        for value in part.tolist():
            histogram.record(value, {semconv.FEATURE_NAME: "amount"})
        provider.force_flush()
        time.sleep(0.002)  # one after the other, also by a coarse clock
    provider.shutdown()


@pytest.mark.parametrize("temporality", [AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE])
@pytest.mark.parametrize(
    "views", [[], [View(instrument_type=Histogram, aggregation=ExponentialBucketHistogramAggregation())]]
)
def test_the_python_sdk_alone_feeds_drift(sink, baseline, views, temporality):
    """Default bounds or an exponential view; the model is named by the resource."""
    values = np.random.default_rng(8).lognormal(4.9, 1.0, ROWS)
    record_in_python(sink, values, views=views, temporality=temporality)

    window = window_of(sink.metrics, repeated=2)
    found = drift(baseline, window)

    (part,) = window.parts.values()
    assert (window.rows, part.content.count) == (ROWS, ROWS)
    assert part.content.moments.mean == pytest.approx(values.mean())
    assert found.drifted
    assert found.p_value < 1e-6


@pytest.mark.parametrize("form", [[], ["-exponential"]], ids=["explicit", "exponential"])
async def test_a_processor_finds_the_drift_of_a_go_service(tmp_path, go_binary, sink, baseline, form):
    """From the SDK in Go through a running processor to the gauges of drift; the metrics themselves pass through."""
    file = tmp_path / "fraud.baseline"
    baseline.save(file)
    with OtlpSink() as backend:
        async with running(tmp_path, backend, file, drift={"window": "2s"}) as processor:
            endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{processor.service.addresses[0]}"}
            await asyncio.to_thread(run_go, go_binary, sink, *form, "-shift=0.4", **endpoint)
            await until(lambda: gauge(backend, "ml.feature.drift.ks", **{semconv.FEATURE_NAME: "amount"}))

            (distance, *_) = gauge(backend, "ml.feature.drift.ks", **{semconv.FEATURE_NAME: "amount"})
            assert distance > 0.1
            assert processor.total(semconv.PROCESSOR_ROWS) == ROWS * EXPORTS
            assert processor.total(semconv.PROCESSOR_HISTOGRAMS, processor_outcome="merged") == 2 * EXPORTS
            await until(lambda: backend.metrics_named("ml.feature.value"))


async def test_what_a_go_service_sent_survives_a_processor_that_is_started_anew(tmp_path, go_binary, sink, baseline):
    """Counts of the series are in the store, and what came after them is in the log: nothing is counted twice."""
    store = tmp_path / "store"
    with OtlpSink() as backend:
        run_go(go_binary, sink)
        requests = [request for request in sink.metrics if b"ml.feature.value" in request.SerializeToString()]
        for request in requests[:EXPORTS]:
            async with running(tmp_path, backend, store=store, drift={"window": "1d"}) as processor:
                for _ in range(2):
                    await processor.send(Signal.METRICS, request)
                # What one more request has more than the one before.
                assert processor.total(semconv.PROCESSOR_ROWS) == ROWS
                assert processor.total(semconv.PROCESSOR_HISTOGRAMS, processor_outcome="duplicate") == 2
