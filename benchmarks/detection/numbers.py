"""Numbers: errors of every statistic against raw rows, false alarms of every test, power beside the exact test."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy import stats

from benchmarks.detection.populations import (
    BLOCK,
    CLEAN,
    POPULATIONS,
    Floats,
    Pair,
    Population,
    large_sides,
    rows_of,
    sampled,
    small_pair,
)
from benchmarks.figure import Figure, Figures
from otel_ml.drift import create
from otel_ml.drift.columns import Columns
from otel_ml.sketch.bins import AnchoredBins, layout_from_quantiles
from otel_ml.sketch.distribution import NumericDistribution
from otel_ml.sketch.moments import Moments

NAMES = ("ks", "cramer_von_mises", "anderson_darling", "energy", "wasserstein", "welch", "anova", "levene", "psi")
DETECTORS = {name: create(name) for name in NAMES}
SIZES = (50, 100, 1_000, 10_000, 100_000, 1_000_000)
REPLICAS = (1, 32)
LEVEL = 0.05
HIGHEST = 0.07
COLUMNS = 600
# Of windows that go into KLL sketches, by their rows; each is compared with five references.
SKETCHES = {1_000: 300, 10_000: 200, 100_000: 80, 1_000_000: 25}
REFERENCES = 5
ERROR_SIZES = {1_000: 10, 10_000: 4, 1_000_000: 1}
HIGHEST_ERROR = 0.02
POWER_SIZES = (100, 1_000, 10_000)
POWER_COLUMNS = 300


def measure() -> Figures:
    """Errors, false alarms and power."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    return {**_errors(rounds), **_false_positives(rounds), **_false_positives_of_sketches(rounds), **_power(rounds)}


def _repeated(most: int, rounds: int) -> int:
    return most * rounds or 2


# Errors -------------------------------------------------------------------------------------------------------------


def _exact(rows: Floats) -> NumericDistribution:
    points, counts = np.unique(rows, return_counts=True)
    moments = Moments.of(rows)
    return NumericDistribution(
        points, counts.cumsum(), rows.size, moments.minimum, moments.maximum, is_step=True, moments=moments
    )


# A fifth of a deviation, but of counts one, so that they stay counts, and of zeros nothing.
_MOVES = {
    "normal": 0.2,
    "lognormal": 0.43,
    "discrete": 1.0,
    "zero_inflated": 0.0,
    "constant": 1.0,
    "offset_with_outliers": 1.0,
}


def _errors(rounds: int) -> Figures:
    """Mean absolute difference from the score of raw rows, for a window that moved a little."""
    figures = {}
    for population in POPULATIONS.values():
        for rows, most in ERROR_SIZES.items():
            if rounds == 0 and rows > 1_000:
                continue
            errors = defaultdict(list)
            chance = np.random.default_rng(rows)
            for _ in range(_repeated(most, rounds)):
                reference, current = population.draw(chance, rows), population.draw(chance, rows)
                current = current + _MOVES[population.name]
                pairs = {
                    "raw": (_exact(reference), _exact(current)),
                    "bins": small_pair("bins", reference, current, 4),
                    "sketches": (_exact(reference), sampled(current, 4))
                    if population.name == "offset_with_outliers"
                    else small_pair("histogram", reference, current, 4),
                }
                for name, detector in DETECTORS.items():
                    scores = {kind: float(detector.measure(Columns([pair])).score[0]) for kind, pair in pairs.items()}
                    for kind in ("bins", "sketches"):
                        errors[name, kind].append(abs(scores[kind] - scores["raw"]))
            for (name, kind), found in errors.items():
                figures[f"error.{name}.{population.name}.{kind}.n{rows}"] = Figure(
                    float(np.mean(found)), "score", HIGHEST_ERROR, 0.0
                )
    return figures


# False alarms -------------------------------------------------------------------------------------------------------


def _false_positives(rounds: int) -> Figures:
    """The highest rate of p-values below 5 % over kinds of data; baselines are as large, or ten times as large."""
    figures = {}
    for kind in ("bins", "exact", "histogram"):
        for rows in SIZES:
            for replicas in REPLICAS:
                worst: dict[str, float] = defaultdict(float)
                for seed, population in enumerate(POPULATIONS[name] for name in CLEAN):
                    rates: dict[str, list[float]] = defaultdict(list)
                    for times in (times for times in (1, 10) if population.has(kind, rows * times)):
                        chance = np.random.default_rng([rows, replicas, times, seed])
                        pairs = _clean_pairs(population, kind, chance, rows, times, replicas, rounds)
                        for name, rate in _rates(pairs).items():
                            rates[name].append(rate)
                    for name, found in rates.items():
                        worst[name] = max(worst[name], float(np.mean(found)))
                for name, rate in worst.items():
                    figures[f"false_positives.{name}.{kind}.n{rows}.replicas{replicas}"] = Figure(
                        rate, "of tests", HIGHEST, LEVEL
                    )
    return figures


def _clean_pairs(
    population: Population, kind: str, chance: np.random.Generator, rows: int, times: int, replicas: int, rounds: int
) -> list[Pair]:
    columns = _repeated(COLUMNS, rounds)
    if rows >= 10 * BLOCK:
        # Counts add up, by whichever replica: `replicas` shows that nothing else comes of it.
        references = large_sides(population, kind, chance, rows * times, columns)
        return list(zip(references, large_sides(population, kind, chance, rows, columns), strict=True))
    return [
        small_pair(kind, population.draw(chance, rows * times), population.draw(chance, rows), replicas)
        for _ in range(columns)
    ]


def _rates(pairs: Sequence[Pair]) -> dict[str, float]:
    columns = Columns(pairs)
    rates = {}
    for name, detector in DETECTORS.items():
        p_values = detector.measure(columns).p_value
        assert p_values is not None
        rates[name] = float(np.mean(p_values < LEVEL))
    return rates


def _false_positives_of_sketches(rounds: int) -> Figures:
    """The rate over all kinds of data together: windows in KLL sketches, references in bins, or in KLL as well."""
    figures = {}
    for rows, windows in SKETCHES.items():
        if rounds == 0 and rows > 10_000:
            continue
        for replicas in REPLICAS:
            found: dict[str, list[float]] = defaultdict(list)
            for seed, population in enumerate(POPULATIONS[name] for name in CLEAN):
                chance = np.random.default_rng([rows, replicas, seed])
                for beside, pairs in _sketched(population, chance, rows, _repeated(windows, rounds), replicas):
                    for name, rate in _rates(pairs).items():
                        found[f"{name}.{beside}"].append(rate)
            for name, rates in found.items():
                figures[f"false_positives.{name}.n{rows}.replicas{replicas}"] = Figure(
                    float(np.mean(rates)), "of tests", HIGHEST, LEVEL
                )
    return figures


def _sketched(
    population: Population, chance: np.random.Generator, rows: int, windows: int, replicas: int
) -> Iterator[tuple[str, list[Pair]]]:
    sketches = [sampled(rows_of(population, chance, rows), replicas) for _ in range(windows)]
    count = windows * REFERENCES
    references = large_sides(population, "bins", chance, max(rows, 10 * BLOCK), count)
    yield "kll", [(reference, sketches[place % windows]) for place, reference in enumerate(references)]
    yield (
        "kll_both",
        [(sketches[place], sketches[(place + step) % windows]) for step in range(1, 3) for place in range(windows)],
    )


# Power --------------------------------------------------------------------------------------------------------------

# By how much more than the mean has to move for the t-test a test asks for, for normal values; of Levene's, the
# logarithm of the spread.
_STRETCH = {
    "ks": 1.25,
    "cramer_von_mises": 1.06,
    "anderson_darling": 1.02,
    "energy": 1.02,
    "wasserstein": 1.03,
    "welch": 1.0,
    "anova": 1.0,
    "levene": 0.76,
    "psi": 1.4,
}


def _raw_p_value(name: str, reference: Floats, current: Floats) -> float:
    if name == "ks":
        return float(stats.ks_2samp(reference, current, method="asymp").pvalue)
    if name == "cramer_von_mises":
        return float(stats.cramervonmises_2samp(reference, current, method="asymptotic").pvalue)
    if name == "anderson_darling":
        return float(stats.anderson_ksamp([reference, current]).pvalue)
    if name == "welch":
        return float(stats.ttest_ind(reference, current, equal_var=False).pvalue)
    if name == "anova":
        return float(stats.f_oneway(reference, current).pvalue)
    if name == "levene":
        return float(stats.levene(reference, current, center="median").pvalue)
    # SciPy has no such test: ours, with every row known.
    p_values = DETECTORS[name].measure(Columns([(_exact(reference), _exact(current))])).p_value
    assert p_values is not None
    return float(p_values[0])


def _power(rounds: int) -> Figures:
    """The share of the drift found on raw rows, at 5 %, that summaries find; where rows find half, and 80 %."""
    figures = {}
    for rows in POWER_SIZES:
        if rounds == 0 and rows > 100:
            continue
        columns = _repeated(POWER_COLUMNS if rows < 10_000 else POWER_COLUMNS // 4, rounds)
        kinds: dict[str, Callable[[Floats, Floats], Pair]] = {
            "bins": lambda reference, current: small_pair("bins", reference, current),
            "histogram": lambda reference, current: small_pair("histogram", reference, current),
            "kll": _against_sketch,
        }
        for aim, quantile in ((50, 0.0), (80, 0.8416)):
            chance = np.random.default_rng([rows, aim])
            for name in NAMES:
                step = (1.96 + quantile) * np.sqrt(2 / rows) * _STRETCH[name]
                draws = []
                for _ in range(columns):
                    reference, current = chance.normal(size=(2, rows))
                    draws.append((reference, current * np.exp(step) if name == "levene" else current + step))
                with warnings.catch_warnings():
                    # Of p-values beyond the table that it interpolates in.
                    warnings.simplefilter("ignore")
                    on_rows = np.mean([_raw_p_value(name, *pair) < LEVEL for pair in draws])
                figures[f"power.{name}.rows.n{rows}.power{aim}"] = Figure(
                    float(on_rows), "of drift", None, None, better="higher"
                )
                for kind, summed_up in kinds.items():
                    p_values = DETECTORS[name].measure(Columns([summed_up(*pair) for pair in draws])).p_value
                    assert p_values is not None
                    figures[f"power.{name}.{kind}.n{rows}.power{aim}"] = Figure(
                        float(np.mean(p_values < LEVEL) / max(on_rows, 1 / columns)),
                        "of rows'",
                        0.95,
                        1.0,
                        better="higher",
                    )
    return figures


def _against_sketch(reference: Floats, current: Floats) -> Pair:
    layout = layout_from_quantiles(np.sort(reference))
    return AnchoredBins.of(layout, reference).distribution(layout, Moments.of(reference)), sampled(current)
