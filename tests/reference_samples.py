"""Closed windows of past days, for tests of what windows are compared with."""

import numpy as np
from processor_samples import MODEL, SECOND, numeric

from collector_processor.processors.windows import Window
from otel_ml.sketch.feature import FeatureKey, FeatureRole

HOUR = 3600 * SECOND
DAY = 24 * HOUR
# Monday 16 June 2025, 00:00 UTC.
MONDAY = 1_750_032_000 * SECOND
AMOUNT = FeatureKey(FeatureRole.FEATURE, "amount")


def closed(start, *columns, length=HOUR, model=MODEL, segment=None, rows=None):
    """A closed window with these columns."""
    rows = columns[0].counters.rows if rows is None and columns else rows or 0
    parts = {(column.key, column.kind): column for column in columns}
    return Window(model, start, start + length, rows, unbinned=parts, segment=segment)


def amounts(start, *, rows=300, mean=0.0, seed=None, layout=None, **placed):
    """A closed window of amounts around a mean; the same start gives the same values."""
    values = np.random.default_rng(start % 2**32 if seed is None else seed).normal(mean, 1.0, rows)
    return closed(start, numeric("amount", values, layout=layout), **placed)


def hourly(first, hours, **placed):
    """Windows one after the other, an hour each unless told otherwise."""
    length = placed.get("length", HOUR)
    return [amounts(start, **placed) for start in range(first, first + hours * HOUR, length)]


class Shelf:
    """A store in memory."""

    def __init__(self):
        self.sections = {}

    def read(self, section):
        return self.sections.get(section, {})

    def take(self, sections, changes=None):
        """What `Store.write` does, without waiting."""
        self.sections.update(sections)
        for section, entries in (changes or {}).items():
            kept = {**self.sections.get(section, {}), **entries}
            self.sections[section] = {key: value for key, value in kept.items() if value is not None}
