"""scikit-learn models that were saved with skops, which stores no code."""

import numpy as np
import pytest
import skops.io
from contracts.instrumentation import ModelContract, instrumented, rows_of
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from otel_ml.instrumentation.models.sklearn import SklearnInstrumentor
from otel_ml.testing import captured_telemetry

ROWS = np.random.default_rng(7).random((40, 3))
LABELS = (ROWS[:, 0] > 0.5).astype(int)


def moved(model):
    return skops.io.loads(skops.io.dumps(model))


class TestLoadedPipeline(ModelContract):
    """Made anew from its description, by classes that have their hooks."""

    instrumentor = SklearnInstrumentor
    reported_as = "LogisticRegression"
    system = "scikit_learn"

    def model(self):
        return moved(make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, LABELS))

    def infer(self, model):
        return model.predict(ROWS[:3]).tolist()

    def fail(self, model):
        model.predict(ROWS[:, :2])


@pytest.mark.parametrize("saved_with_hooks", [False, True])
def test_it_does_not_matter_when_a_model_was_saved(saved_with_hooks):
    """What is saved names scikit-learn's classes and methods, hooked or not, and nothing of ours."""
    model = LogisticRegression().fit(ROWS, LABELS)
    bare = skops.io.dumps(model)
    with instrumented(SklearnInstrumentor), captured_telemetry() as telemetry:
        saved = skops.io.dumps(model) if saved_with_hooks else bare
        skops.io.loads(saved).predict(ROWS[:3])

        assert skops.io.get_untrusted_types(data=saved) == []
        assert b"otel_ml" not in saved
        assert rows_of(telemetry.snapshots()) == {"LogisticRegression": 3}
