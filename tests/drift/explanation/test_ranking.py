import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.explanation import rank_columns

weights = st.floats(0, allow_nan=False, allow_infinity=False)


def names(ranked):
    return [column.name for column in ranked]


def test_drift_counts_by_importance():
    """A little drift in what the model leans on comes before much in what it hardly uses."""
    ranked = rank_columns({"noise": 0.9, "income": 0.3, "age": 0.2}, {"income": 6, "age": 3, "noise": 1})

    assert names(ranked) == ["income", "noise", "age"]
    assert [column.importance for column in ranked] == pytest.approx([0.6, 0.1, 0.3])
    assert [column.score for column in ranked] == pytest.approx([0.18, 0.09, 0.06])
    assert [column.drift for column in ranked] == [0.3, 0.9, 0.2]


@pytest.mark.parametrize("importances", [None, {}, {"elsewhere": 1.0}, {"a": 0.0}])
def test_where_nothing_is_known_all_columns_count_the_same(importances):
    """Then the order is that of the drift."""
    ranked = rank_columns({"a": 0.1, "b": 0.3, "c": 0.2, "d": 0.0}, importances)

    assert names(ranked) == ["b", "c", "a", "d"]
    assert {column.importance for column in ranked} == {0.25}


def test_ties_stay_in_the_order_given():
    """Equal products, and zeros of whichever kind, do not move."""
    ranked = rank_columns({"z": 0.2, "y": 0.0, "x": 0.1, "unused": math.inf}, {"z": 1, "x": 2, "y": 5})

    assert names(ranked) == ["z", "x", "y", "unused"]
    assert ranked[-1].score == 0


def test_what_was_not_measured_is_not_ranked():
    """A column without a score is neither first nor last."""
    assert names(rank_columns({"a": None, "b": 0.1, "c": math.nan})) == ["b"]
    assert rank_columns({}) == []


@given(st.dictionaries(st.text(max_size=3), st.tuples(weights, weights), min_size=1))
def test_importances_are_shares_on_any_scale(columns):
    """They sum to 1, however large they were, and the order is that of the products."""
    ranked = rank_columns(
        {name: drift for name, (drift, _) in columns.items()}, {name: weight for name, (_, weight) in columns.items()}
    )

    assert sum(column.importance for column in ranked) == pytest.approx(1)
    assert [column.score for column in ranked] == sorted((column.score for column in ranked), reverse=True)
    assert {column.name for column in ranked} == columns.keys()


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_an_importance_that_makes_no_sense_is_refused(weight):
    """The error names the column, what it was and what would be valid."""
    with pytest.raises(ValueError, match=r"^importances: .* for 'a' \(must be a finite number of at least 0\)$"):
        rank_columns({"a": 0.1}, {"a": weight})
