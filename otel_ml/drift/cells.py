"""Two samples counted in the same cells, for many pairs at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from otel_ml.drift.functions import Functions
from otel_ml.drift.significance import homogeneity_p_values, sketch_noise
from otel_ml.sketch.distribution import CategoricalDistribution
from otel_ml.sketch.sketch import FloatArray

CategoricalPair = tuple[CategoricalDistribution, CategoricalDistribution]

EXPECTED_PER_CELL = 5
"""Values a cell should hold in the smaller of two samples for χ² limits to hold (Cochran, 1954)."""

# Rounding must not decide over a cell that holds exactly what is needed.
_JUST_BELOW = 1 - 1e-9


class Cells(NamedTuple):
    """Pairs of samples, each counted in cells of its own; rows are pairs, short ones end in empty cells.

    Attributes:
        reference: (pairs, cells) shares of the reference. They sum to 1, but for what a heavy-hitters summary leaves
            open.
        current: (pairs, cells) shares of the current window, likewise.
        used: (pairs,) cells in which there is anything.
        variance: (pairs,) 1/n + 1/m, and what a sampling sketch adds to it: the variance, without drift, of the
            difference between the shares of a cell, relative to its share.
        p_value: (pairs,) the probability that two samples of one distribution differ as much, or more; 1 where there
            are too few values to tell.
    """

    reference: FloatArray
    current: FloatArray
    used: npt.NDArray[np.intp]
    variance: FloatArray
    p_value: FloatArray

    @property
    def null_mean(self) -> FloatArray:
        """(pairs,) what Σ (cᵢ - rᵢ)² / pᵢ is on average without drift: the mean of its χ² limit."""
        return np.maximum(self.used - 1, 0) * self.variance


def numeric_cells(functions: Functions, n: FloatArray, m: FloatArray, bins: int = 10) -> Cells:
    """At most `bins` cells of equal mass, cut from the reference, and one on either side of the reference's range.

    Neighbours with too few values are joined, so that a handful of values where the reference had none cannot make a
    score on its own.
    """
    edges = _equal_mass_edges(functions.reference, bins)
    reference = _between(functions.reference, edges)
    current = _between(functions.current, edges)
    is_start = _starts(reference + current, 2 * EXPECTED_PER_CELL / np.minimum(n, m))
    is_testable = is_start.sum(axis=1) > 1
    # With too few values for two cells there is no test, but still a score.
    is_start[~is_testable] = True
    reference, current = _joined(reference, is_start), _joined(current, is_start)
    cells = is_start.sum(axis=1)
    noise = sketch_noise(np.hypot(functions.error_reference, functions.error_current), cells)
    return _tested(reference, current, n, m, noise, is_testable)


def category_cells(pairs: Sequence[CategoricalPair], n: FloatArray, m: FloatArray) -> Cells:
    """Categories are their own cells, those with too few values are pooled."""
    found = [_category_cells(*pair) for pair in pairs]
    width = max((shares.shape[1] for shares, _ in found), default=0)
    shares = np.zeros((2, len(found), width))
    for position, (row, _) in enumerate(found):
        shares[:, position, : row.shape[1]] = row
    is_testable = np.array([testable for _, testable in found], dtype=np.bool_)
    return _tested(shares[0], shares[1], n, m, np.zeros(len(found)), is_testable)


def _tested(
    reference: FloatArray,
    current: FloatArray,
    n: FloatArray,
    m: FloatArray,
    noise: FloatArray,
    is_testable: npt.NDArray[np.bool_],
) -> Cells:
    used = ((reference + current) > 0).sum(axis=1)
    p_value = np.where(is_testable, homogeneity_p_values(reference, current, n, m, noise), 1.0)
    return Cells(reference, current, used, 1 / n + 1 / m + noise, p_value)


def _equal_mass_edges(shares: FloatArray, bins: int) -> npt.NDArray[np.intp]:
    """Positions in distribution functions: nearest to 1/bins, 2/bins, …, and around all of the mass.

    Shape (pairs, bins + 1); increasing, and several times the same where there are fewer.
    """
    last = shares.shape[1] - 1
    targets = _targets(bins)
    above = (shares[:, np.newaxis, :] < targets[:, np.newaxis]).sum(axis=2)
    # Where the function is flat, several points have the same share: always take the first of them.
    is_new = np.ones(shares.shape, dtype=np.bool_)
    is_new[:, 1:] = shares[:, 1:] > shares[:, :-1]
    first = np.maximum.accumulate(np.where(is_new, np.arange(last + 1), 0), axis=1)
    below = np.take_along_axis(first, np.maximum(above - 1, 0), axis=1)
    above = np.minimum(above, last)
    above = np.take_along_axis(first, above, axis=1)
    low, high = np.take_along_axis(shares, below, axis=1), np.take_along_axis(shares, above, axis=1)
    nearest = np.where(targets - low <= high - targets, below, above)
    # The point below all mass, and the first one above it, where there are any.
    bottom = (shares == 0.0).sum(axis=1) - 1
    top = first[:, last]
    share = np.take_along_axis(shares, nearest, axis=1)
    nearest = np.where(share == 0.0, bottom[:, np.newaxis], nearest)
    bottom = np.where(bottom >= 0, bottom, nearest[:, 0])
    top = np.where(shares[:, last] == 1.0, top, nearest[:, -1])
    edges: npt.NDArray[np.intp] = np.concatenate(
        (bottom[:, np.newaxis], nearest, top[:, np.newaxis]), axis=1, dtype=np.intp
    )
    return edges


@lru_cache(maxsize=64)
def _targets(bins: int) -> FloatArray:
    return np.arange(1, bins) / bins


def _between(shares: FloatArray, edges: npt.NDArray[np.intp]) -> FloatArray:
    """The masses of the cells that points of a distribution function cut."""
    at = np.take_along_axis(shares, edges, axis=1)
    masses = np.empty((len(at), at.shape[1] + 1))
    masses[:, 0] = at[:, 0]
    np.subtract(at[:, 1:], at[:, :-1], out=masses[:, 1:-1])
    np.subtract(1.0, at[:, -1], out=masses[:, -1])
    return masses


def _starts(masses: FloatArray, needed: FloatArray) -> npt.NDArray[np.bool_]:
    """Where runs of neighbours that together reach `needed` begin; a rest that does not joins the last run."""
    needed = needed * _JUST_BELOW
    is_start = np.zeros(masses.shape, dtype=np.bool_)
    is_start[:, 0] = True
    total = masses[:, 0].copy()
    latest = np.zeros(len(masses), dtype=np.intp)
    for position in range(1, masses.shape[1]):
        is_full = total >= needed
        is_start[:, position] = is_full
        latest[is_full] = position
        total = np.where(is_full, 0.0, total) + masses[:, position]
    short = np.flatnonzero((total < needed) & (latest > 0))
    is_start[short, latest[short]] = False
    return is_start


def _joined(masses: FloatArray, is_start: npt.NDArray[np.bool_]) -> FloatArray:
    """The masses of runs that begin at `is_start`, followed by empty cells."""
    rows, _ = np.nonzero(is_start)
    joined = np.zeros_like(masses)
    places = (np.cumsum(is_start, axis=1) - 1)[is_start]
    joined[rows, places] = np.add.reduceat(masses.ravel(), np.flatnonzero(is_start))
    return joined


def _category_cells(reference: CategoricalDistribution, current: CategoricalDistribution) -> tuple[FloatArray, bool]:
    """Shares of shape (2, cells), and whether there are enough values for a test."""
    n, m = reference.total, current.total
    # In an order that neither the merging of replicas nor the meaning of the names has a part in.
    names = sorted(
        {name for name in reference.counts if _can_be_told(name, reference, current)}
        | {name for name in current.counts if _can_be_told(name, current, reference)},
        key=_arbitrary,
    )
    shares = np.array(
        [
            [*(reference.counts.get(name, 0) for name in names), n],
            [*(current.counts.get(name, 0) for name in names), m],
        ],
        dtype=np.float64,
    )
    # The last column is the remainder.
    shares[:, -1] -= shares[:, :-1].sum(axis=1)
    if not reference.other and not current.other:
        shares = shares[:, :-1]
    shares /= ((n,), (m,))
    bounds = np.concatenate((shares, shares))
    if reference.other or current.other:
        # A category's share may be too low by the error of its side, the remainder's too high by as much for each.
        errors = np.array([_possible_error(reference), _possible_error(current)])
        bounds[:2, -1] = np.maximum(0.0, bounds[:2, -1] - len(names) * errors)
        bounds[2:, :-1] += errors[:, np.newaxis]
    expected = min(n, m) * (n * shares[0] + m * shares[1]) / (n + m)
    enough = expected >= EXPECTED_PER_CELL * _JUST_BELOW
    # Many values where next to none are expected cannot be chance: what is new keeps a cell of its own.
    enough |= (expected <= 1) & (min(n, m) * shares.sum(axis=0) >= 2 * EXPECTED_PER_CELL)
    kept, rare = bounds[:, enough], bounds[:, ~enough]
    if rare.size:
        # Joined in an order that knows nothing of the counts, or which cells there are would depend on chance.
        starts = np.flatnonzero(_starts(expected[~enough][np.newaxis], np.array([EXPECTED_PER_CELL]))[0])
        rare = np.add.reduceat(rare, starts, axis=1)
        if expected[~enough].sum() >= EXPECTED_PER_CELL * _JUST_BELOW:
            kept = np.concatenate((kept, rare), axis=1)
        elif kept.size:
            # Too few for a cell of their own; beside the smallest cell they are felt most.
            kept[:, kept.sum(axis=0).argmin()] += rare[:, 0]
    is_testable = kept.shape[1] > 1
    low, high = np.split(kept if is_testable else bounds, 2)
    # The benefit of the doubt: as close to each other as the errors allow.
    return np.maximum(low, np.minimum(high, low[::-1])), is_testable


def _can_be_told(name: str, holder: CategoricalDistribution, other: CategoricalDistribution) -> bool:
    """Whether a category that `holder` names need not be looked for in the remainder of `other`."""
    if not other.other or name in other.counts:
        return True
    smaller = min(holder.total, other.total)
    hidden_at_most = max(1.0, smaller * _possible_error(other))
    return smaller * holder.counts[name] / holder.total >= 2 * EXPECTED_PER_CELL * hidden_at_most


def _arbitrary(name: str) -> tuple[int, str]:
    return crc32(name.encode(errors="surrogatepass")), name


def _possible_error(distribution: CategoricalDistribution) -> float:
    """By how much the share of a category may be too low."""
    if not distribution.other:
        return 0.0
    return (distribution.error_bound or distribution.other) / distribution.total
