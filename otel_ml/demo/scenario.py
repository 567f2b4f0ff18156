"""The story: three healthy weeks, three with a broken upstream feed, and the fix.

One week of flights passes in one window of the processor, whatever the speed, so that what the statistics see does not
depend on it. The processor wants two breaches in three windows to fire and two quiet windows to resolve: the incident
fires at the end of its second week and resolves two weeks after the fix.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

import numpy as np

from otel_ml.demo.flights import DAY, SERVING_STARTS

if TYPE_CHECKING:
    import pandas as pd

KILOMETRES_PER_MILE: Final = 1.609344
LOST_SHARE: Final = 0.6
WEEK_S: Final = 5.0
"""Wall-clock seconds in which a week of flights passes at speed 1."""
RENAMED_CARRIER: Final = ("UA", "UAL")
"""United's IATA code, and its ICAO code."""


class Phase(Enum):
    """Where in the story a moment is."""

    NORMAL = "normal"
    INCIDENT = "incident"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Symptom:
    """What the incident must be seen by.

    Attributes:
        feature: The column it breaks.
        alert: The check that must fire on that column.
        also: Checks that may fire on it as well: the same cause, seen another way.
        story: What happened upstream.
    """

    feature: str
    alert: str
    also: tuple[str, ...]
    story: str


SYMPTOMS: Final = (
    Symptom("distance", "drift", ("out_of_range",), "distance arrives in kilometres instead of miles"),
    Symptom("seats", "missing", ("drift",), "the aircraft register answers for few tail numbers: seats are null"),
    Symptom("carrier", "unseen_category", ("drift",), "United's code arrives as UAL instead of UA"),
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """When what happens, in simulated time and on the wall clock.

    Attributes:
        starts: First day that is replayed.
        normal_weeks: Weeks before the incident.
        incident_weeks: Weeks it lasts.
        fixed_weeks: Weeks after the fix.
        week_s: Wall-clock seconds in which a week passes; also the length of the processor's windows.
        seed: Decides which seats are lost.
    """

    starts: date = SERVING_STARTS
    normal_weeks: int = 3
    incident_weeks: int = 3
    fixed_weeks: int = 4
    week_s: float = WEEK_S
    seed: int = 0

    @classmethod
    def at_speed(cls, speed: float, seed: int) -> Scenario:
        """The story told `speed` times as fast as by default."""
        # A fiftieth of a second, so that a fifth of a week, the export interval, is a whole number of milliseconds.
        return cls(week_s=max(1, round(WEEK_S / speed * 50)) / 50, seed=seed)

    @property
    def weeks(self) -> int:
        """Weeks, and windows, of the whole story."""
        return self.normal_weeks + self.incident_weeks + self.fixed_weeks

    @property
    def incident_starts(self) -> datetime:
        """First broken moment, in simulated time."""
        return self._midnight + timedelta(weeks=self.normal_weeks)

    @property
    def incident_ends(self) -> datetime:
        """First moment after the fix, in simulated time."""
        return self.incident_starts + timedelta(weeks=self.incident_weeks)

    @property
    def duration_s(self) -> float:
        """How long the replay takes."""
        return self.weeks * self.week_s

    @property
    def ends(self) -> datetime:
        """First moment after the replay, in simulated time."""
        return self._midnight + timedelta(weeks=self.weeks)

    def elapsed_s(self, moment: datetime) -> float:
        """Wall-clock seconds from the start of the replay to a simulated moment."""
        return (moment - self._midnight) / timedelta(weeks=1) * self.week_s

    def moment(self, elapsed_s: float) -> datetime:
        """The simulated moment after so many wall-clock seconds of replay."""
        return self._midnight + timedelta(weeks=1) * (elapsed_s / self.week_s)

    def phase(self, moment: datetime) -> Phase:
        """Where in the story a simulated moment is."""
        if moment < self.incident_starts:
            return Phase.NORMAL
        return Phase.INCIDENT if moment < self.incident_ends else Phase.FIXED

    def replayed(self, flights: pd.DataFrame) -> pd.DataFrame:
        """The flights of the story, as they reach the server: broken during the incident, untouched otherwise."""
        told = flights[flights[DAY].between(self._midnight, self.ends, inclusive="left")].copy()
        is_broken = told[DAY].between(self.incident_starts, self.incident_ends, inclusive="left")
        told.loc[is_broken, "distance"] *= KILOMETRES_PER_MILE
        is_lost = np.random.default_rng(self.seed).random(len(told)) < LOST_SHARE
        told.loc[is_broken & is_lost, "seats"] = np.nan
        known, arriving = RENAMED_CARRIER
        told.loc[is_broken & (told["carrier"] == known), "carrier"] = arriving
        return told

    @property
    def _midnight(self) -> datetime:
        return datetime.combine(self.starts, time())
