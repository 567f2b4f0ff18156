from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.baseline import counted
from otel_ml.baseline.columns import NumberColumn, ObjectColumn
from otel_ml.baseline.counted import count_booleans, count_categories


def column(values):
    return ObjectColumn(len(values), lambda start, stop: values[start:stop])


@given(st.lists(st.sampled_from(["a", "b", "", "ä", None]) | st.integers(0, 3)))
def test_few_categories_are_counted_exactly(values):
    """Up to 256 categories every value is counted under its name."""
    summary, counters = count_categories(column(values))

    expected = Counter(str(value) for value in values if value is not None)
    assert summary.categories.counts == expected
    assert summary.categories.is_exact
    assert counters.missing == values.count(None)
    assert counters.rows == len(values)


def test_the_most_frequent_categories_keep_exact_counts():
    """Of more than 256 categories those with the highest counts keep their names, and the rest is `other`."""
    values = [f"c{index}" for index in range(1_000) for _ in range(1 + index // 100)]

    summary, counters = count_categories(column(values))

    counts = summary.categories.counts
    assert len(counts) == 256
    assert all(counts[name] == values.count(name) for name in ("c999", "c900", "c800"))
    assert summary.categories.count == counters.valid == len(values)
    assert summary.categories.error_bound == 8
    assert abs(summary.cardinality.estimate() - 1_000) < 60


def test_beyond_a_million_categories_memory_stays_bounded(monkeypatch):
    """Rare categories are folded away, the total stays exact and the frequent one stays known."""
    monkeypatch.setattr(counted, "FOLD_AT", 100)
    monkeypatch.setattr("otel_ml.baseline.columns.STEP", 50)
    values = [name for index in range(2_000) for name in (f"id{index}", "often")]

    summary, counters = count_categories(column(values))

    assert summary.categories.count == counters.valid == 4_000
    assert summary.categories.counts["often"] + summary.categories.error_bound >= 2_000
    assert abs(summary.cardinality.estimate() - 2_001) < 150


def test_documents_are_no_categories():
    """Columns that mostly hold long text have none: their words should not leave the data."""
    summary, counters = count_categories(column(["word " * 100, "word " * 99, "short", None]))

    assert summary is None
    assert (counters.rows, counters.missing, counters.mismatched) == (4, 1, 0)


def test_what_has_no_name_is_a_mismatch():
    """Lists and bytes among categories are counted as being of another kind."""
    summary, counters = count_categories(column(["a", [1], b"x", ([],)]))

    assert summary.categories.counts == {"a": 1}
    assert counters.mismatched == 3


@given(st.lists(st.sampled_from([True, False, None, 1, 0, 2, "yes"])))
def test_truth_values_are_counted(values):
    """True and 1 are true, False and 0 false, None is missing and everything else a mismatch."""
    summary, counters = count_booleans(column(values))

    assert summary.true_count == sum(value in (True, 1) for value in values)
    assert summary.false_count == sum(value in (False, 0) for value in values)
    assert counters.missing == values.count(None)
    assert counters.mismatched == sum(value in (2, "yes") for value in values)


def test_codes_in_numbers_are_categories():
    """Whole numbers are named the same whether a gap made them floats or not."""
    whole, _ = count_categories(NumberColumn.of(np.array([1, 2, 2])))
    floats, counters = count_categories(NumberColumn.of(np.array([1.0, 2.0, 2.0, np.nan])))

    assert whole.categories.counts == floats.categories.counts == {"1": 1, "2": 2}
    assert counters.missing == 1
