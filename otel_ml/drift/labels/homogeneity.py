"""Whether two samples of classes come from the same shares."""

from __future__ import annotations

from typing import Final

import numpy as np

from otel_ml.drift import special
from otel_ml.sketch.sketch import CountArray, FloatArray

_EXPECTED: Final = 5.0
"""Values that each sample should have in a cell, so that the χ² distribution holds (Cochran, 1954)."""


def same_shares_p_value(reference: CountArray, current: CountArray) -> float | None:
    """Pearson's χ² test of homogeneity; None where there are too few values for it, or only one class.

    Classes of which either sample should have fewer than five values are taken together, the rarest first, in cells of
    five or more.

    Source: Cochran, "Some methods for strengthening the common χ² tests" (Biometrics, 1954).

    Args:
        reference: (classes,) counts.
        current: (classes,) counts of the other sample.
    """
    n, m = float(reference.sum()), float(current.sum())
    if not n or not m:
        return None
    cells = _pooled(np.stack((reference, current)).astype(np.float64), min(n, m) / (n + m))
    if cells.shape[1] < 2:
        return None
    expected = np.outer((n, m), cells.sum(axis=0)) / (n + m)
    return float(special.chdtrc(cells.shape[1] - 1, ((cells - expected) ** 2 / expected).sum()))


def _pooled(cells: FloatArray, smaller: float) -> FloatArray:
    """(2, cells) counts, from the rarest class on; `smaller` is the smaller sample's share of all values."""
    totals = cells.sum(axis=0)
    pooled = [np.zeros(2)]
    for place in np.argsort(totals, kind="stable").tolist():
        if pooled[-1].sum() * smaller >= _EXPECTED:
            pooled.append(np.zeros(2))
        pooled[-1] += cells[:, place]
    if len(pooled) > 1 and pooled[-1].sum() * smaller < _EXPECTED:
        rest = pooled.pop()
        pooled[-1] += rest
    return np.stack(pooled, axis=1)
