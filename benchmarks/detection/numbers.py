"""Numbers: errors of every statistic against raw rows, false alarms of every test, power beside the exact test."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.detection import number_power
from benchmarks.detection.number_power import DETECTORS, LEVEL, repeated
from benchmarks.detection.populations import (
    BLOCK,
    CLEAN,
    FAR,
    POPULATIONS,
    Pair,
    Population,
    exact,
    large_sides,
    rows_of,
    sampled,
    sent_pair,
    small_pair,
)
from benchmarks.figure import Figure, Figures
from otel_ml.drift.columns import Columns

SIZES = (50, 100, 1_000, 10_000, 100_000, 1_000_000)
REPLICAS = (1, 32)
HIGHEST = 0.07
COLUMNS = 600
# Of windows that go into KLL sketches, by their rows; each is compared with five references.
SKETCHES = {1_000: 300, 10_000: 200, 100_000: 80, 1_000_000: 50}
REFERENCES = 5
ERROR_SIZES = {1_000: 10, 10_000: 4, 1_000_000: 1}
HIGHEST_ERROR = 0.02
# Of windows as they are sent without a baseline at the edge, of each kind of data.
SENT = {1_000: 200, 10_000: 100}


def measure() -> Figures:
    """Errors, false alarms and power."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    return {
        **_errors(rounds),
        **_false_positives(rounds),
        **_false_positives_of_sketches(rounds),
        **_false_positives_of_sent(rounds),
        **number_power.measure(rounds),
    }


# Errors -------------------------------------------------------------------------------------------------------------


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
            for _ in range(repeated(most, rounds)):
                reference, current = population.draw(chance, rows), population.draw(chance, rows)
                current = current + _MOVES[population.name]
                pairs = {
                    "raw": (exact(reference), exact(current)),
                    "bins": small_pair("bins", reference, current, 4),
                    "sketches": (exact(reference), sampled(current, 4))
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
    columns = repeated(COLUMNS, rounds)
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
                for beside, pairs in _sketched(population, chance, rows, repeated(windows, rounds), replicas):
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


def _false_positives_of_sent(rounds: int) -> Figures:
    """The rate of windows as they are sent where no baseline is known: a histogram decides, or KLL where it is coarse.

    `sketches_by_kll` are the windows of values far from zero with a few outliers, which only KLL can tell apart.
    """
    figures = {}
    for rows, windows in SENT.items():
        if rounds == 0 and rows > 1_000:
            continue
        for replicas in REPLICAS:
            found: dict[str, list[float]] = defaultdict(list)
            decided = []
            for seed, population in enumerate(POPULATIONS[name] for name in (*CLEAN, FAR)):
                chance = np.random.default_rng([rows, replicas, seed])
                # Kinds that hardly vary from each other share a rate; where KLL decides is a rate of its own.
                count = repeated(windows * (len(CLEAN) if population.name == FAR else 1), rounds)
                pairs = [
                    sent_pair(population.draw(chance, rows), population.draw(chance, rows), replicas)
                    for _ in range(count)
                ]
                kind = "sketches_by_kll" if population.name == FAR else "sketches"
                decided += [pair[1].is_step for pair in pairs] if kind != "sketches" else []
                for name, rate in _rates(pairs).items():
                    found[f"{name}.{kind}"].append(rate)
            for name, rates in found.items():
                figures[f"false_positives.{name}.n{rows}.replicas{replicas}"] = Figure(
                    float(np.mean(rates)), "of tests", HIGHEST, LEVEL
                )
            figures[f"decided_by_kll.{FAR}.n{rows}.replicas{replicas}"] = Figure(
                float(np.mean(decided)), "of windows", None, None
            )
    return figures
