"""What MLServer's requests become: columns by name, ids of their own in batches, streams at their end."""

import socket
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from contracts.instrumentation import rows_of
from otlp_sink import OtlpSink, attributes
from served import MLServer, flat, flats, pieces, told

from otel_ml import semconv
from otel_ml.sketch import codec
from otel_ml.sketch.feature import FeatureRole

pytestmark = pytest.mark.slow

BATCH = 8


class Answered:
    """Everything one server was asked here, and what the collector has of it after its end."""

    def __init__(self):
        with OtlpSink() as self.sink:
            # Compression would hold a stream's headers back until its first piece.
            settings = {"OTEL_PYTHON_ML_CAPTURE_EVENTS": "events", "MLSERVER_GZIP_ENABLED": "false"}
            environment = {**self.sink.environment, **settings}
            with MLServer(environment) as server:
                self._ask(server)
                server.stop()
                self.output = server.output

    def _ask(self, server):
        self.frame = server.infer("flats", flats([1.0, 5.0, 6.0], [20.0, 150.0, 180.0], id="frame-1"))
        self.row = server.infer("flats", flats([2.0], [40.0]), {"x-request-id": "row-1", "ce-id": "event-1"})
        self.event = server.infer("flats", flat(3.0, 60.0), {"ce-id": "event-2"})
        self.unnamed = server.infer("flats", flat(3.0, 60.0))
        self.unknown = server.infer("nobody", flat(1.0, 20.0))
        self.said = server.post("/v2/models/talker/infer_stream", told("the flat is dear"), {"x-request-id": "talk-1"})
        self._leave_early(server)
        self.after = server.post("/v2/models/talker/infer_stream", told("go on", id="talk-3"), {"x-request-id": "no"})
        together = Barrier(BATCH)

        def one(number):
            together.wait()
            trace = f"00-{number + 1:032x}-{number + 1:016x}-01"
            headers = {"x-request-id": f"batched-{number}", "traceparent": trace}
            return server.infer("batched", flat(float(number), 25.0 * number), headers)

        with ThreadPoolExecutor(BATCH) as pool:
            self.batched = list(pool.map(one, range(BATCH)))

    def _leave_early(self, server):
        """Read the first word of a stream that would take minutes, and close the connection."""
        body = b'{"inputs": [{"name": "text", "shape": [1, 1], "datatype": "BYTES", "data": ["one wait two"]}]}'
        head = (
            "POST /v2/models/talker/infer_stream HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"x-request-id: talk-2\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + body)
            received = b""
            while b"data: " not in received:
                received += connection.recv(65536)

    def snapshots(self, model):
        decoded = [
            codec.decode(attributes(record)[semconv.SKETCH_PAYLOAD])
            for record in self.sink.log_records(semconv.EVENT_SKETCH_SNAPSHOT)
        ]
        return [snapshot for snapshot in decoded if snapshot.model.name == model]

    def columns(self, model, role):
        return {
            summary.key.name
            for snapshot in self.snapshots(model)
            for summary in snapshot.features
            if summary.key.role is role
        }

    def events(self, model):
        found = map(attributes, self.sink.log_records(semconv.EVENT_INFERENCE_RESULT))
        return [event for event in found if event[semconv.MODEL_NAME] == model]

    def spans(self, model):
        return [span for span in self.sink.spans() if attributes(span).get(semconv.MODEL_NAME) == model]


@pytest.fixture(scope="module")
def answered():
    return Answered()


def test_columns_of_a_data_frame_keep_their_names(answered):
    """One tensor a column, and a matrix has the names of the columns the model was trained with."""
    assert answered.frame.status == answered.row.status == 200
    assert answered.columns("flats", FeatureRole.FEATURE) == {"rooms", "area"}


def test_outputs_are_told_apart_by_name(answered):
    """A name that speaks of probabilities makes scores; any other predictions."""
    assert answered.columns("flats", FeatureRole.PREDICTION) == {"prediction"}
    assert answered.columns("flats", FeatureRole.SCORE) == {"0", "1"}


def test_a_model_has_the_version_of_its_settings(answered):
    """`parameters.version`."""
    assert {snapshot.model.version for snapshot in answered.snapshots("flats")} == {"v7"}


def test_each_row_counts_and_a_stranger_names_no_model(answered):
    """Models that do not exist are not reported."""
    assert answered.unknown.status == 404
    assert rows_of(answered.snapshots("flats")) == {"flats": 6}
    assert rows_of(answered.snapshots("nobody")) == {}
    assert answered.spans("nobody") == []


def test_the_bodys_id_goes_before_headers(answered):
    """Then x-request-id, then ce-id, then one that is made; rows of one request are numbered."""
    made = answered.unnamed.headers[semconv.PREDICTION_ID_HEADER]

    assert answered.frame.body["id"] == answered.frame.headers[semconv.PREDICTION_ID_HEADER] == "frame-1"
    assert answered.row.headers[semconv.PREDICTION_ID_HEADER] == "row-1"
    assert answered.event.headers[semconv.PREDICTION_ID_HEADER] == "event-2"
    assert {event[semconv.PREDICTION_ID] for event in answered.events("flats")} == {
        *("frame-1:0", "frame-1:1", "frame-1:2"),
        *("row-1", "event-2", made),
    }


def test_a_stream_is_one_inference_at_its_end(answered):
    """The answer is the text its pieces make; the header names it before the first piece."""
    words = [piece["outputs"][0]["data"][0] for piece in pieces(answered.said.body)]
    ids = [event[semconv.PREDICTION_ID] for event in answered.events("talker")]

    assert words == ["the ", "flat ", "is ", "dear "]
    assert answered.said.headers[semconv.PREDICTION_ID_HEADER] == "talk-1"
    assert answered.after.headers[semconv.PREDICTION_ID_HEADER] == "talk-3"
    assert sorted(ids) == ["talk-1", "talk-2", "talk-3"]
    assert answered.columns("talker", FeatureRole.FEATURE) == {"text"}


def test_a_reader_who_goes_away_breaks_nothing(answered):
    """The next stream is served, no context is left attached, and nothing failed on our side."""
    assert answered.after.status == 200
    assert "Failed to detach context" not in answered.output
    assert "was created in a different Context" not in answered.output
    assert "otel-ml" not in answered.output
    assert len(answered.spans("talker")) == 3
    assert all(semconv.ERROR_TYPE not in attributes(span) for span in answered.spans("talker"))


def test_a_batch_is_its_requests(answered):
    """Each is counted once, with its own id, in its own trace."""
    spans = answered.spans("batched")

    assert {answer.status for answer in answered.batched} == {200}
    assert rows_of(answered.snapshots("batched")) == {"batched": BATCH}
    assert {event[semconv.PREDICTION_ID] for event in answered.events("batched")} == {
        f"batched-{number}" for number in range(BATCH)
    }
    assert {int.from_bytes(span.trace_id, "big") for span in spans} == set(range(1, BATCH + 1))
    assert {attributes(span)[semconv.PREDICTION_ID] for span in spans} == {
        f"batched-{int.from_bytes(span.trace_id, 'big') - 1}" for span in spans
    }


def test_a_batch_does_not_belong_to_its_first_request(answered):
    """The user's own spans in a batched model have no parent, least of all one of the requests."""
    requests = {span.trace_id for span in answered.spans("batched")}
    asked = [span for span in answered.sink.spans("asking scikit-learn") if not span.parent_span_id]

    assert asked
    assert not requests & {span.trace_id for span in answered.sink.spans("asking scikit-learn")}


def test_models_below_are_quiet(answered):
    """scikit-learn is instrumented too, and would report its class."""
    assert rows_of(answered.snapshots("LogisticRegression")) == {}
    assert answered.spans("LogisticRegression") == []
