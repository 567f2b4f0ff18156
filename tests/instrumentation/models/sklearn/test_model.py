"""What is read from scikit-learn models and their results."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from otel_ml.config import Settings
from otel_ml.instrumentation import identity
from otel_ml.instrumentation.models.sklearn.model import MAX_SCORES, describe, input_among, outputs_of
from otel_ml.sketch.feature import FeatureKind, ModelKey

X = np.array([[0.0], [1.0], [2.0], [3.0]])


def test_a_pipeline_and_a_search_are_named_after_what_decides():
    """ "Pipeline" would name nothing, "GridSearchCV" the way the model was found."""
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [1.0]}, cv=2).fit(X, [0, 1, 0, 1])

    assert describe(pipeline, Settings()).key == ModelKey("LogisticRegression")
    assert describe(search, Settings()).key == ModelKey("LogisticRegression")


def test_a_name_given_to_the_final_estimator_names_the_pipeline():
    """set_model works on the model the user thinks of."""
    estimator = LogisticRegression()
    identity.set_model(estimator, "fraud", "3")

    assert describe(make_pipeline(StandardScaler(), estimator), Settings()).key == ModelKey("fraud", "3")


@pytest.mark.parametrize(
    ("model", "y", "kind"),
    [
        (LogisticRegression(), ["a", "b", "a", "b"], FeatureKind.CATEGORICAL),
        (LogisticRegression(), [0, 1, 0, 1], FeatureKind.CATEGORICAL),
        (LogisticRegression(), [False, True, False, True], FeatureKind.BOOLEAN),
        (LinearRegression(), [0.0, 1.0, 2.0, 3.0], FeatureKind.NUMERIC),
        (KMeans(2, n_init=1), None, FeatureKind.CATEGORICAL),
        (IsolationForest(n_estimators=3), None, FeatureKind.CATEGORICAL),
        (make_pipeline(StandardScaler(), LinearRegression()), [0.0, 1.0, 2.0, 3.0], FeatureKind.NUMERIC),
    ],
    ids=["labels", "integer labels", "truth values", "regressor", "clusters", "outliers", "pipeline"],
)
def test_the_kind_of_a_prediction_follows_from_the_model(model, y, kind):
    """Integer labels are categories, however much they look like numbers."""
    assert describe(model.fit(X, y), Settings()).output_kind is kind


def test_columns_and_classes_are_those_of_training():
    """They come as plain Python values, through pipelines as well."""
    frame = pd.DataFrame({"age": X[:, 0]})
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, ["no", "yes", "no", "yes"])

    info = describe(model, Settings())

    assert info.feature_names == ("age",)
    assert info.classes == ("no", "yes")
    assert all(type(value) is str for value in info.classes)


def test_classes_are_as_many_as_scores_at_most():
    """The columns of scores that are kept find their names."""
    model = LogisticRegression()
    model.classes_ = np.arange(30)

    assert len(describe(model, Settings()).classes) == MAX_SCORES


def test_a_model_that_knows_nothing_is_described_by_its_class():
    """Untrained models, and several outputs at once, have neither columns nor one list of classes."""
    several = MultiOutputClassifier(LogisticRegression()).fit(X, [[0, 1], [1, 0], [0, 1], [1, 0]])

    assert describe(LogisticRegression(), Settings()).classes is None
    assert describe(LogisticRegression(), Settings()).feature_names is None
    assert describe(several, Settings()).classes is None


def test_what_is_no_estimator_is_not_described():
    """A class may share a mixin with an estimator and be none itself."""
    assert describe(object(), Settings()) is None


def test_the_library_behind_an_estimator_is_told():
    """XGBoost's and LightGBM's estimators are scikit-learn's by class and their own by engine."""
    theirs = type("XGBModel", (LinearRegression,), {"__module__": "xgboost.sklearn"})
    users = type("Mine", (theirs,), {"__module__": "app"})

    assert describe(users(), Settings()).system == "xgboost"
    assert describe(LinearRegression(), Settings()).system == "scikit_learn"


def test_the_input_is_found_among_keywords():
    """X by name, else whatever came first."""
    assert input_among({"check": 1, "X": 2}) == 2
    assert input_among({"data": 3}) == 3
    assert input_among({}) is None


def test_a_binary_classifier_has_one_score():
    """The probability of the second class; the other is one minus it."""
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5]])

    predictions, scores = outputs_of("predict_proba", {}, probabilities)

    assert predictions is None
    assert scores.tolist() == [0.75, 0.5]


def test_several_classes_have_a_score_each_up_to_a_bound():
    """A thousand classes do not make a thousand series."""
    few = np.full((2, 3), 1 / 3)

    assert outputs_of("predict_proba", {}, few)[1] is few
    assert outputs_of("predict_proba", {}, np.zeros((2, 1000)))[1].shape == (2, MAX_SCORES)


def test_log_probabilities_share_the_scale_of_probabilities():
    """A model's scores mean the same, whichever method gave them."""
    _, scores = outputs_of("predict_log_proba", {}, np.log([[0.25, 0.75]]))

    assert scores.tolist() == pytest.approx([0.75])


def test_uncertainties_are_not_predictions():
    """return_std gives a tuple, of which the first part was predicted."""
    mean = np.array([1.0])

    assert outputs_of("predict", {"return_std": True}, (mean, np.array([0.1]))) == (mean, None)


def test_leaves_and_contributions_are_not_predictions():
    """XGBoost and LightGBM return other things from predict on request."""
    assert outputs_of("predict", {"pred_leaf": True}, np.array([[1, 2]])) == (None, None)
