"""Results and pass-through in a real Prometheus 3, pushed by OTLP and by way of a Collector."""

import time
import urllib.request
from pathlib import Path

import pytest
from otlp_sink import OtlpSink
from peers.running import ask, free_ports, send, until
from peers.samples import MODEL, baseline, drifting_just_now, texts
from processor_samples import metrics_request, traces_request
from server_process import BIN, PORT, ServerProcess

pytestmark = pytest.mark.slow

DRIFT = {"window": "1m", "min_rows": 100}


def series(server, selector):
    """(labels, value) of each series that the selector finds now."""
    answer = ask(f"{server.url}/api/v1/query", query=selector)
    assert answer["status"] == "success"
    return [(found["metric"], float(found["value"][1])) for found in answer["data"]["result"]]


def psi(server):
    """The two windows' drift of `amount` against the baseline, from any time of the last minutes."""
    found = series(server, 'max_over_time({__name__=~"ml_feature_drift_psi.*", ml_drift_reference="baseline"}[15m])')
    return [one for one in found if one[0].get("ml_feature_name") == "amount"]


def test_drift_can_be_queried_where_prometheus_takes_otlp(peers):
    """Model, version and feature are labels, without any setting in Prometheus but the receiver's."""
    prometheus = peers.prometheus()
    processor = peers.processor(
        exporters={"otlp_http": {"endpoint": f"{prometheus.url}/api/v1/otlp"}},
        drift={**DRIFT, "baselines": [str(baseline(peers.folder))]},
    )
    send(processor.address, *drifting_just_now())
    until(lambda: psi(prometheus) and psi(prometheus)[0][1] > 0.2)

    ((labels, _),) = psi(prometheus)
    assert labels.items() >= MODEL.items()
    rows = series(prometheus, 'max_over_time({__name__=~"ml_model_window_rows.*"}[15m])')
    assert [value for labels, value in rows if labels.items() >= MODEL.items()] == [1000]


def test_the_latency_of_a_model_leads_to_traces(peers):
    """A real server behind `opentelemetry-instrument`; the exemplars of its slow buckets are spans that it sent."""
    prometheus = peers.prometheus(None, "--enable-feature=exemplar-storage")
    histogram = "ml_inference_duration_seconds_bucket"

    def exemplars():
        now = {"start": time.time() - 600, "end": time.time() + 60}
        answer = ask(f"{prometheus.url}/api/v1/query_exemplars", query=histogram, **now)
        return [exemplar for series in answer["data"] for exemplar in series["exemplars"]]

    with OtlpSink() as traces:
        elsewhere = {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{prometheus.url}/api/v1/otlp/v1/metrics",
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/protobuf",
        }
        command = [BIN / "uvicorn", "failing_app:app", "--port", PORT]
        where = Path(__file__).parents[1] / "journey"
        with ServerProcess(command, traces.environment | elsewhere, ready="/openapi.json", cwd=where) as server:
            assert server.post("/predict", [[1.0, 2.0]]).status == 200
            assert server.post("/predict", [[1.0, 1000.0]]).status == 500
            found = until(lambda: exemplars() if len(exemplars()) >= 2 else None)
        sent = {span.trace_id.hex() for span in traces.spans()}

    assert {exemplar["labels"]["trace_id"] for exemplar in found} <= sent
    assert all(float(exemplar["value"]) >= 0.02 for exemplar in found)


def test_what_the_processor_says_of_itself_can_be_queried(peers):
    """That nothing is unaccounted for is a query."""
    prometheus = peers.prometheus()
    processor = peers.processor(exporters={"otlp_http": {"endpoint": f"{prometheus.url}/api/v1/otlp"}}, drift=DRIFT)
    send(processor.address, *drifting_just_now())

    until(lambda: series(prometheus, "sum(ml_processor_snapshots_total) == 3"))
    gone = [f"(sum(ml_processor_{name}) or vector(0))" for name in ("forwarded_total", "dropped_total", "pending")]
    here = "sum(ml_processor_received_total) - sum(ml_processor_consumed_total)"
    found = until(lambda: series(prometheus, f"{here} - {' - '.join(gone)}"))

    assert found[0][1] == 0


def test_results_reach_every_backend_through_a_collector(peers):
    """results.yaml: gauges to be scraped and by remote write, logs and spans where they belong."""
    prometheus = peers.prometheus()
    scraped = f"127.0.0.1:{free_ports(1)[0]}"
    with OtlpSink() as traces, OtlpSink() as logs:
        collector = peers.collector(
            "results.yaml",
            COLLECTOR_PROMETHEUS=scraped,
            REMOTE_WRITE=f"{prometheus.url}/api/v1/write",
            TRACES=traces.endpoint.removeprefix("http://"),
            LOGS=logs.endpoint.removeprefix("http://"),
        )
        processor = peers.processor(
            exporters={"otlp_grpc": {"endpoint": collector.url}},
            drift={**DRIFT, "baselines": [str(baseline(peers.folder))]},
        )
        send(processor.address, *drifting_just_now(), *texts(3), traces_request(2), metrics_request(1))
        until(lambda: psi(prometheus) and traces.spans() and len(logs.log_records()) >= 3)
        page = urllib.request.urlopen(f"http://{scraped}/metrics", timeout=10).read().decode()

        gauges = [line for line in page.splitlines() if line.startswith("ml_feature_drift_psi")]
        assert gauges
        assert all('ml_model_name="fraud"' in line and 'ml_feature_name="amount"' in line for line in gauges)
        assert len(traces.spans()) == 2
        assert psi(prometheus)[0][0].items() >= MODEL.items()
