"""Categories: false alarms of every test, power beside the exact test, and what distances say of clean data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy

from benchmarks.figure import Figure, Figures
from otel_ml.drift import create
from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector
from otel_ml.drift.univariate.over_cells import OverCells
from otel_ml.sketch.bins import AnchoredBins, layout_from_quantiles
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.distribution import CategoricalDistribution, NumericDistribution
from otel_ml.sketch.moments import Moments

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

SIZES = (50, 100, 1_000, 10_000, 100_000, 1_000_000)
DISTINCT = (10, 100, 1_000)
REPLICAS = (1, 32)
LEVEL = 0.05
HIGHEST = 0.07
# So many that the rates of two hundred tests at 5 % are all found below 7 %, where they are.
COLUMNS = 2_500
# Above so many distinct values in a summary, or categories, one takes milliseconds and its rate is far below the level.
COLUMNS_OF_HEAVY_HITTERS = 120
TWO = ("fisher", "proportions")
DISTANCES = ("psi", "kl", "jensen_shannon", "hellinger", "chi_squared", "g_test", "total_variation", "l_infinity")
CLEAN_SIZES = (50, 100, 1_000, 10_000)
CLEAN_COLUMNS = 1_000
POWER_SIZES = ((100, 100), (1_000, 100), (1_000, 1_000), (10_000, 1_000), (10_000, 10_000))
POWER_COLUMNS = 1_000


def measure() -> Figures:
    """False alarms, clean scores and power, of summaries as replicas make them."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    return {**_false_positives(rounds), **_clean_scores(rounds), **_power(rounds)}


def _columns(most: int, rounds: int) -> int:
    return most * rounds or 10


def _names(distinct: int) -> list[str]:
    return [f"category {place}" for place in range(distinct)]


def _zipf(distinct: int) -> Floats:
    shares = 1 / np.arange(1, distinct + 1)
    return cast("Floats", shares / shares.sum())


def _summary(drawn: Counts, names: Sequence[str]) -> CategoricalDistribution:
    """What is left of the rows of some replicas, shape (replicas, categories), after recording and merging."""
    whole = CategoryCounts()
    for row in drawn:
        part = CategoryCounts()
        part.update({names[place]: int(row[place]) for place in np.flatnonzero(row).tolist()})
        whole.merge(part)
    return CategoricalDistribution(whole.counts, whole.other, whole.error_bound)


def _sample(chance: np.random.Generator, shares: Floats, rows: int, replicas: int) -> CategoricalDistribution:
    of_each = np.full(replicas, rows // replicas)
    of_each[: rows % replicas] += 1
    return _summary(chance.multinomial(of_each, shares), _names(len(shares)))


def _alarms(detector: DriftDetector, columns: Columns) -> float:
    p_value = detector.measure(columns).p_value
    assert p_value is not None
    return float(np.mean(p_value < LEVEL))


def _false_positives(rounds: int) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    for distinct in (2, *DISTINCT):
        detectors = [create(name) for name in ("chi_squared", "g_test", *(TWO if distinct == 2 else ()))]
        for rows, times, replicas in _settings():
            chance = np.random.default_rng([distinct, rows, times, replicas])
            is_cut = distinct > 256 and rows * times > 256
            repeats = _columns(COLUMNS_OF_HEAVY_HITTERS if is_cut else COLUMNS, rounds)
            shares = np.array([0.9, 0.1]) if distinct == 2 else _zipf(distinct)
            columns = Columns(
                [
                    (_sample(chance, shares, rows * times, 1), _sample(chance, shares, rows, replicas))
                    for _ in range(repeats)
                ]
            )
            for detector in detectors:
                name = f"false_positives.{detector.name}.categories{distinct}.n{rows}.reference{times}x"
                figures[f"{name}.replicas{replicas}"] = Figure(_alarms(detector, columns), "of columns", HIGHEST, LEVEL)
    return figures


def _settings() -> Iterator[tuple[int, int, int]]:
    for rows in SIZES:
        for times in (1, 10):
            for replicas in REPLICAS:
                yield rows, times, replicas


def _clean_scores(rounds: int) -> dict[str, Figure]:
    """How often clean data pass the threshold of PSI, and how far each distance is from 0 on average."""
    figures: dict[str, Figure] = {}
    repeats = _columns(CLEAN_COLUMNS, rounds)
    # Heavy hitters get the benefit of the doubt: their distances are below what chance makes, their scores are 0.
    bias = {(name, rows): -np.inf for name in DISTANCES for rows in CLEAN_SIZES}
    for kind in ("numbers", 2, *DISTINCT):
        for rows in CLEAN_SIZES:
            for times in (1, 100) if rows == 100 else (1, 10):
                chance = np.random.default_rng([rows, times, 0 if kind == "numbers" else int(kind)])
                columns = _clean_columns(chance, kind, rows * times, rows, repeats)
                for name in DISTANCES:
                    bias[name, rows] = max(bias[name, rows], _bias(cast("OverCells", create(name)), columns))
                if rows == 100:
                    of = kind if kind == "numbers" else f"categories{kind}"
                    figures |= _clean_psi(f"{of}.n{rows}.reference{rows * times}", columns)
    for (name, rows), value in bias.items():
        figures[f"clean_bias.{name}.n{rows}"] = Figure(value, "of the threshold, where it is most", 0.1, 0.0)
    return figures


def _clean_columns(chance: np.random.Generator, kind: str | int, n: int, m: int, repeats: int) -> Columns:
    if isinstance(kind, int):
        shares = _zipf(kind)
        return Columns([(_sample(chance, shares, n, 1), _sample(chance, shares, m, 1)) for _ in range(repeats)])
    pairs = []
    # A reference of a hundred thousand normal values is the same as any other.
    for _ in range(repeats if n <= 10_000 else repeats // 10 or 1):
        reference = np.sort(chance.normal(size=n))
        layout = layout_from_quantiles(reference)

        def binned(values: Floats, layout: object = layout) -> NumericDistribution:
            moments = Moments()
            moments.update(values)
            return AnchoredBins.of(layout, values).distribution(moments=moments)  # type: ignore[arg-type]  # as above

        pairs.append((binned(reference), binned(chance.normal(size=m))))
    return Columns(pairs)


def _bias(detector: OverCells, columns: Columns) -> float:
    """What is left on average of what chance adds, as a share of the threshold, both where chance adds up."""
    cells = columns.cells(detector.bins)
    left = detector.distance(cells, columns.n, columns.m) - detector.by_chance(cells, columns.n, columns.m)
    is_root = not np.isclose(detector.as_score(np.array([0.25]))[0], 0.25)
    threshold = detector.threshold**2 if is_root else detector.threshold
    return float(np.mean(left)) / threshold


def _clean_psi(of: str, columns: Columns) -> dict[str, Figure]:
    corrected = create("psi").measure(columns).score
    plain = create("psi", {"bias_corrected": False}).measure(columns).score
    figures = {}
    for threshold, goal in ((0.2, 0.05), (0.1, None)):
        name = f"clean_psi_above_{threshold}.{of}"
        figures[name] = Figure(float(np.mean(corrected > threshold)), "of columns", goal, 0.0)
        figures[f"{name}.uncorrected"] = Figure(float(np.mean(plain > threshold)), "of columns", None, 0.0)
    return figures


def _power(rounds: int) -> dict[str, Figure]:
    """Power as a share of that of the same statistic on all counts, with its exact critical value.

    Each shift is as strong as Pearson's exact test needs to find it four times in five; a new category has 2 %.
    """
    figures: dict[str, Figure] = {}
    for distinct in (10, 100):
        for n, m in POWER_SIZES:
            chance = np.random.default_rng([distinct, n, m])
            for shift in ("steeper", "moved", "scattered", "new"):
                if shift == "new" and m == 100:
                    # Two values, which may well be chance.
                    continue
                found = _power_of(chance, distinct, n, m, shift, _columns(POWER_COLUMNS, rounds))
                name = f"categories{distinct}.n{m}.reference{n}.{shift}"
                for detector, share in found.items():
                    figures[f"power.{detector}.{name}"] = Figure(share, "of exact", 0.95, 1.0, better="higher")
    return figures


def _power_of(chance: np.random.Generator, distinct: int, n: int, m: int, shift: str, repeats: int) -> dict[str, float]:
    # One category more, which without drift does not come.
    shares = np.append(_zipf(distinct), 0.0)
    clean = chance.multinomial(n, shares, size=2 * repeats), chance.multinomial(m, shares, size=2 * repeats)
    critical = {name: np.quantile(statistic(*clean), 1 - LEVEL) for name, statistic in EXACT.items()}
    strength = 0.02
    if shift != "new":
        low, high = 0.0, 0.99 if shift == "moved" else 3.0
        for _ in range(8):
            strength = (low + high) / 2
            sides = (
                chance.multinomial(n, shares, size=300),
                chance.multinomial(m, _shifted(shares, shift, strength), 300),
            )
            low, high = (
                (low, strength) if np.mean(_pearson(*sides) > critical["chi_squared"]) > 0.8 else (strength, high)
            )
    reference = chance.multinomial(n, shares, size=repeats)
    current = chance.multinomial(m, _shifted(shares, shift, strength), size=repeats)
    names = _names(distinct + 1)
    columns = Columns(
        [
            (_summary(left[np.newaxis], names), _summary(right[np.newaxis], names))
            for left, right in zip(reference, current, strict=True)
        ]
    )
    return {
        name: _alarms(create(name), columns) / max(1e-9, float(np.mean(statistic(reference, current) > critical[name])))
        for name, statistic in EXACT.items()
    }


def _shifted(shares: Floats, shift: str, strength: float) -> Floats:
    shifted = shares.copy()
    if shift == "steeper":
        shifted **= 1 + strength
    elif shift == "moved":
        # From the most frequent category to another.
        moved = strength * shares[0]
        shifted[0] -= moved
        shifted[4] += moved
    elif shift == "scattered":
        shifted *= np.exp(strength * np.random.default_rng(len(shares)).normal(size=len(shares)))
    else:
        shifted *= 1 - strength
        shifted[-1] = strength
    return cast("Floats", shifted / shifted.sum())


def _pearson(reference: Counts, current: Counts) -> Floats:
    """Pearson's statistic of pairs of samples over all categories that either has."""
    n, m = reference.sum(axis=1, keepdims=True), current.sum(axis=1, keepdims=True)
    both = reference + current
    squared = np.square(reference / n - current / m) * (n + m) / np.where(both > 0, both, 1)
    return cast("Floats", squared.sum(axis=1) / (1 / n + 1 / m)[:, 0])


def _likelihood_ratio(reference: Counts, current: Counts) -> Floats:
    """G, likewise."""
    n, m = reference.sum(axis=1, keepdims=True), current.sum(axis=1, keepdims=True)
    both = np.maximum(reference + current, 1)
    terms = xlogy(reference, reference / both * (n + m) / n) + xlogy(current, current / both * (n + m) / m)
    return cast("Floats", 2 * terms.sum(axis=1))


EXACT = {"chi_squared": _pearson, "g_test": _likelihood_ratio}
