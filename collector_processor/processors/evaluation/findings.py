"""What is found out about a window.

A check is one question about one column, with a magnitude, a threshold, and a p-value corrected for the number of
columns asked the same question. Everything else that is measured is reported, but decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from collector_processor.processors.evaluation.center import Center
from collector_processor.processors.evaluation.shapes import Shape
from collector_processor.processors.references.named import NamedReference
from collector_processor.processors.references.settings import BASELINE
from otel_ml.drift.classifier import ClassifierResult
from otel_ml.drift.detector import DriftResult
from otel_ml.drift.explanation import Attribution, MovedCell
from otel_ml.drift.labels import LabelShift
from otel_ml.drift.quality import DataQuality
from otel_ml.sketch.calls import CallSummary
from otel_ml.sketch.exemplar import Exemplar
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment

DRIFT: Final = "drift"
"""A column is unlike what it should be, and unlike what is usual at this time."""
GRADUAL_DRIFT: Final = "gradual_drift"
"""A column is unlike its baseline over a whole day."""
SLOW_DRIFT: Final = "slow_drift"
"""A column is off in the same direction hour after hour, by less than shows in a window."""
CANARY_DRIFT: Final = "canary_drift"
"""A column of one deployment is unlike that of the stable one at the same time."""
CORRELATION_DRIFT: Final = "correlation_drift"
"""Numeric features do not go together as they should, and not as is usual at this time."""
GRADUAL_CORRELATION_DRIFT: Final = "gradual_correlation_drift"
CANARY_CORRELATION_DRIFT: Final = "canary_correlation_drift"
CLASSIFIER_DRIFT: Final = "classifier_drift"
"""A classifier can tell the rows of a window from those of the training data."""
LABEL_SHIFT: Final = "label_shift"
"""The labels of a window are likely to be others than the baseline's, as its predictions tell."""
COMMON_CHANGE: Final = "common_change"
"""Many features began to drift at once: told as one, beside their own alerts."""
DRIFT_CHECKS: Final = (
    DRIFT,
    GRADUAL_DRIFT,
    SLOW_DRIFT,
    CANARY_DRIFT,
    CORRELATION_DRIFT,
    GRADUAL_CORRELATION_DRIFT,
    CANARY_CORRELATION_DRIFT,
    CLASSIFIER_DRIFT,
)


@dataclass(frozen=True, slots=True)
class Check:
    """One question about one column.

    Attributes:
        name: "drift", "gradual_drift", "slow_drift", "canary_drift", "label_shift", or a kind of bad value such
            as "missing".
        method: The detector, or "increase" of a ratio.
        score: The magnitude.
        is_big: The magnitude is above the threshold, and rests on more than an anecdote.
        n: Values it was measured on.
        ratios: Of a kind of bad value: its share now, and in the baseline.
        q_value: The p-value after Benjamini-Hochberg over all columns with the same check.
        family: How many those were.
        level: q-value below which it counts, given all windows before; None where nobody kept count.
        reference: What it was compared with.
        overruled_by: Other references that find the same usual, so that it is no alarm.
        is_confirmed: A reference that knows the season says the same.
        method_reason: Why the method was chosen; None where it is the configured one.
        note: What else people should know of it.
    """

    name: str
    method: str
    score: float
    threshold: float
    is_big: bool
    p_value: float | None
    n: int
    ratios: tuple[float, float] | None = None
    q_value: float | None = None
    family: int = 0
    level: float | None = None
    reference: str = BASELINE
    overruled_by: tuple[str, ...] = ()
    is_confirmed: bool = False
    method_reason: str | None = None
    note: str = ""

    def breaches(self, alpha: float) -> bool:
        """Whether the effect is big, no accident, and unusual."""
        return self.is_big and self.is_significant(alpha) and not self.overruled_by

    def is_significant(self, alpha: float) -> bool:
        """Whether chance does not explain it; where there is no test, magnitude has to do."""
        return self.q_value is None or self.q_value <= (alpha if self.level is None else self.level)


class Rank(NamedTuple):
    """Where a column stands by how far it moved times how much the model relies on it.

    Attributes:
        place: From 1, which is the one to look at first.
        of: How many there are.
    """

    place: int
    of: int


@dataclass(frozen=True, slots=True)
class FeatureEvaluation:
    """What a window says about one column.

    Attributes:
        n_current: Values that drift was measured on; rows where it was not measured.
        scores: What every detector says that suits the column, against the baseline; empty when there were too few
            values.
        elsewhere: What the deciding detector says against other references, by their names.
        labels: What the labels are likely to be, of the prediction of a model whose baseline knows how it errs.
        moved: The ranges or categories that carry most of the drift, where there is any; of features together, pairs
            whose correlations changed.
        quality: Against the baseline; None where the baseline does not know the column.
        checks: What alerts are about.
        exemplars: Requests that brought extreme, missing and unseen values.
        center: Where its values are; None where they have no mean, or too few are there.
        effect: How far it moved, in standard deviations, where it drifted.
        rank: Among the features that drifted; None where it did not, or alone.
        attribution: Of a prediction that drifted: the features that can account for it.
        shape: What it looks like; only of the whole model.
    """

    key: FeatureKey
    kind: FeatureKind
    counters: Counters
    n_current: int
    scores: Sequence[DriftResult] = ()
    quality: DataQuality | None = None
    checks: Sequence[Check] = ()
    exemplars: Sequence[Exemplar] = ()
    elsewhere: Mapping[str, Sequence[DriftResult]] = field(default_factory=dict)
    moved: Sequence[MovedCell] = ()
    labels: LabelShift | None = None
    center: Center | None = None
    effect: float | None = None
    rank: Rank | None = None
    attribution: Attribution | None = None
    shape: Shape | None = None

    @property
    def subject(self) -> FeatureKey:
        """What its alerts are about: of features together the same one, whichever baseline puts them together."""
        if self.key.role is FeatureRole.JOINT and self.kind is FeatureKind.EMBEDDING:
            return FeatureKey(FeatureRole.JOINT, "correlations")
        return self.key


@dataclass(frozen=True, slots=True)
class WindowEvaluation:
    """What a closed window says.

    Attributes:
        outcome: "evaluated", "insufficient_rows", "no_baseline" or, of models or versions that share an overflow
            series, "overflow"; there are checks only in the first case.
        baseline_id: None without a baseline.
        segment: The slice it is about; None for the whole model.
        producers: How many processes were heard, by the digest of their packages.
        references: What the window was compared with, those without enough data included.
        classification: How well its rows can be told from the training data's; None where that was not asked.
        joint_insufficient: Why features that were sent together were not compared; None where they were.
        revision: How many times the window was evaluated before, with fewer rows.
        is_newest: No later window of the model was evaluated before.
        calls: How the calls of the model, or of a deployment, went; None where nobody said.
    """

    model: ModelKey
    start_unix_nano: int
    end_unix_nano: int
    rows: int
    is_partial: bool
    outcome: str
    baseline_id: str | None = None
    features: Sequence[FeatureEvaluation] = field(default_factory=tuple)
    segment: Segment | None = None
    producers: Mapping[str, int] = field(default_factory=dict)
    references: Sequence[NamedReference] = ()
    classification: ClassifierResult | None = None
    joint_insufficient: str | None = None
    revision: int = 0
    is_newest: bool = True
    calls: CallSummary | None = None

    @property
    def confirmed(self) -> list[FeatureKey]:
        """Columns whose drift a reference that knows the season confirms."""
        return [feature.key for feature in self.features if any(check.is_confirmed for check in feature.checks)]

    def drifted(self, alpha: float) -> tuple[int, int]:
        """How many features drifted, of how many with a drift check."""
        checks = [
            check
            for feature in self.features
            for check in feature.checks
            if check.name == DRIFT and feature.key.role is FeatureRole.FEATURE
        ]
        return sum(check.breaches(alpha) for check in checks), len(checks)

    def drift_share(self, alpha: float) -> float | None:
        """Share of the features with a drift check that drifted; None when no feature had one."""
        drifted, compared = self.drifted(alpha)
        return drifted / compared if compared else None
