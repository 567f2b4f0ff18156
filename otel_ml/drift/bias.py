"""What chance alone adds to a distance between two samples, so that it can be taken off again.

Shares of samples differ, whether or not there is drift, and a distance knows no sign: on average it is too large, the
more so the fewer values there are. Take off what it is on average without drift, and clean data score about 0 at every
size, so that one threshold serves all of them.

With B cells, shares pᵢ of both samples together, v = 1/n + 1/m and u = 1/n - 1/m, the expansion of a symmetric distance
around equal shares has on average, to the second order of v (third and fourth moments of Poisson counts):

    squared Hellinger distance           (B - 1) v / 8  +  Σ (1 - pᵢ)²/pᵢ · (3v² + 4u²) / 128
    Jensen-Shannon divergence, in nats   (B - 1) v / 8  +  Σ (1 - pᵢ)²/pᵢ · (v² + 2u²) / 64
    squared Cramér's V, equal weights    (B - 1) v / 4  +  Σ (1 - pᵢ)²/pᵢ · u² / 16

PSI and KL have no such expansion: the logarithm of a count that may be 0 has no mean. With half a value added to every
count inside of it, it has one, and is nearly without bias (Haldane, "The estimation and significance of the logarithm
of a ratio of frequencies", 1956; Anscombe, "On estimating binomial response relations", 1956), so that what is left
are the first terms, (B - 1) v and (B - 1) v / 2. The tests check all of it by simulation.
"""

from __future__ import annotations

import numpy as np

from otel_ml.drift.cells import Cells
from otel_ml.sketch.sketch import FloatArray


def mean_by_chance(
    cells: Cells, n: FloatArray, m: FloatArray, first: float, of_sum: float = 0.0, of_difference: float = 0.0
) -> FloatArray:
    """(pairs,) what a distance is on average without drift.

    Args:
        n: (pairs,) values behind each reference.
        m: (pairs,) values behind each current window.
        first: Times (B - 1) v.
        of_sum: Times v², per Σ (1 - pᵢ)²/pᵢ.
        of_difference: Times u², likewise.
    """
    mean = first * cells.null_mean
    if of_sum or of_difference:
        mean += cells.rarity * (of_sum * np.square(1 / n + 1 / m) + of_difference * np.square(1 / n - 1 / m))
    return mean


def log_ratio(cells: Cells, n: FloatArray, m: FloatArray, floor: float, *, unbiased: bool) -> FloatArray:
    """ln(cᵢ / rᵢ) of each cell, shape (pairs, cells).

    Args:
        n: (pairs,) values behind each reference.
        m: (pairs,) values behind each current window.
        floor: Smallest share.
        unbiased: Whether to add half a value to every count.
    """
    reference, current = cells.reference, cells.current
    if unbiased:
        reference, current = _with_half_a_value(reference, n, cells), _with_half_a_value(current, m, cells)
    ratio: FloatArray = np.log(np.maximum(current, floor) / np.maximum(reference, floor))
    return ratio


def _with_half_a_value(shares: FloatArray, total: FloatArray, cells: Cells) -> FloatArray:
    values = total[:, np.newaxis]
    return (shares * values + 0.5) / (values + 0.5 * cells.used[:, np.newaxis])
