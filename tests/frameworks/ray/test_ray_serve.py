"""Ray Serve: real clusters of one node, with real replicas."""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from contracts.instrumentation import ServerContract, rows_of
from otlp_sink import OtlpSink, attributes
from server_process import PORT, ServerProcess

from otel_ml import semconv
from otel_ml.sketch import codec

HERE = Path(__file__).parent

pytestmark = pytest.mark.slow


class RayServer(ServerProcess):
    """A cluster with some applications; what it wrote is gone with it."""

    def __init__(self, *applications, environment, instrumented=True):
        # Sockets of Ray lie below it: their paths must be short.
        self._folder = tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True)
        super().__init__(
            [sys.executable, HERE / "ray_app.py", PORT, *applications],
            {"RAY_TEST_DIR": self._folder.name, "RAY_USAGE_STATS_ENABLED": "0", **environment},
            ready=f"/{applications[-1]}",
            instrumented=instrumented,
            startup_s=300.0,
        )

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self._folder.cleanup()

    def get(self, *args, **kwargs):
        """The proxy is up long before it knows its routes."""
        answer = super().get(*args, **kwargs)
        return answer._replace(status=503) if answer.status == 404 else answer


class RayContract(ServerContract):
    """What all kinds of deployments have in common."""

    application = ""
    reported_as = "LinearRegression"

    def serve(self, environment, *, instrumented=True):
        return RayServer(self.application, environment=environment, instrumented=instrumented)

    def ask(self, server, number, headers):
        return server.post(f"/{self.application}", {"width": number, "height": 2.0}, headers)

    def ask_wrongly(self, server):
        return server.post(f"/{self.application}", {"width": "wide", "height": 2.0})


class TestDeployment(RayContract):
    """A class with one model, one row a request."""

    application = "area"


# --- all kinds of applications in one cluster -------------------------------------------------------------------------

APPLICATIONS = ("area", "batched", "streamed", "ingress", "composed", "hand_made")
REQUESTS = 12


class Cluster:
    """What was answered by every application, and what the collector has of it after a graceful end."""

    def __init__(self, server, sink):
        self.sink = sink
        self.answers = {}
        for application in APPLICATIONS:
            with ThreadPoolExecutor(8) as pool:
                self.answers[application] = [
                    pending.result()
                    for pending in [pool.submit(ask, server, application, number) for number in range(REQUESTS)]
                ]

    def ids(self, application):
        """Prediction ids of the events that belong to one application's requests."""
        found = (
            attributes(record).get(semconv.PREDICTION_ID, "")
            for record in self.sink.log_records(semconv.EVENT_INFERENCE_RESULT)
        )
        return sorted(id_ for id_ in found if id_.startswith(f"{application}-"))

    def spans(self, application):
        """Our spans that are below, or linked to, the traces of one application's requests."""
        mine = {trace_id(application, number) for number in range(REQUESTS)}
        return [
            span
            for span in self.sink.spans()
            if semconv.MODEL_NAME in attributes(span)
            and ({span.trace_id.hex()} | {link.trace_id.hex() for link in span.links}) & mine
        ]


def ask(server, application, number):
    return server.post(
        "/ingress/predict" if application == "ingress" else f"/{application}",
        {"width": number, "height": 2.0},
        {"x-request-id": f"{application}-{number}", "traceparent": traceparent(application, number)},
    )


def trace_id(application, number):
    return f"{APPLICATIONS.index(application) + 1:016x}{number + 1:016x}"


def traceparent(application, number):
    return f"00-{trace_id(application, number)}-{number + 1:016x}-01"


def expected_ids(application, numbers=range(REQUESTS)):
    return sorted(f"{application}-{number}" for number in numbers)


@pytest.fixture(scope="module")
def cluster():
    with OtlpSink() as sink:
        environment = {**sink.environment, "OTEL_PYTHON_ML_CAPTURE_EVENTS": "events"}
        with RayServer(*APPLICATIONS, environment=environment) as server:
            cluster = Cluster(server, sink)
            server.stop()
            cluster.output = server.output
        yield cluster


@pytest.mark.parametrize("application", APPLICATIONS)
def test_every_request_is_one_inference_under_its_own_id(cluster, application):
    """Whether its model is in the replica, in a batch with others, in another deployment, or unknown to us."""
    twice = [f"{id_}.1" for id_ in expected_ids(application)] if application == "streamed" else []

    assert {answer.status for answer in cluster.answers[application]} == {200}
    assert cluster.ids(application) == sorted([*expected_ids(application), *twice])


@pytest.mark.parametrize("application", APPLICATIONS)
def test_the_response_tells_the_id(cluster, application):
    """Beside Serve's own header, once."""
    told = [answer.headers.get(semconv.PREDICTION_ID_HEADER) for answer in cluster.answers[application]]
    expected = [f"{application}-{number}" for number in range(REQUESTS)]

    if application == "streamed":  # may have begun before its model was asked
        told = [id_ or own for id_, own in zip(told, expected, strict=True)]
    assert told == expected
    assert [answer.headers.get("x-request-id") for answer in cluster.answers[application]] == expected


@pytest.mark.parametrize("application", ["batched", "streamed"])
def test_a_batch_is_linked_to_exactly_its_own_requests(cluster, application):
    """And has none of them as its parent: each link names the span its request came from."""
    spans = cluster.spans(application)
    calls_a_request = 2 if application == "streamed" else 1
    linked = [(link.trace_id.hex(), link.span_id.hex()) for span in spans for link in span.links]
    expected = [(trace_id(application, number), f"{number + 1:016x}") for number in range(REQUESTS)]

    assert sorted(linked) == sorted(expected * calls_a_request)
    assert {span.parent_span_id for span in spans} == {b""}
    assert {attributes(span)[semconv.BATCH_SIZE] == len(span.links) for span in spans} == {True}
    assert max(len(span.links) for span in spans) > 1


def test_a_single_call_is_in_the_clients_trace(cluster):
    """Serve makes no spans itself unless told to: ours are below the client's then."""
    parents = {(span.trace_id.hex(), span.parent_span_id.hex()) for span in cluster.spans("area")}

    assert parents == {(trace_id("area", number), f"{number + 1:016x}") for number in range(REQUESTS)}


def test_a_deployment_without_a_known_model_is_reported_by_its_name(cluster):
    """What it was asked and what it answered is the inference."""
    snapshots = [
        codec.decode(attributes(record)[semconv.SKETCH_PAYLOAD])
        for record in cluster.sink.log_records(semconv.EVENT_SKETCH_SNAPSHOT)
    ]

    assert rows_of(snapshots) == {"LinearRegression": 6 * REQUESTS, "HandMade": REQUESTS}


def test_composed_deployments_report_a_prediction_where_it_is_made(cluster):
    """The deployment that passes another's prediction on has made none itself."""
    assert len(cluster.ids("composed")) == REQUESTS


def test_nothing_is_written_or_broken(cluster):
    """No warning of ours in any process of the cluster, no context that could not be detached."""
    assert "otel-ml:" not in cluster.output
    assert "Failed to detach context" not in cluster.output
    assert "otel_ml/" not in cluster.output
