"""Two samples counted in cells that a person can be told of: a range of numbers, one value, a category."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from otel_ml.drift.category_cells import EXPECTED_PER_CELL
from otel_ml.drift.cells import equal_mass_edges
from otel_ml.drift.columns import Columns
from otel_ml.sketch.distribution import CategoricalDistribution, NumericDistribution
from otel_ml.sketch.sketch import FloatArray

OTHERS: Final = "others"
"""The cell of the categories that have none of their own."""


class LabelledCells(NamedTuple):
    """Two samples counted in the same cells.

    Attributes:
        labels: What to call each cell.
        reference: (cells,) shares of the reference; they sum to 1.
        current: (cells,) shares of the current window, likewise.
        variance: 1/n + 1/m, and what a sampling sketch adds to it: the variance, without drift, of the difference
            between the shares of a cell, relative to its share.
    """

    labels: Sequence[str]
    reference: FloatArray
    current: FloatArray
    variance: float


def cells_of_numbers(reference: NumericDistribution, current: NumericDistribution, bins: int) -> LabelledCells:
    """At most `bins` cells of equal mass in the reference, one on either side of its range, and those of spikes.

    A spike is a value, or the narrowest range that is known, whose share changed by half a cell of equal mass: what a
    missing value is replaced with upstream should not hide in a range. Where there are few values, each is a cell.
    """
    columns = Columns([(reference, current)])
    shared = columns.functions
    points, was, now = shared.points[0], shared.reference[0], shared.current[0]
    is_step = bool(shared.is_step[0])
    is_new = np.append(True, points[1:] > points[:-1])
    if is_step and is_new.sum() <= bins:
        cut = np.ones(len(points), dtype=np.bool_)
    else:
        cut = np.zeros(len(points), dtype=np.bool_)
        cut[equal_mass_edges(shared.reference, bins)] = True
        masses = np.abs(np.diff(now - was, prepend=0.0, append=0.0)) >= 0.5 / bins
        cut |= masses[:-1] | masses[1:]
    # Of equal points the last one has counted all that lies at or below it.
    is_last = np.append(is_new[1:], True)
    cut = _moved_to_last(cut, is_last)
    holds_one = np.add.reduceat(is_new, np.append(0, np.flatnonzero(cut)[:-1] + 1)) == 1
    labels = _range_labels(points[cut], is_atom=holds_one & is_step)
    variance = float(columns.cells(bins).variance[0])
    return LabelledCells(labels, _masses(was[cut]), _masses(now[cut]), variance)


def cells_of_categories(reference: CategoricalDistribution, current: CategoricalDistribution) -> LabelledCells:
    """A cell for each category with enough values for one, and one for all others.

    A category that a heavy-hitters summary does not name may hide in its remainder; it is among the others, too,
    unless it became far more frequent than it can have been there.
    """
    n, m = reference.total, current.total
    smaller = min(n, m)
    labels: list[str] = []
    shares: list[tuple[float, float]] = []
    # In order of name: neither the merging of replicas nor the order of dictionaries has a part in it.
    for name in sorted(reference.counts.keys() | current.counts.keys()):
        was, now = reference.counts.get(name, 0) / n, current.counts.get(name, 0) / m
        hidden_before = 0.0 if name in reference.counts else _possible_error(reference)
        hidden_now = 0.0 if name in current.counts else _possible_error(current)
        expected = smaller * (n * was + m * now) / (n + m)
        is_new = expected <= 1 and smaller * (was + now) >= 2 * EXPECTED_PER_CELL
        if (expected >= EXPECTED_PER_CELL or is_new) and now >= 2 * hidden_before and was >= 2 * hidden_now:
            labels.append(name)
            shares.append((was, now))
    own = np.array(shares, dtype=np.float64).reshape(len(shares), 2)
    rest = np.maximum(0.0, 1.0 - own.sum(axis=0))
    return LabelledCells([*labels, OTHERS], np.append(own[:, 0], rest[0]), np.append(own[:, 1], rest[1]), 1 / n + 1 / m)


def _moved_to_last(cut: npt.NDArray[np.bool_], is_last: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    last = np.flatnonzero(is_last)
    moved = np.zeros_like(cut)
    moved[last[np.searchsorted(last, np.flatnonzero(cut))]] = True
    return moved


def _masses(at_or_below: FloatArray) -> FloatArray:
    """The masses of the cells that points of a distribution function cut."""
    masses: FloatArray = np.diff(at_or_below, prepend=0.0, append=1.0)
    return masses


def _range_labels(edges: FloatArray, is_atom: npt.NDArray[np.bool_]) -> list[str]:
    """Names of the right-closed cells that increasing edges cut; `is_atom` where all of one is its upper edge."""
    bounds = [_bound(float(edge)) for edge in edges]
    texts = _shortest([value for value, _ in bounds])
    labels = []
    for position, (upper, (value, excludes)) in enumerate(zip(texts, bounds, strict=True)):
        if is_atom[position] and not excludes:
            labels.append(upper)
        elif position == 0:
            labels.append(f"{'<' if excludes else '<='} {upper}")
        elif bounds[position - 1] == (value, True):
            # From just below a value up to it.
            labels.append(upper)
        else:
            opening = "[" if bounds[position - 1][1] else "("
            labels.append(f"{opening}{texts[position - 1]}, {upper}{')' if excludes else ']'}")
    return [*labels, f"{'>=' if bounds[-1][1] else '>'} {texts[-1]}"]


def _bound(edge: float) -> tuple[float, bool]:
    """The number to write for the upper edge of a cell, and whether the cell excludes it.

    Bins around a frequent value end at the double just below it, which nobody wants to read.
    """
    above = math.nextafter(edge, math.inf)
    is_just_below = math.isfinite(above) and (above == 0.0 or len(repr(above)) + 6 <= len(repr(edge)))
    return (above + 0.0, True) if is_just_below else (edge, False)


def _shortest(values: Sequence[float]) -> list[str]:
    """The numbers with as few digits, three at least, as it takes to tell them apart."""
    distinct = len(set(values))
    for digits in range(3, 17):
        texts = [_rounded(value, digits) for value in values]
        if len(set(texts)) == distinct:
            return texts
    return [repr(value) for value in values]


def _rounded(value: float, digits: int) -> str:
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    # Rounded first: 61,234.5 is 61200 then, not 6.12e+04.
    return f"{float(f'{value:.{digits}g}'):.15g}"


def _possible_error(distribution: CategoricalDistribution) -> float:
    """By how much the share of a category that is not named may be too low."""
    if not distribution.other:
        return 0.0
    return (distribution.error_bound or distribution.other) / distribution.total
