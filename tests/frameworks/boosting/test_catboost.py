"""CatBoost: its four models, pools, kinds of answers, and what is no inference."""

import gc
import sys
import weakref
from pathlib import Path

import catboost
import numpy as np
import pandas as pd
import polars as pl
import pytest
from contracts.instrumentation import ModelContract, instrumented
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from otel_ml.instrumentation.models.catboost import CatBoostInstrumentor
from otel_ml.instrumentation.models.sklearn import SklearnInstrumentor
from otel_ml.instrumentation.reading.sources import source_of
from otel_ml.recording import guard
from otel_ml.testing import captured_telemetry

sys.path.append(str(Path(__file__).parent))
from boosting_samples import BINARY, FRAME, NAMES, NUMBERS, QUIET_CATBOOST, THREE, columns_of, content_of, recorded

LABELS = np.where(BINARY, "yes", "no")


@pytest.fixture
def telemetry():
    with instrumented(SklearnInstrumentor), instrumented(CatBoostInstrumentor), captured_telemetry() as captured:
        yield captured
        assert guard.failures() == {}


def classifier(y=BINARY, X=FRAME, **parameters):
    return catboost.CatBoostClassifier(**QUIET_CATBOOST, **parameters).fit(X, y)


class TestClassifier(ModelContract):
    """`predict` of a frame."""

    instrumentor = CatBoostInstrumentor
    reported_as = "CatBoostClassifier"
    system = "catboost"

    def model(self):
        return classifier()

    def infer(self, model):
        return model.predict(FRAME[:3]).tolist()

    def fail(self, model):
        model.predict(NUMBERS[:, :2])


class TestRegressorOfAPool(TestClassifier):
    """`predict` of a pool, which keeps no names of what it was made of."""

    reported_as = "CatBoostRegressor"

    def model(self):
        return catboost.CatBoostRegressor(**QUIET_CATBOOST).fit(FRAME, NUMBERS[:, 1])

    def infer(self, model):
        return model.predict(catboost.Pool(FRAME[:3])).tolist()

    def fail(self, model):
        model.predict(catboost.Pool(NUMBERS[:, :2]))


@pytest.mark.parametrize(
    ("make", "operation", "expected"),
    [
        (lambda: classifier(LABELS), "predict", {"prediction": {"prediction"}}),
        (lambda: classifier(LABELS), "predict_proba", {"score": {"score"}}),
        (lambda: classifier(LABELS), "predict_log_proba", {"score": {"score"}}),
        (lambda: classifier(THREE), "predict", {"prediction": {"prediction"}}),
        (lambda: classifier(THREE), "predict_proba", {"score": {"0", "1", "2"}}),
        (
            lambda: catboost.CatBoostRanker(**QUIET_CATBOOST).fit(FRAME, BINARY, group_id=[0] * len(FRAME)),
            "predict",
            {"prediction": {"prediction"}},
        ),
        (
            lambda: catboost.CatBoost({**QUIET_CATBOOST, "loss_function": "Logloss"}).fit(FRAME, BINARY),
            "predict",
            {"score": {"score"}},
        ),
        (
            lambda: catboost.CatBoostRegressor(**QUIET_CATBOOST, loss_function="MultiRMSE").fit(FRAME, NUMBERS[:, :2]),
            "predict",
            {"prediction": {"0", "1"}},
        ),
    ],
)
def test_each_method_gives_its_kind_of_output(make, operation, expected, telemetry):
    """Labels and values are predictions; probabilities and margins are scores."""
    model = make()
    getattr(model, operation)(FRAME[:4])

    assert recorded(telemetry) == ([(type(model).__name__, operation)], 4)
    assert columns_of(telemetry) == {"feature": set(NAMES), **expected}


@pytest.mark.parametrize("asked", [("Probability",), {"prediction_type": "Probability"}], ids=["position", "keyword"])
def test_predict_can_be_asked_for_probabilities(asked, telemetry):
    """The answer is what was asked for, not what the method is called."""
    model = classifier(LABELS)
    answer = model.predict(FRAME[:4], *asked) if isinstance(asked, tuple) else model.predict(FRAME[:4], **asked)

    score = content_of(telemetry, "score", "score")
    assert score.moments.mean == pytest.approx(answer[:, 1].mean())
    assert "prediction" not in columns_of(telemetry)


def test_logarithms_are_turned_back(telemetry):
    """All scores of a model have one scale."""
    model = classifier()
    model.predict_log_proba(FRAME)

    expected = model.predict_proba(FRAME)[:, 1].mean()
    assert content_of(telemetry, "score", "score").moments.mean == pytest.approx(expected)


def test_classes_are_counted_as_they_are_called(telemetry):
    """CatBoost answers several classes in a column of its own."""
    model = classifier(np.array(["a", "b", "c"])[THREE])
    answer = model.predict(FRAME)

    assert answer.shape == (len(FRAME), 1)
    counts = content_of(telemetry, "prediction", "prediction").categories.counts
    assert {name: count for name, count in counts.items() if count} == {
        name: int((answer == name).sum()) for name in set(answer.ravel())
    }


@pytest.mark.parametrize("y", [LABELS, THREE], ids=["two classes", "three classes"])
def test_a_single_object_is_one_row(y, telemetry):
    """A list of values, or a row of a matrix: its probabilities come without the axis of rows."""
    model = classifier(y, NUMBERS)
    model.predict(NUMBERS[0].tolist())
    model.predict_proba(NUMBERS[0])

    scores = list(columns_of(telemetry)["score"])
    assert recorded(telemetry)[1] == 2
    assert len(scores) == (1 if y is LABELS else 3)
    assert {content_of(telemetry, "score", name).moments.count for name in scores} == {1}


@pytest.mark.parametrize(
    "make",
    [pd.DataFrame, pl.from_pandas, np.asarray, lambda frame: frame.to_numpy().tolist()],
    ids=["pandas", "polars", "numpy", "lists"],
)
@pytest.mark.parametrize("pool", [catboost.Pool, lambda given: given], ids=["pool", "bare"])
def test_inputs_of_all_kinds_are_read(make, pool, telemetry):
    """Names are the input's own, else those of training; the source of a pool may be gone by then."""
    classifier().predict(pool(make(FRAME[:4])))

    assert columns_of(telemetry)["feature"] == set(NAMES)
    assert content_of(telemetry, "feature", "age").moments.mean == pytest.approx(NUMBERS[:4, 0].mean())


def test_categories_are_seen_through_a_pool(telemetry):
    """The pool itself holds hashes of them only."""
    frame = FRAME.assign(colour=np.where(BINARY, "red", "blue"))
    model = classifier(BINARY, frame, cat_features=["colour"])
    model.predict(catboost.Pool(frame, cat_features=["colour"]))

    counts = content_of(telemetry, "feature", "colour").categories.counts
    assert counts == {"red": BINARY.sum(), "blue": len(BINARY) - BINARY.sum()}


def test_columns_of_features_data_are_read(telemetry):
    """CatBoost's own container of columns."""
    data = catboost.FeaturesData(
        num_feature_data=NUMBERS[:4].astype(np.float32),
        num_feature_names=list(NAMES),
        cat_feature_data=np.array([[b"red"]] * 4, dtype=object),
        cat_feature_names=["colour"],
    )
    model = classifier(BINARY, FRAME.assign(colour="red"), cat_features=["colour"])
    model.predict(data)

    assert columns_of(telemetry)["feature"] == {*NAMES, "colour"}
    assert recorded(telemetry)[1] == 4


def test_a_large_frame_is_not_kept_alive_by_its_pool(telemetry):
    """A training pool must not double its memory; its own numbers do instead."""
    model = classifier()
    frame = pd.DataFrame(np.zeros((60_000, 3)), columns=NAMES)
    pool = catboost.Pool(frame)
    was_seen = source_of(pool) is frame
    gone = weakref.ref(frame)

    del frame
    gc.collect()
    model.predict(pool)

    assert was_seen
    assert gone() is None
    assert recorded(telemetry)[1] == 60_000
    assert columns_of(telemetry)["feature"] == set(NAMES)


def test_training_and_validation_are_no_inference(telemetry):
    """fit with evaluation sets, score, cross-validation, staged predictions, metrics, leaves."""
    model = catboost.CatBoostClassifier(**QUIET_CATBOOST)
    model.fit(FRAME, BINARY, eval_set=(FRAME, BINARY))
    model.score(FRAME, BINARY)
    list(model.staged_predict(FRAME))
    model.eval_metrics(catboost.Pool(FRAME, BINARY), ["AUC"])
    model.calc_leaf_indexes(FRAME)
    ranker = catboost.CatBoostRanker(**QUIET_CATBOOST).fit(FRAME, BINARY, group_id=[0] * len(FRAME))
    ranker.score(FRAME, BINARY, group_id=[0] * len(FRAME))
    catboost.train(catboost.Pool(FRAME, BINARY), {**QUIET_CATBOOST, "loss_function": "Logloss"})
    cross_val_score(catboost.CatBoostRegressor(**QUIET_CATBOOST), FRAME, BINARY, cv=2)

    assert recorded(telemetry) == ([], 0)


def test_a_pipeline_with_catboost_at_its_end_counts_once(telemetry):
    """Named after the model that decides."""
    pipeline = make_pipeline(StandardScaler(), catboost.CatBoostClassifier(**QUIET_CATBOOST)).fit(FRAME, LABELS)
    pipeline.predict(FRAME[:5])

    assert recorded(telemetry) == ([("CatBoostClassifier", "predict")], 5)
    assert {span.attributes["ml.system.name"] for span in telemetry.spans()} == {"catboost"}
    assert columns_of(telemetry) == {"feature": set(NAMES), "prediction": {"prediction"}}


def test_a_model_trained_or_loaded_anew_is_described_anew(telemetry, tmp_path):
    """Its columns and classes may have changed."""
    model = classifier()
    model.predict(FRAME[:2])
    model.save_model(tmp_path / "model.cbm")
    model.fit(NUMBERS[:, :2], LABELS)
    model.predict(NUMBERS[:2, :2])
    model.load_model(tmp_path / "model.cbm")
    model.predict(NUMBERS[:2])

    assert recorded(telemetry)[1] == 6
    assert columns_of(telemetry)["feature"] == {*NAMES, "f0", "f1"}
