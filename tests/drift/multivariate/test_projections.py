"""Maximum mean discrepancy and sliced Wasserstein distance, from waves and counts along fixed directions."""

import numpy as np
import pytest
from scipy import stats
from vector_samples import layout_of, over_the_wire, summary_of

from otel_ml.drift.multivariate.mmd import MaximumMeanDiscrepancy
from otel_ml.drift.multivariate.sliced_wasserstein import SlicedWasserstein
from otel_ml.drift.multivariate.vectors import VectorPair
from otel_ml.sketch.projected import directions

BOTH = pytest.mark.parametrize("detector", [MaximumMeanDiscrepancy(), SlicedWasserstein()], ids=lambda d: d.name)


def vectors(seed, rows, dimensions=16, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=(rows, dimensions))


def clusters(seed, rows, dimensions=16):
    """As normal vectors in mean and covariance, but in two heaps along the first axis."""
    matrix = vectors(seed, rows, dimensions)
    matrix[:, 0] = 0.3 * matrix[:, 0] + np.sqrt(1 - 0.09) * np.random.default_rng(seed + 1).choice([-1.0, 1.0], rows)
    return matrix


def discrepancy(left, right, width):
    """The unbiased estimate of the squared discrepancy, of all pairs of vectors (Gretton et al., 2012, equation 3)."""

    def kernel(a, b):
        squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T
        return np.exp(-squared / (2 * width**2))

    n, m = len(left), len(right)
    within = (kernel(left, left).sum() - n) / (n * (n - 1)) + (kernel(right, right).sum() - m) / (m * (m - 1))
    return within - 2 * kernel(left, right).mean()


@pytest.mark.parametrize("shift", [0.2, 0.5])
def test_the_discrepancy_is_close_to_that_of_all_pairs(shift):
    """Within what 128 random waves allow."""
    reference, current = vectors(1, 1_500), vectors(2, 1_500, shift=shift)
    layout = layout_of(reference)

    result = MaximumMeanDiscrepancy().compare(summary_of(reference, layout), summary_of(current, layout))

    assert result.score**2 == pytest.approx(discrepancy(reference, current, layout.scale), rel=0.25)
    assert result.p_value < 1e-6


@pytest.mark.parametrize("shift", [0.1, 0.3])
def test_the_sliced_distance_is_the_mean_of_those_along_the_slices(shift):
    """Each in standard deviations of the baseline, up to the width of bins."""
    reference, current = vectors(1, 30_000), vectors(2, 30_000, shift=shift)
    layout = layout_of(reference)
    seen = [(matrix @ directions(16)[1] - layout.centres) / layout.deviations for matrix in (reference, current)]
    expected = np.mean([stats.wasserstein_distance(*pair) for pair in zip(seen[0].T, seen[1].T, strict=True)])

    result = SlicedWasserstein().compare(summary_of(reference, layout), summary_of(current, layout))

    assert result.score == pytest.approx(expected, rel=0.03)


@BOTH
def test_a_change_of_shape_is_seen_that_neither_mean_nor_covariance_shows(detector):
    """Two heaps instead of one."""
    reference, current = vectors(1, 20_000, dimensions=2), clusters(3, 20_000, dimensions=2)
    layout = layout_of(reference)

    result = detector.compare(summary_of(reference, layout), summary_of(current, layout))

    assert result.drifted
    assert result.p_value < 1e-6


@BOTH
def test_it_applies_where_both_sides_were_projected_alike(detector):
    """By one baseline, and known to both."""
    reference, current = vectors(1, 100), vectors(2, 100)
    layout, other = layout_of(reference), layout_of(current)

    assert detector.applies_to(VectorPair(summary_of(reference, layout), summary_of(current, layout)))
    assert not detector.applies_to(VectorPair(summary_of(reference, layout), summary_of(current)))
    assert not detector.applies_to(VectorPair(summary_of(reference, layout), summary_of(current, other)))


def test_without_the_layout_the_discrepancy_has_a_score_and_no_test():
    """Two windows of a server whose baseline is not at hand."""
    reference, current = vectors(1, 500), vectors(2, 500, shift=0.5)
    layout = layout_of(reference)
    sides = [over_the_wire(summary_of(matrix, layout)) for matrix in (reference, current)]

    result = MaximumMeanDiscrepancy().compare(*sides)

    assert result.drifted
    assert result.p_value is None


def test_more_than_128_dimensions_are_projected_first():
    """To the 64 that everything else is kept of."""
    reference, current = vectors(1, 2_000, 300), vectors(2, 2_000, 300, shift=0.2)
    mean, scatter = summary_of(reference).bounded_moments()
    layout = layout_of(reference)

    result = MaximumMeanDiscrepancy().compare(summary_of(reference, layout), summary_of(current, layout))

    assert len(mean) == len(scatter) == 64
    assert result.p_value < 1e-6
