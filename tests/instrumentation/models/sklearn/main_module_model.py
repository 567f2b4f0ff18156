"""Run as a script: an estimator defined in `__main__` goes to joblib's worker processes while it is instrumented."""

import numpy as np
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV

import otel_ml.instrumentation
from otel_ml.config import Settings
from otel_ml.recording.recorder import get_recorder

otel_ml.instrumentation.instrument_all(Settings())


class Mine(LinearRegression):
    def predict(self, X):
        return super().predict(X) + 1.0


if __name__ == "__main__":
    recorded = []
    get_recorder().submit = recorded.append
    X, y = np.arange(40.0).reshape(20, 2), np.arange(20.0)
    search = GridSearchCV(Mine(), {"fit_intercept": [True, False]}, n_jobs=2).fit(X, y)
    search.predict(X)
    print("recorded", len(recorded))
