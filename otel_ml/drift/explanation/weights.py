"""Importances as shares of the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping


def importance_shares(names: Iterable[str], importances: Mapping[str, float] | None) -> dict[str, float]:
    """For each name its share of all the importances; the same for each where nothing is known of any.

    Args:
        names: Columns; one that the importances do not name has none.
        importances: How much the model relies on each column, on any scale. Those of columns that are not among the
            names count for the whole.

    Raises:
        ValueError: An importance is no finite number of at least 0.
    """
    for name, weight in (importances or {}).items():
        if not 0 <= weight < math.inf:
            raise ValueError(f"importances: {weight!r} for {name!r} (must be a finite number of at least 0)")
    named = dict.fromkeys(names, 0.0)
    known = {name: float(weight) for name, weight in (importances or {}).items()}
    if not any(known.get(name) for name in named):
        return dict.fromkeys(named, 1 / len(named)) if named else {}
    # By the largest first: a sum of weights near 1e308 overflows.
    largest = max(known.values())
    total = math.fsum(weight / largest for weight in known.values())
    return {name: known.get(name, 0.0) / largest / total for name in named}
