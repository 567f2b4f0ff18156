"""The classifier two-sample test: whether rows can be told apart, how sure that is, and by which columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from otel_ml.drift import special
from otel_ml.drift.classifier.pooled_rows import MAX_CODES, PooledRows
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.row_sample import RowSample
from otel_ml.sketch.sketch import CountArray, FloatArray

THRESHOLD: Final = 0.55
"""AUC above which the rows differ enough to matter. A classifier of a few hundred rows finds less than there is: where
two of 25 columns cease to go along, their correlation having been 0.8, it has an AUC of 0.6 of 1,000 rows a side."""

_FOLDS: Final = 8
"""More give classifiers more rows to learn from and more rows to be tried on, and take longer."""
_LEVEL: Final = 0.05
"""p-value above which importances would be those of noise."""
_ARGUMENTS: Final[Mapping[str, object]] = {
    "max_iter": 30,
    "learning_rate": 0.2,
    "max_leaf_nodes": 12,
    "min_samples_leaf": 10,
    "max_bins": MAX_CODES + 1,
    "early_stopping": False,
}


@dataclass(frozen=True, slots=True)
class ClassifierResult:
    """How well rows of a current window can be told from those of a reference.

    Attributes:
        auc: Probability that the classifier takes a row of the window for more likely to be of the window than a row of
            the reference, on rows that it had not seen; 0.5 where it can only guess.
        p_value: Probability of such an AUC, or a higher one, where both samples are drawn from the same rows.
        importances: Share of each column in what the classifier relies on, adding up to 1, largest first; empty where
            chance explains the AUC at 5 %.
        n_reference: Rows of the reference.
        n_current: Rows of the window.
        left_out: Columns that were not looked at, for only one of the samples has them.
        threshold: AUC above which the difference is big enough to matter.
    """

    auc: float
    p_value: float
    importances: Mapping[str, float]
    n_reference: int
    n_current: int
    left_out: tuple[str, ...] = ()
    threshold: float = field(default=THRESHOLD, kw_only=True)

    @property
    def drifted(self) -> bool:
        """Whether the difference is big enough to matter; it says nothing about significance."""
        return self.auc > self.threshold


def classify(
    reference: RowSample, current: RowSample, *, seed: int = 0, threshold: float = THRESHOLD
) -> ClassifierResult:
    """Train a classifier to tell `current` rows from `reference` ones, and see how well it does on others.

    The rows are cut into eight parts, each with its share of both samples. Each part but the first is scored by a
    classifier that was trained on the parts before it, so that, where there is no drift, what it is scored by is
    independent of it, and the rank sums of the parts add up to a valid test. With the usual cross-validation they do
    not: any two parts judge each other, and their agreement is counted twice.

    Sources: Lopez-Paz & Oquab, "Revisiting Classifier Two-Sample Tests" (ICLR 2017); Rabanser, Günnemann & Lipton,
    "Failing Loudly" (NeurIPS 2019), for such classifiers beside other tests; Blum, Kalai & Langford, "Beating the
    Hold-Out" (COLT 1999), for progressive validation; Mann & Whitney (1947) for the rank sum; Breiman, "Random Forests"
    (Machine Learning, 2001), for importances by permutation. The classifier is scikit-learn's histogram-based gradient
    boosting.

    Args:
        reference: Rows of the training data.
        current: Rows of the window.
        seed: What parts rows are put into, and how they are permuted, follows from it.
        threshold: AUC above which the difference is big enough to matter.

    Returns:
        An AUC of 0.5 and a p-value of 1 where there are fewer than 16 rows on a side, or no column is on both.

    Raises:
        ConfigurationError: scikit-learn is not installed.
    """
    require_classifier()
    rows = PooledRows.of(reference, current)
    sizes = (len(reference), len(current))
    if min(sizes) < 2 * _FOLDS or not rows.names:
        return ClassifierResult(0.5, 1.0, {}, *sizes, rows.left_out, threshold=threshold)
    chance = np.random.default_rng(seed)
    with import_module("threadpoolctl").threadpool_limits(1, "openmp"):
        # One thread: on so few rows, several wait for each other longer than they work.
        parts = _scored_parts(rows, _folds(rows.is_current, chance), seed)
        weights = np.array([part.weight for part in parts])
        excess = np.array([part.excess for part in parts])
        z = float(weights @ (excess / [part.deviation for part in parts])) / math.sqrt(float(weights @ weights))
        p_value = float(special.ndtr(-z))
        importances = _importances(rows, parts, chance) if p_value <= _LEVEL else {}
    per_part = weights / [part.deviation for part in parts]
    auc = 0.5 + float(per_part @ excess / per_part.sum())
    return ClassifierResult(auc, p_value, importances, *sizes, rows.left_out, threshold=threshold)


def require_classifier() -> None:
    """Make sure that scikit-learn is there.

    Raises:
        ConfigurationError: It is not; says how to install it.
    """
    try:
        import_module("sklearn.ensemble")
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "sklearn":
            raise ConfigurationError(f"classifier: scikit-learn cannot be imported: {error}") from error
        raise ConfigurationError("classifier: needs scikit-learn: pip install 'otel-ml[classifier]'") from error


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows, and the classifier that was trained on others before them.

    Attributes:
        weight: How much it counts: a classifier that saw more rows finds more.
        excess: Its AUC on these rows, less 0.5.
        deviation: Standard deviation of the AUC by chance.
    """

    rows: CountArray
    model: Any
    weight: float
    excess: float
    deviation: float


def _folds(is_current: npt.NDArray[np.bool_], chance: np.random.Generator) -> CountArray:
    """(rows,) the part each row is put into: in each of both samples as many rows as in any other, or one more."""
    folds = np.empty(len(is_current), np.int64)
    for side in (False, True):
        places = chance.permutation(np.flatnonzero(is_current == side))
        folds[places] = np.arange(len(places)) % _FOLDS
    return folds


def _scored_parts(rows: PooledRows, folds: CountArray, seed: int) -> list[_Part]:
    classifier = import_module("sklearn.ensemble").HistGradientBoostingClassifier
    parts = []
    for fold in range(1, _FOLDS):
        model = classifier(**_ARGUMENTS, categorical_features=rows.is_categorical, random_state=seed)
        seen, held_out = folds < fold, np.flatnonzero(folds == fold)
        model.fit(_trainable(rows.codes[seen]), rows.is_current[seen])
        scores = model.decision_function(rows.codes[held_out])
        auc, deviation = _auc(scores, rows.is_current[held_out])
        parts.append(_Part(held_out, model, float(fold), auc - 0.5, deviation))
    return parts


def _trainable(codes: FloatArray) -> FloatArray:
    """The rows with zeros in columns that have no value at all, in which scikit-learn would look for one."""
    codes[:, np.isnan(codes).all(axis=0)] = 0.0
    return codes


def _auc(scores: FloatArray, is_current: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """The AUC, and its standard deviation by chance given the ties; 1 where all scores are the same."""
    n, m = int(np.count_nonzero(~is_current)), int(np.count_nonzero(is_current))
    # Takes longer to import than all else a service needs to start.
    from scipy.stats import rankdata  # noqa: PLC0415 - see above

    ranks = rankdata(scores)
    auc = (float(ranks[is_current].sum()) - m * (m + 1) / 2) / (n * m)
    ties = np.unique(scores, return_counts=True)[1].astype(np.float64)
    rows = n + m
    variance = (rows + 1 - float((ties**3 - ties).sum()) / (rows * (rows - 1))) / (12 * n * m)
    return auc, math.sqrt(variance) if variance > 1e-12 else 1.0


def _importances(rows: PooledRows, parts: list[_Part], chance: np.random.Generator) -> dict[str, float]:
    """By how much the AUC falls where a column's values are shuffled among the held-out rows."""
    falls = np.zeros(len(rows.names))
    for part in parts:
        codes = rows.codes[part.rows]
        is_current = rows.is_current[part.rows]
        for column in range(len(rows.names)):
            shuffled = codes.copy()
            shuffled[:, column] = chance.permutation(shuffled[:, column])
            auc, _ = _auc(part.model.decision_function(shuffled), is_current)
            falls[column] += part.weight * (part.excess + 0.5 - auc)
    falls = falls.clip(0.0)
    total = float(falls.sum())
    if not total:
        return {}
    order = np.argsort(-falls, kind="stable").tolist()
    return {rows.names[place]: float(falls[place]) / total for place in order}
