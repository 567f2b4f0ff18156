"""Keras keeps the contract of every library."""

import keras
import numpy as np
import pytest
from contracts.instrumentation import ModelContract

from otel_ml.instrumentation.models.keras import KerasInstrumentor

pytestmark = pytest.mark.filterwarnings("default")  # backends warn of each other's deprecations

ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], "f4")


def functional():
    inputs = keras.Input((2,), name="row")
    hidden = keras.Sequential([keras.layers.Dense(4, activation="relu"), keras.layers.Dense(4)])(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(hidden), name="iris")


class TestPredict(ModelContract):
    """A model within a model, called in batches."""

    instrumentor = KerasInstrumentor
    reported_as = "iris"
    system = "keras"

    def model(self):
        return functional()

    def infer(self, model):
        return model.predict(ROWS, batch_size=2, verbose=0).tolist()

    def fail(self, model):
        # Refused before the model runs: on JAX a model whose own layers raised has lost its variables for good.
        model.predict("no rows", verbose=0)


class TestPredictOnBatch(TestPredict):
    """One batch, without callbacks."""

    operation = "predict_on_batch"

    def infer(self, model):
        return np.asarray(model.predict_on_batch(ROWS)).tolist()

    def fail(self, model):
        model.predict_on_batch(np.ones((2, 5), "f4"))


class TestCalled(TestPredict):
    """What Keras recommends for a few rows."""

    operation = "__call__"

    def model(self):
        model = functional()
        if keras.backend.backend() == "torch":
            model.eval()
        return model

    def infer(self, model):
        return keras.ops.convert_to_numpy(model(ROWS)).tolist()

    def fail(self, model):
        model(np.ones((2, 5), "f4"))
