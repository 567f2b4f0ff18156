"""One model's summaries, fed with whatever requests hold."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ml.baseline import Baseline
from otel_ml.recording import guard
from otel_ml.recording.accumulator import MAX_FEATURES, UNREADABLE, ModelAccumulator
from otel_ml.recording.inference import RECORD, Inference, ModelInfo
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole, ModelKey

KEY = ModelKey("m", "1")
MODEL = ModelInfo(KEY)


@pytest.fixture(autouse=True)
def no_failure_of_ours():
    """Bad input is no failure: nothing may have been caught by the last net."""
    guard.reset()
    yield
    assert guard.failures() == {}


def told(row, prediction=None, scores=None):
    return (MODEL, RECORD, row, prediction, scores)


def drained(inferences, **settings):
    accumulator = ModelAccumulator(KEY, **settings)
    accumulator.add(inferences)
    return accumulator.drain()


def summaries(inferences, role=FeatureRole.FEATURE, **settings):
    """Summaries of one role by name."""
    columns = drained(inferences, **settings).columns
    return {column.summary.key.name: column.summary for column in columns if column.summary.key.role is role}


class Hostile:
    """A value whose every method fails."""

    def _fail(self, *_):
        raise RuntimeError("not my day")

    __hash__ = __eq__ = __float__ = __bool__ = __len__ = __str__ = __repr__ = __getattr__ = __iter__ = _fail


GOOD = [told({"number": float(value), "text": "ab"[value % 2], "flag": value % 2 == 0}) for value in range(10)]


@pytest.mark.parametrize(
    ("value", "counter"),
    [
        (None, "missing"),
        (float("nan"), "missing"),
        (np.float32("nan"), "missing"),
        (pd.NA, "missing"),
        (pd.NaT, "missing"),
        (float("inf"), "positive_infinite"),
        (float("-inf"), "negative_infinite"),
        (10**400, "positive_infinite"),
        (-(10**400), "negative_infinite"),
        ("12", "mismatched"),
        ("", "mismatched"),
        (b"12", "mismatched"),
        ([1.0], "mismatched"),
        ({"nested": 1}, "mismatched"),
        (object(), "mismatched"),
        (Hostile(), "mismatched"),
        (1j, "mismatched"),
        (5, "valid"),
        (True, "valid"),
        (np.int8(3), "valid"),
        (np.float32(1.5), "valid"),
        (Decimal("2.5"), "valid"),
        (Fraction(1, 3), "valid"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_an_odd_value_in_a_numeric_column_is_counted_for_what_it_is(value, counter):
    """One odd value costs its row the slow path and nothing else."""
    found = summaries([*GOOD, told({"number": value, "text": "a", "flag": True})])

    counters = found["number"].counters
    assert counters.rows == 11
    assert getattr(counters, counter) == (11 if counter == "valid" else 1)
    assert counters.valid == (11 if counter == "valid" else 10)
    assert found["text"].counters.valid == found["flag"].counters.valid == 11


@pytest.mark.parametrize(
    ("value", "counter"),
    [
        (None, "missing"),
        (float("nan"), "missing"),
        ([], "mismatched"),
        ({}, "mismatched"),
        (Hostile(), "mismatched"),
        (b"x", "mismatched"),
        (10**40, "mismatched"),
        ("\ud800", "valid"),
        ("x" * 100_000, "valid"),
        (7, "valid"),
    ],
    ids=["None", "NaN", "list", "dict", "hostile", "bytes", "huge", "surrogate", "long", "number"],
)
def test_an_odd_value_in_a_categorical_column_is_counted_for_what_it_is(value, counter):
    """Names are bounded, whatever a client sends."""
    counters = summaries([*GOOD, told({"number": 1.0, "text": value, "flag": True})])["text"].counters

    assert getattr(counters, counter) == (11 if counter == "valid" else 1)
    assert counters.rows == 11


def test_truth_values_may_come_as_zero_and_one():
    """JSON clients send either; anything else is a mismatch."""
    rows = [told({"number": 1.0, "text": "a", "flag": value}) for value in (0, 1, 1.0, 2, "yes", None)]

    flag = summaries([*GOOD, *rows])["flag"]

    assert (flag.content.true_count, flag.content.false_count) == (7, 6)
    assert (flag.counters.mismatched, flag.counters.missing) == (2, 1)


def test_a_column_absent_from_a_row_is_missing_there():
    """Optional fields are ordinary in JSON."""
    found = summaries([*GOOD, told({"text": "a"}), told({})])

    assert found["number"].counters.missing == 2
    assert found["text"].counters.missing == 1
    assert found["flag"].counters.missing == 2


def test_a_column_that_comes_later_is_counted_from_then_on():
    """It was not due in the batches before."""
    accumulator = ModelAccumulator(KEY)
    accumulator.add(GOOD)

    accumulator.add([told({"number": 1.0, "text": "a", "flag": True, "new": 3.0})] * 2)

    found = {column.summary.key.name: column.summary.counters for column in accumulator.drain().columns}
    assert (found["new"].rows, found["new"].valid) == (2, 2)
    assert found["number"].rows == 12


def test_a_renamed_column_is_noticed_although_the_number_of_columns_stays():
    """As many keys as before is not the same keys as before."""
    accumulator = ModelAccumulator(KEY)
    accumulator.add([told({"a": 1.0, "b": 2.0})] * 3)

    accumulator.add([told({"a": 1.0, "c": 2.0})] * 2)

    found = {column.summary.key.name: column.summary.counters for column in accumulator.drain().columns}
    assert found["b"].missing == 2
    assert found["c"].valid == 2


def test_a_column_of_nothing_but_none_waits_for_its_first_value():
    """Only then is its kind known."""
    accumulator = ModelAccumulator(KEY)
    accumulator.add([told({"a": None, "b": 1.0})] * 3)

    accumulator.add([told({"a": "x", "b": 1.0})])

    found = {column.summary.key.name: column.summary for column in accumulator.drain().columns}
    assert found["a"].kind is FeatureKind.CATEGORICAL
    assert found["a"].content.categories.counts == {"x": 1}


def test_documents_are_not_taken_for_categories():
    """Free text would leave the process otherwise."""
    summary = summaries([told({"review": "word " * 100})] * 5)["review"]

    assert summary.kind is FeatureKind.TEXT
    assert summary.counters.rows == 5


def test_ten_thousand_categories_stay_bounded_and_complete():
    """Names are bounded; the number of values and of distinct ones is still known."""
    summary = summaries([told({"id": f"user-{index}"}) for index in range(10_000)])["id"]

    assert len(summary.content.categories.counts) <= 256
    assert summary.content.categories.count == 10_000
    assert summary.content.cardinality.estimate() == pytest.approx(10_000, rel=0.1)


def test_columns_beyond_the_limit_are_ignored_and_their_rows_counted():
    """A client that invents columns cannot fill the memory."""
    rows = [told({f"c{index}-{row}": 1.0 for index in range(5)}) for row in range(10)]

    result = drained(rows, max_features=12)

    assert sum(column.summary.key.role is FeatureRole.FEATURE for column in result.columns) == 12
    assert result.let_go[MAX_FEATURES] == 8
    assert result.rows == 10


def test_too_wide_a_matrix_is_summarised_up_to_the_limit():
    """The same bound as for rows."""
    result = drained([Inference(MODEL, "predict", np.ones((4, 20)))] * 2, max_features=5)

    assert len(result.columns) == 5
    assert result.let_go[MAX_FEATURES] == 8


def test_what_cannot_be_read_is_counted():
    """A query that was not run yet is no row of columns; the request does not notice."""
    result = drained([Inference(MODEL, "predict", pl.LazyFrame({"a": [1, 2]}))])
    guard_counts = dict(guard.failures())
    guard.reset()

    assert result.let_go[UNREADABLE] == 1
    assert result.rows == 1
    assert guard_counts == {"reading features": 1}


@pytest.mark.parametrize("empty", [[], np.empty((0, 3)), pd.DataFrame({"a": []}), {}, ()])
def test_an_empty_batch_counts_nothing_wrong(empty):
    """Zero rows are fine."""
    result = drained([Inference(MODEL, "predict", empty, np.empty(0))])

    assert result.rows in (0, 1)
    assert all(column.summary.counters.valid == 0 for column in result.columns)


def test_matrices_and_rows_of_one_model_meet_in_the_same_columns():
    """A server may be asked both ways."""
    named = ModelInfo(KEY, feature_names=("a", "b"))
    accumulator = ModelAccumulator(KEY)
    accumulator.add([told({"b": 1.0, "a": 2.0})])

    accumulator.add([Inference(named, "predict", np.array([[4.0, 3.0], [6.0, 5.0]]))])

    found = {column.summary.key.name: column.summary.content.moments for column in accumulator.drain().columns}
    assert (found["a"].count, found["a"].mean) == (3, 4.0)
    assert (found["b"].count, found["b"].mean) == (3, 3.0)


def test_single_rows_of_many_calls_are_read_together():
    """A server's calls of one row each become one matrix, and each call keeps its size."""
    accumulator = ModelAccumulator(KEY)
    calls = [Inference(MODEL, "predict", np.full((1, 2), float(index)), np.array([index * 1.0])) for index in range(9)]

    accumulator.add([*calls, Inference(MODEL, "predict", np.ones((5, 2)), np.ones(5))])

    assert accumulator.drain().rows == 14
    (calls,) = accumulator.take_calls().values()
    assert calls.sizes == [1] * 9 + [5]


def test_durations_are_kept_by_what_became_of_the_call():
    """A call that failed has a duration, an error, and no row."""
    accumulator = ModelAccumulator(KEY)

    accumulator.add(
        [
            Inference(MODEL, "predict", np.ones((1, 2)), duration_s=0.5),
            Inference(MODEL, "predict", None, duration_s=0.1, error_type="ValueError"),
        ]
    )

    calls = {kind.error_type: kept.durations_s for kind, kept in accumulator.take_calls().items()}
    assert calls == {None: [0.5], "ValueError": [0.1]}
    assert accumulator.drain().rows == 1


def test_probabilities_without_features_add_scores_and_no_rows():
    """`predict_proba` after `predict` on the same input is the same rows."""
    info = ModelInfo(KEY, classes=("no", "yes"))
    result = drained(
        [
            Inference(info, "predict", np.ones((2, 1)), np.array(["yes", "no"])),
            Inference(info, "predict_proba", None, None, np.array([[0.2, 0.8], [0.6, 0.4]])),
        ]
    )

    found = {column.summary.key: column.summary for column in result.columns}
    assert result.rows == 2
    assert found[FeatureKey(FeatureRole.PREDICTION, "prediction")].content.categories.counts == {"yes": 1, "no": 1}
    assert found[FeatureKey(FeatureRole.SCORE, "score")].content.moments.mean == pytest.approx(0.6)


def test_class_labels_that_are_numbers_are_categories():
    """The classes of a classifier are names, even 0 and 1."""
    info = ModelInfo(KEY, classes=(0, 1))

    found = summaries([Inference(info, "predict", np.ones((3, 1)), np.array([0, 1, 1]))], FeatureRole.PREDICTION)

    assert found["prediction"].content.categories.counts == {"0": 1, "1": 2}


def test_a_drain_begins_anew():
    """Snapshots are deltas."""
    accumulator = ModelAccumulator(KEY)
    accumulator.add(GOOD)
    accumulator.drain()

    accumulator.add(GOOD[:3])

    assert {column.summary.counters.rows for column in accumulator.drain().columns} == {3}
    assert accumulator.drain() == (0, [], {}, None, None)


class TestWithBaseline:
    """A baseline pins what the first batch would otherwise decide."""

    baseline = Baseline.build(
        {"a": np.linspace(0.0, 1.0, 500), "code": [1, 2] * 250, "flag": [True, False] * 250},
        model="m",
        version="1",
        categorical=["code"],
    )

    def test_kinds_are_those_of_the_training_data(self):
        """A code stays a category although it is a number; text in a numeric column is a mismatch from row one."""
        found = summaries([told({"a": "oops", "code": 2, "flag": 1})] * 4, baseline=self.baseline)

        assert found["a"].counters.mismatched == 4
        assert found["code"].content.categories.counts == {"2": 4}
        assert found["flag"].content.true_count == 4

    def test_values_are_counted_in_the_bins_of_the_training_data(self):
        """Those are what replicas can add up exactly."""
        summary = summaries([told({"a": 0.5, "code": 1, "flag": True})] * 4, baseline=self.baseline)["a"]

        layout = self.baseline.layout(FeatureKey(FeatureRole.FEATURE, "a"))
        assert summary.content.bins[layout.hash].counts.sum() == 4

    def test_a_column_the_client_stopped_sending_is_missing(self):
        """Even if it never came."""
        assert summaries([told({"a": 0.5})] * 4, baseline=self.baseline)["code"].counters.missing == 4

    def test_a_matrix_without_names_has_the_columns_of_the_training_data(self):
        """If it has as many."""
        found = summaries([Inference(MODEL, "predict", np.ones((2, 3)))], baseline=self.baseline)

        assert set(found) == {"a", "code", "flag"}
        assert found["code"].content.categories.counts == {"1": 2}


VALUES = st.one_of(
    st.floats(),
    st.integers(),
    st.booleans(),
    st.none(),
    st.text(max_size=5),
    st.decimals(),
    st.lists(st.integers(), max_size=2),
    st.just(10**400),
    st.builds(np.float32, st.floats(width=32)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES), min_size=1, max_size=30), st.integers(1, 30))
def test_every_row_is_accounted_for_whatever_it_holds(rows, chunk):
    """Valid, missing, mismatched and infinite add up to the rows, however they are cut into batches."""
    accumulator = ModelAccumulator(KEY)
    for start in range(0, len(rows), chunk):
        # A row begins with a plain value: a dict of nothing but lists would be columns.
        accumulator.add([told({"first": 0.0, **row}) for row in rows[start : start + chunk]])

    result = accumulator.drain()

    assert result.rows == len(rows)
    assert result.let_go == {}
    for column in result.columns:
        counters = column.summary.counters
        assert 0 <= counters.rows <= len(rows)
        assert counters.valid >= 0
        if column.histogram is not None:
            assert column.histogram.count == counters.valid
