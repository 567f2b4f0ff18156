"""Taking the predictions of a window apart into what each label contributes."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from otel_ml.drift import special
from otel_ml.sketch.sketch import CountArray, FloatArray

_NOISE: Final = 0.5
"""Smallest singular value, as part of the largest that a matrix of noise has, from which on the bounds hold what they
promise: measured, for 2 to 64 classes and 1 to 10,000 rows of a label."""


class Mixture(NamedTuple):
    """Shares of the labels in a window.

    Attributes:
        shares: (labels,) as solved; they sum to 1, and may be negative.
        deviations: (labels,) their standard deviations.
    """

    shares: FloatArray
    deviations: FloatArray

    def clipped(self) -> FloatArray:
        """(labels,) the shares without negative ones, scaled to sum to 1."""
        positive = np.maximum(self.shares, 0.0)
        shares: FloatArray = positive / positive.sum()
        return shares

    def bounds(self, confidence: float) -> tuple[FloatArray, FloatArray]:
        """(labels,) lower and (labels,) upper bounds of the shares, each for its label alone.

        They stand around what was solved, so that clipping moves none inwards.
        """
        width = float(special.ndtri((1 + confidence) / 2)) * self.deviations
        lower = np.minimum(self.shares - width, self.clipped())
        upper = np.maximum(self.shares + width, self.clipped())
        return np.clip(lower, 0.0, 1.0), np.clip(upper, 0.0, 1.0)

    def distance(self, reference: FloatArray) -> float:
        """Total variation distance from other shares, (labels,), less what chance alone adds."""
        found = np.abs(self.clipped() - reference).sum() / 2
        # The mean of |X| is √(2/π) standard deviations for a normal X.
        by_chance = self.deviations.sum() / math.sqrt(2 * math.pi)
        return math.sqrt(max(0.0, found**2 - by_chance**2))


def solve(confusion: CountArray, predicted: CountArray) -> Mixture | None:
    """The shares of labels that make up the predictions of a window.

    Weighted least squares, where the weight of a prediction is the inverse of its share in the baseline; shares then
    sum to 1 by themselves.

    The baseline tells its labels apart only if no singular value of the confusion matrix, scaled to cᵢⱼ / √(cᵢ cⱼ), is
    lost in noise. Were prediction and label independent, this matrix times √n would be, but for its margins, one of
    standard normal noise, whose largest singular value is at most √(p - 1) + √(l - 1) on average: Vershynin,
    "Introduction to the non-asymptotic analysis of random matrices" (2012), theorem 5.32. Half of that is asked for.

    Args:
        confusion: (predictions, labels) rows of the baseline, with no empty row or column.
        predicted: (predictions,) of the window.

    Returns:
        None where the labels cannot be told apart.
    """
    rows = confusion.astype(np.float64)
    n, m = float(rows.sum()), float(predicted.sum())
    labels, reference = rows.sum(axis=0), rows.sum(axis=1) / n
    if rows.shape[0] < rows.shape[1]:
        return None
    scaled = rows / np.sqrt(np.outer(reference, labels) * n)
    noise = (math.sqrt(rows.shape[0] - 1) + math.sqrt(rows.shape[1] - 1)) / math.sqrt(n)
    if np.linalg.svd(scaled, compute_uv=False)[-1] <= _NOISE * noise:
        return None
    weights = 1 / np.sqrt(reference)
    inverse = np.linalg.pinv(rows / labels * weights[:, None]) * weights
    shares = inverse @ (predicted / m)
    return Mixture(shares, _deviations(inverse, rows, shares, predicted))


def _deviations(inverse: FloatArray, rows: FloatArray, shares: FloatArray, predicted: CountArray) -> FloatArray:
    """Standard deviations of the shares, to first order in the errors of both sides.

    μ = A q, so an error of A weighs as much as one of μ that is q times as large: dq = A⁺ (dμ - dA q). Both are shares
    of multinomial counts. So that what was never seen is not taken for impossible, each prediction of the window varies
    as if it had been made once more, and each label has one more row, with the baseline's predictions.
    """
    n, m = rows.sum(axis=0), float(predicted.sum())
    reference = rows.sum(axis=1) / n.sum()
    of_window = predicted / m
    of_label = (rows + reference[:, None]) / (n + 1)
    variance = (np.diag(of_window + 1 / m) - np.outer(of_window, of_window)) / m
    influence = np.maximum(shares, 0.0) ** 2 / n
    variance += np.diag(of_label @ influence) - (of_label * influence) @ of_label.T
    variances = np.einsum("ij,jk,ik->i", inverse, variance, inverse)
    deviations: FloatArray = np.sqrt(np.maximum(variances, 0.0))
    return deviations
