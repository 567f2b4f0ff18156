"""The whole journey with real processes and real gRPC: two uvicorn workers, the processor, and a backend.

What the backend ends up with is compared with what one process would have computed from all rows at once.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from flower_model import COLUMNS, NUMBERS, flowers, train
from otlp_sink import OtlpSink, attributes

from otel_ml import Baseline
from otel_ml.sketch import codec
from otel_ml.sketch.bins import AnchoredBins
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
MODEL = ModelKey("flowers", "7")
REQUESTS, ROWS_A_REQUEST = 240, 25

pytestmark = pytest.mark.slow

# The processor passes everything on, snapshots included, so that the test can look at both of its sides.
PROCESSOR = """
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:0"}}}}}}}}
processors:
  drift: {{window: 1s, lateness: 2s, baselines: ["{baseline}"], forward_snapshots: true, min_rows: 50}}
exporters: {{otlp_grpc: {{endpoint: "{backend}", tls: {{insecure: true}}}}}}
service:
  telemetry: {{interval: 500ms}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_grpc]}}
    metrics: {{receivers: [otlp], exporters: [otlp_grpc]}}
    logs: {{receivers: [otlp], processors: [drift], exporters: [otlp_grpc]}}
"""


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    """Everything that arrived, after two workers served all requests and everyone has stopped."""
    folder = tmp_path_factory.mktemp("journey")
    rows = request_rows()
    baseline = build_baseline(folder / "flowers.baseline")
    with OtlpSink() as backend:
        config = folder / "processor.yaml"
        config.write_text(
            PROCESSOR.format(baseline=folder / "flowers.baseline", backend=backend.endpoint.removeprefix("http://"))
        )
        processor, port = start_processor(config)
        web = free_port()
        server = start_server(web, port, folder)
        try:
            answers = send_all(web, rows)
            processor_knows(backend)
        finally:
            stop(server)
            stop(processor)
        yield Journey(backend, baseline, [row for batch in rows for row in batch], answers)


class Journey:
    """What went in, and what came out at the backend."""

    def __init__(self, backend, baseline, rows, answers):
        self.backend = backend
        self.baseline = baseline
        self.rows = rows
        self.answers = answers
        self.snapshots = [
            codec.decode(attributes(record)["ml.sketch.payload"])
            for record in backend.log_records("ml.sketch.snapshot")
        ]

    def merged(self, role, name):
        """One column, merged over all snapshots of both workers."""
        summaries = [
            summary for snapshot in self.snapshots for summary in snapshot.features if summary.key == (role, name)
        ]
        first = summaries[0]
        for summary in summaries[1:]:
            first.merge(summary)
        return first

    def column(self, name):
        """The same column as it was sent."""
        return np.array([row[name] for row in self.rows], dtype=np.float64)


def test_both_workers_took_part(journey):
    """Each worker speaks under a producer id of its own, in a sequence without gaps."""
    sequences = {}
    for snapshot in journey.snapshots:
        sequences.setdefault(snapshot.producer_id, []).append(snapshot.sequence)

    assert len(sequences) == 2
    assert all(sorted(numbers) == list(range(1, len(numbers) + 1)) for numbers in sequences.values())


def test_every_row_is_counted_once(journey):
    """Rows over all snapshots are the rows sent, and the processor counted the same."""
    counted = [
        point.as_int
        for metric in journey.backend.metrics_named("ml.processor.rows")
        for point in metric.sum.data_points
        if attributes(point)["ml.model.name"] == MODEL.name
    ]

    assert sum(snapshot.rows for snapshot in journey.snapshots) == REQUESTS * ROWS_A_REQUEST
    assert sum(snapshot.dropped_rows for snapshot in journey.snapshots) == 0
    assert max(counted) == REQUESTS * ROWS_A_REQUEST


@pytest.mark.parametrize("name", ["sepal_length", "sepal_width", "petal_length"])
def test_merged_bins_equal_the_single_process_truth(journey, name):
    """Counts in the baseline's bins are those of all rows in one process, exactly."""
    key = FeatureKey(FeatureRole.FEATURE, name)
    layout = journey.baseline.layout(key)
    truth = AnchoredBins.of(layout, journey.column(name))

    merged = journey.merged(*key)

    assert merged.content.bins[layout.hash].counts.tolist() == truth.counts.tolist()
    assert merged.content.moments.count == truth.count
    assert merged.content.moments.mean == pytest.approx(journey.column(name).mean(), rel=1e-12)


def test_merged_ranks_are_within_the_sketchs_bound(journey):
    """A column the baseline does not know travels as a KLL sketch, whose ranks are off by no more than it says."""
    values = journey.column("petal_width")
    at = np.unique(values)
    truth = np.searchsorted(np.sort(values), at, side="right") / values.size

    quantiles = journey.merged(FeatureRole.FEATURE, "petal_width").content.quantiles
    known = quantiles.distribution()

    assert quantiles.count == values.size
    assert np.abs(known.cdf(at) - truth).max() <= known.rank_error


def test_merged_categories_are_exact(journey):
    """A category's count is the number of rows that had it; so is a label's."""
    garden = journey.merged(FeatureRole.FEATURE, "garden").content
    labels = [
        summary
        for snapshot in journey.snapshots
        for summary in snapshot.features
        if summary.key.role is FeatureRole.PREDICTION
    ]

    assert garden.categories.counts == Counter(row["garden"] for row in journey.rows)
    total = Counter()
    for summary in labels:
        total.update(summary.content.categories.counts)
    assert total == Counter(journey.answers)


def test_histograms_leave_the_process_as_otlp_metrics(journey):
    """The last cumulative exponential histograms of both workers add up to all rows, negatives included."""
    latest = {}
    for request in journey.backend.metrics:
        for resource in request.resource_metrics:
            instance = attributes(resource.resource).get("service.instance.id")
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name != "ml.feature.value":
                        continue
                    for point in metric.exponential_histogram.data_points:
                        latest[instance, attributes(point)["ml.feature.name"]] = point

    counts = Counter()
    for (_, name), point in latest.items():
        counts[name] += point.count
    negative = sum(sum(point.negative.bucket_counts) for (_, name), point in latest.items() if name == "petal_width")

    assert counts == dict.fromkeys(NUMBERS, REQUESTS * ROWS_A_REQUEST)
    assert negative == int((journey.column("petal_width") < 0).sum()) > 0


def test_the_framework_emits_the_only_server_span(journey):
    """FastAPI's own SERVER span stays the only one of a request; the inference is an INTERNAL span below it."""
    spans = journey.backend.spans()
    servers = {span.span_id: span for span in spans if span.kind == span.SPAN_KIND_SERVER}
    inferences = [span for span in spans if span.name == "predict flowers"]
    traces = Counter(span.trace_id for span in servers.values() if attributes(span).get("http.route") == "/predict")

    assert len(traces) == REQUESTS
    assert set(traces.values()) == {1}
    assert len(inferences) == REQUESTS
    assert all(span.kind == span.SPAN_KIND_INTERNAL for span in inferences)
    assert {span.trace_id for span in inferences} == set(traces)
    assert attributes(inferences[0])["ml.inference.batch.size"] == ROWS_A_REQUEST


def test_drift_comes_out_where_it_went_in(journey):
    """The shifted column's gauge is above its threshold, and the unchanged one's below."""
    scores = {}
    for metric in journey.backend.metrics_named("ml.feature.drift.psi"):
        for point in metric.gauge.data_points:
            told = attributes(point)
            assert (told["ml.model.name"], told["ml.model.version"]) == MODEL
            scores.setdefault(told["ml.feature.name"], []).append(point.as_double)

    assert np.median(scores["sepal_length"]) > 0.2
    assert np.median(scores["petal_length"]) < 0.2
    assert "petal_width" not in scores


# --- the actors -------------------------------------------------------------------------------------------------------


def request_rows():
    """Batches of real flowers: sepals measured in another unit, petals centred so that widths go below zero."""
    rng = np.random.default_rng(11)
    frame, _ = flowers()
    frame["sepal_length"] *= 1.25
    batches = []
    for _ in range(REQUESTS):
        batch = frame.iloc[rng.integers(0, len(frame), ROWS_A_REQUEST)].copy()
        batch["petal_width"] += rng.normal(0, 0.8, ROWS_A_REQUEST)
        batches.append(batch.to_dict("records"))
    return batches


def build_baseline(path):
    frame, species = flowers()
    known = frame.drop(columns="petal_width").assign(species=species)
    # Resampled, because 150 flowers are fewer than a window holds.
    known = known.sample(20_000, replace=True, random_state=5)
    baseline = Baseline.build(known, model=MODEL.name, version=MODEL.version, predictions="species")
    baseline.save(path)
    return baseline


def start_processor(config):
    process = subprocess.Popen(
        [BIN / "otel-ml", "processor", "--config", config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    for line in process.stdout:
        if "receiving OTLP/gRPC on" in line:
            # Whatever else it says must be read, or it would wait for us one day.
            threading.Thread(target=_drain, args=(process.stdout,), daemon=True).start()
            return process, int(line.rsplit(":", 1)[1])
    raise AssertionError("the processor did not start")


def _drain(stream):
    with stream:
        stream.read()


def start_server(web, port, folder):
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_BLRP_SCHEDULE_DELAY": "200",
        "OTEL_PYTHON_ML_EXPORT_INTERVAL": "500",
        "OTEL_PYTHON_ML_MODEL_NAME": MODEL.name,
        "OTEL_PYTHON_ML_MODEL_VERSION": MODEL.version,
        "OTEL_PYTHON_ML_BASELINE": str(folder / "flowers.baseline"),
    }
    command = [BIN / "opentelemetry-instrument", BIN / "uvicorn", "served_app:app"]
    options = ["--workers", "2", "--port", str(web), "--no-access-log"]
    log = folder / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen([*command, *options], cwd=HERE, env=environment, stdout=output, stderr=output)
    # It answers as soon as the first worker is up, which could then serve every request alone.
    for _ in range(1200):
        if log.read_text().count("Application startup complete.") == 2:
            return server
        assert server.poll() is None, f"the server died:\n{log.read_text()}"
        time.sleep(0.1)
    raise AssertionError(f"the server never came up:\n{log.read_text()}")


def send_all(web, batches):
    """Send all batches from a few threads, so that both workers get some; all answers."""
    answers, failures = [], []
    waiting = iter(batches)
    lock = threading.Lock()

    def send():
        while True:
            with lock:
                batch = next(waiting, None)
            if batch is None:
                return
            try:
                request = urllib.request.Request(
                    f"http://127.0.0.1:{web}/predict", json.dumps(batch).encode(), {"Content-Type": "application/json"}
                )
                with urllib.request.urlopen(request, timeout=30) as response:
                    given = json.loads(response.read())
            except Exception as error:
                failures.append(error)
                return
            with lock:
                answers.extend(given)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    return answers


def processor_knows(backend):
    """Wait until a window with drift has been reported."""
    backend.wait_for(lambda: backend.metrics_named("ml.feature.drift.psi"), timeout_s=30)


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_model_answers_as_it_would_unobserved(journey):
    """Instrumentation changes no answer."""
    import pandas as pd

    unobserved = train().predict(pd.DataFrame(journey.rows, columns=COLUMNS))

    assert Counter(str(label) for label in unobserved) == Counter(journey.answers)
