"""Flask: requests around model calls, and requests that are recorded themselves."""

import io

import pytest
from flask import Blueprint, Flask, Response, jsonify, make_response, request, send_file, stream_with_context
from flask.views import MethodView
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from otel_ml.config import Settings
from otel_ml.instrumentation import identity
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.instrumentation.servers.flask import FlaskInstrumentor
from otel_ml.recording.recorder import get_recorder
from otel_ml.recording.request import request_scope
from otel_ml.sketch.feature import ModelKey

FLOWER = {"values": [5.1, 3.5, 1.4, 0.2]}
X, Y = load_iris(return_X_y=True)
MODEL = LogisticRegression(max_iter=1000).fit(X, Y)


@pytest.fixture(autouse=True)
def instrumented(sklearn_instrumented):
    FlaskInstrumentor().instrument(skip_dep_check=True)
    yield
    if FlaskInstrumentor().is_instrumented_by_opentelemetry:
        FlaskInstrumentor().uninstrument()


@pytest.fixture
def app():
    return Flask("flowers")


@pytest.fixture
def client(app, recorded):
    return app.test_client()


def label_of(flower):
    return int(MODEL.predict([flower["values"]])[0])


# --- model calls in requests ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["view", "blueprint", "before_request", "after_request", "class"])
def test_a_model_call_belongs_to_its_request_wherever_it_runs(app, client, recorded, ids_wanted, variant):
    """In views, blueprints, view classes, and before and after them."""

    def predict(response=None):
        label_of(request.get_json())
        return response

    def view():
        if variant not in ("before_request", "after_request"):
            predict()
        return {"label": 0}

    if variant == "blueprint":
        blueprint = Blueprint("api", __name__, url_prefix="/api")
        blueprint.post("/predict")(view)
        app.register_blueprint(blueprint)
    elif variant == "class":

        class View(MethodView):
            def post(self):
                return view()

        app.add_url_rule("/api/predict", view_func=View.as_view("predict"))
    else:
        app.post("/api/predict")(view)
    if variant == "before_request":
        app.before_request(predict)
    if variant == "after_request":
        app.after_request(predict)

    response = client.post("/api/predict", json=FLOWER, headers={"x-request-id": "r-1"})

    assert response.json == {"label": 0}
    assert response.headers["x-prediction-id"] == "r-1"
    assert [(call.model.key.name, call.prediction_id) for call in recorded] == [("LogisticRegression", "r-1")]


@pytest.mark.parametrize("with_context", [True, False])
def test_a_streams_model_calls_belong_to_its_request(app, client, recorded, ids_wanted, with_context):
    """Pieces are made after the view has returned; the thread is left as it was between them."""

    @app.post("/stream")
    def stream():
        flower = request.get_json()

        def pieces():
            for _ in range(3):
                yield f"{label_of(flower)}\n"

        return Response(stream_with_context(pieces()) if with_context else pieces())

    response = client.post("/stream", json=FLOWER, headers={"ce-id": "event"}, buffered=False)
    between = []
    body = []
    for piece in response.iter_encoded():
        body.append(piece)
        between.append((request_scope.get(), inside.get()))

    assert b"".join(body) == b"0\n0\n0\n"
    assert set(between) == {(None, False)}
    assert [call.prediction_id for call in recorded] == ["event", "event.1", "event.2"]
    assert "x-prediction-id" not in response.headers


def test_a_stream_that_the_client_leaves_ends_its_request(app, client, recorded, ids_wanted):
    """The server closes the response; the generator's own clean-up still runs in the request."""
    ended = []

    @app.post("/stream")
    def stream():
        def pieces():
            scope = current_scope()
            try:
                while True:
                    yield "piece"
            finally:
                ended.append((scope, current_scope() is scope))

        return Response(pieces())

    response = client.post("/stream", json=FLOWER, buffered=False)
    next(iter(response.iter_encoded()))
    response.close()

    ((scope, still_inside),) = ended
    assert still_inside
    assert scope.closed
    assert request_scope.get() is None


def test_a_failing_model_is_one_failed_call(app, client, recorded):
    """Flask answers 500 as before, and the request is not recorded as answered."""
    app.post("/predict")(lambda: {"prediction": label_of(request.get_json())})

    response = client.post("/predict", json={"values": [1.0]})

    assert response.status_code == 500
    assert [(call.error_type, call.features) for call in recorded] == [("ValueError", None)]


def test_the_users_error_handlers_see_the_same_exception(app, client, recorded):
    """Handlers, status codes and debug propagation are Flask's."""

    class TooSmallError(Exception):
        pass

    raised = TooSmallError()

    @app.post("/predict")
    def predict():
        raise raised

    app.errorhandler(TooSmallError)(lambda error: (f"handled {error is raised}", 418))
    handled = client.post("/predict", json=FLOWER)
    app.config["PROPAGATE_EXCEPTIONS"] = True

    assert (handled.status_code, handled.text) == (418, "handled True")
    assert recorded == []

    bare = Flask("bare")
    bare.testing = True
    bare.post("/predict")(predict)
    with pytest.raises(TooSmallError):
        bare.test_client().post("/predict", json=FLOWER)
    assert request_scope.get() is None


def test_the_route_is_known_inside(app, client):
    """Templates, not paths."""
    seen = []

    @app.post("/models/<name>/predict")
    def predict(name):
        seen.append((current_scope().route, current_scope().method))
        return "ok"

    client.post("/models/iris/predict", json=FLOWER)

    assert seen == [("/models/<name>/predict", "POST")]


# --- requests that are recorded themselves ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        lambda: {"prediction": 3},
        lambda: jsonify(prediction=3),
        lambda: ({"prediction": 3}, 200),
        lambda: (jsonify(prediction=3), 201, {"x-mine": "1"}),
        lambda: make_response(jsonify(prediction=3)),
    ],
    ids=["dict", "jsonify", "tuple", "tuple of response", "make_response"],
)
def test_a_request_is_recorded_where_no_model_was_seen(app, client, recorded, ids_wanted, answer):
    """However the view answers, and the header tells the id."""

    @app.post("/opaque")
    def predict():
        request.get_json()
        return answer()

    response = client.post("/opaque", json={"width": 2.0}, headers={"x-request-id": "r-1"})
    response.close()

    assert response.json == {"prediction": 3}
    assert response.headers["x-prediction-id"] == "r-1"
    (call,) = recorded
    assert call.model.key == ModelKey("predict")
    assert call.model.system == "flask"
    assert (call.features, call.predictions, call.prediction_id) == ([{"width": 2.0}], [3], "r-1")
    assert call.duration_s > 0


def test_a_view_can_be_named(app, client, recorded):
    """set_model works on views."""

    @app.post("/opaque")
    def predict():
        return {"prediction": request.json["width"]}

    identity.set_model(predict, "fraud", "3")
    client.post("/opaque", json={"width": 2.0}).close()

    assert recorded[0].model.key == ModelKey("fraud", "3")


def test_requests_that_are_no_inferences_are_not_recorded(app, client, recorded):
    """GET, ordinary POST requests, errors, streams, files, forms, uploads, and bodies nobody read."""

    @app.route("/predict", methods=["GET", "POST", "DELETE"])
    def predict():
        return {"prediction": (request.get_json(silent=True) or {}).get("width", 1)}

    @app.post("/users")
    def create_user():
        return {"id": 1, "name": request.json["name"]}

    @app.post("/unread")
    def predict_unread():
        return {"prediction": 1}

    @app.post("/refused")
    def predict_refused():
        return {"prediction": request.json["width"]}, 422

    @app.post("/stream")
    def predict_stream():
        request.get_json()
        return Response(iter(['{"prediction": 1}']), mimetype="application/json")

    @app.post("/form")
    def predict_form():
        return {"prediction": float(request.form["width"])}

    @app.post("/upload")
    def predict_upload():
        return {"prediction": len(request.files["picture"].read())}

    @app.post("/file")
    def predict_file():
        request.get_json()
        return send_file(io.BytesIO(b"12"), mimetype="application/json")

    statuses = [
        client.get("/predict").status_code,
        client.delete("/predict", json={"width": 1}).status_code,
        client.post("/users", json={"name": "a"}).status_code,
        client.post("/unread", json={"width": 1}).status_code,
        client.post("/refused", json={"width": 1}).status_code,
        client.post("/stream", json={"width": 1}).status_code,
        client.post("/form", data={"width": "1"}).status_code,
        client.post("/upload", data={"picture": (io.BytesIO(b"1"), "a.png")}).status_code,
        client.post("/file", json={"width": 1}).status_code,
        client.post("/predict", data=b"{", content_type="application/json").status_code,
        client.options("/predict").status_code,
        client.post("/nowhere", json={}).status_code,
    ]

    assert statuses == [200, 200, 200, 200, 422, 200, 200, 200, 200, 200, 200, 404]
    assert recorded == []


def test_excluded_urls_are_left_alone_by_every_layer(app, client, recorded, monkeypatch):
    """A warm-up request is not traffic, even if it calls the model, in its view or while it streams."""
    monkeypatch.setattr(get_recorder(), "settings", Settings(excluded_urls="warmup, ^/internal/"))

    @app.post("/warmup")
    @app.post("/predict")
    def predict():
        return {"label": label_of(request.json)}

    @app.post("/internal/stream")
    def stream():
        flower = request.json
        return Response(str(label_of(flower)) for _ in range(2))

    for path in ("/warmup", "/internal/stream", "/predict"):
        assert client.post(path, json=FLOWER).status_code == 200

    assert len(recorded) == 1
    assert not inside.get()


# --- the framework does not notice ------------------------------------------------------------------------------------


def test_an_application_inside_of_another_shares_the_request(app, client, recorded):
    """Each application of a dispatcher serves its own requests; a view that forwards to one stays one request."""
    inner = Flask("inner")

    @inner.post("/predict")
    def predict():
        return {"prediction": request.json["width"]}

    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/inner": inner})

    @app.post("/forward")
    def forward():
        return inner.wsgi_app({**request.environ, "PATH_INFO": "/predict"}, lambda *_: None)

    assert client.post("/inner/predict", json={"width": 1}).json == {"prediction": 1}
    assert len(recorded) == 1


def test_the_applications_own_header_stays(app, client, recorded):
    """Who sets x-prediction-id decides it."""

    @app.post("/predict")
    def predict():
        return {"label": label_of(request.json)}, 200, {"X-Prediction-Id": "mine"}

    response = client.post("/predict", json=FLOWER)

    assert response.headers.getlist("x-prediction-id") == ["mine"]


def test_a_file_is_still_the_servers_to_send(app, recorded):
    """Servers recognise a file by its class and send it without Python: it must reach them unwrapped."""

    class FileWrapper:
        def __init__(self, file, size=8192):
            self.file = file

        def __iter__(self):
            return iter([self.file.read()])

    app.get("/file")(lambda: send_file(io.BytesIO(b"1"), mimetype="text/plain"))
    environ = {**app.test_request_context("/file").request.environ, "wsgi.file_wrapper": FileWrapper}

    body = app(environ, lambda *_: None)

    assert type(body) is FileWrapper
    assert request_scope.get() is None


def test_uninstrumenting_restores_the_original_objects():
    """The class holds the very functions it held before."""
    FlaskInstrumentor().uninstrument()
    before = Flask.wsgi_app, Flask.dispatch_request
    FlaskInstrumentor().instrument(skip_dep_check=True)
    during = Flask.wsgi_app, Flask.dispatch_request
    FlaskInstrumentor().uninstrument()

    assert all(now is not original for now, original in zip(during, before, strict=True))
    assert (Flask.wsgi_app, Flask.dispatch_request) == before
