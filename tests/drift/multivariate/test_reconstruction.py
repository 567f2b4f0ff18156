"""The error of what the reference's principal components describe."""

import numpy as np
import pytest
from vector_samples import summary_of

from otel_ml.drift.multivariate.reconstruction import ReconstructionError


def vectors(seed, rows, noise=0.5):
    """Eight dimensions near a plane."""
    rng = np.random.default_rng(seed)
    plane = np.random.default_rng(9).normal(size=(2, 8))
    return 2 * rng.normal(size=(rows, 2)) @ plane + noise * rng.normal(size=(rows, 8)) + 3


def error_of(matrix, reference, components):
    """As one computes it from the vectors themselves."""
    _, _, directions = np.linalg.svd(reference - reference.mean(axis=0), full_matrices=False)
    kept = directions[:components]
    deviations = matrix - reference.mean(axis=0)
    return np.square(deviations - deviations @ kept.T @ kept).sum(axis=1).mean()


@pytest.mark.parametrize("noise", [0.3, 0.6, 2.0])
def test_the_error_is_that_of_the_vectors_themselves(noise):
    """Mean and covariance tell it exactly; the score is its relative change."""
    reference, current = vectors(1, 50_000), vectors(2, 20_000, noise)
    expected = error_of(current, reference, 2) / error_of(reference, reference, 2) - 1

    result = ReconstructionError(variance=0.9).compare(summary_of(reference), summary_of(current))

    assert result.score == pytest.approx(abs(expected), rel=0.01)
    assert result.p_value < 1e-6


def test_what_stays_in_the_plane_is_no_error():
    """The components describe what moves along them, however far."""
    reference = vectors(1, 20_000)
    moved = vectors(2, 20_000) + 5 * np.random.default_rng(9).normal(size=(2, 8))[0]

    result = ReconstructionError(variance=0.9).compare(summary_of(reference), summary_of(moved))

    assert not result.drifted


def test_leaving_a_plane_in_which_all_of_the_reference_lies_is_drift():
    """The error was 0, so that any is infinitely larger; the score stays finite."""
    reference, current = vectors(1, 2_000, noise=0.0), vectors(2, 500, noise=0.1)

    result = ReconstructionError(variance=0.999).compare(summary_of(reference), summary_of(current))

    assert result.drifted
    assert np.isfinite(result.score)


def test_a_small_reference_has_no_test():
    """Its own error is too uncertain: the components were chosen to make it small."""
    reference, current = vectors(1, 8 * 30 - 1), vectors(2, 500)

    result = ReconstructionError().compare(summary_of(reference), summary_of(current))

    assert result.p_value is None


def test_a_single_dimension_has_components_of_its_own():
    """None of its variance is left out, and nothing is divided by it."""
    one = np.random.default_rng(1).normal(size=(500, 1))

    assert ReconstructionError().compare(summary_of(one), summary_of(2 * one)).p_value is not None
