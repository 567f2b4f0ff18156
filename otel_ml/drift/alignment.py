"""Bringing two distributions to what both of them know: common points, common cells."""

from __future__ import annotations

import math
from functools import lru_cache
from operator import add, sub
from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from otel_ml.drift.significance import homogeneity_p_value, sketch_noise
from otel_ml.sketch.distribution import CategoricalDistribution, Distribution, NumericDistribution
from otel_ml.sketch.sketch import FloatArray

EXPECTED_PER_CELL = 5
"""Values a cell should hold in the smaller of two samples for χ² limits to hold (Cochran, 1954)."""

# Rounding must not decide over a cell that holds exactly what is needed.
_JUST_BELOW = 1 - 1e-9


class Functions(NamedTuple):
    """Two distribution functions at points where both are known.

    Attributes:
        points: (k,) increasing; equal neighbours are possible.
        reference: (k,) share of the reference ≤ each point.
        current: (k,) share of the current window ≤ each point.
        is_step: Whether both are constant between the points; if not, mass may lie anywhere between.
    """

    points: FloatArray
    reference: FloatArray
    current: FloatArray
    is_step: bool


class Cells(NamedTuple):
    """Two samples counted in the same cells.

    Attributes:
        reference: (cells,) shares of the reference. They sum to 1, but for what a heavy-hitters summary leaves open.
        current: (cells,) shares of the current window, likewise.
        p_value: The probability that two samples of one distribution differ as much, or more; 1 when there are too few
            values to tell.
    """

    reference: FloatArray
    current: FloatArray
    p_value: float


def functions(reference: NumericDistribution, current: NumericDistribution) -> Functions:
    """Both distribution functions at all points where both are known.

    A step function is known everywhere, a histogram on the borders of its bins, in empty ones, and outside its range.
    Two histograms without a common border leave nothing but to interpolate between all the borders.
    """
    is_step = reference.is_step and current.is_step
    if reference.points is current.points or np.array_equal(reference.points, current.points):
        return Functions(
            reference.points, reference.cumulative / reference.total, current.cumulative / current.total, is_step
        )
    points = np.concatenate((reference.points, current.points))
    points.sort(kind="stable")
    if not is_step:
        common = points[_is_known(reference, points) & _is_known(current, points)]
        points = common if common.size else points
    return Functions(points, _shares(reference, points), _shares(current, points), is_step)


def cells(reference: Distribution, current: Distribution, bins: int = 10) -> Cells:
    """Both samples counted in common cells with enough values to compare.

    Numeric values: at most `bins` cells of equal mass, cut from the reference at points known on both sides, and one
    cell on either side of the reference's range. Neighbours with too few values are joined. Categories are their own
    cells, rare ones are pooled. So a handful of values where the reference had none cannot make a score on its own.
    """
    global _latest  # noqa: PLW0603  # see there
    latest = _latest
    if latest is not None and latest[0] is reference and latest[1] is current and latest[2] == bins:
        return latest[3]
    if isinstance(reference, CategoricalDistribution) and isinstance(current, CategoricalDistribution):
        found = _category_cells(reference, current)
    elif isinstance(reference, NumericDistribution) and isinstance(current, NumericDistribution):
        found = _equal_mass_cells(reference, current, bins)
    else:
        raise TypeError(f"cannot compare {type(reference).__name__} with {type(current).__name__}")
    _latest = reference, current, bins, found
    return found


# Detectors are asked about the same pair one after the other, and most of their work is to count it in cells. The pair
# is immutable; one tuple is read and replaced as a whole, so that threads cannot mix two.
_latest: tuple[Distribution, Distribution, int, Cells] | None = None


def _is_known(distribution: NumericDistribution, at: FloatArray) -> npt.NDArray[np.bool_]:
    if distribution.is_step:
        return np.ones(len(at), dtype=np.bool_)
    points = distribution.points
    # The bin of each point; a function is flat, so known, all through an empty one.
    place = np.searchsorted(points, at)
    is_empty = np.diff(distribution.cumulative, prepend=0, append=distribution.total) == 0
    is_border = points[np.minimum(place, len(points) - 1)] == at
    known: npt.NDArray[np.bool_] = is_border | is_empty[place]
    return known | (at < distribution.minimum) | (at >= distribution.maximum)


def _shares(distribution: NumericDistribution, at: FloatArray) -> FloatArray:
    shares = distribution.cdf(at)
    if distribution.is_step:
        return shares
    # A bin reaches beyond the extreme value in it, the distribution function does not.
    shares[at < distribution.minimum] = 0.0
    shares[at >= distribution.maximum] = 1.0
    return shares


def _equal_mass_cells(reference: NumericDistribution, current: NumericDistribution, bins: int) -> Cells:
    _, reference_at, current_at, _ = functions(reference, current)
    edges = _equal_mass_edges(reference_at, bins)
    # So few numbers are faster in lists.
    expected = _differences(reference_at[edges].tolist())
    found = _differences(current_at[edges].tolist())
    needed = 2 * EXPECTED_PER_CELL / min(reference.total, current.total)
    starts = _starts_of_joined_cells(list(map(add, expected, found)), needed)
    shares = np.array((expected, found))
    is_testable = len(starts) > 1
    if is_testable and len(starts) < len(expected):
        shares = np.add.reduceat(shares, starts, axis=1)
    error = math.hypot(reference.rank_error, current.rank_error)
    return _cells(
        shares, reference.total, current.total, noise=sketch_noise(error, shares.shape[1]) if is_testable else None
    )


def _equal_mass_edges(shares: FloatArray, bins: int) -> list[int]:
    """Positions in a distribution function: nearest to 1/bins, 2/bins, …, and around all of the mass."""
    targets = _targets(bins)
    above = shares.searchsorted(targets)
    candidates = zip(
        targets.tolist(),
        shares[np.maximum(above - 1, 0)].tolist(),
        shares[np.minimum(above, len(shares) - 1)].tolist(),
        strict=True,
    )
    nearest = {low if target - low <= high - target else high for target, low, high in candidates} - {0.0, 1.0}
    # Where the function is flat, several points have the same share: always take the first of them.
    edges: list[int] = shares.searchsorted(sorted(nearest)).tolist() if nearest else []
    if shares[0] == 0.0:
        edges.insert(0, int(shares.searchsorted(0.0, side="right")) - 1)
    if shares[-1] == 1.0:
        edges.append(int(shares.searchsorted(1.0)))
    return edges


@lru_cache(maxsize=64)
def _targets(bins: int) -> FloatArray:
    return np.arange(1, bins) / bins


def _differences(shares: list[float]) -> list[float]:
    """The masses of the cells that the points of a distribution function cut."""
    return list(map(sub, [*shares, 1.0], [0.0, *shares]))


def _starts_of_joined_cells(masses: list[float], needed: float) -> list[int]:
    """First positions of runs of neighbours that together reach `needed`; a rest that does not joins the last run."""
    starts = [0]
    total = 0.0
    for position, mass in enumerate(masses):
        if total >= needed * _JUST_BELOW:
            starts.append(position)
            total = 0.0
        total += mass
    if len(starts) > 1 and total < needed * _JUST_BELOW:
        starts.pop()
    return starts


def _category_cells(reference: CategoricalDistribution, current: CategoricalDistribution) -> Cells:
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
        starts = _starts_of_joined_cells(expected[~enough].tolist(), EXPECTED_PER_CELL)
        rare = np.add.reduceat(rare, starts, axis=1)
        if expected[~enough].sum() >= EXPECTED_PER_CELL * _JUST_BELOW:
            kept = np.concatenate((kept, rare), axis=1)
        elif kept.size:
            # Too few for a cell of their own; beside the smallest cell they are felt most.
            kept[:, kept.sum(axis=0).argmin()] += rare[:, 0]
    is_testable = kept.shape[1] > 1
    low, high = np.split(kept if is_testable else bounds, 2)
    # The benefit of the doubt: as close to each other as the errors allow.
    shares = np.maximum(low, np.minimum(high, low[::-1]))
    return _cells(shares, n, m, noise=0.0 if is_testable else None)


def _cells(shares: FloatArray, n: int, m: int, *, noise: float | None) -> Cells:
    """Cells of shape (2, cells); without `noise` there are too few values for a test."""
    return Cells(shares[0], shares[1], 1.0 if noise is None else homogeneity_p_value(shares[0], shares[1], n, m, noise))


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
