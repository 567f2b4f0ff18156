"""How far columns moved, on one scale for numbers and categories."""

from __future__ import annotations

import numpy as np

from otel_ml.drift.columns import Columns
from otel_ml.sketch.sketch import FloatArray


def effect_sizes(columns: Columns, bins: int = 10) -> FloatArray:
    """The largest shift, in standard deviations, that any function of each column can show between the two windows.

    e² = Σ (cᵢ - rᵢ)² / pᵢ over common cells, with pᵢ = (rᵢ + cᵢ) / 2. By the inequality of Cauchy and Schwarz, whatever
    a model makes of the column, f, has means that differ by |E_c f - E_r f| ≤ e · sd(f), where sd(f) is its standard
    deviation over both windows in equal parts; and some f reaches it. For truth values, e is the difference of the two
    shares in standard deviations. e² is twice the triangular discrimination of Topsøe, "Some inequalities for
    information divergence and related measures of discrimination" (2000). What chance alone adds on average,
    (cells - 1)(1/n + 1/m), is taken off e² first.

    Functions that tell apart what lies in one cell are beyond it: more bins see more, and need more values.

    Args:
        columns: Pairs of distributions, neither side empty.
        bins: Cells of equal mass that a reference's numbers are cut into.

    Returns:
        (columns,) from 0, where nothing but chance differs, to 2, where the windows have no value in common.
    """
    cells = columns.cells(bins)
    middle = (cells.reference + cells.current) / 2
    difference = cells.current - cells.reference
    squared = np.divide(np.square(difference), middle, out=np.zeros_like(middle), where=middle > 0).sum(axis=1)
    sizes: FloatArray = np.sqrt(np.clip(squared - cells.null_mean, 0.0, 4.0))
    return sizes
