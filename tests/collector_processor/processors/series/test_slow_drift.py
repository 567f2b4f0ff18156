"""Small changes that add up over many hours."""

import math
from dataclasses import replace

import numpy as np
import pytest
from processor_samples import MINUTE, MODEL
from reference_samples import AMOUNT, HOUR, MONDAY

from collector_processor.processors.evaluation import DRIFT, Check, FeatureEvaluation, WindowEvaluation
from collector_processor.processors.evaluation.center import Center
from collector_processor.processors.series import SlowDriftSettings
from collector_processor.processors.series.slow_drift import SlowDrift
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment

ROWS = 1_000
LEARNT = 7 * 24
"""Hours until something is said: one day to compare with, and six to learn the noise."""


def column(mean, *, key=AMOUNT, n=ROWS, drifted=False):
    checks = [Check(DRIFT, "psi", 0.5, 0.1, drifted, 0.0, n, q_value=0.0)]
    center = None if mean is None else Center(n, mean, 1.0, 0.0, 1.0)
    return FeatureEvaluation(key, FeatureKind.NUMERIC, Counters(rows=n), n, checks=checks, center=center)


def window(start, *columns, model=MODEL, length=HOUR, segment=None):
    return WindowEvaluation(
        model, start, start + length, ROWS, False, "evaluated", "ab12cd34", list(columns), segment=segment
    )


def usual(hour, seed=1, weekend=0.0):
    """The mean of a column that follows the hour of the day, as a window of `ROWS` rows has it."""
    is_weekend = hour // 24 % 7 >= 5
    noise = np.random.default_rng([seed, hour]).standard_normal() / math.sqrt(ROWS)
    return 3.0 * math.cos(2 * math.pi * hour / 24) + noise + weekend * is_weekend


def run(watch, hours, shift=lambda hour: 0.0, *, seed=1, drifted=lambda hour: False, weekend=0.0):
    """The check of each hour, by the hour."""
    found = {}
    for hour in hours:
        mean = usual(hour, seed, weekend) + shift(hour)
        checks = watch.observe(window(MONDAY + hour * HOUR, column(mean, drifted=drifted(hour))))
        if checks:
            found[hour] = checks[AMOUNT]
    return found


def watch_of(**settings):
    return SlowDrift(SlowDriftSettings(**settings), 0.05)


def alarms(checks):
    return [hour for hour, check in checks.items() if check.is_big]


def test_nothing_is_said_before_the_noise_is_known():
    """A column that nobody has watched for a week may do anything."""
    checks = run(watch_of(), range(LEARNT + 3))

    assert list(checks) == [LEARNT, LEARNT + 1, LEARNT + 2]


def test_days_and_nights_are_no_drift():
    """Deviations are those from the same hour of other days, however far apart the hours are."""
    checks = run(watch_of(), range(30 * 24))

    assert len(checks) > 500
    assert alarms(checks) == []


def test_weekends_are_learnt_as_noise():
    """What comes back every week is no news, though each of its hours is off in the same direction."""
    assert alarms(run(watch_of(), range(8 * 7 * 24), weekend=0.5)) == []


def test_a_tenth_of_a_standard_deviation_is_found_within_a_day():
    """No window of a thousand rows shows it: it is three standard errors."""
    begin = LEARNT + 50
    found = alarms(run(watch_of(), range(begin + 24), lambda hour: 0.1 * (hour >= begin)))

    assert begin < found[0] <= begin + 24


def test_a_ramp_is_found():
    """A change of two hundredths a day is nothing from one day to the next."""
    begin = LEARNT + 24
    found = alarms(run(watch_of(), range(begin + 14 * 24), lambda hour: 0.02 * max(0, hour - begin) / 24))

    assert begin < found[0]


def test_what_is_tolerated_is_not_found_in_windows_of_any_size():
    """With a million rows every difference is many standard errors."""
    watch = watch_of(tolerance=0.05)
    found = []
    for hour in range(LEARNT + 5 * 24):
        mean = usual(hour) / 100 + (0.04 if hour >= LEARNT + 24 else 0.0)
        checks = watch.observe(window(MONDAY + hour * HOUR, column(mean, n=1_000_000)))
        found += [check for check in checks.values() if check.is_big]

    assert found == []


def test_a_change_that_stays_becomes_usual():
    """The alarm tells that something changed, not for ever that it once was otherwise."""
    begin = LEARNT + 50
    found = alarms(run(watch_of(), range(begin + 40 * 24), lambda hour: 0.15 * (hour >= begin)))

    assert found
    assert found[-1] < begin + 30 * 24


def test_the_end_of_a_change_is_no_change():
    """What was an alarm for two days is no example for the third."""
    begin, end = LEARNT + 50, LEARNT + 100
    found = alarms(run(watch_of(), range(end + 10 * 24), lambda hour: 0.15 * (begin <= hour < end)))

    assert found
    assert found[-1] < end + 24


def test_the_score_stands_at_the_threshold_while_the_alarm_lasts():
    """An alert that resolves below the threshold must not do so while there still is an alarm."""
    begin = LEARNT + 50
    checks = run(watch_of(), range(begin + 100), lambda hour: 0.15 * (begin <= hour < begin + 40))
    alarming = [check for check in checks.values() if check.is_big]

    assert alarming
    assert all(check.score == check.threshold for check in alarming)
    assert all(check.score < check.threshold for check in checks.values() if not check.is_big)
    assert not checks[begin + 99].is_big


def test_the_note_tells_how_far_it_is_off():
    """The sum alone means nothing to anyone."""
    begin = LEARNT + 50
    checks = run(watch_of(), range(begin + 24), lambda hour: -0.2 * (hour >= begin))
    first = next(check for check in checks.values() if check.is_big)

    assert "standard deviations below the same hours of the days before, for" in first.note
    assert 0.1 < float(first.note.split()[0]) < 0.3


def test_what_shows_in_a_window_is_left_to_the_check_of_the_window():
    """One incident is not two alerts; nor is the hour after it a drift back."""
    begin, end = LEARNT + 50, LEARNT + 74
    checks = run(
        watch_of(),
        range(end + 48),
        lambda hour: 2.0 * (begin <= hour < end),
        drifted=lambda hour: begin <= hour < end,
    )

    assert alarms(checks) == []
    assert not set(range(begin, end)) & set(checks)


def test_what_has_drifted_for_days_is_learnt_anew():
    """Else the day on which a new baseline ends the incident would begin another one."""
    begin, end = LEARNT + 50, LEARNT + 50 + 5 * 24
    checks = run(
        watch_of(), range(end + 10 * 24), lambda hour: 2.0 * (hour >= begin), drifted=lambda hour: begin <= hour < end
    )

    assert alarms(checks) == []
    assert max(checks) > end + 7 * 24


def test_short_windows_are_pooled_to_hours():
    """The length of a window changes neither what is found nor how often."""
    by_hours, by_minutes = watch_of(), watch_of()
    for hour in range(LEARNT + 24):
        means = [usual(60 * hour + part) + 0.1 * (hour >= LEARNT + 6) for part in range(4)]
        start = MONDAY + hour * HOUR
        whole = by_hours.observe(window(start, column(sum(means) / 4, n=4 * ROWS)))
        parts = [
            by_minutes.observe(window(start + part * 15 * MINUTE, column(mean), length=15 * MINUTE))
            for part, mean in enumerate(means)
        ]

        assert not any(parts[:3])
        assert parts[3].keys() == whole.keys()
        for key, check in whole.items():
            assert parts[3][key].score == pytest.approx(check.score)


def test_an_hour_whose_end_is_missing_still_counts():
    """Traffic may stop within an hour."""
    watch = watch_of()
    for hour in range(LEARNT + 24):
        start = MONDAY + hour * HOUR
        checks = watch.observe(window(start, column(usual(hour)), length=15 * MINUTE))
        assert checks == {}

    last = MONDAY + (LEARNT + 24) * HOUR
    checks = watch.observe(window(last + 45 * MINUTE, column(usual(LEARNT + 24)), length=15 * MINUTE))

    assert list(checks) == [AMOUNT]


def test_two_models_are_told_apart():
    """A change of one is none of the other."""
    watch, other = watch_of(), ModelKey("churn", "1")
    found = {MODEL: [], other: []}
    for hour in range(LEARNT + 40):
        shift = 0.2 * (hour >= LEARNT + 10)
        for model, mean in ((MODEL, usual(hour) + shift), (other, 5 - usual(hour, 2))):
            checks = watch.observe(window(MONDAY + hour * HOUR, column(mean), model=model))
            found[model] += [check for check in checks.values() if check.is_big]

    assert found[MODEL]
    assert not found[other]


def test_segments_are_not_watched():
    """Small as they are, they would be noise; the whole is watched."""
    watch = watch_of()
    watch.observe(window(MONDAY, column(0.0), segment=Segment("country", "DE")))

    assert len(watch) == 0


def test_nothing_is_watched_with_a_run_length_of_zero():
    """It can be switched off."""
    watch = watch_of(run_length=0)
    watch.observe(window(MONDAY, column(0.0)))

    assert len(watch) == 0
    assert watch.encode() == {}


def test_a_column_without_a_mean_changes_nothing():
    """An hour in which a column is empty, or has a handful of values, says nothing."""
    plain, interrupted = watch_of(), watch_of()
    for hour in range(LEARNT + 24):
        start = MONDAY + hour * HOUR
        checks = plain.observe(window(start, column(usual(hour))))
        for nothing in (column(None), column(1e9, n=3)):
            assert interrupted.observe(window(start, nothing)) == {}
        assert interrupted.observe(window(start, column(usual(hour)))) == checks


@pytest.mark.parametrize("mean", [1e308, -1e308, 1e-320])
def test_extreme_means_do_no_harm(mean):
    """Values come from whoever sends."""
    watch = watch_of()
    for hour in range(LEARNT + 24):
        checks = watch.observe(window(MONDAY + hour * HOUR, column(mean if hour % 5 else -mean)))
        assert all(math.isfinite(check.score) for check in checks.values())

    again = watch_of()
    again.restore(watch.encode())
    assert len(again) == 1


def test_a_restart_changes_nothing():
    """The sum of a week is not lost by an update of the service."""
    plain, restarted = watch_of(), watch_of()
    for hour in range(LEARNT + 72):
        if hour % 20 == 0:
            kept, restarted = restarted.encode(), watch_of()
            restarted.restore(kept)
        drifted = hour % 50 == 0
        mean = usual(hour) + 0.1 * (LEARNT + 30 <= hour < LEARNT + 60)
        hourly = window(MONDAY + hour * HOUR, column(mean, drifted=drifted))
        assert restarted.observe(hourly) == plain.observe(hourly)

    assert restarted.encode() == plain.encode()


@pytest.mark.parametrize("spoil", [lambda kept: kept[:-8], lambda kept: kept[:-1], lambda kept: b"[]x" + kept])
def test_what_is_kept_elsewhere_is_refused(spoil):
    """Of another version, perhaps: the service begins anew then."""
    watch = watch_of()
    watch.observe(window(MONDAY, column(0.0)))
    ((key, kept),) = watch.encode().items()

    with pytest.raises(ValueError):
        watch_of().restore({key: spoil(kept)})


def test_memory_is_bounded():
    """Models come and go; the ones that were silent longest are forgotten."""
    watch = SlowDrift(SlowDriftSettings(), 0.05, columns=6)
    keys = [FeatureKey(FeatureRole.FEATURE, f"column {number}") for number in range(4)]
    for number in range(5):
        model = ModelKey(f"model {number}", "")
        watch.observe(window(MONDAY + number * HOUR, *(column(0.0, key=key) for key in keys), model=model))

    assert len(watch) == 4
    assert [key for key in watch.encode() if "model 4" in key]


def test_of_one_model_with_too_many_columns_the_oldest_are_forgotten():
    """Names of columns come from whoever sends."""
    watch = SlowDrift(SlowDriftSettings(), 0.05, columns=6)
    for number in range(20):
        key = FeatureKey(FeatureRole.FEATURE, f"column {number}")
        watch.observe(window(MONDAY + number * HOUR, column(0.0, key=key)))

    assert len(watch) == 6
    assert b"column 19" in next(iter(watch.encode().values()))


def test_what_is_off_for_one_window_is_no_slow_drift():
    """No hour counts for more than a few standard errors."""
    at = LEARNT + 30
    checks = run(watch_of(), range(at + 48), lambda hour: 5.0 * (hour == at))

    assert alarms(checks) == []


def test_the_check_is_of_the_same_hour():
    """Whoever reads the alert should not look at the baseline."""
    watch = watch_of()
    checks = run(watch, range(LEARNT + 1))

    assert replace(checks[LEARNT], note="", score=0.0, threshold=1.0) == Check(
        "slow_drift", "cusum", 0.0, 1.0, False, None, ROWS, reference="same_hour"
    )


def test_windows_of_a_day_are_watched_as_well():
    """Each is an hour to it that is long."""
    day, found = 24 * HOUR, []
    watch = watch_of()
    for number in range(20):
        mean = np.random.default_rng(number).standard_normal() / 200 + (0.1 if number >= 14 else 0.0)
        checks = watch.observe(window(MONDAY + number * day, column(mean, n=40_000), length=day))
        found += [number for check in checks.values() if check.is_big]

    assert found[0] in (14, 15, 16, 17)
