"""Months of 50 columns whose means are watched for slow drift: how often without a change, and how soon with one.

Only the means of hourly windows are drawn, from their sampling distribution, so that there can be many months. Real
traffic does not repeat exactly from day to day: some months wobble, by whole days, by single hours, or at weekends.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np

from benchmarks.figure import Figure, Figures
from collector_processor.processors.evaluation import FeatureEvaluation, WindowEvaluation
from collector_processor.processors.evaluation.center import Center
from collector_processor.processors.series.slow_drift import SlowDrift
from collector_processor.processors.settings import DriftSettings
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole, ModelKey

COLUMNS = 50
DAYS = 30
DAY = 24
SEASON = 0.2
SHIFTS = (0.03, 0.05, 0.1)
# How long a shift lasts.
LASTS = 48
_HOUR_NANO = 3600 * 1_000_000_000
_MODEL = ModelKey("watched")
_KEYS = [FeatureKey(FeatureRole.FEATURE, f"column_{number}") for number in range(COLUMNS)]


@dataclass(frozen=True, slots=True)
class Wobble:
    """What differs from day to day for no reason, in standard deviations of the values.

    Attributes:
        days: Of whole days.
        hours: Of single hours.
        weekends: By which every weekend is higher.
    """

    days: float = 0.0
    hours: float = 0.0
    weekends: float = 0.0


WOBBLES = {
    "clean": Wobble(),
    "days_0.05": Wobble(days=0.05),
    "hours_0.05": Wobble(hours=0.05),
    "weekends_0.3": Wobble(weekends=0.3),
}


def measure() -> Figures:
    """False alarms a month, and delays and shares of finds of shifts that begin in the second week and later."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    months, days, begins = (10 * rounds, DAYS, (8, 11, 17, 26)) if rounds else (1, 9, (8,))
    figures: dict[str, Figure] = {}
    for name, wobble in WOBBLES.items():
        alarms = sum(len(list(_alarms(seed, days, wobble))) for seed in range(months))
        goal = 0.2 if name == "clean" else None
        figures[f"slow.false_alarms.{name}"] = Figure(alarms / months, "a month of 50 columns", goal, 0)
    for shift in SHIFTS:
        delays = [delay for begin in begins for delay in _delays(begin, shift)]
        if delays:
            figures[f"slow.delay.shift_{shift}"] = Figure(median(delays), "windows", None, 1)
        found = len(delays) / COLUMNS / len(begins)
        figures[f"slow.found.shift_{shift}"] = Figure(found, "of the changes", None, 1, better="higher")
    return figures


def _delays(begin: int, shift: float) -> list[int]:
    """Hours until the first alarm of each column that had one, of a shift that begins on some day, at any hour."""
    at = begin * DAY + 7 * begin % DAY
    first: dict[FeatureKey, int] = {}
    for hour, key in _alarms(1_000 + begin, begin + 1 + LASTS // DAY, Wobble(), shift, at):
        if at <= hour < at + LASTS:
            first.setdefault(key, hour - at + 1)
    return list(first.values())


def _alarms(
    seed: int, days: int, wobble: Wobble, shift: float = 0.0, at: int | None = None
) -> Iterator[tuple[int, FeatureKey]]:
    """Hour and column of every alarm that goes on."""
    rng = np.random.default_rng(seed)
    settings = DriftSettings()
    watch = SlowDrift(settings.slow_drift, settings.alerts.alpha)
    phases = rng.uniform(0, DAY, COLUMNS)
    of_day = np.zeros(COLUMNS)
    alarming: set[FeatureKey] = set()
    for hour in range(days * DAY):
        if hour % DAY == 0:
            of_day = wobble.days * rng.standard_normal(COLUMNS)
            of_day += wobble.weekends * (hour // DAY % 7 >= 5)
        # From 200 rows in the dead of night to 2,000 in the afternoon.
        rows = max(1, int(rng.poisson(1100 - 900 * math.cos(2 * math.pi * (hour % DAY - 3) / DAY))))
        means = SEASON * np.cos(2 * np.pi * (hour - phases) / DAY) + of_day
        means += math.sqrt(wobble.hours**2 + 1 / rows) * rng.standard_normal(COLUMNS)
        if at is not None and hour >= at:
            means += shift
        for key, check in watch.observe(_window(hour, rows, means.tolist())).items():
            if check.is_big and key not in alarming:
                yield hour, key
            (alarming.add if check.is_big else alarming.discard)(key)


def _window(hour: int, rows: int, means: list[float]) -> WindowEvaluation:
    features = [
        FeatureEvaluation(key, FeatureKind.NUMERIC, Counters(rows), rows, center=Center(rows, mean, 1.0, 0.0, 1.0))
        for key, mean in zip(_KEYS, means, strict=True)
    ]
    begin = hour * _HOUR_NANO
    return WindowEvaluation(_MODEL, begin, begin + _HOUR_NANO, rows, False, "evaluated", features=features)
