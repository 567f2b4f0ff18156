"""Whether columns drifted, from what every reference says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from collector_processor.processors.evaluation.deciding import Decider
from collector_processor.processors.evaluation.findings import CANARY_DRIFT, DRIFT, Check
from collector_processor.processors.evaluation.measurement import Measurement
from collector_processor.processors.references.decision import decide
from collector_processor.processors.references.settings import BASELINE, SEASONAL, STABLE, TRAILING
from otel_ml.drift.detector import DriftResult
from otel_ml.drift.false_discovery import benjamini_hochberg
from otel_ml.sketch.feature import FeatureKey

_PRIMARY: Final = (BASELINE, TRAILING, *SEASONAL)
"""Whose score stands for a column: the first that has one."""
_AT_LEAST: Final = 20
"""Columns that a reference which knows the season is corrected for, even where there are fewer: of one column, one
window in twenty would be unlike the same time of another day by chance alone, and two of three every week."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When a difference counts.

    Attributes:
        alpha: q-value below which chance does not explain it; of one family for each reference, and of each check over
            `horizon` windows.
        known_season: Share of a threshold that counts against what a column should be, where a reference that knows its
            season is at hand; else the whole threshold does.
        seasonal_threshold: Share of that which counts against a reference that knows the season.
        rollup_threshold: Share of a threshold that counts on a roll-up.
    """

    alpha: float
    horizon: int
    known_season: float = 1.0
    seasonal_threshold: float = 1.0
    rollup_threshold: float = 1.0


def drift_checks(
    by_reference: Mapping[str, Mapping[FeatureKey, Measurement] | None],
    deciders: Mapping[FeatureKey, Decider],
    rule: Rule,
) -> dict[FeatureKey, list[Check]]:
    """For each column one check against what it should be, and one against the stable deployment, as far as there are.

    Args:
        by_reference: What detectors say about each column, by the name of the reference; None where it has not enough
            data.
        deciders: Whose verdict counts.
        rule: What counts.
    """
    results = {name: _deciding(measurements or {}, deciders) for name, measurements in by_reference.items()}
    q_values = {name: _q_values(found) for name, found in results.items()}
    checks: dict[FeatureKey, list[Check]] = {}
    for key, decider in deciders.items():
        knows_season = any(key in results[name] for name in SEASONAL if name in results)
        share = rule.known_season if knows_season else 1.0
        verdicts: dict[str, bool | None] = {}
        for name, found in results.items():
            is_significant = _is_significant(name, found.get(key), q_values[name].get(key), rule.alpha)
            needed = share * (rule.seasonal_threshold if name in SEASONAL else 1.0)
            verdicts[name] = (
                found[key].score > decider.threshold(found[key].threshold, needed) and is_significant
                if key in found
                else None
            )
        canary = verdicts.pop(STABLE, None)
        decision = decide(verdicts)
        primary = next((name for name in _PRIMARY if key in results.get(name, ())), None)
        if primary is not None:
            result = results[primary][key]
            check = _check(DRIFT, primary, result, decider, share)
            check = replace(check, overruled_by=decision.overruled_by, is_confirmed=decision.is_confirmed)
            checks.setdefault(key, []).append(check)
        if canary is not None:
            checks.setdefault(key, []).append(_check(CANARY_DRIFT, STABLE, results[STABLE][key], decider))
    return checks


def _is_significant(reference: str, result: DriftResult | None, q_value: float | None, alpha: float) -> bool:
    if result is None or result.p_value is None or q_value is None:
        return True
    # What a season explains is asked again window after window: among few columns, chance would say no too often.
    return q_value < alpha and (reference not in SEASONAL or result.p_value < alpha / _AT_LEAST)


def _deciding(
    measurements: Mapping[FeatureKey, Measurement], deciders: Mapping[FeatureKey, Decider]
) -> dict[FeatureKey, DriftResult]:
    return {
        key: result
        for key, measurement in measurements.items()
        for result in measurement.results
        if key in deciders and result.method == deciders[key].method
    }


def _q_values(results: Mapping[FeatureKey, DriftResult]) -> dict[FeatureKey, float | None]:
    return dict(zip(results, benjamini_hochberg([result.p_value for result in results.values()]), strict=True))


def _check(name: str, reference: str, result: DriftResult, decider: Decider, share: float = 1.0) -> Check:
    threshold = decider.threshold(result.threshold, share)
    return Check(
        name,
        result.method,
        result.score,
        threshold,
        result.score > threshold,
        result.p_value,
        result.n_current,
        reference=reference,
        method_reason=decider.reason,
    )
