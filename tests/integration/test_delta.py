"""For backends of delta sums only: deploy/exporters/collector/delta.yaml between the processor and one of those."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from peers.running import send, until
from peers.samples import baseline, drifting_just_now
from processor_samples import traces_request
from shipped_files import DEPLOY

pytestmark = pytest.mark.slow


class Vendor(BaseHTTPRequestHandler):
    """Takes OTLP over HTTP, and keeps it with the header that says who sent it."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, self.headers["X-Vendor-Key"], self.headers["Content-Encoding"], body))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def vendor():
    """A server of HTTP as vendors have it; `received` holds (path, key, encoding, body)."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vendor)
    server.received = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def metrics_at(vendor):
    """All metrics that arrived."""
    for path, _, encoding, body in list(vendor.received):
        if path.endswith("/v1/metrics"):
            request = ExportMetricsServiceRequest.FromString(gzip.decompress(body) if encoding == "gzip" else body)
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    yield from scope.metrics


def rows_at(vendor):
    """The rows that the processor says it has merged, summed up over all deltas."""
    points = [point for one in metrics_at(vendor) if one.name == "ml.processor.rows" for point in one.sum.data_points]
    return sum(point.as_int for point in points)


@pytest.mark.parametrize(
    ("variables", "key"),
    [({"DELTA_SCHEME": "Api-Token"}, "Api-Token secret"), ({}, "secret")],
    ids=["with a scheme", "without"],
)
def test_counters_arrive_as_deltas_that_add_up_and_gauges_as_they_are(peers, vendor, variables, key):
    """3000 rows were merged, however many exports told of them; with the key in a header of the vendor's choice."""
    collector = peers.collector(
        DEPLOY / "exporters" / "collector" / "delta.yaml",
        DELTA_ENDPOINT=f"http://127.0.0.1:{vendor.server_port}/otlp",
        DELTA_HEADER="X-Vendor-Key",
        DELTA_SECRET="secret",
        **variables,
    )
    processor = peers.processor(
        exporters={"otlp_grpc": {"endpoint": collector.url}},
        drift={"window": "1m", "min_rows": 100, "baselines": [str(baseline(peers.folder))]},
    )
    send(processor.address, *drifting_just_now(), traces_request(2))
    until(lambda: rows_at(vendor) >= 3000)
    until(lambda: any(one.name == "ml.feature.drift.psi" for one in metrics_at(vendor)))
    until(lambda: any(path == "/otlp/v1/traces" for path, *_ in vendor.received))
    sums = [one.sum for one in metrics_at(vendor) if one.HasField("sum")]

    assert rows_at(vendor) == 3000
    assert {one.aggregation_temporality for one in sums} == {AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA}
    assert {found for _, found, *_ in vendor.received} == {key}
