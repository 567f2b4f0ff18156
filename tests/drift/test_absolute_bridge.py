"""The area under a Brownian bridge."""

import math

import numpy as np
import pytest
from scipy import stats

from otel_ml.drift.absolute_bridge import absolute_bridge

SHARES = np.arange(1, 400)[np.newaxis] / 400


def test_the_moments_of_the_area_of_a_plain_bridge():
    """Mean √(π/32), mean of the square 7/60 (Shepp, 1982), signed variance 1/12."""
    law = absolute_bridge(SHARES, np.full_like(SHARES, 1 / 400), np.ones(1))

    assert law.mean[0] == pytest.approx(math.sqrt(math.pi / 32), rel=1e-3)
    assert 7 / 60 <= law.second_moment[0] <= 7 / 60 * 1.02
    assert law.signed_variance[0] == pytest.approx(1 / 12, rel=1e-3)


def test_of_two_values_the_law_is_exact():
    """The absolute value of a normal one: 5 % beyond 1.96 standard deviations."""
    law = absolute_bridge(np.array([[0.3, 1.0]]), np.array([[2.0, 0.0]]), np.array([0.01]))

    assert law.p_values(np.array([1.959964 * 2 * math.sqrt(0.3 * 0.7 * 0.01)]))[0] == pytest.approx(0.05, rel=1e-5)


@pytest.mark.parametrize("draw", [stats.uniform, stats.norm, stats.expon, stats.lognorm(1.0)])
def test_one_area_in_twenty_is_below_five_percent(draw):
    """Of whatever values: the widths between them are weights."""
    rng = np.random.default_rng(1)
    shares = np.linspace(0.005, 0.995, 120)
    points = draw.ppf(shares)
    widths = np.diff(points, append=points[-1])
    steps = rng.normal(size=(8_000, 121)) * np.sqrt(np.diff(shares, prepend=0, append=1))
    walks = steps.cumsum(axis=1)
    areas = np.abs(walks[:, :-1] - walks[:, -1:] * shares) @ widths

    law = absolute_bridge(shares[np.newaxis], widths[np.newaxis], np.ones(1))

    assert areas.mean() == pytest.approx(law.mean[0], rel=0.02)
    assert 0.035 <= np.mean(law.p_values(areas) < 0.05) <= 0.06
