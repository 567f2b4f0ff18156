"""Two samples counted in the same cells, for many pairs at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from otel_ml.drift.category_cells import EXPECTED_PER_CELL, CategoricalPair, category_shares
from otel_ml.drift.functions import Functions
from otel_ml.drift.rank_noise import RankNoise
from otel_ml.drift.significance import homogeneity_p_values
from otel_ml.sketch.sketch import FloatArray

# Rounding must not decide over a cell that holds exactly what is needed.
_JUST_BELOW = 1 - 1e-9


class Cells(NamedTuple):
    """Pairs of samples, each counted in cells of its own; rows are pairs, short ones are filled up with empty cells.

    Attributes:
        reference: (pairs, cells) shares of the reference. They sum to 1, but for what a heavy-hitters summary leaves
            open.
        current: (pairs, cells) shares of the current window, likewise.
        used: (pairs,) cells in which there is anything.
        variance: (pairs,) 1/n + 1/m, and what a sampling sketch adds to it: the variance, without drift, of the
            difference between the shares of a cell, relative to its share; of all cells on average.
        p_value: (pairs,) the probability that two samples of one distribution differ as much, or more; 1 where there
            are too few values to tell.
        is_testable: (pairs,) whether there are enough values for two cells.
        rarity: (pairs,) Σ (1 - pᵢ)² / pᵢ over the cells in use, of the shares pᵢ of both samples together: what chance
            adds to a distance beyond the limit for many values, see `otel_ml.drift.bias`.
    """

    reference: FloatArray
    current: FloatArray
    used: npt.NDArray[np.intp]
    variance: FloatArray
    p_value: FloatArray
    is_testable: npt.NDArray[np.bool_]
    rarity: FloatArray

    @property
    def null_mean(self) -> FloatArray:
        """(pairs,) what Σ (cᵢ - rᵢ)² / pᵢ is on average without drift: the mean of its χ² limit."""
        return np.maximum(self.used - 1, 0) * self.variance


def numeric_cells(
    functions: Functions, noise: RankNoise, n: FloatArray, m: FloatArray, edges: npt.NDArray[np.intp]
) -> Cells:
    """The cells that the points at `edges` cut, as `equal_mass_edges` found them.

    Neighbours with too few values are joined, so that a handful of values where the reference had none cannot make a
    score on its own.
    """
    masses = _between(np.array((functions.reference, functions.current)), edges)
    weight = (n / (n + m))[:, np.newaxis]
    # By the share in both samples together: cells must not depend on what chance put into the smaller one. One item of
    # a sketch stands for up to as many values as its error.
    needed = np.maximum(EXPECTED_PER_CELL / np.minimum(n, m), noise.bound)
    is_start = _starts(weight * masses[0] + (1 - weight) * masses[1], needed)
    is_testable = is_start.sum(axis=1) > 1
    if not is_testable.all():
        # With too few values for two cells there is no test, but still a score.
        is_start[~is_testable] = True
    reference, current = _joined(masses, is_start)
    return _tested(reference, current, n, m, noise, is_testable)


def category_cells(pairs: Sequence[CategoricalPair], n: FloatArray, m: FloatArray) -> Cells:
    """Categories are their own cells, those with too few values are pooled."""
    shares = category_shares(pairs, n, m)
    return _tested(shares.reference, shares.current, n, m, None, shares.is_testable)


def _tested(
    reference: FloatArray,
    current: FloatArray,
    n: FloatArray,
    m: FloatArray,
    noise: RankNoise | None,
    is_testable: npt.NDArray[np.bool_],
) -> Cells:
    weight = (n / (n + m))[:, np.newaxis]
    pooled = weight * reference + (1 - weight) * current
    is_used = pooled > 0
    # In a cell with fewer values the expansion it is meant for means nothing.
    at_least = (EXPECTED_PER_CELL / np.minimum(n, m))[:, np.newaxis]
    rarity = (np.square(1 - pooled) / np.maximum(pooled, at_least) * is_used).sum(axis=1)
    used = is_used.sum(axis=1)
    variance = 1 / n + 1 / m
    if noise is not None and noise.any():
        inverse = np.divide(1.0, pooled, out=np.zeros_like(pooled), where=is_used)
        # A share is the difference of two ranks: what is common to them is gone.
        variance = variance + 2 * noise.own * inverse.sum(axis=1) / np.maximum(1, used - 1)
    p_value = np.where(is_testable, homogeneity_p_values(reference, current, n, m, noise), 1.0)
    return Cells(reference, current, used, variance, p_value, is_testable, rarity)


def equal_mass_edges(shares: FloatArray, bins: int) -> npt.NDArray[np.intp]:
    """Where to cut references into `bins` cells of equal mass, and one on either side of their range.

    Args:
        shares: (pairs, points) distribution functions of the references.

    Returns:
        (pairs, bins + 1) positions of points, those nearest to 1/bins, 2/bins, … and around all of the mass:
        increasing, and several times the same where there are fewer.
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
    """The masses of the cells that points of distribution functions cut, shape (2, pairs, cells)."""
    at = np.take_along_axis(shares, edges[np.newaxis], axis=2)
    masses = np.empty((2, at.shape[1], at.shape[2] + 1))
    masses[:, :, 0] = at[:, :, 0]
    np.subtract(at[:, :, 1:], at[:, :, :-1], out=masses[:, :, 1:-1])
    np.subtract(1.0, at[:, :, -1], out=masses[:, :, -1])
    return masses


def _starts(masses: FloatArray, needed: FloatArray) -> npt.NDArray[np.bool_]:
    """Where runs of neighbours that together reach `needed` begin; a rest that does not joins the last run."""
    is_enough = masses >= (needed * _JUST_BELOW)[:, np.newaxis]
    is_start = np.ones(masses.shape, dtype=np.bool_)
    # Mostly all cells hold enough but the two beyond the reference's range.
    is_start[:, 1] = is_enough[:, 0]
    is_start[:, -1] = is_enough[:, -1]
    difficult = np.flatnonzero(~is_enough[:, 1:-1].all(axis=1)) if masses.shape[1] > 2 else np.arange(len(masses))
    if difficult.size:
        is_start[difficult] = _starts_one_by_one(masses[difficult], needed[difficult] * _JUST_BELOW)
    return is_start


def _starts_one_by_one(masses: FloatArray, needed: FloatArray) -> npt.NDArray[np.bool_]:
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
    """The masses of runs that begin at `is_start`, followed by empty cells; shape as `masses`, (2, pairs, cells)."""
    starts = np.flatnonzero(is_start)
    places = is_start.cumsum(axis=1)
    places += np.arange(-1, is_start.size - 1, is_start.shape[1])[:, np.newaxis]
    joined = np.zeros((2, is_start.size))
    joined[:, places.ravel()[starts]] = np.add.reduceat(masses.reshape(2, -1), starts, axis=1)
    return joined.reshape(masses.shape)
