"""A month of 50 columns with daily seasons, decided by the processor itself: false alerts, and delays to true ones.

Every seed is a model of its own: a baseline of 50,000 rows, a month of hourly windows in which nothing but the hour of
the day changes anything, and for every second seed the same month with eight changes injected, one after another, each
into another column and for two days.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.detection.month_traffic import DAY, Change, Month, Traffic
from benchmarks.figure import Figure, Figures
from collector_processor.processors.alerts import AlertBook, AlertState, Transition
from collector_processor.processors.evaluation import Evaluator
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.history import WindowHistory
from collector_processor.processors.references.named import NamedReferences
from collector_processor.processors.series import SeriesWatch
from collector_processor.processors.settings import DriftSettings
from collector_processor.processors.windows import Window, WindowStore
from otel_ml import Baseline
from otel_ml.drift.registry import create

DAYS = 30
# By the name of the figure: the column, and what is done to it. Shifts come to columns with seasons and without.
INJECTED = {
    "shift_0.1": ("steady_0", {"shift": 0.1}),
    "shift_0.25": ("steady_1", {"shift": 0.25}),
    "shift_0.5": ("steady_2", {"shift": 0.5}),
    "seasonal_shift_0.1": ("mean_0", {"shift": 0.1}),
    "seasonal_shift_0.25": ("mean_1", {"shift": 0.25}),
    "seasonal_shift_0.5": ("mean_2", {"shift": 0.5}),
    "null_spike_0.05": ("steady_3", {"missing": 0.05}),
    "new_category_0.02": ("few_0", {"new_category": 0.02}),
}


def measure() -> Figures:
    """Alerts that fired in clean months, and windows until those of the injected changes did."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    seeds, days = (20 * rounds, DAYS) if rounds else (1, 3)
    false_alerts: Counter[str] = Counter()
    clean_months = 0
    fired: dict[str, list[list[int]]] = {name: [] for name in INJECTED}
    lengths: dict[str, int] = {}
    # Every seed is a world of its own, and each takes a minute.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for outcome in processes.map(_observed, range(seeds), repeat(days)):
            false_alerts.update(outcome.false_alerts)
            clean_months += not outcome.false_alerts
            lengths |= outcome.lengths
            for name, hours in outcome.fired.items():
                fired[name].append(hours)
    figures = {
        "month.false_alerts": Figure(false_alerts.total() / seeds, "a month", 1, 0),
        "month.without_false_alert": Figure(clean_months / seeds, "of the months", None, 1, better="higher"),
    }
    figures |= {
        f"month.false_alerts.{check}": Figure(count / seeds, "a month", None, 0)
        for check, count in sorted(false_alerts.items())
    }
    for name, of_change in fired.items():
        # What was not found is as if it had been found when it was over.
        delays = [hours[0] if hours else lengths[name] for hours in of_change]
        found = sum(map(bool, of_change))
        figures[f"month.delay.{name}"] = Figure(median(delays), "windows", None, 1)
        figures[f"month.found.{name}"] = Figure(found / len(of_change), "of the changes", None, 1, better="higher")
        if found:
            repeated = sum(map(len, of_change)) / found
            figures[f"month.alerts.{name}"] = Figure(repeated, "for each found", None, 1)
    return figures


class _Outcome(NamedTuple):
    """What one seed shows.

    Attributes:
        false_alerts: Checks that alerted in the clean month.
        lengths: Windows that each change lasted.
        fired: Windows from the begin of each change until each alert about it.
    """

    false_alerts: list[str]
    lengths: dict[str, int]
    fired: dict[str, list[int]]


def _observed(seed: int, days: int) -> _Outcome:
    traffic = Traffic.of(seed)
    baseline = traffic.baseline()
    month = traffic.month(baseline, days)
    false_alerts = [transition.key.check for _, transition in _alerts(month)]
    if seed % 2:
        # Delays differ less from model to model than false alerts do.
        return _Outcome(false_alerts, {}, {})
    changes = _schedule(np.random.default_rng(10_000 + seed), days)
    alerts = _alerts(month, list(changes.values()))
    fired = {
        name: [
            hour - change.begin + 1
            for hour, transition in alerts
            if transition.key.feature.name == change.column and change.begin <= hour < change.end
        ]
        for name, change in changes.items()
    }
    return _Outcome(false_alerts, {name: change.end - change.begin for name, change in changes.items()}, fired)


def watcher(baseline: Baseline, window: str) -> Callable[[Window], Sequence[Transition]]:
    """What the processor does with each closed window, by its default settings.

    Of the detectors only those that decide are run: the others are reported, and would take most of the time.
    """
    settings = DriftSettings.model_validate({"window": window})
    # Of the default detectors, "auto" chooses psi for all of these columns.
    deciding = {*settings.decide_by.model_dump().values(), "psi"}
    detectors = {name: create(name, options) for name, options in settings.detectors.items() if name in deciding}
    baselines = References([baseline])
    evaluator = Evaluator(
        baselines,
        detectors,
        settings.decide_by,
        settings.quality,
        settings.min_rows,
        settings.rule,
    )
    history = WindowHistory(settings.references, settings.window)
    named = NamedReferences(settings.references, history, baselines.find, settings.min_rows, WindowStore(settings))
    series = SeriesWatch(settings.slow_drift, settings.concept, settings.alerts.alpha)
    alerts = AlertBook(settings.alerts)

    def watch(closed: Window) -> Sequence[Transition]:
        history.remember(closed)
        references = [named.read(selection) for selection in named.select(closed)]
        evaluation = evaluator.evaluate(closed, references, named.rollup(closed))
        history.mark_drifted(closed, evaluation.confirmed)
        watched, _ = series.observe(evaluation)
        return alerts.observe(watched)

    return watch


def _alerts(month: Month, changes: Sequence[Change] = ()) -> list[tuple[int, Transition]]:
    """The alerts that began to fire, with the hour of the month in which they did."""
    watch = watcher(month.baseline, "1h")
    return [
        (hour, transition)
        for hour, window in enumerate(month.windows(changes))
        for transition in watch(window)
        if transition.state is AlertState.FIRING
    ]


def _schedule(rng: np.random.Generator, days: int) -> dict[str, Change]:
    """The changes one after another in any order, after a quarter of the time, each with clean hours before it."""
    begin = days * DAY // 4
    slot = (days * DAY - begin) // len(INJECTED)
    length = slot * 3 // 4
    changes = {}
    for place, name in enumerate(rng.permutation(list(INJECTED)).tolist()):
        column, injected = INJECTED[name]
        start = begin + place * slot + int(rng.integers(0, slot - length + 1))
        changes[name] = Change(column, start, start + length, **injected)
    return {name: changes[name] for name in INJECTED}
