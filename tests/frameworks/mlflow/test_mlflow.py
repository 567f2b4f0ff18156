"""MLflow: generic Python models, what their records tell, streams, and what is no inference."""

import contextvars
import gc
import sys
from pathlib import Path

import mlflow
import pytest
from contracts.instrumentation import ModelContract, instrumented, rows_of
from opentelemetry import trace

from otel_ml import semconv
from otel_ml.instrumentation.identity import set_model
from otel_ml.instrumentation.models import mlflow as hooks
from otel_ml.instrumentation.models.mlflow import MLflowInstrumentor
from otel_ml.instrumentation.models.sklearn import SklearnInstrumentor
from otel_ml.instrumentation.outermost import inside
from otel_ml.recording import guard
from otel_ml.sketch.feature import FeatureKind, ModelKey
from otel_ml.testing import captured_telemetry

sys.path.append(str(Path(__file__).parent))
from mlflow_samples import FRAME, LABELS, NAMES, log, use

# MLflow's own: of its database and of the packages it is used with.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="session", autouse=True)
def registry(tmp_path_factory):
    use(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(scope="session")
def logged(registry):
    return log(registered_model_name="income")


@pytest.fixture
def telemetry():
    with instrumented(SklearnInstrumentor), instrumented(MLflowInstrumentor), captured_telemetry() as captured:
        yield captured
        assert guard.failures() == {}


class Echo(mlflow.pyfunc.PythonModel):
    """A user's own model, which can stream."""

    def predict(self, context, model_input, params=None):
        return [len(str(value)) for value in model_input["text"]]

    def predict_stream(self, context, model_input, params=None):
        for word in ("a", "b", "c"):
            INSIDE.append(inside.get())
            yield word
        if "fail" in str(model_input):
            raise KeyError("mine")


INSIDE = []


@pytest.fixture(scope="session")
def echo(registry, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("echo") / "model")
    mlflow.pyfunc.save_model(path, python_model=Echo(), pip_requirements=["scikit-learn"])
    return path


class TestModel(ModelContract):
    """A pipeline of scikit-learn under MLflow's roof: the outermost call is MLflow's."""

    instrumentor = MLflowInstrumentor
    reported_as = "income"
    system = "mlflow"

    @pytest.fixture(autouse=True)
    def _logged(self, logged):
        pass

    def model(self):
        return mlflow.pyfunc.load_model("models:/income/1")

    def infer(self, model):
        return model.predict(FRAME[:3]).tolist()

    def fail(self, model):
        model.predict(FRAME[["age"]])


def columns_of(telemetry):
    return {
        (summary.key.role.value, summary.key.name): summary.kind
        for snapshot in telemetry.snapshots()
        for summary in snapshot.features
    }


def test_a_registered_model_is_known_by_name_version_and_run(logged, telemetry):
    """From its registry by version or alias; the flavour below is quiet."""
    mlflow.MlflowClient().set_registered_model_alias("income", "champion", "1")
    for uri in ("models:/income/1", "models:/income@champion"):
        mlflow.pyfunc.load_model(uri).predict(FRAME[:3])

    assert {(snapshot.model, snapshot.rows) for snapshot in telemetry.snapshots()} == {(ModelKey("income", "1"), 6)}
    for span in telemetry.spans():
        assert span.attributes[semconv.MODEL_RUN_ID] == logged.run_id
        assert span.attributes[semconv.MODEL_ID] in (getattr(logged, "model_id", None), logged.model_uuid)
        assert span.attributes[semconv.MODEL_VERSION] == "1"
    assert columns_of(telemetry) == {
        ("feature", "age"): FeatureKind.NUMERIC,
        ("feature", "income"): FeatureKind.NUMERIC,
        ("prediction", "prediction"): FeatureKind.CATEGORICAL,
    }


def test_a_model_that_was_never_registered_has_the_name_of_what_it_wraps(logged, telemetry):
    """Logged only: there is its id, and its run."""
    mlflow.pyfunc.load_model(logged.model_uri if logged.model_uri.startswith("models:") else log().model_uri).predict(
        FRAME[:3]
    )

    assert rows_of(telemetry.snapshots()) == {"LogisticRegression": 3}
    assert telemetry.spans()[0].attributes[semconv.MODEL_RUN_ID]


def test_set_model_goes_before_the_registry(logged, telemetry):
    """For the loaded model and for what it wraps."""
    model = mlflow.pyfunc.load_model("models:/income/1")
    set_model(model, "mine", "2")
    model.predict(FRAME[:3])

    assert [snapshot.model for snapshot in telemetry.snapshots()] == [ModelKey("mine", "2")]


def test_columns_are_those_of_the_signature(logged, telemetry):
    """Also where the input is a matrix without names."""
    model = mlflow.pyfunc.load_model("models:/income/1")
    model.predict(FRAME[:3].to_dict(orient="list"))

    assert {name for role, name in columns_of(telemetry) if role == "feature"} == set(NAMES)
    assert rows_of(telemetry.snapshots()) == {"income": 3}


def test_a_users_own_model_is_called_by_its_class(echo, telemetry):
    """A PythonModel."""
    mlflow.pyfunc.load_model(echo).predict({"text": ["a", "bb", "ccc"]})

    assert rows_of(telemetry.snapshots()) == {"Echo": 3}


def test_logging_and_evaluating_a_model_is_no_inference(telemetry):
    """MLflow asks a model about its input example, and for its metrics."""
    info = log()
    model = mlflow.pyfunc.load_model(info.model_uri)
    mlflow.models.evaluate(
        model, FRAME.assign(label=LABELS), targets="label", model_type="regressor", evaluators="default",
        evaluator_config={"log_model_explainability": False},
    )  # fmt: skip

    assert telemetry.spans() == ()
    assert telemetry.snapshots() == []


def test_a_stream_is_one_inference_when_it_is_over(echo, telemetry):
    """Its steps are inside of the inference; nothing stays set for its reader in between."""
    model = mlflow.pyfunc.load_model(echo)
    INSIDE.clear()
    parent = trace.get_tracer("test").start_span("request")
    with trace.use_span(parent, end_on_exit=True):
        seen = [
            (word, inside.get(), trace.get_current_span() is parent) for word in model.predict_stream({"text": "x"})
        ]

    assert seen == [("a", False, True), ("b", False, True), ("c", False, True)]
    assert INSIDE == [True, True, True]
    (span,) = [span for span in telemetry.spans() if semconv.MODEL_NAME in span.attributes]
    assert span.name == "predict_stream Echo"
    assert span.parent.span_id == parent.get_span_context().span_id
    assert rows_of(telemetry.snapshots()) == {"Echo": 1}


def test_a_stream_that_is_left_ends_its_inference(echo, telemetry):
    """Also when its reader goes away, or is collected in another context."""
    stream = mlflow.pyfunc.load_model(echo).predict_stream({"text": "x"})
    next(stream)
    contextvars.Context().run(stream.close)
    left = mlflow.pyfunc.load_model(echo).predict_stream({"text": "x"})
    next(left)
    del left
    gc.collect()

    assert [span.status.status_code for span in telemetry.spans()] == [trace.StatusCode.UNSET] * 2
    assert not inside.get()


def test_a_stream_that_fails_fails_as_it_would_have(echo, telemetry):
    """The user's exception passes after what was streamed before."""
    stream = mlflow.pyfunc.load_model(echo).predict_stream({"text": "fail"})
    with pytest.raises(KeyError, match="mine"):
        list(stream)

    assert [span.attributes[semconv.ERROR_TYPE] for span in telemetry.spans()] == ["KeyError"]


def test_nothing_is_noted_of_models_that_are_gone(logged, telemetry):
    """Names from the registry go with the model they belong to."""
    model = mlflow.pyfunc.load_model("models:/income/1")
    model.predict(FRAME[:3])
    noted = len(hooks._registered)

    del model
    gc.collect()

    assert noted >= 1
    assert len(hooks._registered) < noted
