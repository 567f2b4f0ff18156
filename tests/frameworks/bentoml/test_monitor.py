"""`bentoml.monitor` with our class: what a service logs already becomes summaries and labels."""

import contextvars
from concurrent.futures import ThreadPoolExecutor

import bentoml
import numpy as np
import pytest
from contracts.instrumentation import rows_of
from frameworks.bentoml import services
from otlp_sink import attributes
from server_process import BIN, PORT, ServerProcess

import otel_ml
from otel_ml import semconv
from otel_ml.bento import Monitor
from otel_ml.instrumentation.calls.batching import BatchMember, batch_of_requests
from otel_ml.instrumentation.requests.serving import ServedRequest
from otel_ml.recording import guard
from otel_ml.sketch import codec

# BentoML uses what newer versions of its requirements deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def monitor(request):
    """Opens a block of the monitor of a name; names last as long as the process, so each test has its own."""

    def open_block(name="areas", **options):
        return bentoml.monitor(f"{request.node.name}.{name}", monitor_class=Monitor, monitor_options=options)

    return open_block


def summaries(telemetry, name="areas"):
    """The one snapshot of a monitor's model."""
    (snapshot,) = [snapshot for snapshot in telemetry.snapshots() if snapshot.model.name.endswith(f".{name}")]
    return snapshot


def results(telemetry):
    """Id, features and prediction of every row."""
    return [
        (
            event.attributes.get(semconv.PREDICTION_ID),
            dict(event.attributes.get(semconv.INFERENCE_FEATURES, {})),
            event.attributes.get(semconv.INFERENCE_PREDICTION),
        )
        for event in telemetry.events(semconv.EVENT_INFERENCE_RESULT)
    ]


def labels(telemetry):
    """Id and value of every label."""
    events = telemetry.events(semconv.EVENT_LABEL)
    return {event.attributes[semconv.PREDICTION_ID]: event.attributes[semconv.LABEL_VALUE] for event in events}


def log_row(block, width, height=1.0):
    block.log(width, "width", "feature", "numerical")
    block.log(height, "height", "feature", "numerical")
    block.log(width * height, "area", "prediction", "numerical")


def test_a_block_is_a_row(telemetry, monitor):
    """Features and prediction under the names and roles that they were logged with."""
    for width in (1.0, 2.0):
        with monitor() as block:
            log_row(block, width)

    snapshot = summaries(telemetry)
    assert snapshot.rows == 2
    assert [row[1:] for row in results(telemetry)] == [
        ({"width": 1.0, "height": 1.0}, 1.0),
        ({"width": 2.0, "height": 1.0}, 2.0),
    ]
    assert guard.failures() == {}


def test_columns_are_rows(telemetry, monitor):
    """`log_batch`, from lists, arrays and anything else that can be gone through."""
    with monitor() as block:
        block.log_batch([1.0, 2.0, 3.0], "width", "feature", "numerical")
        block.log_batch(np.array([4.0, 5.0, 6.0]), "height", "feature", "numerical")
        block.log_batch((width for width in (4.0, 10.0, 18.0)), "area", "prediction", "numerical")

    assert [row[1:] for row in results(telemetry)] == [
        ({"width": 1.0, "height": 4.0}, 4.0),
        ({"width": 2.0, "height": 5.0}, 10.0),
        ({"width": 3.0, "height": 6.0}, 18.0),
    ]


def test_a_categorys_number_is_no_quantity(telemetry, monitor):
    """Classes that are coded as integers are counted, not averaged."""
    for code in (3, 3, 7):
        with monitor() as block:
            block.log(code, "kind", "feature", "categorical")
            block.log(code % 2, "class", "prediction", "categorical")

    assert [row[1:] for row in results(telemetry)] == [({"kind": "3"}, "1"), ({"kind": "3"}, "1"), ({"kind": "7"}, "1")]


def test_numbers_beside_a_class_are_its_scores(telemetry, monitor):
    """One column says which class, another how sure."""
    with monitor() as block:
        block.log("yes", "answer", "prediction", "categorical")
        block.log(0.9, "confidence", "prediction", "numerical")

    (event,) = telemetry.events(semconv.EVENT_INFERENCE_RESULT)
    assert event.attributes[semconv.INFERENCE_PREDICTION] == "yes"
    assert event.attributes[semconv.INFERENCE_SCORE] == 0.9


def test_a_sequence_is_an_embedding(telemetry, monitor):
    """Logged as a value of the row, in any of its shapes."""
    for vector in ([0.1, 0.2, 0.3], np.array([0.1, 0.2, 0.3])):
        with monitor() as block:
            block.log(vector, "vector", "feature", "numerical_sequence")
            block.log(1.0, "width", "feature", "numerical")

    assert summaries(telemetry).rows == 2
    assert guard.failures() == {}


def test_targets_become_labels_of_the_same_rows(telemetry, monitor):
    """Under ids that tie them to their predictions, also where no request gives any."""
    with monitor() as block:
        block.log(2.0, "width", "feature", "numerical")
        block.log(4.0, "area", "prediction", "numerical")
        block.log(4.5, "measured", "target", "numerical")
    with monitor() as block:
        block.log_batch([1.0, 2.0], "width", "feature", "numerical")
        block.log_batch([1.0, 4.0], "area", "prediction", "numerical")
        block.log_batch([1.5, 4.5], "measured", "target", "numerical")

    otel_ml.flush()
    told = labels(telemetry)
    assert [told[own_id] for own_id, _, _ in results(telemetry)] == [4.5, 1.5, 4.5]


def test_monitors_do_not_share_what_they_are_told(telemetry, monitor):
    """One name, one model, one schema: BentoML's own write all rows where the last monitor was set up."""
    with monitor("first") as block:
        block.log(1.0, "a", "feature", "numerical")
    with monitor("second") as block:
        block.log(2.0, "b", "feature", "numerical")
    with monitor("first") as block:
        block.log(3.0, "a", "feature", "numerical")

    assert summaries(telemetry, "first").rows == 2
    assert summaries(telemetry, "second").rows == 1
    told = [features for _, features, _ in results(telemetry)]
    assert sorted(told, key=str) == [{"a": 1.0}, {"a": 3.0}, {"b": 2.0}]


def test_blocks_may_be_nested(telemetry, monitor):
    """BentoML's own refuse."""
    with monitor("outer") as outer:
        outer.log(1.0, "a", "feature", "numerical")
        with monitor("inner") as inner:
            inner.log(2.0, "b", "feature", "numerical")
        outer.log(3.0, "c", "feature", "numerical")

    told = [features for _, features, _ in results(telemetry)]
    assert sorted(told, key=str) == [{"a": 1.0, "c": 3.0}, {"b": 2.0}]


def test_an_exception_in_a_block_spoils_only_that_block(telemetry, monitor):
    """It passes, its half of a row is dropped, and the next block is as good as new."""

    def half_a_row():
        with monitor() as block:
            block.log(99.0, "width", "feature", "numerical")
            raise KeyError("height")

    with pytest.raises(KeyError):
        half_a_row()
    with monitor() as block:
        log_row(block, 2.0)

    assert [features for _, features, _ in results(telemetry)] == [{"width": 2.0, "height": 1.0}]


def test_concurrent_blocks_do_not_mix(telemetry, monitor):
    """Each thread has its own row."""

    def log(number):
        with monitor() as block:
            log_row(block, float(number), float(number))

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda number: contextvars.Context().run(log, number), range(200)):
            pass

    rows = [features for _, features, _ in results(telemetry)]
    assert sorted(row["width"] for row in rows) == [float(number) for number in range(200)]
    assert all(row["width"] == row["height"] for row in rows)


def test_a_row_has_its_requests_id(telemetry, monitor):
    """The same one that the response gives; further blocks in one request are told apart."""
    with ServedRequest("test", headers=[("x-request-id", "r1")]):
        for width in (1.0, 2.0):
            with monitor() as block:
                log_row(block, width)

    assert [own_id for own_id, _, _ in results(telemetry)] == ["r1", "r1.1"]


@pytest.mark.parametrize("at_once", [True, False], ids=["log_batch", "log"])
def test_a_batchs_rows_have_their_own_requests_ids(telemetry, monitor, at_once):
    """In one block for the whole batch, or a block for each of its rows."""
    with batch_of_requests([BatchMember("r1", None), BatchMember("r2", None, rows=2)]):
        if at_once:
            with monitor() as block:
                block.log_batch([1.0, 2.0, 3.0], "width", "feature", "numerical")
        else:
            for width in (1.0, 2.0, 3.0):
                with monitor() as block:
                    block.log(width, "width", "feature", "numerical")

    assert [(own_id, features["width"]) for own_id, features, _ in results(telemetry)] == [
        ("r1", 1.0),
        ("r2:0", 2.0),
        ("r2:1", 3.0),
    ]


@pytest.mark.parametrize(
    "log",
    [
        lambda block: block.log(object(), "thing", "feature", "numerical"),
        lambda block: block.log(1.0, "width", "nonsense", "nonsense"),
        lambda block: block.log_batch(3, "width", "feature", "numerical"),
        lambda block: block.log_table([[1.0], [2.0]], {"width": "numerical"}),
        lambda block: (
            block.log(1.0, "a", "feature", "numerical"),
            block.log_batch([1, 2], "b", "feature", "numerical"),
        ),
        lambda _: None,
    ],
    ids=["object", "role", "scalar_batch", "table", "lengths", "nothing"],
)
def test_nothing_that_is_logged_raises(telemetry, monitor, log):
    """Monitoring is not what a request is for."""
    with monitor() as block:
        log(block)
    with monitor() as block:
        log_row(block, 2.0)

    assert summaries(telemetry).rows >= 1
    guard.reset()


def test_the_version_can_be_given(telemetry, monitor):
    """In the monitor's options; without it, a service that is not served from a bento has none."""
    with monitor("given", version="7") as block:
        log_row(block, 1.0)
    with monitor("none") as block:
        log_row(block, 1.0)

    assert summaries(telemetry, "given").model.version == "7"
    assert summaries(telemetry, "none").model.version == ""


@pytest.mark.slow
def test_bentoml_finds_the_class_by_its_name(sink):
    """In a real server: configured by its dotted name, each request's row under its id, batched or not."""
    command = [BIN / "bentoml", "serve", "services:Monitored", "--port", PORT]
    environment = {**sink.environment, "OTEL_PYTHON_ML_CAPTURE_EVENTS": "events"}

    def ask(number):
        headers = {"x-request-id": f"r{number}"}
        if number % 3 == 0:
            return server.post("/predict", {"row": {"width": number, "height": 1.0}}, headers)
        path = "/predict_many" if number % 3 == 1 else "/predict_one_by_one"
        return server.post(path, {"rows": [[float(number), 1.0]]}, headers)

    with ServerProcess(command, environment, cwd=services.HERE, ready="/readyz") as server:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(30)))
        server.stop()
        assert "otel-ml" not in server.output

    assert {answer.status for answer in answers} == {200}
    assert [answer.headers.get(semconv.PREDICTION_ID_HEADER) for answer in answers] == [f"r{n}" for n in range(30)]
    events = [attributes(record) for record in sink.log_records(semconv.EVENT_INFERENCE_RESULT)]
    by_id = {event[semconv.PREDICTION_ID]: event[semconv.INFERENCE_FEATURES]["width"] for event in events}
    assert by_id == {f"r{number}": float(number) for number in range(30)}
    told = [attributes(record) for record in sink.log_records(semconv.EVENT_LABEL)]
    assert {label[semconv.PREDICTION_ID]: label[semconv.LABEL_VALUE] for label in told} == {
        f"r{number}": number + 1.0 for number in range(2, 30, 3)
    }
    snapshots = [
        codec.decode(attributes(record)[semconv.SKETCH_PAYLOAD])
        for record in sink.log_records(semconv.EVENT_SKETCH_SNAPSHOT)
    ]
    assert rows_of(snapshots) == {"areas": 10, "many_areas": 10, "each_area": 10}
