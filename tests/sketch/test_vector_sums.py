"""Sums over vectors about 0 and moments about their mean say the same."""

import math

import numpy as np
import pytest

from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.vector_sums import VectorMoments, VectorSums, summed, upper_triangle


def sums_of(vectors):
    squares = np.square(vectors).sum(axis=1)
    return VectorSums(vectors.sum(axis=0), vectors.T @ vectors, squares @ vectors, float(squares @ squares))


def moments_of(vectors):
    mean = vectors.mean(axis=0)
    about = sums_of(vectors - mean)
    triangle = about.products[upper_triangle(len(mean))]
    return VectorMoments(len(vectors), mean, triangle, about.cubes, about.fourth)


def groups(number, dimensions):
    """Of different sizes and places, so that no two have the same mean."""
    chance = np.random.default_rng(number)
    return [chance.gamma(2.0, size=(2 + 5 * place, dimensions)) + place for place in range(number)]


def assert_same(found, expected):
    for name in ("total", "products", "cubes", "fourth"):
        assert np.allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, equal_nan=True), name


@pytest.mark.parametrize("dimensions", [1, 2, 7])
@pytest.mark.parametrize("number", [1, 2, 30])
def test_moments_of_parts_add_up_to_the_sums_of_the_whole(number, dimensions):
    """However many are added at once, to nothing or to what is there."""
    parts = groups(number, dimensions)
    there = np.ones((3, dimensions))

    assert_same(summed(None, list(map(moments_of, parts))), sums_of(np.concatenate(parts)))
    assert_same(summed(sums_of(there), list(map(moments_of, parts))), sums_of(np.concatenate([there, *parts])))


def test_what_one_part_does_not_know_is_unknown_of_the_whole():
    """Second moments are known all the same."""
    first, second = groups(2, 3)
    without = moments_of(second)._replace(third=np.full(3, np.nan), fourth=math.nan)

    found = summed(None, [moments_of(first), without])

    expected = sums_of(np.concatenate([first, second]))
    assert_same(found, expected._replace(cubes=np.full(3, np.nan), fourth=math.nan))


@pytest.mark.parametrize("number", [1, 3, 8, 9, 40])
def test_summaries_that_wait_are_those_that_were_added_at_once(number):
    """Merged in any order, looked at in between or not, what is merged in stays as it was."""
    parts = groups(number, 4)
    summaries = [EmbeddingSummary.of_moments(4, moments_of(part), NumericSummary()) for part in parts]
    window, looked_at = EmbeddingSummary(), EmbeddingSummary.anchored(None, 4)

    for summary in summaries:
        window.merge(summary)
        looked_at.merge(summary)
        assert looked_at.products.shape == (4, 4)
    twice = EmbeddingSummary()
    twice.merge(window)
    twice.merge(summaries[0])

    expected = sums_of(np.concatenate(parts))
    assert_same(looked_at, expected)
    assert_same(window, expected)
    assert_same(twice, sums_of(np.concatenate([*parts, parts[0]])))
    assert (window.count, window.dimensions) == (sum(map(len, parts)), 4)
    for summary, part in zip(summaries, parts, strict=True):
        assert_same(summary, sums_of(part))


@pytest.mark.parametrize("dimensions", [20, 128])
def test_a_summary_takes_no_more_memory_than_it_says(dimensions):
    """A processor admits columns by that: what waits to be added up is in it."""
    (part,) = groups(1, dimensions)
    window, most = EmbeddingSummary(), 0

    for _ in range(20):
        window.merge(EmbeddingSummary.of_moments(dimensions, moments_of(part), NumericSummary()))
        sums, waiting = window._state
        held = [*(sums or ()), *(array for moments in waiting for array in moments)]
        most = max(most, sum(array.nbytes for array in held if isinstance(array, np.ndarray)))

    small = 20 * 8 * dimensions  # the arrays of one row
    assert window.largest_bytes - small <= most <= window.largest_bytes + small


def test_what_is_too_large_is_infinite_or_unknown_without_a_warning():
    """A hostile sender fills no log; pytest makes errors of warnings."""
    huge = VectorMoments(2, np.full(2, 1e300), np.full(3, 1e300), np.full(2, 1e300), 1e300)

    found = summed(None, [huge, huge])

    assert not np.isfinite(found.products).any()
