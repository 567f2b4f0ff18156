"""The cumulative sum over windows."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.sequential import Cusum
from otel_ml.drift.sequential.cusum import decision_interval
from otel_ml.errors import ConfigurationError

DEVIATIONS = st.none() | st.just(math.nan) | st.floats(-1e9, 1e9) | st.sampled_from([math.inf, -math.inf])


def verdicts(detector, deviations):
    return list(map(detector.observe, deviations))


def windows_to_alarm(detector, deviations):
    for window, deviation in enumerate(deviations, start=1):
        if detector.observe(deviation).is_alarming:
            return window
    raise AssertionError("no alarm")


def test_a_worked_example():
    """With k = 0.5: 1.0 - 0.5, + 2.0 - 0.5, - 1.0 - 0.5 above; below max(0, 1.0 - 0.5) in the end."""
    detector = Cusum(shift=1)

    statistics = [verdict.statistic for verdict in verdicts(detector, [1.0, 2.0, -1.0])]

    assert statistics == pytest.approx([0.5, 2.0, 0.5])


@pytest.mark.parametrize(("run_length", "interval"), [(168, 4.0), (465, 5.0)])
def test_textbook_decision_intervals(run_length, interval):
    """Run lengths of two-sided CUSUMs with k = 1/2 (Montgomery, Introduction to Statistical Quality Control)."""
    assert decision_interval(0.5, run_length) == pytest.approx(interval, abs=0.02)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_false_alarms_are_about_as_frequent_as_promised(shift):
    """Deviations N(0, 1): the mean number of windows to an alarm is the run length, within a fifth."""
    rng = np.random.default_rng(5)

    lengths = [windows_to_alarm(Cusum(shift, run_length=200), iter(rng.normal, None)) for _ in range(600)]

    assert 160 <= np.mean(lengths) <= 250


def test_a_textbook_delay():
    """A shift of one standard error is found after 10.4 windows on average with k = 1/2 and h = 5 (Montgomery)."""
    rng = np.random.default_rng(6)

    lengths = [windows_to_alarm(Cusum(1.0, run_length=465), iter(lambda: rng.normal(1), None)) for _ in range(600)]

    assert np.mean(lengths) == pytest.approx(10.4, abs=0.8)


@pytest.mark.parametrize("sign", [1, -1])
def test_slow_drift_is_found_in_its_direction(sign):
    """A deviation that creeps from 0 to 2 standard errors over 100 windows alarms on its way, and tells where to."""
    rng = np.random.default_rng(7)
    detector = Cusum()

    windows = windows_to_alarm(detector, (sign * np.linspace(0, 2, 100) + rng.normal(size=100)).tolist())

    assert windows < 100
    assert detector.direction == sign


def test_one_odd_window_is_no_gradual_drift():
    """A single window, however far off, does not alarm."""
    assert not Cusum().observe(math.inf).is_alarming


def test_what_is_tolerated_does_not_add_up():
    """Windows of a million rows are many standard errors off by differences without consequence."""
    detector = Cusum()

    assert not any(detector.observe(40.0, tolerance=50.0).statistic for _ in range(1000))


def test_an_alarm_starts_and_ends_once():
    """Clean windows, drift, clean windows: one start, one end, and in the end nothing is left of it."""
    detector = Cusum()

    all_verdicts = verdicts(detector, [0.0] * 20 + [3.0] * 50 + [0.0] * 50)

    assert [verdict.started for verdict in all_verdicts].count(True) == 1
    assert [verdict.ended for verdict in all_verdicts].count(True) == 1
    assert all_verdicts[-1].statistic == 0


@given(deviations=st.lists(DEVIATIONS, max_size=30), cut=st.integers(0, 30))
def test_a_restart_changes_nothing(deviations, cut):
    """What was encoded to JSON and restored says what it would have said without the restart."""
    straight, before, after = (Cusum(run_length=60) for _ in range(3))

    expected = verdicts(straight, deviations)
    resumed = verdicts(before, deviations[:cut])
    after.restore(json.loads(json.dumps(before.encode(), allow_nan=False)))
    resumed += verdicts(after, deviations[cut:])

    assert resumed == expected


@given(
    sums=st.tuples(st.floats(0, 60), st.floats(0, 60)) | st.just((math.inf, 0.0)),
    shift=st.floats(0.02, 3.9),
    run_length=st.floats(51, 1e12),
)
def test_what_is_restored_is_at_most_the_threshold(sums, shift, run_length):
    """With other settings the alarm may be nearer than it was, and no sum grows beyond it."""
    detector = Cusum(shift, run_length)

    detector.restore({"above": sums[0], "below": sums[1], "is_alarming": False})

    threshold = decision_interval(shift / 2, run_length)
    assert (detector.encode()["above"], detector.encode()["below"]) == (
        min(sums[0], threshold),
        min(sums[1], threshold),
    )


def test_restoring_loads_no_solver():
    """A start restores a sum for every column that is watched: it does not wait for scipy."""
    script = (
        "import sys; sys.modules['scipy'] = None\n"
        "from otel_ml.drift.sequential import Cusum\n"
        "detector = Cusum()\n"
        "detector.restore({'above': 3.5, 'below': 0.0, 'is_alarming': False})\n"
        "print(detector.encode()['above'])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "3.5"


@given(deviations=st.lists(DEVIATIONS, max_size=30))
def test_both_directions_are_alike(deviations):
    """Mirrored deviations give the same evidence."""
    mirrored = [None if deviation is None else -deviation for deviation in deviations]

    assert verdicts(Cusum(run_length=60), deviations) == verdicts(Cusum(run_length=60), mirrored)


@given(deviations=st.lists(st.floats(-4, 4), min_size=1, max_size=20), place=st.integers(0, 19), more=st.floats(0, 4))
def test_further_up_is_more_evidence_of_up(deviations, place, more):
    """The sum above grows with every deviation; compared where neither alarms, since an alarm's end begins anew."""
    higher = list(deviations)
    higher[place % len(higher)] += more
    one, other = Cusum(run_length=1e12), Cusum(run_length=1e12)

    alarmed = [
        verdict.is_alarming for detector, z in ((one, deviations), (other, higher)) for verdict in verdicts(detector, z)
    ]

    assert any(alarmed) or other.encode()["above"] >= one.encode()["above"] - 1e-9


@pytest.mark.parametrize("deviation", [None, math.nan])
def test_a_window_without_a_deviation_changes_nothing(deviation):
    """No measurement is not a measurement of 0."""
    detector = Cusum()
    detector.observe(2.0)
    before = detector.encode()

    detector.observe(deviation)

    assert detector.encode() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shift": 0}, "cusum::shift: 0 is not valid .a number above 0.01 and at most 4"),
        ({"run_length": 10}, "cusum::run_length: 10 is not valid .a number above 50"),
        ({"limit": 0.5}, "cusum::limit: 0.5 is not valid .a number above 0.5"),
    ],
)
def test_settings_are_checked(settings, message):
    """A wrong setting is named with what would be valid."""
    with pytest.raises(ConfigurationError, match=message):
        Cusum(**settings)


@pytest.mark.parametrize("tolerance", [-1.0, math.nan])
def test_a_tolerance_is_at_least_none(tolerance):
    """A negative tolerance would make evidence out of nothing."""
    with pytest.raises(ValueError, match=r"tolerance: .* is not valid"):
        Cusum().observe(1.0, tolerance=tolerance)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"above": -1.0, "below": 0.0, "is_alarming": False},
        {"above": 0.0, "below": math.nan, "is_alarming": False},
        {"above": 0.0, "below": 0.0, "is_alarming": None},
    ],
)
def test_a_broken_state_is_refused(state):
    """A state that is none is an error that names the field, and what was known stays."""
    detector = Cusum()
    detector.observe(2.0)
    before = detector.encode()

    with pytest.raises(ValueError, match=r"state::(above|below|is_alarming)"):
        detector.restore(state)

    assert detector.encode() == before
