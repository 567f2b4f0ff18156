"""What a closed window says about its model: data quality, and drift against the baseline and other references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from collector_processor.processors.columns import columns_of
from collector_processor.processors.evaluation.causes import with_causes
from collector_processor.processors.evaluation.center import center_of
from collector_processor.processors.evaluation.correction import Correction
from collector_processor.processors.evaluation.deciding import Decider, Deciding
from collector_processor.processors.evaluation.drift_checks import Rule, drift_checks
from collector_processor.processors.evaluation.findings import (
    DRIFT_CHECKS,
    GRADUAL_DRIFT,
    LABEL_SHIFT,
    Check,
    FeatureEvaluation,
    WindowEvaluation,
)
from collector_processor.processors.evaluation.joint import (
    add_joint_results,
    is_comparable,
    renamed,
    why_not,
    with_pairs,
)
from collector_processor.processors.evaluation.measurement import (
    BlockReferences,
    Measurement,
    add_content_results,
    measure,
    measure_pairs,
)
from collector_processor.processors.evaluation.settings import QUALITY_CHECKS, DecisionSettings, QualitySettings
from collector_processor.processors.evaluation.shapes import Shape, Shapes, shape_alone
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.named import NamedReference
from collector_processor.processors.references.settings import BASELINE, STABLE
from collector_processor.processors.windows import Window
from collector_processor.processors.windows.overflow import OVERFLOW_PART, is_mixed
from otel_ml.baseline import Baseline
from otel_ml.drift.detector import DriftDetector
from otel_ml.drift.explanation import MovedCell, moved_cells
from otel_ml.drift.labels import LabelShift, estimate_label_shift
from otel_ml.drift.quality import DataQuality, QualityRatio, data_quality
from otel_ml.drift.text import METHODS as TEXT_METHODS
from otel_ml.drift.text import moved_text
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.summary import FeatureSummary, TextSummary

LABEL_THRESHOLD: Final = 0.1
"""Share of the rows that have another label than in the baseline, from which on that matters."""


class Evaluator:
    """Evaluates windows against their references.

    Args:
        detectors: By name; each that suits a column is run against the baseline.
        decide_by: Whose verdict counts; against other references only this one is run.
        min_rows: Values below which nothing is concluded.
        rule: When a difference counts.
        deployments: Dimension of the segments that are deployments of a model.

    Attributes:
        correction: What was used up of it.
        deciding: What was chosen for each column.
    """

    def __init__(
        self,
        references: References,
        detectors: Mapping[str, DriftDetector],
        decide_by: DecisionSettings,
        quality: QualitySettings,
        min_rows: int,
        rule: Rule,
        *,
        deployments: str | None = None,
    ) -> None:
        self._references = references
        self._deployments = deployments
        self._detectors = detectors
        self._blocks: dict[str, BlockReferences] = {}
        self.deciding = Deciding(decide_by, detectors)
        self._thresholds: dict[str, float] = quality.model_dump()
        self._min_rows = min_rows
        self._rule = rule
        self.correction = Correction(rule.alpha, rule.horizon)
        self._shapes = Shapes()

    def evaluate(
        self, window: Window, references: Sequence[NamedReference] = (), rollup: Window | None = None
    ) -> WindowEvaluation:
        """What the window says; it must not change meanwhile. A revision uses nothing up that is counted by windows.

        Args:
            references: What it is compared with beside its baseline, some perhaps without enough data.
            rollup: The merged window that ends with this one, to judge gradual drift on.
        """
        # What different versions have in common is the name: none of them is to be measured by another's baseline.
        baseline = None if is_mixed(window.model) else self._references.find(window.model)
        summaries = _summaries(window, baseline)
        others = [reference for reference in references if reference.name != BASELINE]
        has_reference = baseline is not None or any(reference.insufficient is None for reference in others)
        if not has_reference:
            outcome = "overflow" if is_mixed(window.model) else "no_baseline"
            features = [_unreferenced(summary) for summary in summaries]
            if window.segment is None:
                shapes = map(shape_alone, summaries)
                features = [replace(feature, shape=shape) for feature, shape in zip(features, shapes, strict=True)]
        elif window.rows < self._min_rows:
            outcome = "insufficient_rows"
            features = [self._measure_quality(summary, baseline) for summary in summaries]
        else:
            outcome = "evaluated"
            features = self._evaluated(window, summaries, baseline, others, rollup)
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
            references,
            joint_insufficient=why_not(window, baseline, self._min_rows),
            revision=window.revision,
            is_newest=window.is_newest,
            calls=window.calls,
        )

    def forget_others(self, baseline_ids: Iterable[str]) -> None:
        """Let go of what was made ready of all other baselines."""
        known = set(baseline_ids)
        self._blocks = {name: blocks for name, blocks in self._blocks.items() if name in known}

    def _evaluated(
        self,
        window: Window,
        summaries: Sequence[FeatureSummary],
        baseline: Baseline | None,
        others: Sequence[NamedReference],
        rollup: Window | None,
    ) -> list[FeatureEvaluation]:
        measured = self._measure_drift(window, summaries, baseline, self._detectors)
        by_reference: dict[str, Mapping[FeatureKey, Measurement] | None] = {BASELINE: measured if baseline else None}
        is_new = window.segment is None and not window.revision
        deciders = self.deciding.deciders(window.model, summaries, baseline, measured, is_whole=is_new)
        for reference in others:
            methods = {key: decider.method for key, decider in deciders.items()}
            by_reference[reference.name] = self._measure_against(reference, summaries, methods, baseline)
        # A segment differs from the whole that the baseline is of, and always has: its drift is measured, so that it
        # can be seen to change, but is no alarm. Two deployments in the same minutes should not differ.
        compared = by_reference if window.segment is None else {STABLE: by_reference.get(STABLE)}
        checks = drift_checks(compared, deciders, self._rule)
        if window.segment is None and rollup is not None and baseline is not None:
            self._add_gradual_drift(checks, rollup, baseline, deciders)
        # What a deployment's values lack, those of the whole lack as well, and there it is told.
        is_deployment = window.segment is not None and window.segment.dimension == self._deployments
        evaluated = []
        for summary in summaries:
            feature = self._measure_quality(summary, baseline)
            found = [] if feature.quality is None or is_deployment else self._quality_checks(feature.quality)
            measurement = measured.get(summary.key)
            if measurement is not None:
                feature = replace(feature, n_current=measurement.n_current, scores=measurement.results)
            elsewhere = {
                name: measurements[summary.key].results
                for name, measurements in by_reference.items()
                if name != BASELINE and measurements is not None and summary.key in measurements
            }
            center = center_of(summary, baseline.features.get(summary.key) if baseline is not None else None)
            labels = self._labels(summary.key, measurement, baseline)
            if labels is not None and labels.score is not None and window.segment is None:
                found.append(_label_check(labels, labels.score))
            found += renamed(summary.key, checks.get(summary.key, ()))
            shape = self._shape(window, summary, measurement, baseline)
            evaluated.append(
                replace(feature, elsewhere=elsewhere, labels=labels, checks=found, center=center, shape=shape)
            )
        is_revision = window.revision > 0
        corrected = self.correction.corrected(window.model, window.segment, evaluated, is_revision=is_revision)
        explained = [self._explained(feature, by_reference) for feature in corrected]
        importances = {} if baseline is None else baseline.importances
        return with_causes(explained, by_reference, importances, self._rule.alpha)

    def _measure_drift(
        self,
        window: Window,
        summaries: Sequence[FeatureSummary],
        baseline: Baseline | None,
        detectors: Mapping[str, DriftDetector],
    ) -> dict[FeatureKey, Measurement]:
        if baseline is None:
            return {}
        blocks = self._blocks.get(baseline.id)
        if blocks is None:
            blocks = self._blocks[baseline.id] = BlockReferences(baseline)
        measured = measure(window, summaries, baseline, blocks, list(detectors.values()), self._min_rows)
        add_content_results(measured, summaries, baseline.features, self._min_rows)
        add_joint_results(measured, summaries, baseline.joint, None, self._min_rows)
        return measured

    def _measure_against(
        self,
        reference: NamedReference,
        summaries: Sequence[FeatureSummary],
        deciders: Mapping[FeatureKey, str],
        baseline: Baseline | None,
    ) -> dict[FeatureKey, Measurement] | None:
        """What the deciding methods say against another reference than the baseline; None where it has too few data."""
        if reference.insufficient is not None:
            return None
        on_pairs = {key: self._detectors[name] for key, name in deciders.items() if name in self._detectors}
        on_contents = {key: name for key, name in deciders.items() if name not in self._detectors}
        measured = measure_pairs(summaries, reference.pair, on_pairs, self._min_rows)
        add_content_results(measured, summaries, reference.columns, self._min_rows, on_contents)
        joint = None if baseline is None else baseline.joint
        add_joint_results(measured, summaries, joint, reference.columns, self._min_rows, on_contents)
        return measured

    def _labels(self, key: FeatureKey, measurement: Measurement | None, baseline: Baseline | None) -> LabelShift | None:
        """What the labels are likely to be, where the baseline knows how its only prediction errs."""
        if (
            baseline is None
            or baseline.confusion is None
            or measurement is None
            or measurement.pair is None
            or key.role is not FeatureRole.PREDICTION
        ):
            return None
        return estimate_label_shift(baseline.confusion, measurement.pair()[1])

    def _shape(
        self, window: Window, summary: FeatureSummary, measurement: Measurement | None, baseline: Baseline | None
    ) -> Shape | None:
        if window.segment is not None:
            return None
        if baseline is None or summary.key not in baseline.features:
            return shape_alone(summary)
        if measurement is None or measurement.pair is None:
            return None
        return self._shapes.of(baseline.id, summary.key, measurement.pair())

    def _add_gradual_drift(
        self,
        checks: dict[FeatureKey, list[Check]],
        rollup: Window,
        baseline: Baseline,
        deciders: Mapping[FeatureKey, Decider],
    ) -> None:
        """What adds up over many windows, where each alone is as usual for its time."""
        methods = {decider.method for decider in deciders.values()}
        detectors = {name: detector for name, detector in self._detectors.items() if name in methods}
        measured = self._measure_drift(rollup, _summaries(rollup, baseline), baseline, detectors)
        for key, (check, *_) in drift_checks({BASELINE: measured}, deciders, self._rule).items():
            threshold = deciders[key].threshold(check.threshold, self._rule.rollup_threshold)
            gradual = replace(check, name=GRADUAL_DRIFT, threshold=threshold, is_big=check.score > threshold)
            checks.setdefault(key, []).append(gradual)

    def _measure_quality(self, summary: FeatureSummary, baseline: Baseline | None) -> FeatureEvaluation:
        reference = None if baseline is None else baseline.features.get(summary.key)
        if reference is None or baseline is None:
            return _unreferenced(summary)
        quality = data_quality(reference, summary, baseline.layout(summary.key))
        return replace(_unreferenced(summary), quality=quality)

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

    def _explained(
        self, feature: FeatureEvaluation, by_reference: Mapping[str, Mapping[FeatureKey, Measurement] | None]
    ) -> FeatureEvaluation:
        """With the ranges and categories that moved, where something did."""
        for check in feature.checks:
            measurements = by_reference.get(check.reference)
            if check.name in DRIFT_CHECKS and check.breaches(self._rule.alpha) and measurements is not None:
                measurement = measurements.get(feature.key)
                if measurement is not None and measurement.moved is not None:
                    return with_pairs(feature, measurement.moved())
                if measurement is not None and (moved := _moved_contents(check.method, measurement)):
                    return replace(feature, moved=moved)
                if measurement is not None and measurement.pair is not None:
                    return replace(feature, moved=moved_cells(*measurement.pair()))
        return feature


def _moved_contents(method: str, measurement: Measurement) -> list[MovedCell]:
    """What a method says that compares more than the two distributions."""
    if method not in TEXT_METHODS or measurement.contents is None:
        return []
    was, now = (summary.content for summary in measurement.contents)
    return moved_text(was, now) if isinstance(was, TextSummary) and isinstance(now, TextSummary) else []


def _label_check(labels: LabelShift, score: float) -> Check:
    is_big = score > LABEL_THRESHOLD
    return Check(LABEL_SHIFT, "bbse", score, LABEL_THRESHOLD, is_big, labels.p_value, labels.n_current)


def _summaries(window: Window, baseline: Baseline | None) -> list[FeatureSummary]:
    """For each column one summary of the baseline's kind; one that nobody sends any more is missing from every row."""
    known = {} if baseline is None else baseline.features
    kinds = {key: summary.kind for key, summary in known.items()}
    # A column that nobody heard of may be among those beyond the limit.
    due = known if OVERFLOW_PART not in window.unbinned else ()
    columns = columns_of(window.parts, window.rows, kinds, due=due)
    compared = [column for key, column in columns.items() if is_comparable(key, baseline)]
    return sorted(compared, key=lambda summary: (summary.key.role.value, summary.key.name))


def _unreferenced(summary: FeatureSummary) -> FeatureEvaluation:
    return FeatureEvaluation(
        summary.key, summary.kind, summary.counters, summary.counters.rows, exemplars=summary.exemplars
    )
