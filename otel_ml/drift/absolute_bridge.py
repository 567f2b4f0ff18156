"""What chance makes of ∫ |F - G| dx, the area between two distribution functions."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from otel_ml.drift import special
from otel_ml.drift.quadratic import row_sums
from otel_ml.drift.rank_noise import RankNoise, own_presence, presence, within_reach
from otel_ml.sketch.sketch import FloatArray

# √(1 - r²) + r asin r - 1 = r²/2 + r⁴/24 + r⁶/80 + …, all of it as if it were r²: exact at 1, and never too low.
_OF_SQUARE = math.pi / 2 - 1
# Of the second moment that is not the signed area's; with 0.9 the p-value at 5 % is right, or up to an eighth too high,
# for values that are uniform, normal, exponential, log-normal, few, or two (the last exactly).
_PART = 0.9


class AbsoluteBridge(NamedTuple):
    """The area under the absolute value of a Brownian bridge along the axis; all of shape (rows,).

    Attributes:
        mean: Its mean.
        second_moment: The mean of its square, or up to one in a hundred more.
        signed_variance: The variance of the area with its sign: of the difference between two means.
    """

    mean: FloatArray
    second_moment: FloatArray
    signed_variance: FloatArray

    def p_values(self, areas: FloatArray) -> FloatArray:
        """The probability of as large an area, or a larger one; 1 where there is none to be had.

        Far out the area is that of a bridge that keeps its sign, and so normal (the large-deviation principle for
        Gaussian processes, Marcus & Shepp, 1972). Nearer, its square exceeds that of the signed area by about the
        difference of their means. So P(A > a) ≈ P(σ² χ² > a² - 0.9 (E A² - σ²)) with one degree of freedom. The tests
        check it by simulation.
        """
        has_area = self.signed_variance > 0
        variance = np.where(has_area, self.signed_variance, 1.0)
        excess = np.square(areas) - _PART * np.maximum(0.0, self.second_moment - self.signed_variance)
        p_values: FloatArray = np.where(has_area, special.erfc(np.sqrt(np.maximum(0.0, excess) / (2 * variance))), 1.0)
        return p_values


def absolute_bridge(
    shares: FloatArray, widths: FloatArray, variance: FloatArray, noise: RankNoise | None = None
) -> AbsoluteBridge:
    """The law of Σ wₖ |B(Hₖ)| for a Brownian bridge B times √variance, and the errors of sampling sketches.

    |B(s)| and |B(t)| are half-normal, with the covariance 2/π · σₛ σₜ (√(1 - r²) + r asin r - 1), r being that of the
    bridge: r² = oₛ / oₜ for odds oₛ ≤ oₜ. So r² is a product of one factor a point, and the double sum is one pass over
    the points. With the noise of sketches, r² σₛσₜ is a sum of three such products.

    Args:
        shares: (rows, points) increasing.
        widths: (rows, points) what each point stands for.
        variance: (rows,) that the bridge is multiplied by.
        noise: Of sampling sketches.
    """
    above = 1 - shares
    scale = shares * above
    is_inside = scale > 0
    if noise is not None and noise.any():
        return _with_noise(shares, widths, variance, noise)
    odds = np.divide(shares, above, out=np.ones_like(shares), where=is_inside)
    heights = widths * np.sqrt(np.maximum(0.0, scale))
    squares = row_sums(heights, heights)
    mean = np.sqrt(2 / math.pi * variance) * heights.sum(axis=1)
    covariance = _OF_SQUARE * _over_pairs(heights * odds, heights / odds, squares)
    signed = _over_pairs(widths * shares, widths * above, squares)
    return AbsoluteBridge(mean, np.square(mean) + 2 / math.pi * variance * covariance, variance * signed)


def _with_noise(shares: FloatArray, widths: FloatArray, variance: FloatArray, noise: RankNoise) -> AbsoluteBridge:
    """The same for Cov(s, t) = v min(s, t)(1 - max(s, t)) + c gₛgₜ, and what each rank has of its own."""
    above, reached = 1 - shares, presence(shares)
    by_chance, common = variance[:, np.newaxis], noise.common[:, np.newaxis]
    own = noise.own[:, np.newaxis] * own_presence(shares)
    scale = np.maximum(0.0, by_chance * shares * above + common * np.square(reached) + own)
    heights = widths * np.sqrt(scale)
    # Divided by the deviation at either point.
    over = np.divide(widths, np.sqrt(scale), out=np.zeros_like(widths), where=scale > 0)
    squares = row_sums(heights, heights)
    none = np.zeros_like(variance)
    covariance = (
        np.square(variance) * _over_pairs(over * np.square(shares), over * np.square(above), none)
        + 2 * variance * noise.common * _over_pairs(over * reached * shares, over * reached * above, none)
        + np.square(noise.common) * _over_pairs(over * np.square(reached), over * np.square(reached), none)
        + squares
    )
    mean = math.sqrt(2 / math.pi) * heights.sum(axis=1)
    weighted = widths * reached
    signed = variance * _over_pairs(widths * shares, widths * above, row_sums(widths, widths * shares * above))
    signed += noise.common * np.square(weighted.sum(axis=1)) + noise.own * within_reach(
        widths * np.sqrt(own_presence(shares)), shares
    )
    return AbsoluteBridge(mean, np.square(mean) + 2 / math.pi * _OF_SQUARE * covariance, signed)


def _over_pairs(earlier: FloatArray, later: FloatArray, same: FloatArray) -> FloatArray:
    """Σ over all ordered pairs of points: the product of `earlier` at the first and `later` at the second one."""
    before = np.cumsum(earlier, axis=1)
    before -= earlier
    total: FloatArray = 2 * row_sums(before, later) + same
    return total
