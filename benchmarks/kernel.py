"""What comparing windows with a baseline costs the processor, and what building the baseline costs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.figure import Figure, Figures
from benchmarks.stopwatch import best_s
from benchmarks.workload import MODEL, ROWS_A_MINUTE, baseline_of_matrix, matrix, snapshot
from otel_ml import Baseline
from otel_ml.drift.comparison import distributions
from otel_ml.drift.registry import BUILTIN_DETECTORS
from otel_ml.sketch import codec
from otel_ml.sketch.snapshot import Snapshot
from otel_ml.sketch.summary import FeatureSummary

REPLICAS = 8


def measure() -> Figures:
    """The design's budgets of the kernel."""
    return {**_drift(), **_baseline()}


def _drift() -> Figures:
    baseline = baseline_of_matrix(100)
    detectors = [detector() for detector in BUILTIN_DETECTORS.values()]

    def compare(payloads: list[bytes]) -> float:
        def merge_and_compare() -> None:
            merged: dict[Any, FeatureSummary] = {}
            for replica in decoded:
                for summary in replica.features:
                    if summary.key in merged:
                        merged[summary.key].merge(summary)
                    else:
                        merged[summary.key] = summary
            for key, summary in merged.items():
                pair = distributions(baseline.features[key], summary, baseline.layout(key))
                assert pair is not None
                for detector in detectors:
                    if detector.applies_to(pair[0]):
                        detector.compare(*pair)

        decoded: list[Snapshot] = []

        def decode() -> None:
            decoded[:] = [codec.decode(payload) for payload in payloads]

        return best_s(merge_and_compare, prepare=decode)

    known = [codec.encode(snapshot(baseline, ROWS_A_MINUTE, 100, seed)) for seed in range(REPLICAS)]
    unknown = [codec.encode(snapshot(None, ROWS_A_MINUTE, 100, seed)) for seed in range(REPLICAS)]
    counts = np.ones((REPLICAS, 100, 66), np.int64)
    added_s = best_s(lambda: counts.sum(axis=0).cumsum(axis=1))
    return {
        "drift_100_features_8_replicas_bins": Figure(compare(known) * 1e3, "ms", 1, added_s * 1e3),
        "drift_100_features_8_replicas_sketches": Figure(compare(unknown) * 1e3, "ms", 15, None),
    }


def _baseline() -> Figures:
    values = matrix(2_000_000, 5)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.parquet"
        table = pa.table({f"f{index}": values[:, index] for index in range(values.shape[1])})
        pq.write_table(table, path, use_dictionary=False)
        built_s = best_s(lambda: Baseline.build(path, model=MODEL), rounds=3)
        read_s = best_s(lambda: pq.read_table(path, use_threads=False), rounds=3)
    return {
        "baseline_from_parquet": Figure(
            values.size / built_s / 1e6, "M values/s", 30, values.size / read_s / 1e6, better="higher"
        )
    }
