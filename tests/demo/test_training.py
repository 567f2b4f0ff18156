"""The model and its baseline, on a sample of the real flights."""

import joblib
import numpy as np
import pytest

from otel_ml.baseline import Baseline
from otel_ml.demo.flights import CATEGORICAL, FEATURES, NUMERIC, TARGET, split
from otel_ml.demo.training import MODEL, build_baseline, save_model, train
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole


@pytest.fixture(scope="module")
def learned(flights):
    """Every tenth flight of the months before serving starts."""
    return split(flights)[0].iloc[::10]


@pytest.fixture(scope="module")
def model(learned, replay):
    """A model of them, measured on later flights."""
    return train(learned, replay.iloc[::10], seed=0)


def test_the_model_is_worth_more_than_guessing(model):
    """On flights it has never seen it beats both things one would say without it."""
    assert model.mean_absolute_error < model.error_of_departure_delay < model.error_of_median


def test_the_same_seed_makes_the_same_model(model, learned, replay):
    """A demo can be repeated."""
    again = train(learned, replay.iloc[::10], seed=0)

    assert again.mean_absolute_error == model.mean_absolute_error


def test_the_model_answers_to_a_carrier_it_has_never_seen(model, learned):
    """The incident breaks the answers, not the server."""
    flight = learned.iloc[:1][list(FEATURES)].assign(carrier="UAL", seats=np.nan)

    assert np.isfinite(model.pipeline.predict(flight)).all()


def test_the_server_gets_the_model_that_was_trained(model, learned, tmp_path):
    """What is saved answers as what was fitted."""
    save_model(model, tmp_path / "model.joblib")

    features = learned[list(FEATURES)].iloc[:100]
    loaded = joblib.load(tmp_path / "model.joblib")
    assert loaded.predict(features).tolist() == model.pipeline.predict(features).tolist()


def test_the_baseline_knows_features_and_predictions(model, learned, tmp_path):
    """Of every training row: what went in, and what the model makes of it."""
    build_baseline(model, learned, tmp_path / "a.baseline")

    baseline = Baseline.load(tmp_path / "a.baseline")
    kinds = {key.name: baseline.kind(key) for key in baseline.features if key.role is FeatureRole.FEATURE}
    assert (baseline.model, baseline.rows) == (MODEL, len(learned))
    assert kinds == dict.fromkeys(CATEGORICAL, FeatureKind.CATEGORICAL) | dict.fromkeys(NUMERIC, FeatureKind.NUMERIC)
    assert [key.role for key in baseline.features].count(FeatureRole.PREDICTION) == 1
    seats = baseline.features[FeatureKey(FeatureRole.FEATURE, "seats")].counters
    assert (seats.rows, seats.missing) == (len(learned), learned["seats"].isna().sum())
    assert TARGET not in kinds
