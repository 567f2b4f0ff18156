"""Change of spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from otel_ml.drift.central import NO_SPREAD, widths_at
from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.mean_tests import Groups, one_way
from otel_ml.drift.quadratic import pooled_shares, row_sums
from otel_ml.drift.rank_noise import own_presence, presence, within_reach
from otel_ml.drift.univariate.anova import groups_of, unit_of
from otel_ml.sketch.sketch import FloatArray

# Share of a window beyond the outermost points from which these say too little of it.
_OUTSIDE = 0.25
# The logarithm of the ratio that a spread counts as where there was none, or is none any more.
_HIGHEST = 10.0
# Of how far mass may lie from where it is taken to lie in its bins, how far it does: most bins are narrow, and the same
# on both sides.
_SURE = 0.1


@dataclass(frozen=True, slots=True)
class Levene(DriftDetector):
    """How much wider or narrower the values are spread, with Levene's test in the form of Brown & Forsythe.

    The score is |ln(b / a)| for the mean absolute deviations a and b from the medians, free of what chance adds on
    average: 0.1 for a spread that grew or shrank by a tenth. The p-value is that of an analysis of variance of the
    absolute deviations: Levene, "Robust tests for equality of variances" (1960). Deviations are from the median, not
    the mean, without which the test is wrong for skewed values: Brown & Forsythe, "Robust tests for the equality of
    variances" (1974). Their sum follows from the distribution functions, their sum of squares from the moments, which
    are exact. It sees nothing but the spread. Two constants score 0, a constant beside anything else 10.

    Args:
        threshold: Score above which the feature counts as drifted.
        bias_corrected: Whether what chance alone adds on average is subtracted from the squared score.
    """

    name: ClassVar[str] = "levene"
    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = False
    is_symmetric: ClassVar[bool] = True

    threshold: float = 0.2
    bias_corrected: bool = True

    def __post_init__(self) -> None:
        require_number("levene::threshold", self.threshold, above=0)

    def measure(self, columns: Columns) -> Scores:
        """The changes, and the probability of as much without drift; NaN where moments are not known."""
        given, functions = groups_of(columns), columns.functions
        points = functions.points / unit_of(columns)[:, np.newaxis]
        ends = _ends(points, pooled_shares(functions, columns.n, columns.m), functions.is_step)
        deviation = np.sqrt(given.m2 / given.n)
        is_exact = functions.is_step & (functions.error_reference + functions.error_current == 0)
        spreads = [
            _deviations(points, functions.is_step, is_exact, shares, ends, given.mean[:, side], deviation[:, side])
            for side, shares in enumerate((functions.reference, functions.current))
        ]
        # The same way for both, so that what is wrong about it is wrong on both sides.
        part, noise = _part_from_below(points, spreads, columns)
        mean = np.stack([part * spread.from_below + (1 - part) * spread.from_above for spread in spreads], axis=1)
        off_centre = given.mean - np.stack([spread.median for spread in spreads], axis=1)
        # The median is at most one standard deviation from the mean, and so are the values from the median on average.
        off_centre = np.clip(off_centre, -deviation, deviation)
        mean = np.clip(mean, np.abs(off_centre), deviation)
        # Of a window that lies outside of the bins, no more is known than its deviation.
        is_outside = functions.current[:, 0] + 1 - functions.current[:, -1] > _OUTSIDE
        like_reference = np.divide(mean[:, 0], deviation[:, 0], out=np.ones(len(mean)), where=deviation[:, 0] > 0)
        mean[:, 1] = np.where(is_outside & ~functions.is_step, deviation[:, 1] * like_reference, mean[:, 1])
        # Of what is known exactly; rounding may leave less than nothing.
        m2 = np.maximum(0.0, given.m2 + given.n * (np.square(off_centre) - np.square(mean)))
        groups = Groups(given.n, mean, m2)
        return Scores(self._changes(groups, noise), one_way(groups, noise))

    def _changes(self, groups: Groups, noise: FloatArray) -> FloatArray:
        before, after = groups.mean.T
        least, most = np.minimum(before, after), np.maximum(before, after)
        # NaN stays NaN.
        is_flat = least <= NO_SPREAD * most
        before, after = np.where(is_flat, 1.0, before), np.where(is_flat, 1.0, after)
        squared = np.square(np.log(after / before))
        if self.bias_corrected:
            freedom = np.maximum(1, groups.n.sum(axis=1) - 2)
            chance = groups.m2.sum(axis=1) / freedom * (1 / groups.n).sum(axis=1) + noise
            squared -= chance / (before * after)
        score = np.minimum(_HIGHEST, np.sqrt(np.maximum(0.0, squared)))
        return np.where(is_flat, np.where(most > 0, _HIGHEST, 0.0), score)


class _Deviations(NamedTuple):
    """Absolute deviations from the median; all of shape (columns,).

    Attributes:
        median: What they are deviations from.
        from_below: Their mean, from what lies below the median, and the mean of the values.
        from_above: Their mean, from what lies above it.
        open_below: By how much `from_below` may be wrong, roughly.
        open_above: Likewise.
    """

    median: FloatArray
    from_below: FloatArray
    from_above: FloatArray
    open_below: FloatArray
    open_above: FloatArray


class _Ends(NamedTuple):
    """Between which points the outermost bins lie, and how much nearer to the middle their mass is than their centre.

    All of shape (columns, 2), for the lowest and the highest bin.
    """

    low: npt.NDArray[np.intp]
    high: npt.NDArray[np.intp]
    shift: FloatArray


def _ends(points: FloatArray, shares: FloatArray, is_step: npt.NDArray[np.bool_]) -> _Ends:
    """The bins at either end of a range are wide, and what is in them is not spread evenly.

    If the density falls exponentially from what it is in the next bin, a mass p beyond it, where the density was d,
    lies p / d away on average; in the middle at most.
    """
    last = points.shape[1] - 1
    # Short rows repeat their last point.
    top = np.maximum((points < points[:, -1:]).sum(axis=1), 1).clip(max=last)
    bottom = np.zeros_like(top)
    low, high = np.stack((bottom, top - 1), axis=1), np.stack((np.minimum(bottom + 1, last), top), axis=1)
    inner_low = np.stack((np.minimum(bottom + 1, last), np.maximum(top - 2, 0)), axis=1)
    inner_high = np.stack((np.minimum(bottom + 2, top), top - 1), axis=1)
    width, mass = _between(points, low, high), _between(shares, low, high)
    inner_width, inner_mass = _between(points, inner_low, inner_high), _between(shares, inner_low, inner_high)
    # Beside a single value there is no density to speak of.
    is_dense = (inner_mass > 0) & (inner_width > width / 100)
    distance = np.divide(mass * inner_width, inner_mass, out=width / 2, where=is_dense)
    shift = np.where(is_step[:, np.newaxis], 0.0, np.maximum(0.0, width / 2 - distance))
    return _Ends(low, high, shift)


def _deviations(
    points: FloatArray,
    is_step: npt.NDArray[np.bool_],
    is_exact: npt.NDArray[np.bool_],
    shares: FloatArray,
    ends: _Ends,
    mean: FloatArray,
    deviation: FloatArray,
) -> _Deviations:
    """What the deviations are on average, in two ways.

    E|X - c| = E(c - X)⁺ + E(X - c)⁺, and the difference of the two is c - E X, which the moments know. So one of them
    is enough: the one on the side where less depends on where in its bins the mass lies. On the other side there may be
    a heavy tail, all in one bin.
    """
    place = np.minimum((shares < 0.5).sum(axis=1, keepdims=True), points.shape[1] - 1)
    before = np.maximum(place - 1, 0)
    mass = _between(shares, before, place)
    fraction = np.divide(0.5 - _at(shares, before), mass, out=np.ones_like(mass), where=mass > 0)
    low, high = _at(points, before), _at(points, place)
    # Of an even number of values, the middle between the two in the middle.
    after = np.minimum((shares <= 0.5).sum(axis=1, keepdims=True), points.shape[1] - 1)
    between = (high + _at(points, after)) / 2
    centre = np.where(is_step[:, np.newaxis], between, low + np.clip(fraction, 0.0, 1.0) * (high - low))
    median = centre[:, 0]
    below, above = np.minimum(shares, 0.5), np.maximum(shares, 0.5)
    widths_below = np.diff(np.minimum(points, centre), axis=1)
    widths_above = np.diff(np.maximum(points, centre), axis=1)
    # Half of the mass of a bin lies before its middle.
    masses_below = np.where(is_step[:, np.newaxis], 0.0, np.diff(below, axis=1))
    masses_above = np.where(is_step[:, np.newaxis], 0.0, np.diff(above, axis=1))
    under = row_sums(widths_below, below[:, :-1] + masses_below / 2)
    over = row_sums(widths_above, 1 - above[:, :-1] - masses_above / 2)
    nearer = _between(shares, ends.low, ends.high) * ends.shift
    under -= nearer[:, 0]
    over -= nearer[:, 1]
    # Beyond the outermost points mass may lie as far away as the whole range, say, or as the deviation allows.
    reach = points[:, -1] - points[:, 0]
    open_below = row_sums(widths_below, masses_below) + _beyond(shares[:, 0], reach, deviation)
    open_above = row_sums(widths_above, masses_above) + _beyond(1 - shares[:, -1], reach, deviation)
    off_centre = mean - median
    # Where every value is known, both ways are the same but for rounding.
    return _Deviations(
        median,
        np.where(is_exact, under + over, 2 * under + off_centre),
        np.where(is_exact, under + over, 2 * over - off_centre),
        open_below,
        open_above,
    )


def _beyond(share: FloatArray, reach: FloatArray, deviation: FloatArray) -> FloatArray:
    """What so large a share can add to a mean deviation; if it lay d away, the variance were at least share · d²."""
    return np.fmax(share * reach, np.sqrt(np.maximum(0.0, share)) * deviation)


def _part_from_below(
    points: FloatArray, spreads: Sequence[_Deviations], columns: Columns
) -> tuple[FloatArray, FloatArray]:
    """How much of the mean deviation to take from below the median, (columns,), and the variance of sketches in it.

    Of counts, all of it or nothing: the side of which more is known. Errors of a sketch that are common to all ranks
    add to one side what they take from the other, so that with some of both next to nothing is left of them.
    """
    open_below, open_above = (
        spreads[0].open_below + spreads[1].open_below,
        spreads[0].open_above + spreads[1].open_above,
    )
    is_below = (open_below <= open_above).astype(np.float64)
    noise = columns.noise
    if not noise.any():
        return is_below, np.zeros_like(is_below)
    shares = pooled_shares(columns.functions, columns.n, columns.m)
    centre = ((spreads[0].median + spreads[1].median) / 2)[:, np.newaxis]
    is_step = columns.functions.is_step
    below, above = widths_at(np.minimum(points, centre), is_step), widths_at(np.maximum(points, centre), is_step)
    reached, own = presence(shares), np.sqrt(own_presence(shares))
    reach_below, reach_above = row_sums(below, reached), row_sums(above, reached)
    own_below, own_above = noise.own * within_reach(below * own, shares), noise.own * within_reach(above * own, shares)
    # The part p that makes (2p · below)² and (2(1 - p) · above)² least, and what is common to both.
    common = noise.common * (reach_below + reach_above)
    unsure_below, unsure_above = own_below + np.square(open_below * _SURE), own_above + np.square(open_above * _SURE)
    total = unsure_below + unsure_above + common * (reach_below + reach_above)
    part = np.divide(unsure_above + common * reach_above, total, out=is_below.copy(), where=total > 0)
    part = np.where(noise.own > 0, part, is_below)
    rest = noise.common * np.square(part * reach_below - (1 - part) * reach_above)
    return part, 4 * (rest + np.square(part) * own_below + np.square(1 - part) * own_above)


def _at(matrix: FloatArray, positions: npt.NDArray[np.intp]) -> FloatArray:
    values: FloatArray = np.take_along_axis(matrix, positions, axis=1)
    return values


def _between(matrix: FloatArray, low: npt.NDArray[np.intp], high: npt.NDArray[np.intp]) -> FloatArray:
    return _at(matrix, high) - _at(matrix, low)
