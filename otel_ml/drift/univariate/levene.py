"""Change of spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from otel_ml.drift.central import NO_SPREAD
from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.mean_tests import Groups, one_way
from otel_ml.drift.quadratic import pooled_shares, row_sums
from otel_ml.drift.significance import joint_rank_error, sketch_variance
from otel_ml.drift.univariate.anova import groups_of, unit_of
from otel_ml.sketch.sketch import FloatArray

# Share of a window beyond the outermost points from which these say too little of it.
_OUTSIDE = 0.25
# The logarithm of the ratio that a spread counts as where there was none, or is none any more.
_HIGHEST = 10.0


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
        sides = ((functions.reference, functions.error_reference), (functions.current, functions.error_current))
        spreads = [
            _deviations(points, functions.is_step, shares, ends, given.mean[:, side], error)
            for side, (shares, error) in enumerate(sides)
        ]
        # The same way for both, so that what is wrong about it is wrong on both sides.
        is_below = spreads[0].open_below + spreads[1].open_below <= spreads[0].open_above + spreads[1].open_above
        mean = np.stack([np.where(is_below, spread.from_below, spread.from_above) for spread in spreads], axis=1)
        off_centre = given.mean - np.stack([spread.median for spread in spreads], axis=1)
        # The median is at most one standard deviation from the mean, and so are the values from the median on average.
        deviation = np.sqrt(given.m2 / given.n)
        off_centre = np.clip(off_centre, -deviation, deviation)
        mean = np.clip(mean, np.abs(off_centre), deviation)
        # Of a window that lies outside of the bins, no more is known than its deviation.
        is_outside = functions.current[:, 0] + 1 - functions.current[:, -1] > _OUTSIDE
        like_reference = np.divide(mean[:, 0], deviation[:, 0], out=np.ones(len(mean)), where=deviation[:, 0] > 0)
        mean[:, 1] = np.where(is_outside & ~functions.is_step, deviation[:, 1] * like_reference, mean[:, 1])
        # Of what is known exactly; rounding may leave less than nothing.
        m2 = np.maximum(0.0, given.m2 + given.n * (np.square(off_centre) - np.square(mean)))
        groups = Groups(given.n, mean, m2)
        noise = np.where(
            is_below,
            spreads[0].noise_below + spreads[1].noise_below,
            spreads[0].noise_above + spreads[1].noise_above,
        )
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
        noise_below: Variance of what sampling sketches add to `from_below`.
        noise_above: Likewise.
    """

    median: FloatArray
    from_below: FloatArray
    from_above: FloatArray
    open_below: FloatArray
    open_above: FloatArray
    noise_below: FloatArray
    noise_above: FloatArray


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
    shares: FloatArray,
    ends: _Ends,
    mean: FloatArray,
    rank_error: FloatArray,
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
    error = np.sqrt(sketch_variance(joint_rank_error(rank_error, np.zeros_like(rank_error))))
    limit = np.where(error > 0, error, 1.0)[:, np.newaxis]
    # A sketch is off by at most what there is in a tail.
    noise_below = 1.5 * error * row_sums(widths_below, np.minimum(1.0, below[:, :-1] / limit))
    noise_above = 1.5 * error * row_sums(widths_above, np.minimum(1.0, (1 - above[:, :-1]) / limit))
    # Beyond the outermost points mass may lie anywhere: as far away as the whole range, say.
    reach = points[:, -1] - points[:, 0]
    open_below = row_sums(widths_below, masses_below) + shares[:, 0] * reach + noise_below
    open_above = row_sums(widths_above, masses_above) + (1 - shares[:, -1]) * reach + noise_above
    off_centre = mean - median
    # Where every value is known, both ways are the same but for rounding.
    is_exact = is_step & (error == 0)
    return _Deviations(
        median,
        np.where(is_exact, under + over, 2 * under + off_centre),
        np.where(is_exact, under + over, 2 * over - off_centre),
        open_below,
        open_above,
        np.square(noise_below),
        np.square(noise_above),
    )


def _at(matrix: FloatArray, positions: npt.NDArray[np.intp]) -> FloatArray:
    values: FloatArray = np.take_along_axis(matrix, positions, axis=1)
    return values


def _between(matrix: FloatArray, low: npt.NDArray[np.intp], high: npt.NDArray[np.intp]) -> FloatArray:
    return _at(matrix, high) - _at(matrix, low)
