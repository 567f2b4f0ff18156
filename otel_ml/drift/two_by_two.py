"""Two samples of two categories: their table, and exact probabilities."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from otel_ml.drift import special
from otel_ml.drift.columns import Columns
from otel_ml.sketch.distribution import CategoricalDistribution
from otel_ml.sketch.sketch import FloatArray

# Where the number that chance decides over varies by more, the normal distribution is as good.
_EXACT_UP_TO = 200.0
# What is left out beyond so many deviations and values from the mode is less than 1e-15, also of skewed distributions.
_DEVIATIONS = 9
_VALUES = 40
# Probabilities that are equal but for rounding are equal, as in R's fisher.test.
_EQUAL = 1 + 1e-7
# What the processor's second cache holds.
_NUMBERS_AT_ONCE = 20_000


class Tables(NamedTuple):
    """How many values each side has of one of the two categories, whichever; all of shape (columns,).

    NaN where there are more than two categories, or where heavy hitters leave open which there are.
    """

    reference: FloatArray
    current: FloatArray
    n: FloatArray
    m: FloatArray


def tables(columns: Columns) -> Tables:
    """The 2 x 2 table of each column of categories or truth values that has one."""
    first = np.array([_first(*pair) for pair in columns.pairs], dtype=np.float64)  # type: ignore[arg-type]  # no numbers
    reference, current = first.reshape(len(columns), 2).T
    return Tables(reference, current, columns.n, columns.m)


def _first(reference: CategoricalDistribution, current: CategoricalDistribution) -> tuple[float, float]:
    names = {name for counts in (reference.counts, current.counts) for name, count in counts.items() if count}
    if reference.other or current.other or len(names) > 2:
        return np.nan, np.nan
    name = min(names)
    return reference.counts.get(name, 0), current.counts.get(name, 0)


def fisher_p_values(table: Tables) -> FloatArray:
    """The probability of a table that is at most as likely as this one, given its margins; (columns,).

    Fisher's exact test, two-sided by likelihood (Fisher, 1935; Freeman & Halton, 1951). Where more than some 300,000
    values are on both sides, it is the normal limit with Yates's correction for continuity (1934).

    A single value of a category is no evidence, beside however large a reference: 1.
    """
    p_value = np.full(len(table.n), np.nan)
    total = table.n + table.m
    of_category = table.reference + table.current
    share = of_category / total
    deviation = np.sqrt(table.m * table.n * share * (1 - share) / np.maximum(total - 1, 1))
    mean = table.m * share
    known = np.flatnonzero(~np.isnan(share))
    # As close to the mean as half a value allows.
    off = np.maximum(0.0, np.abs(table.current[known] - mean[known]) - 0.5)
    variable = np.where(deviation[known] > 0, deviation[known], 1.0)
    p_value[known] = special.erfc(off / variable / np.sqrt(2))
    is_near = np.abs(table.current - mean) < _DEVIATIONS * deviation + _VALUES - 1
    exact = np.flatnonzero((deviation <= _EXACT_UP_TO) & is_near)
    exact = exact[np.argsort(deviation[exact])]
    while exact.size:
        # Columns of like width together, the widest first.
        width = 2 * int(_DEVIATIONS * deviation[exact[-1]] + _VALUES) + 1
        chunk, exact = np.split(exact[::-1], [max(1, _NUMBERS_AT_ONCE // width)])
        exact = exact[::-1]
        p_value[chunk] = _exact(table.current[chunk], of_category[chunk], table.n[chunk], table.m[chunk], width)
    p_value[np.minimum(of_category, total - of_category) <= 1] = 1.0
    return p_value


def _exact(found: FloatArray, of_category: FloatArray, n: FloatArray, m: FloatArray, width: int) -> FloatArray:
    """Sums of the hypergeometric probabilities that are not above that of `found`."""
    lowest, highest = np.maximum(0.0, of_category - n), np.minimum(of_category, m)
    mode = np.floor((m + 1) * (of_category + 1) / (n + m + 2))
    start = np.maximum(lowest, mode - width // 2)[:, np.newaxis]
    k = start + np.arange(width)
    inside = k <= highest[:, np.newaxis]
    all_of, of_current = of_category[:, np.newaxis], m[:, np.newaxis]
    before = k[:, :-1]
    up = (all_of - before) * (of_current - before)
    down = (before + 1) * (n[:, np.newaxis] - all_of + before + 1)
    usable = inside[:, 1:]
    steps = np.log(np.where(usable, up, 1.0) / np.where(usable, down, 1.0))
    log_relative = np.zeros(k.shape)
    np.cumsum(steps, axis=1, out=log_relative[:, 1:])
    log_relative -= np.take_along_axis(log_relative, (mode[:, np.newaxis] - start).astype(np.intp), axis=1)
    relative = np.exp(log_relative) * inside
    at = np.take_along_axis(relative, (found[:, np.newaxis] - start).astype(np.intp), axis=1)
    not_likelier = np.where(relative <= at * _EQUAL, relative, 0.0).sum(axis=1)
    p_values: FloatArray = np.minimum(1.0, not_likelier / relative.sum(axis=1))
    return p_values
