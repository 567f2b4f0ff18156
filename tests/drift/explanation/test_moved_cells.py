import math

import numpy as np
import pytest
from drift_samples import binned, categories, exact, kll, layout_of
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.explanation import moved_cells
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.distribution import CategoricalDistribution

values = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60)
counts = st.dictionaries(st.text(max_size=3), st.integers(0, 10**6), min_size=1, max_size=12).filter(
    lambda found: sum(found.values()) > 0
)


def normal(mean=0.0, count=10_000, seed=1):
    return np.random.default_rng(seed).normal(mean, size=count)


def check(moved, k):
    assert len(moved) <= k
    assert sum(cell.part for cell in moved) <= 1 + 1e-9
    assert [cell.part for cell in moved] == sorted((cell.part for cell in moved), reverse=True)
    assert all(cell.part > 0 and math.isfinite(cell.part) for cell in moved)
    assert len({cell.label for cell in moved}) == len(moved)
    assert all(0 <= share <= 1 + 1e-9 for cell in moved for share in (cell.reference, cell.current))


@given(values, values, st.integers(1, 20), st.booleans())
def test_parts_of_numbers_are_parts_of_a_whole(was, now, k, is_binned):
    """At most k cells, the heaviest first, whatever the numbers are."""
    if is_binned:
        layout = layout_of(was)
        pair = binned(was, layout), binned(now, layout)
    else:
        pair = exact(was), exact(now)

    check(moved_cells(*pair, k=k), k)


@given(counts, counts, st.integers(0, 50), st.integers(1, 20))
def test_parts_of_categories_are_parts_of_a_whole(was, now, other, k):
    """Likewise of categories, a remainder without names among them."""
    check(moved_cells(CategoricalDistribution(was, other, other // 2), CategoricalDistribution(now), k=k), k)


@given(values)
def test_nothing_moved_between_equal_distributions(was):
    """The same values on both sides leave nothing to tell."""
    assert moved_cells(exact(was), exact(was)) == []
    assert moved_cells(binned(was, layout_of(was)), binned(was, layout_of(was))) == []


def test_shares_of_categories_are_those_counted():
    """Two categories that changed places carry all of it, half each; terms of r ln(r/p) + c ln(c/p)."""
    moved = moved_cells(categories(NZ=5_000, DE=3_000, FR=2_000), categories(NZ=5_000, DE=2_000, FR=3_000))

    assert [(cell.label, cell.reference, cell.current) for cell in moved] == [("DE", 0.3, 0.2), ("FR", 0.2, 0.3)]
    assert [cell.part for cell in moved] == pytest.approx([0.5, 0.5])


def test_the_part_is_that_of_the_jensen_shannon_divergence():
    """Of many values, where chance has no part in it: shares (1/2, 1/2) against (3/4, 1/4), by hand."""
    million = 10**6
    moved = moved_cells(categories(a=2 * million, b=2 * million), categories(a=3 * million, b=million))

    a = 0.5 * math.log(0.5 / 0.625) + 0.75 * math.log(0.75 / 0.625)
    b = 0.5 * math.log(0.5 / 0.375) + 0.25 * math.log(0.25 / 0.375)
    assert {cell.label: cell.part for cell in moved} == pytest.approx({"b": b / (a + b), "a": a / (a + b)}, rel=1e-3)


def test_what_is_new_is_named():
    """Numbers above or below all that the reference had, and categories it did not know, have a cell of their own."""
    reference = normal()
    layout = layout_of(reference)
    low, high = reference.min(), reference.max()
    above = np.concatenate((normal(seed=2), np.linspace(10.0, 11.0, 1_000)))
    below = np.concatenate((normal(seed=2), np.linspace(-999.0, -900.0, 1_000)))

    assert moved_cells(binned(reference, layout), binned(above, layout))[0].label == f"> {high:.3g}"
    assert moved_cells(binned(reference, layout), binned(below, layout))[0].label == f"<= {low:.3g}"
    assert moved_cells(exact(reference), exact(above))[0].label == f"> {high:.3g}"
    assert moved_cells(categories(a=900, b=100), categories(a=880, b=100, new=20))[0].label == "new"


def test_a_spike_does_not_hide_in_a_range():
    """A value that replaces missing ones is named where values are known, and its narrow range where bins are."""
    reference, current = normal(), normal(seed=2)
    current[:600] = 0.0
    layout = layout_of(reference)

    by_value = moved_cells(exact(reference), exact(current))[0]
    by_bin = moved_cells(binned(reference, layout), binned(current, layout))[0]

    assert by_value.label == "0"
    assert by_value.current == pytest.approx(0.06)
    assert by_value.part > 0.9
    assert by_bin.reference < 1 / 60
    assert by_bin.part > 0.9


def test_few_values_are_cells_of_their_own():
    """Codes are named by their value, and so are the frequent values of bins."""
    reference, current = [0] * 500 + [1] * 300 + [2] * 200, [0] * 200 + [1] * 300 + [2] * 300 + [3] * 200
    layout = layout_of(reference)

    assert {cell.label for cell in moved_cells(exact(reference), exact(current))} == {"0", "2", "3"}
    assert {cell.label for cell in moved_cells(binned(reference, layout), binned(current, layout))} == {"0", "2", "> 2"}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (np.arange(1_000), {"<= 99", "(99, 199]", "(199, 299]"}),
        (np.arange(1_000) / 1e6, {"<= 9.9e-05", "(9.9e-05, 0.000199]", "(0.000199, 0.000299]"}),
        (1_700_000_000 + np.arange(1_000), {"<= 1700000099", "(1700000099, 1700000199]", "(1700000199, 1700000299]"}),
    ],
)
def test_bounds_have_the_digits_it_takes(reference, expected):
    """Whole numbers are written out, others with three digits or as many as tell the bounds apart."""
    current = reference[300:]

    moved = moved_cells(exact(reference), exact(current))

    assert {cell.label for cell in moved} == expected


def test_chance_is_not_told_as_a_move():
    """With few values in many cells, what sampling alone does is taken off before the parts are told."""
    reference, current = normal(), normal(0.8, 300, seed=2)

    parts = {cell.label: cell.part for cell in moved_cells(exact(reference), exact(current), k=12)}

    # The cells in the middle hardly changed: their terms are what chance does.
    assert len(parts) < 10
    assert sum(parts.values()) == pytest.approx(1)


def test_rare_and_hidden_categories_are_told_as_others():
    """Neither a handful of values nor a category that a summary may have folded away is news of its own."""
    reference = CategoricalDistribution({"a": 700, "b": 200}, other=100, error_bound=50)
    current = CategoricalDistribution({"a": 500, "b": 200, "c": 60, "d": 2, "e": 238})

    moved = {cell.label: cell for cell in moved_cells(reference, current, k=9)}

    # "e" is too frequent to have been hidden, "c" is not.
    assert moved.keys() == {"a", "e", "others"}
    assert moved["others"].reference == pytest.approx(0.1)
    assert moved["others"].current == pytest.approx(0.062)


def test_sketches_are_compared_where_both_are_known():
    """A quantile sketch against a baseline's bins tells the same ranges, more or less."""
    reference, current = normal(), normal(1.0, seed=2)
    layout = layout_of(reference)

    moved = moved_cells(binned(reference, layout), kll(current).distribution(), k=20)

    # What moved by one standard deviation: 2 Φ(½) - 1 of the values are elsewhere now. The sketch tosses coins.
    gained = sum(max(0.0, cell.current - cell.reference) for cell in moved)
    assert gained == pytest.approx(0.383, abs=0.06)


def test_bad_questions_are_refused():
    """Two kinds of distributions cannot be compared, and settings have a range."""
    with pytest.raises(TypeError, match="cannot compare NumericDistribution with CategoricalDistribution"):
        moved_cells(exact([1.0]), categories(a=1))
    with pytest.raises(ConfigurationError, match="moved_cells::k: 0 is not valid"):
        moved_cells(exact([1.0]), exact([1.0]), k=0)
