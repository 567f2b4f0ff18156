"""Categories of two samples counted in common cells with enough values to compare, for many pairs at once.

What decides over a cell (whether a category gets one of its own, with which others it shares one) are the values of
both samples together, not how they are divided between the two: given those, the test without drift is the textbook's.
A choice of cells that looks at one side finds drift where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from otel_ml.drift import special
from otel_ml.sketch.distribution import CategoricalDistribution
from otel_ml.sketch.sketch import FloatArray

CategoricalPair = tuple[CategoricalDistribution, CategoricalDistribution]
IndexArray = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

EXPECTED_PER_CELL = 5
"""Values a cell should hold in the smaller of two samples for χ² limits to hold (Cochran, 1954)."""

# Rounding must not decide over a cell that holds exactly what is needed.
_ENOUGH = EXPECTED_PER_CELL * (1 - 1e-9)
# A category that one side has this often, and hardly to be expected there, is a new one, or one that vanished.
_NEW_AT_LEAST = 3
_NEW_BY_CHANCE = 0.005
# What a heavy-hitters summary no longer names; no category has so long a name.
_REMAINDER = "\0" * 256


class CategoryShares(NamedTuple):
    """Shares of common cells; rows are pairs, short ones begin with empty cells.

    Attributes:
        reference: (pairs, cells) shares of the reference.
        current: (pairs, cells) shares of the current window.
        is_testable: (pairs,) whether there are enough values for two cells. Without, each category is a cell.
    """

    reference: FloatArray
    current: FloatArray
    is_testable: Flags


class _Table(NamedTuple):
    """The categories of all pairs, one pair after the other: (categories,) each.

    Where a heavy-hitters summary leaves counts open, a category's true count lies between its low and its high one.
    """

    pair: IndexArray
    names: list[str]
    reference: FloatArray
    current: FloatArray
    reference_low: FloatArray
    reference_high: FloatArray
    current_low: FloatArray
    current_high: FloatArray


def category_shares(pairs: Sequence[CategoricalPair], n: FloatArray, m: FloatArray) -> CategoryShares:
    """Both samples of each pair, counted in common cells.

    A category of which five values are to be expected in the smaller sample is a cell. So is one that is new, or has
    vanished, for all that can be told. The others are pooled, in an arbitrary order that has nothing to
    do with their counts, into cells that are just large enough.

    Where a heavy-hitters summary leaves counts open, the two sides get the benefit of the doubt: they are as close to
    each other as they can be.

    Args:
        n: (pairs,) values behind each reference.
        m: (pairs,) values behind each current window.
    """
    table = _table(pairs)
    cell, is_testable = _cell_of_each(table, n, m)
    width = int(cell.max(initial=-1)) + 1
    place = table.pair * width + cell

    def shares(counts: FloatArray, total: FloatArray) -> FloatArray:
        # Sums of whole numbers, which no order of the categories changes.
        summed = np.bincount(place, counts, minlength=len(pairs) * width).astype(np.float64, copy=False)
        return summed.reshape(len(pairs), width) / total[:, np.newaxis]

    low, other_low = shares(table.reference_low, n), shares(table.current_low, m)
    if table.reference_low is not table.reference_high:
        high, other_high = shares(table.reference_high, n), shares(table.current_high, m)
        low, other_low = (
            np.maximum(low, np.minimum(high, other_low)),
            np.maximum(other_low, np.minimum(other_high, low)),
        )
    # In an order that neither the merging of replicas nor the names have a part in: sums of fractions depend on it.
    ordered = np.sort(low + 1j * other_low, axis=1)
    return CategoryShares(ordered.real.copy(), ordered.imag.copy(), is_testable)


def _table(pairs: Sequence[CategoricalPair]) -> _Table:
    names: list[str] = []
    expected: list[int] = []
    found: list[int] = []
    sizes: list[int] = []
    # Of pairs whose counts are not exact: where they begin, and by how much each side's counts may be too low.
    inexact: list[tuple[int, int, int, int]] = []
    for reference, current in pairs:
        start = len(names)
        before, now = reference.counts, current.counts
        if reference.other or current.other:
            kept = [name for name in before if _can_be_told(name, reference, current)]
            kept += [name for name in now if name not in before and _can_be_told(name, current, reference)]
            was, came = [before.get(name, 0) for name in kept], [now.get(name, 0) for name in kept]
            names += (*kept, _REMAINDER)
            expected += (*was, reference.total - sum(was))
            found += (*came, current.total - sum(came))
            inexact.append((start, len(names) - 1, _possible_error(reference), _possible_error(current)))
        else:
            names += before
            expected += before.values()
            if before.keys() != now.keys():
                new = [name for name in now if name not in before]
                names += new
                expected += repeat(0, len(new))
            found += map(now.get, names[start:], repeat(0))
        sizes.append(len(names) - start)
    pair = np.repeat(np.arange(len(pairs)), sizes)
    r, c = np.array(expected, dtype=np.float64), np.array(found, dtype=np.float64)
    low_r = high_r = r
    low_c = high_c = c
    if inexact:
        low_r, high_r, low_c, high_c = r.copy(), r.copy(), c.copy(), c.copy()
        for start, remainder, error_r, error_c in inexact:
            high_r[start:remainder] += error_r
            high_c[start:remainder] += error_c
            # What the names may have too little of, the remainder has too much of.
            low_r[remainder] = max(0.0, r[remainder] - (remainder - start) * error_r)
            low_c[remainder] = max(0.0, c[remainder] - (remainder - start) * error_c)
    return _Table(pair, names, r, c, low_r, high_r, low_c, high_c)


def _can_be_told(name: str, holder: CategoricalDistribution, other: CategoricalDistribution) -> bool:
    """Whether a category that `holder` names need not be looked for in the remainder of `other`."""
    if not other.other or name in other.counts:
        return True
    smaller = min(holder.total, other.total)
    hidden_at_most = max(1.0, smaller * _possible_error(other) / other.total)
    return smaller * holder.counts[name] / holder.total >= 2 * EXPECTED_PER_CELL * hidden_at_most


def _possible_error(distribution: CategoricalDistribution) -> int:
    """By how much the count of a category may be too low."""
    return (distribution.error_bound or distribution.other) if distribution.other else 0


def _cell_of_each(table: _Table, n: FloatArray, m: FloatArray) -> tuple[IndexArray, Flags]:
    """(categories,) the cell of each category in its pair, and (pairs,) whether there are two to be tested."""
    pair, pairs = table.pair, len(n)
    smaller, both = np.minimum(n, m), n + m
    counted = table.reference + table.current
    # As many values of both samples as it takes to expect five in the smaller one.
    needed = _ENOUGH * both / smaller
    is_own = counted >= needed[pair]
    rare = np.flatnonzero(~is_own)
    is_own[rare] = _is_new(pair[rare], table.reference[rare], table.current[rare], n, m)
    rare = rare[~is_own[rare]]
    own = np.bincount(pair[is_own], minlength=pairs)
    rare = rare[_arbitrary_order(pair[rare], [table.names[position] for position in rare.tolist()])]
    group, groups = _pooled(pair[rare], counted[rare], needed)
    is_testable = own + groups > 1
    cell = np.empty(len(pair), dtype=np.intp)
    first = np.concatenate(([0], np.cumsum(np.bincount(pair, minlength=pairs))[:-1])).astype(np.intp)
    is_alone = is_own | ~is_testable[pair]
    running: IndexArray = np.cumsum(is_alone) - is_alone
    cell[is_alone] = (running - np.append(running, 0)[first][pair])[is_alone]
    is_pooled = is_testable[pair[rare]]
    rare, group = rare[is_pooled], group[is_pooled]
    cell[rare] = own[pair[rare]] + group
    lost = rare[groups[pair[rare]] == 0]
    if lost.size:
        # Too few for a cell of their own; beside the smallest cell they are felt most.
        candidates = np.flatnonzero(is_own & np.isin(pair, pair[lost]))
        order = np.lexsort((table.reference[candidates], counted[candidates], pair[candidates]))
        candidates = candidates[order]
        holders, position = np.unique(pair[candidates], return_index=True)
        cell[lost] = cell[candidates[position]][np.searchsorted(holders, pair[lost])]
    return cell, is_testable


def _is_new(pair: IndexArray, reference: FloatArray, current: FloatArray, n: FloatArray, m: FloatArray) -> Flags:
    """Which of the rare categories, (categories,), are so one-sided that they must not be diluted by the others.

    Without drift each value of a category is of the current window with probability m / (n + m). Looking at the sides
    costs false alarms, so that the probability of doing it for any of a pair's rare categories is held at 0.5 %.
    """
    found: Flags = np.zeros(len(pair), dtype=np.bool_)
    is_current_more = current * n[pair] > reference * m[pair]
    more = np.where(is_current_more, current, reference)
    some = np.flatnonzero(more >= _NEW_AT_LEAST)
    if some.size:
        rare_ones = np.bincount(pair[reference + current > 0], minlength=len(n))[pair[some]]
        share = (np.where(is_current_more[some], m[pair[some]], n[pair[some]])) / (n + m)[pair[some]]
        less = reference[some] + current[some] - more[some]
        # The binomial probability of at least as many: Abramowitz & Stegun, 26.5.24.
        found[some] = special.betainc(more[some], less + 1, share) * rare_ones <= _NEW_BY_CHANCE
    return found


def _arbitrary_order(pair: IndexArray, names: Sequence[str]) -> IndexArray:
    """An order within each pair that depends on the names only, and means nothing."""
    digests = np.fromiter(
        (crc32(name.encode("utf-8", "surrogatepass")) for name in names), dtype=np.int64, count=len(names)
    )
    keys = pair.astype(np.int64) << 32 | digests
    order: IndexArray = np.argsort(keys, kind="stable").astype(np.intp)
    if (keys[order[1:]] == keys[order[:-1]]).any():
        order = np.array(sorted(range(len(names)), key=lambda position: (keys[position], names[position])), np.intp)
    return order


def _pooled(pair: IndexArray, counted: FloatArray, needed: FloatArray) -> tuple[IndexArray, IndexArray]:
    """The cell that each rare category is pooled in, and (pairs,) how many such cells there are.

    Categories are cut where their running sum passes multiples of what is needed plus the largest of them, so that no
    cell gets less. As many cells as possible would find no more drift, and make the scores of clean data less certain.
    A rest that is too small joins the last cell; where it is all there is, there is no cell.
    """
    pairs = len(needed)
    largest = np.zeros(pairs)
    np.maximum.at(largest, pair, counted)
    total = np.bincount(pair, counted, minlength=pairs)
    before = np.cumsum(counted) - counted - (np.cumsum(total) - total)[pair]
    group: IndexArray = (before // (needed + largest)[pair]).astype(np.intp)
    groups = np.zeros(pairs, dtype=np.intp)
    np.maximum.at(groups, pair, group + 1)
    is_last = group == groups[pair] - 1
    in_last = np.bincount(pair[is_last], counted[is_last], minlength=pairs)
    is_short = (in_last < needed) & (groups > 0)
    groups[is_short] -= 1
    group[is_last & is_short[pair] & (groups[pair] > 0)] -= 1
    return group, groups
