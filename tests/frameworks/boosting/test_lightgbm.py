"""LightGBM: native boosters, its scikit-learn API, and what is no inference."""

import sys
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from contracts.instrumentation import ModelContract, instrumented

from otel_ml.instrumentation.models.lightgbm import LightGBMInstrumentor
from otel_ml.instrumentation.models.sklearn import SklearnInstrumentor
from otel_ml.recording import guard
from otel_ml.testing import captured_telemetry

sys.path.append(str(Path(__file__).parent))
from boosting_samples import BINARY, FRAME, NAMES, NUMBERS, THREE, columns_of, content_of, recorded

pytestmark = pytest.mark.filterwarnings(
    "ignore:X does not have valid feature names",  # scikit-learn's, where a model of a frame is asked about an array
    "ignore:`sklearn.utils.parallel.delayed`",
)


@pytest.fixture
def telemetry():
    with instrumented(SklearnInstrumentor), instrumented(LightGBMInstrumentor), captured_telemetry() as captured:
        yield captured
        assert guard.failures() == {}


def trained(objective="binary", y=BINARY, X=FRAME, callbacks=None, **parameters):
    data = lightgbm.Dataset(X, y, group=[len(y)] if objective == "lambdarank" else None)
    return lightgbm.train({"objective": objective, "verbose": -1, **parameters}, data, 3, callbacks=callbacks)


class TestBooster(ModelContract):
    """`predict` of a frame."""

    instrumentor = LightGBMInstrumentor
    reported_as = "LightGBMBooster"
    system = "lightgbm"

    def model(self):
        return trained()

    def infer(self, model):
        return model.predict(FRAME[:3]).tolist()

    def fail(self, model):
        model.predict(NUMBERS[:, :2])


class TestClassifier(ModelContract):
    """The scikit-learn API: `predict` asks `predict_proba`, which asks the booster."""

    instrumentor = SklearnInstrumentor
    reported_as = "LGBMClassifier"
    system = "lightgbm"

    def model(self):
        return lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(FRAME, BINARY)

    def infer(self, model):
        return model.predict(FRAME[:3]).tolist()

    def fail(self, model):
        model.predict(NUMBERS[:, :2])


@pytest.mark.parametrize("make", [lightgbm.LGBMClassifier, lightgbm.LGBMRegressor])
def test_an_estimator_counts_once_with_both_hooks_in_place(make, telemetry):
    """The estimator's hook and the booster's see the same call; the outer one reports it, under the input's names."""
    model = make(n_estimators=3, verbose=-1).fit(FRAME, BINARY)
    after_training = recorded(telemetry)

    model.predict(FRAME[:5])

    assert after_training == ([], 0)
    assert recorded(telemetry) == ([(make.__name__, "predict")], 5)
    assert columns_of(telemetry)["feature"] == set(NAMES)


@pytest.mark.parametrize("option", ["pred_leaf", "pred_contrib"])
def test_explanations_are_no_inference(option, telemetry):
    """Leaves and contributions are about a prediction that was made elsewhere; of estimators and boosters alike."""
    trained().predict(FRAME[:3], **{option: True})
    lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(FRAME, BINARY).predict(FRAME[:3], **{option: True})

    assert recorded(telemetry) == ([], 0)


def test_a_raw_score_has_features_only(telemetry):
    """It is not on the scale of the probabilities; asked for by keyword, alias or position."""
    booster = trained()
    booster.predict(FRAME[:3], raw_score=True)
    booster.predict(FRAME[:3], 0, None, True)
    lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(FRAME, BINARY).predict(FRAME[:3], raw_score=True)

    assert recorded(telemetry)[1] == 9
    assert columns_of(telemetry).keys() == {"feature"}


def test_training_and_its_callbacks_are_no_inference(telemetry):
    """A callback may ask the booster between the rounds, a metric may too, and cv trains several."""

    def asking(environment):
        for booster in getattr(environment.model, "boosters", [environment.model]):
            booster.predict(FRAME)

    trained(callbacks=[asking])
    lightgbm.cv(
        {"objective": "binary", "verbose": -1},
        lightgbm.Dataset(FRAME, BINARY),
        2,
        nfold=2,
        callbacks=[asking],
        feval=lambda predicted, data: ("mine", float(np.mean(predicted)), True),
    )
    lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(FRAME, BINARY, callbacks=[asking])

    assert recorded(telemetry) == ([], 0)


def test_training_functions_are_quiet_wherever_they_are_named_and_come_back():
    """`lightgbm.train`, `lightgbm.engine.train` and what the estimators use are one function before and after."""
    places = [lightgbm, lightgbm.engine, lightgbm.sklearn]
    before = [place.train for place in places]
    with instrumented(LightGBMInstrumentor):
        during = [place.train for place in places]

    assert len(set(before)) == 1
    assert before[0] not in during
    assert [place.train for place in places] == before


@pytest.mark.parametrize(
    ("objective", "y", "parameters", "expected"),
    [
        ("binary", BINARY, {}, {"score": {"score"}}),
        ("softmax", THREE, {"num_class": 3}, {"score": {"0", "1", "2"}}),
        ("ova", THREE, {"num_class": 3}, {"score": {"0", "1", "2"}}),
        ("mse", NUMBERS[:, 1], {}, {"prediction": {"prediction"}}),
        ("lambdarank", BINARY, {}, {"prediction": {"prediction"}}),
        ("poisson", BINARY, {}, {"prediction": {"prediction"}}),
    ],
)
def test_the_objective_says_what_the_output_is(objective, y, parameters, expected, telemetry):
    """By whichever alias it was given, and of a booster loaded from text as well."""
    booster = trained(objective, y, **parameters)
    booster.predict(FRAME[:4])
    lightgbm.Booster(model_str=booster.model_to_string()).predict(FRAME[:4])

    assert recorded(telemetry)[1] == 8
    assert columns_of(telemetry) == {"feature": set(NAMES), **expected}


@pytest.mark.parametrize(
    "make",
    [pd.DataFrame, pa.Table.from_pandas, np.asarray, scipy.sparse.csr_matrix, lambda frame: frame.to_numpy().tolist()],
    ids=["pandas", "arrow", "numpy", "sparse", "lists"],
)
def test_inputs_of_all_kinds_are_read(make, telemetry):
    """The input's own names where it has some, else the model's."""
    names = ("age", "income", "tenure")
    booster = trained(X=FRAME.set_axis(names, axis=1))
    booster.predict(make(FRAME.set_axis(names, axis=1)[:4]))

    assert columns_of(telemetry)["feature"] == set(names)
    assert content_of(telemetry, "feature", "age").moments.mean == pytest.approx(NUMBERS[:4, 0].mean())


def test_names_are_the_inputs_own_where_lightgbm_changed_them(telemetry):
    """`tenure (y)` is `tenure_(y)` to the model."""
    booster = trained()
    booster.predict(FRAME[:4])

    assert "tenure_(y)" in booster.feature_name()
    assert columns_of(telemetry)["feature"] == set(NAMES)


@pytest.mark.skipif(
    tuple(map(int, lightgbm.__version__.split(".")[:2])) < (4, 7), reason="LightGBM takes polars frames since 4.7"
)
def test_polars_frames_are_read(telemetry):
    """As they are."""
    trained().predict(pl.from_pandas(FRAME[:4]))

    assert columns_of(telemetry)["feature"] == set(NAMES)


def test_scoring_a_file_is_left_alone(telemetry, tmp_path):
    """What it holds is seen by nobody in Python, and its path is no feature."""
    file = tmp_path / "rows.csv"
    np.savetxt(file, NUMBERS[:3], delimiter=",")

    answer = trained(X=NUMBERS).predict(str(file))

    assert len(answer) == 3
    assert recorded(telemetry) == ([], 0)


def test_a_model_read_into_another_is_described_anew(telemetry):
    """`model_from_string` replaces objective, columns and classes of the same object."""
    booster = trained()
    booster.predict(FRAME[:2])

    booster.model_from_string(trained("regression", NUMBERS[:, 1]).model_to_string())
    booster.predict(FRAME[:2])

    assert columns_of(telemetry).keys() == {"feature", "score", "prediction"}
