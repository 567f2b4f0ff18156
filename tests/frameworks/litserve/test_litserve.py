"""LitServe: real servers with spawned inference workers."""

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from contracts.instrumentation import ServerContract, rows_of
from otlp_sink import OtlpSink, attributes
from server_process import PORT, ServerProcess

from otel_ml import semconv
from otel_ml.instrumentation.servers.litserve import RequestKey
from otel_ml.sketch import codec

HERE = Path(__file__).parent

pytestmark = pytest.mark.slow


def lit_server(kind, environment, *, instrumented=True, workers=1):
    command = [sys.executable, HERE / "lit_app.py", kind, PORT, workers]
    return ServerProcess(command, environment, instrumented=instrumented)


class LitServeContract(ServerContract):
    """What all loops have in common."""

    kind = ""
    reported_as = "LinearRegression"

    def serve(self, environment, *, instrumented=True):
        return lit_server(self.kind, environment, instrumented=instrumented)

    def ask(self, server, number, headers):
        return server.post("/predict", {"width": number, "height": 2.0}, headers)

    def ask_wrongly(self, server):
        return server.post("/predict", {"width": "wide", "height": 1.0})


class TestSingle(LitServeContract):
    """One request at a time."""

    kind = "single"


class TestBatched(LitServeContract):
    """Up to eight requests at a time."""

    kind = "batched"


# --- other loops ------------------------------------------------------------------------------------------------------

REQUESTS = 12


class Run:
    """What one kind of server answered, and what the collector has of it after the end."""

    def __init__(self, kind, workers=1):
        with OtlpSink() as self.sink:
            environment = {**self.sink.environment, "OTEL_PYTHON_ML_CAPTURE_EVENTS": "events"}
            with lit_server(kind, environment, workers=workers) as server:
                with ThreadPoolExecutor(8) as pool:
                    self.answers = list(pool.map(lambda number: self._ask(server, number), range(REQUESTS)))
                server.stop()
                self.output = server.output
        self.ids = sorted(
            attributes(record)[semconv.PREDICTION_ID]
            for record in self.sink.log_records(semconv.EVENT_INFERENCE_RESULT)
        )
        self.snapshots = [
            codec.decode(attributes(record)[semconv.SKETCH_PAYLOAD])
            for record in self.sink.log_records(semconv.EVENT_SKETCH_SNAPSHOT)
        ]
        self.spans = [span for span in self.sink.spans() if semconv.MODEL_NAME in attributes(span)]

    @staticmethod
    def _ask(server, number):
        headers = {"x-request-id": f"request-{number}", "traceparent": f"00-{trace_id(number)}-{number + 1:016x}-01"}
        return server.post("/predict", {"width": number, "height": 2.0}, headers)

    def assert_sound(self):
        """Every request was answered, and nothing was said or broken on the way."""
        assert {answer.status for answer in self.answers} == {200}
        assert "otel-ml:" not in self.output
        assert "Failed to detach context" not in self.output
        assert "otel_ml/" not in self.output


def trace_id(number):
    return f"{number + 1:032x}"


EVERY_ID = sorted(f"request-{number}" for number in range(REQUESTS))
EVERY_TRACE = sorted(trace_id(number) for number in range(REQUESTS))


def test_a_batch_is_linked_to_exactly_its_own_requests():
    """Across processes: no request is its parent, each row has its request's id, each link its request's trace."""
    run = Run("batched")

    run.assert_sound()
    assert run.ids == EVERY_ID
    assert sorted(link.trace_id.hex() for span in run.spans for link in span.links) == EVERY_TRACE
    assert {attributes(span)[semconv.BATCH_SIZE] == len(span.links) for span in run.spans} == {True}
    assert {span.parent_span_id for span in run.spans} == {b""}
    assert max(len(span.links) for span in run.spans) > 1


@pytest.mark.parametrize("kind", ["streamed", "streamed_batches"])
def test_calls_within_a_stream_are_the_requests(kind):
    """They happen long after `predict` has returned its generator; the second of a request is numbered."""
    run = Run(kind)

    run.assert_sound()
    assert run.ids == sorted([*EVERY_ID, *(f"{id_}.1" for id_ in EVERY_ID)])
    assert rows_of(run.snapshots) == {"LinearRegression": 2 * REQUESTS}


def test_coroutines_have_their_own_request_each():
    """A worker with an event loop is at many requests at once."""
    run = Run("async")

    run.assert_sound()
    assert run.ids == EVERY_ID
    assert sorted(span.trace_id.hex() for span in run.spans) == EVERY_TRACE


@pytest.mark.parametrize("kind", ["hand_made", "hand_made_batches"])
def test_where_no_model_is_seen_predict_itself_is_recorded(kind):
    """What it was given, decoded and batched, and what it returned; under the name of the class."""
    run = Run(kind)

    run.assert_sound()
    assert run.ids == EVERY_ID
    assert rows_of(run.snapshots) == {"HandMade" if kind == "hand_made" else "HandMadeBatches": REQUESTS}
    names = {summary.key.name for snapshot in run.snapshots for summary in snapshot.features}
    assert names == {"width", "height", "prediction"}


def test_two_workers_report_as_two_producers():
    """And both send what they hold when they are told to end."""
    run = Run("single", workers=2)

    run.assert_sound()
    assert run.ids == EVERY_ID
    assert rows_of(run.snapshots) == {"LinearRegression": REQUESTS}
    assert len({(snapshot.producer_id, snapshot.sequence) for snapshot in run.snapshots}) == len(run.snapshots)


def test_a_key_is_the_same_with_its_origin():
    """LitServe finds the waiting request by it, in dictionaries and over queues."""
    key = RequestKey("0b5e", ("request-7", 1, 2, 3))
    travelled = pickle.loads(pickle.dumps(key))

    assert {"0b5e": "found"}[travelled] == "found"
    assert travelled == "0b5e"
    assert travelled.origin == key.origin
