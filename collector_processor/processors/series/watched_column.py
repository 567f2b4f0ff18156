"""One column, hour after hour: whether it is off in the same direction for too long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from collector_processor.processors.evaluation.center import Center
from collector_processor.processors.series.settings import SlowDriftSettings
from collector_processor.processors.series.usual_hours import HOURS, Noise, UsualHours
from otel_ml.drift.sequential import Cusum

_PATIENCE: Final = 72
"""Hours for which a change is an incident; after that it is how things are, and becomes what is usual: bit by bit, or
anew where it is plain drift."""
_FAR: Final = 1e6
"""Standard deviations; beyond them there is nothing but overflow."""


class SlowVerdict(NamedTuple):
    """What the hours up to now add up to.

    Attributes:
        statistic: The sum; held at the threshold while the alarm lasts.
        threshold: The sum from which on it alarms.
        is_alarming: Whether the alarm is on.
        hours: Since when the sum grows in this direction.
        offset: By how much these hours were off on average, signed, in standard deviations of the column's values.
    """

    statistic: float
    threshold: float
    is_alarming: bool
    hours: int
    offset: float


class PooledCenter(NamedTuple):
    """The mean of a column over the windows of an hour.

    Attributes:
        n: Values behind it.
        deviation: The unit of what matters: the column's standard deviation in the baseline or in these windows,
            whichever is larger.
        has_drifted: Whether a window of it drifted so far that it shows in the window.
    """

    n: int
    mean: float
    deviation: float
    has_drifted: bool = False

    @classmethod
    def of(cls, center: Center, *, has_drifted: bool) -> PooledCenter:
        """That of one window."""
        return cls(
            center.n, center.mean, max(center.deviation, center.baseline_deviation or 0.0), has_drifted=has_drifted
        )

    def merged(self, other: PooledCenter) -> PooledCenter:
        """That of both."""
        n = self.n + other.n
        share = other.n / n
        return PooledCenter(
            n,
            self.mean * (1 - share) + other.mean * share,
            max(self.deviation, other.deviation),
            self.has_drifted or other.has_drifted,
        )


class WatchedColumn:
    """What is remembered of one column.

    Deviations are those from the same hour of the days before, not from the baseline: seasons would be drift. The sum
    is a CUSUM of them, in standard errors that count the noise of the column from day to day in.

    Attributes:
        latest: The last hour that was seen, since 1970.
    """

    __slots__ = (
        "_alarm_hours",
        "_cusum",
        "_drifted_hours",
        "_noise",
        "_run_direction",
        "_run_hours",
        "_run_offset",
        "_run_weight",
        "_settings",
        "_usual",
        "latest",
    )

    def __init__(self, settings: SlowDriftSettings) -> None:
        self._settings = settings
        self._cusum = Cusum(settings.shift, settings.run_length)
        self._usual = UsualHours()
        self._noise = Noise()
        self._alarm_hours = self._drifted_hours = 0
        self._run_direction = self._run_hours = 0
        self._run_offset = self._run_weight = 0.0
        self.latest = 0

    def observe(self, hour: int, center: PooledCenter) -> SlowVerdict | None:
        """Take an hour in; None where nothing can be said of it.

        Args:
            hour: Since 1970.
        """
        self.latest = hour
        if center.has_drifted:
            # Another alert tells of it. It neither adds to this one's evidence nor is it an example for tomorrow.
            self._noise.drop_day()
            self._drifted_hours += 1
            if self._drifted_hours >= _PATIENCE:
                self._begin_anew()
            return None
        self._drifted_hours = 0
        day, hour_of_day = divmod(hour, HOURS)
        self._noise.begin(day)
        verdict = self._compare(hour_of_day, center)
        self._alarm_hours = self._alarm_hours + 1 if verdict is not None and verdict.is_alarming else 0
        # At first it is an incident, whose end should be none.
        if not 0 < self._alarm_hours <= _PATIENCE:
            self._usual.add(hour_of_day, center.n, center.mean)
        return verdict

    def numbers(self) -> list[float]:
        """Everything to be remembered, always as many."""
        state = self._cusum.encode()
        run = (self._run_direction, self._run_hours, self._run_offset, self._run_weight)
        return [
            float(number)
            for number in (
                self.latest,
                self._drifted_hours,
                self._alarm_hours,
                *run,
                state["above"],
                state["below"],
                state["is_alarming"],
                *self._noise.numbers(),
                *self._usual.means,
                *self._usual.counts,
            )
        ]

    def restore(self, numbers: Sequence[float]) -> None:
        """Go on where `numbers` was called.

        Raises:
            ValueError: These are others.
        """
        if len(numbers) != len(self.numbers()) or not all(map(math.isfinite, numbers)):
            raise ValueError("no watched column")
        latest, drifted, alarmed, direction, hours, offset, weight, above, below, alarming = numbers[:10]
        self._cusum.restore({"above": above, "below": below, "is_alarming": bool(alarming)})
        self.latest, self._drifted_hours, self._alarm_hours = int(latest), int(drifted), int(alarmed)
        self._run_direction, self._run_hours = int(direction), int(hours)
        self._run_offset, self._run_weight = offset, weight
        self._noise.restore(tuple(numbers[10 : -2 * HOURS]))
        self._usual.means = list(numbers[-2 * HOURS : -HOURS])
        self._usual.counts = list(numbers[-HOURS:])

    def _begin_anew(self) -> None:
        self._cusum.restore({"above": 0.0, "below": 0.0, "is_alarming": False})
        self._usual = UsualHours()
        self._noise = Noise()
        self._alarm_hours = self._drifted_hours = 0
        self._end_run()

    def _end_run(self) -> None:
        self._run_direction = self._run_hours = 0
        self._run_offset = self._run_weight = 0.0

    def _compare(self, hour_of_day: int, center: PooledCenter) -> SlowVerdict | None:
        seen = self._usual.counts[hour_of_day]
        if not seen or not center.deviation > 0:
            return None
        # In standard deviations of the values.
        offset = center.mean / center.deviation - self._usual.means[hour_of_day] / center.deviation
        if math.isnan(offset):
            return None
        offset = min(max(offset, -_FAR), _FAR)
        error = math.sqrt(1 / center.n + 1 / seen)
        verdict = None
        settings = self._settings
        if self._noise.seen_days >= settings.learning_days:
            unit = error * self._noise.scale
            # Of the two allowances, what is tolerated and half of the shift, the larger one is enough.
            tolerance = max(0.0, settings.tolerance / unit - settings.shift / 2)
            found = self._cusum.observe(offset / unit, tolerance=tolerance)
            self._extend_run(offset, unit)
            statistic = found.threshold if found.is_alarming else found.statistic
            verdict = SlowVerdict(statistic, found.threshold, found.is_alarming, self._run_hours, self._run_offset)
        if verdict is not None and verdict.is_alarming:
            self._noise.drop_day()
        else:
            self._noise.add(offset / error)
        return verdict

    def _extend_run(self, offset: float, unit: float) -> None:
        if self._cusum.direction != self._run_direction:
            self._end_run()
            self._run_direction = self._cusum.direction
        if self._run_direction:
            weight = 1 / (unit * unit)
            self._run_hours += 1
            self._run_weight += weight
            self._run_offset += (offset - self._run_offset) * (weight / self._run_weight)
