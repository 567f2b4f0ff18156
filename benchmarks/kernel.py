"""What building a baseline costs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.figure import Figure, Figures
from benchmarks.stopwatch import best_s
from benchmarks.workload import MODEL, matrix
from otel_ml import Baseline


def measure() -> Figures:
    """The design's budget of the builder."""
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
