"""The Frobenius distance of the covariances."""

import itertools

import numpy as np
import pytest
from vector_samples import summary_from, summary_of

from otel_ml.drift.multivariate.covariance import CovarianceShift, squared_norm
from otel_ml.drift.multivariate.vectors import Side


def vectors(seed, rows, dimensions=8):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, dimensions)) @ np.random.default_rng(9).normal(size=(dimensions, dimensions))


def test_the_squared_norm_is_that_of_the_u_statistic():
    """The mean of ¼((a - b)·(c - d))² over four different vectors each, whose expectation is tr Σ² by independence."""
    matrix = np.random.default_rng(1).exponential(size=(7, 3))
    drawn = [
        ((matrix[a] - matrix[b]) @ (matrix[c] - matrix[d])) ** 2 / 4
        for a, b, c, d in itertools.permutations(range(7), 4)
    ]

    assert squared_norm(Side.of(summary_of(matrix)), 1.0) == pytest.approx(np.mean(drawn), rel=1e-5)


@pytest.mark.parametrize("factor", [0.8, 1.1, 3.0])
def test_the_score_of_a_change_of_scale_is_that_of_its_square(factor):
    """All covariances change by factor² - 1 of themselves."""
    result = CovarianceShift().compare(summary_of(vectors(1, 40_000)), summary_of(factor * vectors(2, 40_000)))

    assert result.score == pytest.approx(abs(factor**2 - 1), rel=0.03, abs=0.03)
    assert result.p_value < 1e-6


def test_dimensions_that_part_company_are_seen():
    """With the same variances, and the same means."""
    together = vectors(1, 5_000)
    apart = np.column_stack(
        [np.random.default_rng(place).permutation(column) for place, column in enumerate(together.T)]
    )

    result = CovarianceShift().compare(summary_of(vectors(2, 5_000)), summary_of(apart))

    assert result.drifted
    assert result.p_value < 1e-6


def test_neither_a_shift_nor_a_rotation_matters():
    """Covariances have no place, and their distance no axes."""
    reference, current = vectors(1, 900), 1.2 * vectors(2, 500)
    rotation, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(8, 8)))

    there = CovarianceShift().compare(summary_of(reference @ rotation + 7), summary_of(current @ rotation - 3))

    here = CovarianceShift().compare(summary_of(reference), summary_of(current))
    assert there.score == pytest.approx(here.score, rel=1e-4)
    assert there.p_value == pytest.approx(here.p_value, rel=1e-2, abs=1e-12)


def test_heavy_tails_raise_no_alarms():
    """A few vectors far out make a sample's covariance; the fourth power of their lengths tells."""
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(150):
        reference, current = (
            rng.normal(size=(rows, 10)) / np.sqrt(rng.chisquare(5, size=(rows, 1)) / 5) for rows in (1_000, 200)
        )
        alarms += CovarianceShift().compare(summary_of(reference), summary_of(current)).p_value < 0.05

    assert alarms <= 15


def test_without_the_kurtosis_there_is_a_score_and_no_test():
    """A server may send no radial moments; how much chance does is unknown then."""
    unknown, known = summary_from(5_000, [0.0, 0.0], np.eye(2)), summary_from(5_000, [0.0, 0.0], 2 * np.eye(2), 0.0)

    result = CovarianceShift().compare(known, unknown)

    assert result.score == pytest.approx(0.5, abs=0.01)
    assert result.p_value is None
