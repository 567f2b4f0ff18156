"""What one column is like at each hour of the day, and how much it usually differs from that."""

from __future__ import annotations

import math
from typing import Final

HOURS: Final = 24

# Days that count: of what is usual a week, so that a change stays news about as long; of the noise four of them.
_USUAL_DAYS: Final = 7
_NOISE_DAYS: Final = 28
# A variance that was estimated from D days is raised by this share of 1/D: few days may all have been quiet ones.
_CAUTION: Final = 5.0
# No single hour counts for more standard deviations of the noise.
_LIMIT: Final = 6.0
# Nor for more standard errors, before the noise is known.
_FAR: Final = 1e6


class UsualHours:
    """The mean of a column at each hour of the day, over about the last week.

    Attributes:
        means: For each hour of the day.
        counts: Values behind each; older ones count less. 0 where nothing was seen yet.
    """

    __slots__ = ("counts", "means")

    def __init__(self) -> None:
        self.means = [0.0] * HOURS
        self.counts = [0.0] * HOURS

    def add(self, hour: int, count: float, mean: float) -> None:
        """Take in an hour of the day."""
        total = self.counts[hour] + count
        # Not the difference of the two, which may overflow.
        self.means[hour] = self.means[hour] * (self.counts[hour] / total) + mean * (count / total)
        self.counts[hour] = total * (1 - 1 / _USUAL_DAYS)


class Noise:
    """By how much more than sampling explains a column differs from day to day.

    Errors of the hours of one day may all have the same sign: weekends have, and so have days of rain. What counts for
    a sum over many hours is the variance of the sums of whole days, divided by their hours. Here it is half the mean
    square of their differences from one day to the next (von Neumann, "Distribution of the ratio of the mean square
    successive difference to the variance", 1941), or else a change that lasts, or grows day by day, would be noise. For
    independent errors, in standard errors, it is 1.

    Attributes:
        seen_days: From which it was learnt.
    """

    __slots__ = (
        "_day",
        "_day_hours",
        "_day_squares",
        "_day_sum",
        "_days",
        "_freedom",
        "_has_previous",
        "_hour_squares",
        "_previous",
        "_squares",
        "seen_days",
    )

    def __init__(self) -> None:
        self.seen_days = 0
        # Between days, older ones counting less.
        self._days = 0.0
        self._squares = 0.0
        # Within days, likewise.
        self._freedom = 0.0
        self._hour_squares = 0.0
        self._has_previous = False
        self._previous = 0.0
        self._day = 0
        self.drop_day()

    @property
    def scale(self) -> float:
        """By what a deviation in standard errors is to be divided: at least 1."""
        variance = 1.0
        if self._days:
            variance = max(variance, self._squares / self._days * (1 + _CAUTION / self._days))
        if self._freedom:
            variance = max(variance, self._hour_squares / self._freedom)
        return math.sqrt(variance)

    def begin(self, day: int) -> None:
        """Close the day before, if this is another one."""
        if day == self._day:
            return
        self._day = day
        if self._day_hours:
            self._close_day()
        else:
            self._has_previous = False
        self.drop_day()

    def add(self, deviation: float) -> None:
        """Take in an hour's deviation, in standard errors."""
        limit = _LIMIT * self.scale if self._days else _FAR
        deviation = min(max(deviation, -limit), limit)
        self._day_hours += 1
        self._day_sum += deviation
        self._day_squares += deviation * deviation

    def drop_day(self) -> None:
        """Leave out what was seen of this day: something happened in it."""
        self._day_hours = 0
        self._day_sum = self._day_squares = 0.0

    def numbers(self) -> tuple[float, ...]:
        """Everything to be remembered."""
        return tuple(float(getattr(self, name)) for name in self.__slots__)

    def restore(self, numbers: tuple[float, ...]) -> None:
        """Go on where `numbers` was called."""
        for name, number in zip(self.__slots__, numbers, strict=True):
            setattr(self, name, type(getattr(self, name))(number))

    def _close_day(self) -> None:
        keep = 1 - 1 / _NOISE_DAYS
        standardised = self._day_sum / math.sqrt(self._day_hours)
        self.seen_days += 1
        if self._has_previous:
            difference = standardised - self._previous
            self._days = self._days * keep + 1
            self._squares = self._squares * keep + difference * difference / 2
        self._freedom = self._freedom * keep + self._day_hours - 1
        self._hour_squares = self._hour_squares * keep + max(0.0, self._day_squares - standardised * standardised)
        self._has_previous, self._previous = True, standardised
