"""How often other libraries' defaults, and ours, call a window drifted: when nothing changed, and when something did.

Evidently, NannyML, Alibi Detect and whylogs see all rows, or their own profiles of them; each runs at a pinned version
in an environment of its own. Ours sees what the processor sees: a baseline, and windows as the recording library
summarises them. All are asked about the same rows.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from typing import Any, Final

from benchmarks.figure import Figure, Figures
from benchmarks.peer_libraries import PEERS, run
from benchmarks.peer_libraries.child import count_alarms
from benchmarks.peer_libraries.windows import Block, Case, cases
from collector_processor.processors.alerts import AlertSettings
from collector_processor.processors.evaluation import QUALITY_CHECKS, DecisionSettings, QualitySettings
from collector_processor.processors.evaluation.settings import AUTO
from otel_ml import Baseline
from otel_ml.drift import DriftResult, Evidence, choose, create, data_quality, distributions
from otel_ml.drift.registry import DEFAULT_DETECTORS
from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.sketch.feature import FeatureKey, ModelKey
from otel_ml.sketch.summary import FeatureSummary

_ALPHA: Final = AlertSettings().alpha
_LEVEL: Final = 0.05
_REPLICAS: Final = 32
_MANY_ROWS: Final = 1_000_000
"""From how many rows on ours is asked about merged summaries too, as whylogs is."""
_ENOUGH_REPEATS: Final = 200
"""Below so many, how often a test at 5 % is wrong says too little to have a goal."""
_INFO: Final = ModelInfo(ModelKey("measured"))
_OURS: Final = "otel_ml"
_DECISION: Final = f"{_OURS}_decision"

_Counted = Mapping[str, Mapping[str, tuple[int, int]]]


def measure() -> Figures:
    """Share of windows called drifted, by case and by who calls them so; a peer that does not work is left out."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    print("detection: ours, to compare with …", file=sys.stderr)
    asked = cases(rounds)
    ours = count_alarms(alarms, asked)
    if len(ours) < len(asked):
        raise RuntimeError(f"ours answers {len(ours)} of {len(asked)} cases (expected all; why stands above)")
    answers: list[_Counted] = [ours]
    for peer in PEERS:
        print(f"detection: {peer.name} …", file=sys.stderr)
        answers.append(run(peer, "alarms", str(rounds)))
    return {
        f"peers.{case.name}.{method}": _figure(case, method, *counted)
        for case in asked
        for answer in answers
        for method, counted in answer.get(case.name, {}).items()
    }


def _figure(case: Case, method: str, alarmed: int, repeats: int) -> Figure:
    goal = None
    if case.is_clean and method.startswith(_DECISION):
        goal = _LEVEL
    elif case.is_clean and method.startswith(_OURS) and repeats >= _ENOUGH_REPEATS:
        # A test at 5 % is wrong one time in twenty, and with so many repetitions up to that many more by chance.
        goal = _LEVEL + 3.0 * math.sqrt(_LEVEL * (1.0 - _LEVEL) / repeats)
    return Figure(alarmed / repeats, f"share of {repeats}", goal, None, better="lower" if case.is_clean else "higher")


def alarms(case: Case, block: Block) -> dict[str, list[bool]]:
    """What a processor with default settings decides about each column alone, and single tests at p < 0.05.

    A decision is an effect above its threshold with p below the alerts' alpha, of the deciding detector or of any check
    of data quality. A processor would not even decide about windows of fewer rows than its `min_rows`; here it must.
    """
    baseline = Baseline.build(block.reference, model=_INFO.key.name)
    found = _verdicts(baseline, _summaries(baseline, block.current), case)
    if case.rows >= _MANY_ROWS:
        merged = _verdicts(baseline, _merged_summaries(baseline, block.current), case)
        found |= {f"{method}_{_REPLICAS}_replicas": verdicts for method, verdicts in merged.items()}
    return found


def _summaries(baseline: Baseline, columns: Mapping[str, Any]) -> dict[FeatureKey, FeatureSummary]:
    accumulator = ModelAccumulator(_INFO.key, baseline=baseline, finds_exemplars=False, correlations=False)
    accumulator.add([Inference(_INFO, "predict", columns)])
    return {column.summary.key: column.summary for column in accumulator.drain().columns}


def _merged_summaries(baseline: Baseline, columns: Mapping[str, Any]) -> dict[FeatureKey, FeatureSummary]:
    merged: dict[FeatureKey, FeatureSummary] = {}
    for start in range(_REPLICAS):
        share = {name: values[start::_REPLICAS] for name, values in columns.items()}
        for key, summary in _summaries(baseline, share).items():
            if key in merged:
                merged[key].merge(summary)
            else:
                merged[key] = summary
    return merged


def _verdicts(baseline: Baseline, summaries: Mapping[FeatureKey, FeatureSummary], case: Case) -> dict[str, list[bool]]:
    verdicts: dict[str, list[bool]] = {}
    for key, summary in summaries.items():
        reference, layout = baseline.features[key], baseline.layout(key)
        pair = distributions(reference, summary, layout)
        if pair is None:
            raise RuntimeError(f"{case.name}: nothing to compare in {key.name}")
        deciding = DecisionSettings().detector(reference.kind)
        if deciding is None:
            raise RuntimeError(f"{case.name}: nothing decides about a {reference.kind.value} column")
        if deciding == AUTO:
            deciding = choose(Evidence.of(reference.kind, pair), DEFAULT_DETECTORS).method
        results = {name: create(name).compare(*pair) for name in (deciding, "chi_squared" if case.categories else "ks")}
        decided = _is_alarm(results[deciding]) or _is_degraded(data_quality(reference, summary, layout))
        verdicts.setdefault(_DECISION, []).append(decided)
        for name, result in results.items():
            if result.p_value is not None and not any(case.nulls):
                verdicts.setdefault(f"{_OURS}_{name}_p05", []).append(result.p_value < _LEVEL)
    return verdicts


def _is_alarm(result: DriftResult) -> bool:
    return result.drifted and (result.p_value is None or result.p_value < _ALPHA)


def _is_degraded(quality: Any) -> bool:
    thresholds: dict[str, float] = QualitySettings().model_dump()
    ratios = [(getattr(quality, name), thresholds[name]) for name in QUALITY_CHECKS]
    return any(
        ratio is not None and ratio.is_degraded(threshold) and ratio.p_value < _ALPHA for ratio, threshold in ratios
    )
