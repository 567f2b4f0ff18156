"""Nobody notices us: absent frameworks, broken or missing SDKs, hooks that raise, scikit-learn's own checks."""

import os
import subprocess
import sys
import textwrap

import pytest
from opentelemetry import _logs, metrics, trace
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import otel_ml
from otel_ml import semconv
from otel_ml.instrumentation.requests import asgi, serving
from otel_ml.recording import guard
from otel_ml.recording.recorder import get_recorder
from otel_ml.sketch import codec
from otel_ml.testing import captured_telemetry

PRELUDE = """
import asyncio, importlib.metadata, json, sys, threading

class Absent:
    # As in an environment where it was never installed: neither modules nor metadata.
    def __init__(self, modules, distributions):
        self.modules, self.distributions = modules, distributions

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    def hide(self):
        sys.meta_path.insert(0, self)
        finder = importlib.metadata.MetadataPathFinder
        find = finder.find_distributions
        finder.find_distributions = classmethod(
            lambda cls, *args, **kwargs: [
                one for one in find(*args, **kwargs) if (one.metadata["Name"] or "").lower() not in self.distributions
            ]
        )

def ask_fastapi():
    from fastapi import FastAPI
    app = FastAPI()
    @app.post("/predict")
    async def predict_fastapi(body: dict):
        return {"prediction": 1}
    return asgi(app)

def ask_starlette():
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    async def predict(request):
        return JSONResponse(await request.json())
    return asgi(Starlette(routes=[Route("/predict", predict, methods=["POST"])]))

def asgi(app):
    sent = []
    async def receive():
        return {"type": "http.request", "body": b'{"width": 1.0}'}
    async def send(message):
        sent.append(message)
    scope = {"type": "http", "method": "POST", "path": "/predict", "query_string": b"", "http_version": "1.1",
             "headers": [(b"content-type", b"application/json"), (b"x-request-id", b"r")], "root_path": ""}
    asyncio.run(app(scope, receive, send))
    return sent[1]["body"].decode(), sent[0]["status"], sorted(name.decode() for name, _ in sent[0]["headers"])

def ask_flask():
    from flask import Flask, request
    app = Flask("app")
    @app.post("/predict")
    def predict_flask():
        return {"prediction": request.json["width"]}
    with app.test_client().post("/predict", json={"width": 1.0}, headers={"x-request-id": "r"}) as answer:
        return answer.text, answer.status_code, sorted(name.lower() for name in answer.headers.keys())

def ask_sklearn():
    from sklearn.linear_model import LinearRegression
    return LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0]).predict([[3.0]]).round(6).tolist()

def ask_grpc():
    import grpc
    from concurrent.futures import ThreadPoolExecutor
    server = grpc.server(ThreadPoolExecutor(1))
    handler = grpc.unary_unary_rpc_method_handler(lambda request, context: request[::-1])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", {"Predict": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        answer = channel.unary_unary("/a.B/Predict")(b"ab", timeout=30)
    server.stop(None).wait()
    return answer.decode()

ASK = {name.removeprefix("ask_"): ask for name, ask in dict(globals()).items() if name.startswith("ask_")}
"""

HIDDEN = {
    "fastapi": ("fastapi",),
    "starlette": ("fastapi", "starlette"),
    "flask": ("flask", "werkzeug"),
    "sklearn": ("sklearn", "scikit-learn"),
    "grpc": ("grpc", "grpcio"),
}
RECORDED_AS = {"fastapi": "predict_fastapi", "flask": "predict_flask", "sklearn": "LinearRegression"}


def run(script, **environment):
    """What a fresh interpreter prints; it must neither fail nor warn."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**clean, "PYTHONWARNINGS": "ignore", "GRPC_VERBOSITY": "NONE", **environment},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("absent", HIDDEN)
def test_with_one_framework_absent_the_others_are_still_recorded(absent):
    """The wheel holds instrumentors of frameworks the user does not have; those he has work."""
    gone = HIDDEN[absent]
    present = [name for name in HIDDEN if not {name, *HIDDEN[name]} & set(gone)]

    output = run(f"""
        Absent({gone!r}, {gone!r}).hide()
        from otel_ml.config import Settings
        from otel_ml.instrumentation import instrument_all
        from otel_ml.testing import captured_telemetry
        from otel_ml.recording import guard
        instrument_all(Settings())
        with captured_telemetry() as telemetry:
            for name in {present!r}:
                ASK[name]()
            for name in {gone!r}:
                try:
                    __import__(name)
                except ModuleNotFoundError:
                    pass
                else:
                    raise AssertionError(name)
            print(sorted(snapshot.model.name for snapshot in telemetry.snapshots()), dict(guard.failures()))
    """)

    expected = sorted(RECORDED_AS[name] for name in present if name in RECORDED_AS)
    assert output.strip() == f"{expected} {{}}"


ANSWERS = """
    print(json.dumps([ask() for name, ask in sorted(ASK.items())]))
    print([thread.name for thread in threading.enumerate() if "otel" in thread.name.lower()])
"""


@pytest.mark.parametrize(
    "environment",
    [{}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_PYTHON_ML_ENABLED": "false"}],
    ids=["no SDK", "disabled", "off"],
)
def test_without_a_use_for_it_there_is_no_thread_and_no_error(environment):
    """Only the API, or switched off: bodies and statuses are identical, and nothing runs."""
    bare = run(ANSWERS)
    instrumented = run("    import otel_ml; otel_ml.instrument()\n" + ANSWERS, **environment)

    told = instrumented.replace(', "x-prediction-id"', "")
    assert told == bare
    assert told.splitlines()[1] == "[]"


# --- broken things ----------------------------------------------------------------------------------------------------


class Broken:
    """A provider, or anything else, of which nothing works."""

    def __getattr__(self, name):
        raise RuntimeError("broken")


def test_a_broken_sdk_changes_no_answer(sklearn_instrumented, monkeypatch):
    """Tracer, meter and logger provider of somebody else's making."""
    model = LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0])
    with captured_telemetry(), pytest.MonkeyPatch.context() as broken:
        broken.setattr(trace, "_TRACER_PROVIDER", Broken())
        broken.setattr(metrics._internal, "_METER_PROVIDER", Broken())
        broken.setattr(_logs._internal, "_LOGGER_PROVIDER", Broken())

        assert model.predict([[3.0]]).round(6).tolist() == [3.0]
        assert get_recorder().flush(5.0) in (True, False)
    guard.reset()


@pytest.mark.parametrize("broken", ["InferenceScope", "the_recorder", "current_scope", "request_scope"])
def test_a_server_hook_that_raises_changes_no_answer(fastapi_instrumented, monkeypatch, broken):
    """Whatever of ours fails while a request is opened, the response is the application's."""
    names = {}
    exec(PRELUDE, names)
    from otel_ml.instrumentation.servers.flask import FlaskInstrumentor
    from otel_ml.instrumentation.servers.grpc import GrpcInstrumentor

    instrumentors = (FlaskInstrumentor(), GrpcInstrumentor())
    bare = [names["ASK"][name]()[:2] for name in ("flask", "grpc")]
    for instrumentor in instrumentors:
        instrumentor.instrument(skip_dep_check=True)
    raising = Broken() if broken == "request_scope" else lambda *_, **__: 1 / 0
    monkeypatch.setattr(serving, broken, raising)
    in_asgi = {"InferenceScope": "_Request", "current_scope": None}.get(broken, broken)
    if in_asgi is not None:
        monkeypatch.setattr(asgi, in_asgi, raising)
    try:
        observed = [names["ASK"][name]()[:2] for name in ("flask", "grpc")]
        fastapi = names["ASK"]["fastapi"]()
    finally:
        for instrumentor in instrumentors:
            instrumentor.uninstrument()

    assert observed == bare
    assert fastapi[:2] == ('{"prediction":1}', 200)
    assert {"flask hook", "grpc hook"} <= set(guard.failures())
    assert ("asgi hook" in guard.failures()) is (in_asgi is not None)
    guard.reset()


# --- too much of everything -------------------------------------------------------------------------------------------

MANY = 100_000


def recorded_many(inferences):
    """What is sent after recording all of these, with pauses in which the queue runs empty."""
    with captured_telemetry() as telemetry:
        for number, inference in enumerate(inferences, 1):
            otel_ml.record(**inference)
            if number % 5_000 == 0:
                assert otel_ml.flush(120.0)
        assert otel_ml.flush(120.0)
        points = {name: telemetry.points(name) for name in telemetry.metrics()}
        snapshots = telemetry.snapshots()
    assert guard.failures() == {}
    return points, snapshots


@pytest.mark.slow
def test_a_hundred_thousand_labels_are_a_bounded_number_of_series():
    """An id as label, say: every prediction is counted, few labels are told apart."""
    points, snapshots = recorded_many(
        {"features": {"width": 1.0}, "predictions": f"label {number}", "model": "m"} for number in range(MANY)
    )

    predictions = points[semconv.PREDICTIONS.name]
    assert len(predictions) <= 101
    assert sum(point.value for point in predictions) == MANY
    assert sum(snapshot.rows for snapshot in snapshots) == MANY
    assert all(len(codec.encode(snapshot)) < 64 * 1024 for snapshot in snapshots)


@pytest.mark.slow
def test_a_hundred_thousand_models_are_a_bounded_number_of_series():
    """Those beyond are counted as let go."""
    points, _ = recorded_many(
        {"features": {"width": 1.0}, "predictions": 1.0, "model": f"model {number}"} for number in range(MANY)
    )

    kept = points[semconv.FEATURE_VALUE.name]
    dropped = points[semconv.INFERENCE_DROPPED.name]
    assert len(kept) == 200
    assert sum(point.count for point in kept) + sum(point.value for point in dropped) == MANY
    assert all(len(series) <= 1_000 for series in points.values())


@pytest.mark.slow
def test_a_hundred_thousand_features_are_a_bounded_number_of_series():
    """A map of words to counts, say: those beyond the limit are counted as let go."""
    rows, width = 20, MANY // 20
    points, snapshots = recorded_many(
        {
            "features": {f"word {number}": 1.0 for number in range(row * width, (row + 1) * width)},
            "predictions": 1.0,
            "model": "m",
        }
        for row in range(rows)
    )

    kept = points[semconv.FEATURE_VALUE.name]
    assert len(kept) == 1_000
    assert {dict(point.attributes)[semconv.DROP_REASON] for point in points[semconv.INFERENCE_DROPPED.name]} == {
        "max_features"
    }
    assert sum(snapshot.rows for snapshot in snapshots) == rows
    assert sum(len(snapshot.features) for snapshot in snapshots) <= 1_100


# --- scikit-learn's own checks ----------------------------------------------------------------------------------------


class OwnClassifier(ClassifierMixin, BaseEstimator):
    """A user's estimator: the class of the majority."""

    def fit(self, X, y):
        from sklearn.utils.multiclass import check_classification_targets
        from sklearn.utils.validation import validate_data

        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        import numpy as np

        self.classes_, counts = np.unique(y, return_counts=True)
        self.majority_ = int(counts.argmax())
        return self

    def predict(self, X):
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        import numpy as np

        X = validate_data(self, X, reset=False)
        return self.classes_[np.full(len(X), self.majority_)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # scikit-learn provokes them on purpose
@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(max_iter=200),
        RandomForestClassifier(n_estimators=3),
        StandardScaler(),
        OwnClassifier(),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_estimators_pass_scikit_learns_own_checks_as_before(sklearn_instrumented, estimator):
    """Signatures, pickles, clones, array types, error messages: `check_estimator` cannot tell that we are there."""
    with captured_telemetry():
        observed = check_estimator(estimator, on_fail=None, on_skip=None)
        from otel_ml.instrumentation.models.sklearn import SklearnInstrumentor

        SklearnInstrumentor().uninstrument()
        bare = check_estimator(estimator, on_fail=None, on_skip=None)

    outcomes = [(check["check_name"], check["status"]) for check in observed]
    assert outcomes == [(check["check_name"], check["status"]) for check in bare]
    assert len(outcomes) > 30
    assert guard.failures() == {}
