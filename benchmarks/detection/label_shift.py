"""Labels from predictions: how often clean windows are called shifted, whether bounds hold, how near estimates come."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from benchmarks.figure import Figure, Figures
from benchmarks.stopwatch import best_s
from otel_ml.drift.labels import LabelShift, estimate_label_shift
from otel_ml.sketch.confusion import ConfusionCounts
from otel_ml.sketch.distribution import CategoricalDistribution

WINDOWS = 1_000
ACCURACY = 0.8
CLASSES = (2, 10, 64)
# Rows of the baseline and of a window.
SIZES = ((1_000, 200), (20_000, 2_000), (500_000, 500_000))
MOVED = 0.2

Floats = npt.NDArray[np.float64]


def measure() -> Figures:
    """Of a model that is right four times in five, and classes as frequent as their rank says."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    windows = WINDOWS * rounds or 20
    figures: dict[str, Figure] = {}
    for classes in CLASSES:
        rates, labels = _model(classes)
        # A fifth of all labels are of the rarest class now.
        shifted = (1 - MOVED) * labels + MOVED * np.eye(classes)[-1]
        for reference, rows in SIZES:
            name = f"classes{classes}.n{rows}"
            clean = _estimates(rates, labels, labels, (reference, rows), windows)
            found = _estimates(rates, labels, shifted, (reference, rows), windows)
            tested = [shift.p_value for shift in clean if shift.p_value is not None]
            if tested:
                rejected = float(np.mean([p_value <= 0.05 for p_value in tested]))
                figures[f"label_shift.false_positives.{name}"] = Figure(rejected, "at 5 %", 0.07, 0.05)
            figures |= _accuracy(name, [*clean, *found], [labels] * windows + [shifted] * windows)
            power = float(np.mean([shift.p_value is not None and shift.p_value <= 0.05 for shift in found]))
            figures[f"label_shift.power.{name}"] = Figure(power, "of shifted windows", None, 1.0, better="higher")
        window = CategoricalDistribution({str(place): 1_000 for place in range(classes)})
        confusion = _confusion(np.rint(rates * labels * 100_000).astype(np.int64) + 1)
        seconds = best_s(lambda confusion=confusion, window=window: estimate_label_shift(confusion, window))
        figures[f"label_shift.time.classes{classes}"] = Figure(seconds * 1e3, "ms", None, None)
    return figures


def _accuracy(name: str, found: list[LabelShift], true: list[Floats]) -> Figures:
    """Of windows whose labels are estimated at all; those of 64 classes and few rows are refused."""
    errors, within = [], []
    for shift, shares in zip(found, true, strict=True):
        for label, estimate in (shift.labels or {}).items():
            share = shares[int(label)]
            errors.append(abs(estimate.share - share))
            within.append(estimate.lower <= share <= estimate.upper)
    estimated = sum(shift.labels is not None for shift in found) / len(found)
    figures = {f"label_shift.estimated.{name}": Figure(estimated, "of windows", None, 1.0, better="higher")}
    if errors:
        covered = float(np.mean(within))
        figures[f"label_shift.error.{name}"] = Figure(float(np.mean(errors)), "mean of |q - true|", None, 0.0)
        figures[f"label_shift.covered.{name}"] = Figure(covered, "of 95 % bounds", 0.92, 0.95, better="higher")
    return figures


def _model(classes: int) -> tuple[Floats, Floats]:
    """P(prediction | label), with mistakes spread unevenly, and the shares of the labels."""
    chance = np.random.default_rng(classes)
    rates = np.zeros((classes, classes))
    for label in range(classes):
        mistakes = chance.dirichlet(np.ones(classes - 1)) * (1 - ACCURACY)
        rates[:, label] = np.insert(mistakes, label, ACCURACY)
    labels = 1 / np.arange(1, classes + 1)
    return rates, labels / labels.sum()


def _estimates(
    rates: Floats, labels: Floats, shifted: Floats, sizes: tuple[int, int], windows: int
) -> list[LabelShift]:
    chance = np.random.default_rng([len(labels), *sizes, round(1e6 * float(shifted[-1]))])
    predictions = rates @ shifted
    found = []
    for _ in range(windows):
        rows = chance.multinomial(sizes[0], (rates * labels).ravel()).reshape(rates.shape)
        counts = chance.multinomial(sizes[1], predictions / predictions.sum())
        window = CategoricalDistribution({str(place): count for place, count in enumerate(counts.tolist())})
        found.append(estimate_label_shift(_confusion(rows), window))
    return found


def _confusion(rows: npt.NDArray[np.int64]) -> ConfusionCounts:
    places = {str(place): place for place in range(len(rows))}
    confusion = ConfusionCounts.of(places, places, rows)
    assert confusion is not None
    return confusion
