"""Label shift from predictions alone: black-box shift estimation.

Labels arrive late or never, predictions at once. Where the distribution of the labels changes, q instead of p, but not
what each label looks like to the model, the shares of the predictions are a mixture, μ = A q. The baseline knows the
columns of A = P(ŷ | y): its confusion matrix. Solving for q gives the labels of the window, and the importance weights
w = q / p with which a model can be retrained or its metrics be corrected.

Source: Lipton, Wang & Smola, "Detecting and Correcting for Label Shift with Black Box Predictors" (ICML 2018).

That the looks of each label stay the same is an assumption, and nothing in the predictions can confirm it: if a feature
broke, the predictions move as well, and the labels found are those that would explain it. Read the estimate beside the
drift of the features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from otel_ml.drift.labels.homogeneity import same_shares_p_value
from otel_ml.drift.labels.mixture import Mixture, solve
from otel_ml.drift.labels.predicted import PredictedCounts, predicted_counts
from otel_ml.sketch.confusion import ConfusionCounts
from otel_ml.sketch.distribution import Distribution
from otel_ml.sketch.sketch import FloatArray

MINIMUM_ROWS: Final = 50
"""Predictions of a window from which on its labels are estimated."""
_ROUNDING: Final = 1e-9
_UNKNOWN_SHARE: Final = 0.01
"""Of the predictions; beyond, their labels are what the window is about, and the baseline says nothing of them."""


class Obstacle(Enum):
    """Why the labels of a window are not estimated."""

    TOO_FEW_ROWS = "too_few_rows"
    """Fewer than 50 predictions."""
    ONE_CLASS = "one_class"
    """The baseline has a single label, or a single prediction."""
    SINGULAR = "singular"
    """The baseline's predictions do not tell its labels apart, at the number of rows it has."""
    UNKNOWN_PREDICTIONS = "unknown_predictions"
    """More than 1 % of the predictions are of classes that the baseline has not."""
    UNREADABLE_PREDICTIONS = "unreadable_predictions"
    """The window's summary does not count the baseline's classes one by one."""


@dataclass(frozen=True, slots=True)
class LabelShare:
    """One label in a window.

    Attributes:
        reference: Its share in the baseline, p.
        share: Its estimated share, q.
        lower: Lower confidence bound of the share.
        upper: Upper confidence bound of the share.
    """

    reference: float
    share: float
    lower: float
    upper: float

    @property
    def weight(self) -> float:
        """How much more often the label occurs than in the baseline: w = q / p."""
        return self.share / self.reference

    @property
    def weight_bounds(self) -> tuple[float, float]:
        """Confidence bounds of the weight; the baseline's own share is taken as given."""
        return self.lower / self.reference, self.upper / self.reference


@dataclass(frozen=True, slots=True)
class LabelShift:
    """What the predictions of a window say of its labels.

    Attributes:
        labels: By label, in the order of the baseline; None where there is an obstacle.
        score: Total variation distance between the labels of the window and of the baseline, from 0 to 1, less what
            chance alone adds; None where there is an obstacle.
        p_value: The probability that the predictions differ from the baseline's as much, or more, without shift; None
            where there are too few for a test.
        clipped: Whether a share came out negative, which says that the labels alone do not explain the predictions or
            that there are few of them. It was set to 0, and the others scaled to sum to 1.
        obstacle: What keeps the labels from being estimated.
        n_reference: Rows of the baseline with a prediction and a label.
        n_current: Predictions of the window.
        unknown: How many of these are of classes that the baseline has not; they are left out of the estimate.
    """

    labels: Mapping[str, LabelShare] | None
    score: float | None
    p_value: float | None
    clipped: bool
    obstacle: Obstacle | None
    n_reference: int
    n_current: int
    unknown: int


def estimate_label_shift(
    confusion: ConfusionCounts, predictions: Distribution, *, confidence: float = 0.95, minimum_rows: int = MINIMUM_ROWS
) -> LabelShift:
    """The labels of a window, with bounds, and a test of whether they shifted at all.

    The shares are q = A⁺ μ, exact where there are as many predictions as labels, weighted least squares where there are
    more. The bounds follow from the multinomial variances of both the window and the baseline (delta method); each is
    for its label alone. The test is Pearson's, of the same shares of predictions in both: under the assumption above,
    and where the confusion matrix can be inverted, these are equal exactly when the labels are (Lipton et al., on
    detection). It also answers where an obstacle keeps the labels from being estimated.

    Args:
        confusion: Of the baseline, from rows that the model was not fitted to.
        predictions: Of the window, for the same output.
        confidence: Of the bounds.
        minimum_rows: Predictions below which nothing is estimated.
    """
    found = predicted_counts(predictions, confusion.predictions)
    solved: Mixture | Obstacle = Obstacle.UNREADABLE_PREDICTIONS
    p_value = None
    if found is not None:
        solved = _solved(confusion, found, minimum_rows)
        # Classes new to the window are tested one by one: all of them together would be a class that was chosen because
        # the baseline has none of it.
        known = np.append(confusion.counts.sum(axis=1), np.zeros_like(found.others))
        p_value = same_shares_p_value(known, np.append(found.counts, found.others))
    reference = confusion.counts.sum(axis=0) / confusion.count
    return LabelShift(
        labels=_labels(confusion.labels, reference, solved, confidence) if isinstance(solved, Mixture) else None,
        score=solved.distance(reference) if isinstance(solved, Mixture) else None,
        p_value=p_value,
        clipped=isinstance(solved, Mixture) and bool((solved.shares < -_ROUNDING).any()),
        obstacle=solved if isinstance(solved, Obstacle) else None,
        n_reference=confusion.count,
        n_current=predictions.total,
        unknown=0 if found is None else found.unknown,
    )


def _solved(confusion: ConfusionCounts, found: PredictedCounts, minimum_rows: int) -> Mixture | Obstacle:
    if found.total < max(1, minimum_rows):
        return Obstacle.TOO_FEW_ROWS
    if found.unknown > _UNKNOWN_SHARE * found.total:
        return Obstacle.UNKNOWN_PREDICTIONS
    if min(confusion.counts.shape) < 2:
        return Obstacle.ONE_CLASS
    mixture = solve(confusion.counts, found.counts)
    return Obstacle.SINGULAR if mixture is None else mixture


def _labels(names: Sequence[str], reference: FloatArray, mixture: Mixture, confidence: float) -> dict[str, LabelShare]:
    lower, upper = mixture.bounds(confidence)
    columns = (reference.tolist(), mixture.clipped().tolist(), lower.tolist(), upper.tolist())
    return {name: LabelShare(*values) for name, *values in zip(names, *columns, strict=True)}
