"""A real model of arrival delays, an honest word on how good it is, and the baseline that goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.baseline import Baseline
from otel_ml.demo.flights import CATEGORICAL, FEATURES, NUMERIC, TARGET
from otel_ml.sketch.feature import ModelKey

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pandas as pd

MODEL: Final = ModelKey("arrival-delay", "1")


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A fitted pipeline and what it is worth on flights it has not seen.

    Attributes:
        training_rows: Flights it learned from.
        held_out_rows: Later flights it was measured on.
        mean_absolute_error: In minutes, on the held-out flights.
        error_of_median: Of always answering the median delay of the training flights.
        error_of_departure_delay: Of answering that a flight arrives as late as it departed.
    """

    pipeline: Any
    training_rows: int
    held_out_rows: int
    mean_absolute_error: float
    error_of_median: float
    error_of_departure_delay: float

    def predict(self, features: pd.DataFrame) -> Any:
        """The arrival delays of flights, in minutes; shape (flights,)."""
        with _one_thread():
            return self.pipeline.predict(features)


def train(training: pd.DataFrame, held_out: pd.DataFrame, *, seed: int) -> TrainedModel:
    """A model fitted to `training`, measured on `held_out`; takes two to three seconds."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    # A code the model has never seen is a missing value to it: it answers, and it answers worse.
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    pipeline = Pipeline(
        [
            ("columns", ColumnTransformer([("codes", encoder, [*CATEGORICAL]), ("rest", "passthrough", [*NUMERIC])])),
            ("trees", HistGradientBoostingRegressor(categorical_features=range(len(CATEGORICAL)), random_state=seed)),
        ]
    )
    with _one_thread():
        pipeline.fit(training[list(FEATURES)], training[TARGET])
        predicted = pipeline.predict(held_out[list(FEATURES)])
    actual = held_out[TARGET].to_numpy()
    return TrainedModel(
        pipeline,
        len(training),
        len(held_out),
        mean_absolute_error(actual, predicted),
        mean_absolute_error(actual, np.full(len(actual), training[TARGET].median())),
        mean_absolute_error(actual, held_out["departure_delay"].to_numpy()),
    )


def mean_absolute_error(actual: Any, predicted: Any) -> float:
    """Mean distance between two arrays of minutes."""
    return float(np.abs(actual - predicted).mean())


def save_model(model: TrainedModel, path: Path) -> None:
    """Write the pipeline where the server looks for it."""
    import joblib

    joblib.dump(model.pipeline, path)


def build_baseline(model: TrainedModel, training: pd.DataFrame, path: Path) -> Baseline:
    """The baseline of the features the model learned from and of its own predictions for them, also saved to `path`."""
    features = training[list(FEATURES)]
    baseline = Baseline.build(
        features,
        model=MODEL.name,
        version=MODEL.version,
        predictions=model.predict(features),
        categorical=CATEGORICAL,
    )
    baseline.save(path)
    return baseline


def _one_thread() -> AbstractContextManager[object]:
    """Within it, trees are grown by one thread.

    OpenMP's threads wait for each other by spinning: where something else wants one of two cores, training took 15 s
    with two threads and 3.5 s with one.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # has no stubs

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits
