"""scikit-learn from the call to the snapshot: inputs of all kinds, outputs of all kinds, models from everywhere."""

import pickle

import cloudpickle
import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the next but one import possible
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import (
    FixedThresholdClassifier,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import OneClassSVM

from otel_ml.recording import guard
from otel_ml.testing import captured_telemetry

NAMES = ("age", "income", "tenure")
NUMBERS = np.random.default_rng(7).random((120, 3))
FRAME = pd.DataFrame(NUMBERS, columns=NAMES)
BINARY = (NUMBERS[:, 0] > 0.5).astype(int)
THREE = (NUMBERS[:, 0] * 3).astype(int)
TWO_OUTPUTS = np.stack([BINARY, THREE], axis=1)


@pytest.fixture
def telemetry(sklearn_instrumented):
    with captured_telemetry() as captured:
        yield captured
        assert guard.failures() == {}


def rows_of(telemetry):
    return {snapshot.model.name: snapshot.rows for snapshot in telemetry.snapshots()}


def columns_of(telemetry):
    found = {}
    for snapshot in telemetry.snapshots():
        for summary in snapshot.features:
            found.setdefault(summary.key.role.value, set()).add(summary.key.name)
    return found


def content_of(telemetry, role, name):
    (found,) = [
        summary.content
        for snapshot in telemetry.snapshots()
        for summary in snapshot.features
        if (summary.key.role.value, summary.key.name) == (role, name)
    ]
    return found


# --- what goes in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        pd.DataFrame,
        pl.from_pandas,
        pa.Table.from_pandas,
        np.asarray,
        np.asfortranarray,
        lambda frame: frame.to_numpy().tolist(),
        lambda frame: tuple(map(tuple, frame.to_numpy())),
    ],
    ids=["pandas", "polars", "arrow", "numpy", "fortran", "lists", "tuples"],
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_inputs_of_all_kinds_are_read(make, telemetry):
    """Under the input's own names, else those of training; whatever the answer is, it is scikit-learn's."""
    model = LogisticRegression().fit(FRAME, BINARY)
    answer = model.predict(make(FRAME[:40]))

    assert answer.tolist() == model.predict_proba(FRAME[:40]).argmax(axis=1).tolist()
    assert columns_of(telemetry)["feature"] == set(NAMES)
    assert content_of(telemetry, "feature", "age").moments.minimum == NUMBERS[:40, 0].min()


@pytest.mark.parametrize("kind", [scipy.sparse.csr_matrix, scipy.sparse.csr_array, scipy.sparse.csc_matrix])
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_a_sparse_input_stays_sparse(kind, telemetry, monkeypatch):
    """Nobody makes it dense: neither the call nor what is recorded of it, in which zeros are counted."""
    sparse = kind(np.where(NUMBERS > 0.5, NUMBERS, 0.0))
    model = LogisticRegression().fit(FRAME, BINARY)

    def dense(*_, **__):
        raise AssertionError("made dense")

    for name in ("toarray", "todense"):
        monkeypatch.setattr(kind, name, dense)
    model.predict(sparse)

    assert columns_of(telemetry)["feature"] == set(NAMES)
    assert content_of(telemetry, "feature", "age").moments.count == 120
    assert content_of(telemetry, "feature", "age").moments.mean == pytest.approx(sparse.mean(axis=0).flat[0])


def test_raw_columns_are_recorded_not_what_a_pipeline_makes_of_them(telemetry):
    """Categories before they are one-hot, numbers before they are scaled."""
    frame = FRAME.assign(colour=np.where(BINARY, "red", "blue"))
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["colour"]), (StandardScaler(), list(NAMES))), LogisticRegression()
    ).fit(frame, BINARY)
    model.predict(frame)

    assert columns_of(telemetry)["feature"] == {*NAMES, "colour"}
    assert content_of(telemetry, "feature", "colour").categories.counts == {
        "red": BINARY.sum(),
        "blue": 120 - BINARY.sum(),
    }


def test_a_pipeline_with_frames_between_its_steps_counts_once(telemetry):
    """`set_output` makes every step give frames, and every transform a wrapped one."""
    for output in ("pandas", "polars"):
        model = make_pipeline(StandardScaler(), LogisticRegression()).set_output(transform=output)
        model.fit(FRAME, BINARY).predict(FRAME[:10])

    assert rows_of(telemetry) == {"LogisticRegression": 20}


# --- what comes out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "operation", "expected"),
    [
        (MultiOutputClassifier(LogisticRegression()), "predict", {"prediction": {"0", "1"}}),
        (
            MultiOutputClassifier(LogisticRegression()),
            "predict_proba",
            {"score": {"0.0", "0.1", "1.0", "1.1", "1.2"}},
        ),
        (RandomForestClassifier(3, random_state=0), "predict", {"prediction": {"0", "1"}}),
        (MultiOutputRegressor(LinearRegression()), "predict", {"prediction": {"0", "1"}}),
        (RandomForestRegressor(3, random_state=0), "predict", {"prediction": {"0", "1"}}),
    ],
)
def test_several_outputs_are_told_apart(model, operation, expected, telemetry):
    """By their number; their probabilities by output and class."""
    model.fit(FRAME, TWO_OUTPUTS)
    getattr(model, operation)(FRAME[:10])

    assert rows_of(telemetry) == {type(model).__name__: 10}
    assert columns_of(telemetry) == {"feature": set(NAMES), **expected}


def test_a_chain_asks_its_members_once(telemetry):
    """Each of them predicts the next one's input."""
    model = ClassifierChain(LogisticRegression()).fit(FRAME, np.stack([BINARY, 1 - BINARY], axis=1))
    model.predict(FRAME[:10])

    assert rows_of(telemetry) == {"ClassifierChain": 10}


@pytest.mark.parametrize(
    ("model", "operation", "role"),
    [
        (KMeans(2, n_init=1, random_state=0), "predict", "prediction"),
        (GaussianMixture(2, random_state=0), "predict_proba", "score"),
        (GaussianMixture(2, random_state=0), "score_samples", "score"),
        (IsolationForest(n_estimators=5, random_state=0), "predict", "prediction"),
        (IsolationForest(n_estimators=5, random_state=0), "decision_function", "score"),
        (LocalOutlierFactor(novelty=True), "predict", "prediction"),
        (LocalOutlierFactor(novelty=True), "score_samples", "score"),
        (EllipticEnvelope(random_state=0), "predict", "prediction"),
        (OneClassSVM(), "decision_function", "score"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_clusters_and_outliers_are_inferences_as_well(model, operation, role, telemetry):
    """Of those that can say something about a row they were not fitted on."""
    model.fit(NUMBERS)
    getattr(model, operation)(NUMBERS[:20])

    assert rows_of(telemetry) == {type(model).__name__: 20}
    assert columns_of(telemetry).keys() == {"feature", role}


def test_an_uncertainty_is_no_prediction(telemetry):
    """A Gaussian process gives its deviation beside the value, on request."""
    model = GaussianProcessRegressor(optimizer=None).fit(NUMBERS[:20], NUMBERS[:20, 0])
    model.predict(NUMBERS[:10], return_std=True)

    assert columns_of(telemetry)["prediction"] == {"prediction"}
    assert content_of(telemetry, "prediction", "prediction").moments.count == 10


# --- models about models ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: HalvingGridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, random_state=0), "LogisticRegression"),
        (lambda: RandomizedSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, n_iter=1), "LogisticRegression"),
        (
            lambda: HalvingGridSearchCV(
                make_pipeline(StandardScaler(), LogisticRegression()),
                {"logisticregression__C": [0.1, 1.0]},
                random_state=0,
            ),
            "LogisticRegression",
        ),
        (lambda: TunedThresholdClassifierCV(LogisticRegression()), "TunedThresholdClassifierCV"),
        (lambda: FixedThresholdClassifier(LogisticRegression(), threshold=0.7), "FixedThresholdClassifier"),
        (lambda: TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1), None),
    ],
)
def test_a_model_about_models_counts_once(make, name, telemetry):
    """Searches are named after what they found; what changes a model's answers is a model of its own."""
    model = make().fit(FRAME, BINARY)
    trained = rows_of(telemetry)

    model.predict(FRAME[:10])

    assert trained == {}
    assert rows_of(telemetry) == {name or type(model).__name__: 10}
    assert columns_of(telemetry).keys() == {"feature", "prediction"}


# --- models from everywhere -------------------------------------------------------------------------------------------


def by_joblib(model, folder):
    joblib.dump(model, folder / "model.joblib")
    return joblib.load(folder / "model.joblib")


def mapped_by_joblib(model, folder):
    joblib.dump(model, folder / "model.joblib")
    return joblib.load(folder / "model.joblib", mmap_mode="r")


@pytest.mark.parametrize(
    "moved",
    [
        lambda model, _: pickle.loads(pickle.dumps(model)),
        lambda model, _: cloudpickle.loads(cloudpickle.dumps(model)),
        by_joblib,
        mapped_by_joblib,
    ],
    ids=["pickle", "cloudpickle", "joblib", "joblib, mapped"],
)
@pytest.mark.parametrize("model", [LogisticRegression(), RandomForestClassifier(4, n_jobs=2, random_state=0)])
def test_a_model_that_was_saved_and_loaded_is_seen(model, moved, telemetry, tmp_path):
    """The hook is on the class; what is saved is scikit-learn's alone."""
    loaded = moved(model.fit(FRAME, BINARY), tmp_path)

    loaded.predict(FRAME[:10])

    assert rows_of(telemetry) == {type(model).__name__: 10}
    assert b"otel_ml" not in pickle.dumps(model)
