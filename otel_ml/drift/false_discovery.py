"""Many features, many tests: keeping the share of false alarms among the alarms small."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """For each p-value its q-value: the false discovery rate at which it would just count as a discovery.

    It holds for independent tests and for positively dependent ones (PRDS), such as those of correlated features.
    Entries without a p-value (None or NaN) were not tested; they stay None and do not count among the tests. Source:
    Benjamini & Hochberg, "Controlling the false discovery rate" (1995).

    Raises:
        ValueError: A p-value is not in [0, 1].
    """
    return _adjusted(p_values, any_dependence=False)


def benjamini_yekutieli(p_values: Sequence[float | None]) -> list[float | None]:
    """The same where the tests may depend on each other in any way, at the price of q-values 1 + 1/2 + … + 1/n higher.

    Source: Benjamini & Yekutieli, "The control of the false discovery rate in multiple testing under dependency"
    (2001).

    Raises:
        ValueError: A p-value is not in [0, 1].
    """
    return _adjusted(p_values, any_dependence=True)


def _adjusted(p_values: Sequence[float | None], *, any_dependence: bool) -> list[float | None]:
    tested = [position for position, p in enumerate(p_values) if p is not None and not math.isnan(p)]
    q_values: list[float | None] = [None] * len(p_values)
    if not tested:
        return q_values
    p = np.array([p_values[position] for position in tested], dtype=np.float64)
    if p.min() < 0 or p.max() > 1:
        raise ValueError(f"p_values: from {p.min()!r} to {p.max()!r} (each must be a number from 0 to 1)")
    ranks = np.arange(1, len(p) + 1)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / ranks
    if any_dependence:
        scaled *= np.sum(1 / ranks)
    # The smallest of its own and of all later ones: a p-value counts as soon as a higher one does.
    adjusted = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    for place, q_value in zip(order.tolist(), adjusted.tolist(), strict=True):
        q_values[tested[place]] = q_value
    return q_values
