"""What KServe's requests become: columns by name, both versions, binary contents, and chains of two services."""

import struct
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from contracts.instrumentation import rows_of
from otlp_sink import OtlpSink, attributes
from served import KServe, flat, flats, grpc_flat, grpc_raw_flat, windows

from otel_ml import semconv
from otel_ml.sketch import codec
from otel_ml.sketch.feature import FeatureRole

pytestmark = pytest.mark.slow


class Received:
    """What a collector has of servers that are gone."""

    def snapshots(self, model="flats"):
        decoded = [
            codec.decode(attributes(record)[semconv.SKETCH_PAYLOAD])
            for record in self.sink.log_records(semconv.EVENT_SKETCH_SNAPSHOT)
        ]
        return [snapshot for snapshot in decoded if snapshot.model.name == model]

    def columns(self, role, model="flats"):
        return {
            summary.key.name
            for snapshot in self.snapshots(model)
            for summary in snapshot.features
            if summary.key.role is role
        }

    def ids(self, model="flats"):
        found = map(attributes, self.sink.log_records(semconv.EVENT_INFERENCE_RESULT))
        return [event[semconv.PREDICTION_ID] for event in found if event[semconv.MODEL_NAME] == model]

    def spans(self, model="flats"):
        return [span for span in self.sink.spans() if attributes(span).get(semconv.MODEL_NAME) == model]

    def producers(self):
        return {snapshot.producer_id for snapshot in self.snapshots()}

    @property
    def environment(self):
        return {**self.sink.environment, "OTEL_PYTHON_ML_CAPTURE_EVENTS": "events"}


class Answered(Received):
    """One server that was asked in every way it can be."""

    def __init__(self):
        with OtlpSink() as self.sink, KServe(self.environment) as server:
            self.frame = server.infer(
                flats([1.0, 5.0, 6.0], [20.0, 150.0, 180.0], id="frame-1"), {"x-request-id": "no"}
            )
            self.event = server.infer(flat(3.0, 60.0), {"ce-id": "event-1"})
            self.unnamed = server.infer(flat(3.0, 60.0))
            self.rows = server.predict([[1.0, 20.0], [2.0, 40.0]], {"x-request-id": "rows-1"})
            self.dicts = server.predict([{"rooms": 1.0, "area": 20.0}], {"x-request-id": "dicts-1"})
            self.explained = server.post("/v1/models/flats:explain", {"instances": [[1.0, 20.0]]})
            self.named = server.infer_by_grpc(grpc_flat(1.0, 20.0), {"x-request-id": "no"}, id="grpc-1")
            raw = struct.pack("<2d", 8.0, 180.0)
            self.raw = server.infer_by_grpc(grpc_raw_flat(), {"x-request-id": "raw-1"}, raw=[raw])
            self.refused = server.infer(windows(), {"x-request-id": "refused-1"})
            self.unknown = server.infer(flat(1.0, 20.0), model="nobody")
            server.stop()


class Shared(Received):
    """Two worker processes, asked until both have answered."""

    def __init__(self):
        self.asked = 0
        with (
            OtlpSink() as self.sink,
            KServe(self.environment, workers=2) as server,
            ThreadPoolExecutor(8) as pool,
        ):
            deadline = time.monotonic() + 60.0
            while len(self.producers()) < 2 and time.monotonic() < deadline:
                answers = list(pool.map(lambda _: server.infer(flat(1.0, 20.0)), range(32)))
                self.asked += sum(answer.status == 200 for answer in answers)
            server.stop()


class Chained(Received):
    """A transformer that asks a predictor of the same name, each a service of its own."""

    def __init__(self):
        with (
            OtlpSink() as self.sink,
            KServe(self.environment) as predictor,
            KServe(self.environment, predictor=predictor) as transformer,
        ):
            instances = [{"rooms": 1.0, "square_feet": 215.28}, {"rooms": 6.0, "square_feet": 1937.5}]
            self.answer = transformer.predict(instances, {"x-request-id": "chain-1"})
            transformer.stop()
            predictor.stop()


@pytest.fixture(scope="module")
def answered():
    return Answered()


@pytest.fixture(scope="module")
def chained():
    return Chained()


def test_every_way_of_asking_counts_once(answered):
    """Rows of both versions, of REST and gRPC, with contents as lists and as bytes."""
    asked = ("frame", "event", "unnamed", "rows", "dicts", "explained", "named", "raw")

    assert {name: getattr(answered, name).status for name in asked} == dict.fromkeys(asked, 200)
    assert rows_of(answered.snapshots()) == {"flats": 3 + 1 + 1 + 2 + 1 + 1 + 1}


def test_columns_have_their_names(answered):
    """From tensors, from dicts, and for a matrix from the model that was trained with a frame."""
    assert answered.columns(FeatureRole.FEATURE) == {"rooms", "area"}
    assert answered.columns(FeatureRole.PREDICTION) == {"prediction"}
    assert answered.columns(FeatureRole.SCORE) == {"0", "1"}


def test_binary_contents_are_read(answered):
    """The flat with the most rooms came as bytes."""
    rooms = [
        summary.content.moments.maximum
        for snapshot in answered.snapshots()
        for summary in snapshot.features
        if summary.key.name == "rooms"
    ]

    assert max(rooms) == 8.0


def test_the_bodys_id_goes_before_headers(answered):
    """Then x-request-id, then ce-id, then one that is made; rows of one request are numbered."""
    made = answered.unnamed.headers[semconv.PREDICTION_ID_HEADER]

    assert answered.frame.headers[semconv.PREDICTION_ID_HEADER] == answered.frame.body["id"] == "frame-1"
    assert answered.named.headers[semconv.PREDICTION_ID_HEADER] == "grpc-1"
    assert sorted(answered.ids()) == sorted(
        ["frame-1:0", "frame-1:1", "frame-1:2", "event-1", made, "rows-1:0", "rows-1:1", "dicts-1", "grpc-1", "raw-1"]
    )


def test_a_model_has_its_own_version(answered):
    """Its attribute; the version in a gRPC request is not looked at by KServe and may say anything."""
    assert {snapshot.model.version for snapshot in answered.snapshots()} == {"v7"}


def test_a_refusal_is_an_error_and_no_row(answered):
    """The model's exception is on the span; a model that does not exist is not reported."""
    errors = [span for span in answered.spans() if semconv.ERROR_TYPE in attributes(span)]

    assert (answered.refused.status, answered.unknown.status) == (400, 404)
    assert [attributes(span)[semconv.ERROR_TYPE] for span in errors] == ["kserve.errors.InvalidInput"]
    assert answered.snapshots("nobody") == []


def test_models_below_are_quiet(answered):
    """scikit-learn is instrumented too, and would report its class; also when a prediction is explained."""
    assert answered.snapshots("LogisticRegression") == []
    assert {attributes(span).get(semconv.MODEL_NAME) for span in answered.sink.spans()} <= {"flats", None}


def test_our_spans_are_below_the_frameworks(answered):
    """FastAPI's, or those of a KServe that traces itself: ours is INTERNAL, with a parent, and the only one of ours."""
    rest = [span for span in answered.spans() if attributes(span).get(semconv.PREDICTION_ID) == "event-1"]

    assert len(rest) == 1
    assert rest[0].kind == 1
    assert rest[0].parent_span_id


def test_workers_report_what_each_of_them_did():
    """Processes made by spawn have the hooks, each a producer of its own, and send the rest when they are ended."""
    shared = Shared()

    assert len(shared.producers()) == 2
    assert rows_of(shared.snapshots()) == {"flats": shared.asked}
    assert shared.snapshots("LogisticRegression") == []


def test_both_ends_of_a_chain_count(chained):
    """The transformer under a name of its own, with the features it was given, and the predictor, with its."""
    assert chained.answer.status == 200
    assert rows_of(chained.snapshots("flats")) == {"flats": 2}
    assert rows_of(chained.snapshots("flats-transformer")) == {"flats-transformer": 2}
    assert chained.columns(FeatureRole.FEATURE, "flats") == {"rooms", "area"}
    assert chained.columns(FeatureRole.FEATURE, "flats-transformer") == {"rooms", "square_feet"}


def test_both_ends_of_a_chain_share_the_requests_id(chained):
    """KServe forwards x-request-id."""
    assert sorted(chained.ids("flats")) == sorted(chained.ids("flats-transformer")) == ["chain-1:0", "chain-1:1"]
