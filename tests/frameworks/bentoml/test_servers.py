"""`bentoml serve`, with the processes it starts: workers, services that depend on others, and their end."""

import http.client
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from contracts.instrumentation import rows_of
from frameworks.bentoml import services
from otlp_sink import attributes
from server_process import BIN, PORT, ServerProcess

from otel_ml import semconv
from otel_ml.sketch import codec

pytestmark = pytest.mark.slow

ROW = {"row": {"width": 2.0, "height": 3.0}}


def served(service, sink):
    command = [BIN / "bentoml", "serve", f"services:{service}", "--port", PORT]
    environment = {
        **sink.environment,
        "OTEL_PYTHON_ML_CAPTURE_EVENTS": "events",
        # Contrib's Starlette instrumentation, which another test is about, and ours, which would do part of the work.
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "starlette,otel_ml_starlette",
    }
    return ServerProcess(command, environment, cwd=services.HERE, ready="/readyz", startup_s=300.0)


def snapshots(sink):
    return [
        codec.decode(attributes(record)[semconv.SKETCH_PAYLOAD])
        for record in sink.log_records(semconv.EVENT_SKETCH_SNAPSHOT)
    ]


def ids(sink):
    events = sink.log_records(semconv.EVENT_INFERENCE_RESULT)
    return sorted(attributes(event)[semconv.PREDICTION_ID] for event in events)


def asked_until_two_workers_answered(server, timeout_s=120.0):
    """All answers; BentoML calls itself ready as soon as the first of its workers is."""
    deadline = time.monotonic() + timeout_s
    answers = []
    with ThreadPoolExecutor(8) as pool:
        while len({answer.body[1] for answer in answers}) < 2:
            assert time.monotonic() < deadline, server.output[-4000:]
            answers += pool.map(lambda _: server.post("/predict", ROW), range(60))
    return answers


def assert_nothing_of_ours_is_written(server):
    for words in ("otel-ml", "otel_ml/", "Failed to detach context", "was created in a different Context"):
        assert words not in server.output, server.output[-4000:]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_every_request_of_every_worker_is_counted_once(sink, how):
    """Also when the server is ended right after the last answer."""
    with served("TwoWorkers", sink) as server:
        answers = asked_until_two_workers_answered(server)
        server.stop(how)
        assert_nothing_of_ours_is_written(server)

    sent = snapshots(sink)
    assert rows_of(sent) == {"LinearRegression": len(answers)}
    assert len({snapshot.producer_id for snapshot in sent}) == 2
    assert len({(snapshot.producer_id, snapshot.sequence) for snapshot in sent}) == len(sent)


def test_services_in_other_processes_record_under_the_requests_id(sink):
    """One inference per call of a model, and not one per hop: the gateway learns that it was recorded."""
    with served("Gateway", sink) as server:
        asked = {
            "r1": ("/predict", ROW),
            "r2": ("/predict_twice", ROW),
            "r3": ("/predict_own", ROW),
            "r4": ("/predict_batched", {"rows": [[1.0, 2.0], [3.0, 4.0]]}),
            "r5": ("/predict_greeting", {"name": "Ada"}),
        }
        answers = {own_id: server.post(path, body, {"x-request-id": own_id}) for own_id, (path, body) in asked.items()}
        server.stop()
        assert_nothing_of_ours_is_written(server)

    assert {answer.status for answer in answers.values()} == {200}
    assert {own_id: answer.headers.get(semconv.PREDICTION_ID_HEADER) for own_id, answer in answers.items()} == {
        own_id: own_id for own_id in asked
    }
    assert rows_of(snapshots(sink)) == {
        "LinearRegression": 5,
        "OwnArea.predict": 1,
        "Gateway.predict_greeting": 1,
    }
    assert ids(sink) == ["r1", "r2", "r2.1", "r3", "r4:0", "r4:1", "r5"]


def test_a_call_through_services_is_one_trace(sink):
    """From the gateway's SERVER span to the inference in another process."""
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    with served("Gateway", sink) as server:
        server.post("/predict", ROW, {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
        server.stop()

    spans = [span for span in sink.spans() if span.trace_id.hex() == trace_id]
    (inference,) = [span for span in spans if semconv.MODEL_NAME in attributes(span)]
    servers = {span.span_id: span for span in spans if span.kind == 2}
    assert len(servers) == 2
    assert inference.parent_span_id in servers


def test_who_leaves_during_a_stream_breaks_nothing(sink):
    """The rows predicted until then count, and the next request is served."""
    with served("Area", sink) as server:
        for path in ("/stream", "/stream_async"):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
            body = json.dumps({"rows": 200, "pause_s": 0.05})
            connection.request("POST", path, body, {"content-type": "application/json"})
            connection.getresponse().read(4)
            connection.close()
        after = server.post("/predict", ROW)
        server.stop()
        assert_nothing_of_ours_is_written(server)

    assert after.body == 7.0
    assert 3 <= rows_of(snapshots(sink))["LinearRegression"] < 400


def test_a_request_that_times_out_is_an_inference_all_the_same(sink):
    """The model has answered, if too late for the client."""
    with served("Impatient", sink) as server:
        late = server.post("/predict", {"row": {"width": 2.0, "height": 3.0}}, {"x-request-id": "late"})
        time.sleep(1.5)
        prompt = server.post("/predict", {"row": {"width": 0.0, "height": 3.0}}, {"x-request-id": "prompt"})
        server.stop()
        assert_nothing_of_ours_is_written(server)

    assert (late.status, prompt.status) == (504, 200)
    assert rows_of(snapshots(sink)) == {"LinearRegression": 2}
