"""Which shifts are detected, at which sample size: ours on summaries beside exact tests on raw rows.

The experiment of Rabanser, Günnemann & Lipton, "Failing Loudly: An Empirical Study of Methods for Detecting Dataset
Shift" (2019, arXiv 1810.11953), on scikit-learn's digits. Every round splits them anew: 400 rows train a classifier,
797 are the reference, and windows are drawn from the other 600, as they are or shifted. A method detects a shift when
its p-value, corrected for the number of columns, is at most 5 %. Of each method:

- `ours_ks`, `ours_psi`: the 64 pixels as a server summarises them, in the bins of a baseline; the p-values of one
  detector over all columns, corrected after Bonferroni and after Benjamini and Hochberg.
- `exact_ks`: scipy's Kolmogorov-Smirnov test on the raw rows, corrected after Bonferroni (the paper's univariate test).
- `mmd`: maximum mean discrepancy of the raw rows (Gretton et al., "A Kernel Two-Sample Test", 2012) with a Gaussian
  kernel as wide as the median distance within the reference, tested by permutation (the paper's multivariate test).
- `bbsds_ours_ks`, `bbsds_exact_ks`: the classifier's ten probabilities instead of the pixels (the paper's best method).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import binom, ks_2samp
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from benchmarks.detection.shifts import BRIGHTEST, SHIFTS
from benchmarks.figure import Figure, Figures
from benchmarks.workload import MODEL
from otel_ml import Baseline
from otel_ml.drift import create
from otel_ml.drift.columns import Columns
from otel_ml.drift.comparison import distributions
from otel_ml.drift.false_discovery import benjamini_hochberg
from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.sketch.feature import ModelKey

LEVEL = 0.05
SIZES = (10, 20, 50, 100, 200, 500)
CLEAN_DRAWS, SHIFTED_DRAWS = 50, 20
TRAINED_ON, REFERENCE = 400, 797
PERMUTATIONS = 99
ENOUGH_OF_EXACT = 0.95

# Ours, and what each is to keep up with.
COMPARED = {
    "ours_ks_bonferroni": "exact_ks_bonferroni",
    "ours_ks_bh": "exact_ks_bonferroni",
    "ours_psi_bonferroni": "exact_ks_bonferroni",
    "ours_psi_bh": "exact_ks_bonferroni",
    "bbsds_ours_ks_bonferroni": "bbsds_exact_ks_bonferroni",
}


class Split(NamedTuple):
    """One round's data: images and labels to draw windows from, and everything that knows the reference."""

    images: np.ndarray
    labels: np.ndarray
    classifier: LogisticRegression
    pixels: Reference
    probabilities: Reference
    discrepancy: MeanDiscrepancy


class Reference:
    """Raw rows, for exact tests, and their baseline."""

    def __init__(self, rows: np.ndarray) -> None:
        self._sorted = np.sort(rows, axis=0)
        names = [f"f{index}" for index in range(rows.shape[1])]
        self._baseline = Baseline.build(rows, model=MODEL, features=names)

    def exact_ks(self, rows: np.ndarray) -> float:
        """The smallest p-value of all columns, times their number (Bonferroni).

        All columns have as many values, so that the greatest distance has the smallest p-value: only that is tested.
        """
        distances = [
            np.abs(_shares(reference, at) - _shares(current, at)).max()
            for reference, current in zip(self._sorted.T, np.sort(rows, axis=0).T, strict=True)
            for at in (np.concatenate((reference, current)),)
        ]
        column = int(np.argmax(distances))
        p_value = ks_2samp(self._sorted[:, column], rows[:, column], method="exact").pvalue
        return min(1.0, float(p_value) * rows.shape[1])

    def columns(self, rows: np.ndarray) -> Columns:
        """The rows as a server summarises them, beside their baseline."""
        info = ModelInfo(ModelKey(MODEL))
        accumulator = ModelAccumulator(info.key, baseline=self._baseline, correlations=False)
        accumulator.add([Inference(info, "predict", rows)])
        summaries = [column.summary for column in accumulator.drain().columns]
        pairs = [
            distributions(self._baseline.features[each.key], each, self._baseline.layout(each.key))
            for each in summaries
        ]
        return Columns([pair for pair in pairs if pair is not None])


class MeanDiscrepancy:
    """Maximum mean discrepancy from a reference."""

    def __init__(self, reference: np.ndarray) -> None:
        self._reference = reference
        squared = cdist(reference, reference, "sqeuclidean")
        self._scale = float(np.median(squared[np.triu_indices(len(reference), 1)]))
        self._within = np.exp(-squared / self._scale)

    def p_value(self, rows: np.ndarray, chance: np.random.Generator) -> float:
        """The share of permutations, the rows as they are among them, with at least as high a discrepancy."""
        n, m = len(self._reference), len(rows)
        across = np.exp(-cdist(self._reference, rows, "sqeuclidean") / self._scale)
        among = np.exp(-cdist(rows, rows, "sqeuclidean") / self._scale)
        kernel = np.block([[self._within, across], [across.T, among]])
        weights = np.repeat([1 / n, -1 / m], [n, m])
        weights = np.vstack((weights, chance.permuted(np.tile(weights, (PERMUTATIONS, 1)), axis=1)))
        discrepancies = np.einsum("pi,pi->p", weights @ kernel, weights)
        # As high but for rounding counts as high.
        return float(np.mean(discrepancies >= discrepancies[0] * (1 - 1e-9)))


def measure() -> Figures:
    """Detection rates of all methods, and how ours compare; `OTEL_ML_BENCHMARK_ROUNDS` multiplies the draws."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    clean_draws, shifted_draws = max(1, CLEAN_DRAWS * rounds), max(1, SHIFTED_DRAWS * rounds)
    detected: dict[tuple[str, str, int], list[bool]] = defaultdict(list)
    for draw in range(max(clean_draws, shifted_draws)):
        chance = np.random.default_rng([1810, draw])
        split = _split(chance)
        for shift, images in _windows(split, chance, is_shifted=draw < shifted_draws):
            for size in SIZES:
                for method, p_value in _p_values(split, images[:size], chance).items():
                    detected[shift, method, size].append(p_value <= LEVEL)
    rates = {name: float(np.mean(found)) for name, found in detected.items()}
    return {**_rates(rates, clean_draws), **_summary(rates)}


def _split(chance: np.random.Generator) -> Split:
    images, labels = load_digits(return_X_y=True)
    order = chance.permutation(len(images))
    trained, reference, rest = np.split(order, [TRAINED_ON, TRAINED_ON + REFERENCE])
    classifier = LogisticRegression(max_iter=1000).fit(images[trained] / BRIGHTEST, labels[trained])
    return Split(
        images[rest],
        labels[rest],
        classifier,
        Reference(images[reference]),
        Reference(classifier.predict_proba(images[reference] / BRIGHTEST)),
        MeanDiscrepancy(images[reference]),
    )


def _windows(split: Split, chance: np.random.Generator, *, is_shifted: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Rows that windows of all sizes are the first of; smaller windows are parts of larger ones."""
    yield "clean", split.images
    if is_shifted:
        for name, shift in SHIFTS.items():
            yield name, shift(split.images, split.labels, chance)


def _p_values(split: Split, images: np.ndarray, chance: np.random.Generator) -> dict[str, float]:
    """By method, corrected for the number of columns."""
    pixels = split.pixels.columns(images)
    probabilities = split.classifier.predict_proba(images / BRIGHTEST)
    return {
        **{
            f"ours_{name}_{correction}": p_value
            for name in ("ks", "psi")
            for correction, p_value in _corrected(pixels, name).items()
        },
        "exact_ks_bonferroni": split.pixels.exact_ks(images),
        "mmd": split.discrepancy.p_value(images, chance),
        "bbsds_ours_ks_bonferroni": _corrected(split.probabilities.columns(probabilities), "ks")["bonferroni"],
        "bbsds_exact_ks_bonferroni": split.probabilities.exact_ks(probabilities),
    }


def _corrected(columns: Columns, detector: str) -> dict[str, float]:
    """The smallest p-value of all columns, after each correction."""
    _, p_values = create(detector).measure(columns)
    assert p_values is not None
    q_values = benjamini_hochberg(p_values.tolist())
    return {
        "bonferroni": min(1.0, float(p_values.min()) * len(columns)),
        "bh": min(q_value for q_value in q_values if q_value is not None),
    }


def _rates(rates: dict[tuple[str, str, int], float], clean_draws: int) -> dict[str, Figure]:
    # Of a test at its very level, one rate in a thousand is above.
    chance_allows = float(binom.ppf(0.999, clean_draws, LEVEL)) / clean_draws
    return {
        f"failing_loudly.{shift}.{method}.n{size}": Figure(
            rate,
            "detected",
            goal=chance_allows if shift == "clean" and method in COMPARED else None,
            limit=None,
            better="lower" if shift == "clean" else "higher",
        )
        for (shift, method, size), rate in rates.items()
    }


def _summary(rates: dict[tuple[str, str, int], float]) -> dict[str, Figure]:
    """Of each method the mean over all shifts, and of ours its ratio to that of the exact test."""
    methods = dict.fromkeys(method for _, method, _ in rates)
    means = {
        (method, size): float(np.mean([rates[shift, method, size] for shift in SHIFTS]))
        for method in methods
        for size in SIZES
    }
    figures = {
        f"failing_loudly.all_shifts.{method}.n{size}": Figure(mean, "detected", None, None, better="higher")
        for (method, size), mean in means.items()
    }
    for ours, exact in COMPARED.items():
        for size in SIZES:
            figures[f"failing_loudly.ratio_to_exact.{ours}.n{size}"] = Figure(
                # Where the exact test detects nothing, nothing can be lost.
                means[ours, size] / means[exact, size] if means[exact, size] else 1.0,
                "of exact",
                goal=None,
                limit=None,
                better="higher",
            )
        kept = sum(means[ours, size] for size in SIZES) / sum(means[exact, size] for size in SIZES)
        figures[f"failing_loudly.ratio_to_exact.{ours}"] = Figure(kept, "of exact", ENOUGH_OF_EXACT, None, "higher")
    return figures


def _shares(ordered: np.ndarray, at: np.ndarray) -> np.ndarray:
    return ordered.searchsorted(at, side="right") / len(ordered)
