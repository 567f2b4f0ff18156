"""Which values moved: the ranges and categories that carry most of a divergence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from otel_ml.drift import special
from otel_ml.drift.detector import require_integer
from otel_ml.drift.explanation.labelled_cells import cells_of_categories, cells_of_numbers
from otel_ml.sketch.distribution import CategoricalDistribution, Distribution, NumericDistribution


@dataclass(frozen=True, slots=True)
class MovedCell:
    """A range, a value or a category whose share changed, or another number that did.

    Attributes:
        label: A range such as "(3.2, 7.5]", "> 7.5" or "<= 3.2" (its bounds rounded), one value, a category, or
            "others" for the categories with too few values to be told apart.
        reference: Share of the reference in it.
        current: Share of the current window in it.
        part: Its part of the divergence between the two, above 0; the parts of all cells sum to 1.
        is_share: Whether the two are shares; else they are numbers such as a mean.
    """

    label: str
    reference: float
    current: float
    part: float
    is_share: bool = True


def moved_cells(reference: Distribution, current: Distribution, k: int = 3, bins: int = 10) -> list[MovedCell]:
    """The `k` cells that carry most of the divergence between two distributions, the heaviest first.

    A cell's part is its term of the Jensen-Shannon divergence, r · ln(r / p) + c · ln(c / p) with p = (r + c) / 2 for
    shares r and c: never negative (Lin, "Divergence Measures Based on the Shannon Entropy", 1991) and, other than a
    term of PSI, finite where a cell was empty. What chance alone adds to a term on average, (1 - p)(1/n + 1/m) / 4, is
    taken off first. Without drift the rest is noise, whose parts say nothing: ask only where there is drift.

    Args:
        reference: Not empty.
        current: Of the same kind, not empty.
        k: How many cells to name at most; fewer come where fewer moved.
        bins: Cells of equal mass that the reference's numbers are cut into.

    Raises:
        TypeError: One is of numbers, the other of categories.
    """
    require_integer("moved_cells::k", k, at_least=1, at_most=1000)
    require_integer("moved_cells::bins", bins, at_least=2, at_most=1000)
    if isinstance(reference, NumericDistribution) and isinstance(current, NumericDistribution):
        cells = cells_of_numbers(reference, current, bins)
    elif isinstance(reference, CategoricalDistribution) and isinstance(current, CategoricalDistribution):
        cells = cells_of_categories(reference, current)
    else:
        raise TypeError(f"cannot compare {type(reference).__name__} with {type(current).__name__}")
    was, now = cells.reference, cells.current
    middle = (was + now) / 2
    by_chance = (1 - middle) * cells.variance / 4
    terms = np.maximum(0.0, special.rel_entr(was, middle) + special.rel_entr(now, middle) - by_chance)
    total = terms.sum()
    heaviest = [position for position in np.argsort(-terms, kind="stable")[:k].tolist() if terms[position] > 0.0]
    return [
        MovedCell(cells.labels[position], float(was[position]), float(now[position]), float(terms[position] / total))
        for position in heaviest
    ]
