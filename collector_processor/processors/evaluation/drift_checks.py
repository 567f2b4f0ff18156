"""Whether columns drifted, from what every reference says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from collector_processor.processors.evaluation.findings import CANARY_DRIFT, DRIFT, Check
from collector_processor.processors.evaluation.measurement import Measurement
from collector_processor.processors.references.decision import decide
from collector_processor.processors.references.settings import BASELINE, SEASONAL, STABLE, TRAILING
from otel_ml.drift.detector import DriftDetector, DriftResult
from otel_ml.drift.false_discovery import benjamini_hochberg
from otel_ml.sketch.feature import FeatureKey

_PRIMARY: Final = (BASELINE, TRAILING, *SEASONAL)
"""Whose score stands for a column: the first that has one."""


def drift_checks(
    by_reference: Mapping[str, Mapping[FeatureKey, Measurement] | None],
    deciders: Mapping[FeatureKey, DriftDetector],
    alpha: float,
    unknown_season: float = 1.0,
) -> dict[FeatureKey, list[Check]]:
    """For each column one check against what it should be, and one against the stable deployment, as far as there are.

    Args:
        by_reference: What detectors say about each column, by the name of the reference; None where it has not enough
            data.
        deciders: Whose verdict counts.
        alpha: q-value below which chance does not explain a difference; of one family for each reference.
        unknown_season: By how many thresholds a column has to differ where a reference that knows its season is
            configured, but has no data yet.
    """
    results = {name: _deciding(measurements or {}, deciders) for name, measurements in by_reference.items()}
    drifted = {name: _drifted(of_columns, alpha) for name, of_columns in results.items()}
    checks: dict[FeatureKey, list[Check]] = {}
    for key in deciders:
        decision = decide({name: drifted[name].get(key) for name in by_reference if name != STABLE})
        for name in _PRIMARY:
            result = results.get(name, {}).get(key)
            if result is not None:
                seasonal = [drifted[season].get(key) for season in SEASONAL if season in by_reference]
                is_unknown = bool(seasonal) and all(verdict is None for verdict in seasonal)
                result = replace(result, threshold=result.threshold * (unknown_season if is_unknown else 1.0))
                check = _check(DRIFT, name, result, decision.overruled_by, is_confirmed=decision.is_confirmed)
                checks.setdefault(key, []).append(check)
                break
        canary = results.get(STABLE, {}).get(key)
        if canary is not None:
            checks.setdefault(key, []).append(_check(CANARY_DRIFT, STABLE, canary))
    return checks


def _deciding(
    measurements: Mapping[FeatureKey, Measurement], deciders: Mapping[FeatureKey, DriftDetector]
) -> dict[FeatureKey, DriftResult]:
    return {
        key: result
        for key, measurement in measurements.items()
        for result in measurement.results
        if key in deciders and result.method == deciders[key].name
    }


def _drifted(results: Mapping[FeatureKey, DriftResult], alpha: float) -> dict[FeatureKey, bool]:
    q_values = benjamini_hochberg([result.p_value for result in results.values()])
    return {
        key: result.drifted and (q_value is None or q_value < alpha)
        for (key, result), q_value in zip(results.items(), q_values, strict=True)
    }


def _check(
    name: str, reference: str, result: DriftResult, overruled_by: tuple[str, ...] = (), *, is_confirmed: bool = False
) -> Check:
    return Check(
        name,
        result.method,
        result.score,
        result.threshold,
        result.drifted,
        result.p_value,
        result.n_current,
        reference=reference,
        overruled_by=overruled_by,
        is_confirmed=is_confirmed,
    )
