"""The e-detector."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.sequential import EDetector
from otel_ml.drift.sequential.e_detector import EXPONENTS
from otel_ml.errors import ConfigurationError

P_VALUES = st.none() | st.just(math.nan) | st.floats(0, 1)


def verdicts(detector, p_values):
    return list(map(detector.observe, p_values))


def windows_to_alarm(detector, p_values):
    for window, p_value in enumerate(p_values, start=1):
        if detector.observe(p_value).is_alarming:
            return window
    raise AssertionError("no alarm")


def test_a_worked_example():
    """M₁ = e₁ and M₂ = e₂ (1 + e₁), each averaged over the calibrators κ p^(κ - 1)."""
    detector = EDetector()
    e_values = [[kappa * p ** (kappa - 1) for kappa in EXPONENTS] for p in (0.2, 0.01)]

    first, second = verdicts(detector, [0.2, 0.01])

    assert math.exp(first.statistic) == pytest.approx(np.mean(e_values[0]))
    assert math.exp(second.statistic) == pytest.approx(np.mean(e_values[1]) + np.mean(np.prod(e_values, axis=0)))


@pytest.mark.parametrize("kappa", EXPONENTS)
def test_calibrators_are_e_values(kappa):
    """∫ κ p^(κ - 1) dp over (0, 1) is 1: without drift no evidence grows on average."""
    # Substituting p = exp(-x) takes the pole at 0 away.
    x = np.linspace(0, 400, 2_000_001)

    assert np.trapezoid(kappa * np.exp(-kappa * x), x) == pytest.approx(1, abs=1e-3)


def test_false_alarms_are_at_most_as_frequent_as_promised():
    """Uniform p-values: on average at least `run_length` windows to an alarm."""
    rng = np.random.default_rng(3)

    lengths = [windows_to_alarm(EDetector(run_length=100), iter(rng.random, None)) for _ in range(300)]

    assert np.mean(lengths) >= 100


def test_many_low_p_values_alarm_where_none_would_alone():
    """p-values of 3 % in every window are no chance, though each is no discovery among many columns."""
    detector = EDetector(run_length=100_000)

    assert 2 < windows_to_alarm(detector, [0.03] * 30) <= 30


def test_overwhelming_evidence_alarms_at_once_and_stays_finite():
    """Even a p-value of 0 leaves a number behind, and an alarm that can end."""
    detector = EDetector()

    verdict = detector.observe(0.0)

    assert verdict.started
    assert verdict.statistic == pytest.approx(verdict.threshold)


@pytest.mark.parametrize("low", [1e-6, 0.03])
def test_an_alarm_ends_when_the_drift_does(low):
    """Weeks of drift are forgotten within some dozens of clean windows, after which nothing is left of them."""
    rng = np.random.default_rng(4)
    detector = EDetector(run_length=10_000)
    verdicts(detector, [low] * 500)

    after = verdicts(detector, rng.random(80).tolist())

    assert after[0].is_alarming
    assert sum(verdict.ended for verdict in after) == 1
    assert not after[-1].is_alarming


@given(p_values=st.lists(P_VALUES, max_size=30), cut=st.integers(0, 30))
def test_a_restart_changes_nothing(p_values, cut):
    """What was encoded to JSON and restored says what it would have said without the restart."""
    straight, before, after = EDetector(50), EDetector(50), EDetector(50)

    expected = verdicts(straight, p_values)
    resumed = verdicts(before, p_values[:cut])
    after.restore(json.loads(json.dumps(before.encode(), allow_nan=False)))
    resumed += verdicts(after, p_values[cut:])

    assert resumed == expected


@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=20), place=st.integers(0, 19), factor=st.floats(0, 1))
def test_a_smaller_p_value_is_never_less_evidence(p_values, place, factor):
    """Up to the alarm, where its end begins anew, evidence grows with every p-value that shrinks."""
    lower = list(p_values)
    lower[place % len(lower)] *= factor

    before, after = verdicts(EDetector(1e12), p_values), verdicts(EDetector(1e12), lower)

    assert any(verdict.is_alarming for verdict in after) or after[-1].statistic >= before[-1].statistic - 1e-9


@pytest.mark.parametrize("p_value", [None, math.nan])
def test_a_window_without_a_test_changes_nothing(p_value):
    """No p-value is no evidence for anything."""
    detector = EDetector()
    detector.observe(0.3)
    before = detector.encode()

    detector.observe(p_value)

    assert detector.encode() == before


@pytest.mark.parametrize("p_value", [-0.1, 1.1])
def test_what_is_no_p_value_is_refused(p_value):
    """A number outside [0, 1] is a mistake of the caller, not evidence."""
    with pytest.raises(ValueError, match="a number from 0 to 1"):
        EDetector().observe(p_value)


@pytest.mark.parametrize("run_length", [1, math.nan, True, "100"])
def test_settings_are_checked(run_length):
    """A wrong setting is named with what would be valid."""
    with pytest.raises(ConfigurationError, match=r"e_detector::run_length: .* is not valid .a number above 1"):
        EDetector(run_length)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"evidence": [0.0], "is_alarming": False},
        {"evidence": [0.0, 0.0, math.nan], "is_alarming": False},
        {"evidence": [0.0, 0.0, 0.0], "is_alarming": 0},
    ],
)
def test_a_broken_state_is_refused(state):
    """A state that is none is an error that names the field, and what was known stays."""
    detector = EDetector()
    detector.observe(0.3)
    before = detector.encode()

    with pytest.raises(ValueError, match=r"state::(evidence|is_alarming)"):
        detector.restore(state)

    assert detector.encode() == before
