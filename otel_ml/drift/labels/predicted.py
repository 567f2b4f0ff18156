"""How often each known class was predicted in a window, whichever summary counted it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from otel_ml.sketch.distribution import CategoricalDistribution, Distribution, NumericDistribution, just_below
from otel_ml.sketch.sketch import CountArray, FloatArray


class PredictedCounts(NamedTuple):
    """Predictions of a window.

    Attributes:
        counts: (classes,) of each class.
        others: (n,) of any other, one by one as far as they are told apart.
    """

    counts: CountArray
    others: CountArray

    @property
    def unknown(self) -> int:
        """Predictions of other classes."""
        return int(self.others.sum())

    @property
    def total(self) -> int:
        """All of them."""
        return int(self.counts.sum()) + self.unknown


def predicted_counts(predictions: Distribution, classes: Sequence[str]) -> PredictedCounts | None:
    """Predictions by class; None where the window's summary does not tell the classes apart.

    Args:
        predictions: Of the window. Categories go by their names, and numbers by the shortest way to write them. Bins
            will do where each class is the upper edge of one, as in those that a baseline cuts for few values.
        classes: Names of the classes, each once.
    """
    if isinstance(predictions, CategoricalDistribution):
        counts = np.array([predictions.counts.get(name, 0) for name in classes], np.int64)
        known = set(classes)
        others = [count for name, count in predictions.counts.items() if name not in known]
        return PredictedCounts(counts, np.array([*others, predictions.other], np.int64))
    values = _numbers(classes)
    return None if values is None else _of_numbers(predictions, values)


def _of_numbers(predictions: NumericDistribution, values: FloatArray) -> PredictedCounts | None:
    is_known = predictions.is_step or np.isin(values, predictions.points).all()
    # A sample of the predictions, such as a quantile sketch keeps, would look like shift by its own error.
    if not is_known or predictions.rank_error:
        return None
    if not predictions.total:
        return PredictedCounts(np.zeros(len(values), np.int64), np.empty(0, np.int64))
    order = np.argsort(values)
    ascending = values[order]
    up_to = _at_or_below(predictions, ascending)
    below = just_below(ascending)
    # A bin that starts at the class before is all of this class; one that starts right below it leaves out what lies
    # between the two.
    starts = np.isin(below, predictions.points) | (np.arange(len(below)) == 0) | predictions.is_step
    before = np.where(starts, _at_or_below(predictions, below), np.concatenate(([0], up_to[:-1])))
    counts = np.zeros(len(values), np.int64)
    counts[order] = up_to - before
    if predictions.is_step:
        is_other = ~np.isin(predictions.points, values)
        return PredictedCounts(counts, np.diff(predictions.cumulative, prepend=0)[is_other])
    return PredictedCounts(counts, np.array([predictions.total - int(counts.sum())]))


def _at_or_below(predictions: NumericDistribution, values: FloatArray) -> CountArray:
    counts: CountArray = np.rint(predictions.cdf(values) * predictions.total).astype(np.int64)
    return counts


def _numbers(classes: Sequence[str]) -> FloatArray | None:
    """The numbers that the names stand for; None where one stands for none, or two for the same."""
    try:
        values = [float(name) for name in classes]
    except ValueError:
        return None
    if len(set(values)) < len(values) or not all(map(math.isfinite, values)):
        return None
    return np.array(values)
