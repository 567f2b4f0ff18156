"""Numbers to compare, as rows and as the summaries that replicas make of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from otel_ml.drift.comparison import aligned, distributions
from otel_ml.sketch.bins import AnchoredBins, BinLayout, layout_from_quantiles
from otel_ml.sketch.distribution import NumericDistribution
from otel_ml.sketch.exact import LIMIT, ExactCounts
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.summary import FeatureSummary, NumericSummary

Floats = npt.NDArray[np.float64]
Pair = tuple[NumericDistribution, NumericDistribution]
BLOCK = 1_000
BLOCKS = 600
_KEY = FeatureKey(FeatureRole.FEATURE, "x")


@dataclass
class Population:
    """A distribution that rows are drawn from.

    Windows of 10,000 rows and more are put together from blocks of 1,000 that were drawn once: their counts and moments
    add up, which makes a window of a million rows as cheap as one of a thousand.
    """

    name: str
    draw: Callable[[np.random.Generator, int], Floats]

    @cached_property
    def blocks(self) -> Floats:
        """(blocks, rows) increasing in each block."""
        return np.sort(self.draw(np.random.default_rng(1), BLOCK * BLOCKS).reshape(BLOCKS, BLOCK), axis=1)

    @cached_property
    def moments(self) -> tuple[Floats, Floats]:
        """Mean and sum of squared deviations of each block."""
        means = self.blocks.mean(axis=1)
        return means, np.square(self.blocks - means[:, np.newaxis]).sum(axis=1)

    @cached_property
    def layout(self) -> BinLayout:
        """The bins that a large baseline would cut."""
        return layout_from_quantiles(np.sort(self.blocks.ravel()))

    def points(self, kind: str) -> Floats:
        """Where the distribution function is known, of summaries of this kind."""
        if kind == "bins":
            return self.layout.edges
        if kind == "exact":
            return np.unique(self.blocks)
        return ExponentialHistogram.of(self.blocks.ravel()).distribution().points

    def cumulative(self, kind: str) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Those points, and how many values of each block are at most as high, (blocks, points)."""
        points = self.points(kind)
        return points, np.array([np.searchsorted(block, points, side="right") for block in self.blocks])

    def has(self, kind: str, rows: int) -> bool:
        """Whether columns of this kind come with so many rows."""
        return kind != "exact" or rows <= LIMIT or self.name == "discrete"


def _lognormal(chance: np.random.Generator, rows: int) -> Floats:
    return chance.lognormal(size=rows)


def _zero_inflated(chance: np.random.Generator, rows: int) -> Floats:
    return np.where(chance.random(rows) < 0.7, 0.0, chance.lognormal(size=rows))


def _offset_with_outliers(chance: np.random.Generator, rows: int) -> Floats:
    return np.where(chance.random(rows) < 0.001, 0.01, chance.normal(1_000.0, 5.0, size=rows))


def far_from(rows: Floats) -> Floats:
    """Rows of the standard normal, moved far from zero but for one: buckets are spent on the magnitudes between."""
    far = 1_000.0 + 5.0 * rows
    far[0] = 0.01
    return far


POPULATIONS = {
    population.name: population
    for population in (
        Population("normal", lambda chance, rows: chance.normal(size=rows)),
        Population("lognormal", _lognormal),
        Population("discrete", lambda chance, rows: chance.poisson(3.0, size=rows).astype(np.float64)),
        Population("zero_inflated", _zero_inflated),
        Population("constant", lambda _, rows: np.full(rows, 7.0)),
        Population("offset_with_outliers", _offset_with_outliers),
    )
}
CLEAN = ("normal", "lognormal", "discrete", "zero_inflated")
FAR = "offset_with_outliers"


def small_pair(kind: str, reference: Floats, current: Floats, replicas: int = 1) -> Pair:
    """What is left of rows after so many replicas have summed them up, and the summaries were merged."""
    layout = layout_from_quantiles(np.sort(reference)) if kind == "bins" else None
    sides = [
        _merged(kind, np.array_split(reference, 1), layout),
        _merged(kind, np.array_split(current, replicas), layout),
    ]
    moments = [Moments.of(rows) for rows in (reference, current)]
    if kind == "histogram":
        sides = list(aligned(*sides))
        return sides[0].distribution(moments[0]), sides[1].distribution(moments[1])
    if kind == "bins":
        return sides[0].distribution(layout, moments[0]), sides[1].distribution(layout, moments[1])
    return sides[0].distribution(), sides[1].distribution()


def _merged(kind: str, parts: list[Floats], layout: BinLayout | None) -> Any:
    def summary(rows: Floats) -> Any:
        if kind == "bins":
            assert layout is not None
            return AnchoredBins.of(layout, rows)
        return ExactCounts.of(rows) if kind == "exact" else ExponentialHistogram.of(rows)

    whole = summary(parts[0])
    for part in parts[1:]:
        if kind == "exact":
            one = ExactCounts.of(part)
            whole.add(one.values, one.counts)
        else:
            whole.merge(summary(part))
    return whole


def large_sides(
    population: Population, kind: str, chance: np.random.Generator, rows: int, windows: int
) -> list[NumericDistribution]:
    """Windows of many rows each, put together from blocks."""
    points, below = population.cumulative(kind)
    times = chance.multinomial(rows // BLOCK, np.full(BLOCKS, 1 / BLOCKS), size=windows)
    found = times @ below
    means, squares = population.moments
    mean = times @ means / (rows // BLOCK)
    m2 = times @ squares + BLOCK * (times * np.square(means - mean[:, np.newaxis])).sum(axis=1)
    lows, highs = population.blocks[:, 0], population.blocks[:, -1]
    sides = []
    for window in range(windows):
        used = times[window] > 0
        moments = Moments(
            rows, float(mean[window]), float(m2[window]), float(lows[used].min()), float(highs[used].max())
        )
        sides.append(
            NumericDistribution(
                points,
                found[window],
                rows,
                moments.minimum,
                moments.maximum,
                is_step=kind == "exact",
                moments=moments,
            )
        )
    return sides


def sampled(rows: Floats, replicas: int = 1) -> NumericDistribution:
    """What KLL sketches of so many replicas know of rows, merged."""
    whole = QuantileSketch()
    for part in np.array_split(rows, replicas):
        sketch = QuantileSketch()
        sketch.update(part)
        whole.merge(sketch)
    return replace(whole.distribution(), moments=Moments.of(rows))


def exact(rows: Floats) -> NumericDistribution:
    """Rows as they are."""
    points, counts = np.unique(rows, return_counts=True)
    moments = Moments.of(rows)
    return NumericDistribution(
        points, counts.cumsum(), rows.size, moments.minimum, moments.maximum, is_step=True, moments=moments
    )


def sent_pair(reference: Floats, current: Floats, replicas: int = 1) -> Pair:
    """A baseline beside what servers that do not know it send of their rows, as the product compares the two."""
    layout = layout_from_quantiles(np.sort(reference))
    quantiles = QuantileSketch()
    quantiles.update(reference)
    counts = AnchoredBins(layout.hash, AnchoredBins.of(layout, reference).counts)
    whole = NumericSummary(
        Moments.of(reference),
        {layout.hash: counts},
        ExactCounts.of(reference) if len(np.unique(reference)) <= LIMIT else None,
        ExponentialHistogram.of(reference),
        quantiles,
    )
    window = NumericSummary()
    for part in np.array_split(current, replicas):
        one = NumericSummary()
        one.update(part)
        window.merge(one)
    pair = distributions(FeatureSummary(_KEY, whole), FeatureSummary(_KEY, window), layout)
    assert pair is not None
    expected, found = pair
    assert isinstance(expected, NumericDistribution)
    assert isinstance(found, NumericDistribution)
    return expected, found


def rows_of(population: Population, chance: np.random.Generator, rows: int) -> Floats:
    """As many rows; from 10,000 on those of blocks."""
    if rows < 10 * BLOCK:
        return population.draw(chance, rows)
    return population.blocks[chance.integers(0, BLOCKS, size=rows // BLOCK)].ravel()
