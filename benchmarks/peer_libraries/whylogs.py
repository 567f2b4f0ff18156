"""whylogs: what its drift scores say with their defaults about profiles, whole and merged, and what they cost."""

from __future__ import annotations

from functools import reduce
from typing import Any

from benchmarks.peer_libraries.child import Comparison, main
from benchmarks.peer_libraries.windows import Array, Block, Case

_REPLICAS = 32
_MANY_ROWS = 1_000_000
"""From how many rows on it is asked about merged profiles too."""


def alarms(case: Case, block: Block) -> dict[str, list[bool]]:
    """Kolmogorov-Smirnov of numbers, chi-squared of categories, "DRIFT" below p = 0.05; it does not look at nulls."""
    if any(case.nulls):
        return {}
    import pandas as pd

    reference, current = (pd.DataFrame(side) for side in block)
    found = {"whylogs_default": _drifted(_profile(reference), _profile(current))}
    if case.rows >= _MANY_ROWS:
        found[f"whylogs_default_{_REPLICAS}_replicas"] = _drifted(_merged(reference), _merged(current))
    return found


def _profile(frame: Any) -> Any:
    from whylogs.core import DatasetProfile

    profile = DatasetProfile()
    profile.track(pandas=frame)
    return profile.view()


def _merged(frame: Any) -> Any:
    views = [_profile(frame.iloc[start::_REPLICAS]) for start in range(_REPLICAS)]
    return reduce(lambda left, right: left.merge(right), views)


def _scores(reference: Any, current: Any) -> dict[str, Any]:
    from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

    scores: dict[str, Any] = calculate_drift_scores(target_view=current, reference_view=reference, with_thresholds=True)
    return scores


def _drifted(reference: Any, current: Any) -> list[bool]:
    return [score["drift_category"] == "DRIFT" for score in _scores(reference, current).values()]


def _as_frame(matrix: Array) -> Any:
    import pandas as pd

    return pd.DataFrame(matrix, columns=[f"f{index}" for index in range(matrix.shape[1])])


COMPARISONS = {"whylogs": Comparison(_profile, lambda reference, current: _scores(reference, _profile(current)))}

if __name__ == "__main__":
    main(alarms, COMPARISONS, _as_frame)
