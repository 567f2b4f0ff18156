"""What a closed window says about its model: data quality, and drift against the baseline.

A check is one question about one column, with a magnitude, a threshold, and a p-value corrected for the number of
columns asked the same question. Everything else that is measured is reported, but decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from pydantic import Field

from collector_processor.processors.reference import References
from collector_processor.processors.windows import Window
from collector_processor.settings import Settings
from otel_ml.baseline import Baseline
from otel_ml.drift.comparison import distributions
from otel_ml.drift.detector import DriftDetector, DriftResult
from otel_ml.drift.false_discovery import benjamini_hochberg
from otel_ml.drift.quality import DataQuality, QualityRatio, data_quality
from otel_ml.sketch.exemplar import Exemplar, merged_exemplars
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment
from otel_ml.sketch.summary import FeatureSummary, OpaqueSummary

DRIFT: Final = "drift"


class DecisionSettings(Settings):
    """The detector that decides about drift, by kind of column; the others are reported."""

    numeric: str = "psi"
    categorical: str = "psi"
    boolean: str = "psi"

    def detector(self, kind: FeatureKind) -> str | None:
        """The name of the deciding detector; None for kinds that are not compared."""
        decided: str | None = getattr(self, kind.value, None)
        return decided


class QualitySettings(Settings):
    """By how much a ratio may exceed the baseline's own."""

    missing: float = Field(default=0.05, gt=0, lt=1)
    type_mismatch: float = Field(default=0.01, gt=0, lt=1)
    infinite: float = Field(default=0.01, gt=0, lt=1)
    out_of_range: float = Field(default=0.01, gt=0, lt=1)
    unseen_category: float = Field(default=0.01, gt=0, lt=1)


QUALITY_CHECKS: Final = tuple(QualitySettings.model_fields)


@dataclass(frozen=True, slots=True)
class Check:
    """One question about one column.

    Attributes:
        name: "drift", or a kind of bad value such as "missing".
        method: The detector, or "increase" of a ratio.
        score: The magnitude.
        is_big: The magnitude is above the threshold, and rests on more than an anecdote.
        n: Values it was measured on.
        ratios: Of a kind of bad value: its share now, and in the baseline.
        q_value: The p-value after Benjamini-Hochberg over all columns with the same check.
        family: How many those were.
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

    def is_significant(self, alpha: float) -> bool:
        """Whether chance does not explain it; where there is no test, magnitude has to do."""
        return self.q_value is None or self.q_value < alpha


@dataclass(frozen=True, slots=True)
class FeatureEvaluation:
    """What a window says about one column.

    Attributes:
        n_current: Values that drift was measured on; rows where it was not measured.
        scores: What every detector says that suits the column; empty when there were too few values.
        quality: Against the baseline; None where the baseline does not know the column.
        checks: What alerts are about.
        exemplars: Requests that brought extreme, missing and unseen values.
    """

    key: FeatureKey
    kind: FeatureKind
    counters: Counters
    n_current: int
    scores: Sequence[DriftResult] = ()
    quality: DataQuality | None = None
    checks: Sequence[Check] = ()
    exemplars: Sequence[Exemplar] = ()


@dataclass(frozen=True, slots=True)
class WindowEvaluation:
    """What a closed window says.

    Attributes:
        outcome: "evaluated", "insufficient_rows" or "no_baseline"; there are checks only in the first case.
        baseline_id: None without a baseline.
        segment: The slice it is about; None for the whole model.
        producers: How many processes were heard, by the digest of their packages.
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

    def drift_share(self, alpha: float) -> float | None:
        """Share of the features with a drift check that drifted; None when no feature had one."""
        checks = [
            check
            for feature in self.features
            for check in feature.checks
            if check.name == DRIFT and feature.key.role is FeatureRole.FEATURE
        ]
        if not checks:
            return None
        return sum(check.is_big and check.is_significant(alpha) for check in checks) / len(checks)


class Evaluator:
    """Evaluates windows against baselines.

    Args:
        detectors: By name; each that suits a column is run.
        decide_by: Whose verdict counts.
        min_rows: Values below which nothing is concluded.
    """

    def __init__(
        self,
        references: References,
        detectors: Mapping[str, DriftDetector],
        decide_by: DecisionSettings,
        quality: QualitySettings,
        min_rows: int,
    ) -> None:
        self._references = references
        self._detectors = detectors
        self._decide_by = decide_by
        self._thresholds: dict[str, float] = quality.model_dump()
        self._min_rows = min_rows

    def evaluate(self, window: Window) -> WindowEvaluation:
        """What the window says; the window is not used by anyone else any more."""
        baseline = self._references.find(window.model)
        summaries = _one_summary_a_column(window, baseline)
        if baseline is None:
            outcome = "no_baseline"
            features = [_unreferenced(summary) for summary in summaries]
        elif window.rows < self._min_rows:
            outcome = "insufficient_rows"
            features = [self._measure_quality(summary, baseline) for summary in summaries]
        else:
            outcome = "evaluated"
            features = _corrected(
                [self._evaluate(summary, baseline, decides=window.segment is None) for summary in summaries]
            )
        return WindowEvaluation(
            window.model,
            window.start_unix_nano,
            window.end_unix_nano,
            window.rows,
            window.is_partial,
            outcome,
            baseline.id if baseline else None,
            features,
            window.segment,
            {digest: len(heard) for digest, heard in window.producers.items()},
        )

    def _measure_quality(self, summary: FeatureSummary, baseline: Baseline) -> FeatureEvaluation:
        reference = baseline.features.get(summary.key)
        if reference is None:
            return _unreferenced(summary)
        quality = data_quality(reference, summary, baseline.layout(summary.key))
        return replace(_unreferenced(summary), quality=quality)

    def _evaluate(self, summary: FeatureSummary, baseline: Baseline, *, decides: bool) -> FeatureEvaluation:
        """Measure a column; drift `decides` about alerts for the whole only.

        A segment differs from the whole that the baseline is of, and always has: its drift is measured, so that it can
        be seen to change, but is no alarm.
        """
        measured = self._measure_quality(summary, baseline)
        reference = baseline.features.get(summary.key)
        if reference is None or measured.quality is None:
            return measured
        checks = self._quality_checks(measured.quality)
        scores: list[DriftResult] = []
        n_current = measured.n_current
        pair = distributions(reference, summary, baseline.layout(summary.key))
        if pair is not None and pair[1].total >= self._min_rows:
            was, now = pair
            n_current = now.total
            scores = [
                detector.compare(was, now)
                for detector in self._detectors.values()
                if detector.applies_to(was) and detector.applies_to(now)
            ]
            decided = self._decide_by.detector(reference.kind) if decides else None
            checks += [_drift_check(result) for result in scores if result.method == decided]
        return replace(measured, n_current=n_current, scores=scores, checks=checks)

    def _quality_checks(self, quality: DataQuality) -> list[Check]:
        checks = []
        for name in QUALITY_CHECKS:
            ratio: QualityRatio | None = getattr(quality, name)
            if ratio is not None and ratio.total >= self._min_rows:
                threshold = self._thresholds[name]
                is_big = ratio.is_degraded(threshold)
                ratios = (ratio.ratio, ratio.reference_ratio)
                check = Check(name, "increase", ratio.increase, threshold, is_big, ratio.p_value, ratio.total, ratios)
                checks.append(check)
        return checks


def _drift_check(result: DriftResult) -> Check:
    score, threshold, p_value = result.score, result.threshold, result.p_value
    return Check(DRIFT, result.method, score, threshold, result.drifted, p_value, result.n_current)


def _corrected(features: Sequence[FeatureEvaluation]) -> list[FeatureEvaluation]:
    """The same, with q-values: one family for each check."""
    corrected = [list(feature.checks) for feature in features]
    for name in (DRIFT, *QUALITY_CHECKS):
        family = [
            (position, place)
            for position, checks in enumerate(corrected)
            for place, check in enumerate(checks)
            if check.name == name
        ]
        q_values = benjamini_hochberg([corrected[position][place].p_value for position, place in family])
        tested = sum(q_value is not None for q_value in q_values)
        for (position, place), q_value in zip(family, q_values, strict=True):
            corrected[position][place] = replace(corrected[position][place], q_value=q_value, family=tested)
    return [replace(feature, checks=checks) for feature, checks in zip(features, corrected, strict=True)]


def _unreferenced(summary: FeatureSummary) -> FeatureEvaluation:
    return FeatureEvaluation(
        summary.key, summary.kind, summary.counters, summary.counters.rows, exemplars=summary.exemplars
    )


def _one_summary_a_column(window: Window, baseline: Baseline | None) -> list[FeatureSummary]:
    """For each column one summary of the baseline's kind; what was read as another kind counts as mismatched."""
    by_key: dict[FeatureKey, list[FeatureSummary]] = {}
    for (key, _), part in window.parts.items():
        by_key.setdefault(key, []).append(part)
    summaries = [_joined(parts, baseline.kind(key) if baseline else None) for key, parts in by_key.items()]
    if baseline is not None and any(key.role is FeatureRole.FEATURE for key in by_key):
        # A column that nobody sends any more is missing from every row.
        summaries += [
            FeatureSummary(key, OpaqueSummary(), Counters(rows=window.rows, missing=window.rows))
            for key in baseline.features
            if key.role is FeatureRole.FEATURE and key not in by_key
        ]
    return sorted(summaries, key=lambda summary: (summary.key.role.value, summary.key.name))


def _joined(parts: Sequence[FeatureSummary], expected: FeatureKind | None) -> FeatureSummary:
    main = max(parts, key=lambda part: (part.kind is expected, part.counters.rows, part.kind.value))
    counters = replace(main.counters)
    for part in parts:
        if part is not main:
            rows, missing = part.counters.rows, part.counters.missing
            counters.merge(Counters(rows=rows, missing=missing, mismatched=rows - missing))
    return FeatureSummary(main.key, main.content, counters, merged_exemplars(*(part.exemplars for part in parts)))
