"""What is kept of a column of points in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from otel_ml.sketch.moments import Moments
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.sketch import CountArray, FloatArray

HOURS: Final = 24
WEEKDAYS: Final = 7

_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_EPOCH_WEEKDAY: Final = 3
"""1970-01-01 was a Thursday, and Monday is 0."""


def _no_hours() -> CountArray:
    return np.zeros(HOURS, np.int64)


def _no_weekdays() -> CountArray:
    return np.zeros(WEEKDAYS, np.int64)


@dataclass(slots=True, eq=False)
class DatetimeSummary:
    """Range, age and rhythm of points in time, all in UTC.

    Attributes:
        epochs: Seconds since 1970; they tell the earliest and the latest.
        ages: Seconds from the value to the inference, negative where the value lies ahead; empty in a baseline.
        hours: (24,) how many fall into each hour of the day; never changed in place.
        weekdays: (7,) how many fall on each day, Monday first; never changed in place.
    """

    epochs: Moments = field(default_factory=Moments)
    ages: NumericSummary = field(default_factory=NumericSummary)
    hours: CountArray = field(default_factory=_no_hours)
    weekdays: CountArray = field(default_factory=_no_weekdays)

    @property
    def count(self) -> int:
        """How many points in time there were."""
        return self.epochs.count

    def update(self, epochs: FloatArray, now: FloatArray | float | None = None, /) -> None:
        """Add points in time.

        Args:
            epochs: (n,) seconds since 1970, UTC; finite.
            now: When the inferences took place, one for all or (n,) of them; None keeps no ages.
        """
        if epochs.size == 0:
            return
        self.epochs.update(epochs)
        days = np.floor(epochs / _DAY_S)
        # Rounding may put a value far from 1970 just outside its own day.
        hours = np.clip((epochs - days * _DAY_S) // _HOUR_S, 0, HOURS - 1).astype(np.intp)
        weekdays = np.mod(days + _EPOCH_WEEKDAY, WEEKDAYS).astype(np.intp)
        self.hours = self.hours + np.bincount(hours, minlength=HOURS)
        self.weekdays = self.weekdays + np.bincount(weekdays, minlength=WEEKDAYS)
        if now is not None:
            self.ages.update(now - epochs)

    def merge(self, other: DatetimeSummary, /) -> None:
        """Add what `other` has seen.

        Raises:
            IncompatibleSketchError: Bins of one hash differ in number.
        """
        self.ages.merge(other.ages)
        self.epochs.merge(other.epochs)
        self.hours = self.hours + other.hours
        self.weekdays = self.weekdays + other.weekdays
