"""Alibi Detect: what its feature-wise tests say with their defaults, and what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peer_libraries.child import Comparison, main
from benchmarks.peer_libraries.windows import Array, Block, Case


def alarms(case: Case, block: Block) -> dict[str, list[bool]]:
    """Kolmogorov-Smirnov of numbers and chi-squared of categories, both at p < 0.05; it does not look at nulls."""
    if any(case.nulls):
        return {}
    from alibi_detect.cd import ChiSquareDrift, KSDrift

    reference, current = (np.column_stack(list(side.values())) for side in block)
    if case.categories:
        return {"alibi_detect_chi_squared": _drifted(ChiSquareDrift(reference), current)}
    return {"alibi_detect_ks": _drifted(KSDrift(reference), current)}


def _drifted(detector: Any, current: Array) -> list[bool]:
    # Each column is a repetition of its own, which a correction for their number has no place in.
    verdicts: list[bool] = np.atleast_1d(detector.predict(current, drift_type="feature")["data"]["is_drift"]).tolist()
    return verdicts


def _ks(reference: Array) -> Any:
    from alibi_detect.cd import KSDrift

    return KSDrift(reference)


def _tabular(reference: Array) -> Any:
    from alibi_detect.cd import TabularDrift

    return TabularDrift(reference)


COMPARISONS = {
    "alibi_detect_ks": Comparison(_ks, lambda detector, current: detector.predict(current, drift_type="feature")),
    "alibi_detect_tabular": Comparison(
        _tabular, lambda detector, current: detector.predict(current, drift_type="feature")
    ),
}

if __name__ == "__main__":
    main(alarms, COMPARISONS, lambda matrix: matrix)
