"""What a baseline keeps of a column of truth values or categories."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from otel_ml.baseline.values import boolean_of, category_of, is_missing
from otel_ml.sketch.cardinality import HyperLogLog
from otel_ml.sketch.categories import LIMIT, NAME_LENGTH, CategoryCounts
from otel_ml.sketch.feature import Counters
from otel_ml.sketch.summary import BooleanSummary, CategoricalSummary

if TYPE_CHECKING:
    from otel_ml.baseline.columns import Column

FOLD_AT: Final = 1 << 20
"""Distinct categories that are counted one by one; beyond, the rare ones are folded into a bounded summary."""


def count_booleans(column: Column) -> tuple[BooleanSummary, Counters]:
    """Truth values, and whatever else was there."""
    summary, counters = BooleanSummary(), Counters()
    for counts in column.counts():
        for value, count in counts.items():
            counters.rows += count
            if is_missing(value):
                counters.missing += count
            elif (truth := boolean_of(value)) is None:
                counters.mismatched += count
            elif truth:
                summary.true_count += count
            else:
                summary.false_count += count
    return summary, counters


def count_categories(column: Column) -> tuple[CategoricalSummary | None, Counters]:
    """The 256 most frequent categories, how many others there were, and how many distinct ones.

    Returns:
        None in place of the categories when most of them are documents.
    """
    counters, cardinality = Counters(), HyperLogLog()
    folded, names, raw = CategoryCounts(), Counter[str](), Counter[Any]()
    long = 0
    for counts in column.counts():
        raw.update(counts)
        if len(raw) > LIMIT:
            long += _read(raw, names, counters)
            raw.clear()
        if len(names) > FOLD_AT:
            _fold(names, folded, cardinality)
    long += _read(raw, names, counters)
    if 2 * long > counters.valid:
        counters.mismatched = 0
        return None, counters
    if folded.count:
        _fold(names, folded, cardinality)
        return CategoricalSummary(folded, cardinality), counters
    # In order of name, for the sketch's bytes depend on it.
    cardinality.update(sorted(names))
    return CategoricalSummary(_most_frequent(names), cardinality), counters


def _read(raw: Counter[Any], names: Counter[str], counters: Counters) -> int:
    """Adds values under their names; returns how many were longer than a name may be."""
    long = 0
    for value, count in raw.items():
        counters.rows += count
        if type(value) is str and value.isascii() and len(value) <= NAME_LENGTH:
            names[value] += count
        elif is_missing(value):
            counters.missing += count
        elif (name := category_of(value)) is None:
            counters.mismatched += count
        else:
            names[name] += count
            if isinstance(value, str) and len(value) > NAME_LENGTH:
                long += count
    return long


def _fold(names: Counter[str], folded: CategoryCounts, cardinality: HyperLogLog) -> None:
    cardinality.update(sorted(names))
    folded.update(names)
    names.clear()


def _most_frequent(names: Counter[str]) -> CategoryCounts:
    ranked = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    return CategoryCounts(
        counts=dict(ranked[:LIMIT]),
        other=sum(count for _, count in ranked[LIMIT:]),
        error_bound=ranked[LIMIT][1] if len(ranked) > LIMIT else 0,
    )
