"""scikit-learn keeps the contract of every library."""

import numpy as np
from contracts.instrumentation import ModelContract
from sklearn.ensemble import RandomForestClassifier

from otel_ml.instrumentation.models.sklearn import SklearnInstrumentor

ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


class TestForest(ModelContract):
    """Many trees on threads of joblib's below one call."""

    instrumentor = SklearnInstrumentor
    reported_as = "RandomForestClassifier"
    system = "scikit_learn"

    def model(self):
        return RandomForestClassifier(n_estimators=4, n_jobs=2, random_state=0).fit(ROWS, [0, 1, 1])

    def infer(self, model):
        return model.predict(ROWS).tolist()

    def fail(self, model):
        model.predict([[1.0, 2.0, 3.0]])
