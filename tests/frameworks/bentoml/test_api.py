"""One request of a BentoML service, by every kind of API."""

import importlib

import pytest
from contracts.instrumentation import rows_of
from frameworks.bentoml import services

import otel_ml
from otel_ml import semconv
from otel_ml.instrumentation.servers.bentoml import BentoMLInstrumentor
from otel_ml.recording import guard

# BentoML uses what newer versions of its requirements deprecate.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROW = {"row": {"width": 2.0, "height": 3.0}}


def ask(client, path, body, request_id):
    answer = client.post(path, json=body, headers={"x-request-id": request_id})
    assert answer.status_code == 200, answer.text
    return answer


def attribute_of(path):
    """What a dotted path leads to."""
    module, kind, name = path.rsplit(".", 2)
    return vars(getattr(importlib.import_module(module), kind))[name]


def recorded(telemetry):
    """Model, id and prediction of every row, in order."""
    return [
        (
            event.attributes[semconv.MODEL_NAME],
            event.attributes[semconv.PREDICTION_ID],
            event.attributes[semconv.INFERENCE_PREDICTION],
        )
        for event in telemetry.events(semconv.EVENT_INFERENCE_RESULT)
    ]


@pytest.mark.parametrize("path", ["/predict", "/predict_async"])
def test_a_model_call_belongs_to_its_request(telemetry, serve, path):
    """In a thread of BentoML's or one of the service's own: the row has the request's id, its span the request's."""
    answer = ask(serve(services.Area), path, ROW, "r1")

    assert answer.headers[semconv.PREDICTION_ID_HEADER] == "r1"
    assert recorded(telemetry) == [("LinearRegression", "r1", pytest.approx(7.0))]
    (inference,) = [span for span in telemetry.spans() if semconv.MODEL_NAME in span.attributes]
    (server,) = [span for span in telemetry.spans() if span.parent is None and span.name == f"POST {path}"]
    assert inference.parent.span_id == server.context.span_id
    assert guard.failures() == {}


def test_bentoml_keeps_its_own_request_id(telemetry, serve):
    """It names the SERVER span, which now can be found."""
    answer = ask(serve(services.Area), "/predict", ROW, "r1")

    servers = {f"{span.context.span_id:016x}" for span in telemetry.spans() if span.parent is None}
    assert answer.headers["x-bentoml-request-id"] in servers


@pytest.mark.parametrize("path", ["/stream", "/stream_async"])
def test_a_stream_predicts_within_its_request(telemetry, serve, path):
    """Each call while the response is being sent is an inference of its own, under the request's id."""
    answer = ask(serve(services.Area), path, {"rows": 3}, "r1")

    assert answer.text == "1.0\n3.0\n5.0\n"
    assert [own_id for _, own_id, _ in recorded(telemetry)] == ["r1", "r1.1", "r1.2"]
    assert guard.failures() == {}


def test_a_services_exceptions_are_its_own(telemetry, serve):
    """Answered as without us, and nothing is recorded."""
    answer = serve(services.Area).post("/refuse", json=ROW)

    assert answer.status_code == 500
    assert semconv.PREDICTION_ID_HEADER not in answer.headers
    assert telemetry.snapshots() == []


def test_a_task_tells_its_id_with_the_result(telemetry, serve):
    """The model is called after the task was accepted: who asks for the result learns the id."""
    client = serve(services.Area)
    task_id = ask(client, "/later/submit", ROW, "r1").json()["task_id"]

    answer = client.get("/later/get", params={"task_id": task_id})

    assert answer.text == "7.0"
    assert answer.headers[semconv.PREDICTION_ID_HEADER] == "r1"
    assert recorded(telemetry) == [("LinearRegression", "r1", pytest.approx(7.0))]


def test_a_mounted_application_shares_the_request(telemetry, serve):
    """A FastAPI application in a service: one scope, one id, one row."""
    answer = ask(serve(services.Mounted), "/mounted/predict", {"width": 2.0, "height": 3.0}, "r1")

    assert answer.json() == {"area": 7.0}
    assert answer.headers[semconv.PREDICTION_ID_HEADER] == "r1"
    assert recorded(telemetry) == [("LinearRegression", "r1", pytest.approx(7.0))]


@pytest.mark.parametrize(
    "missing",
    [
        "_bentoml_sdk.method.APIMethod._local_call",
        "_bentoml_impl.server.app.ServiceAppFactory.batch_infer",
        "bentoml._internal.marshal.dispatcher.CorkDispatcher.split_job",
        "_bentoml_impl.client.http.HTTPClient._build_request",
    ],
)
def test_what_another_version_calls_differently_is_skipped(telemetry, serve, monkeypatch, caplog, missing):
    """One line in the log, and the rest works."""
    BentoMLInstrumentor().uninstrument()
    original = attribute_of(missing)
    with monkeypatch.context() as another_version:
        another_version.delattr(missing)
        BentoMLInstrumentor().instrument(skip_dep_check=True)
    assert attribute_of(missing) is original

    answer = ask(serve(services.Area), "/predict", ROW, "r1")

    assert answer.headers[semconv.PREDICTION_ID_HEADER] == "r1"
    assert recorded(telemetry) == [("LinearRegression", "r1", pytest.approx(7.0))]
    assert sum(guard.failures().values()) == 1
    assert len([record for record in caplog.records if record.name == "otel_ml"]) == 1
    guard.reset()


# --- models that no hook knows ----------------------------------------------------------------------------------------


def test_an_unknown_models_request_is_recorded(telemetry, serve):
    """Validated arguments and the answer, under the names of service and API."""
    answer = ask(serve(services.OwnArea), "/predict", ROW, "r1")

    assert answer.headers[semconv.PREDICTION_ID_HEADER] == "r1"
    assert recorded(telemetry) == [("OwnArea.predict", "r1", 6.0)]
    (event,) = telemetry.events(semconv.EVENT_INFERENCE_RESULT)
    assert event.attributes[semconv.INFERENCE_FEATURES] == {"width": 2.0, "height": 3.0}


@pytest.mark.parametrize("api", ["table", "batched"])
def test_an_arrays_rows_are_recorded_whatever_the_api_is_called(telemetry, serve, api):
    """An array with one output a row: also from within a batch, where each request has its own rows."""
    ask(serve(services.OwnArea), f"/{api}", {"rows": [[1.0, 2.0], [3.0, 4.0]]}, "r1")

    assert recorded(telemetry) == [(f"OwnArea.{api}", "r1:0", 2.0), (f"OwnArea.{api}", "r1:1", 12.0)]


def test_what_predicts_nothing_is_not_recorded(telemetry, serve):
    """A name that is greeted is no feature."""
    answer = ask(serve(services.OwnArea), "/greet", {"name": "Ada"}, "r1")

    assert semconv.PREDICTION_ID_HEADER not in answer.headers
    assert telemetry.snapshots() == []


def test_a_service_can_be_named(telemetry, serve):
    """`set_model` wins over the names of service and API."""
    otel_ml.set_model(services.OwnArea.apis["predict"], "areas", "3")
    ask(serve(services.OwnArea), "/predict", ROW, "r1")

    assert recorded(telemetry) == [("areas", "r1", 6.0)]
    otel_ml.set_model(services.OwnArea.apis["predict"], "OwnArea.predict")


# --- services that depend on others, in one process -------------------------------------------------------------------


def test_a_dependencys_model_call_is_one_inference(telemetry, serve):
    """However many services a request goes through."""
    ask(serve(services.Gateway), "/predict", ROW, "r1")

    assert recorded(telemetry) == [("LinearRegression", "r1", pytest.approx(7.0))]


def test_two_calls_of_a_dependency_are_two_inferences(telemetry, serve):
    """Told apart by their ids."""
    ask(serve(services.Gateway), "/predict_twice", ROW, "r1")

    assert [own_id for _, own_id, _ in recorded(telemetry)] == ["r1", "r1.1"]


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        ("/predict_own", ROW, "OwnArea.predict"),  # both read as inferences
        ("/predict_greeting", {"name": "Ada"}, "Gateway.predict_greeting"),  # the inner one does not
    ],
)
def test_of_a_chain_of_calls_the_innermost_inference_is_recorded(telemetry, serve, path, body, model):
    """It is the closest to a model that no hook knows."""
    ask(serve(services.Gateway), path, body, "r1")

    assert [(name, own_id) for name, own_id, _ in recorded(telemetry)] == [(model, "r1")]


def test_a_service_that_asks_itself_serves_one_request(telemetry, serve):
    """Through its own server: the id is handed on, and nothing is recorded twice."""
    answer = ask(serve(services.Gateway), "/predict_itself", ROW, "r1")

    assert answer.text == "7.0"
    assert rows_of(telemetry.snapshots()) == {"LinearRegression": 1}
    assert [own_id for _, own_id, _ in recorded(telemetry)] == ["r1"]
