"""Weeks of hourly windows with a strong daily season, decided with and without the references that know it."""

import numpy as np
import pytest
from processor_samples import MODEL, numeric
from reference_samples import AMOUNT, HOUR, MONDAY, closed

from collector_processor.processors.references.decision import decide
from collector_processor.processors.references.history import WindowHistory
from collector_processor.processors.references.named import NamedReferences
from collector_processor.processors.references.settings import ReferenceSettings
from otel_ml.baseline import Baseline
from otel_ml.drift import create
from otel_ml.sketch.feature import FeatureKind

PSI = create("psi")
ROWS = 500
ALPHA = 0.01


def values(random, hour, rows, shift=0.0):
    return np.sin(hour / 24 * 2 * np.pi) + shift + random.normal(size=rows)


@pytest.fixture(scope="module")
def baseline():
    random = np.random.default_rng(1)
    amount = np.concatenate([values(random, hour, 200) for hour in range(24 * 14)])
    return Baseline.build({"amount": amount}, model=MODEL.name, version=MODEL.version)


def run(baseline, days, *, moved=(), shift=0.0, marks=True, **changes):
    """For each hour whether the column drifted, as a processor decides it."""
    random = np.random.default_rng(7)
    settings = ReferenceSettings(**changes)
    history = WindowHistory(settings, 3600.0)
    references = NamedReferences(settings, history, lambda _: baseline, 200)
    drifted = []
    for hour in range(24 * days):
        drawn = values(random, hour, ROWS, shift if hour in moved else 0.0)
        column = numeric("amount", drawn, layout=baseline.layout(AMOUNT))
        window = closed(MONDAY + hour * HOUR, column)
        history.remember(window)
        found = references.of(window)
        decision = decide({reference.name: verdict(reference, window) for reference in found})
        if marks and decision.is_confirmed:
            history.mark_drifted(window, [AMOUNT])
        drifted.append(decision.drifted)
    return drifted


def verdict(reference, window):
    """Effect and significance, the same for every reference."""
    pair = reference.pair(window.parts[AMOUNT, FeatureKind.NUMERIC])
    if pair is None:
        return None
    result = PSI.compare(*pair)
    return result.drifted and result.p_value < ALPHA


def test_nights_that_are_always_unlike_the_day_are_no_drift(baseline):
    """After the first day there is an example of every hour; the baseline alone would cry wolf every day."""
    alone = run(baseline, 10, last_day=False, last_week=False)
    with_seasons = run(baseline, 10)

    assert sum(alone) > 0.5 * len(alone)
    assert sum(with_seasons[24:]) == 0


def test_drift_is_found_through_the_season_for_three_days(baseline):
    """From the first hour on that shows it; then it is usual at that time, and unlike the baseline over the day."""
    shift_at = 24 * 3

    found = run(baseline, 8, moved=range(shift_at, 24 * 8), shift=1.5)
    unmarked = run(baseline, 8, moved=range(shift_at, 24 * 8), shift=1.5, marks=False)

    assert not any(found[24:shift_at])
    # Where the season pulls the other way, a shifted hour looks like the average of the training data.
    by_day = np.reshape(found[shift_at:], (-1, 24)).mean(axis=1)
    assert (by_day[:3] > 0.5).all()
    assert by_day[3:].sum() == 0
    # Without marks yesterday would hide it after a day.
    assert sum(unmarked[shift_at + 24 :]) == 0


def test_an_incident_has_no_echo(baseline):
    """The next night is compared with the night before the incident, not with the incident."""
    night = range(24 * 3 + 15, 24 * 3 + 21)

    found = run(baseline, 7, moved=night, shift=-1.5)
    unmarked = run(baseline, 7, moved=night, shift=-1.5, marks=False)

    assert all(found[hour] for hour in night)
    assert sum(found[24:]) == len(night)
    assert sum(unmarked[24:]) > len(night)


@pytest.mark.parametrize(("shift", "is_found"), [(0.0, False), (0.7, True)])
def test_a_day_rolled_up_shows_a_shift_that_hours_hide_in_their_season(baseline, shift, is_found):
    """Half of the season's own swing, and no yesterday to compare with: over a day, the season averages out."""
    random = np.random.default_rng(3)
    history = WindowHistory(ReferenceSettings(), 3600.0)
    references = NamedReferences(ReferenceSettings(), history, lambda _: baseline, 200)
    for hour in range(24):
        column = numeric("amount", values(random, hour, ROWS, shift), layout=baseline.layout(AMOUNT))
        window = closed(MONDAY + hour * HOUR, column)
        history.remember(window)

    day = references.rollup(window)

    of_baseline, *_ = references.of(day)
    result = PSI.compare(*of_baseline.pair(day.parts[AMOUNT, FeatureKind.NUMERIC]))
    assert day.rows == 24 * ROWS
    assert result.drifted is is_found
    assert (result.p_value < ALPHA) is is_found
