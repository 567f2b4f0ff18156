"""ONNX Runtime: what sessions are called, what goes in and what comes out."""

import json
import threading

import numpy as np
import onnx
import onnxruntime
import pytest
from contracts.instrumentation import ModelContract, instrumented
from onnx import TensorProto, helper
from opentelemetry import trace
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression, LogisticRegression

from otel_ml import semconv
from otel_ml.instrumentation.models.onnxruntime import OnnxRuntimeInstrumentor
from otel_ml.recording import guard
from otel_ml.sketch.feature import ModelKey
from otel_ml.testing import captured_telemetry

ROWS = np.random.default_rng(7).random((120, 3)).astype(np.float32)
BINARY = (ROWS[:, 0] > 0.5).astype(int)
THREE = (ROWS[:, 0] * 3).astype(int)


@pytest.fixture
def telemetry():
    with instrumented(OnnxRuntimeInstrumentor), captured_telemetry() as captured:
        yield captured
        assert guard.failures() == {}


def session_of(model, **options):
    return onnxruntime.InferenceSession(
        to_onnx(model, ROWS[:1], target_opset=17, options=options or None).SerializeToString()
    )


def classifier(y=BINARY, **options):
    return session_of(LogisticRegression(max_iter=1000).fit(ROWS, y), **options)


def network(inputs, outputs, nodes, *, name="main_graph", metadata=None, version=None):
    """A model of a few nodes; `inputs` and `outputs` are (name, type, shape)."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if version is not None:
        model.model_version = version
    if metadata:
        helper.set_model_props(model, metadata)
    return model


def sums(**kwargs):
    """Two columns in, their sum out."""
    column = (TensorProto.FLOAT, ["n", 1])
    return network(
        [("age", *column), ("income", *column)],
        [("total", *column)],
        [helper.make_node("Add", ["age", "income"], ["total"])],
        **kwargs,
    )


def started(model):
    return onnxruntime.InferenceSession(model.SerializeToString())


def columns_of(telemetry):
    found = {}
    for snapshot in telemetry.snapshots():
        for summary in snapshot.features:
            found.setdefault(summary.key.role.value, set()).add(summary.key.name)
    return found


def content_of(telemetry, role, name):
    (found,) = [
        summary.content
        for snapshot in telemetry.snapshots()
        for summary in snapshot.features
        if (summary.key.role.value, summary.key.name) == (role, name)
    ]
    return found


class TestSession(ModelContract):
    """A classifier of skl2onnx."""

    instrumentor = OnnxRuntimeInstrumentor
    reported_as = "LogisticRegression"
    operation = "run"
    system = "onnxruntime"

    def model(self):
        return classifier()

    def infer(self, model):
        label, scores = model.run(None, {"X": ROWS[:3]})
        return label.tolist(), scores

    def fail(self, model):
        model.run(None, {"X": ROWS[:3, :2]})


@pytest.mark.parametrize(
    ("y", "zipmap", "scores"),
    [
        (BINARY, False, {"score"}),
        (BINARY, True, {"score"}),
        (BINARY, "columns", {"i0", "i1"}),
        (THREE, False, {"0", "1", "2"}),
        (THREE, True, {"0", "1", "2"}),
        (np.array(["a", "b", "c"])[THREE], True, {"a", "b", "c"}),
    ],
)
def test_a_label_and_its_probabilities_are_told_apart(y, zipmap, scores, telemetry):
    """As a matrix, as a list of maps, or as a column a class; two classes have one score where they come together."""
    session = classifier(y, zipmap=zipmap)
    label, *_ = session.run(None, {"X": ROWS})

    assert columns_of(telemetry) == {
        "feature": {"f0", "f1", "f2"},
        "prediction": {"prediction"},
        "score": scores,
    }
    counts = content_of(telemetry, "prediction", "prediction").categories.counts
    assert counts == {str(value): int((label == value).sum()) for value in set(label)}


def test_binary_scores_are_those_of_the_second_class(telemetry):
    """Whichever way the probabilities come."""
    for zipmap in (False, True):
        session = classifier(zipmap=zipmap)
        session.run(None, {"X": ROWS})
    expected = classifier(zipmap=False).get_outputs()

    assert [output.name for output in expected] == ["label", "probabilities"]
    model = LogisticRegression(max_iter=1000).fit(ROWS, BINARY)
    moments = content_of(telemetry, "score", "score").moments
    assert moments.count == 2 * len(ROWS)
    assert moments.mean == pytest.approx(model.predict_proba(ROWS)[:, 1].mean(), abs=1e-5)


def test_outputs_asked_for_by_name_are_the_ones_read(telemetry):
    """A session need not give all it has."""
    session = classifier(zipmap=False)
    session.run(["probabilities"], {"X": ROWS[:4]})
    session.run(output_names=["label"], input_feed={"X": ROWS})

    assert columns_of(telemetry).keys() == {"feature", "prediction", "score"}
    assert content_of(telemetry, "prediction", "prediction").categories.counts.keys() <= {"0", "1"}


def test_a_regressor_gives_numbers(telemetry):
    """Of shape (n, 1)."""
    session = session_of(LinearRegression().fit(ROWS, ROWS[:, 1]))
    session.run(None, {"X": ROWS})

    assert columns_of(telemetry) == {"feature": {"f0", "f1", "f2"}, "prediction": {"prediction"}}
    assert content_of(telemetry, "prediction", "prediction").moments.count == len(ROWS)


def test_inputs_of_one_column_have_their_own_names(telemetry):
    """As exported from a data frame: one input a column."""
    session = started(sums(name="income_model"))
    session.run(None, {"age": ROWS[:, :1], "income": ROWS[:, 1:2]})

    assert columns_of(telemetry)["feature"] == {"age", "income"}
    assert content_of(telemetry, "feature", "age").moments.mean == pytest.approx(ROWS[:, 0].mean(), abs=1e-6)


def test_a_buffer_filled_anew_after_the_call_is_recorded_as_it_was(telemetry):
    """Feeds are often the same arrays again and again."""
    session = started(sums())
    feed = {"age": np.ones((2, 1), np.float32), "income": np.ones((2, 1), np.float32)}
    session.run(None, feed)
    feed["age"][:] = 99.0

    assert content_of(telemetry, "feature", "age").moments.maximum == 1.0


def test_images_are_rows_without_columns(telemetry):
    """More than two dimensions are counted and not read."""
    session = started(
        network(
            [("pixels", TensorProto.FLOAT, ["n", 3, 4, 4])],
            [("logits", TensorProto.FLOAT, ["n", 3])],
            [helper.make_node("ReduceMean", ["pixels"], ["logits"], axes=[2, 3], keepdims=0)],
        )
    )
    session.run(None, {"pixels": np.ones((5, 3, 4, 4), np.float32)})

    assert sum(snapshot.rows for snapshot in telemetry.snapshots()) == 5
    assert columns_of(telemetry) == {"score": {"0", "1", "2"}}


def test_several_outputs_are_predictions_by_name(telemetry):
    """Neither of them is a label."""
    column = (TensorProto.FLOAT, ["n", 1])
    session = started(
        network(
            [("x", *column)],
            [("price", *column), ("risk", *column)],
            [helper.make_node("Neg", ["x"], ["price"]), helper.make_node("Abs", ["x"], ["risk"])],
        )
    )
    session.run(None, {"x": ROWS[:4, :1]})

    assert columns_of(telemetry) == {"feature": {"x"}, "prediction": {"price", "risk"}}


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"metadata": {"model_name": "fraud", "model_version": "7"}}, ModelKey("fraud", "7")),
        ({"name": "fraud_net", "version": 3}, ModelKey("fraud_net", "3")),
        ({"name": "fraud_net"}, ModelKey("fraud_net")),
    ],
)
def test_metadata_names_the_model(options, expected, telemetry):
    """What its author wrote into it, else its graph."""
    started(sums(**options)).run(None, {"age": ROWS[:2, :1], "income": ROWS[:2, :1]})

    assert [snapshot.model for snapshot in telemetry.snapshots()] == [expected]


@pytest.mark.parametrize("exporters_name", ["main_graph", "torch_jit", "torch-jit-export", "tf2onnx", "graph"])
def test_a_file_names_the_model_if_its_graph_has_an_exporters_name(exporters_name, telemetry, tmp_path):
    """Every model of PyTorch is called `main_graph`."""
    onnx.save(sums(name=exporters_name), tmp_path / "churn.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "churn.onnx")
    session.run(None, {"age": ROWS[:2, :1], "income": ROWS[:2, :1]})

    assert [snapshot.model.name for snapshot in telemetry.snapshots()] == ["churn"]


def test_metadata_names_the_columns_of_a_matrix(telemetry):
    """A tensor has no room for names; the model's metadata has."""
    model = to_onnx(LogisticRegression(max_iter=1000).fit(ROWS, BINARY), ROWS[:1], target_opset=17)
    helper.set_model_props(model, {"feature_names": json.dumps(["age", "income", "tenure"])})
    started(model).run(None, {"X": ROWS[:4]})

    assert columns_of(telemetry)["feature"] == {"age", "income", "tenure"}


# --- variants of run --------------------------------------------------------------------------------------------------


def test_bound_inputs_are_not_read(telemetry):
    """They may be anywhere: there is the span, its duration and the model, and no row."""
    session = started(sums(name="bound"))
    binding = session.io_binding()
    for name in ("age", "income"):
        binding.bind_cpu_input(name, ROWS[:, :1].copy())
    binding.bind_output("total")
    session.run_with_iobinding(binding)

    (span,) = telemetry.spans()
    assert span.name == "run_with_iobinding bound"
    assert semconv.BATCH_SIZE not in span.attributes
    assert sum(snapshot.rows for snapshot in telemetry.snapshots()) == 0
    (point,) = telemetry.points(semconv.INFERENCE_DURATION.name)
    assert point.count == 1


def test_ort_values_are_not_read(telemetry):
    """They are handles as well."""
    session = started(sums(name="valued"))
    feed = {name: onnxruntime.OrtValue.ortvalue_from_numpy(ROWS[:, :1].copy()) for name in ("age", "income")}
    (total,) = session.run_with_ort_values(None, feed)

    assert total.numpy().shape == (120, 1)
    assert [span.name for span in telemetry.spans()] == ["run_with_ort_values valued"]
    assert columns_of(telemetry) == {}


def test_an_asynchronous_run_is_recorded_when_it_is_done(telemetry):
    """The callback gets what it would have got, and the inference belongs to the span it was started in."""
    session = started(sums(name="later"))
    done, answers = threading.Event(), []

    def callback(results, user_data, error):
        answers.append((results[0].tolist(), user_data, error))
        done.set()

    with trace.get_tracer("test").start_as_current_span("request"):
        session.run_async(["total"], {"age": ROWS[:4, :1], "income": ROWS[:4, 1:2]}, callback, "mine")

    assert done.wait(30)
    ((total, user_data, error),) = answers
    assert (user_data, error) == ("mine", "")
    assert np.allclose(total, ROWS[:4, :1] + ROWS[:4, 1:2])
    assert columns_of(telemetry) == {"feature": {"age", "income"}, "prediction": {"prediction"}}
    assert sum(snapshot.rows for snapshot in telemetry.snapshots()) == 4
    (point,) = telemetry.points(semconv.INFERENCE_DURATION.name)
    assert point.count == 1
