"""What it costs to compare 100,000 rows of 25 numbers with as many reference rows: others' time and memory to ours.

Others read all rows of both sides. Ours counts the window's rows into the baseline's bins where they are served, here
in eight replicas, sends the counts, merges and compares them; the service that does so never sees a row. All of it is
processor time on one core, which a busy machine falsifies less than the clock.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.figure import Figure, Figures
from benchmarks.peer_libraries import PEERS, run, run_module
from benchmarks.peer_libraries.child import COST_COLUMNS, COST_ROWS, Comparison, main
from benchmarks.peer_libraries.windows import Array, table
from collector_processor.processors.settings import DriftSettings
from otel_ml import Baseline
from otel_ml.drift import create
from otel_ml.drift.binned import BinnedReferences
from otel_ml.sketch import codec
from otel_ml.sketch.binned_columns import BinnedColumns
from otel_ml.sketch.block import NumericBlock
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.snapshot import Snapshot

REPLICAS: Final = 8
_FEW_ROWS, _MANY_ROWS = 10_000, 1_000_000
_SUBJECT: Final = f"drift_{COST_ROWS // 1_000}k_rows_{COST_COLUMNS}_columns"
_OURS: Final = "otel_ml"
_MODEL: Final = ModelKey("measured")


def measure() -> Figures:
    """Others' seconds and peak memory as multiples of ours; a peer that does not work is left out."""
    print("drift: ours and scipy, to compare with …", file=sys.stderr)
    costs = run_module(sys.executable, "benchmarks.drift_peers", "cost")
    ours = costs.pop(_OURS, None)
    if ours is None:
        return {}
    for peer in PEERS:
        print(f"drift: {peer.name} …", file=sys.stderr)
        costs |= run(peer, "cost")
    figures = {**_absolute(_OURS, ours), **_processor(ours)}
    for name, cost in costs.items():
        figures |= _absolute(name, cost) | _relative(name, cost, ours)
    return figures


def _absolute(name: str, cost: dict[str, float]) -> dict[str, Figure]:
    return {
        f"{_SUBJECT}.{name}.reference": Figure(cost["prepare_s"], "s", None, None),
        f"{_SUBJECT}.{name}.rows_to_verdict": Figure(cost["compare_s"], "s", None, None),
        f"{_SUBJECT}.{name}.peak_memory": Figure(cost["peak_bytes"] / 2**20, "MB", None, None),
    }


def _relative(name: str, cost: dict[str, float], ours: dict[str, float]) -> dict[str, Figure]:
    """Above 1 where ours is the better one; the reference is prepared once, so it counts beside, not in."""
    whole, our_whole = (each["prepare_s"] + each["compare_s"] for each in (cost, ours))
    ratios = {
        "time_ratio": cost["compare_s"] / ours["compare_s"],
        "time_ratio_with_reference": whole / our_whole,
        # Of what takes less than a page, a page is what can be said.
        "memory_ratio": cost["peak_bytes"] / max(ours["peak_bytes"], 4_096.0),
    }
    return {
        f"{_SUBJECT}.{name}.{ratio}": Figure(value, "x ours", None, None, better="higher")
        for ratio, value in ratios.items()
    }


def _processor(ours: dict[str, float]) -> dict[str, Figure]:
    """The part that is left to the processor, and whether its memory depends on how many rows there were."""
    references = _references(table(COST_ROWS, COST_COLUMNS, 1))
    payloads = _payloads(references.baseline, table(COST_ROWS, COST_COLUMNS, 2))
    part_s = min(_processor_s(lambda: _verdicts(references, payloads)) for _ in range(50))
    few, many = (_evaluation_peak(references, rows) for rows in (_FEW_ROWS, _MANY_ROWS))
    return {
        f"{_SUBJECT}.{_OURS}.processor_part": Figure(part_s * 1e3, "ms", None, None),
        f"{_SUBJECT}.{_OURS}.processor_share": Figure(part_s / ours["compare_s"], "of rows to verdict", None, None),
        "drift_evaluation_peak_memory": Figure(many / 1024, f"KB for {_MANY_ROWS:,} rows", None, None),
        "drift_evaluation_memory_ratio": Figure(many / few, f"x that for {_FEW_ROWS:,} rows", 1.05, 1.0),
    }


def _processor_s(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _evaluation_peak(references: _References, rows: int) -> int:
    """Bytes that decoding, merging and comparing take at their peak, beside what came from the replicas."""
    payloads = _payloads(references.baseline, table(rows, COST_COLUMNS, 3))
    _verdicts(references, payloads)  # what is made on first use is not the evaluation's
    tracemalloc.start()
    try:
        _verdicts(references, payloads)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- ours, from rows to verdict ---------------------------------------------------------------------------------------


class _References(NamedTuple):
    """A baseline, and its bins as the processor keeps them."""

    baseline: Baseline
    binned: BinnedReferences


def _references(matrix: Array) -> _References:
    baseline = Baseline.build(matrix, model=_MODEL.name, features=[f"f{index}" for index in range(matrix.shape[1])])
    return _References(baseline, BinnedReferences(baseline.features, baseline.layouts))


def _payloads(baseline: Baseline, matrix: Array) -> list[bytes]:
    """What each replica sends of its share of the rows."""
    keys = list(baseline.features)
    layouts = [baseline.layout(key) for key in keys]
    payloads = []
    for number, rows in enumerate(np.array_split(matrix, REPLICAS)):
        block = NumericBlock(keys, layouts)
        block.update(rows)
        summaries = [column.summary for column in block.drain()]
        producer = number.to_bytes(16, "big")
        payloads.append(codec.encode(Snapshot(producer, 1, _MODEL, 1, 2, len(rows), 0, summaries)))
    return payloads


def _verdicts(references: _References, payloads: Sequence[bytes]) -> list[bool]:
    """What the detectors that run by default say about each column."""
    window: BinnedColumns | None = None
    for payload in payloads:
        (block,) = codec.decode(payload).binned
        if window is None:
            window = block
        else:
            window.merge(block)
    assert window is not None
    _, columns = references.binned.columns(window)
    detectors = [create(name) for name in DriftSettings().detectors]
    return [result.drifted for detector in detectors if detector.on_numbers for result in detector.results(columns)]


def _ks_2samp(reference: Array, current: Array) -> list[float]:
    from scipy.stats import ks_2samp

    return [float(ks_2samp(was, now, method="asymp").pvalue) for was, now in zip(reference.T, current.T, strict=True)]


def _as_given(matrix: Array) -> Array:
    return matrix


COMPARISONS = {
    _OURS: Comparison(_references, lambda was, matrix: _verdicts(was, _payloads(was.baseline, matrix))),
    "scipy_ks_2samp": Comparison(_as_given, _ks_2samp),
}


def _no_alarms(*_: Any) -> dict[str, list[bool]]:
    return {}


if __name__ == "__main__":
    main(_no_alarms, COMPARISONS, _as_given)
