"""scikit-learn: what counts as an inference, and that scikit-learn does not notice."""

import gc
import inspect
import pickle
import subprocess
import sys
import traceback
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import make_scorer, r2_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator

from otel_ml.instrumentation.models.sklearn.hooks import _HOOKS, _KINDS, SklearnInstrumentor, _subclasses
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import InferenceScope
from otel_ml.recording.request import request_scope

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True, as_frame=True)


def logistic(**kwargs):
    return LogisticRegression(max_iter=1000, **kwargs)


META_ESTIMATORS = {
    "pipeline": lambda: make_pipeline(StandardScaler(), logistic()),
    "forest on joblib's threads": lambda: RandomForestClassifier(20, n_jobs=2),
    "bagging in loky's processes": lambda: BaggingClassifier(n_estimators=4, n_jobs=2),
    "stacking": lambda: StackingClassifier([("a", DecisionTreeClassifier()), ("b", logistic())], n_jobs=2),
    "voting": lambda: VotingClassifier([("a", RandomForestClassifier(5, n_jobs=2)), ("b", logistic())], voting="soft"),
    "calibrated": lambda: CalibratedClassifierCV(DecisionTreeClassifier(max_depth=2)),
    "one versus rest": lambda: OneVsRestClassifier(logistic(), n_jobs=2),
    "search": lambda: GridSearchCV(logistic(), {"C": [0.1, 1]}, n_jobs=2),
    "boosting": lambda: AdaBoostClassifier(n_estimators=3),
    "histogram boosting": lambda: HistGradientBoostingClassifier(max_iter=3),
}


@pytest.mark.parametrize("make", META_ESTIMATORS.values(), ids=META_ESTIMATORS.keys())
def test_the_outermost_call_counts_once(make, iris, recorded, sklearn_instrumented):
    """However many estimators, threads or processes work inside, one call is one inference; training is none."""
    X, y = iris
    model = make().fit(X, y)
    model.score(X, y)
    after_training = len(recorded)

    model.predict(X)
    model.predict_proba(X)

    assert after_training == 0
    assert [inference.operation for inference in recorded] == ["predict", "predict_proba"]
    assert recorded[0].features is X
    assert not inside.get()


def test_an_anomaly_detector_counts_once(iris, recorded, sklearn_instrumented):
    """IsolationForest.predict calls decision_function, which calls score_samples."""
    X, _ = iris
    model = IsolationForest(n_estimators=10, n_jobs=2).fit(X.to_numpy())

    model.predict(X.to_numpy())
    model.decision_function(X.to_numpy())
    model.score_samples(X.to_numpy())

    assert [inference.operation for inference in recorded] == ["predict", "decision_function", "score_samples"]
    assert recorded[1].scores is not None
    assert recorded[1].predictions is None


def test_validation_is_no_inference(iris, recorded, sklearn_instrumented):
    """Cross-validation, scorers, fit_predict and staged predictions answer nobody's question about a row."""
    X, y = iris
    cross_val_score(logistic(), X, y)
    cross_val_predict(logistic(), X, y)
    make_scorer(r2_score)(LinearRegression().fit(X, y), X, y)
    KMeans(2, n_init=1).fit_predict(X)
    boosted = AdaBoostClassifier(n_estimators=3).fit(X.to_numpy(), y)
    list(boosted.staged_predict(X.to_numpy()))
    list(boosted.staged_score(X.to_numpy(), y))

    assert recorded == []


def test_nothing_stays_set_between_the_steps_of_a_staged_prediction(iris, recorded, sklearn_instrumented):
    """A generator that is left half-way must not silence the calls that follow."""
    X, y = iris
    model = AdaBoostClassifier(n_estimators=3).fit(X.to_numpy(), y)
    steps = model.staged_predict(X.to_numpy())
    next(steps)

    model.predict(X.to_numpy())

    assert len(recorded) == 1
    steps.close()


def test_a_transformation_is_no_inference(iris, recorded, sklearn_instrumented):
    """A bare transformer's transform is not recorded, nor the predictions it makes on its way."""
    X, y = iris
    StandardScaler().fit(X).transform(X)
    StackingClassifier([("a", logistic())]).fit(X, y).transform(X)
    make_pipeline(StandardScaler()).fit_transform(X)

    assert recorded == []


def test_models_of_users_are_seen_wherever_they_come_from(iris, recorded, sklearn_instrumented):
    """Subclasses, mixin order, methods from plain mixins, and unpickled models."""
    X, y = iris

    class Plain:
        def predict(self, X):
            return np.zeros(len(X))

    class FromMixin(RegressorMixin, Plain, BaseEstimator):
        pass

    class Subclass(LogisticRegression):
        def predict(self, X):
            return super().predict(X)

    FromMixin().predict(X)
    Subclass(max_iter=1000).fit(X, y).predict(X)
    pickle.loads(pickle.dumps(make_pipeline(StandardScaler(), logistic()).fit(X, y))).predict(X)
    Plain().predict(X)  # no estimator

    assert [inference.model.key.name for inference in recorded] == ["FromMixin", "Subclass", "LogisticRegression"]


def test_a_record_says_what_the_model_knows(iris, recorded, sklearn_instrumented):
    """Columns, classes, library, input by reference, output and duration."""
    X, y = iris
    model = logistic().fit(X, y)

    labels = model.predict(X=X)

    (inference,) = recorded
    assert inference.features is X
    assert inference.predictions is labels
    assert inference.model.system == "scikit_learn"
    assert inference.model.feature_names == tuple(X.columns)
    assert inference.model.classes == (0, 1, 2)
    assert inference.duration_s > 0
    assert inference.error_type is None


def test_an_operation_is_what_was_called(recorded, sklearn_instrumented):
    """A method may have been written under another name, or have none."""

    class Renamed(BaseEstimator):
        predict = lambda self, X: X  # noqa: E731 - what this is about

    Renamed().predict([1])

    assert (recorded[0].operation, recorded[0].predictions) == ("predict", [1])


def test_a_model_trained_anew_is_described_anew(iris, recorded, sklearn_instrumented):
    """Its columns and classes may have changed; until then the description is made once."""
    X, y = iris
    model = logistic().fit(X, y)
    model.predict(X)
    model.predict(X)

    model.fit(X.iloc[:, :2], y > 0)
    model.predict(X.iloc[:, :2])

    assert recorded[0].model is recorded[1].model
    assert recorded[2].model.classes == (False, True)
    assert len(recorded[2].model.feature_names) == 2


def test_an_untrained_model_raises_its_own_error(recorded, sklearn_instrumented):
    """The user's exception passes; the record has its type and no features; later calls see the trained model."""
    model = logistic()

    with pytest.raises(NotFittedError):
        model.predict([[1.0]])
    model.fit([[0.0], [1.0]], [0, 1]).predict([[1.0]])

    failed, made = recorded
    assert failed.error_type == "sklearn.exceptions.NotFittedError"
    assert failed.features is None
    assert failed.duration_s > 0
    assert made.model.classes == (0, 1)
    assert (failed.model.active, made.model.active) == (0, 0)


def test_an_exception_is_the_very_object_with_its_traceback(recorded, sklearn_instrumented):
    """Error handling sees what it would have seen: same object, same cause, the raising frame last."""
    raised = ValueError("mine")

    class Failing(BaseEstimator):
        def predict(self, X):
            raise raised from KeyError("cause")

    with pytest.raises(ValueError, match="mine") as caught:
        Failing().predict([[1.0]])

    assert caught.value is raised
    assert isinstance(raised.__cause__, KeyError)
    assert raised.__context__ is None
    assert traceback.extract_tb(raised.__traceback__)[-1].name == "predict"
    assert recorded[0].error_type == "ValueError"


def test_both_outputs_of_one_input_in_one_request_count_its_features_once(iris, recorded, sklearn_instrumented):
    """predict and predict_proba on the same X: one set of features, predictions, and scores."""
    X, y = iris
    model = logistic().fit(X, y)
    token = request_scope.set(InferenceScope())
    try:
        model.predict(X)
        model.predict_proba(X)
    finally:
        request_scope.reset(token)
    model.predict(X)
    model.predict_proba(X)

    assert [inference.features is not None for inference in recorded] == [True, False, True, True]
    assert [inference.scores is not None for inference in recorded] == [False, True, False, True]


def test_a_broken_adaptor_costs_the_record_and_nothing_else(iris, caplog, sklearn_instrumented):
    """Telemetry never raises into user code."""

    class Odd(BaseEstimator):
        @property
        def steps(self):
            raise RuntimeError("odd")

        def predict(self, X):
            return X

    assert Odd().predict(3) == 3
    assert "sklearn hook failed" in caplog.text


def test_generators_and_coroutines_are_left_alone(recorded, sklearn_instrumented):
    """What a lazy method returns is no prediction yet."""

    class Lazy(BaseEstimator):
        def predict(self, X):
            yield from X

        async def predict_proba(self, X):
            return X

    assert list(Lazy().predict([1, 2])) == [1, 2]
    assert inspect.iscoroutinefunction(Lazy.predict_proba)
    assert recorded == []


# --- scikit-learn does not notice -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "estimator",
    [LogisticRegression(), LinearRegression(), StandardScaler(), DummyClassifier()],
    ids=lambda estimator: type(estimator).__name__,
)
def test_scikit_learns_own_checks_pass(estimator, recorded, sklearn_instrumented):
    """check_estimator is the contract for estimators: signatures, errors, pickling, no changed attributes."""
    check_estimator(estimator)


@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_own_checks_pass_for_a_class_made_afterwards(recorded, sklearn_instrumented):
    """Classes defined after instrument() keep the contract, too."""

    global Nearest  # noqa: PLW0603 - the checks pickle it

    class Nearest(NearestCentroid):
        __qualname__ = "Nearest"

    check_estimator(Nearest())


def test_methods_keep_their_signature_name_and_documentation(sklearn_instrumented):
    """What help(), inspect and metadata routing read is the original's."""
    hooked = LogisticRegression.predict

    assert hooked.__name__ == "predict"
    assert hooked.__qualname__ == "LinearClassifierMixin.predict"
    assert list(inspect.signature(hooked).parameters) == ["self", "X"]
    assert inspect.cleandoc(hooked.__doc__).startswith("Predict class labels")


def test_methods_that_depend_on_settings_still_come_and_go(sklearn_instrumented):
    """hasattr tells the truth about SVC.predict_proba and a pipeline's decision_function."""
    with_it = make_pipeline(StandardScaler(), LogisticRegression())
    without = Pipeline([("scale", StandardScaler()), ("identity", FunctionTransformer())])

    assert hasattr(with_it, "decision_function")
    assert not hasattr(without, "predict")
    assert not hasattr(VotingClassifier([("a", LogisticRegression())], voting="hard"), "predict_proba")
    assert not hasattr(SVC(kernel="linear"), "score_samples")


def test_metadata_routing_keeps_working(recorded, sklearn_instrumented):
    """set_predict_request is made from the signature of predict, for classes made before and after."""

    class Weighted(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            self.fitted_ = True
            return self

        def predict(self, X, scale=1.0):
            return np.ones(len(X)) * scale

    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(StandardScaler(), Weighted().set_predict_request(scale=True))
        answer = pipeline.fit([[1.0], [2.0]], [1, 2]).predict([[1.0]], scale=3.0)

    assert answer.tolist() == [3.0]
    assert recorded[0].predictions is answer


def test_set_output_and_clone_keep_working(iris, sklearn_instrumented):
    """What scikit-learn wraps itself is wrapped in its own order."""

    class Half(TransformerMixin, BaseEstimator):
        def fit(self, X, y=None):
            return self

        def transform(self, X):
            return np.asarray(X) / 2

        def get_feature_names_out(self, input_features=None):
            return np.array(["a", "b", "c", "d"])

    made = clone(Half()).set_output(transform="pandas").fit(iris[0]).transform(iris[0])

    assert isinstance(made, pd.DataFrame)
    assert list(made.columns) == ["a", "b", "c", "d"]


def test_a_class_defined_in_main_can_be_sent_to_worker_processes():
    """cloudpickle sends it by value, hooks included: they must arrive, do nothing there, and work here."""
    done = subprocess.run(
        [sys.executable, HERE / "main_module_model.py"], capture_output=True, text=True, check=False, timeout=120
    )

    assert (done.stdout, done.returncode) == ("recorded 1\n", 0), done.stderr


# --- undoing ----------------------------------------------------------------------------------------------------------


def mixin_of(cls, name):
    return next(owner for owner in cls.__mro__ if name in vars(owner))


def every_hook():
    """Every place in the estimators' classes that leads to a hook of ours, also through wrappers of others."""
    found = []
    for cls in [BaseEstimator, *_subclasses(BaseEstimator)]:
        for owner in cls.__mro__:
            for name in _KINDS.keys() & vars(owner).keys():
                layer = getattr(vars(owner)[name], "fn", vars(owner)[name])
                while layer is not None:
                    if getattr(layer, "__code__", None) in _HOOKS:
                        found.append((owner.__qualname__, name))
                    layer = getattr(layer, "__wrapped__", None)
    return found


def test_undoing_restores_the_original_objects():
    """Every method, descriptor function and __init_subclass__ is the same object as before, twice over."""
    watched = [
        (LogisticRegression.__mro__[1], "predict"),
        (BaseEstimator, "__init_subclass__"),
        (StandardScaler, "fit"),
    ]
    before = [vars(owner).get(name) for owner, name in watched]
    descriptor = vars(Pipeline)["predict"]
    function = descriptor.fn

    for _ in range(2):
        SklearnInstrumentor().instrument(skip_dep_check=True)
        hooked = descriptor.fn
        SklearnInstrumentor().uninstrument()

        assert hooked is not function
        assert [vars(owner).get(name) for owner, name in watched] == before
        assert vars(Pipeline)["predict"] is descriptor
        assert descriptor.fn is function
        assert every_hook() == []


def test_undoing_covers_classes_made_meanwhile(sklearn_instrumented):
    """Classes made while instrumented end up as if they had been made without us; hooks kept by reference go quiet."""

    def predict(self, X):
        return X

    def transform(self, X):
        return X

    made = type(
        "Made", (ClassifierMixin, TransformerMixin, BaseEstimator), {"predict": predict, "transform": transform}
    )
    borrower = type("Borrower", (BaseEstimator,), {"predict": LogisticRegression.predict})
    kept = made().predict

    SklearnInstrumentor().uninstrument()

    assert vars(made)["predict"] is predict
    assert inspect.unwrap(vars(made)["transform"]) is transform
    assert vars(borrower)["predict"] is LogisticRegression.predict
    assert every_hook() == []
    assert kept(5) == 5


def test_instrumenting_twice_changes_nothing(caplog, iris, recorded, sklearn_instrumented):
    """A second instrument() neither wraps the wrappers nor records twice."""
    X, y = iris

    SklearnInstrumentor().instrument(skip_dep_check=True)
    logistic().fit(X, y).predict(X)

    assert len(recorded) == 1


def test_hooked_classes_are_not_kept_alive(sklearn_instrumented):
    """Estimators defined in functions and notebook cells can go."""

    class Passing(LogisticRegression):
        def predict(self, X):
            return super().predict(X)

    reference = weakref.ref(Passing)
    del Passing
    for _ in range(3):
        gc.collect()

    assert reference() is None
