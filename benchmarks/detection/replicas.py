"""One replica or 64, merged in any order: how many statistics come out differently, and by how much."""

from __future__ import annotations

import math
import os
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from benchmarks.figure import Figure, Figures
from otel_ml.drift import create
from otel_ml.drift.comparison import aligned
from otel_ml.drift.detector import DriftResult
from otel_ml.drift.registry import BUILTIN_DETECTORS
from otel_ml.sketch.bins import AnchoredBins, BinLayout, layout_from_quantiles
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.distribution import CategoricalDistribution, Distribution
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.quantiles import QuantileSketch

Floats = npt.NDArray[np.float64]

REPLICAS = 64
ORDERS = 20
ROWS = 20_000
FROM_MOMENTS = ("welch", "anova", "levene")
"""Sums of floating-point numbers depend on their order, in the last digits; nothing else does."""


def measure() -> Figures:
    """Differences from one replica that saw every row, over random cuts and orders."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    orders = ORDERS * rounds or 2
    figures = {}
    for kind in ("bins", "exact", "histogram", "categories"):
        differing, largest, compared = 0, 0.0, 0
        for seed in range(orders):
            chance = np.random.default_rng(seed)
            reference, current = _rows(kind, chance)
            layout = layout_from_quantiles(np.sort(reference))
            alone = _results(kind, [reference], [current], layout)
            many = _results(kind, _cut(reference, chance), _cut(current, chance), layout)
            for name, result in alone.items():
                compared += 1
                if name in FROM_MOMENTS:
                    largest = max(largest, _relative(result, many[name]))
                else:
                    differing += result != many[name]
        figures[f"replicas.{kind}.differing"] = Figure(differing, f"of {compared} statistics", 0, 0)
        if kind != "categories":
            figures[f"replicas.{kind}.moments.largest_difference"] = Figure(largest, "relative", 1e-9, 0)
    return {**figures, **_sketches(orders)}


def _rows(kind: str, chance: np.random.Generator) -> tuple[Floats, Floats]:
    reference, current = chance.lognormal(size=ROWS), chance.lognormal(0.05, size=ROWS // 4)
    if kind in {"exact", "categories"}:
        return np.minimum(np.floor(reference * 3), 40.0), np.minimum(np.floor(current * 3), 40.0)
    return reference, current


def _cut(rows: Floats, chance: np.random.Generator) -> list[Floats]:
    """The rows in an order of chance, in parts of any size, some of them empty."""
    return np.split(chance.permutation(rows), np.sort(chance.integers(0, len(rows) + 1, size=REPLICAS - 1)))


def _moments(parts: list[Floats]) -> Moments:
    whole = Moments()
    for part in parts:
        whole.merge(Moments.of(part))
    return whole


def _results(kind: str, reference: list[Floats], current: list[Floats], layout: BinLayout) -> dict[str, DriftResult]:
    pair: tuple[Distribution, Distribution]
    if kind == "histogram":
        was, now = aligned(_histogram(reference), _histogram(current))
        pair = was.distribution(_moments(reference)), now.distribution(_moments(current))
    else:
        pair = _distribution(kind, reference, layout), _distribution(kind, current, layout)
    results = {}
    for name in BUILTIN_DETECTORS:
        detector = create(name)
        if detector.applies_to(pair[0]):
            result = detector.compare(*pair)
            if not math.isnan(result.score):
                results[name] = result
    return results


def _distribution(kind: str, parts: list[Floats], layout: BinLayout) -> Distribution:
    if kind == "bins":
        bins = AnchoredBins.of(layout)
        for part in parts:
            bins.merge(AnchoredBins.of(layout, part))
        return bins.distribution(layout, _moments(parts))
    if kind == "exact":
        counts = ExactCounts()
        for part in parts:
            one = ExactCounts.of(part)
            counts.add(one.values, one.counts)
        return counts.distribution()
    names = CategoryCounts()
    for part in parts:
        found, counted = np.unique(part, return_counts=True)
        seen = CategoryCounts()
        seen.update({str(name): int(count) for name, count in zip(found, counted, strict=True)})
        names.merge(seen)
    return CategoricalDistribution(dict(names.counts), names.other, names.error_bound)


def _histogram(parts: list[Floats]) -> ExponentialHistogram:
    whole = ExponentialHistogram()
    for part in parts:
        whole.merge(ExponentialHistogram.of(part))
    return whole


def _relative(one: DriftResult, other: DriftResult) -> float:
    pairs = ((one.score, other.score), (one.p_value or 0.0, other.p_value or 0.0))
    return max(abs(left - right) / max(abs(left), abs(right), 1e-12) for left, right in pairs)


def _sketches(orders: int) -> Figures:
    """KLL sketches sample, so that replicas change the sample: by no more than their rank error."""
    largest: dict[str, float] = defaultdict(float)
    for seed in range(orders):
        chance = np.random.default_rng(seed)
        reference, current = _rows("bins", chance)
        layout = layout_from_quantiles(np.sort(reference))
        was = _distribution("bins", [reference], layout)
        scores = [create("ks").compare(was, _kll(parts)).score for parts in ([current], _cut(current, chance))]
        largest["ks"] = max(largest["ks"], abs(scores[0] - scores[1]))
    return {"replicas.kll.ks.largest_difference": Figure(largest["ks"], "score", 0.0153, 0)}


def _kll(parts: list[Floats]) -> Distribution:
    whole = QuantileSketch()
    for part in parts:
        sketch = QuantileSketch()
        sketch.update(part)
        whole.merge(sketch)
    return whole.distribution()
