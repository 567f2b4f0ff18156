"""What comparing a window with its baseline costs the processor; `--peers`: what others need from raw rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from benchmarks import drift_peers
from benchmarks.figure import Figure, Figures
from benchmarks.stopwatch import best_s
from benchmarks.workload import ROWS_A_MINUTE, baseline_of_matrix, snapshot
from collector_processor.processors.settings import DriftSettings
from otel_ml import Baseline
from otel_ml.drift.binned import BinnedReferences
from otel_ml.drift.choice import Evidence, choose
from otel_ml.drift.columns import Columns
from otel_ml.drift.false_discovery import benjamini_hochberg
from otel_ml.drift.registry import BUILTIN_DETECTORS
from otel_ml.drift.sketched import SketchedReferences
from otel_ml.sketch import codec
from otel_ml.sketch.binned_columns import BinnedColumns
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole
from otel_ml.sketch.sketched_columns import SketchedColumns
from otel_ml.sketch.snapshot import Snapshot

BlockT = TypeVar("BlockT", BinnedColumns, SketchedColumns)

REPLICAS = 8
COLUMNS = 100
MANY = 10_000
DETECTORS = [BUILTIN_DETECTORS[name]() for name in DriftSettings().detectors]
"""Those that run unless a configuration names others."""
DECIDES = choose(Evidence(FeatureKind.NUMERIC, ROWS_A_MINUTE, ROWS_A_MINUTE), DriftSettings().detectors).method


def measure() -> Figures:
    """The design's budgets, and what ten thousand columns cost."""
    return {**_budgets(), **_linearity()}


def measure_peers() -> Figures:
    """100,000 rows of 25 columns: Evidently, NannyML, Alibi Detect, whylogs and scipy beside ours."""
    return drift_peers.measure()


def _budgets() -> Figures:
    baseline = baseline_of_matrix(COLUMNS)
    known = [codec.encode(snapshot(baseline, ROWS_A_MINUTE, COLUMNS, seed)) for seed in range(REPLICAS)]
    unknown = [codec.encode(snapshot(None, ROWS_A_MINUTE, COLUMNS, seed)) for seed in range(REPLICAS)]
    counts = np.ones((REPLICAS, COLUMNS, 66), np.int64)
    added_s = best_s(lambda: counts.sum(axis=0).cumsum(axis=1), rounds=50)
    return {
        "drift_100_features_8_replicas_bins": Figure(_bins_s(baseline, known) * 1e3, "ms", 1, added_s * 1e3),
        "drift_100_features_8_replicas_sketches": Figure(_sketches_s(baseline, unknown) * 1e3, "ms", 15, None),
    }


def _linearity() -> Figures:
    """One matrix of 10,000 columns, and what a column costs in it, of what it costs in one of 100."""
    baseline = baseline_of_matrix(COLUMNS)
    (block,) = codec.decode(codec.encode(snapshot(baseline, ROWS_A_MINUTE, COLUMNS))).binned
    few, many = (_window_s(baseline, _repeated(block, columns)) for columns in (COLUMNS, MANY))
    return {
        "drift_10000_features_bins": Figure(many * 1e3, "ms", None, None),
        "drift_10000_features_a_column": Figure(many / MANY / (few / COLUMNS), "of one among 100", 1, None),
    }


def _bins_s(baseline: Baseline, payloads: list[bytes]) -> float:
    """Seconds to merge the replicas' matrices, compare all columns, and correct for their number."""
    references = BinnedReferences(baseline.features, baseline.layouts)
    return _merged_s(payloads, lambda replica: replica.binned, references.columns)


def _sketches_s(baseline: Baseline, payloads: list[bytes]) -> float:
    """Seconds for the same from servers that know no baseline: histograms and quantile sketches."""
    references = SketchedReferences(baseline.features, baseline.layouts)
    return _merged_s(payloads, lambda replica: replica.sketched, references.columns)


def _merged_s(
    payloads: list[bytes],
    blocks_of: Callable[[Snapshot], Sequence[BlockT]],
    columns_of: Callable[[BlockT], tuple[list[FeatureKey], Columns]],
) -> float:
    """Seconds to merge the only block of each payload, and to compare all of its columns."""
    blocks: list[BlockT] = []

    def decode() -> None:
        blocks[:] = [block for payload in payloads for block in blocks_of(codec.decode(payload))]

    def merge_and_compare() -> None:
        window = blocks[0]
        for block in blocks[1:]:
            window.merge(block)
        keys, columns = columns_of(window)
        assert len(keys) == COLUMNS
        _compare(columns)

    return best_s(merge_and_compare, rounds=30, prepare=decode)


def _repeated(block: BinnedColumns, columns: int) -> BinnedColumns:
    """The same columns under as many names."""
    source = np.arange(columns) % len(block.keys)
    return BinnedColumns(
        tuple(FeatureKey(FeatureRole.FEATURE, f"f{index}") for index in range(columns)),
        tuple(block.edges_hashes[index] for index in source.tolist()),
        *(getattr(block, name)[source] for name in ("counts", "counters", "mean", "m2", "minimum", "maximum")),
        {},
    )


def _window_s(baseline: Baseline, block: BinnedColumns) -> float:
    originals = [(baseline.features[key], baseline.layouts[key]) for key in baseline.features]
    features, layouts = {}, {}
    for index, key in enumerate(block.keys):
        features[key], layouts[key] = originals[index % len(originals)]
    references = BinnedReferences(features, layouts)
    return best_s(lambda: _compare(references.columns(block)[1]), rounds=15)


def _compare(columns: Columns) -> None:
    """Every detector that runs by default, and the correction of the one that decides by default."""
    for detector in DETECTORS:
        if detector.on_numbers:
            _, p_values = detector.measure(columns)
            if detector.name == DECIDES and p_values is not None:
                benjamini_hochberg(p_values.tolist())
