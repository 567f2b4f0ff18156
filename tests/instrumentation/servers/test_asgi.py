"""What FastAPI and Starlette have in common: streams, websockets, disconnects, mounted applications, headers."""

import asyncio
import contextlib
import gc
import json
import weakref
from typing import Annotated

import pytest
from fastapi import FastAPI, File, Form, Request, UploadFile, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, StreamingResponse
from instrumentation.servers.asgi_exchange import Exchange, ask
from opentelemetry import trace
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount, Route

from otel_ml.config import Settings
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.instrumentation.servers.fastapi import FastAPIInstrumentor
from otel_ml.instrumentation.servers.starlette import StarletteInstrumentor
from otel_ml.recording import delivery
from otel_ml.recording.recorder import get_recorder
from otel_ml.testing import captured_telemetry

FLOWER = [5.1, 3.5, 1.4, 0.2]
X, Y = load_iris(return_X_y=True)
MODEL = LogisticRegression(max_iter=1000).fit(X, Y)


@pytest.fixture(autouse=True)
def instrumented(sklearn_instrumented, fastapi_instrumented):
    StarletteInstrumentor().instrument(skip_dep_check=True)
    yield
    if StarletteInstrumentor().is_instrumented_by_opentelemetry:
        StarletteInstrumentor().uninstrument()


def label():
    return int(MODEL.predict([FLOWER])[0])


# --- streams ----------------------------------------------------------------------------------------------------------


def streaming_apps():
    def pieces():
        for _ in range(3):
            yield f"{label()}\n"

    async def async_pieces():
        for _ in range(3):
            await asyncio.sleep(0)
            yield f"{label()}\n"

    app = FastAPI()
    app.post("/pieces")(lambda: StreamingResponse(pieces()))
    app.post("/async_pieces")(lambda: StreamingResponse(async_pieces()))

    @app.post("/generator")
    def generator():
        for _ in range(3):
            yield {"label": label()}

    @app.post("/async_generator")
    async def async_generator():
        for _ in range(3):
            await asyncio.sleep(0)
            yield {"label": label()}

    with contextlib.suppress(ImportError):
        from fastapi.sse import EventSourceResponse

        app.post("/events", response_class=EventSourceResponse)(async_generator)
    return app


@pytest.mark.parametrize("path", ["/pieces", "/async_pieces", "/generator", "/async_generator", "/events"])
@pytest.mark.parametrize("middleware", [False, True])
def test_a_streams_model_calls_belong_to_its_request(recorded, ids_wanted, caplog, path, middleware):
    """All inferences carry the id; the header can tell it only where the response waits for a prediction to begin."""
    app = streaming_apps()
    if path not in {route.path for route in app.routes}:
        pytest.skip("this FastAPI has no server-sent events")
    if middleware:

        async def dispatch(request, call_next):
            return await call_next(request)

        app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)

    answer = ask(app, path, headers={"x-request-id": "r-1"})

    assert answer.body().count(b"0") >= 3
    assert answer.told() in ("", "r-1")
    assert [call.prediction_id for call in recorded] == ["r-1", "r-1.1", "r-1.2"]
    assert "Failed to detach context" not in caplog.text


@pytest.mark.parametrize("path", ["/pieces", "/async_pieces", "/generator", "/async_generator", "/events"])
@pytest.mark.parametrize("leaving", ["disconnect", "cancel"])
def test_a_client_that_leaves_breaks_nothing(caplog, path, leaving):
    """Nothing is left set, no span open, no context undetachable, whoever ends the stream and from wherever."""
    app = streaming_apps()
    if path not in {route.path for route in app.routes}:
        pytest.skip("this FastAPI has no server-sent events")

    async def leave():
        exchange = Exchange(app, path)
        task = asyncio.create_task(exchange.run())
        while len(exchange.sent) < 2 and not task.done():  # noqa: ASYNC110 - the application's steps are what is awaited
            await asyncio.sleep(0)
        if leaving == "disconnect":
            exchange.given.put_nowait({"type": "http.disconnect"})
        else:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return current_scope(), inside.get()

    with captured_telemetry() as telemetry:
        assert asyncio.run(leave()) == (None, False)
        gc.collect()
        asked = len([span for span in telemetry.spans() if span.name == "predict LogisticRegression"])
        rows = sum(snapshot.rows for snapshot in telemetry.snapshots())

    assert asked == rows >= 1
    assert "Failed to detach context" not in caplog.text
    assert [record for record in caplog.records if record.name == "otel_ml"] == []


# --- websockets -------------------------------------------------------------------------------------------------------


def talk(app, path, messages):
    async def run():
        exchange = Exchange(app, path, kind="websocket")
        exchange.given.put_nowait({"type": "websocket.connect"})
        for message in messages:
            exchange.given.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})
        exchange.given.put_nowait({"type": "websocket.disconnect", "code": 1000})
        return await exchange.run()

    return asyncio.run(run())


def websocket_app(seen):
    app = FastAPI()

    @app.websocket("/talk")
    @app.websocket("/internal")
    async def chat(socket: WebSocket):
        await socket.accept()
        async for _ in socket.iter_json():
            seen.append(current_scope())
            await socket.send_json(label())

    return app


def test_in_a_websocket_each_model_call_stands_alone(recorded, ids_wanted):
    """A connection may live for days: its messages are not one request, and have no id that anybody could name."""
    seen = []

    talk(websocket_app(seen), "/talk", [FLOWER] * 3)

    assert seen == [None] * 3
    assert [(call.features, call.prediction_id) for call in recorded] == [([FLOWER], None)] * 3


def test_excluded_websockets_are_left_alone(recorded, monkeypatch):
    """As requests are, until they are closed."""
    monkeypatch.setattr(get_recorder(), "settings", Settings(excluded_urls="^/internal"))

    talk(websocket_app([]), "/internal", [FLOWER] * 3)

    assert recorded == []
    assert not inside.get()


# --- bodies that are never recorded -----------------------------------------------------------------------------------


def test_forms_and_uploads_are_never_recorded(recorded):
    """They hold passwords and pictures; what a model made of them is seen by the model's hook."""
    app = FastAPI()

    @app.post("/predict/form")
    def predict_form(width: Annotated[float, Form()]):
        return {"prediction": width}

    @app.post("/predict/upload")
    async def predict_upload(picture: UploadFile, note: Annotated[str, Form()]):
        return {"prediction": len(await picture.read())}

    @app.post("/predict/file")
    def predict_file(picture: Annotated[bytes, File()]):
        return {"prediction": len(picture)}

    def part(name, content, filename=""):
        return f'--b\r\ncontent-disposition: form-data; name="{name}"{filename}\r\n\r\n{content}\r\n'

    multipart = {"content-type": "multipart/form-data; boundary=b"}
    upload = (part("picture", "abc", '; filename="a.png"') + part("note", "x") + "--b--\r\n").encode()
    form = {"content-type": "application/x-www-form-urlencoded"}

    answers = [
        ask(app, "/predict/form", body=b"width=2.5", headers=form),
        ask(app, "/predict/upload", body=upload, headers=multipart),
        ask(app, "/predict/file", body=upload, headers=multipart),
    ]

    assert [json.loads(answer.body()) for answer in answers] == [
        {"prediction": 2.5},
        {"prediction": 3},
        {"prediction": 3},
    ]
    assert recorded == []


# --- applications in applications -------------------------------------------------------------------------------------


async def starlette_endpoint(request: Request):
    scope = current_scope()
    return JSONResponse({"label": label(), "id": scope.prediction_id, "count": scope.count})


def test_a_starlette_application_alone_gives_model_calls_their_request(recorded, ids_wanted):
    """Its requests are not recorded themselves: nobody but the endpoint knows its body."""
    app = Starlette(routes=[Route("/predict", starlette_endpoint, methods=["POST"])])

    answer = ask(app, "/predict", body=b'{"a": 1}', headers={"ce-id": "event"})

    assert json.loads(answer.body()) == {"label": 0, "id": "event", "count": 1}
    assert answer.told() == "event"
    assert [call.prediction_id for call in recorded] == ["event"]


@pytest.mark.parametrize("outer", [Starlette, FastAPI])
@pytest.mark.parametrize("inner", [Starlette, FastAPI])
def test_mounted_applications_share_one_request(recorded, outer, inner):
    """A FastAPI application is a Starlette application: whichever hooks are in the way, there is one scope."""
    mounted = inner(routes=[Route("/predict", starlette_endpoint, methods=["POST"])])
    app = outer(routes=[Mount("/v1", mounted)])

    answer = ask(app, "/v1/predict", headers={"x-request-id": "r-1"})

    assert json.loads(answer.body()) == {"label": 0, "id": "r-1", "count": 1}
    assert [name for name, _ in answer.sent[0]["headers"]].count(b"x-prediction-id") == 1
    assert len(recorded) == 1


def test_starlettes_hook_serves_fastapi_where_its_own_is_off(recorded):
    """OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=otel_ml_fastapi leaves the request."""
    FastAPIInstrumentor().uninstrument()
    app = FastAPI(routes=[Route("/predict", starlette_endpoint, methods=["POST"])])

    answer = ask(app, "/predict", headers={"x-request-id": "r-1"})

    assert answer.told() == "r-1"


def test_the_end_of_an_application_delivers_once(monkeypatch):
    """Before the server is told: it may end the process in the next moment."""
    order = []
    monkeypatch.setattr(delivery, "deliver", lambda: order.append("deliver"))

    async def live():
        given = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive():
            return {"type": next(given)}

        async def send(message):
            order.append(message["type"])

        await FastAPI()({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

    asyncio.run(live())

    assert order == ["lifespan.startup.complete", "deliver", "lifespan.shutdown.complete"]


# --- headers ----------------------------------------------------------------------------------------------------------


def predicting(response):
    app = FastAPI()

    @app.post("/predict")
    def predict():
        label()
        return response() if callable(response) and not isinstance(response, JSONResponse) else response

    return app


def test_the_applications_own_header_stays(recorded):
    """Who sets x-prediction-id decides it, in whatever case."""
    app = predicting(lambda: JSONResponse({}, headers={"X-Prediction-ID": "mine"}))

    answer = ask(app, "/predict", headers={"x-request-id": "r-1"})

    assert [value for name, value in answer.sent[0]["headers"] if name == b"x-prediction-id"] == [b"mine"]


def test_a_response_object_that_is_used_again_collects_no_ids(recorded):
    """Each response is told its own id, and the object stays what it was."""
    response = JSONResponse({})
    headers = list(response.raw_headers)
    app = predicting(response)

    told = [ask(app, "/predict", headers={"x-request-id": name}).told() for name in ("a", "b")]

    assert told == ["a", "b"]
    assert response.raw_headers == headers


def test_requests_across_origins_are_answered_as_before(recorded):
    """The header is added behind the CORS middleware: preflights have none, and nothing of what it says changes."""
    app = predicting({})
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["https://a.example"],
        allow_methods=["POST"],
        expose_headers=["x-prediction-id"],
    )
    preflight = {"origin": "https://a.example", "access-control-request-method": "POST"}

    allowed = ask(app, "/predict", method="OPTIONS", headers=preflight)
    answered = ask(app, "/predict", headers={"origin": "https://a.example", "x-request-id": "r-1"})

    assert b"x-prediction-id" not in dict(allowed.sent[0]["headers"])
    assert answered.told() == "r-1"
    assert dict(answered.sent[0]["headers"])[b"access-control-expose-headers"] == b"x-prediction-id"
    assert dict(answered.sent[0]["headers"])[b"access-control-allow-origin"] == b"https://a.example"


def test_the_header_can_be_renamed_and_left_out(recorded, monkeypatch):
    """OTEL_PYTHON_ML_PREDICTION_ID_HEADER."""
    app = predicting({})

    monkeypatch.setattr(get_recorder(), "settings", Settings(prediction_id_header="x-mine"))
    renamed = ask(app, "/predict", headers={"x-request-id": "r-1"})
    monkeypatch.setattr(get_recorder(), "settings", Settings(prediction_id_header=""))
    left_out = ask(app, "/predict", headers={"x-request-id": "r-1"})

    assert dict(renamed.sent[0]["headers"])[b"x-mine"] == b"r-1"
    assert renamed.told() == left_out.told() == ""


# --- spans ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_models_span_is_a_child_of_what_the_framework_has_open(kind):
    """FastAPI's own spans, or those of a middleware such as contrib's: never a SERVER span of ours."""
    app = FastAPI()

    async def dispatch(request, call_next):
        with trace.get_tracer("middleware").start_as_current_span("request", kind=trace.SpanKind.SERVER):
            return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    if kind == "sync":
        app.post("/predict")(label)
    else:

        @app.post("/predict")
        async def predict():
            return label()

    with captured_telemetry() as telemetry:
        ask(app, "/predict")
        spans = {span.context.span_id: span for span in telemetry.spans()}

    (model,) = [span for span in spans.values() if span.name == "predict LogisticRegression"]
    ancestors = []
    span = model
    while span.parent is not None:
        span = spans[span.parent.span_id]
        ancestors.append(span.name)
    assert "request" in ancestors
    assert model.kind is trace.SpanKind.INTERNAL
    assert {one.instrumentation_scope.name for one in spans.values() if one.kind is trace.SpanKind.SERVER} <= {
        "middleware",
        "fastapi",
    }


def test_a_task_left_behind_keeps_nothing_of_the_server(recorded):
    """It inherits the request's context for as long as it lives; the connection must not live as long."""
    app = FastAPI()
    tasks = []

    @app.post("/predict")
    async def predict():
        tasks.append(asyncio.create_task(asyncio.sleep(60)))
        return {"label": label()}

    class Message(dict):
        """An ASGI scope that can be watched."""

    async def serve():
        asgi = Message(type="http", method="POST", path="/predict", headers=[], query_string=b"", root_path="")

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_):
            pass

        watched = [weakref.ref(asgi), weakref.ref(send)]
        await app(asgi, receive, send)
        return watched

    async def run():
        watched = await serve()
        gc.collect()
        alive = [reference() is not None for reference in watched]
        for task in tasks:
            task.cancel()
        return alive

    assert asyncio.run(run()) == [False, False]
    assert len(recorded) == 1
