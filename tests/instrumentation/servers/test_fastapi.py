"""FastAPI: requests around model calls, and requests that are recorded themselves."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import fastapi
import fastapi.applications
import fastapi.routing
import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.responses import JSONResponse, StreamingResponse
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from starlette.applications import Starlette
from starlette.routing import Mount

from otel_ml.config import Settings
from otel_ml.instrumentation import identity
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.instrumentation.servers.fastapi import FastAPIInstrumentor
from otel_ml.recording.inference import ModelInfo
from otel_ml.recording.recorder import get_recorder
from otel_ml.recording.request import request_scope
from otel_ml.sketch.feature import ModelKey

pytestmark = pytest.mark.usefixtures("fastapi_instrumented", "sklearn_instrumented")

FLOWER = {"values": [5.1, 3.5, 1.4, 0.2]}
X, Y = load_iris(return_X_y=True)
MODEL = LogisticRegression(max_iter=1000).fit(X, Y)


class Client:
    """Sends requests into an application without a socket; each call has an event loop of its own."""

    def __init__(self, app, *, raise_app_exceptions=True):
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=raise_app_exceptions)

    def post(self, path, **request):
        return asyncio.run(self._send("POST", path, **request))

    def get(self, path, **request):
        return asyncio.run(self._send("GET", path, **request))

    async def _send(self, method, path, **request):
        async with httpx.AsyncClient(transport=self._transport, base_url="http://test") as client:
            return await client.request(method, path, **request)


class Flower(BaseModel):
    values: list[float]


@pytest.fixture
def app():
    return FastAPI()


@pytest.fixture
def client(app, recorded):
    return Client(app)


# --- model calls in requests ------------------------------------------------------------------------------------------


def test_a_model_call_is_recorded_once_and_the_request_not(app, client, recorded):
    """Where a model hook saw the real matrix, request and response add nothing."""

    @app.post("/predict")
    def predict(flower: Flower) -> int:
        return int(MODEL.predict([flower.values])[0])

    assert client.post("/predict", json=FLOWER).json() == 0
    assert [(call.operation, call.features) for call in recorded] == [("predict", [FLOWER["values"]])]


@pytest.mark.parametrize("kind", ["async", "to_thread", "executor", "dependency", "background"])
def test_a_model_call_belongs_to_its_request_wherever_it_runs(app, client, recorded, ids_wanted, kind):
    """In the event loop, in threads, in pools, in dependencies and in background tasks."""
    pool = ThreadPoolExecutor(1)

    def answer(flower: Flower) -> int:
        return int(MODEL.predict([flower.values])[0])

    async def run(flower: Flower):
        if kind == "to_thread":
            return await asyncio.to_thread(answer, flower)
        if kind == "executor":
            return await asyncio.get_running_loop().run_in_executor(pool, answer, flower)
        return answer(flower)

    if kind == "dependency":

        @app.post("/predict")
        def from_dependency(answered: int = Depends(answer)):
            return {"prediction": answered}
    elif kind == "background":

        @app.post("/predict")
        def in_background(flower: Flower, tasks: BackgroundTasks):
            tasks.add_task(answer, flower)
            return {"prediction": 0}
    else:
        app.post("/predict")(run)

    client.post("/predict", json=FLOWER, headers={"x-request-id": "r-1"})
    pool.shutdown()

    assert [(call.model.key.name, call.prediction_id) for call in recorded] == [("LogisticRegression", "r-1")]


def test_outputs_of_one_input_share_features_and_id(app, client, recorded, ids_wanted):
    """predict and predict_proba on one object count its features once."""

    @app.post("/predict")
    def both(flower: Flower):
        rows = [flower.values]
        return {"label": int(MODEL.predict(rows)[0]), "scores": MODEL.predict_proba(rows)[0].tolist()}

    client.post("/predict", json=FLOWER, headers={"ce-id": "event"})

    assert [(call.operation, call.features is None, call.prediction_id) for call in recorded] == [
        ("predict", False, "event"),
        ("predict_proba", True, "event"),
    ]


def test_a_failing_model_is_one_failed_call(app, recorded):
    """The request is not recorded as answered, and the exception is the server's to handle."""

    @app.post("/predict")
    def predict(flower: Flower):
        return {"prediction": MODEL.predict([flower.values])}

    response = Client(app, raise_app_exceptions=False).post("/predict", json={"values": [1.0]})

    assert response.status_code == 500
    assert [(call.error_type, call.features) for call in recorded] == [("ValueError", None)]


def test_the_route_is_known_inside(app, client):
    """Templates, not paths: with routers and their prefixes."""
    seen = []
    router = APIRouter(prefix="/v1")

    @router.post("/models/{name}/predict")
    def predict(name: str, flower: Flower):
        seen.append((current_scope().route, current_scope().method))

    app.include_router(router, prefix="/api")
    client.post("/api/v1/models/iris/predict", json=FLOWER)

    assert seen == [("/api/v1/models/{name}/predict", "POST")]


# --- requests that are recorded themselves ----------------------------------------------------------------------------


def test_a_request_is_recorded_where_no_model_was_seen(app, client, recorded, ids_wanted):
    """A model that no hook knows is still seen from the outside."""

    @app.post("/opaque")
    def predict(flower: Flower):
        return {"prediction": sum(flower.values)}

    client.post("/opaque", json=FLOWER, headers={"x-request-id": "r-1"})

    (call,) = recorded
    assert call.model.key == ModelKey("predict")
    assert call.model.system == "fastapi"
    assert call.features == [FLOWER["values"]]
    assert call.predictions == [pytest.approx(10.2)]
    assert call.duration_s > 0
    assert call.prediction_id == "r-1"
    assert call.timestamp_unix_nano > 0


def test_an_endpoint_can_be_named(app, client, recorded):
    """set_model works on endpoint functions."""

    @app.post("/opaque")
    def predict(flower: Flower):
        return {"prediction": 1}

    identity.set_model(predict, "fraud", "3")
    client.post("/opaque", json=FLOWER)

    assert recorded[0].model.key == ModelKey("fraud", "3")


def test_requests_that_are_no_inferences_are_not_recorded(app, client, recorded):
    """GET, health, streams, ready-made responses, errors, and ordinary POST requests."""

    @app.get("/predict")
    def get_predict(value: float = 1.0):
        return {"prediction": value}

    @app.get("/health")
    def health():
        return {"score": 1}

    @app.post("/users")
    def create_user(user: dict):
        return {"id": 1}

    @app.post("/stream")
    def predict_stream(flower: Flower):
        return StreamingResponse(iter([b"1"]))

    @app.post("/response")
    def predict_response(flower: Flower):
        return JSONResponse({"prediction": 1})

    @app.post("/error")
    def predict_error(flower: Flower):
        raise HTTPException(418)

    @app.post("/generator")
    def predict_generator(flower: Flower):
        yield {"prediction": 1}

    statuses = [
        client.get("/predict").status_code,
        client.get("/health").status_code,
        client.post("/users", json={"name": "a"}).status_code,
        client.post("/stream", json=FLOWER).status_code,
        client.post("/response", json=FLOWER).status_code,
        client.post("/error", json=FLOWER).status_code,
        client.post("/generator", json=FLOWER).status_code,
        client.post("/error", json={"wrong": 1}).status_code,
    ]

    assert statuses == [200, 200, 200, 200, 200, 418, 200, 422]
    assert recorded == []


def test_what_the_user_records_is_not_recorded_again(app, client, recorded):
    """otel_ml.record() in an endpoint takes the place of request and response."""

    @app.post("/predict")
    def predict(flower: Flower):
        request_scope.get().recorded(ModelInfo(ModelKey("mine")))
        return {"prediction": 1}

    client.post("/predict", json=FLOWER)

    assert recorded == []


def test_excluded_urls_are_left_alone_by_every_layer(app, client, recorded, monkeypatch):
    """A warm-up request is not traffic, even if it calls the model."""
    monkeypatch.setattr(get_recorder(), "settings", Settings(excluded_urls="warmup, ^/internal/"))

    @app.post("/warmup")
    @app.post("/internal/predict")
    @app.post("/predict")
    def predict(flower: Flower):
        return int(MODEL.predict([flower.values])[0])

    for path in ("/warmup", "/internal/predict", "/predict"):
        client.post(path, json=FLOWER)

    assert len(recorded) == 1
    assert not inside.get()


# --- the framework does not notice ------------------------------------------------------------------------------------


def test_a_mounted_application_shares_the_request(app, client, recorded):
    """A FastAPI application inside another one is one request, and is recorded once."""
    inner = FastAPI()

    @inner.post("/predict")
    def predict(flower: Flower):
        return {"prediction": 1}

    app.mount("/inner", inner)
    client.post("/inner/predict", json=FLOWER)

    assert len(recorded) == 1


def test_a_router_in_another_kind_of_application_has_a_scope_of_its_own(recorded):
    """Where no FastAPI application stands around, the endpoint's run is the request."""
    router = APIRouter()

    @router.post("/predict")
    def predict(flower: Flower):
        return {"prediction": 1}

    middleware = pytest.importorskip("fastapi.middleware.asyncexitstack").AsyncExitStackMiddleware
    client = Client(Starlette(routes=[Mount("/", app=middleware(router))]))

    assert client.post("/predict", json=FLOWER).json() == {"prediction": 1}
    assert len(recorded) == 1


def test_concurrent_requests_do_not_share_ids(app, client, recorded, ids_wanted):
    """Each request's calls carry its own id, also while several are under way."""

    @app.post("/predict")
    def predict(flower: Flower):
        return int(MODEL.predict([flower.values])[0])

    with ThreadPoolExecutor(8) as pool:
        for number in range(32):
            pool.submit(client.post, "/predict", json=FLOWER, headers={"x-request-id": str(number)})

    assert sorted(int(call.prediction_id) for call in recorded) == list(range(32))


@pytest.mark.skipif(not hasattr(fastapi, "telemetry"), reason="FastAPI makes its own spans since 0.142")
def test_there_is_exactly_one_server_span(app, client, recorded):
    """FastAPI makes its own; the model's span is a child in its trace."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    previous = trace._TRACER_PROVIDER
    trace._TRACER_PROVIDER = provider

    @app.post("/predict")
    def predict(flower: Flower):
        return int(MODEL.predict([flower.values])[0])

    try:
        client.post("/predict", json=FLOWER)
    finally:
        trace._TRACER_PROVIDER = previous
        provider.shutdown()

    spans = exporter.get_finished_spans()
    (model_span,) = [span for span in spans if span.name == "predict LogisticRegression"]
    (server_span,) = [span for span in spans if span.kind is trace.SpanKind.SERVER]
    assert model_span.kind is trace.SpanKind.INTERNAL
    assert model_span.context.trace_id == server_span.context.trace_id
    assert model_span.parent is not None


def test_uninstrumenting_restores_the_original_objects():
    """The class and the module hold the very objects they held before."""
    FastAPIInstrumentor().uninstrument()
    call, run = vars(Starlette)["__call__"], fastapi.routing.run_endpoint_function
    FastAPIInstrumentor().instrument(skip_dep_check=True)
    patched = vars(Starlette)["__call__"], fastapi.routing.run_endpoint_function
    FastAPIInstrumentor().uninstrument()

    assert patched[0] is not call
    assert patched[1] is not run
    assert vars(Starlette)["__call__"] is call
    assert fastapi.routing.run_endpoint_function is run
