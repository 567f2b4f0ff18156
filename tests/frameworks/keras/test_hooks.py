"""Which calls of Keras models are inferences, under which name, and what of them is recorded."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from contracts.instrumentation import instrumented, rows_of

from otel_ml import set_model
from otel_ml.instrumentation.models.keras import KerasInstrumentor
from otel_ml.recording import guard
from otel_ml.sketch.feature import FeatureRole
from otel_ml.testing import captured_telemetry

pytestmark = pytest.mark.filterwarnings("default")  # backends warn of each other's deprecations

BACKEND = keras.backend.backend()
ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype("f4")
learns = pytest.mark.skipif(BACKEND in ("numpy", "openvino"), reason="this backend cannot train")


@pytest.fixture
def telemetry():
    with instrumented(KerasInstrumentor), captured_telemetry() as captured:
        yield captured
        assert guard.failures() == {}


def in_eval_mode(model):
    """Called, not `predict`ed: in PyTorch that alone does not say that nothing is learnt."""
    if BACKEND == "torch":
        model.eval()
    return model


def dense(*, name=None, units=3, activation="softmax"):
    return in_eval_mode(
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(units, activation=activation)], name=name)
    )


def columns(snapshots, role):
    return sorted(
        summary.key.name for snapshot in snapshots for summary in snapshot.features if summary.key.role is role
    )


def seen(snapshots):
    return {
        "features": columns(snapshots, FeatureRole.FEATURE),
        "predictions": columns(snapshots, FeatureRole.PREDICTION),
        "scores": columns(snapshots, FeatureRole.SCORE),
    }


# --- which calls ------------------------------------------------------------------------------------------------------


def test_building_a_model_is_no_inference(telemetry):
    """Symbolic calls, shape inference of subclassed models and building on first data included."""

    class Wrapped(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = dense()

        def call(self, x):
            return self.inner(x)

    inner = dense()
    inputs = keras.Input((4,))
    keras.Model(inputs, Wrapped()(keras.layers.Dense(4)(inner(inputs))))
    Wrapped().build((None, 4))
    Wrapped().compute_output_spec(keras.KerasTensor((2, 4)))

    assert telemetry.snapshots() == []
    assert telemetry.spans() == ()


@learns
def test_training_and_evaluating_are_no_inferences(telemetry):
    """Nor what callbacks predict meanwhile."""

    class Watches(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.predict(ROWS, verbose=0)

    model = dense()
    model.compile("adam", "mse")
    targets = np.zeros((6, 3), "f4")
    model.fit(ROWS, targets, epochs=2, verbose=0, callbacks=[Watches()], validation_data=(ROWS, targets))
    model.evaluate(ROWS, targets, verbose=0)
    model.train_on_batch(ROWS, targets)
    model.test_on_batch(ROWS, targets)
    model(ROWS, training=True)

    assert telemetry.snapshots() == []
    model.predict(ROWS, verbose=0)
    assert rows_of(telemetry.snapshots()) == {"Sequential": 6}


@pytest.mark.skipif(BACKEND != "tensorflow", reason="of TensorFlow")
def test_tf_function_is_traced_in_silence(telemetry, tmp_path):
    """A graph holds no values, whether traced by hand or for export; and nothing is put into it."""
    import tensorflow as tf

    model = dense()
    traced = tf.function(lambda x: model(x) + model(np.ones((1, 4), "f4")))
    answer = traced(tf.constant(ROWS))
    traced(tf.constant(ROWS))
    model.export(tmp_path / "saved", verbose=False)

    assert telemetry.snapshots() == []
    assert np.allclose(answer, model(ROWS) + model(np.ones((1, 4), "f4")))


@pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
def test_jax_transformations_are_traced_in_silence(telemetry):
    """`jit`, `grad` and `vmap` pass tracers, and constants that are no calls either."""
    import jax

    model = dense()
    for _ in range(2):
        jax.jit(model.__call__)(ROWS)
    jax.jit(lambda: model(np.ones((1, 4), "f4")))()
    jax.grad(lambda x: model(x).sum())(ROWS)
    jax.vmap(lambda x: model(x[None]))(ROWS)

    assert telemetry.snapshots() == []


@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch")
def test_torch_compile_reads_the_hook_without_a_break(telemetry):
    """Inside compiled code there is no call to record, and no graph is broken by our being there."""
    import torch

    model = dense()
    compiled = torch.compile(lambda x: model(x) * 2, backend="eager", fullgraph=True)
    answer = compiled(torch.from_numpy(ROWS))

    assert telemetry.snapshots() == []
    assert torch.allclose(answer, model(ROWS) * 2)


@pytest.mark.skipif(BACKEND != "torch", reason="of PyTorch")
def test_in_pytorch_a_call_that_learns_is_no_inference(telemetry):
    """Loops of one's own have no `training=True` there: training mode with gradients is learning, as for `watch`."""
    import torch

    model = dense().train()
    model(ROWS)
    with torch.no_grad():
        model(ROWS)

    assert rows_of(telemetry.snapshots()) == {"Sequential": 6}


def test_a_model_inside_a_model_is_counted_once(telemetry):
    """However deep, and whichever way the outer one is called."""
    inner = dense(name="inner")
    inputs = keras.Input((4,))
    model = in_eval_mode(keras.Model(inputs, keras.layers.Dense(1)(inner(inputs)), name="outer"))

    model(ROWS)
    model.predict(ROWS, verbose=0)
    model.predict_on_batch(ROWS)

    assert rows_of(telemetry.snapshots()) == {"outer": 18}
    assert len(telemetry.spans()) == 3


def test_a_subclass_with_its_own_predict_is_counted_once(telemetry):
    """Whether it goes through Keras's or calls itself."""

    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x):
            return self.dense(x)

        def predict(self, x, **kwargs):
            return super().predict(x, **kwargs) * 2

    class CallsItself(Own):
        def predict(self, x):
            return keras.ops.convert_to_numpy(self(x)) * 2

    Own().predict(ROWS, verbose=0)
    in_eval_mode(CallsItself()).predict(ROWS)

    assert rows_of(telemetry.snapshots()) == {"Own": 6, "CallsItself": 6}


def test_a_loaded_model_is_recorded_under_its_name(telemetry, tmp_path):
    """`.keras` files; saving and loading are no inferences."""
    dense(name="saved").save(tmp_path / "model.keras")

    keras.saving.load_model(tmp_path / "model.keras").predict(ROWS, verbose=0)

    assert rows_of(telemetry.snapshots()) == {"saved": 6}


def test_a_generator_of_batches_is_counted_by_its_answers(telemetry):
    """Rows pass by without being seen: they are counted, and so are the predictions."""
    dense(name="streamed").predict(((ROWS[:3],) for _ in range(2)), steps=2, verbose=0)

    assert rows_of(telemetry.snapshots()) == {"streamed": 6}
    assert seen(telemetry.snapshots()) == {"features": [], "predictions": [], "scores": ["0", "1", "2"]}


# --- under which name -------------------------------------------------------------------------------------------------


def test_names_that_keras_makes_up_give_way_to_the_class(telemetry):
    """A name such as `sequential_7` says how many models were built before in this process."""

    class FraudNet(keras.Model):
        def call(self, x):
            return x

    for _ in range(2):
        dense().predict(ROWS, verbose=0)
        FraudNet().predict(ROWS, verbose=0)
    dense(name="fraud").predict(ROWS, verbose=0)
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(1)(inputs)).predict(ROWS, verbose=0)

    assert rows_of(telemetry.snapshots()) == {"Sequential": 12, "FraudNet": 12, "fraud": 6, "Functional": 6}


def test_set_model_goes_before_all(telemetry):
    """As everywhere."""
    model = dense(name="fraud")
    set_model(model, "fraud-detector", "3")
    model.predict(ROWS, verbose=0)

    (snapshot,) = telemetry.snapshots()
    assert (snapshot.model.name, snapshot.model.version) == ("fraud-detector", "3")


# --- what is recorded -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "activation", "expected"),
    [
        (1, None, {"predictions": ["prediction"], "scores": []}),
        (1, "sigmoid", {"predictions": [], "scores": ["score"]}),
        (3, None, {"predictions": [], "scores": ["0", "1", "2"]}),
        (3, "softmax", {"predictions": [], "scores": ["0", "1", "2"]}),
        (40, "softmax", {"predictions": [], "scores": sorted(map(str, range(16)))}),
    ],
)
@pytest.mark.parametrize("call", ["predict", "__call__"])
def test_the_shape_of_the_answer_says_what_it_is(telemetry, units, activation, expected, call):
    """One number a row is a prediction, unless its layer makes it a probability; several are scores."""
    model = dense(units=units, activation=activation)
    if call == "predict":
        model.predict(ROWS, verbose=0)
    else:
        model(keras.ops.convert_to_tensor(ROWS))

    assert rows_of(telemetry.snapshots()) == {"Sequential": 6}
    assert seen(telemetry.snapshots()) == {"features": ["f0", "f1", "f2", "f3"], **expected}


@pytest.mark.parametrize("form", [list, dict])
@pytest.mark.parametrize("call", ["predict", "__call__"])
def test_inputs_and_outputs_by_name(telemetry, form, call):
    """A column of the input's name where it has one; and of the output's."""
    age, income = keras.Input((1,), name="age"), keras.Input((1,), name="income")
    both = keras.layers.Concatenate()([age, income])
    outputs = [keras.layers.Dense(1, name="price")(both), keras.layers.Dense(2, name="risk")(both)]
    model = in_eval_mode(keras.Model([age, income], outputs, name="several"))
    if form is dict:
        model = keras.Model({"age": age, "income": income}, {"price": outputs[0], "risk": outputs[1]}, name="several")
        in_eval_mode(model)
    values = {"age": ROWS[:, :1], "income": ROWS[:, 1:2]}
    given = values if form is dict else list(values.values())
    if call == "predict":
        model.predict(given, verbose=0)
    else:
        model({name: keras.ops.convert_to_tensor(value) for name, value in values.items()} if form is dict else given)

    assert rows_of(telemetry.snapshots()) == {"several": 6}
    recorded = seen(telemetry.snapshots())
    assert recorded["features"] == ["age", "income"]
    if form is dict:
        assert recorded["predictions"] == ["price", "risk.0", "risk.1"]
    else:
        assert len(recorded["predictions"]) == 3


def test_images_are_rows_without_columns(telemetry):
    """A pixel is no feature; the answer is recorded all the same."""
    model = keras.Sequential(
        [keras.Input((5, 5, 3)), keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")], name="images"
    )
    in_eval_mode(model)
    model.predict(np.zeros((4, 5, 5, 3), "f4"), verbose=0)
    model(np.zeros((4, 5, 5, 3), "f4"))

    assert rows_of(telemetry.snapshots()) == {"images": 8}
    assert seen(telemetry.snapshots()) == {"features": [], "predictions": [], "scores": ["0", "1"]}


def test_a_sequence_to_a_sequence_is_counted_and_not_read(telemetry):
    """More than two dimensions on both sides."""
    model = keras.Sequential([keras.Input((5, 3)), keras.layers.Dense(2)], name="sequences")
    model.predict(np.zeros((4, 5, 3), "f4"), verbose=0)

    assert rows_of(telemetry.snapshots()) == {"sequences": 4}
    assert seen(telemetry.snapshots()) == {"features": [], "predictions": [], "scores": []}


def test_values_are_those_of_the_call(telemetry):
    """Also when the caller writes the next rows into the same buffer at once."""
    model = dense(units=1, activation=None, name="buffered")
    rows = np.full((2, 4), 7.0, "f4")
    model.predict(rows, verbose=0)
    rows[:] = 1_000.0

    (snapshot,) = telemetry.snapshots()
    features = [summary for summary in snapshot.features if summary.key.role is FeatureRole.FEATURE]
    assert {summary.content.moments.maximum for summary in features} == {7.0}


# --- other backends ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif("OTEL_ML_TEST_OTHER_BACKEND" in os.environ, reason="this is the other backend")
@pytest.mark.parametrize("backend", ["jax", "numpy"])
def test_the_same_on_another_backend(backend):
    """These very tests, in a process of their own."""
    if BACKEND == "torch":
        pytest.skip("only PyTorch is installed here")
    environment = {**os.environ, "KERAS_BACKEND": backend, "OTEL_ML_TEST_OTHER_BACKEND": "yes"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).parent)]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stdout[-4_000:]
