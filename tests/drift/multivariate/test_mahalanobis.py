"""The Mahalanobis distance of the means."""

import math

import numpy as np
import pytest
from scipy import stats
from vector_samples import over_the_wire, summary_from, summary_of

from otel_ml.drift.multivariate.mahalanobis import Mahalanobis


def vectors(seed, rows, dimensions, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=(rows, dimensions))


def test_t_squared_is_that_of_the_textbook():
    """Johnson & Wichern, "Applied Multivariate Statistical Analysis", example 6.4: electricity of homes, T² = 16.2."""
    with_air_conditioning = summary_from(45, [204.4, 556.6], [[13825.3, 23823.4], [23823.4, 73107.4]])
    without = summary_from(55, [130.0, 355.0], [[8632.0, 19616.7], [19616.7, 55964.5]])

    result = Mahalanobis().compare(with_air_conditioning, without)

    noise = 2 * (1 / 45 + 1 / 55)
    t_squared = (result.score**2 + noise) / ((98 - 3) / 98) / (1 / 45 + 1 / 55)
    assert t_squared == pytest.approx(16.2, rel=0.01)
    assert result.p_value == pytest.approx(stats.f.sf(t_squared * 97 / (2 * 98), 2, 97), rel=1e-6)


def test_in_one_dimension_it_is_the_t_test():
    """T² is the square of Student's t, and F that of its distribution."""
    reference, current = vectors(1, 80, 1), vectors(2, 50, 1, shift=0.4)

    result = Mahalanobis().compare(summary_of(reference), summary_of(current))

    assert result.p_value == pytest.approx(stats.ttest_ind(reference[:, 0], current[:, 0]).pvalue, rel=1e-6)


@pytest.mark.parametrize("value", [2.57e-214, 1e-45, 1.1e-44, 1e-39])
def test_a_constant_that_is_too_small_for_a_float_stays_where_it_was(value):
    """The wire rounds it to another number, or to none; neither is a move."""
    seen = summary_of(np.full((12, 2), value))

    result = Mahalanobis().compare(over_the_wire(seen), seen)

    assert result.score == 0.0


def test_a_small_constant_moves_like_a_large_one():
    """As far as floats can tell."""
    reference, current = summary_of(np.full((12, 2), 1e-40)), summary_of(np.full((12, 2), 2e-40))

    result = Mahalanobis().compare(over_the_wire(reference), over_the_wire(current))

    assert result.drifted


def test_the_distance_is_in_standard_deviations():
    """A shift by half a one along every one of 16 axes is one of 2."""
    result = Mahalanobis().compare(summary_of(vectors(1, 50_000, 16)), summary_of(vectors(2, 50_000, 16, shift=0.5)))

    assert result.score == pytest.approx(2.0, rel=0.02)


def test_neither_units_nor_rotation_matter():
    """Whatever is linear in the dimensions leaves the distance as it is."""
    reference, current = vectors(1, 500, 5), vectors(2, 300, 5, shift=0.2)
    mixing = np.random.default_rng(3).normal(size=(5, 5)) * np.array([1e-6, 1.0, 1e3, 1e6, 10.0])

    there = Mahalanobis().compare(summary_of(reference @ mixing), summary_of(current @ mixing))

    here = Mahalanobis().compare(summary_of(reference), summary_of(current))
    assert there.score == pytest.approx(here.score, rel=1e-4)


def test_dimensions_that_repeat_each_other_count_once():
    """A copy of a column, or a sum of columns, adds nothing to the distance nor to the degrees of freedom."""
    reference, current = vectors(1, 500, 4), vectors(2, 200, 4, shift=0.1)

    def repeated(matrix):
        return over_the_wire(
            summary_of(np.column_stack([matrix, matrix[:, 0], matrix.sum(axis=1), np.full(len(matrix), 3.0)]))
        )

    there = Mahalanobis().compare(repeated(reference), repeated(current))

    here = Mahalanobis().compare(summary_of(reference), summary_of(current))
    assert there.score == pytest.approx(here.score, rel=1e-3)
    assert there.p_value == pytest.approx(here.p_value, rel=1e-2)


@pytest.mark.parametrize("moved_to", [3.001, 0.0, -3.0, 1e30])
def test_a_constant_dimension_that_moves_has_drifted(moved_to):
    """It has no standard deviation to measure by, and is no accident."""
    reference, current = vectors(1, 500, 4), vectors(2, 200, 4)
    reference[:, 2], current[:, 2] = 3.0, moved_to

    result = Mahalanobis().compare(summary_of(reference), summary_of(current))

    assert result.drifted
    assert result.p_value < 1e-6


def test_a_sum_of_dimensions_that_was_constant_and_moves_has_drifted():
    """Shares that add up to 1, and then to 1.1, have left the plane in which all of the reference lies."""
    reference, current = (np.random.default_rng(seed).dirichlet([2.0, 3.0, 4.0], 500) for seed in (1, 2))

    assert not Mahalanobis().compare(summary_of(reference), summary_of(current)).drifted

    result = Mahalanobis().compare(summary_of(reference), summary_of(1.1 * current))
    assert result.drifted
    assert result.p_value < 1e-6


def test_one_vector_that_differs_is_no_evidence():
    """Against a reference that never varied, a single other vector is 1 of n + 1."""
    result = Mahalanobis().compare(summary_of(np.ones((19, 1))), summary_of(np.zeros((1, 1))))

    assert result.p_value == pytest.approx(1 / 20)


def test_there_is_no_test_with_fewer_vectors_than_dimensions():
    """Nor a score: every direction looks as if it had moved."""
    result = Mahalanobis().compare(summary_of(vectors(1, 20, 60)), summary_of(vectors(2, 20, 60)))

    assert (result.score, result.p_value) == (0.0, None)


def test_what_floats_made_of_a_mean_is_no_drift():
    """A million vectors far from 0 see a shift as small as a float's rounding, which is given away."""
    mean = np.array([1e6 + 0.03, 1.0])
    here, there = (summary_from(1_000_000, m, np.eye(2)) for m in (mean, mean.astype(np.float32)))

    result = Mahalanobis().compare(here, there)

    assert result.score == 0.0
    assert result.p_value == 1.0
    assert not math.isnan(result.score)
