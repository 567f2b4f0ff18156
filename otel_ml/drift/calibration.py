"""Taking out of a sketch's ranks what the exact mean of the same values shows to be wrong.

A producer sends the mean of a column beside its sketch. The mean of the sketch's own items differs from it by the area
under the errors of its ranks, ∫ e(x) dx. Half of the variance of these errors is common to all ranks (see
`otel_ml.drift.rank_noise`), and tells in that area most of all: so from one number follows the best linear estimate of
the common part (kriging, or regression on a control variate: Glasserman, "Monte Carlo Methods in Financial
Engineering", 2003, section 4.1), and how much of its variance is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from otel_ml.drift.functions import Functions, NumericPair
from otel_ml.drift.rank_noise import TAIL, own_presence, presence, within_reach
from otel_ml.sketch.distribution import NumericDistribution
from otel_ml.sketch.sketch import FloatArray

_MOST = 512
"""Points that say where a sketch's values lie as closely as its errors hang together."""


def calibrated(functions: Functions, pairs: Sequence[NumericPair]) -> tuple[Functions, FloatArray]:
    """The distribution functions without the part of their errors that the means of sketches give away.

    Args:
        functions: Of the pairs.
        pairs: Their sketches come with their moments, else there is nothing to go by.

    Returns:
        The functions, and how much is left of the variance of the common part, (2, pairs): 1 where nothing is known.
    """
    left = np.ones((2, len(pairs)))
    shift = np.zeros((2, len(pairs)))
    for row, pair in enumerate(pairs):
        for side, distribution in enumerate(pair):
            if distribution.rank_error:
                shift[side, row], left[side, row] = _common_error(distribution)
    reference, current = (
        _moved(shares, by) if by.any() else shares
        for shares, by in zip((functions.reference, functions.current), shift, strict=True)
    )
    return functions._replace(reference=reference, current=current), left


def _common_error(distribution: NumericDistribution) -> tuple[float, float]:
    """What all ranks are probably off by, and how much of the variance of that is left."""
    moments = distribution.moments
    if moments is None or not distribution.is_step or not math.isfinite(moments.m2):
        return 0.0, 1.0
    reach = max(abs(distribution.minimum - moments.mean), abs(distribution.maximum - moments.mean))
    if not 0.0 < reach < math.inf:
        return 0.0, 1.0
    # Scaled, and from the mean on, so that neither squares overflow nor an offset cancels.
    points = np.concatenate(((distribution.minimum,), distribution.points, (distribution.maximum,)))
    distances = points / reach - moments.mean / reach
    shares = np.concatenate(((0.0,), distribution.cumulative / distribution.total))
    area = -float(np.dot(distances[1:-1], np.diff(shares)))
    if len(shares) > _MOST:
        some = np.linspace(0, len(shares) - 1, _MOST).astype(np.intp)
        # The last distance, that of the maximum, is of no share.
        distances, shares = np.append(distances[some], distances[-1]), shares[some]
    widths = np.diff(distances)
    # Of a few values far away the sketch may have an item too many, or none, whatever happened at the other ranks.
    is_tail = np.minimum(shares, 1 - shares) < TAIL
    common = float(np.dot(widths, np.where(is_tail, 0.0, presence(shares))))
    reached = widths * np.sqrt(np.where(is_tail, 1.0, own_presence(shares)))
    own = float(within_reach(reached[np.newaxis], shares[np.newaxis])[0])
    total = common**2 + own
    return (area * common / total, own / total) if total else (0.0, 1.0)


def _moved(shares: FloatArray, error: FloatArray) -> FloatArray:
    """(pairs, points) less the error, as far as it has set in; increasing from 0 to 1 as before."""
    moved = shares - error[:, np.newaxis] * presence(shares)
    increasing: FloatArray = np.clip(np.maximum.accumulate(moved, axis=1), 0.0, 1.0)
    return increasing
