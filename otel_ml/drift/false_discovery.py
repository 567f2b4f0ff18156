"""Many features, many tests: keeping the share of false alarms among the alarms small."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import false_discovery_control


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """For each p-value its q-value: the false discovery rate at which it would just count as a discovery.

    Entries without a p-value (None or NaN) were not tested; they stay None and do not count among the tests. Source:
    Benjamini & Hochberg, "Controlling the false discovery rate" (1995).
    """
    tested = [position for position, p in enumerate(p_values) if p is not None and not math.isnan(p)]
    q_values: list[float | None] = [None] * len(p_values)
    if tested:
        adjusted = false_discovery_control([p_values[position] for position in tested], method="bh")
        for position, q in zip(tested, adjusted.tolist(), strict=True):
            q_values[position] = q
    return q_values
