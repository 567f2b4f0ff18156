"""Keras on PyTorch, where a Keras model is a PyTorch module too."""

import os
import subprocess
import sys
from pathlib import Path

KERAS_TESTS = Path(__file__).parent.parent / "keras"

BOTH = """
import keras, numpy, torch, otel_ml
from otel_ml.instrumentation.models.keras import KerasInstrumentor
from otel_ml.testing import captured_telemetry

model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)], name="both").eval()
KerasInstrumentor().instrument(skip_dep_check=True)
with captured_telemetry() as telemetry, torch.no_grad():
    otel_ml.watch(model, "watched")
    model(numpy.ones((2, 4)))
    model.predict(numpy.ones((2, 4)), verbose=0)
    print([(snapshot.model.name, snapshot.rows) for snapshot in telemetry.snapshots()])
"""


def test_keras_keeps_its_contract_on_pytorch():
    """The tests of Keras, on this backend."""
    environment = {**os.environ, "KERAS_BACKEND": "torch", "OTEL_ML_TEST_OTHER_BACKEND": "yes"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(KERAS_TESTS)]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stdout[-4_000:]


def test_a_keras_model_that_is_watched_as_well_is_counted_once():
    """As Keras's: that call is the outer one."""
    environment = {**os.environ, "KERAS_BACKEND": "torch"}

    done = subprocess.run(
        [sys.executable, "-c", BOTH], env=environment, capture_output=True, text=True, timeout=120, check=True
    )

    assert done.stdout.strip().splitlines()[-1] == "[('both', 4)]"
