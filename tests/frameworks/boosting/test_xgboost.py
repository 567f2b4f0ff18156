"""XGBoost: native boosters, its scikit-learn API, and what is no inference."""

import gc
import sys
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import xgboost
from contracts.instrumentation import ModelContract, instrumented, rows_of

from otel_ml.instrumentation.models.sklearn import SklearnInstrumentor
from otel_ml.instrumentation.models.xgboost import XGBoostInstrumentor
from otel_ml.instrumentation.reading import sources
from otel_ml.instrumentation.reading.sources import source_of
from otel_ml.recording import guard
from otel_ml.testing import captured_telemetry

sys.path.append(str(Path(__file__).parent))
from boosting_samples import BINARY, FRAME, NAMES, NUMBERS, THREE, columns_of, content_of, recorded


@pytest.fixture
def telemetry():
    with instrumented(SklearnInstrumentor), instrumented(XGBoostInstrumentor), captured_telemetry() as captured:
        yield captured
        assert guard.failures() == {}


def trained(objective="binary:logistic", y=BINARY, X=FRAME, **parameters):
    return xgboost.train({"objective": objective, **parameters}, xgboost.DMatrix(X, y), 3)


class TestBooster(ModelContract):
    """`predict` of a DMatrix."""

    instrumentor = XGBoostInstrumentor
    reported_as = "XGBoostBooster"
    system = "xgboost"

    def model(self):
        return trained()

    def infer(self, model):
        return model.predict(xgboost.DMatrix(FRAME[:3])).tolist()

    def fail(self, model):
        model.predict("no matrix")


class TestInplace(ModelContract):
    """`inplace_predict` of a frame."""

    instrumentor = XGBoostInstrumentor
    reported_as = "XGBoostBooster"
    system = "xgboost"
    operation = "inplace_predict"

    def model(self):
        return trained()

    def infer(self, model):
        return model.inplace_predict(FRAME[:3]).tolist()

    def fail(self, model):
        model.inplace_predict(NUMBERS[:, :2])


class TestClassifier(ModelContract):
    """The scikit-learn API: one record under the estimator's name, though the booster predicts below."""

    instrumentor = SklearnInstrumentor
    reported_as = "XGBClassifier"
    system = "xgboost"

    def model(self):
        return xgboost.XGBClassifier(n_estimators=3).fit(FRAME, BINARY)

    def infer(self, model):
        return model.predict(FRAME[:3]).tolist()

    def fail(self, model):
        model.predict(NUMBERS[:, :2])


@pytest.mark.parametrize("make", [xgboost.XGBClassifier, xgboost.XGBRFClassifier, xgboost.XGBRegressor])
def test_an_estimator_counts_once_with_both_hooks_in_place(make, telemetry):
    """The estimator's hook and the booster's see the same call; the outer one reports it."""
    model = make(n_estimators=3, early_stopping_rounds=2) if make is xgboost.XGBClassifier else make(n_estimators=3)
    evaluated = {"eval_set": [(FRAME, BINARY)], "verbose": False} if make is xgboost.XGBClassifier else {}
    model.fit(FRAME, BINARY, **evaluated)
    after_training = recorded(telemetry)

    model.predict(FRAME[:5])

    assert after_training == ([], 0)
    assert recorded(telemetry) == ([(make.__name__, "predict")], 5)
    assert columns_of(telemetry)["feature"] == set(NAMES)


def test_training_validation_and_callbacks_are_no_inference(telemetry):
    """Custom objectives, custom metrics, callbacks and cv ask the booster on behalf of training."""

    class Asking(xgboost.callback.TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            model.predict(matrix)
            model.inplace_predict(NUMBERS)
            return False

    def objective(predicted, matrix):
        return predicted - matrix.get_label(), np.ones_like(predicted)

    def metric(predicted, matrix):
        return "mine", float(np.mean(predicted))

    matrix = xgboost.DMatrix(FRAME, BINARY)
    xgboost.train(
        {}, matrix, 3, evals=[(matrix, "it")], callbacks=[Asking()], obj=objective, custom_metric=metric,
        verbose_eval=False,
    )  # fmt: skip
    xgboost.cv({"objective": "binary:logistic"}, matrix, 2, nfold=2, custom_metric=metric)

    assert recorded(telemetry) == ([], 0)


@pytest.mark.parametrize("option", ["pred_leaf", "pred_contribs", "pred_interactions", "training"])
def test_explanations_are_no_inference(option, telemetry):
    """Leaves and contributions are about a prediction that was made elsewhere."""
    trained().predict(xgboost.DMatrix(FRAME[:3]), **{option: True})

    assert recorded(telemetry) == ([], 0)


@pytest.mark.filterwarnings("ignore:Pass `.*` as keyword args")
def test_a_margin_has_features_only(telemetry):
    """It is not on the scale of the probabilities; asked for by keyword, by position, or in place."""
    booster = trained()
    booster.predict(xgboost.DMatrix(FRAME[:3]), output_margin=True)
    booster.predict(xgboost.DMatrix(FRAME[:3]), True)
    booster.inplace_predict(FRAME[:3], predict_type="margin")

    assert recorded(telemetry)[1] == 9
    assert columns_of(telemetry).keys() == {"feature"}


@pytest.mark.parametrize(
    ("objective", "y", "parameters", "expected"),
    [
        ("binary:logistic", BINARY, {}, {"score": {"score"}}),
        ("binary:hinge", BINARY, {}, {"prediction": {"prediction"}}),
        ("multi:softprob", THREE, {"num_class": 3}, {"score": {"0", "1", "2"}}),
        ("multi:softmax", THREE, {"num_class": 3}, {"prediction": {"prediction"}}),
        ("reg:squarederror", NUMBERS[:, 1], {}, {"prediction": {"prediction"}}),
        ("rank:ndcg", BINARY, {}, {"prediction": {"prediction"}}),
        ("binary:logistic", np.stack([BINARY, 1 - BINARY], axis=1), {}, {"prediction": {"0", "1"}}),
    ],
)
def test_the_objective_says_what_the_output_is(objective, y, parameters, expected, telemetry):
    """Probabilities are scores, by class; classes are categories; everything else is numbers."""
    trained(objective, y, **parameters).predict(xgboost.DMatrix(FRAME[:4]))

    assert columns_of(telemetry) == {"feature": set(NAMES), **expected}


def test_classes_are_counted_as_integers(telemetry):
    """XGBoost gives them as floats: "1.0" here and "1" from the classifier would be two categories."""
    trained("multi:softmax", THREE, num_class=3).inplace_predict(FRAME)

    counts = content_of(telemetry, "prediction", "prediction").categories.counts
    assert set(counts) == {"0", "1", "2"}


def dictionaries(frame):
    return frame.to_numpy().tolist()


@pytest.mark.parametrize(
    "make",
    [pd.DataFrame, pl.from_pandas, pa.Table.from_pandas, np.asarray, scipy.sparse.csr_matrix, dictionaries],
    ids=["pandas", "polars", "arrow", "numpy", "sparse", "lists"],
)
@pytest.mark.parametrize("matrix", [xgboost.DMatrix, xgboost.QuantileDMatrix])
def test_a_matrix_is_read_through_what_it_was_made_of(make, matrix, telemetry):
    """Names are the input's own, else those of training; the source may be gone by the time of the prediction."""
    if matrix is xgboost.QuantileDMatrix and make is dictionaries:
        pytest.skip("XGBoost makes no QuantileDMatrix of lists")
    booster = trained()
    given = make(FRAME[:4])
    booster.predict(matrix(given), validate_features=False)
    del given

    assert recorded(telemetry) == ([("XGBoostBooster", "predict")], 4)
    assert columns_of(telemetry)["feature"] == set(NAMES)
    assert content_of(telemetry, "feature", "age").moments.mean == pytest.approx(NUMBERS[:4, 0].mean())


def test_a_large_frame_is_not_kept_alive_by_its_matrix(telemetry):
    """A training matrix must not double its memory; what is gone is counted without columns."""
    booster = trained()
    frame = pd.DataFrame(np.zeros((60_000, 3)), columns=NAMES)
    matrix = xgboost.DMatrix(frame)
    before = source_of(matrix)
    gone = weakref.ref(frame)
    was_seen = before is frame

    del frame, before
    gc.collect()
    booster.predict(matrix)

    assert was_seen
    assert gone() is None
    assert source_of(matrix) is matrix
    assert recorded(telemetry)[1] == 60_000
    assert "feature" not in columns_of(telemetry)


def test_a_small_frame_goes_with_its_matrix(telemetry):
    """What is noted about a matrix ends with it."""
    matrix = xgboost.DMatrix(FRAME[:3].copy())
    kept = weakref.ref(source_of(matrix))

    del matrix
    gc.collect()

    assert kept() is None
    assert sources._sources == {}


def test_a_slice_is_counted_without_columns(telemetry):
    """There is no source to read."""
    trained(X=NUMBERS).predict(xgboost.DMatrix(NUMBERS).slice([0, 1, 2]))

    assert recorded(telemetry)[1] == 3
    assert "feature" not in columns_of(telemetry)


def test_a_booster_loaded_into_another_is_described_anew(telemetry, tmp_path):
    """`load_model` replaces objective, columns and classes of the same object."""
    booster = trained()
    booster.predict(xgboost.DMatrix(FRAME[:2]))
    trained("reg:squarederror", NUMBERS[:, 1]).save_model(tmp_path / "model.json")

    booster.load_model(tmp_path / "model.json")
    booster.predict(xgboost.DMatrix(FRAME[:2]))

    assert columns_of(telemetry).keys() == {"feature", "score", "prediction"}


def test_a_subclass_has_its_own_name(telemetry):
    """As every model that is not the library's own."""

    class Fraud(xgboost.Booster):
        pass

    model = Fraud(model_file=bytearray(trained().save_raw()))
    model.predict(xgboost.DMatrix(FRAME[:2]))

    assert rows_of(telemetry.snapshots()) == {"Fraud": 2}
